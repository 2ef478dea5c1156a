"""Queues that lose nothing, and make their sender wait."""

from bursts import sink, source
from harness import FlowTest, Node


class Backpressure(FlowTest):
    OPTIONS = {"queue_policy": "backpressure"}

    def test_everything_arrives_in_order_through_a_small_queue(self):
        """T26."""
        run = self.flow({
            "source": source("""
                import threading
                from dora import Node
                node = Node()
                counted = 0
                over = False
                def count():
                    global counted
                    while not over:
                        counted += 1
                thread = threading.Thread(target=count)
                thread.start()
                for n in range(1000):
                    node.send_output("x", b"%d" % n)
                over = True
                thread.join()
                print(counted > 10_000)
            """),
            "sink": sink("""
                import time
                from dora import Node
                for n, event in enumerate(Node()):
                    if event["type"] == "INPUT":
                        assert int(bytes(event["value"])) == n
                        time.sleep(0.001)
                print(n)
            """, queue_size=10, **self.OPTIONS),
        })
        edge = run.edge("sink/x")
        self.assertEqual((edge["sent"], edge["delivered"]), (1000, 1000))
        self.assertEqual(edge["dropped"], 0)
        self.assertEqual(run.lines("sink"), ["1001"])
        self.assertEqual(run.lines("source"), ["True"])

    def test_dying_consumer_releases_the_producer(self):
        for how in ("sys.exit(0)", "os.kill(os.getpid(), 9)", "os._exit(3)"):
            with self.subTest(how=how):
                self.fresh()
                run = self.flow({
                    "source": source("""
                        import time
                        from dora import Node
                        node = Node()
                        longest = [0, 0]
                        for n in range(2000):
                            begun = time.monotonic()
                            node.send_output("x", b"%d" % n)
                            span = [begun, time.monotonic()]
                            longest = max(longest, span, key=lambda s: s[1] - s[0])
                        print(longest)
                    """),
                    "sink": sink(f"""
                        import os, sys
                        from dora import Node
                        node = Node()
                        for _ in range(5):
                            node.next()
                        {how}
                    """, queue_size=2, **self.OPTIONS),
                }, code=None)
                [longest] = run.values("source")
                self.assert_within(5, *longest)
                self.assert_accounted(run)

    def test_stop_releases_a_blocked_producer(self):
        running = self.start({
            "source": source("""
                from dora import Node
                from probe import tell
                node = Node()
                print("begin")
                for n in range(3):
                    node.send_output("x", b"%d" % n)
                print("released")
                tell("released")
            """),
            "sink": sink("""
                from dora import Node
                from probe import hear
                node = Node()
                hear("released")
            """, queue_size=1, **self.OPTIONS),
        })
        running.expect("begin")
        running.signal()
        running.expect("released")
        run = self.ended(running)
        self.assertEqual(run.node("source")["exit"], "success")
        self.assert_accounted(run)

    def test_other_outputs_flow_until_the_producer_blocks(self):
        run = self.flow({
            "source": Node("""
                from dora import Node
                from probe import hear
                node = Node()
                node.send_output("x", b"0")
                for n in range(20):
                    node.send_output("y", b"%d" % n)
                hear("seen")
                node.send_output("x", b"1")
            """, outputs=["x", "y"]),
            "slow": Node("""
                from dora import Node
                from probe import tell
                node = Node()
                count = 0
                for event in node:
                    if event["id"] == "y" and event["type"] == "INPUT":
                        count += 1
                        if count == 20:
                            tell("seen")
                print(count)
            """, inputs={
                "x": {"source": "source/x", "queue_size": 1, **self.OPTIONS},
                "y": {"source": "source/y", "queue_size": 20},
            }),
        })
        self.assertEqual(run.lines("slow"), ["20"])

    def test_a_cycle_is_refused_by_name(self):
        """T26."""
        run = self.flow({
            "one": Node("x", inputs={"i": {"source": "two/o", **self.OPTIONS}},
                        outputs=["o"]),
            "two": Node("x", inputs={"i": {"source": "one/o", **self.OPTIONS}},
                        outputs=["o"]),
        }, code=None)
        self.assertNotEqual(run.code, 0)
        self.assertRegex(run.err, "(?s)cycle.*one|one.*cycle")

    def test_big_bursts_into_a_sleeper(self):
        """T9: lossless edge and queue-limited edge side by side."""
        run = self.flow({
            "source": source("""
                from dora import Node
                node = Node()
                for size in [4 << 20] * 20 + [80 << 20] * 3:
                    with node.send_output_raw("x", size) as buffer:
                        buffer[-1] = 1
            """, heap_limit="1GB"),
            "lossless": sink("""
                import time
                from dora import Node
                node = Node()
                time.sleep(1)
                sizes = [len(e["value"]) for e in node if e["type"] == "INPUT"]
                print(len(sizes), sum(sizes) >> 20)
            """, queue_size=5, **self.OPTIONS),
            "latest": sink("""
                import time
                from dora import Node
                node = Node()
                time.sleep(1)
                sizes = [len(e["value"]) for e in node if e["type"] == "INPUT"]
                print(len(sizes) >= 3, [s >> 20 for s in sizes[-3:]])
            """, queue_size=3),
        }, timeout=60)
        self.assertEqual(run.lines("lossless"), ["23 320"])
        self.assertEqual(run.lines("latest"), ["True [80, 80, 80]"])
        self.assert_accounted(run)
