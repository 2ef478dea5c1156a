#!/usr/bin/env python3
"""Nodes are killed 10,500 times, beside others that run: `ninja kill`.

10,000 times a C node, after instructions of all that a node does
(tests/kill_running_test.c), then 500 times a Python node, at any moment
(tests/dataflows/kills_test.py). Last comes what was demanded and what was
found; the exit code is 0 if it is the same.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "dataflows"))

from harness import settings  # noqa: E402
from kills_test import Kills  # noqa: E402

LIMIT_MS = 50  # within which every block is back, p99
PAUSE = 10  # seconds for which a peer is stopped


def kill_c(program, kills):
    """The last line it prints that begins with `figures`, or None."""
    run = subprocess.run([program, str(kills)], stdout=subprocess.PIPE, text=True)
    lines = [l for l in run.stdout.splitlines() if l.startswith("figures ")]
    if run.returncode or not lines:
        print(run.stdout)
        return None
    return json.loads(lines[-1].removeprefix("figures "))


class KillPython(Kills):
    kills = 0
    figures = None

    def runTest(self):
        self.figures = self.kill(self.kills, PAUSE, self.tell, 60 + 3 * self.kills)

    def tell(self, count):
        print(f"\r{count} of {self.kills} kills of a Python node ",
              end="", file=sys.stderr, flush=True)


def kill_python(kills):
    test, result = KillPython(), unittest.TestResult()
    test.kills = kills
    test.run(result)
    for _, text in result.failures + result.errors:
        print(text)
    return test.figures if result.wasSuccessful() else None


def misses(name, figures, kills):
    """What does not hold, in words."""
    if figures is None:
        return [f"{name}: failed"]
    found = []
    if figures["kills"] != kills:
        found.append(f"{name}: {figures['kills']} kills, not {kills}")
    if figures["p99_ms"] > LIMIT_MS:
        found.append(f"{name}: blocks back within {figures['p99_ms']:.1f} ms "
                     f"(p99), not {LIMIT_MS}")
    for key in ("leaked", "wrong", "false_reclaims"):
        if figures[key]:
            found.append(f"{name}: {figures[key]} {key.replace('_', ' ')}")
    return found


def show(rows):
    print(f"{'':8}{'kills':>7}  {'blocks back: p50':>16} {'p99':>10} {'max':>10}"
          f"  {'bytes leaked':>12}  {'wrong':>7}  {'false reclaims':>14}")
    for name, figures in rows:
        if figures is None:
            continue
        times = [f"{figures[key]:.2f} ms" for key in ("p50_ms", "p99_ms", "max_ms")]
        print(f"{name:8}{figures['kills']:>7}  {times[0]:>16} {times[1]:>10} "
              f"{times[2]:>10}  {figures['leaked']:>12}  {figures['wrong']:>7}  "
              f"{figures['false_reclaims']:>14}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", required=True, help="kill_running_test")
    parser.add_argument("--dora-run", default=settings.dora_run)
    parser.add_argument("--python", default=settings.python)
    parser.add_argument("--kills", type=int, default=10_000)
    parser.add_argument("--python-kills", type=int, default=500)
    options = parser.parse_args()
    settings.dora_run = os.path.abspath(options.dora_run)
    settings.python = os.path.abspath(options.python)

    begun = time.monotonic()
    rows = [
        ("C", kill_c(options.program, options.kills), options.kills),
        ("Python", kill_python(options.python_kills), options.python_kills),
    ]
    print(file=sys.stderr)
    pauses = rows[0][1]["pauses"] if rows[0][1] else "no"
    print(f"beside three survivors that run, and a peer stopped for {PAUSE} s "
          f"({pauses} times beside C nodes); {(time.monotonic() - begun) / 60:.1f} "
          f"min, load {os.getloadavg()[2]:.1f}")
    show(row[:2] for row in rows)
    found = [miss for row in rows for miss in misses(*row)]
    print("\n".join(found) if found else
          f"ok: every block back within {LIMIT_MS} ms (p99), nothing leaked, "
          "wrong, or taken from the living")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
