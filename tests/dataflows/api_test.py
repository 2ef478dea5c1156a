"""The `dora` module as nodes in the wild use it."""

import textwrap

from harness import FlowTest, Node, TEXT_SINK


class Events(FlowTest):
    def test_shape_of_an_input(self):
        """c17: a real dict."""
        run = self.flow({
            "source": Node("""
                from dora import Node
                Node().send_output("x", b"abc", {"a": 1})
            """, outputs=["x"]),
            "sink": Node("""
                import datetime
                from dora import Node
                event = Node().next()
                print(type(event) is dict, sorted(event))
                print(event["type"], event["id"], event["kind"], {**event}["id"])
                stamp = event["metadata"]["timestamp"]
                print(type(stamp) is datetime.datetime, stamp.tzinfo == datetime.timezone.utc)
                age = datetime.datetime.now(datetime.timezone.utc) - stamp
                print(0 <= age.total_seconds() < 30)
                print({k: v for k, v in event["metadata"].items() if k != "timestamp"})
            """, inputs={"in": "source/x"}),
        })
        self.assertEqual(run.lines("sink"), [
            "True ['id', 'kind', 'metadata', 'type', 'value']",
            "INPUT in dora in",
            "True True",
            "True",
            "{'a': 1}",
        ])

    def test_natural_end(self):
        """c3, c5: the message sent right before exit, the closing of each
        input after its data, then STOP, then None for ever."""
        run = self.flow({
            "source": Node("""
                from dora import Node
                node = Node()
                node.send_output("x", b"first")
                node.send_output("y", b"other")
                node.send_output("x", b"last words")
            """, outputs=["x", "y"]),
            "sink": Node("""
                from dora import Node
                node = Node()
                seen = []
                while (event := node.next()) is not None:
                    seen.append((event["type"], event["id"]))
                print(seen)
                print(node.next(), node.next(timeout=1), node.try_recv(), list(node))
                try:
                    node.drain()
                except RuntimeError as error:
                    print("closed" in str(error))
            """, inputs={"x": "source/x", "y": "source/y"}),
        })
        seen, after, drained = run.lines("sink")
        seen = eval(seen)
        self.assertEqual(seen[:3], [("INPUT", "x"), ("INPUT", "y"), ("INPUT", "x")])
        self.assertEqual(
            sorted(seen[3:5]), [("INPUT_CLOSED", "x"), ("INPUT_CLOSED", "y")]
        )
        self.assertEqual(seen[5:], [("STOP", "ALL_INPUTS_CLOSED")])
        self.assertEqual(after, "None None None []")
        self.assertEqual(drained, "True")

    def test_failed_producer_is_named(self):
        run = self.flow({
            "source": Node("""
                import sys
                from dora import Node
                node = Node()
                node.send_output("x", b"1")
                sys.exit(3)
            """, outputs=["x"]),
            "sink": Node("""
                from dora import Node
                for event in Node():
                    print(event["type"], event["id"])
                    if event["type"] == "NODE_FAILED":
                        value = event["value"]
                        print(type(value) is dict, value["source_node_id"],
                              value["affected_input_ids"], "3" in value["error"])
            """, inputs={"in": "source/x"}),
        }, code=1)
        self.assertEqual(run.lines("sink"), [
            "INPUT in",
            "NODE_FAILED source",
            "True source ['in'] True",
            "INPUT_CLOSED in",
            "STOP ALL_INPUTS_CLOSED",
        ])

    def test_failure_comes_before_closing_wherever_the_node_is_kept(self):
        """Also when its last variable goes before the interpreter does."""
        for end in ("sys.exit(3)", "raise ValueError", "os._exit(3)"):
            with self.subTest(end=end):
                self.fresh()
                run = self.flow({
                    "source": Node(f"""
                        import os, sys
                        from dora import Node
                        def main():
                            node = Node()
                            node.send_output("x", b"1")
                            {end}
                        main()
                    """, outputs=["x"]),
                    "sink": Node("""
                        from dora import Node
                        print(*(event["type"] for event in Node()))
                    """, inputs={"in": "source/x"}),
                }, code=1)
                self.assertEqual(
                    run.lines("sink"), ["INPUT NODE_FAILED INPUT_CLOSED STOP"]
                )

    def test_a_dropped_node_closes_its_outputs(self):
        run = self.flow({
            "source": Node("""
                from dora import Node
                from probe import hear
                node = Node()
                node.send_output("x", b"1")
                del node
                hear("closed")
                print("went on")
            """, outputs=["x"]),
            "sink": Node("""
                from dora import Node
                from probe import tell
                for event in Node():
                    print(event["type"])
                tell("closed")
            """, inputs={"in": "source/x"}),
        })
        self.assertEqual(run.lines("sink"), ["INPUT", "INPUT_CLOSED", "STOP"])
        self.assertEqual(run.lines("source"), ["went on"])

    def test_timeouts(self):
        """c1: ERROR on expiry; ValueError for senseless ones."""
        run = self.flow({
            "node": Node("""
                import time
                from dora import Node
                node = Node()
                begun = time.monotonic()
                event = node.next(timeout=0.2)
                passed = time.monotonic() - begun
                print(event["type"], "error" in event, "id" in event, 0.19 < passed < 2)
                print("timed out" in event["error"] or "timeout" in event["error"])
                print(node.next(timeout=0)["type"], node.next(0.01)["type"])
                for timeout in (-1, float("nan"), float("inf")):
                    try:
                        node.next(timeout=timeout)
                    except ValueError:
                        print("ValueError")
                print(node.try_recv(), node.drain(), node.is_empty())
            """),
        })
        self.assertEqual(run.lines("node"), [
            "ERROR True False True", "True", "ERROR ERROR",
            "ValueError", "ValueError", "ValueError", "None [] True",
        ])

    def test_events_received_asynchronously(self):
        run = self.flow({
            "source": Node("""
                from dora import Node
                node = Node()
                for n in range(200):
                    node.send_output("x", b"%d" % n)
            """, outputs=["x"]),
            "sink": Node("""
                import asyncio
                from dora import Node
                node = Node()
                beats = 0

                async def heart():
                    global beats
                    while True:
                        beats += 1
                        await asyncio.sleep(0.001)

                async def main():
                    beating = asyncio.create_task(heart())
                    got = []
                    while (event := await node.recv_async()) is not None:
                        if event["type"] == "INPUT":
                            got.append(int(bytes(event["value"])))
                    print(got == list(range(200)))
                    beating.cancel()
                asyncio.run(main())
            """, inputs={"x": {"source": "source/x", "queue_policy": "backpressure"}}),
            "waiter": Node("""
                import asyncio
                from dora import Node
                node = Node()
                async def main():
                    event = await node.recv_async(timeout=0.05)
                    print(event["type"])
                    try:
                        await asyncio.wait_for(node.recv_async(), 0.05)
                    except asyncio.TimeoutError:
                        print("cancelled")
                asyncio.run(main())
            """),
        })
        self.assertEqual(run.lines("sink"), ["True"])
        self.assertEqual(run.lines("waiter"), ["ERROR", "cancelled"])

    def test_cancelled_awaits_lose_nothing(self):
        """T54, short."""
        run = self.flow({
            "source": Node("""
                import time
                from dora import Node
                node = Node()
                for n in range(300):
                    node.send_output("x", b"%d" % n)
                    time.sleep(0.0005)
            """, outputs=["x"]),
            "sink": Node("""
                import asyncio
                from dora import Node
                node = Node()
                async def main():
                    got = []
                    while True:
                        try:
                            event = await asyncio.wait_for(node.recv_async(), 0.0003)
                        except asyncio.TimeoutError:
                            continue
                        if event is None:
                            break
                        if event["type"] == "INPUT":
                            got.append(int(bytes(event["value"])))
                    print(got == list(range(300)), len(got))
                asyncio.run(main())
            """, inputs={"x": {"source": "source/x", "queue_size": 1000}}),
        })
        self.assertEqual(run.lines("sink"), ["True 300"])


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


