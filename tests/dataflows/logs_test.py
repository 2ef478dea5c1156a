"""What nodes print and log, as messages to other nodes."""

import json

from harness import FlowTest, Node

#: Prints the text of every message, then how the stream went on.
READER = """
    from dora import Node
    for event in Node():
        if event["type"] == "INPUT":
            assert len(event["value"]) == 1 and event["value"].type == "string"
            print(event["id"], repr(event["value"][0].as_py()))
        else:
            print(event["type"], event["id"])
"""

#: Prints level, node and message of every record.
RECORDS = """
    import json
    from dora import Node
    for event in Node():
        if event["type"] == "INPUT":
            entry = json.loads(event["value"].to_pylist()[0])
            print(event["id"], entry["level"], entry["node_id"], entry["message"])
        else:
            print(event["type"], event["id"])
"""

LOSSLESS = {"queue_policy": "backpressure", "queue_size": 4}


class Stdout(FlowTest):
    def test_every_byte_before_a_death_and_then_the_end(self):
        """Thousands of lines, more than pipe and queue hold, and half of one;
        then SIGKILL."""
        run = self.flow({
            "talker": Node("""
                import os, sys
                from dora import Node
                node = Node()
                for n in range(20000):
                    print(f"line {n} " + "x" * 90)
                sys.stdout.write("half of one")
                os.kill(os.getpid(), 9)
            """, outputs=["out"], send_stdout_as="out", isolation="process"),
            "reader": Node("""
                from dora import Node
                count = 0
                for event in Node():
                    if event["type"] == "INPUT":
                        text = event["value"][0].as_py()
                        if text == f"line {count} " + "x" * 90 + "\\n":
                            count += 1
                        else:
                            print(repr(text))
                    else:
                        print(count, event["type"], event["id"])
            """, inputs={"out": {"source": "talker/out", **LOSSLESS}}),
        }, code=1)
        self.assertEqual(run.lines("reader"), [
            "'half of one\\n'", "20000 NODE_FAILED talker",
            "20000 INPUT_CLOSED out", "20000 STOP ALL_INPUTS_CLOSED",
        ])
        self.assert_accounted(run)
        self.assertEqual(len(run.lines("talker")), 20001)

    def test_both_streams_are_heard_and_one_failure_is_told(self):
        """Of a node that is heard both ways: NODE_FAILED once, for all."""
        run = self.flow({
            "talker": Node("""
                import sys
                from dora import Node
                node = Node()
                print("to stdout", flush=True)
                print("to stderr", file=sys.stderr, flush=True)
                node.send_output("data", b"x")
                sys.stdout.buffer.write(b"bad \\xff byte\\n\\n")
                sys.exit(3)
            """, outputs=["out", "data"], send_stdout_as="out"),
            "reader": Node("""
                from dora import Node
                for event in Node():
                    if event["type"] == "INPUT":
                        if event["id"] == "out":
                            print(repr(event["value"][0].as_py()))
                    elif event["type"] == "NODE_FAILED":
                        print(event["type"], event["value"]["affected_input_ids"])
                    else:
                        print(event["type"], event["id"])
            """, inputs={"out": "talker/out", "data": "talker/data"}),
        }, code=1)
        lines = run.lines("reader")
        self.assertEqual(sorted(l for l in lines if l[0] == "'" and "{" not in l), [
            "'\\n'", "'bad \N{REPLACEMENT CHARACTER} byte\\n'",
            "'to stderr\\n'", "'to stdout\\n'",
        ])
        self.assertEqual(sum(line.startswith("NODE_FAILED") for line in lines), 1)
        self.assertIn("NODE_FAILED ['data', 'out']", lines)
        self.assertEqual(lines[-1], "STOP ALL_INPUTS_CLOSED")

    def test_a_full_queue_drops_its_oldest_and_nobody_waits(self):
        run = self.flow({
            "talker": Node("""
                from dora import Node
                node = Node()
                for n in range(50000):
                    print("line", n)
                node.send_output("done", b"")
            """, outputs=["out", "done"], send_stdout_as="out"),
            "sleeper": Node("""
                from dora import Node
                from probe import hear, tell
                node = Node()
                hear("over")
                for event in node:
                    if event["type"] == "INPUT":
                        print(event["value"][0].as_py().strip())
            """, inputs={"out": {"source": "talker/out", "queue_size": 3}}),
            "watch": Node("""
                from dora import Node
                from probe import tell
                for event in Node():
                    if event["type"] == "INPUT_CLOSED" and event["id"] == "out":
                        tell("over")
            """, inputs={"done": "talker/done", "out": "talker/out"}),
        })
        self.assertEqual(run.lines("sleeper"), [f"line {n}" for n in (49997, 49998, 49999)])
        self.assert_accounted(run)
        self.assertEqual(run.edge("sleeper/out")["dropped"], 49997)

    def test_a_slow_reader_stops_its_node_and_nobody_else(self):
        """The lossless reader of `talker` sleeps; `other` prints more than all
        pipes hold, and ends."""
        run = self.flow({
            "talker": Node("""
                from dora import Node
                node = Node()
                for n in range(30000):
                    print("x" * 100)
            """, outputs=["out"], send_stdout_as="out"),
            "other": Node("""
                from dora import Node
                node = Node()
                for n in range(30000):
                    print("y" * 100)
                node.send_output("done", b"")
            """, outputs=["done"]),
            "reader": Node("""
                from dora import Node
                from probe import hear
                node, count = Node(), 0
                for event in node:
                    if event["type"] == "INPUT_CLOSED" and event["id"] == "done":
                        break
                    if event["type"] == "INPUT" and event["id"] == "out":
                        count += 1
                        if count == 10:
                            hear("other is over")
                print("slept")
                for event in node:
                    count += event["type"] == "INPUT"
                print(count)
            """, inputs={"out": {"source": "talker/out", **LOSSLESS},
                         "done": "other/done"}),
            "watch": Node("""
                from dora import Node
                from probe import tell
                for event in Node():
                    if event["type"] == "INPUT_CLOSED":
                        tell("other is over")
            """, inputs={"done": "other/done"}),
        })
        self.assertEqual(run.lines("reader")[0], "slept")
        self.assertIn(run.lines("reader")[1], ("30000", "30001"))
        self.assertEqual(run.edge("reader/out")["dropped"], 0)
        self.assertEqual(run.edge("reader/out")["delivered"], 30000)

    def test_stop_finds_who_waits_for_a_reader(self):
        running = self.start({
            "talker": Node("""
                from dora import Node
                node = Node()
                while True:
                    print("x" * 1000)
            """, outputs=["out"], send_stdout_as="out", isolation="process"),
            "reader": Node("""
                import signal
                from dora import Node
                node = Node()
                node.next()
                print("stuck", flush=True)
                while not (event := node.next())["type"] == "STOP":
                    signal.pause()
            """, inputs={"out": {"source": "talker/out", **LOSSLESS}},
                isolation="process"),
        })
        running.expect("stuck")
        running.signal()
        running.expect("stopping")
        running.signal()
        run = self.ended(running, 1)
        self.assertLess(run.own, 15)

    def test_lines_of_two_incarnations(self):
        run = self.flow({
            "talker": Node("""
                import os, sys
                from dora import Node
                node = Node()
                for n in range(3):
                    print(node.restart_count(), n)
                sys.stdout.write("half")
                sys.stdout.flush()
                if node.restart_count() == 0:
                    os.kill(os.getpid(), 9)
            """, outputs=["out"], send_stdout_as="out", isolation="process",
                inputs={"tick": "dora/timer/secs/3600"},
                restart_policy="on-failure", max_restarts=1),
            "reader": Node(READER, inputs={"out": "talker/out"}),
        })
        self.assertEqual(run.lines("reader"), [
            "out '0 0\\n'", "out '0 1\\n'", "out '0 2\\n'", "out 'half\\n'",
            "NODE_RESTARTED talker",
            "out '1 0\\n'", "out '1 1\\n'", "out '1 2\\n'", "out 'half\\n'",
            "INPUT_CLOSED out", "STOP ALL_INPUTS_CLOSED",
        ])

    def test_a_closed_node_is_heard_until_it_ends(self):
        run = self.flow({
            "talker": Node("""
                from dora import Node
                from probe import hear
                node = Node()
                del node
                hear("data is closed")
                print("still here")
            """, outputs=["out", "data"], send_stdout_as="out"),
            "reader": Node("""
                from dora import Node
                from probe import tell
                for event in Node():
                    print(event["type"], event["id"])
                    if event["type"] == "INPUT_CLOSED" and event["id"] == "data":
                        tell("data is closed")
            """, inputs={"out": "talker/out", "data": "talker/data"}),
        })
        self.assertEqual(run.lines("reader"), [
            "INPUT_CLOSED data", "INPUT out", "INPUT_CLOSED out",
            "STOP ALL_INPUTS_CLOSED",
        ])

    def test_what_is_printed_before_the_barrier_is_not_lost(self):
        """Its reader cannot read yet; it must not be waited for."""
        run = self.flow({
            "talker": Node("""
                for n in range(20000):
                    print("x" * 100)
                from dora import Node
                node = Node()
            """, outputs=["out"], send_stdout_as="out"),
            "reader": Node("""
                from dora import Node
                print(sum(event["type"] == "INPUT" for event in Node()))
            """, inputs={"out": {"source": "talker/out", **LOSSLESS}}),
        })
        self.assertEqual(run.lines("reader"), ["20000"])

    def test_a_program_that_does_not_take_part_is_heard(self):
        run = self.flow({
            "date": Node(path="sh", args="-c 'echo one; echo two >&2'",
                         outputs=["out"], send_stdout_as="out"),
            "reader": Node(READER, inputs={"out": "date/out"}),
        })
        lines = run.lines("reader")
        self.assertEqual(sorted(lines[:2]), ["out 'one\\n'", "out 'two\\n'"])
        self.assertEqual(lines[2:], ["INPUT_CLOSED out", "STOP ALL_INPUTS_CLOSED"])


