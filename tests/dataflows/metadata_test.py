"""What travels beside the payload."""

import textwrap

from harness import FlowTest, Node, TEXT_SINK


class Metadata(FlowTest):
    """T7, c10, c11."""

    def echo(self, setup, expressions):
        source = (
            "import datetime\nfrom dora import Node\nnode = Node()\n"
            + textwrap.dedent(setup)
            + f"\nfor value in {expressions}:\n"
            + "    node.send_output('x', b'', {'k': value})\n"
        )
        run = self.flow({
            "source": Node(source, outputs=["x"]),
            "sink": Node("""
                from dora import Node
                for event in Node():
                    if event["type"] == "INPUT":
                        value = event["metadata"]["k"]
                        print(type(value).__name__, value)
            """, inputs={"x": {"source": "source/x", "queue_size": 100}}),
        })
        return run.lines("sink")

    def test_round_trip(self):
        lines = self.echo("", """(True, False, 0, -5, 2**63 - 1, -2**63, 1.5,
            float("nan"), float("inf"), -0.0, "", "text", "\\u00e9\\u4e16\\U0001f600",
            [1, 2], (3, 4), [1.5, 2.5], ["a", "", "\\u00e9"], [True, False], [], ())""")
        self.assertEqual(lines, [
            "bool True", "bool False", "int 0", "int -5", f"int {2**63-1}",
            f"int {-2**63}", "float 1.5", "float nan", "float inf", "float -0.0",
            "str ", "str text", "str é世😀",
            "list [1, 2]", "list [3, 4]", "list [1.5, 2.5]", "list ['a', '', 'é']",
            "list [True, False]", "list []", "list []",
        ])

    def test_datetimes_come_back_in_utc(self):
        lines = self.echo("""
                utc = datetime.datetime(2024, 5, 17, 1, 2, 3, 456789, datetime.timezone.utc)
                east = utc.astimezone(datetime.timezone(datetime.timedelta(hours=5)))
                naive = utc.astimezone().replace(tzinfo=None)""", "(utc, east, naive)")
        self.assertEqual(
            lines, ["datetime 2024-05-17 01:02:03.456789+00:00"] * 3
        )

    def test_other_types_become_text(self):
        lines = self.echo("", '(None, {"a": 1}, b"raw", {7}, [[1], [2]])')
        self.assertEqual(lines, [
            "str None", "str {'a': 1}", "str b'raw'", "str {7}", "str [[1], [2]]",
        ])

    def test_numpy_scalars_are_numbers(self):
        run = self.flow({
            "source": Node("""
                import numpy as np
                from dora import Node
                node = Node()
                for value in (np.int64(5), np.uint8(7), np.float32(0.5), np.float64(2.5),
                              np.bool_(True)):
                    node.send_output("x", b"", {"k": value})
            """, outputs=["x"], numpy=True),
            "sink": Node("""
                from dora import Node
                for event in Node():
                    if event["type"] == "INPUT":
                        print(repr(event["metadata"]["k"]))
            """, inputs={"x": "source/x"}),
        })
        self.assertEqual(run.lines("sink"), ["5", "7", "0.5", "2.5", "True"])

    def test_what_cannot_be_sent_raises_at_the_sender(self):
        run = self.flow({
            "source": Node("""
                from dora import Node
                node = Node()
                for metadata in ({"k": 2**63}, {"k": -2**63 - 1}, {5: 1}, {"k": [1, "a"]},
                                 {"k": ["a", 1]}, {"k": [1.5, "a"]}, [1], "x"):
                    for send in (node.send_output, node.send_output_raw):
                        try:
                            send("x", b"" if send == node.send_output else 4, metadata)
                            print("took", metadata)
                        except Exception as error:
                            print(type(error).__name__)
                node.send_output("x", b"after", None)
            """, outputs=["x"]),
            "sink": Node(TEXT_SINK, inputs={"x": "source/x"}),
        })
        self.assertEqual(
            run.lines("source"),
            ["OverflowError"] * 4 + ["TypeError"] * 12,
        )
        self.assertEqual(run.lines("sink")[0], "after")

    def test_large_metadata(self):
        run = self.flow({
            "source": Node("""
                from dora import Node
                node = Node()
                node.send_output("x", b"v", {f"key {n}": n for n in range(10_000)})
                node.send_output("x", b"v", {"long": "y" * 1_000_000})
                with node.send_output_raw("x", 10, {"long": "z" * 70_000}) as buffer:
                    buffer[:] = b"0123456789"
            """, outputs=["x"]),
            "sink": Node("""
                from dora import Node
                node = Node()
                many = node.next()["metadata"]
                print(len(many), all(many[f"key {n}"] == n for n in range(10_000)))
                print(node.next()["metadata"]["long"] == "y" * 1_000_000)
                event = node.next()
                print(bytes(event["value"]), event["metadata"]["long"] == "z" * 70_000)
            """, inputs={"x": "source/x"}),
        })
        self.assertEqual(
            run.lines("sink"), ["10001 True", "True", "b'0123456789' True"]
        )

    def test_forwarded_metadata_keeps_the_first_time(self):
        run = self.flow({
            "source": Node("""
                from dora import Node
                Node().send_output("x", b"1", {"a": "b"})
            """, outputs=["x"]),
            "echo": Node("""
                from dora import Node
                node = Node()
                for event in node:
                    if event["type"] == "INPUT":
                        print(event["metadata"])
                        node.send_output("y", event["value"], event["metadata"])
                        node.send_output("y", b"2", {**event["metadata"], "more": 1})
            """, inputs={"x": "source/x"}, outputs=["y"]),
            "sink": Node("""
                from dora import Node
                for event in Node():
                    if event["type"] == "INPUT":
                        event["metadata"].pop("more", None)
                        print(event["metadata"])
            """, inputs={"y": "echo/y"}),
        })
        [first] = run.lines("echo")
        self.assertEqual(run.lines("sink"), [first, first])