class Requests(FlowTest):
    def test_an_answer_carries_the_id_of_its_request(self):
        run = self.flow({
            "client": Node("""
                import uuid
                from dora import Node
                node = Node()
                asked = [node.send_service_request("ask", b"%d" % n, {"n": n})
                         for n in range(3)]
                print([uuid.UUID(one).version for one in asked], len(set(asked)))
                for event in node:
                    if event["type"] == "INPUT":
                        metadata = event["metadata"]
                        print(asked.index(metadata["request_id"]), metadata["n"],
                              bytes(event["value"]))
                    if event["type"] == "INPUT" and metadata["n"] == 2:
                        break
            """, inputs={"answer": "server/answer"}, outputs=["ask"]),
            "server": Node("""
                from dora import Node
                node = Node()
                for event in node:
                    if event["type"] == "INPUT":
                        node.send_service_response("answer", event["value"],
                                                   event["metadata"])
            """, inputs={"ask": "client/ask"}, outputs=["answer"]),
        })
        self.assertEqual(run.lines("client"), [
            "[7, 7, 7] 3", "0 0 b'0'", "1 1 b'1'", "2 2 b'2'",
        ])

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

    def test_drain_ends_beside_a_fast_producer(self):
        run = self.flow({
            "source": Node("""
                from dora import Node
                node = Node()
                while node.try_recv() is None:
                    node.send_output("x", b"")
            """, outputs=["x"], inputs={"enough": "sink/enough"}),
            "sink": Node("""
                from dora import Node
                node = Node()
                for turn in range(100):
                    node.drain()
                node.send_output("enough", b"")
                print("drained")
            """, inputs={"x": "source/x"}, outputs=["enough"]),
        })
        self.assertEqual(run.lines("sink"), ["drained"])


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


