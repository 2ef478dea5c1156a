"""Checks every byte of every message against what the sender must have written."""

import sys

from dora import Node

SIZE = 1024 * 1024

node = Node()
right = 0

for event in node:
    if event["type"] != "INPUT":
        continue
    number = event["metadata"]["number"]
    # A read-only view of the sender's memory, checked where it lies.
    view = memoryview(event["value"])
    cycle = bytes((i + number) % 256 for i in range(256))
    expected = cycle * (SIZE // 256)
    if number != right or view != expected:
        sys.exit(f"message {number} is not what was sent")
    right += 1
    print(f"message {number}: all {len(view):,} bytes are right")

if right != 4:
    sys.exit(f"only {right} of 4 messages arrived")
print(f"{right} messages, every byte right")
