"""What nodes can do with the value of a message."""

from harness import FlowTest, Node, TEXT_SINK


class Values(FlowTest):
    def test_what_nodes_ask_of_a_value(self):
        run = self.flow({
            "source": Node("""
                from dora import Node
                node = Node()
                node.send_output("x", b"\\x01\\x02\\x03\\xff")
            """, outputs=["x"]),
            "sink": Node("""
                from dora import Node
                event = Node().next()
                value = event["value"]
                print(len(value), value[0].as_py(), value[-1].as_py(), bool(value))
                print(value.to_pylist(), value.tolist(), bytes(value), str(value.type))
                print([x.as_py() for x in value], value[1:3].to_pylist())
                print(value == value, value == value[0:4], value == value[0:2], value == 7)
                print(repr(str(value)))
                print([hasattr(value, n) for n in ("as_py", "get", "decode", "tobytes")])
                for index in (4, -5, "name"):
                    try:
                        value[index]
                    except (IndexError, TypeError) as error:
                        print(type(error).__name__)
                print(memoryview(value)[3], int.from_bytes(value[0:2], "little"))
                print(value.nbytes, value.null_count)
            """, inputs={"x": "source/x"}),
        })
        self.assertEqual(run.lines("sink"), [
            "4 1 255 True",
            "[1, 2, 3, 255] [1, 2, 3, 255] b'\\x01\\x02\\x03\\xff' uint8",
            "[1, 2, 3, 255] [2, 3]",
            "True True False False",
            repr("[\n  1,\n  2,\n  3,\n  255\n]"),
            "[False, False, False, False]",
            "IndexError", "IndexError", "TypeError",
            "255 513",
            "4 0",
        ])

    def test_slices_of_every_step_are_those_of_a_list(self):
        """A step costs a copy, as it does with pyarrow; the rest stays in place."""
        run = self.flow({
            "source": Node("""
                from dora import Node
                Node().send_output("x", bytes(range(50)))
            """, outputs=["x"]),
            "sink": Node("""
                from dora import Node
                from probe import address

                class Arrow:
                    def __init__(self, *capsules): self.capsules = capsules
                    def __arrow_c_array__(self, requested_schema=None):
                        return self.capsules

                node = Node()
                inputs = (event["value"] for event in node if event["type"] == "INPUT")
                value = next(inputs)
                items, ends = list(range(50)), (None, 0, 1, 7, 49, 50, 99, -1, -50, -99)
                for first in ends:
                    for last in ends:
                        for step in (None, 1, 2, 7, 99, -1, -3, -99):
                            part = value[first:last:step]
                            assert part.to_pylist() == items[first:last:step]
                            assert bytes(part) == bytes(items[first:last:step])
                part = value[::-3]
                print(part[1:4].to_pylist(), part[::2][0].as_py(), len(part[3:3]))
                print(part == value[::-3], part == value[::3], str(part.type), part.nbytes)
                print(address(value[5:]) - address(value))
                rest = part[10:]
                del value, part
                print(rest.to_pylist(), memoryview(rest).readonly)
                node.send_output("again", rest)
                print(bytes(next(inputs)))
                schema, array = rest.__arrow_c_array__()
                del rest
                node.send_output("again", Arrow(schema, array))
                print(bytes(next(inputs)))
            """, inputs={"x": "source/x", "again": "sink/again"}, outputs=["again"]),
        })
        self.assertEqual(run.lines("sink"), [
            "[46, 43, 40] 49 0", "True False uint8 17", "5",
            "[19, 16, 13, 10, 7, 4, 1] True",
            repr(bytes([19, 16, 13, 10, 7, 4, 1])), repr(bytes([19, 16, 13, 10, 7, 4, 1])),
        ])

    def test_a_tick_is_an_empty_null_array(self):
        run = self.flow({
            "node": Node("""
                from dora import Node
                event = Node().next()
                value = event["value"]
                print(event["type"], event["id"], len(value), str(value.type),
                      value.to_pylist(), sorted(event["metadata"]))
            """, inputs={"tick": "dora/timer/millis/10"}),
        })
        self.assertEqual(
            run.lines("node"), ["INPUT tick 0 null [] ['timestamp']"]
        )

    def test_to_numpy(self):
        run = self.flow({
            "source": Node("""
                from dora import Node
                Node().send_output("x", bytes(range(200)))
            """, outputs=["x"]),
            "sink": Node("""
                import numpy as np
                from dora import Node
                from probe import address
                value = Node().next()["value"]
                array = value.to_numpy()
                print(array.dtype, array.shape, array.flags.writeable, int(array.sum()))
                print(array.ctypes.data == address(value))
                print(np.asarray(value).sum() == array.sum(), np.array(value).sum() == array.sum())
                print(np.frombuffer(value, np.uint8)[5], value.to_numpy(zero_copy_only=False)[6])
            """, inputs={"x": "source/x"}, numpy=True),
        })
        self.assertEqual(run.lines("sink"), [
            f"uint8 (200,) False {sum(range(200))}", "True", "True True", "5 6",
        ])

    def test_to_numpy_without_numpy_says_so(self):
        run = self.flow({
            "source": Node("""
                from dora import Node
                Node().send_output("x", b"1")
            """, outputs=["x"]),
            "sink": Node("""
                import sys
                sys.modules["numpy"] = None
                from dora import Node
                try:
                    Node().next()["value"].to_numpy()
                except ImportError as error:
                    print("numpy" in str(error).lower())
            """, inputs={"x": "source/x"}),
        })
        self.assertEqual(run.lines("sink"), ["True"])

    def test_data_that_send_output_takes(self):
        run = self.flow({
            "source": Node("""
                import array
                from dora import Node
                node = Node()
                for data in (b"", b"abc", bytearray(b"abc"), memoryview(b"abcdef")[1:4],
                             array.array("H", [1, 2])):
                    node.send_output("x", data)
                for data in (None, [1], "text", 5, memoryview(b"abcdef")[::2]):
                    try:
                        node.send_output("x", data)
                        print("took", data)
                    except (RuntimeError, TypeError, BufferError, ValueError) as error:
                        print(type(error).__name__)
            """, outputs=["x"]),
            "sink": Node("""
                from dora import Node
                for event in Node():
                    if event["type"] == "INPUT":
                        print(bytes(event["value"]))
            """, inputs={"x": "source/x"}),
        })
        self.assertEqual(run.lines("sink"), [
            "b''", "b'abc'", "b'abc'", "b'bcd'", "b'\\x01\\x00\\x02\\x00'",
        ])
        self.assertNotIn("took", "".join(run.lines("source")), run)


    def test_arrow_arrays_by_protocol(self):
        """c15: anything that exports itself as an Arrow C array."""
        run = self.flow({
            "source": Node("""
                from dora import Node
                node = Node()
                node.send_output("x", b"arrow")
            """, outputs=["x"]),
            "relay": Node("""
                from dora import Node
                node = Node()

                class Foreign:
                    def __init__(self, value):
                        self.value = value
                    def __arrow_c_array__(self, requested_schema=None):
                        return self.value.__arrow_c_array__(requested_schema)

                for event in node:
                    if event["type"] == "INPUT":
                        node.send_output("y", Foreign(event["value"]))
                        node.send_output("y", Foreign(event["value"][1:3]))
            """, inputs={"x": "source/x"}, outputs=["y"]),
            "sink": Node(TEXT_SINK, inputs={"y": "relay/y"}),
        })
        self.assertEqual(run.lines("sink")[:2], ["arrow", "rr"])

    def test_copies_of_an_event_share_its_value(self):
        run = self.flow({
            "source": Node("""
                from dora import Node
                Node().send_output("x", b"shared", {"list": [1, 2]})
            """, outputs=["x"]),
            "sink": Node("""
                import copy
                from dora import Node
                event = Node().next()
                deep = copy.deepcopy(event)
                print(deep["value"] is event["value"], copy.copy(event) == event,
                      deep["metadata"]["list"] is event["metadata"]["list"])
            """, inputs={"x": "source/x"}),
        })
        self.assertEqual(run.lines("sink"), ["True True False"])