class Outputs(FlowTest):
    def test_undeclared_outputs(self):
        """T11, c9: one warning, then silence; send_output_raw raises."""
        run = self.flow({
            "source": Node("""
                from dora import Node
                node = Node()
                for _ in range(5):
                    node.send_output("Image", b"1")
                    node.send_output("other", b"1")
                try:
                    node.send_output_raw("Image", 4)
                except RuntimeError as error:
                    print("image" in str(error))
                for name in ("", "a b", "/x", 'quote"'):
                    try:
                        node.send_output_raw(name, 4)
                    except RuntimeError as error:
                        print("error")
                node.send_output("image", b"right")
            """, outputs=["image"]),
            "sink": Node(TEXT_SINK, inputs={"x": "source/image"}),
        })
        self.assertEqual(run.lines("source")[:5], ["True"] + ["error"] * 4)
        self.assertEqual(run.lines("sink")[0], "right")
        warnings = [
            line for line in (run.out + run.err).splitlines() if "other" in line
        ]
        self.assertEqual(len(warnings), 1, run)

    def test_sending_to_nobody_costs_no_copy(self):
        """T11: no subscriber, all consumers gone."""
        run = self.flow({
            "source": Node("""
                import os, time
                from dora import Node
                node = Node()
                data = b"x" * 1_000_000
                for _ in range(1000):
                    node.send_output("unheard", data)
                sink = int(bytes(node.next()["value"]))
                node.send_output("x", b"seen")
                for event in node:
                    pass
                while sink != os.getpid() and os.path.exists(f"/proc/{sink}"):
                    time.sleep(0.001)
                for _ in range(1000):
                    node.send_output("x", data)
                print("fine")
            """, outputs=["x", "unheard"], inputs={"go": "sink/bye"}),
            "sink": Node("""
                import os
                from dora import Node
                node = Node()
                node.send_output("bye", b"%d" % os.getpid())
                node.next()
            """, inputs={"x": "source/x"}, outputs=["bye"]),
        })
        self.assertEqual(run.lines("source"), ["fine"])
        # A few may be sent between the end of the sink and the news of it.
        self.assertLess(run.node("source")["copied_bytes"], 100_000_000)

    def test_sending_after_stop_is_no_error(self):
        run = self.flow({
            "source": Node("""
                from dora import Node
                node = Node()
                for event in node:
                    if event["type"] == "STOP":
                        break
                node.send_output("x", b"after stop")
                print("sent")
            """, outputs=["x"], inputs={"tick": "dora/timer/millis/50"}),
            "sink": Node("""
                from dora import Node
                for event in Node(): pass
            """, inputs={"x": "source/x"}),
        }, args=["--stop-after", "300ms"])
        self.assertEqual(run.lines("source"), ["sent"])

    def test_send_while_another_thread_receives(self):
        """c14, T52: send_output from a thread while the main one is in
        next()."""
        run = self.flow({
            "pinger": Node("""
                import threading
                from dora import Node
                node = Node()
                def send():
                    for n in range(2000):
                        node.send_output("ping", b"%d" % n)
                thread = threading.Thread(target=send)
                thread.start()
                for n in range(2000):
                    assert int(bytes(node.next()["value"])) == n
                thread.join()
                print("all")
            """, inputs={"pong": {"source": "ponger/pong", "queue_size": 2000}},
                outputs=["ping"]),
            "ponger": Node("""
                from dora import Node
                node = Node()
                for event in node:
                    if event["type"] == "INPUT":
                        node.send_output("pong", event["value"])
            """, inputs={"ping": {"source": "pinger/ping",
                                  "queue_policy": "backpressure"}},
                outputs=["pong"]),
        })
        self.assertEqual(run.lines("pinger"), ["all"])

    def test_polling_while_another_thread_waits_in_next(self):
        """T53."""
        run = self.flow({
            "node": Node("""
                import threading, time
                from dora import Node
                node = Node()
                got = []
                thread = threading.Thread(target=lambda: got.append(node.next()))
                thread.start()
                longest = 0
                for _ in range(50):
                    begun = time.monotonic()
                    node.is_empty(), node.try_recv(), node.drain()
                    longest = max(longest, time.monotonic() - begun)
                    time.sleep(0.001)
                print(longest < 0.1)
                node.send_output("self", b"wake")
                thread.join()
                print(got[0]["type"])
            """, inputs={"self": "node/self"}, outputs=["self"]),
        })
        self.assertEqual(run.lines("node"), ["True", "INPUT"])


