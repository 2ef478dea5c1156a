"""What is received: exactly the bytes, at the same place, without a copy."""

import subprocess

from harness import CHECKSUM_SINK, FlowTest, Node, settings


class Place(FlowTest):
    def test_receiver_sees_the_very_place_that_was_handed_out(self):
        run = self.flow({
            "sender": Node("""
                import json
                from dora import Node
                from probe import place
                node = Node()
                for size in (1, 100, 5000, 1 << 20, 1):
                    with node.send_output_raw("x", size) as buffer:
                        buffer[:] = b"z" * size
                        print(json.dumps(place(buffer)))
            """, outputs=["x"]),
            "one": Node(PLACE_SINK, inputs={"x": "sender/x"}),
            "two": Node(PLACE_SINK, inputs={"x": "sender/x"}),
        })
        self.assertEqual(len(run.values("sender")), 5)
        self.assertEqual(run.values("one"), run.values("sender"))
        self.assertEqual(run.values("two"), run.values("sender"))

    def test_forwarded_value_and_slice_stay_in_place(self):
        run = self.flow({
            "sender": Node("""
                from dora import Node
                node = Node()
                with node.send_output_raw("x", 100000) as buffer:
                    buffer[:] = bytes(i % 251 for i in range(100000))
            """, outputs=["x"]),
            "relay": Node("""
                import json
                from dora import Node
                from probe import place
                node = Node()
                for event in node:
                    if event["type"] == "INPUT":
                        value = event["value"]
                        inode, at = place(value)
                        print(json.dumps([inode, at]))
                        print(json.dumps([inode, at + 1000]))
                        node.send_output("whole", value)
                        node.send_output("part", value[1000:3000])
            """, inputs={"x": "sender/x"}, outputs=["whole", "part"]),
            "sink": Node("""
                import json
                from dora import Node
                from probe import place
                for event in Node():
                    if event["type"] == "INPUT":
                        print(json.dumps(place(event["value"])))
                        start = 0 if event["id"] == "whole" else 1000
                        data = bytes(event["value"])
                        assert data == bytes(i % 251 for i in range(start, start + len(data)))
                        assert len(data) == (100000 if event["id"] == "whole" else 2000)
            """, inputs={"whole": "relay/whole", "part": "relay/part"}),
        })
        self.assertEqual(len(run.values("sink")), 2)
        self.assertEqual(run.values("sink"), run.values("relay"))
        self.assertEqual(run.node("relay")["copied_bytes"], 0)

    def test_nobody_touches_the_payload(self):
        """I1: of 256 MB of which four bytes are written and read, no receiver
        ever maps more than a few pages, and the sender has them once."""
        look = """
                import resource
                def mapped():
                    with open("/proc/self/status") as file:
                        return next(int(l.split()[1]) for l in file if "RssShmem" in l)
                def faults():
                    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
                before = mapped(), faults()
                def touched():
                    return [now - then for now, then in zip((mapped(), faults()), before)]
        """
        run = self.flow({
            "sender": Node(look + """
                import json
                from dora import Node
                node = Node()
                before = mapped(), faults()
                with node.send_output_raw("x", 256 << 20) as buffer:
                    buffer[100:104] = b"four"
                print(json.dumps(touched()))
            """, outputs=["x"]),
            "relay": Node(look + """
                import json
                from dora import Node
                node = Node()
                event = node.next()
                before = mapped(), faults()
                node.send_output("y", event["value"], event["metadata"])
                print(json.dumps(touched()))
            """, inputs={"x": "sender/x"}, outputs=["y"]),
            "sink": Node(look + """
                import json
                from dora import Node
                node = Node()
                event = node.next()
                before = mapped(), faults()
                value = event["value"]
                assert bytes(value[100:104]) == b"four" and len(value) == 256 << 20
                print(json.dumps(touched()))
            """, inputs={"y": "relay/y"}),
        })
        # The sender's own pages are made resident, by whole steps, not copied.
        [[kilobytes, _]] = run.values("sender")
        self.assertLess(kilobytes, (256 << 10) + 5000, run)
        for node in ("relay", "sink"):
            [[kilobytes, faults]] = run.values(node)
            self.assertLess(kilobytes, 5000, run)
            self.assertLess(faults, 1000, run)

    def test_send_output_copies_once_and_says_so(self):
        run = self.flow({
            "sender": Node("""
                from dora import Node
                node = Node()
                for kind in (bytes, bytearray, memoryview):
                    node.send_output("x", kind(b"a" * 1000))
            """, outputs=["x"]),
            "sink": Node(CHECKSUM_SINK, inputs={"x": "sender/x"}),
        })
        self.assertEqual(len(run.lines("sink")), 3)
        self.assertEqual(run.node("sender")["copied_bytes"], 3000)

    def test_payload_is_read_only_where_it_is_received(self):
        run = self.flow({
            "sender": Node("""
                from dora import Node
                Node().send_output("x", b"abc")
            """, outputs=["x"]),
            "sink": Node("""
                from dora import Node
                from probe import rights
                event = Node().next()
                view = memoryview(event["value"])
                print(view.readonly, view.format, view.ndim, view.contiguous)
                try:
                    view[0] = 1
                except TypeError as error:
                    print("TypeError")
                print(rights(view))
            """, inputs={"x": "sender/x"}),
        })
        self.assertEqual(
            run.lines("sink"), ["True B 1 True", "TypeError", "r--s"]
        )


