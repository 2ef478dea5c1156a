"""One end of a Python -> Python hop: sends, waits for the answer, and prints
p50 p99 p99.9 in ns and hops per second as JSON. A spinning hop is half of a
round trip; a paced one is the way there alone, as pong saw it."""

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


def pace(when):
    while (left := when - now()) > 0:
        time.sleep(left / 1e9)


def main():
    node = Node()
    samples = []
    begun = due = now()
    for turn in range(WARM + COUNT):
        if turn == WARM:
            begun = now()
        if PERIOD:
            due += PERIOD
            pace(due)
        sample = node.send_output_raw("there", SIZE)
        buffer = sample.as_memoryview()
        sent = now()
        STAMP.pack_into(buffer, 0, sent)
        sample.send()
        event = node.next()
        if PERIOD:
            samples.append(STAMP.unpack_from(event["value"])[0])
        else:
            samples.append((now() - sent) // 2)
    seconds = (now() - begun) / 1e9
    samples = sorted(samples[WARM:])
    hops = COUNT if PERIOD else 2 * COUNT
    print(json.dumps([
        samples[COUNT // 2], samples[COUNT * 99 // 100],
        samples[COUNT * 999 // 1000], hops / seconds,
    ]))


main()