class Facts(FlowTest):
    def test_what_a_node_knows_of_itself_and_the_dataflow(self):
        """c13."""
        run = self.flow({
            "one": Node("""
                import datetime, os, uuid
                import dora
                from dora import Node
                node = Node()
                config = node.node_config()
                print(config["inputs"]["tick"], config["inputs"]["x"]["source"],
                      config["inputs"]["x"]["queue_size"], "out" in config["outputs"])
                graph = node.dataflow_descriptor()
                print([n["id"] for n in graph["nodes"]],
                      graph["nodes"][0]["inputs"]["x"]["source"])
                print(len(uuid.UUID(node.dataflow_id()).hex),
                      os.path.isdir("out/" + node.dataflow_id()))
                print(node.is_restart(), node.restart_count())
                now = datetime.datetime.now(datetime.timezone.utc)
                print(abs((node.timestamp() - now).total_seconds()) < 1)
                print(isinstance(dora.__version__, str), dora.DoraStatus.STOP.value)
            """, inputs={
                "tick": "dora/timer/millis/100",
                "x": {"source": "one/out", "queue_size": 7},
            }, outputs=["out"]),
        })
        self.assertEqual(run.lines("one"), [
            "dora/timer/millis/100 one/out 7 True",
            "['one'] one/out",
            "32 True",
            "False 0",
            "True",
            "True 1",
        ])

    def test_a_process_has_one_node(self):
        """Also after it has dropped its Node: it was told who it is."""
        run = self.flow({"only": Node("""
            from dora import Node
            node = Node()
            for turn in range(2):
                try:
                    Node()
                except RuntimeError as error:
                    print("already a Node for 'only'" in str(error))
                node = None
        """)})
        self.assertEqual(run.lines("only"), ["True", "True"])

    def test_node_outside_a_dataflow_raises(self):
        run = self.flow({
            "node": Node("""
                import os, subprocess, sys
                from dora import Node
                node = Node()
                code = "import dora\\ntry: dora.Node()\\nexcept RuntimeError: print('RuntimeError')"
                print(subprocess.run([sys.executable, "-c", code], capture_output=True,
                                     text=True, stdin=subprocess.DEVNULL))
                try:
                    Node()
                except RuntimeError as error:
                    print("second")
            """),
        })
        self.assertEqual(run.lines("node")[-1], "second")

    def test_import_dora_is_the_built_in_one(self):
        """An installed package named dora never shadows it; Node() imports
        no Python module."""
        self.write("dora/__init__.py", "raise ImportError('shadow')")
        run = self.flow({
            "node": Node("""
                import sys
                import dora
                before = set(sys.modules)
                node = dora.Node()
                print([name for name in set(sys.modules) - before
                       if str(getattr(sys.modules[name], "__file__", "")).endswith(".py")])
                print("pyarrow" in sys.modules)
            """),
        })
        self.assertEqual(run.lines("node"), ["[]", "False"])


