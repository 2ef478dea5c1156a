"""Prints one row per second, and a warning when something stays wrong."""

import json
import os

from dora import Node

BARS = "▁▂▃▄▅▆▇█"
HEAD = (
    "  cpu  mean  peak  cores             memory   load   disk r     w"
    "   net in   out   busiest"
)


def bars(percents, width=16):
    """One character per core; neighbours share one where there are too many."""
    step = -(-len(percents) // width) or 1
    groups = [percents[i : i + step] for i in range(0, len(percents), step)]
    levels = [sum(group) / len(group) for group in groups]
    last = len(BARS) - 1
    return "".join(BARS[min(last, round(level / 100 * last))] for level in levels)


def size(number):
    """Three digits and a unit."""
    for unit in "BKMGT":
        if number < 999.5 or unit == "T":
            return f"{number:.0f}{unit}" if number >= 10 else f"{number:.1f}{unit}"
        number /= 1024


def row(summary):
    cpu = summary["cpu"]
    cores = bars([core["now"] for core in summary["cores"]])
    names = "  ".join(
        f"{name[:15]} {share:.0f}%" for share, name, pid in summary["busiest"]
    )
    return (
        f"{cpu['now']:4.0f}% {cpu['mean']:4.0f}% {cpu['peak']:4.0f}%  {cores:<16}  "
        f"{summary['memory']['now']:5.0f}%  {summary['load']['now']:5.2f}  "
        f"{size(summary['disk_read']['now']):>7} {size(summary['disk_written']['now']):>5}"
        f"  {size(summary['received']['now']):>7} {size(summary['sent']['now']):>5}"
        f"   {names}"
    )


def troubles(summary):
    """What is wrong now: {short name: sentence}."""
    found = {}
    if summary["full"] and summary["cpu"]["mean"] > 90:
        found["cpu"] = f"processors {summary['cpu']['mean']:.0f}% busy on average"
    if summary["memory"]["now"] > 90:
        found["memory"] = f"memory {summary['memory']['now']:.0f}% used"
    if summary["swap"]["now"] > 50:
        found["swap"] = f"swap {summary['swap']['now']:.0f}% used"
    if summary["load"]["now"] > 4 * len(summary["cores"]):
        found["load"] = f"{summary['load']['now']:.0f} processes want to run"
    for number, core in enumerate(summary["cores"]):
        if summary["full"] and core["mean"] > 95 and "cpu" not in found:
            found[f"core {number}"] = f"core {number} busy for half a minute"
    disk = os.statvfs("/")
    if disk.f_blocks and disk.f_bavail < 0.05 * disk.f_blocks:
        free = size(disk.f_bavail * disk.f_frsize)
        found["disk"] = f"only {free} left on /"
    return found


def main():
    node = Node()
    summary = None
    rows = 0
    known = {}

    for event in node:
        if event["type"] != "INPUT":
            continue
        if event["id"] == "summary":
            summary = json.loads(bytes(event["value"]))
            continue
        if summary is None:  # the first second
            continue

        if rows % 20 == 0:
            print(HEAD)
        print(row(summary))
        rows += 1

        # Each trouble is told when it begins and when it is over.
        now = troubles(summary)
        for name in now.keys() - known.keys():
            node.log_warn(now[name])
        for name in known.keys() - now.keys():
            node.log_info(f"{name} is fine again")
        known = now

    print(f"watched for {rows} seconds")


if __name__ == "__main__":
    main()
