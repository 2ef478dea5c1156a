"""A node is killed again and again, at any moment, beside others that are not:
what it held comes back at once, and nobody else sees anything of it.

The long form is a part of `ninja kill`: tests/kill.py."""

import json
import os
import signal
import threading
import unittest

import pace
from harness import FlowTest, Node, settings

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
        times.append([begun, time.perf_counter()])
        killed.add(pid)
        print("killed", len(times), flush=True)

    def can_have(size):
        try:
            return node.send_output_raw("x", size) is not None
        except RuntimeError:
            return False

    # Little ones take the places of all; then nothing is lost.
    whole, until = 11_900_000, time.monotonic() + 20
    while not can_have(whole) and time.monotonic() < until:
        node.send_output("x", b"end", {"n": 0})
        node.next(timeout=0.01)
    room = next(size for size in range(whole, -1, -50_000) if can_have(size))
    print(json.dumps({"times": times, "leaked": whole - room, "early": early}))
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
#: Keeps one value until the next comes, and looks at both ends of its time;
#: tells how many bytes were wrong, and whether there were any.
CHECKER = """
    import operator, os
    from dora import Node
    print(os.getpid(), flush=True)
    wrong = count = 0
    kept = None

    def check(kept):
        if kept is None:
            return 0
        n, value = kept[0], bytes(kept[1])
        right = bytes([n % 256]) * 500_000 if n else b"end"
        if value == right:
            return 0
        return sum(map(operator.ne, value, right)) + abs(len(value) - len(right))

    for event in Node():
        if event["type"] == "INPUT":
            wrong += check(kept)
            kept = event["metadata"]["n"], event["value"]
            wrong += check(kept)
            count += 1
    print(wrong + check(kept), count > 0)
"""


class Kills(FlowTest):
    def kill(self, kills, pause, tell=None, timeout=120):
        """The figures; one of the three readers is stopped for `pause` s."""
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
        }, timeout=timeout)
        running.expect("stopped: ")
        words = (running.text["out"] + running.text["err"]).split()
        stopped = int(words[words.index("stopped:") + 1])
        running.expect("starting it again")
        os.kill(stopped, signal.SIGSTOP)
        timer = threading.Timer(pause, os.kill, (stopped, signal.SIGCONT))
        timer.start()
        for count in range(20, kills + 1, 20) if tell else ():
            running.expect("killed ", count)
            tell(count)
        run = self.ended(running, None)
        timer.cancel()
        figures = json.loads(run.lines("producer")[-1])
        times = sorted(pace.own(*span) * 1000 for span in figures.pop("times"))
        figures["kills"], figures["max_ms"] = len(times), times[-1]
        for part in (50, 99):
            figures[f"p{part}_ms"] = times[(len(times) - 1) * part // 100]
        wrong = {}
        for node in ("direct", "forwarded", "stopped"):
            text, any = run.lines(node)[-1].split()
            self.assertEqual(any, "True", f"{node}\n{run}")
            wrong[node] = int(text)
        # What is taken from a node that lives but does not run is wrong when
        # that looks at it.
        figures["false_reclaims"] = wrong.pop("stopped")
        figures["wrong"] = sum(wrong.values())
        self.assertEqual(figures.pop("early"), 0, run)
        self.assert_accounted(run)
        return figures

    def test_survivors_see_nothing_of_it(self):
        """T14, T20, with one of the survivors stopped in between."""
        figures = self.kill(12, 1)
        self.assertEqual(figures["kills"], 12)
        for name in ("leaked", "wrong", "false_reclaims"):
            self.assertEqual(figures[name], 0, name)
        self.assertLess(figures["p50_ms"], 50 * settings.patience)


if __name__ == "__main__":
    unittest.main()
