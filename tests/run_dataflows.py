#!/usr/bin/env python3
"""Runs the end-to-end tests: `run_dataflows.py --dora-run build/dora-run
--python /usr/bin/python3 [PATTERN...]`.

One line per test as it ends, and all that can be said of one that failed; at
the end each of those once more in few lines; last line `N passed, N failed[, N
skipped]`. The Python that runs this file is not the one under test. Exit code 0
only if something ran and nothing failed.
"""

import argparse
import concurrent.futures
import fnmatch
import os
import signal
import subprocess
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "dataflows"))

import pace  # noqa: E402
from harness import settings  # noqa: E402


def facts(python):
    """(version, tag of the build) of an interpreter: "cpython-314t-..."."""
    code = "import sys,sysconfig;print(*sys.version_info[:3],sysconfig.get_config_var('SOABI'))"
    text = subprocess.run(
        [python, "-I", "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    return tuple(map(int, text[:3])), text[3]


def is_inside(dora_run, python):
    """Whether nodes of this Python can run inside dora-run."""
    text = subprocess.run(
        [dora_run, "--version"], check=True, capture_output=True, text=True
    ).stdout
    path = os.path.realpath(python)
    return any(f" {path}, " in line and " inside dora-run" in line
               for line in text.splitlines())


def has_numpy(python):
    return not subprocess.run(
        [python, "-I", "-c", "import numpy"], capture_output=True
    ).returncode


def find_numpy(python, cache):
    """`python` itself if it has NumPy, else a virtual environment of it that
    does, made once where that can be done, from the package index; else None."""
    if has_numpy(python):
        return python
    version, tag = facts(python)
    place = os.path.join(cache, f"numpy-{'.'.join(map(str, version))}-{tag}")
    inside = os.path.join(place, "bin", "python")
    if os.path.exists(inside) and has_numpy(inside):
        return inside
    if os.path.exists(os.path.join(place, "tried")):
        return None
    try:
        os.makedirs(place, exist_ok=True)
        with open(os.path.join(place, "tried"), "w"):
            pass
        subprocess.run(
            [python, "-m", "venv", place], capture_output=True, timeout=60, check=True
        )
        subprocess.run(
            [inside, "-m", "pip", "install", "--quiet", "--retries", "0"]
            + ["--timeout", "10", "--disable-pip-version-check", "numpy"],
            capture_output=True,
            timeout=120,
            check=True,
        )
    except (subprocess.SubprocessError, OSError):
        return None
    return inside if has_numpy(inside) else None


def flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


def short(test):
    return test.id().removeprefix("test_")


def run_one(test):
    result = unittest.TestResult()
    begun = time.monotonic()
    test.run(result)
    seconds = time.monotonic() - begun
    if result.skipped:
        return "skip", seconds, result.skipped[0][1]
    troubles = result.failures + result.errors
    if troubles:
        return "FAIL", seconds, "".join(text for _, text in troubles)
    return "ok", seconds, ""


def brief(text, room):
    """A traceback in some `room` lines: where in the tests, then why."""
    lines = [line[:200] for line in text.split("\n--- report")[0].splitlines()
             if line.strip()]
    places = [i for i, line in enumerate(lines)
              if line.startswith("  File ") and "_test.py" in line]
    if not places:
        return lines[-room:]
    place = places[-1]
    why = next((i for i in range(place, len(lines)) if lines[i][0] != " "), place)
    why = lines[max(why, place + 2):]
    if len(why) > room:
        why[room // 2:len(why) - room // 2 + 1] = ["..."]
    return lines[place:place + 2] + why


def recall(failed):
    """What failed, in some 35 lines unless it is a lot."""
    room = max(3, 35 // max(1, len(failed)) - 3)
    for name, text in failed[:12]:
        print(f"FAIL  {name}", *brief(text, room), sep="\n      ")
    for name, _ in failed[12:]:
        print(f"FAIL  {name}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dora-run", default=settings.dora_run)
    parser.add_argument("--python", default="/usr/bin/python3")
    parser.add_argument("--isolation", choices=["auto", "interpreter", "process"])
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--patience", type=float, default=1.0)
    parser.add_argument("--long", type=float, default=0, metavar="SECONDS",
                        help="only the tests that have a long form, in it")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("pattern", nargs="*", help="only tests whose name has this")
    options = parser.parse_args()

    settings.dora_run = os.path.abspath(options.dora_run)
    settings.python = os.path.abspath(options.python)
    settings.isolation = options.isolation
    settings.patience = options.patience
    settings.long = options.long
    # In the background of a shell it is ignored, and would be in every test.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    tests = list(flatten(unittest.defaultTestLoader.discover(
        os.path.join(HERE, "dataflows"), pattern="*_test.py")))
    if options.pattern:
        tests = [
            test
            for test in tests
            if any(fnmatch.fnmatch(test.id(), f"*{p}*") for p in options.pattern)
        ]
    if options.long:
        tests = [
            test
            for test in tests
            if hasattr(getattr(test, test._testMethodName), "has_long_form")
        ]
    if options.list:
        print(*(short(test) for test in tests), sep="\n")
        return 0

    settings.version, tag = facts(settings.python)
    settings.free_threaded = tag.split("-")[1].endswith("t")
    settings.inside = is_inside(settings.dora_run, settings.python)
    settings.numpy_python = find_numpy(
        settings.python, os.path.dirname(settings.dora_run)
    )
    version = ".".join(map(str, settings.version))
    print(f"Python {version} ({settings.python}), NumPy from {settings.numpy_python}")

    counts = {"ok": 0, "FAIL": 0, "skip": 0}
    failed = []
    under_way = set()
    told = threading.Lock()

    def work(test):
        under_way.add(short(test))
        verdict, seconds, text = run_one(test)
        under_way.remove(short(test))
        with told:
            counts[verdict] += 1
            line = f"{verdict:>4}  {seconds:6.2f} s  {short(test)}"
            print(line + (f": {text}" if verdict == "skip" else ""), flush=True)
            if verdict == "FAIL":
                failed.append((short(test), text))
                print("      " + text.rstrip().replace("\n", "\n      "), flush=True)

    def give_up(*_):
        recall(failed + [(name, "under way when the time was over")
                         for name in sorted(under_way)])
        print(f"given up: {len(failed)} failed, {sum(counts.values())} of "
              f"{len(tests)} are over", flush=True)
        os._exit(1)

    signal.signal(signal.SIGTERM, give_up)
    pace.start()
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(work, tests))

    recall(failed)
    line = f"{counts['ok']} passed, {counts['FAIL']} failed"
    print(line + (f", {counts['skip']} skipped" if counts["skip"] else ""))
    return 0 if counts["ok"] and not counts["FAIL"] else 1


if __name__ == "__main__":
    sys.exit(main())
