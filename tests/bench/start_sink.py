"""Prints when the first message came."""

import time

from dora import Node

node = Node()
node.next()
print(time.monotonic_ns())
