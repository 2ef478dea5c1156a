"""Sending: to nobody, after the end, beside other threads."""

from harness import FlowTest, Node, TEXT_SINK


class Outputs(FlowTest):
    def test_first_mistakes_are_told_what_to_do(self):
        run = self.flow({"node": Node("""
            from dora import Node
            node = Node()
            for call in (lambda: node.send_output("x", "text"),
                         lambda: node.send_output("x", [1, 2]),
                         lambda: node.next("soon")):
                try:
                    call()
                except (RuntimeError, TypeError) as error:
                    print(error)
        """, outputs=["x"])})
        self.assertEqual(run.lines("node"), [
            "invalid data type: str; send an Arrow array, pa.array([text]), or bytes",
            "invalid data type: list; send an Arrow array, pa.array(items), or bytes",
            "timeout must be a number of seconds or None, not str",
        ])

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
                for _ in range(50):
                    begun = time.monotonic()
                    node.is_empty(), node.try_recv(), node.drain()
                    print(begun, time.monotonic())
                    time.sleep(0.001)
                node.send_output("self", b"wake")
                thread.join()
                print(got[0]["type"])
            """, inputs={"self": "node/self"}, outputs=["self"]),
        })
        *polls, got = run.lines("node")
        for poll in polls:
            self.assert_within(0.1, *map(float, poll.split()))
        self.assertEqual(got, "INPUT")
