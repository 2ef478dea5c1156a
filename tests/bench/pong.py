"""The other end: answers each message with one of the same size that says how
long the message was under way."""

import struct
import time

from dora import Node

STAMP = struct.Struct("q")
now = time.monotonic_ns

node = Node()
for event in node:
    if event["type"] != "INPUT":
        continue
    value = event["value"]
    passed = now() - STAMP.unpack_from(value)[0]
    sample = node.send_output_raw("back", len(value))
    STAMP.pack_into(sample.as_memoryview(), 0, passed)
    sample.send()
    del value, event, sample