PLACE_SINK = """
import json
from dora import Node
from probe import place
for event in Node():
    if event["type"] == "INPUT":
        print(json.dumps(place(event["value"])))
        assert set(bytes(event["value"])) == {ord("z")}
"""


class Interposed(FlowTest):
    """I1 once more: with a memcpy that counts preloaded into every node."""

    COUNTER = """
import ctypes
from dora import Node
copied = ctypes.CDLL(None).copied_bytes
copied.restype = ctypes.c_ulonglong

class Counting:
    def __init__(self, name):
        self.name = name
    def __enter__(self):
        self.before = copied()
    def __exit__(self, *_):
        print(self.name, copied() - self.before)
"""

    def test_no_payload_byte_is_copied(self):
        program = self.preloaded("copies.c")
        path = self.write_flow({
            "sender": Node(self.COUNTER + """
node = Node()
sample = node.send_output_raw("x", 1 << 20)
view = sample.as_memoryview()
for at in range(0, 1 << 20, 64):
    view[at] = 7
with Counting("send"):
    sample.send()
with Counting("with"):
    with node.send_output_raw("x", 1 << 20) as view:
        view[5] = 1
with Counting("send_output"):
    node.send_output("x", bytes(1 << 20))
""", isolation="process", outputs=["x"]),
            "relay": Node(self.COUNTER + """
node = Node()
for event in node:
    if event["type"] == "INPUT":
        with Counting("forward"):
            node.send_output("y", event["value"])
            node.send_output("y", memoryview(event["value"])[1000:500_000])
""", isolation="process", inputs={"x": "sender/x"}, outputs=["y"]),
            "sink": Node(self.COUNTER + """
node = Node()
for _ in range(6):
    with Counting("receive"):
        event = node.next()
        view = memoryview(event["value"])
        view[0], view[-1], event["value"][2:9]
""", isolation="process", inputs={"y": "relay/y"}),
        })
        result = subprocess.run(
            [program, path], cwd=self.directory, env=self.environment(),
            capture_output=True, text=True, timeout=30 * settings.patience,
        )
        self.assertEqual(result.returncode, 0, result)
        counts = {}
        for line in result.stdout.splitlines():
            name, count = line.split()[-2:]
            counts.setdefault(name, []).append(int(count))
        self.assertEqual(len(counts["receive"]), 6, result)
        for name in ("send", "with", "forward", "receive"):
            self.assertEqual(set(counts[name]), {0}, (name, counts))
        # That it counts at all:
        self.assertGreaterEqual(counts["send_output"][0], 1 << 20)
