"""One end of a Python -> Python hop: sends, waits for the answer, and prints
p50 p99 p99.9 in ns and hops per second as JSON. Back to back a hop is half of a
round trip of untouched payloads; a paced one is the way there alone, as pong
saw it by the stamp in the payload."""

import json
import os
import struct
import time

from dora import Node

SIZE = int(os.environ["SIZE"])
COUNT = int(os.environ["COUNT"])
PERIOD = int(os.environ.get("PERIOD", 0))  # ns; 0: as fast as answers come
WARM = 200

STAMP = struct.Struct("q")
now = time.monotonic_ns


def back_to_back(node):
    sent = now()
    node.send_output_raw("there", SIZE).send()
    node.next()
    return (now() - sent) // 2


def paced(node, due):
    while (left := due - now()) > 0:
        time.sleep(left / 1e9)
    with node.send_output_raw("there", SIZE) as buffer:
        STAMP.pack_into(buffer, 0, now())
    return STAMP.unpack_from(node.next()["value"])[0]


def main():
    node = Node()
    samples = []
    begun = due = now()
    for turn in range(WARM + COUNT):
        if turn == WARM:
            begun = now()
        due += PERIOD
        samples.append(paced(node, due) if PERIOD else back_to_back(node))
    seconds = (now() - begun) / 1e9
    samples = sorted(samples[WARM:])
    hops = COUNT if PERIOD else 2 * COUNT
    print(json.dumps([
        samples[COUNT // 2], samples[COUNT * 99 // 100],
        samples[COUNT * 999 // 1000], hops / seconds,
    ]))


main()
