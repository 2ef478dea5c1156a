"""Who refers to a payload keeps it: holders alive at send and at receive pin
it, and the memory comes back when the last of them is gone."""

from harness import FlowTest, Node

#: name -> how `keep` holds `buffer`, and how its bytes are read. Each script
#: line runs with `buffer` a memoryview, so that it serves senders (writable)
#: and receivers (read-only) alike unless said.
HOLDERS = {
    "memoryview": ("keep = memoryview(buffer)", "bytes(keep[:64])"),
    "slice": ("keep = buffer[64:128]", "bytes(keep)"),
    "cast": ("keep = buffer[:64].cast('Q')", "keep.tobytes()"),
    "toreadonly": ("keep = buffer.toreadonly()", "bytes(keep[:64])"),
    "raw Py_buffer": ("keep = raw_buffer(buffer)", "string_at(keep.buf, 64)"),
    "like torch.frombuffer": ("keep = FromBuffer(buffer)", "keep.read(64)"),
}
NUMPY_HOLDERS = {
    "asarray": ("keep = np.asarray(buffer)", "keep[:64].tobytes()"),
    "frombuffer": ("keep = np.frombuffer(buffer, np.uint8)", "keep[:64].tobytes()"),
    "ndarray": (
        "keep = np.ndarray((len(buffer) // 4,), np.uint32, buffer=buffer)",
        "keep[:16].tobytes()",
    ),
    "slice of array": (
        "keep = np.asarray(buffer)[100:200].reshape(10, 10)[2:]",
        "keep.tobytes()[:64]",
    ),
}
CTYPES_HOLDER = {
    "ctypes from_buffer": (
        "keep = (c_char * len(buffer)).from_buffer(buffer)",
        "bytes(keep[:64])",
    )
}

IMPORTS = """
import sys
from ctypes import c_char, string_at
from dora import Node
from probe import *
"""

#: Holds one message of 1.5 MB in a heap of 4 MB: 3 MB fit only without it.
SENDER = """
{imports}
node = Node()
{before}
{holder}
buffer = sample = None

for n in range(40):
    with node.send_output_raw("x", 500_000) as other:
        other[:] = b"-" * 500_000
del other
print({read} == b"k" * 64)
try:
    node.send_output_raw("x", 3_000_000)
    print("not pinned")
except Exception as error:
    print("pinned")
{drop}
del keep
with node.send_output_raw("x", 3_000_000) as other:
    other[:10] = b"0123456789"
print("freed")
"""

WITH = """
with node.send_output_raw("x", 1_500_000) as buffer:
    buffer[:] = b"k" * 1_500_000
    {holder}
"""
MANUAL = """
sample = node.send_output_raw("x", 1_500_000)
buffer = sample.as_memoryview()
buffer[:] = b"k" * 1_500_000
{holder}
sample.send()
"""


