"""What a queue keeps, drops, blocks for, and how it is accounted."""

import textwrap

from harness import FlowTest, Node, TEXT_SINK

#: Sends `count` numbered messages, then lets the consumer begin.
BURST = """
from dora import Node
from probe import tell
node = Node()
for n in range({count}):
    node.send_output("x", b"%d" % n)
tell("sent")
"""

LATE_SINK = """
from dora import Node
from probe import hear
node = Node()
hear("sent")
for event in node:
    if event["type"] == "INPUT":
        print(bytes(event["value"]).decode())
"""


def source(script, **keys):
    return Node(script, outputs=["x"], **keys)


def sink(script=TEXT_SINK, **options):
    return Node(script, inputs={"x": {"source": "source/x", **options}})


class DropOldest(FlowTest):
    def test_the_newest_stay(self):
        """T22: applied at arrival, however long the consumer sleeps."""
        run = self.flow({
            "source": source(BURST.format(count=1000)),
            "sink": sink(LATE_SINK, queue_size=3),
        })
        self.assertEqual(run.lines("sink"), ["997", "998", "999"])
        edge = run.edge("sink/x")
        self.assertEqual(
            [edge[k] for k in ("sent", "delivered", "dropped", "queued")],
            [1000, 3, 997, 0],
        )

    def test_pinned_blocks_are_bounded_by_the_queue(self):
        run = self.flow({
            "source": source("""
                from dora import Node
                from probe import tell
                node = Node()
                for n in range(500):
                    with node.send_output_raw("x", 100_000) as buffer:
                        buffer[0] = 1
                tell("sent")
            """, heap_limit="1MB"),
            "sink": sink("""
                from dora import Node
                from probe import hear
                node = Node()
                hear("sent")
                print(sum(1 for event in node if event["type"] == "INPUT"))
            """, queue_size=3),
        })
        self.assertEqual(run.lines("sink"), ["3"])
        self.assertLess(run.node("source")["heap_peak"], 700_000)

    def test_default_bound_is_ten(self):
        run = self.flow({
            "source": source(BURST.format(count=30)),
            "sink": Node(LATE_SINK, inputs={"x": "source/x"}),
        })
        self.assertEqual(run.lines("sink"), [str(n) for n in range(20, 30)])

    def test_zero_behaves_as_one(self):
        """T24."""
        run = self.flow({
            "source": source(BURST.format(count=5)),
            "sink": sink(LATE_SINK, queue_size=0),
        })
        self.assertEqual(run.lines("sink"), ["4"])

    def test_a_huge_bound_costs_nothing_until_used(self):
        """T24."""
        run = self.flow({
            "source": source(BURST.format(count=2000)),
            "sink": sink(LATE_SINK, queue_size=1_000_000),
        })
        self.assertEqual(len(run.lines("sink")), 2000)

    def test_senseless_bounds_are_refused_with_their_place(self):
        """T24."""
        for bound in (-1, "many", 1.5, [1]):
            with self.subTest(bound=bound):
                run = self.flow(
                    {"source": source("x"), "sink": sink("x", queue_size=bound)},
                    code=1,
                )
                self.assertRegex(run.err, r"flow\.yml:\d+:\d+: .*queue_size", run)

    def test_every_way_of_receiving_drops_the_same(self):
        """T25."""
        ways = {
            "next": """
                while (event := node.next()) is not None:
                    take(event)
            """,
            "timeout": """
                while (event := node.next(timeout=0.001)) is not None:
                    take(event)
            """,
            "drain": """
                take(node.next())
                while True:
                    try:
                        events = node.drain()
                    except RuntimeError:
                        break
                    for event in events:
                        take(event)
            """,
            "async": """
                import asyncio
                async def main():
                    while (event := await node.recv_async()) is not None:
                        take(event)
                asyncio.run(main())
            """,
        }
        head = """
from dora import Node
from probe import hear
node = Node()
hear("sent")
def take(event):
    if event["type"] == "INPUT":
        print(bytes(event["value"]).decode())
"""
        for name, way in ways.items():
            with self.subTest(way=name):
                self.fresh()
                run = self.flow({
                    "source": source(BURST.format(count=50)),
                    "sink": sink(head + textwrap.dedent(way), queue_size=4),
                })
                self.assertEqual(run.lines("sink"), ["46", "47", "48", "49"])

    def test_try_recv_and_is_empty_see_the_same_queue(self):
        run = self.flow({
            "source": source("""
                from dora import Node
                from probe import hear, tell
                node = Node()
                hear("begin")
                for n in range(50):
                    node.send_output("x", b"%d" % n)
                tell("sent")
            """),
            "sink": sink("""
                from dora import Node
                from probe import hear, tell
                node = Node()
                print(node.is_empty(), node.try_recv())
                tell("begin")
                hear("sent")
                print(node.is_empty())
                got = []
                while event := node.try_recv():
                    if event["type"] == "INPUT":
                        got.append(bytes(event["value"]).decode())
                    if len(got) == 4:
                        break
                print(*got)
            """, queue_size=4),
        })
        self.assertEqual(
            run.lines("sink"), ["True None", "False", "46 47 48 49"]
        )

    def test_flood_is_counted_exactly(self):
        """T27, short: the count is exact, the report one line or two."""
        run = self.flow({
            "source": source("""
                from dora import Node
                node = Node()
                for n in range(200_000):
                    node.send_output("x", b"")
            """),
            "sink": sink("""
                from dora import Node
                print(sum(1 for event in Node() if event["type"] == "INPUT"))
            """, queue_size=1),
        })
        edge = run.edge("sink/x")
        self.assertEqual(edge["sent"], 200_000)
        self.assertEqual(edge["delivered"], int(run.lines("sink")[0]))
        self.assertEqual(edge["dropped"], 200_000 - edge["delivered"])
        self.assertEqual(edge["queued"], 0)
        self.assertLess(len((run.out + run.err).splitlines()), 20, run)

    def test_a_node_that_never_polls(self):
        """T28: memory is bounded by its queue, stop is not delayed, the
        report says so."""
        run = self.flow({
            "source": source("""
                from dora import Node
                from probe import tell
                node = Node()
                for n in range(1000):
                    with node.send_output_raw("x", 50_000) as buffer:
                        buffer[0] = 1
                tell("sent")
            """, heap_limit="1MB"),
            "deaf": sink("""
                from dora import Node
                from probe import hear
                node = Node()
                hear("sent")
            """, queue_size=5),
        })
        edge = run.edge("deaf/x")
        self.assertTrue(edge["never_read"], run)
        self.assertEqual((edge["sent"], edge["delivered"]), (1000, 0))
        self.assertEqual(edge["dropped"] + edge["queued"], 1000)
        self.assertRegex(run.out + run.err, "never read")


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
                        longest = 0
                        for n in range(2000):
                            begun = time.monotonic()
                            node.send_output("x", b"%d" % n)
                            longest = max(longest, time.monotonic() - begun)
                        print("sent all", longest < 5)
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
                self.assertEqual(run.lines("source"), ["sent all True"])
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


