"""Many interpreters inside one dora-run, side by side; one after another they
are in cycles_test.py."""

import time
import unittest

import pace
from harness import FlowTest, Node, either, settings

#: Works for a while of its own processor time once both are there, then prints
#: how much of it there was in which time.
BUSY = """
    import json, time
    from dora import Node
    node = Node()
    for event in node:
        break
    begun, used = time.monotonic(), time.thread_time()
    while time.thread_time() - used < 0.5:
        sum(range(1000))
    print(json.dumps([begun, time.monotonic(), time.thread_time() - used]))
"""


class ManyTest(FlowTest):
    def setUp(self):
        super().setUp()
        if not settings.inside:
            self.skipTest("dora-run runs no nodes of this Python inside")


class AtOnce(ManyTest):
    def test_sixty_four(self):
        """As many as one output may have subscribers, and it."""
        sink = """
            from dora import Node
            print(*[bytes(e["value"]).decode() for e in Node() if e["type"] == "INPUT"])
        """
        run = self.flow({
            "source": Node("""
                from dora import Node
                node = Node()
                for word in ("a", "b", "c"):
                    node.send_output("x", word.encode())
            """, outputs=["x"], isolation="interpreter"),
            **{f"n{i}": Node(sink, inputs={"x": "source/x"}, isolation="interpreter")
               for i in range(63)},
        }, timeout=120)
        for i in range(63):
            self.assertEqual(run.lines(f"n{i}"), ["a b c"])
            self.assertEqual(run.node(f"n{i}")["tier"], "interpreter")

    def cores_used(self, tier):
        self.fresh()
        run = self.flow({name: Node(
            BUSY, inputs={"go": {"source": "dora/timer/millis/10"}},
            isolation=tier) for name in "ab"})
        (a, b) = (run.values(name)[0] for name in "ab")
        return (a[2] + b[2]) / (max(a[1], b[1]) - min(a[0], b[0]))

    def test_two_use_two_cores(self):
        """Each has a lock of its own: together they use more than one core, if
        two processes can."""
        tries = []
        while len(tries) < 3:
            inside = self.cores_used("interpreter")
            if inside > 1.5:
                return
            apart = self.cores_used("process")
            if apart < 1.5:
                self.skipTest(f"two processes have {apart:.2f} cores")
            if inside > 0.8 * apart:
                return
            tries.append((inside, apart))
        self.fail(f"cores that were used inside, and by processes: {tries}")

    def test_twenty_stop_at_once(self):
        times = []
        for _ in range(either(5, 20)):
            self.fresh()
            running = self.start({f"n{i}": Node("""
                from dora import Node
                node = Node()
                print("ready")
                for event in node: pass
            """, isolation="interpreter") for i in range(20)})
            running.expect("ready", 20)
            begun = time.monotonic()
            running.signal()
            running.process.wait()
            times.append(pace.own(begun))
            self.ended(running)
            if times[-1] < 0.2:
                return
        self.fail(f"never in 0.2 s: {times}")


if __name__ == "__main__":
    unittest.main()