class AtSend(FlowTest):
    def hold(self, name, holders, form, numpy=False):
        holder, read = holders[name]
        body = form.replace("{holder}", holder)
        script = SENDER.format(
            imports=IMPORTS + ("import numpy as np\n" if numpy else ""),
            before=body,
            holder="",
            read=read,
            drop="release_buffer(keep)" if name == "raw Py_buffer" else "",
        )
        run = self.flow({
            "sender": Node(script, outputs=["x"], heap_limit="4MB", numpy=numpy),
        })
        self.assertEqual(run.lines("sender"), ["True", "pinned", "freed"], run)

    def test_exported_after_send_raises_and_cached_buffer_is_one(self):
        run = self.flow({"sender": Node("""
            from dora import Node
            node = Node()
            sample = node.send_output_raw("x", 10)
            buffer = sample.as_buffer()
            print(sample.as_buffer() is buffer)
            print(sample.as_memoryview() is sample.as_memoryview())
            sample.send()
            try:
                memoryview(buffer)
            except BufferError:
                print("BufferError")
        """, outputs=["x"])})
        self.assertEqual(run.lines("sender"), ["True", "False", "BufferError"])

    def test_memoryview_of_the_with_block_is_released(self):
        run = self.flow({"sender": Node("""
            from dora import Node
            node = Node()
            with node.send_output_raw("x", 10) as buffer:
                pass
            try:
                buffer[0]
            except ValueError:
                print("ValueError")
        """, outputs=["x"])})
        self.assertEqual(run.lines("sender"), ["ValueError"])

    def test_all_views_alive_at_send(self):
        """T1."""
        run = self.flow({
            "sender": Node("""
                import numpy as np
                from dora import Node
                node = Node()
                sample = node.send_output_raw("x", 1000)
                view = sample.as_memoryview()
                array = np.asarray(view)
                part = array[100:200]
                array[:] = 7
                sample.send()
                for order in range(3):
                    print(int(part.sum()), len(array))
                del array, view, part, sample
                for _ in range(100):
                    with node.send_output_raw("x", 1000) as buffer:
                        np.asarray(buffer)[:] = 9
            """, outputs=["x"], numpy=True),
            "sink": Node("""
                from dora import Node
                seen = [set(bytes(e["value"])) for e in Node() if e["type"] == "INPUT"]
                print(seen[0], len(seen), set.union(*seen[1:]))
            """, inputs={"x": {"source": "sender/x", "queue_size": 200}}),
        })
        self.assertEqual(run.lines("sender"), ["700 1000"] * 3)
        self.assertEqual(run.lines("sink"), ["{7} 101 {9}"])

    def test_looping_producer_does_not_pile_up(self):
        """A variable that outlives its turn of the loop parks one block."""
        run = self.flow({"sender": Node("""
            from dora import Node
            node = Node()
            for n in range(2000):
                sample = node.send_output_raw("x", 100_000)
                view = sample.as_memoryview()
                part = view[10:20]
                part[0] = 1
                sample.send()
        """, outputs=["x"], heap_limit="1MB")})
        self.assertLess(run.node("sender")["heap_peak"], 400_000)


class AtReceive(FlowTest):
    """Holds a message of 5 MB in a heap of 8 MB: 4 MB fit only without it."""

    RECEIVER = """
{imports}
node = Node()
for event in node:
    if event["type"] != "INPUT":
        continue
    if event["id"] == "large":
        value = event["value"]
        buffer = memoryview(value)
        {holder}
        del event, value, buffer
        node.send_output("done", b"holding")
    elif bytes(event["value"]) == b"look":
        print({read} == b"k" * 64)
        {drop}
        del keep
        node.send_output("done", b"dropped")
"""
    SENDER = """
from dora import Node
node = Node()

def answer():
    for event in node:
        if event["type"] == "INPUT":
            return bytes(event["value"]).decode()

with node.send_output_raw("large", 5_000_000) as buffer:
    buffer[:] = b"k" * 5_000_000
print(answer())
for n in range(40):
    with node.send_output_raw("unheard", 500_000) as other:
        other[:] = b"-" * 500_000
del other, buffer
try:
    node.send_output_raw("unheard", 4_000_000)
    print("not pinned")
except Exception as error:
    print("pinned", "receiver" in str(error))
node.send_output("small", b"look")
print(answer())
node.send_output_raw("unheard", 4_000_000)
print("freed")
"""

    def hold(self, name, holders, numpy=False):
        holder, read = holders[name]
        receiver = self.RECEIVER.format(
            imports=IMPORTS + ("import numpy as np\n" if numpy else ""),
            holder=holder,
            read=read,
            drop="release_buffer(keep)" if name == "raw Py_buffer" else "pass",
        )
        run = self.flow({
            "sender": Node(
                self.SENDER,
                inputs={"done": "receiver/done"},
                outputs=["large", "small", "unheard"],
                heap_limit="8MB",
            ),
            "receiver": Node(
                receiver,
                inputs={"large": "sender/large", "small": "sender/small"},
                outputs=["done"],
                numpy=numpy,
            ),
        })
        self.assertEqual(run.lines("receiver"), ["True"], run)
        self.assertEqual(
            run.lines("sender"), ["holding", "pinned True", "dropped", "freed"], run
        )

    def test_kept_slice_outlives_event_node_and_producer(self):
        """T2."""
        run = self.flow({
            "sender": Node("""
                from dora import Node
                node = Node()
                for n in range(10_001):
                    with node.send_output_raw("x", 4000) as buffer:
                        buffer[:] = bytes([n % 256]) * 4000
            """, outputs=["x"]),
            "sink": Node("""
                from dora import Node
                node = Node()
                kept = memoryview(node.next()["value"])[100:200]
                count = 0
                for event in node:
                    count += event["type"] == "INPUT"
                print(count, set(kept))
                del event, node
                print(set(kept))
            """, inputs={"x": {"source": "sender/x", "queue_policy": "backpressure"}}),
        })
        self.assertEqual(run.lines("sink"), ["10000 {0}", "{0}"])

    def test_values_stored_for_later_stay_valid(self):
        """c16: events kept in a dict, used after their sender has gone."""
        run = self.flow({
            "sender": Node("""
                from dora import Node
                node = Node()
                for n in range(50):
                    node.send_output("x", bytes([n]) * 20_000, {"n": n})
            """, outputs=["x"]),
            "sink": Node("""
                from dora import Node
                kept = {}
                for event in Node():
                    if event["type"] == "INPUT":
                        kept[event["metadata"]["n"]] = event
                print(all(bytes(e["value"]) == bytes([n]) * 20_000
                          for n, e in kept.items()), len(kept))
            """, inputs={"x": {"source": "sender/x", "queue_size": 100}}),
        })
        self.assertEqual(run.lines("sink"), ["True 50"])


