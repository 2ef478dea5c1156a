"""Looks at the received arrays in place and compares their checksums."""

import sys
import zlib

from dora import Node

try:
    import numpy as np
except ImportError:
    sys.exit(f"this example needs NumPy: {sys.executable} -m pip install numpy")

node = Node()
arrays = {}
right = 0

for event in node:
    if event["type"] != "INPUT":
        continue
    number = event["metadata"]["number"]
    if event["id"] == "large_data":
        # Read-only, and no copy: it stays valid as long as we keep it.
        arrays[number] = event["value"].to_numpy()
    else:
        array = arrays.pop(number)
        checksum = int.from_bytes(bytes(event["value"]), "little")
        if zlib.crc32(array) != checksum:
            sys.exit(f"array {number} is not what was sent")
        right += 1
        print(f"array {number}: {array.nbytes:,} bytes right, mean {array.mean():.1f}")

if right != 8:
    sys.exit(f"only {right} of 8 arrays arrived")
print(f"{right} arrays, every byte right")
