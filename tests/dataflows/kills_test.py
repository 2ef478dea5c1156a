"""A node is killed again and again, at any moment, beside others that are not:
what it held comes back at once, and nobody else sees anything of it.

The long form does so 500 times, and prints what it took."""

import os
import signal
import threading
import time
import unittest

from harness import FlowTest, Node, either, has_long_form, settings

#: Fills 0.5 MB at a time, of which there is room for 25. The victim holds ten;
#: as long as it does, FREE more cannot be had, and when it does not they can,
#: whatever the others hold.
PRODUCER = """
    import json, os, random, sys, time
    from dora import Node
    SIZE, FREE = 500_000, 16
    node = Node()
    killed, times, n, early = set(), [], 0, 0
    random.seed(14)

    def send():
        global n
        n += 1
        with node.send_output_raw("x", SIZE, {"n": n}) as buffer:
            buffer[:] = bytes([n % 256]) * SIZE

    def is_free():
        try:
            return [node.send_output_raw("x", SIZE) for _ in range(FREE)] != []
        except RuntimeError:
            return False

    while len(times) < int(sys.argv[1]):
        send()
        event = node.next(timeout=0.02)
        if event is None or event["type"] != "INPUT":
            continue
        pid, held = map(int, bytes(event["value"]).split())
        if pid in killed or held < 10:
            continue
        for _ in range(random.randrange(4)):
            send()
        until = time.perf_counter() + random.random() / 1000
        while time.perf_counter() < until: pass
        early += is_free()
        begun = time.perf_counter()
        os.kill(pid, 9)
        while not is_free():
            time.sleep(0.0002)
        times.append(time.perf_counter() - begun)
        killed.add(pid)
    while True:     # little ones take the places of all; then nothing is lost
        node.send_output("x", b"end", {"n": 0})
        try:
            sample = node.send_output_raw("x", 11_900_000)
            break
        except RuntimeError:
            node.next(timeout=0.01)
    del sample
    times.sort()
    print(json.dumps([len(times)] + [
        round(times[int(len(times) * part)] * 1000, 2) for part in (0.5, 0.99)
    ] + [round(times[-1] * 1000, 2), early]))
"""
VICTIM = """
    import collections, os
    from dora import Node
    node = Node()
    held = collections.deque(maxlen=10)
    for event in node:
        if event["type"] == "INPUT":
            held.append(event["value"])
            node.send_output("y", event["value"], event["metadata"])
            node.send_output("ack", b"%d %d" % (os.getpid(), len(held)))
"""
#: Keeps one value until the next comes, and looks at both ends of its time.
CHECKER = """
    import os
    from dora import Node
    print(os.getpid(), flush=True)
    wrong = count = 0
    kept = None

    def check(kept):
        if kept is None:
            return 0
        n, value = kept
        if n == 0:
            return bytes(value) != b"end"
        return len(value) != 500_000 or bytes(value) != bytes([n % 256]) * 500_000

    for event in Node():
        if event["type"] == "INPUT":
            wrong += check(kept)
            kept = event["metadata"]["n"], event["value"]
            wrong += check(kept)
            count += 1
    print(wrong + check(kept), count > 0)
"""


class Kills(FlowTest):
    @has_long_form
    def test_survivors_see_nothing_of_it(self):
        """T14, T20, with one of the survivors stopped in between."""
        kills, pause = either((12, 1), (500, 10))
        running = self.start({
            "producer": Node(PRODUCER, outputs=["x"], heap_limit="12MB", args=str(kills),
                             inputs={"ack": {"source": "victim/ack", "queue_size": 1}}),
            "victim": Node(VICTIM, outputs=["y", "ack"], isolation="process",
                           inputs={"x": {"source": "producer/x", "queue_size": 3}},
                           restart_policy="on-failure", restart_delay=0),
            "direct": Node(CHECKER, inputs={"x": {"source": "producer/x", "queue_size": 2}}),
            "forwarded": Node(CHECKER, inputs={"y": {"source": "victim/y", "queue_size": 1}}),
            "stopped": Node(CHECKER, isolation="process",
                            inputs={"x": {"source": "producer/x", "queue_size": 1}}),
        }, timeout=either(120, 590))
        running.expect("stopped: ")
        words = (running.text["out"] + running.text["err"]).split()
        stopped = int(words[words.index("stopped:") + 1])
        running.expect("starting it again")
        os.kill(stopped, signal.SIGSTOP)
        timer = threading.Timer(pause, os.kill, (stopped, signal.SIGCONT))
        timer.start()
        run = self.ended(running, None)
        timer.cancel()
        count, half, most, worst, early = run.values("producer")[-1]
        wrong = {node: int(run.lines(node)[-1].split()[0])
                 for node in ("direct", "forwarded", "stopped")}
        lost = sum(edge["sent"] - edge["delivered"] - edge["dropped"] - edge["queued"]
                   for edge in run.report["edges"])
        if settings.long:
            # What is taken from a node that lives but does not run is wrong when
            # that looks at it.
            print(f"{count} kills of a Python node beside a producer and three "
                  f"readers, one stopped for {pause} s: blocks back after {half} ms "
                  f"(p50), {most} ms (p99), {worst} ms (most); {lost} lost, "
                  f"{wrong['direct'] + wrong['forwarded']} wrong, "
                  f"{wrong['stopped']} false reclaims", flush=True)
        self.assertEqual((count, early), (kills, 0), run)
        for node in wrong:
            self.assertEqual(run.lines(node)[-1], "0 True", f"{node}\n{run}")
        self.assertEqual(lost, 0, run)
        self.assert_accounted(run)
        self.assertLess(half, 50 * settings.patience, run)


if __name__ == "__main__":
    unittest.main()