class Protected(FlowTest):
    """Messages with request_id, goal_id or goal_status, and flush."""

    SEND = """
        from dora import Node
        from probe import tell
        node = Node()
        {body}
        tell("sent")
    """
    SINK = """
        from dora import Node
        from probe import hear
        node = Node()
        hear("sent")
        print(*(bytes(e["value"]).decode() for e in node if e["type"] == "INPUT"))
    """

    def run_with(self, body, expected, bound=3):
        run = self.flow({
            "source": source(self.SEND.replace("{body}", body)),
            "sink": sink(self.SINK, queue_size=bound),
        })
        self.assertEqual(run.lines("sink"), [expected])
        self.assert_accounted(run)

    def test_protected_outlive_ordinary(self):
        self.run_with("""
        node.send_output("x", b"P", {"request_id": "1"})
        for n in range(9): node.send_output("x", b"%d" % n)
        """, "P 7 8")

    def test_newcomer_is_refused_when_all_are_protected(self):
        self.run_with("""
        for n in range(3): node.send_output("x", b"P%d" % n, {"goal_id": "1"})
        node.send_output("x", b"ordinary")
        """, "P0 P1 P2")

    def test_oldest_protected_goes_for_a_protected(self):
        self.run_with("""
        for n in range(5): node.send_output("x", b"P%d" % n, {"goal_status": "aborted"})
        """, "P2 P3 P4")

    def test_order_across_both_kinds_is_kept(self):
        self.run_with("""
        for n in range(8):
            node.send_output("x", b"%d" % n, {"request_id": "r"} if n % 3 == 0 else None)
        """, "0 1 2 3 4 5 6 7", bound=8)

    def test_flush_removes_older_ordinary_ones(self):
        self.run_with("""
        node.send_output("x", b"P", {"request_id": "1"})
        for n in range(3): node.send_output("x", b"%d" % n)
        node.send_output("x", b"new", {"flush": True})
        node.send_output("x", b"newer", {"flush": False})
        """, "P new newer", bound=10)