class Records(FlowTest):
    SPEAKER = """
        from dora import Node
        node = Node()
        for level in ("error", "warn", "info", "debug", "trace"):
            node.log(level, level.title())
        print("plain")
    """

    def heard(self, run, node, of):
        return [line.removeprefix(of + " ") for line in run.lines(node)
                if line.startswith(of + " ")]

    def test_levels(self):
        """`send_logs_as` and `dora/logs`, below `min_log_level` and their own."""
        run = self.flow({
            "a": Node(self.SPEAKER, outputs=["logs"], send_logs_as="logs"),
            "b": Node(self.SPEAKER, outputs=["logs"], send_logs_as="logs",
                      min_log_level="info"),
            "reader": Node(RECORDS, inputs={
                "a": "a/logs", "b": "b/logs", "all": {"source": "dora/logs",
                                                      "queue_size": 100},
                "warn": "dora/logs/warn", "of_b": "dora/logs/stdout/b",
                "own": "dora/logs/stdout/reader",
            }),
        }, args=["--exit-when-nodes-finish"])
        levels = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"]
        of_a = [f"{l} a {l.title()}" for l in levels] + ["stdout a plain"]
        of_b = [f"{l} b {l.title()}" for l in levels[:3]]
        self.assertEqual(self.heard(run, "reader", "a"), of_a)
        self.assertEqual(self.heard(run, "reader", "b"), of_b)
        self.assertEqual(self.heard(run, "reader", "of_b"), of_b)
        self.assertEqual(sorted(self.heard(run, "reader", "all")), sorted(of_a + of_b))
        self.assertEqual(sorted(self.heard(run, "reader", "warn")),
                         sorted(of_a[:2] + of_b[:2]))
        self.assertEqual(self.heard(run, "reader", "own"), [])
        self.assert_accounted(run)

    def test_lines_and_records_on_one_output(self):
        run = self.flow({
            "a": Node("""
                from dora import Node
                node = Node()
                print("plain")
            """, outputs=["x"], send_logs_as="x", send_stdout_as="x"),
            "reader": Node(READER, inputs={"x": "a/x"}),
        })
        lines = run.lines("reader")
        self.assertEqual(lines[0], "x 'plain\\n'")
        entry = json.loads(eval(lines[1].removeprefix("x ")))
        self.assertEqual(entry["message"], "plain")
        self.assertEqual(entry["level"], "stdout")
        self.assertEqual(lines[2:], ["INPUT_CLOSED x", "STOP ALL_INPUTS_CLOSED"])

    def test_logs_never_close(self):
        """As a timer: a node that has them runs until it is stopped."""
        running = self.start({
            "a": Node(self.SPEAKER),
            "reader": Node(RECORDS, inputs={"all": "dora/logs"}),
        })
        running.expect("all stdout a plain")
        running.signal()
        run = self.ended(running)
        self.assertEqual(run.lines("reader")[-1], "STOP MANUAL")

    def test_a_record_keeps_target_and_fields(self):
        run = self.flow({
            "a": Node("""
                from dora import Node
                node = Node()
                node.log("info", "it is \\"so\\"\\nin two lines", "my.logger",
                         {"key": "\N{SNOWMAN}"})
            """, outputs=["logs"], send_logs_as="logs"),
            "reader": Node("""
                import json
                from dora import Node
                for event in Node():
                    if event["type"] == "INPUT":
                        print([json.loads(event["value"][0].as_py())])
            """, inputs={"logs": "a/logs"}),
        })
        (entry,), = map(eval, run.lines("reader"))
        self.assertEqual(entry["message"], 'it is "so"\nin two lines')
        self.assertEqual(entry["target"], "my.logger")
        self.assertEqual(entry["fields"], {"key": "\N{SNOWMAN}"})
        self.assertRegex(entry["timestamp"], r"^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z$")


