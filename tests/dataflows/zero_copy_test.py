"""send_output_raw and what is received: exactly the bytes, at the same place,
without a copy. The code blocks are those of the project's first description."""

import os
import subprocess
import zlib

from harness import CHECKSUM_SINK, FlowTest, Node, has_long_form, settings

CONTEXT = """
with node.send_output_raw("output_id", data_length) as buffer:
    # buffer is a writable memoryview - work with it directly
    buffer[:] = your_data
# Data is automatically sent here
"""

USAGE = """
from dora import Node

node = Node()

# Allocate a 1MB buffer
with node.send_output_raw("large_data", 1024 * 1024) as buffer:
    # buffer is a writable memoryview - fill with your data directly
    for i in range(len(buffer)):
        buffer[i] = i % 256

# Data is automatically sent when exiting the with block
"""

NUMPY = """
import numpy as np

with node.send_output_raw("large_data", 1024 * 1024) as buffer:
    # Convert to numpy for convenient operations (zero-copy view)
    np_array = np.asarray(buffer)

    # Fill with your data
    np_array[:] = np.random.randint(0, 256, size=1024*1024, dtype=np.uint8)
"""

MANUAL = """
sample = node.send_output_raw("output_id", data_length)
buffer = sample.as_memoryview()
# ... fill the buffer ...
sample.send()  # Manually send
"""

NODE = "from dora import Node\nnode = Node()\n"
DATA = "your_data = bytes(range(250)) * 20\ndata_length = len(your_data)\n"
MEGABYTE = bytes(range(256)) * 4096


class Blocks(FlowTest):
    def send(self, script, output, numpy=False):
        return self.flow({
            # NumPy after Node() is for a process only.
            "sender": Node(script, outputs=[output], numpy=numpy,
                           **({"isolation": "process"} if numpy else {})),
            "sink": Node(CHECKSUM_SINK, inputs={"data": f"sender/{output}"}),
        })

    def assert_arrived(self, run, data):
        self.assertEqual(
            run.lines("sink"), [f"{len(data)} {zlib.crc32(data)} {data[:4].hex()}"]
        )
        self.assertEqual(run.node("sender")["copied_bytes"], 0, run)
        self.assertEqual(run.node("sink")["copied_bytes"], 0, run)

    def test_context_manager_block(self):
        run = self.send(NODE + DATA + CONTEXT, "output_id")
        self.assert_arrived(run, bytes(range(250)) * 20)

    def test_usage_block(self):
        self.assert_arrived(self.send(USAGE, "large_data"), MEGABYTE)

    def test_numpy_block(self):
        script = NODE + NUMPY + "import zlib\nprint(len(np_array), zlib.crc32(np_array))"
        run = self.send(script, "large_data", numpy=True)
        [sent], [got] = run.lines("sender"), run.lines("sink")
        self.assertEqual(got.split()[:2], sent.split())
        self.assertEqual(run.node("sender")["copied_bytes"], 0)

    def test_manual_block(self):
        run = self.send(NODE + DATA + MANUAL, "output_id")
        self.assertEqual(run.lines("sink")[0].split()[0], "5000")

    def test_manual_block_filled(self):
        filled = MANUAL.replace("# ... fill the buffer ...", "buffer[:] = your_data")
        run = self.send(NODE + DATA + filled, "output_id")
        self.assert_arrived(run, bytes(range(250)) * 20)

    def test_after_sending_the_sample_cannot_be_reused(self):
        run = self.send(NODE + DATA + MANUAL + """
for again in (sample.send, sample.as_memoryview, sample.as_buffer, sample.__enter__):
    try:
        again()
    except RuntimeError as error:
        print(error)
""", "output_id")
        lines = run.lines("sender")
        self.assertEqual(len(lines), 4, run)
        for line in lines:
            self.assertRegex(line, "already.* sent|already sent")
        self.assertEqual(len(run.lines("sink")), 1)


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
                    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
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