def _spread(case, holders, numpy, forms):
    for name in holders:
        for suffix, arguments in forms.items():
            def test(self, name=name, arguments=arguments):
                self.hold(name, holders, *arguments, numpy=numpy)

            words = name.replace(" ", "_").replace(".", "_")
            setattr(case, f"test_{words}{suffix}", test)


FORMS = {"_in_with": (WITH,), "_by_hand": (MANUAL,)}
_spread(AtSend, HOLDERS, False, FORMS)
_spread(AtSend, CTYPES_HOLDER, False, FORMS)
_spread(AtSend, NUMPY_HOLDERS, True, FORMS)
_spread(AtReceive, HOLDERS, False, {"": ()})
_spread(AtReceive, NUMPY_HOLDERS, True, {"": ()})


class Strict(FlowTest):
    """DORA_STRICT_VIEWS=1: the rule of the 1.x series."""

    def test_the_eleven_cases(self):
        run = self.flow({"sender": Node("""
            from dora import Node
            node = Node()

            def refuses(call, kind, *words):
                try:
                    call()
                except kind as error:
                    assert all(word in str(error) for word in words), error
                    return
                raise AssertionError(f"{call} did not raise")

            def sample():
                return node.send_output_raw("test_data", 64)

            # with a raw view still open, send is refused and possible later
            s = sample()
            view = s.as_memoryview()
            refuses(s.send, RuntimeError, "still open")
            view.release()
            s.send()
            refuses(s.send, RuntimeError, "already", "sent")
            refuses(s.as_memoryview, RuntimeError)

            s = sample()
            cached = s.as_buffer()
            assert s.as_buffer() is cached
            s.send()
            refuses(lambda: memoryview(cached), BufferError)

            s = sample()
            one, two = s.as_memoryview(), s.as_memoryview()
            assert one is not two
            one.release()
            refuses(s.send, RuntimeError, "still open")
            two.release()
            s.send()

            s = sample()
            cached = s.as_buffer()
            del s
            refuses(lambda: memoryview(cached), BufferError)

            s = sample()
            error = KeyError()
            try:
                with s:
                    raise error
            except KeyError as caught:
                assert caught is error
            s.send()
            print("all")
        """, outputs=["test_data"], env={"DORA_STRICT_VIEWS": "1"})})
        self.assertEqual(run.lines("sender"), ["all"], run)

    def test_check_views_names_a_write_after_send(self):
        run = self.flow({"sender": Node("""
            import ctypes
            from dora import Node
            node = Node()
            for n in range(3):
                sample = node.send_output_raw("x", 1000)
                view = sample.as_memoryview()
                held = (ctypes.c_char * 1000).from_buffer(view)
                sample.send()
                held[5] = b"!"
                del held, view, sample
                node.send_output_raw("x", 1000)
        """, outputs=["x"], env={"DORA_CHECK_VIEWS": "1"})}, code=None)
        self.assertRegex(run.out + run.err, "(?i)x.*(written|changed|modified)")