class Logging(FlowTest):
    def record(self, script):
        run = self.flow({"a": Node(script)})
        return [(r["level"], r["target"], r["msg"]) for r in run.records("a")]

    def test_bridge_when_logging_is_imported_after_node(self):
        self.assertEqual(self.record("""
            from dora import Node
            import sys
            assert "logging" not in sys.modules
            before = list(sys.meta_path)
            node = Node()
            import logging
            assert sys.meta_path == before
            assert "exec_module" not in vars(logging.__spec__.loader)
            logging.info("by the module")
            logging.getLogger("mine").warning("by a logger")
            logging.debug("not shown")
        """), [("info", "root", "by the module"), ("warn", "mine", "by a logger")])

    def test_bridge_when_logging_was_imported_before_node(self):
        self.assertEqual(self.record("""
            import logging
            from dora import Node
            node = Node()
            logging.basicConfig(level=logging.DEBUG)
            logging.debug("shown")
            try:
                1 / 0
            except ZeroDivisionError:
                logging.exception("caught")
        """)[0], ("debug", "root", "shown"))

    def test_the_bridge_does_not_keep_the_node(self):
        self.assertEqual(self.record("""
            import logging
            from dora import Node
            node = Node()
            logging.info("through the node")
            del node
            logging.warning("without it")
        """), [("info", "root", "through the node"), ("stdout", None, "without it")])

    def test_its_records_are_messages_with_their_level(self):
        run = self.flow({
            "processor": Node("""
                import logging
                from dora import Node
                node = Node()
                logging.info("below")
                logging.warning("odd %d", 1)
                logging.error("bad")
            """, outputs=["entries"], send_logs_as="entries", min_log_level="warn"),
            "monitor": Node(RECORDS, inputs={"logs": "processor/entries"}),
        })
        self.assertEqual(run.lines("monitor")[:2], [
            "logs WARN processor odd 1", "logs ERROR processor bad"])


