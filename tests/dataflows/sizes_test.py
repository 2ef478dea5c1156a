"""T4, T5: of every length exactly the bytes, also when the memory is used again
at once."""

from harness import CHECKSUM_SINK, FlowTest, Node, has_long_form, settings


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
