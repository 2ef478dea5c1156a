"""How long others had the processor: for promises that are made in seconds.

They are promises of a machine that runs whoever is ready. One process on each
core asks to be woken every other millisecond and keeps when it was woken late;
what lies between is nobody's fault. `own(begun, ended)` is the time without it,
both as time.monotonic() gives them, in whatever process. What is slow by itself
sleeps or waits, and the watchers are in time; what is slow because others run is
slow by a time that they have seen.

Where nobody watches, all time is one's own.
"""

import bisect
import mmap
import os
import struct
import subprocess
import sys
import tempfile
import threading
import time

PERIOD = 0.002
LATE = 0.001
PAIR = struct.Struct("dd")


def watch(path):
    """Appends pairs (due, woken) of what was late; the first pair of the file
    begins with what is due now. Ends with its parent."""
    parent = os.getppid()
    try:
        file = open(path, "r+b", buffering=0)
    except FileNotFoundError:  # it has ended, and taken the file along
        return
    with file:
        file.seek(PAIR.size)
        head = mmap.mmap(file.fileno(), PAIR.size)
        while os.getppid() == parent:
            due = time.monotonic() + PERIOD
            PAIR.pack_into(head, 0, due, 0)
            time.sleep(PERIOD)
            woken = time.monotonic()
            if woken > due + LATE:
                file.write(PAIR.pack(due, woken))


class Core:
    """One that is watched, and what was seen of it."""

    def __init__(self, number):
        self.file = tempfile.NamedTemporaryFile(prefix="dora-pace-")
        self.file.write(PAIR.pack(time.monotonic() + 1, 0))  # it starts
        self.file.flush()
        self.process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), self.file.name],
            preexec_fn=lambda: os.sched_setaffinity(0, [number]))
        self.due, self.woken = [], []

    def read(self):
        """What has been added; returns what is due now."""
        now, = struct.unpack("d", os.pread(self.file.fileno(), 8, 0))
        at = PAIR.size * (1 + len(self.due))
        size = os.fstat(self.file.fileno()).st_size - at
        data = os.pread(self.file.fileno(), size // PAIR.size * PAIR.size, at)
        for due, woken in PAIR.iter_unpack(data):
            self.due.append(due)
            self.woken.append(woken)
        return now

    def late(self, begun, ended):
        """Seconds between these for which it was not woken."""
        now = self.read()
        total = 0.0
        for i in range(bisect.bisect(self.woken, begun), len(self.due)):
            if self.due[i] > ended:
                break
            total += min(self.woken[i], ended) - max(self.due[i], begun)
        if now not in self.due[-1:]:
            total += max(0.0, ended - max(now + LATE, begun))
        return total


cores = []
turn = threading.Lock()


def start():
    """Watches the cores that this process may run on."""
    cores.extend(map(Core, sorted(os.sched_getaffinity(0))))


def own(begun, ended=None):
    """Seconds of these in which whoever was ready could run."""
    if ended is None:
        ended = time.monotonic()
    with turn:
        return ended - begun - max((c.late(begun, ended) for c in cores), default=0)


if __name__ == "__main__":
    watch(sys.argv[1])
