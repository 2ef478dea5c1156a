"""What receiving gives: events, ends, timeouts, answers."""

from harness import FlowTest, Node


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
                ended = time.monotonic()
                print(begun, ended)
                print(event["type"], "error" in event, "id" in event, ended - begun > 0.19)
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
        wait, *lines = run.lines("node")
        self.assert_within(2, *map(float, wait.split()))
        self.assertEqual(lines, [
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

    def test_a_loop_is_woken_after_another_has_ended(self):
        run = self.flow({
            "source": Node("""
                from dora import Node
                from probe import hear
                node = Node()
                hear("the other loop has ended")
                node.send_output("x", b"late")
            """, outputs=["x"]),
            "sink": Node("""
                import asyncio, threading
                from dora import Node
                from probe import tell
                node = Node()
                def other():
                    event = asyncio.run(node.recv_async(timeout=0.05))
                    print(event["type"])
                    tell("the other loop has ended")
                async def main():
                    waiting = asyncio.create_task(node.recv_async())
                    await asyncio.sleep(0)
                    thread = threading.Thread(target=other)
                    thread.start()
                    print(bytes((await waiting)["value"]))
                    thread.join()
                asyncio.run(main())
            """, inputs={"x": "source/x"}),
        })
        self.assertEqual(run.lines("sink"), ["ERROR", "b'late'"])

    def test_loops_in_threads_share_the_events(self):
        """None sleeps while there is one; each is told of the end."""
        run = self.flow({
            "source": Node("""
                from dora import Node
                node = Node()
                for n in range(400):
                    node.send_output("x", b"%d" % n)
                    if n % 20 == 0:
                        node.next(timeout=5)
            """, outputs=["x"], inputs={"ack": "sink/ack"}),
            "sink": Node("""
                import asyncio, threading
                from dora import Node
                node, got = Node(), []
                async def main():
                    while (event := await node.recv_async()) is not None:
                        if event["type"] == "INPUT":
                            n = int(bytes(event["value"]))
                            got.append(n)
                            if n % 20 == 0:
                                node.send_output("ack", b"")
                threads = [threading.Thread(target=asyncio.run, args=[main()])
                           for _ in range(3)]
                for thread in threads: thread.start()
                for thread in threads: thread.join()
                print(sorted(got) == list(range(400)))
            """, inputs={"x": {"source": "source/x", "queue_policy": "backpressure"}},
                outputs=["ack"]),
        })
        self.assertEqual(run.lines("sink"), ["True"])
        self.assertLess(run.own, 10)


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
