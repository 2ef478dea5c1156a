"""Reads the state of this machine from /proc and sends it as JSON."""

import json
import os
import time

from dora import Node

PAGE = os.sysconf("SC_PAGE_SIZE")
TICK = os.sysconf("SC_CLK_TCK")
SECTOR = 512


def read(path):
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:  # a process that ended meanwhile, or none of our business
        return ""


def processors():
    """{"cpu0": (busy, total), ...} in clock ticks."""
    counts = {}
    for line in read("/proc/stat").splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name != "cpu":
            ticks = [int(field) for field in fields[:8]]
            idle = ticks[3] + ticks[4]
            counts[name] = (sum(ticks) - idle, sum(ticks))
    return counts


def memory():
    """Used share of memory and of swap, in percent."""
    kilobytes = {}
    for line in read("/proc/meminfo").splitlines():
        name, value = line.split(":")
        kilobytes[name] = int(value.split()[0])
    total, swap = kilobytes["MemTotal"], kilobytes["SwapTotal"]
    available = kilobytes.get("MemAvailable", kilobytes["MemFree"])
    return {
        "memory": 100 * (1 - available / total),
        "swap": 100 * (1 - kilobytes["SwapFree"] / swap) if swap else 0.0,
    }


def disks():
    """Bytes read and written by all whole disks since boot."""
    whole = set(os.listdir("/sys/block")) if os.path.isdir("/sys/block") else set()
    read_bytes = written_bytes = 0
    for line in read("/proc/diskstats").splitlines():
        fields = line.split()
        name = fields[2]
        if name in whole and not name.startswith(("loop", "ram", "dm-", "md", "zram")):
            read_bytes += int(fields[5]) * SECTOR
            written_bytes += int(fields[9]) * SECTOR
    return read_bytes, written_bytes


def network():
    """Bytes received and sent by all interfaces but loopback since boot."""
    received = sent = 0
    for line in read("/proc/net/dev").splitlines()[2:]:
        name, numbers = line.split(":")
        if name.strip() != "lo":
            fields = numbers.split()
            received += int(fields[0])
            sent += int(fields[8])
    return received, sent


def processes():
    """{pid: (name, cpu ticks, resident bytes)} of everything that runs."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        # The name is in parentheses and may itself contain any of them.
        head, _, tail = read(f"/proc/{pid}/stat").rpartition(")")
        fields = tail.split()
        if fields:
            name = head.partition("(")[2]
            ticks = int(fields[11]) + int(fields[12])
            found[pid] = (name, ticks, int(fields[21]) * PAGE)
    return found


def snapshot():
    return {
        "time": time.monotonic(),
        "cpu": processors(),
        "disks": disks(),
        "network": network(),
        "processes": processes(),
    }


def difference(before, now):
    """What happened between two snapshots, per second or in percent."""
    seconds = now["time"] - before["time"]

    def rates(what):
        return [(b - a) / seconds for a, b in zip(before[what], now[what])]

    cores = []
    for name, (busy, total) in now["cpu"].items():
        old_busy, old_total = before["cpu"].get(name, (busy, total))
        passed = total - old_total
        cores.append(100 * (busy - old_busy) / passed if passed > 0 else 0.0)

    busiest = []
    for pid, (name, ticks, resident) in now["processes"].items():
        old = before["processes"].get(pid)
        if old and old[0] == name and ticks > old[1]:
            percent = 100 * (ticks - old[1]) / TICK / seconds
            busiest.append([percent, name, int(pid), resident])

    disk_read, disk_written = rates("disks")
    received, sent = rates("network")
    return {
        "cores": cores,
        "disk_read": disk_read,
        "disk_written": disk_written,
        "received": received,
        "sent": sent,
        "load": os.getloadavg()[0],
        "busiest": sorted(busiest, reverse=True)[:3],
        **memory(),
    }


def main():
    node = Node()
    before = snapshot()
    for event in node:
        if event["type"] != "INPUT":
            continue
        now = snapshot()
        if now["time"] - before["time"] < 0.05:  # the first tick comes at once
            continue
        machine = difference(before, now)
        node.send_output("machine", json.dumps(machine).encode())
        before = now


if __name__ == "__main__":
    main()
