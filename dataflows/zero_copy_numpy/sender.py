"""Fills one megabyte of random numbers straight into the message."""

import sys
import zlib

from dora import Node

try:
    import numpy as np
except ImportError:
    sys.exit(f"this example needs NumPy: {sys.executable} -m pip install numpy")

SIZE = 1024 * 1024

node = Node()
random = np.random.default_rng(seed=1)

for number in range(8):
    metadata = {"number": number}
    with node.send_output_raw("large_data", SIZE, metadata) as buffer:
        # An array over the message's own memory: no copy.
        array = np.asarray(buffer)
        array[:] = random.integers(0, 256, size=SIZE, dtype=np.uint8)
        checksum = zlib.crc32(array)
    # Small messages may simply be bytes.
    node.send_output("checksum", checksum.to_bytes(4, "little"), metadata)

print("sent 8 arrays of 1 MB", flush=True)
