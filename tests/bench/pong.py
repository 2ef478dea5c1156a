"""The other end: answers each message with one of the same size; a paced one
says how long the message was under way."""

import os
import struct
import time

from dora import Node

SIZE = int(os.environ["SIZE"])
STAMP = struct.Struct("q")
now = time.monotonic_ns


def back_to_back(node):
    for event in node:
        if event["type"] == "INPUT":
            node.send_output_raw("back", SIZE).send()


def paced(node):
    for event in node:
        if event["type"] == "INPUT":
            passed = now() - STAMP.unpack_from(event["value"])[0]
            with node.send_output_raw("back", SIZE) as buffer:
                STAMP.pack_into(buffer, 0, passed)


(paced if "PERIOD" in os.environ else back_to_back)(Node())
