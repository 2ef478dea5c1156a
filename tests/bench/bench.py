#!/usr/bin/env python3
"""Measures the runtime and says which of its budgets hold.

    bench.py --dora-run build/dora-run --floor build/dev/bench --python PATH

Every hop is measured beside the C floor of the same moment: a round is floor,
dataflow, floor, dataflow ..., the result the median of the rounds. Latencies
are ns, one way.
"""

import argparse
import atexit
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SIZES = {"8 B": 8, "4 KB": 4 << 10, "1 MB": 1 << 20, "40 MB": 40 << 20}



class Bench:
    def __init__(self, options):
        self.dora_run = os.path.abspath(options.dora_run)
        self.floor_program = os.path.abspath(options.floor)
        self.python = os.path.abspath(options.python)
        self.rounds = options.rounds
        self.verdicts = []
        self.directory = tempfile.mkdtemp(prefix="dora-bench-")
        atexit.register(shutil.rmtree, self.directory, ignore_errors=True)
        # An empty one: what packages of the machine do at start is not ours.
        self.venv = os.path.join(self.directory, "venv")
        subprocess.run(
            [self.python, "-m", "venv", "--without-pip", self.venv], check=True
        )

    # --- running ---------------------------------------------------------

    def environment(self, **extra):
        env = {k: v for k, v in os.environ.items() if not k.startswith("DORA_")}
        env["VIRTUAL_ENV"] = self.venv
        env["DORA_LIBEXEC"] = os.path.dirname(self.dora_run)
        env.update({key: str(value) for key, value in extra.items()})
        return env

    def c(self, *arguments):
        text = subprocess.run(
            [self.floor_program, *map(str, arguments)],
            check=True, capture_output=True, text=True, env=self.environment(),
        ).stdout
        return [float(word) for word in text.split()]

    def flow(self, file, node, **env):
        """The JSON that `node` printed last."""
        report = os.path.join(self.directory, "report.json")
        result = subprocess.run(
            [self.dora_run, "--report", report, file],
            capture_output=True, text=True, env=self.environment(**env),
        )
        if result.returncode:
            sys.exit(f"{file} failed:\n{result.stdout}{result.stderr}")
        with open(report) as text:
            log = json.load(text)["log_directory"]
        with open(os.path.join(log, f"log_{node}.jsonl")) as lines:
            return json.loads(json.loads(lines.readlines()[-1])["msg"])

    def shipped(self, name):
        """A dataflow of this directory, where logs may be written."""
        for file in os.listdir(HERE):
            target = os.path.join(self.directory, file)
            if not os.path.exists(target) and file.endswith((".py", ".yml")):
                os.symlink(os.path.join(HERE, file), target)
        return os.path.join(self.directory, name)

    def crowd(self, count, script, tier="process"):
        """A running dataflow of `count` nodes that have all printed."""
        path = os.path.join(self.directory, "crowd.yml")
        with open(os.path.join(self.directory, "crowd.py"), "w") as file:
            file.write(script)
        nodes = [{"id": f"n{i}", "path": "crowd.py", "isolation": tier}
                 for i in range(count)]
        with open(path, "w") as file:
            json.dump({"nodes": nodes}, file)
        begun = time.monotonic()
        process = subprocess.Popen(
            [self.dora_run, path], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, env=self.environment(),
        )
        words = []
        while len(words) < count:
            line = process.stdout.readline()
            if not line:
                sys.exit("a node of the crowd did not start")
            if "ready " in line:
                words.append(line.rsplit("ready ", 1)[1].strip())
        return process, words, time.monotonic() - begun

    @staticmethod
    def stop(process):
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        process.wait()
        return time.monotonic() - begun

    # --- telling ---------------------------------------------------------

    def budget(self, what, value, bound, unit):
        holds = value <= bound
        self.verdicts.append(holds)
        print(
            f"  {'holds' if holds else 'MISSED':<7} {what:<52}"
            f" {value:10,.2f} <= {bound:10,.2f} {unit}  ({value / bound:.2f})"
        )

    def row(self, name, result):
        p50, p99, p999, rate = result
        print(f"  {name:<28} {p50:12,.0f} {p99:12,.0f} {p999:12,.0f} {rate:14,.0f}")

    @staticmethod
    def median(results):
        return [statistics.median(column) for column in zip(*results)]

    # --- measuring -------------------------------------------------------

    def hops(self):
        hop = self.shipped("hop.yml")
        counts = {8: 20_000, 4 << 10: 20_000, 1 << 20: 10_000, 40 << 20: 2_000}
        results = {name: [] for name in SIZES}
        floor, node = [], []
        for _ in range(self.rounds):
            for name, size in SIZES.items():
                floor.append(self.c("floor", "spin", 200_000))
                results[name].append(
                    self.flow(hop, "ping", SIZE=size, COUNT=counts[size])
                )
            node.append(self.c("node", "spin", 8, 100_000))
        print(f"{'one hop, back to back':<30} {'p50 ns':>12} {'p99':>12}"
              f" {'p99.9':>12} {'messages/s':>14}")
        floor = self.median(floor)
        self.row("C floor: futex word", floor)
        self.row("C -> C node, 8 B", self.median(node))
        for name in SIZES:
            results[name] = self.median(results[name])
            self.row(f"Python -> Python, {name}", results[name])
        small, large = results["8 B"], results["40 MB"]
        self.budget("8 B p50, 1.5 x floor + 600", small[0], 1.5 * floor[0] + 600, "ns")
        self.budget("8 B p99, 3 x p50", small[1], 3 * small[0], "ns")
        self.budget(
            "40 MB p50, 1.10 x that of 8 B or + 150",
            large[0], max(1.10 * small[0], small[0] + 150), "ns",
        )

    def paced(self, hertz, count):
        hop = self.shipped("hop.yml")
        period = 1_000_000_000 // hertz
        floor, python = [], []
        for _ in range(self.rounds):
            floor.append(self.c("floor", "paced", count, period))
            python.append(self.flow(hop, "ping", SIZE=8, COUNT=count, PERIOD=period))
        floor, python = self.median(floor), self.median(python)
        print(f"one hop, paced at {hertz} Hz, into a sleeping node")
        self.row("C floor: futex word", floor)
        self.row("Python -> Python, 8 B", python)
        for index, (name, factor) in enumerate(
            (("p50", 1.3), ("p99", 1.5), ("p99.9", 1.5))
        ):
            self.budget(
                f"{hertz} Hz {name}, {factor} x the floor's",
                python[index], factor * floor[index], "ns",
            )

    def consumer(self):
        drain = self.shipped("drain.yml")
        count = 200_000
        rates = []
        for _ in range(self.rounds):
            fifo = os.path.join(self.directory, "fifo")
            if not os.path.exists(fifo):
                os.mkfifo(fifo)
            rates.append(self.flow(drain, "drain", COUNT=count, FIFO=fifo))
        rate = statistics.median(rates)
        print(f"one consumer: {rate:,.0f} events/s")
        self.budget("ns per event, 800 k/s", 1e9 / rate, 1250, "ns")

    def first(self):
        """Touched 40 MB: the first send of a heap against later ones."""
        first = self.shipped("first.yml")
        cold, warm, memset, pooled = self.median(
            [self.flow(first, "first") for _ in range(self.rounds)]
        )
        print(f"40 MB written: first {cold:.2f} ms, later {warm:.2f} ms,"
              f" first memset of fresh memory {memset:.2f} ms,"
              f" first with shared_memory_pool_size {pooled:.2f} ms")
        self.budget("first big send, a first memset of that size", cold, memset, "ms")
        self.budget("prefaulted first send, 2 x the later ones", pooled, 2 * warm, "ms")

    def bare_start(self):
        """Milliseconds that Python takes to do nothing."""
        python = os.path.join(self.venv, "bin", "python")
        begun = time.monotonic()
        for _ in range(10):
            subprocess.run([python, "-c", "pass"], check=True, env=self.environment())
        return (time.monotonic() - begun) * 100

    def start(self):
        print(f"python -c pass: {self.bare_start():.1f} ms")
        start = self.shipped("start.yml")
        times = []
        for _ in range(2 * self.rounds + 1):
            begun = time.monotonic_ns()
            times.append((self.flow(start, "sink") - begun) / 1e6)
        milliseconds = statistics.median(times)
        self.budget("start: 2 nodes, exec to first message", milliseconds, 60, "ms")

    def crowds(self):
        script = (
            "import os\nfrom dora import Node\nnode = Node()\n"
            "print('ready', os.getpid())\nfor event in node: pass\n"
        )
        process, pids, _ = self.crowd(4, script)
        shares = []
        for pid in pids:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                shares += [int(l.split()[1]) / 1024 for l in file if l.startswith("Pss:")]
        self.stop(process)
        self.budget("memory: PSS of a process node among 4",
                    statistics.median(shares), 5, "MB")

        times = []
        for _ in range(self.rounds):
            process, _, _ = self.crowd(20, script)
            times.append(1000 * self.stop(process))
        self.budget("stop of 20 nodes", statistics.median(times), 200, "ms")

        times = []
        for _ in range(self.rounds):
            process, pids, _ = self.crowd(20, script)
            begun = time.monotonic()
            process.kill()
            while any(os.path.exists(f"/proc/{pid}") for pid in pids):
                time.sleep(0.001)
            times.append(1000 * (time.monotonic() - begun))
            process.wait()
        self.budget("SIGKILL of dora-run, until 20 nodes are gone",
                    statistics.median(times), 200, "ms")

        process, _, seconds = self.crowd(100, script)
        self.stop(process)
        self.budget("start of 100 nodes", 1000 * seconds, 1500, "ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dora-run", default="build/dora-run")
    parser.add_argument("--floor", default="build/dev/bench")
    parser.add_argument("--python", default="/usr/bin/python3")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("part", nargs="*", help="hops paced consumer first start crowds")
    options = parser.parse_args()
    bench = Bench(options)
    parts = {
        "hops": bench.hops,
        "paced": lambda: (bench.paced(1000, 1000), bench.paced(30, 60)),
        "consumer": bench.consumer,
        "first": bench.first,
        "start": bench.start,
        "crowds": bench.crowds,
    }
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {bench.python}")
    for name in options.part or parts:
        parts[name]()
    print(f"{sum(bench.verdicts)} of {len(bench.verdicts)} budgets hold")


if __name__ == "__main__":
    main()
