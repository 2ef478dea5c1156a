"""Keeps the last half minute of samples and sends what they amount to."""

import json
from collections import deque

from dora import Node

WINDOW = 120  # samples: half a minute at four a second
PLAIN = ("memory", "swap", "disk_read", "disk_written", "received", "sent", "load")


class Rolling:
    """Mean and peak of the last WINDOW values, and the latest of them."""

    def __init__(self):
        self.values = deque(maxlen=WINDOW)

    def add(self, value):
        self.values.append(value)
        return {
            "now": value,
            "mean": sum(self.values) / len(self.values),
            "peak": max(self.values),
        }


class Busiest:
    """Processor share of each process, smoothed over about a second."""

    def __init__(self):
        self.shares = {}

    def add(self, seen):
        for key in list(self.shares):
            self.shares[key] *= 0.75
            if self.shares[key] < 0.5:
                del self.shares[key]
        resident = {}
        for percent, name, pid, memory in seen:
            key = (name, pid)
            self.shares[key] = self.shares.get(key, 0.0) + 0.25 * percent
            resident[key] = memory
        top = sorted(self.shares.items(), key=lambda item: -item[1])[:2]
        return [[share, name, pid] for (name, pid), share in top]


def main():
    node = Node()
    numbers = {name: Rolling() for name in PLAIN}
    total = Rolling()
    cores = {}
    busiest = Busiest()

    for event in node:
        if event["type"] != "INPUT":
            continue
        machine = json.loads(bytes(event["value"]))
        summary = {name: numbers[name].add(machine[name]) for name in PLAIN}
        summary["cores"] = [
            cores.setdefault(number, Rolling()).add(percent)
            for number, percent in enumerate(machine["cores"])
        ]
        count = max(1, len(machine["cores"]))
        summary["full"] = len(numbers["load"].values) == WINDOW
        summary["cpu"] = total.add(sum(machine["cores"]) / count)
        summary["busiest"] = busiest.add(machine["busiest"])
        node.send_output("summary", json.dumps(summary).encode())


if __name__ == "__main__":
    main()
