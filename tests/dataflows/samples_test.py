"""send_output_raw and the life of a sample until it is sent, or dropped. The code
blocks are those of the project's first description."""

import zlib

from harness import CHECKSUM_SINK, FlowTest, Node

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
