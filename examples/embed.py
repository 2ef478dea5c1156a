"""Turns each frame into its negative, from shared memory into shared memory."""

from dora import Node

NEGATIVE = bytes(255 - value for value in range(256))

node = Node()
for event in node:
    if event["type"] == "INPUT":
        frame = event["value"]
        with node.send_output_raw("negative", len(frame), event["metadata"]) as buffer:
            buffer[:] = bytes(frame).translate(NEGATIVE)