class Logging(FlowTest):
    def test_levels_reach_screen_and_file(self):
        run = self.flow({
            "node": Node("""
                import logging
                from dora import Node
                node = Node()
                node.log("warn", "careful", target="me", fields={"a": "b"})
                node.log_error("bad")
                node.log_info("good")
                node.log_debug("detail")
                logging.warning("from logging")
                logging.getLogger("mine").error("named")
                print("plain")
            """),
        })
        records = {r["msg"]: r for r in run.records("node")}
        self.assertEqual(records["careful"]["level"], "warn")
        self.assertEqual(records["careful"]["target"], "me")
        self.assertEqual(records["careful"]["fields"], {"a": "b"})
        self.assertEqual(records["bad"]["level"], "error")
        self.assertEqual(records["good"]["level"], "info")
        self.assertEqual(records["from logging"]["level"], "warn")
        self.assertEqual(records["plain"]["level"], "stdout")
        for text in ("careful", "bad", "good", "from logging", "plain"):
            self.assertIn(text, run.out)

    def test_log_file_lines(self):
        run = self.flow({
            "node": Node("""
                import sys
                from dora import Node
                Node()
                print("to stdout")
                print("to stderr", file=sys.stderr)
                print("no newline", end="")
            """),
        })
        records = run.records("node")
        self.assertEqual(
            [(r["stream"], r["msg"]) for r in records if r["stream"] == "stdout"],
            [("stdout", "to stdout"), ("stdout", "no newline")],
        )
        self.assertIn("to stderr", [r["msg"] for r in records if r["stream"] == "stderr"])
        for record in records:
            self.assertEqual(
                set(record),
                {"ts", "level", "node", "stream", "msg", "target", "fields"},
            )
            self.assertEqual(record["node"], "node")
            self.assertRegex(
                record["ts"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"
            )

    def test_min_log_level_and_display_level(self):
        script = """
            from dora import Node
            node = Node()
            node.log_error("E1"); node.log_info("I1"); node.log_debug("D1"); print("raw1")
        """
        run = self.flow({"node": Node(script, min_log_level="info")})
        self.assertEqual([r["msg"] for r in run.records("node")], ["E1", "I1"])
        self.fresh()
        run = self.flow({"node": Node(script)}, args=["--log-level", "info"])
        self.assertIn("I1", run.out)
        self.assertNotIn("D1", run.out)
        self.assertNotIn("raw1", run.out)
        self.assertEqual(len(run.records("node")), 4)
