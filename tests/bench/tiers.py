#!/usr/bin/env python3
"""Nodes in processes and nodes inside dora-run, side by side.

    tiers.py --dora-run build/dora-run --floor build/dev/bench --python PATH

`--python` is the one that dora-run has inside.
"""

import argparse
import json
import os
import statistics
import subprocess

from bench import Bench

TIERS = ("process", "interpreter")

IDLE = """
import os
from dora import Node
node = Node()
print("ready", os.getpid())
for event in node: pass
"""

#: How long two nodes compute side by side.
BUSY_SECONDS = 3


def tenths(done):
    """Without the first and the last, which were not whole."""
    done = {int(tenth): count for tenth, count in done.items()}
    return {tenth: done[tenth] for tenth in sorted(done)[1:-1]}


def gain(always, resting):
    """What two got done in a tenth of a second against what one did, alone, in
    the tenths beside it: whatever else the machine does is in both."""
    return statistics.median(
        2 * (always[tenth] + resting[tenth]) / (always[tenth - 1] + always[tenth + 1])
        for tenth in resting
        if {tenth - 1, tenth, tenth + 1} <= always.keys()
    )


class Tiers(Bench):
    def write(self, name, nodes):
        path = os.path.join(self.directory, name)
        with open(path, "w") as file:
            json.dump({"nodes": nodes}, file)
        return path

    def hop_file(self, tier):
        self.shipped("hop.yml")
        return self.write(f"hop_{tier}.yml", [
            {"id": "ping", "path": "ping.py", "isolation": tier,
             "inputs": {"back": "pong/back"}, "outputs": ["there"]},
            {"id": "pong", "path": "pong.py", "isolation": tier,
             "inputs": {"there": "ping/there"}, "outputs": ["back"]},
        ])

    def table(self, title, rows):
        """rows: {what: {tier: value}}"""
        print(f"{title:<40}" + "".join(f"{tier:>14}" for tier in TIERS))
        for what, values in rows.items():
            print(f"  {what:<38}" + "".join(f"{values[t]:14,.2f}" for t in TIERS))

    def each(self, measure):
        """The median of the rounds for both tiers, taken in turn."""
        samples = {tier: [] for tier in TIERS}
        for _ in range(self.rounds):
            for tier in TIERS:
                samples[tier].append(measure(tier))
        return {tier: statistics.median(samples[tier]) for tier in TIERS}

    # --- measuring -------------------------------------------------------

    def hop(self):
        files = {tier: self.hop_file(tier) for tier in TIERS}
        floor, samples = [], {tier: [] for tier in TIERS}
        for _ in range(self.rounds):
            floor.append(self.c("floor", "spin", 200_000))
            for tier in TIERS:
                samples[tier].append(
                    self.flow(files[tier], "ping", SIZE=8, COUNT=20_000))
        floor = self.median(floor)
        found = {tier: self.median(samples[tier]) for tier in TIERS}
        self.table("one hop, 8 B, back to back", {
            name: {tier: found[tier][i] for tier in TIERS}
            for i, name in enumerate(("p50, ns", "p99, ns", "p99.9, ns", "hops/s"))})
        for tier in TIERS:
            self.budget(f"{tier}: p50, 1.5 x floor + 600", found[tier][0],
                        1.5 * floor[0] + 600, "ns")

    def start(self):
        rows = {}
        for count in (1, 16, 100):
            def measure(tier):
                process, _, seconds = self.crowd(count, IDLE, tier)
                self.stop(process)
                return 1000 * seconds
            rows[f"{count} nodes, ms"] = self.each(measure)
        self.table("exec to last Node()", rows)
        for tier in TIERS:
            self.budget(f"{tier}: start of 100 nodes",
                        rows["100 nodes, ms"][tier], 1500, "ms")

    def stop_twenty(self):
        def measure(tier):
            return 1000 * self.stop(self.crowd(20, IDLE, tier)[0])
        times = self.each(measure)
        self.table("stop", {"20 nodes, ms": times})
        for tier in TIERS:
            self.budget(f"{tier}: stop of 20 nodes", times[tier], 200, "ms")

    def footprint(self, count, tier):
        """MB of dora-run and all nodes together."""
        process, pids, _ = self.crowd(count, IDLE, tier)
        total = 0
        for pid in {process.pid, *map(int, pids)}:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                total += sum(int(line.split()[1]) for line in file
                             if line.startswith("Pss:"))
        self.stop(process)
        return total / 1024

    def memory(self):
        def measure(tier):
            return (self.footprint(17, tier) - self.footprint(1, tier)) / 16
        sizes = self.each(measure)
        self.table("memory", {"each further node, MB": sizes})
        for tier, bound in zip(TIERS, (5, 3)):
            self.budget(f"{tier}: memory of a node", sizes[tier], bound, "MB")

    def bare_gain(self):
        """Of two programs that know nothing of each other."""
        programs = [subprocess.Popen(
            [os.path.join(self.venv, "bin", "python"),
             self.shipped("busy.py")], stdout=subprocess.PIPE, text=True,
            env=self.environment(BARE=1, REST=rest, SECONDS=BUSY_SECONDS),
        ) for rest in (0, 1)]
        return gain(*(tenths(json.loads(program.communicate()[0]))
                      for program in programs))

    def busy(self):
        self.shipped("busy.py")

        def measure(tier):
            path = self.write("busy.yml", [
                {"id": name, "path": "busy.py", "isolation": tier,
                 "env": {"REST": rest, "SECONDS": BUSY_SECONDS}}
                for rest, name in enumerate(("always", "resting"))])
            return gain(*map(tenths, self.flows(path, ["always", "resting"])))

        bare, *gains = self.median([
            (self.bare_gain(), *map(measure, TIERS)) for _ in range(self.rounds)])
        gains = dict(zip(TIERS, gains))
        self.table(f"pure Python; two bare programs: {bare:.2f}",
                   {"two nodes against one": gains})
        for tier in TIERS:
            self.budget(f"{tier}: bare programs' gain / two nodes', 2 / 1.9",
                        bare / gains[tier], 2 / 1.9, "")

    def flows(self, path, nodes):
        """What each of the nodes printed last."""
        first = self.flow(path, nodes[0])
        with open(os.path.join(self.directory, "report.json")) as text:
            log = json.load(text)["log_directory"]
        rest = []
        for node in nodes[1:]:
            with open(os.path.join(log, f"log_{node}.jsonl")) as lines:
                rest.append(json.loads(json.loads(lines.readlines()[-1])["msg"]))
        return [first, *rest]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dora-run", default="build/dora-run")
    parser.add_argument("--floor", default="build/dev/bench")
    parser.add_argument("--python", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("part", nargs="*", help="hop start stop memory busy")
    options = parser.parse_args()
    tiers = Tiers(options)
    parts = {"hop": tiers.hop, "start": tiers.start, "stop": tiers.stop_twenty,
             "memory": tiers.memory, "busy": tiers.busy}
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {tiers.python}")
    for name in options.part or parts:
        parts[name]()
    print(f"{sum(tiers.verdicts)} of {len(tiers.verdicts)} budgets hold")


if __name__ == "__main__":
    main()