class Sizes(FlowTest):
    """T4."""

    SIZES = [0, 1, 63, 64, 65, 4095, 4096, 4097]
    SIZES += [(64 << 10) + d for d in (-1, 0, 1)]
    SIZES += [(8 << 20) + d for d in (-1, 0, 1)] + [(64 << 20) + d for d in (-1, 0, 1)]

    def test_every_length_arrives_exact_and_aligned(self):
        run = self.flow({
            "sender": Node(f"""
                from dora import Node
                from probe import address
                node = Node()
                for size in {self.SIZES}:
                    with node.send_output_raw("x", size) as buffer:
                        assert len(buffer) == size and not address(buffer) % 64
                        if size:
                            buffer[:] = bytes([size % 251 + 1]) * size
            """, outputs=["x"]),
            "sink": Node("""
                from dora import Node
                from probe import address
                for event in Node():
                    if event["type"] == "INPUT":
                        view = memoryview(event["value"])
                        size = len(view)
                        if size:
                            assert not address(view) % 64
                            assert view == bytes([size % 251 + 1]) * size
                        assert len(event["value"]) == size
                        print(size)
                        del view, event
            """, inputs={"x": {"source": "sender/x", "queue_policy": "backpressure"}}),
        }, timeout=60)
        self.assertEqual([int(l) for l in run.lines("sink")], self.SIZES)

    def test_a_gigabyte(self):
        with open("/proc/meminfo") as file:
            available = next(int(l.split()[1]) for l in file if "MemAvailable" in l)
        if available < 6 << 20:
            self.skipTest("needs 6 GB of free memory")
        run = self.flow({
            "sender": Node("""
                from dora import Node
                node = Node()
                with node.send_output_raw("x", 1 << 30) as buffer:
                    for at in range(0, 1 << 30, 4096):
                        buffer[at] = at >> 12 & 255
                    buffer[-1] = 77
            """, outputs=["x"], heap_limit="2GB"),
            "sink": Node("""
                from dora import Node
                for event in Node():
                    if event["type"] == "INPUT":
                        view = memoryview(event["value"])
                        right = all(view[at] == at >> 12 & 255
                                    for at in range(0, 1 << 30, 4096))
                        print(len(view), right, view[-1])
            """, inputs={"x": "sender/x"}),
        }, timeout=60)
        self.assertEqual(run.lines("sink"), [f"{1 << 30} True 77"])

    def test_impossible_lengths_raise_at_the_sender(self):
        run = self.flow({
            "sender": Node("""
                from dora import Node
                node = Node()
                for size in (-1, 1 << 62, 1 << 70, 1.5, "7", None):
                    try:
                        node.send_output_raw("x", size)
                        print("no error for", size)
                    except (OverflowError, TypeError, RuntimeError, MemoryError,
                            ValueError) as error:
                        print(type(error).__name__)
                node.send_output("x", b"still works")
            """, outputs=["x"]),
            "sink": Node(CHECKSUM_SINK, inputs={"x": "sender/x"}),
        })
        lines = run.lines("sender")
        self.assertEqual(lines[0], "OverflowError")
        self.assertEqual(lines[3:], ["TypeError"] * 3)
        self.assertNotIn("no error", " ".join(lines))
        self.assertEqual(len(run.lines("sink")), 1)