class Several(FlowTest):
    def test_fan_out_with_mixed_policies(self):
        """T31: 1:8; the lossless ones get all, the others their newest, all
        in order."""
        consumer = """
            import time
            from dora import Node
            last = -1
            count = 0
            for event in Node():
                if event["type"] == "INPUT":
                    n = int(bytes(event["value"]))
                    assert n > last, (n, last)
                    last, count = n, count + 1
                    if count % 50 == 0: time.sleep(DELAY)
            print(count, last)
        """
        options = [
            {"queue_policy": "backpressure", "queue_size": 1 + 10 * (i % 2)}
            if i < 4
            else {"queue_size": 1 + i}
            for i in range(8)
        ]
        nodes = {
            "source": source("""
                from dora import Node
                node = Node()
                for n in range(3000):
                    node.send_output("x", b"%d" % n)
            """)
        }
        for i, option in enumerate(options):
            script = consumer.replace("DELAY", "0.002" if i in (0, 5) else "0")
            nodes[f"c{i}"] = sink(script, **option)
        run = self.flow(nodes, timeout=60)
        for i in range(8):
            count, last = map(int, run.lines(f"c{i}")[0].split())
            self.assertEqual(last, 2999)
            if i < 4:
                self.assertEqual(count, 3000)
            edge = run.edge(f"c{i}/x")
            self.assertEqual(edge["delivered"], count)
        self.assert_accounted(run)

    def test_three_producers_into_one_node(self):
        """T31: order per edge, fair across inputs."""
        nodes = {
            f"p{i}": Node("""
                from dora import Node
                node = Node()
                for n in range(500):
                    node.send_output("x", b"%d" % n)
            """, outputs=["x"])
            for i in range(3)
        }
        nodes["sink"] = Node("""
            from dora import Node
            last = {}
            stamp = {}
            for event in Node():
                if event["type"] == "INPUT":
                    n = int(bytes(event["value"]))
                    assert n == last.get(event["id"], -1) + 1
                    last[event["id"]] = n
                    time = event["metadata"]["timestamp"]
                    assert time >= stamp.get(event["id"], time)
                    stamp[event["id"]] = time
            print(sorted(last.items()))
        """, inputs={
            f"i{i}": {"source": f"p{i}/x", "queue_policy": "backpressure"}
            for i in range(3)
        })
        run = self.flow(nodes)
        self.assertEqual(
            run.lines("sink"), ["[('i0', 499), ('i1', 499), ('i2', 499)]"]
        )

    def test_oldest_send_time_first_across_inputs(self):
        run = self.flow({
            "source": Node("""
                from dora import Node
                from probe import tell
                node = Node()
                for n in range(9):
                    node.send_output("abc"[n % 3], b"%d" % n)
                tell("sent")
            """, outputs=["a", "b", "c"]),
            "sink": Node(LATE_SINK, inputs={k: f"source/{k}" for k in "abc"}),
        })
        self.assertEqual(run.lines("sink"), [str(n) for n in range(9)])

    def test_a_flood_does_not_starve_another_input(self):
        """T23."""
        run = self.flow({
            "flood": Node("""
                from dora import Node
                node = Node()
                while (event := node.next(timeout=0))["type"] == "ERROR":
                    node.send_output("x", b"flood")
            """, inputs={"stop": "quiet/stop"}, outputs=["x"]),
            "quiet": Node("""
                from dora import Node
                node = Node()
                for n in range(10):
                    node.send_output("x", b"%d" % n)
                for event in node:
                    if event["type"] == "INPUT": break
                node.send_output("stop", b"")
            """, inputs={"all": "sink/all"}, outputs=["x", "stop"]),
            "sink": Node("""
                import time
                from dora import Node
                node = Node()
                got, ticks, floods = [], 0, 0
                for event in node:
                    if event["type"] == "INPUT":
                        if event["id"] == "b":
                            got.append(int(bytes(event["value"])))
                        elif event["id"] == "tick":
                            ticks += 1
                        else:
                            floods += 1
                        time.sleep(0.002)
                        if len(got) == 10 and ticks >= 3 and floods:
                            node.send_output("all", b"")
                            break
                print(got == list(range(10)), ticks >= 3, floods > 0)
            """, inputs={
                "a": {"source": "flood/x", "queue_size": 1},
                "b": {"source": "quiet/x", "queue_policy": "backpressure"},
                "tick": "dora/timer/millis/20",
            }, outputs=["all"]),
        })
        self.assertEqual(run.lines("sink"), ["True True True"])

    def test_two_inputs_of_one_source_get_a_copy_each(self):
        run = self.flow({
            "source": source("""
                from dora import Node
                Node().send_output("x", b"one")
            """),
            "sink": Node("""
                from dora import Node
                print(sorted((e["id"], bytes(e["value"])) for e in Node()
                             if e["type"] == "INPUT"))
            """, inputs={"a": "source/x", "b": "source/x"}),
        })
        self.assertEqual(run.lines("sink"), ["[('a', b'one'), ('b', b'one')]"])

    def test_streamed_chunks(self):
        """T32: 2000 strings as fast as possible, exit at once."""
        run = self.flow({
            "source": source("""
                from dora import Node
                node = Node()
                for n in range(2000):
                    node.send_output("x", b"chunk %d" % n)
            """),
            "lossless": sink("""
                from dora import Node
                events = [e["type"] for e in Node()]
                print(events.count("INPUT"), events[2000:])
            """, queue_policy="backpressure"),
            "default": Node("""
                from dora import Node
                print(sum(e["type"] == "INPUT" for e in Node()))
            """, inputs={"x": "source/x"}),
        })
        self.assertEqual(run.lines("lossless"), ["2000 ['INPUT_CLOSED', 'STOP']"])
        edge = run.edge("default/x")
        self.assertEqual(edge["delivered"], int(run.lines("default")[0]))
        self.assert_accounted(run)
