"""Sends COUNT small messages; the consumer begins after the last of them, so
that its pace alone is measured. They meet at FIFO."""

import os

from dora import Node

node = Node()
for _ in range(int(os.environ["COUNT"])):
    node.send_output("x", b"12345678")
with open(os.environ["FIFO"], "w"):
    pass
