"""What a queue keeps and drops, and how it is accounted."""

import textwrap

from bursts import BURST, LATE_SINK, sink, source
from harness import FlowTest, Node


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