class Values(FlowTest):
    def test_a_text_is_an_array_of_one_string(self):
        run = self.flow({
            "a": Node("print('gr\\u00fc\\u00df')\nfrom dora import Node\nnode = Node()",
                      outputs=["out"], send_stdout_as="out"),
            "b": Node("""
                from dora import Node
                node = Node()
                for event in node:
                    if event["type"] == "INPUT":
                        v = event["value"]
                        text = "gr\\u00fc\\u00df\\n"
                        assert len(v) == 1 and v.to_pylist() == [text]
                        assert v.type == "string" and str(v.type) == "string"
                        assert v[0].as_py() == text and v[-1] == text and list(v)[0] == text
                        assert str(v[0]) == text and hash(v[0]) == hash(text)
                        assert v.buffers()[2] == text.encode() and v.nbytes == 7
                        assert v.null_count == 0 and v == v[0:1] and v != v[1:]
                        assert len(v[1:]) == 0 and v[1:].to_pylist() == []
                        assert len(v.buffers()) == 3
                        for wrong in (lambda: v[1], lambda: int(v[0]), v.to_numpy,
                                      lambda: memoryview(v)):
                            try:
                                wrong()
                            except (IndexError, ValueError, BufferError):
                                pass
                            else:
                                raise AssertionError
                        print(str(v))
                        node.send_output("on", v)
            """, inputs={"x": "a/out"}, outputs=["on"]),
            "c": Node(READER, inputs={"x": "b/on"}),
        }, env={"PYTHONIOENCODING": "utf-8"})
        self.assertEqual(run.lines("b"), ["[", '  "gr\u00fc\u00df\\n"', "]"])
        self.assertEqual(run.lines("c")[0], "x 'gr\u00fc\u00df\\n'")

    def test_numpy_has_it_as_an_object(self):
        run = self.flow({
            "a": Node("from dora import Node\nnode = Node()\nprint('x')",
                      outputs=["out"], send_stdout_as="out"),
            "b": Node("""
                import numpy
                from dora import Node
                for event in Node():
                    if event["type"] == "INPUT":
                        array = event["value"].to_numpy(zero_copy_only=False)
                        print(array.dtype, array.tolist(), numpy.asarray(event["value"]).shape)
            """, inputs={"x": "a/out"}, numpy=True),
        })
        self.assertEqual(run.lines("b"), ["object ['x\\n'] (1,)"])
