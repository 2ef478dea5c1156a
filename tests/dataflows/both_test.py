"""Outputs on which goes out what a node prints, and what it sends itself."""

import os

from harness import FlowTest, Node, settings

LOSSLESS = {"queue_policy": "backpressure", "queue_size": 4}

#: Tells lines (strings) from messages (bytes), checks the order of each, and
#: prints how many there were and every other event.
COUNTER = """
    from dora import Node
    lines = own = 0
    for event in Node():
        if event["type"] != "INPUT":
            print(event["type"], event["id"])
        elif event["value"].type == "string":
            number = int(event["value"][0].as_py().split()[1])
            assert number >= lines if {lossy} else number == lines, (number, lines)
            lines = number + 1
        else:
            number = int(bytes(event["value"]))
            assert number >= own if {lossy} else number == own, (number, own)
            own = number + 1
    print("lines", lines, "own", own)
"""


def counter(lossy=False):
    return COUNTER.format(lossy=lossy)


class Both(FlowTest):
    def test_each_in_its_order_to_two_readers(self):
        """A lossless one and one that may miss some, not the last."""
        run = self.flow({
            "talker": Node("""
                from dora import Node
                node = Node()
                for n in range(2000):
                    print("line", n)
                    node.send_output("out", b"%d" % n)
            """, outputs=["out"], send_stdout_as="out"),
            "all": Node(counter(), inputs={"out": {"source": "talker/out", **LOSSLESS}}),
            "some": Node(counter(lossy=True),
                         inputs={"out": {"source": "talker/out", "queue_size": 3}}),
        })
        end = ["INPUT_CLOSED out", "STOP ALL_INPUTS_CLOSED", "lines 2000 own 2000"]
        self.assertEqual(run.lines("all"), end)
        self.assertEqual(run.lines("some"), end)
        self.assert_accounted(run)
        self.assertEqual(run.edge("all/out")["delivered"], 4000)
        self.assertEqual(run.edge("some/out")["sent"], 4000)

    def test_records_too(self):
        run = self.flow({
            "talker": Node("""
                from dora import Node
                node = Node()
                node.log("info", "a record")
                node.send_output("out", b"its own")
            """, outputs=["out"], send_logs_as="out"),
            "reader": Node("""
                from dora import Node
                for event in Node():
                    if event["type"] == "INPUT":
                        text = event["value"].type == "string"
                        print("a record" in event["value"][0].as_py() if text
                              else bytes(event["value"]))
            """, inputs={"out": "talker/out"}),
        })
        self.assertEqual(sorted(run.lines("reader")), ["True", "b'its own'"])

    def test_a_sender_that_waits_is_heard_printing(self):
        """Its own queue is full: what it prints has another one."""
        run = self.flow({
            "talker": Node("""
                import threading
                from dora import Node
                from probe import hear
                node = Node()
                def speak():
                    hear("full")
                    print("line 0", flush=True)
                thread = threading.Thread(target=speak)
                thread.start()
                for n in range(50):
                    node.send_output("out", b"%d" % n)
                thread.join()
            """, outputs=["out"], send_stdout_as="out"),
            "reader": Node("""
                from dora import Node
                from probe import hear, tell
                node = Node()
                tell("full")
                hear("the line was read")
                lines = own = 0
                for event in node:
                    if event["type"] == "INPUT":
                        if event["value"].type == "string":
                            lines += 1
                        else:
                            assert int(bytes(event["value"])) == own
                            own += 1
                print("lines", lines, "own", own)
            """, inputs={"out": {"source": "talker/out", **LOSSLESS}}),
            "other": Node("""
                from dora import Node
                from probe import tell
                for event in Node():
                    if event["type"] == "INPUT" and event["value"].type == "string":
                        tell("the line was read")
            """, inputs={"out": "talker/out"}),
        })
        self.assertEqual(run.lines("reader")[-1], "lines 1 own 50")
        self.assert_accounted(run)
        self.assertEqual(run.edge("reader/out")["dropped"], 0)

    def test_stop_ends_a_send_that_waits(self):
        running = self.start({
            "talker": Node("""
                from dora import Node
                node = Node()
                print("line 0")
                for n in range(10):
                    node.send_output("out", b"x")
                print("goes on")
            """, outputs=["out"], send_stdout_as="out"),
            "reader": Node("""
                from dora import Node
                from probe import hear
                node = Node()
                print("does not read", flush=True)
                hear("stop")
            """, inputs={"out": {"source": "talker/out", **LOSSLESS}}),
            "ender": Node("""
                from dora import Node
                from probe import tell
                for event in Node():
                    pass
                tell("stop")
            """, inputs={"tick": "dora/timer/hz/1"}),
        })
        running.expect("does not read")
        running.signal()
        run = self.ended(running)
        self.assertEqual(run.lines("talker"), ["line 0", "goes on"])
        self.assert_accounted(run)

    def test_a_failure_and_the_end_are_told_once(self):
        """What it sent and what it printed before SIGKILL comes first."""
        run = self.flow({
            "talker": Node("""
                import os
                from dora import Node
                node = Node()
                for n in range(100):
                    print("line", n)
                    node.send_output("out", b"%d" % n)
                os.kill(os.getpid(), 9)
            """, outputs=["out"], send_stdout_as="out", isolation="process"),
            "reader": Node(counter() + """
    if event["type"] == "NODE_FAILED":
        print(event["value"]["affected_input_ids"])
            """, inputs={"out": {"source": "talker/out", **LOSSLESS}}),
        }, code=1)
        self.assertEqual(run.lines("reader"), [
            "NODE_FAILED talker", "INPUT_CLOSED out", "STOP ALL_INPUTS_CLOSED",
            "lines 100 own 100"])
        self.assert_accounted(run)

    def test_a_closed_node_still_prints(self):
        """The input closes when neither can come any more."""
        run = self.flow({
            "talker": Node("""
                from dora import Node
                node = Node()
                node.send_output("out", b"0")
                del node
                print("line 0")
            """, outputs=["out"], send_stdout_as="out"),
            "reader": Node(counter(), inputs={"out": "talker/out"}),
        })
        self.assertEqual(run.lines("reader"), [
            "INPUT_CLOSED out", "STOP ALL_INPUTS_CLOSED", "lines 1 own 1"])

    def test_a_restarted_source(self):
        run = self.flow({
            "talker": Node("""
                import os
                from dora import Node
                node = Node()
                first = 3 * node.restart_count()
                for n in range(first, first + 3):
                    print("line", n, flush=True)
                    node.send_output("out", b"%d" % n)
                if first == 0:
                    os.kill(os.getpid(), 9)
            """, outputs=["out"], send_stdout_as="out", isolation="process",
                inputs={"tick": "dora/timer/secs/3600"},
                restart_policy="on-failure", max_restarts=1),
            "reader": Node(counter().replace(
                'print(event["type"]', 'print(lines, own, event["type"]'),
                inputs={"out": "talker/out"}),
        })
        self.assertEqual(run.lines("reader"), [
            "3 3 NODE_RESTARTED talker", "6 6 INPUT_CLOSED out",
            "6 6 STOP ALL_INPUTS_CLOSED", "lines 6 own 6"])

    def test_a_restarted_reader_finds_both_queues(self):
        """All that it has not taken: its first life takes one message."""
        run = self.flow({
            "talker": Node("""
                from dora import Node
                from probe import hear
                node = Node()
                for n in range(5):
                    print("line", n, flush=True)
                    node.send_output("out", b"%d" % n)
                node.send_output("done", b"")
                hear("it is back")
            """, outputs=["out", "done"], send_stdout_as="out"),
            "reader": Node("""
                import os
                from dora import Node
                from probe import hear, tell
                node = Node()
                if node.restart_count() == 0:
                    hear("all was sent")
                    value = node.next()["value"]
                    print("first", flush=True)
                    os.kill(os.getpid(), 9)
                tell("it is back")
                kinds = [event["value"].type == "string" for event in node
                         if event["type"] == "INPUT"]
                print(sum(kinds), len(kinds))
            """, inputs={"out": "talker/out"}, isolation="process",
                restart_policy="on-failure", max_restarts=1),
            "watch": Node("""
                from dora import Node
                from probe import tell
                node = Node()
                for n in range(11):
                    node.next()
                tell("all was sent")
            """, inputs={"out": "talker/out", "done": "talker/done"}),
        })
        self.assertEqual(run.lines("reader")[0], "first")
        self.assertIn(run.lines("reader")[1], ("4 9", "5 9"))
        self.assert_accounted(run)
        self.assertEqual(run.edge("reader/out")["delivered"], 10)

    def test_input_timeout_hears_either(self):
        """Silence is that of both; the input is told of once."""
        run = self.flow({
            "talker": Node("""
                import time
                from dora import Node
                from probe import hear
                node = Node()
                for n in range(4):
                    time.sleep(0.2)
                    if n % 2:
                        print("line", n // 2, flush=True)
                    else:
                        node.send_output("out", b"%d" % (n // 2))
                hear("silence was told")
                node.send_output("out", b"2")
            """, outputs=["out"], send_stdout_as="out"),
            "reader": Node("""
                from dora import Node
                from probe import tell
                node, silent = Node(), False
                for event in node:
                    print(event["type"], event["id"], flush=True)
                    if event["type"] == "INPUT_CLOSED" and not silent:
                        silent = True
                        tell("silence was told")
            """, inputs={"out": {"source": "talker/out", "input_timeout": 2.5}}),
        })
        self.assertEqual(run.lines("reader"), 4 * ["INPUT out"] + [
            "INPUT_CLOSED out", "INPUT_RECOVERED out", "INPUT out",
            "INPUT_CLOSED out", "STOP ALL_INPUTS_CLOSED"])

    def test_one_started_by_hand_gets_both(self):
        """What is sent and printed from its Node() on."""
        running = self.start({
            "talker": Node("""
                from dora import Node
                node, n = Node(), 0
                for event in node:
                    if event["type"] == "INPUT":
                        print("line", n, flush=True)
                        node.send_output("out", b"%d" % n)
                        n += 1
            """, inputs={"tick": "dora/timer/millis/10"}, outputs=["out"],
                send_stdout_as="out"),
            "hand": Node(path="dynamic", inputs={"out": {
                "source": "talker/out", "queue_policy": "backpressure"}}),
        })
        running.expect("talker: line 20")
        for _ in range(2):  # it may come again
            self.write("by_hand.py", """
                from dora import Node
                node, first = Node(), {}
                while len(first) < 2:
                    value = node.next()["value"]
                    text = value.type == "string"
                    number = int(value[0].as_py().split()[1] if text else bytes(value))
                    first.setdefault(text, number)
                print(all(number >= 20 for number in first.values()))
            """)
            hand = self.command("node", "--id", "hand", "--python", settings.python,
                                os.path.join(self.directory, "by_hand.py"))
            self.assertEqual(hand.stdout, "True\n", hand)
        running.signal()
        self.assert_accounted(self.ended(running))
