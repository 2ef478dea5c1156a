"""A node is killed again and again, at any moment, beside others that are not:
what it held comes back at once, and nobody else sees anything of it.

The long form does so 500 times, and prints what it took."""

import os
import signal
import threading
import time
import unittest

from harness import FlowTest, Node, either, has_long_form, settings

#: Fills 0.5 MB at a time. The victim holds ten of them; as long as it does,
#: 7.2 of 12 MB cannot be had.
PRODUCER = """
    import json, os, random, sys, time
    from dora import Node
    SIZE, WHOLE = 500_000, 7_200_000
    node = Node()
    killed, times, n = set(), [], 0
    random.seed(14)

    def send():
        global n
        n += 1
        with node.send_output_raw("x", SIZE, {"n": n}) as buffer:
            buffer[:] = bytes([n % 256]) * SIZE

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
        os.kill(pid, 9)
        begun = time.perf_counter()
        while True:
            try:
                sample = node.send_output_raw("x", WHOLE)
                break
            except RuntimeError:
                time.sleep(0)
        times.append(time.perf_counter() - begun)
        killed.add(pid)
        del sample
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
    ] + [round(times[-1] * 1000, 2)]))
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
        count, half, most, worst = run.values("producer")[-1]
        self.assertEqual(count, kills)
        for node in ("direct", "forwarded", "stopped"):
            self.assertEqual(run.lines(node)[-1], "0 True", f"{node}\n{run}")
        self.assert_accounted(run)
        self.assertLess(half, 100 * settings.patience, run)
        if settings.long:
            print(f"{count} kills of a Python node: blocks back after {half} ms (p50), "
                  f"{most} ms (p99), {worst} ms (most); none lost, no byte wrong",
                  flush=True)


if __name__ == "__main__":
    unittest.main()
