#!/usr/bin/env python3
"""One hop beside the peers: the same two nodes under dora-run and under dora-rs,
and what Python programs do without a dataflow. Needs the network, for pip.

    peers.py --dora-run build/dora-run --floor build/dev/bench --python PATH
"""

import argparse
import json
import os
import re
import subprocess
import sys

from bench import HERE, SIZES, Bench

PACKAGES = ["dora-rs", "dora-rs-cli", "pyarrow", "pyzmq"]
COUNTS = {8: 20_000, 4 << 10: 20_000, 1 << 20: 2_000, 40 << 20: 50}
PATIENCE = 90  # s


class Peers(Bench):
    def install(self):
        """Into a venv of its own: our nodes' one stays empty."""
        self.peers = os.path.join(self.directory, "peers")
        subprocess.run([self.python, "-m", "venv", self.peers], check=True)
        python = self.tool("python")
        subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
        listed = subprocess.run(
            [python, "-m", "pip", "list", "--format", "json"],
            check=True, capture_output=True, text=True,
        ).stdout
        self.versions = {p["name"]: p["version"] for p in json.loads(listed)}

    def tool(self, name):
        return os.path.join(self.peers, "bin", name)

    def peer(self, command, size, count):
        """What it printed; None where it did not end in time."""
        env = self.environment(SIZE=size, COUNT=count, VIRTUAL_ENV=self.peers)
        env["PATH"] = os.path.dirname(self.tool("")) + ":" + env["PATH"]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=env, cwd=self.directory, start_new_session=True,
        )
        try:
            text = process.communicate(timeout=PATIENCE)[0]
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.communicate()
            return None
        found = re.findall(r"\[\d+, \d+, \d+, [\d.e+]+\]", text)
        return json.loads(found[-1]) if found else None

    def hop(self, name, size):
        count = COUNTS[size]
        if name == "dora-run":
            return self.flow(self.shipped("hop.yml"), "ping", SIZE=size, COUNT=count)
        if name == "dora-rs":
            command = [self.tool("dora"), "run", self.shipped("hop.yml")]
            return self.peer(command, size, max(count // 10, 50))
        script = os.path.join(HERE, "peer_hop.py")
        return self.peer([self.tool("python"), script, name], size, count)

    def compare(self):
        names = {
            "dora-run": "dora-run",
            "dora-rs": f"dora-rs {self.versions['dora-rs']}",
            "zmq": f"pyzmq {self.versions['pyzmq']}, ipc",
            "pipe": "multiprocessing.Pipe",
        }
        for label, size in SIZES.items():
            print(f"{'one hop of ' + label:<30} {'p50 ns':>12} {'p99':>12}"
                  f" {'p99.9':>12} {'messages/s':>14}")
            rounds = {name: [] for name in names}
            for _ in range(self.rounds):
                for name, results in rounds.items():
                    results.append(self.hop(name, size))
            for name, results in rounds.items():
                if None in results:
                    print(f"  {names[name]:<28} did not end in {PATIENCE} s")
                else:
                    self.row(names[name], self.median(results))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dora-run", default="build/dora-run")
    parser.add_argument("--floor", default="build/dev/bench")
    parser.add_argument("--python", default="/usr/bin/python3")
    parser.add_argument("--rounds", type=int, default=3)
    peers = Peers(parser.parse_args())
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {peers.python}")
    peers.install()
    peers.compare()


if __name__ == "__main__":
    sys.exit(main())
