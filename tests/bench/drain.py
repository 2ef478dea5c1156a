"""Takes everything that is queued and prints events per second."""

import os
import time

from dora import Node

COUNT = int(os.environ["COUNT"])

node = Node()
with open(os.environ["FIFO"]) as fifo:
    fifo.read()
begun = time.monotonic()
for _ in range(COUNT):
    event = node.next()
    value = event["value"]
print(COUNT / (time.monotonic() - begun))