class Unsent(FlowTest):
    """T3: what is not sent is not delivered, and its memory comes back."""

    def test_ten_thousand_unsent_samples_leave_nothing(self):
        run = self.flow({
            "sender": Node("""
                from dora import Node
                node = Node()

                def raises():
                    try:
                        with node.send_output_raw("x", 100_000) as buffer:
                            buffer[0] = 1
                            raise ZeroDivisionError
                    except ZeroDivisionError:
                        pass

                def returns_early():
                    sample = node.send_output_raw("x", 100_000)
                    view = sample.as_memoryview()
                    return None

                def forgets():
                    node.send_output_raw("x", 100_000)

                for _ in range(3334):
                    raises(), returns_early(), forgets()
                with node.send_output_raw("x", 4) as buffer:
                    buffer[:] = b"last"
            """, outputs=["x"], heap_limit="1MB"),
            "sink": Node(CHECKSUM_SINK, inputs={"x": "sender/x"}),
        })
        self.assertEqual(
            run.lines("sink"), [f"4 {zlib.crc32(b'last')} {b'last'.hex()}"]
        )
        self.assertEqual(run.edge("sink/x")["sent"], 1)
        self.assertLess(run.node("sender")["heap_peak"], 500_000)

    def test_exception_in_the_body_propagates_and_the_sample_is_still_sendable(self):
        run = self.flow({
            "sender": Node("""
                from dora import Node
                node = Node()
                sample = node.send_output_raw("x", 3)
                error = KeyError("mine")
                try:
                    with sample as buffer:
                        buffer[:] = b"abc"
                        raise error
                except KeyError as caught:
                    print(caught is error)
                print(bytes(sample.as_memoryview()))
                sample.send()
            """, outputs=["x"]),
            "sink": Node(CHECKSUM_SINK, inputs={"x": "sender/x"}),
        })
        self.assertEqual(run.lines("sender"), ["True", "b'abc'"])
        self.assertEqual(len(run.lines("sink")), 1)

    def test_view_of_a_dropped_sample_stays_valid(self):
        run = self.flow({
            "sender": Node("""
                from dora import Node
                node = Node()
                sample = node.send_output_raw("x", 1000)
                view = sample.as_memoryview()
                view[:] = b"k" * 1000
                kept = sample.as_buffer()
                del sample
                for _ in range(100):
                    with node.send_output_raw("x", 1000) as buffer:
                        buffer[:] = b"-" * 1000
                print(view == b"k" * 1000)
                try:
                    memoryview(kept)
                except BufferError:
                    print("BufferError")
            """, outputs=["x"]),
        })
        self.assertEqual(run.lines("sender"), ["True", "BufferError"])

    def test_several_samples_are_sent_in_the_order_of_send(self):
        run = self.flow({
            "sender": Node("""
                from dora import Node
                node = Node()
                samples = [node.send_output_raw("x", 1, {"n": n}) for n in range(5)]
                for n, sample in enumerate(samples):
                    sample.as_memoryview()[0] = n
                for n in (3, 1, 4, 0, 2):
                    samples[n].send()
            """, outputs=["x"]),
            "sink": Node("""
                from dora import Node
                for event in Node():
                    if event["type"] == "INPUT":
                        print(event["value"][0].as_py(), event["metadata"]["n"])
            """, inputs={"x": "sender/x"}),
        })
        self.assertEqual(run.lines("sink"), ["3 3", "1 1", "4 4", "0 0", "2 2"])


class Reuse(FlowTest):
    def test_source_may_be_overwritten_at_once(self):
        """T10: no consumer ever sees newer bytes in an older message."""
        sink = Node("""
            from dora import Node
            for event in Node():
                if event["type"] == "INPUT":
                    data = bytes(event["value"])
                    n = event["metadata"]["n"]
                    assert data == bytes([n % 256]) * 50_000, n
        """, inputs={"x": {"source": "sender/x", "queue_size": 3}})
        self.flow({
            "sender": Node("""
                from dora import Node
                node = Node()
                source = bytearray(50_000)
                for n in range(2000):
                    source[:] = bytes([n % 256]) * 50_000
                    node.send_output("x", source, {"n": n})
                    source[:] = b"!" * 50_000
            """, outputs=["x"]),
            **{f"sink{i}": Node(sink.script, **sink.keys) for i in range(3)},
        })

    @has_long_form
    def test_torn_reads(self):
        """T19: the whole message always fits its own number."""
        sink = """
            from dora import Node
            seen = 0
            for event in Node():
                if event["type"] == "INPUT":
                    n = event["metadata"]["n"]
                    view = memoryview(event["value"])
                    assert view == bytes([n % 251]) * len(view), n
                    assert bytes(view[-8:]) == bytes([n % 251]) * 8
                    seen += 1
            print(seen)
        """
        inputs = {"x": {"source": "sender/x", "queue_size": 2}}
        run = self.flow({
            "sender": Node("""
                import os, time
                from dora import Node
                node = Node()
                end = time.monotonic() + float(os.environ["SECONDS"])
                n = 0
                while n < 20_000 or time.monotonic() < end:
                    n += 1
                    size = 64 + n * 37 % 3000
                    with node.send_output_raw("x", size, {"n": n}) as buffer:
                        buffer[:] = bytes([n % 251]) * size
            """, outputs=["x"], heap_limit="1MB", env={"SECONDS": str(settings.long)}),
            **{f"sink{i}": Node(sink, inputs=inputs) for i in range(4)},
        }, timeout=60 + settings.long)
        for i in range(4):
            self.assertGreaterEqual(int(run.lines(f"sink{i}")[-1]), 1)
        self.assert_accounted(run)
