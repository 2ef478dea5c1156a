"""Times the first 40 MB message of a node whose memory is prefaulted."""

import struct
import time

from dora import Node

SIZE = 40 << 20
data = b"x" * SIZE  # touched: its page faults are not what is measured

node = Node()
begun = time.monotonic()
with node.send_output_raw("frame", SIZE) as buffer:
    buffer[:] = data
passed = time.monotonic() - begun
node.send_output("time", struct.pack("d", 1000 * passed))
