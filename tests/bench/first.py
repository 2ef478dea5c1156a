"""Times the first 40 MB message of a node, later ones, and a first memset of
as much fresh memory; prints ms as JSON, with what pooled.py measured."""

import json
import mmap
import struct
import time

from dora import Node

SIZE = 40 << 20
data = b"x" * SIZE  # touched: its page faults are not what is measured


def timed(action):
    begun = time.monotonic()
    action()
    return 1000 * (time.monotonic() - begun)


node = Node()
[pooled] = struct.unpack("d", bytes(node.next()["value"]))


def send():
    with node.send_output_raw("frame", SIZE) as buffer:
        buffer[:] = data


def touch():
    fresh = mmap.mmap(-1, SIZE)  # shared memory, as a message's is
    fresh[:] = data


first = timed(send)
later = sorted(timed(send) for _ in range(50))[25]
memset = timed(touch)
print(json.dumps([first, later, memset, pooled]))
