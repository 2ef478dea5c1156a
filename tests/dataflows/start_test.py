"""The start: nobody's first message is lost, and whoever cannot start is
named."""

import os
import resource
import time

from harness import (FlowTest, Node, TEXT_SINK, either, has_long_form, settings,
                     tier)


class FirstMessage(FlowTest):
    @has_long_form
    def test_consumers_that_are_slow_to_import_get_it(self):
        """T33, c21. Whom all wait for is said; then nothing more is waited for."""
        sink = """
            import {what}
            from dora import Node
            for event in Node():
                if event["type"] == "INPUT":
                    print(bytes(event["value"]).decode())
        """
        self.write("heavy.py", "from probe import hear\nhear('imported')\n")
        inputs = {"x": {"source": "source/x", "queue_size": 100}}
        running = self.start({
            "source": Node("""
                from dora import Node
                node = Node()
                for n in range(3):
                    node.send_output("x", b"#%d" % n)
            """, outputs=["x"]),
            "light": Node(sink.format(what="sys"), inputs=inputs),
            "slow": Node(sink.format(what="heavy"), inputs=inputs),
        })
        running.expect("waiting for `slow` to join the dataflow")
        time.sleep(either(0, 20))
        begun = time.monotonic()
        self.tell("imported")
        run = self.ended(running)
        self.assert_within(2, begun)
        for name in ("light", "slow"):
            self.assertEqual(run.lines(name), ["#0", "#1", "#2"])

    def test_no_stall_in_the_time_line(self):
        run = self.flow({
            "source": Node("""
                from dora import Node
                Node().send_output("x", b"1")
            """, outputs=["x"]),
            "sink": Node(TEXT_SINK, inputs={"x": "source/x"}),
        })
        self.assertEqual(run.lines("sink")[0], "1")
        self.assertLess(run.own, 3)

    def test_others_may_run_while_one_waits_for_the_barrier(self):
        """T36: Node() releases the GIL and can be interrupted."""
        run = self.flow({
            "late": Node("""
                from probe import hear
                hear("counted")
                from dora import Node
                Node()
            """),
            "node": Node("""
                import resource, signal, threading, time
                from dora import Node
                from probe import tell

                class Alarm(Exception):
                    pass

                def alarm(*_):
                    raise Alarm

                signal.signal(signal.SIGALRM, alarm)
                long = []
                over = False
                def now():
                    switches = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
                    return time.monotonic(), switches
                # From when to when it had to wait for the GIL for long: when it is
                # only taken off the processor, nobody blocks it.
                def count():
                    last, blocked = now()
                    while not over:
                        this, switches = now()
                        if switches > blocked and this - last > 0.05:
                            long.append([last, this])
                        last, blocked = this, switches
                thread = threading.Thread(target=count)
                thread.start()
                signal.setitimer(signal.ITIMER_REAL, 0.5)
                begun = time.monotonic()
                try:
                    Node()
                except Alarm:
                    print([begun, time.monotonic()])
                over = True
                thread.join()
                tell("counted")
                print(long)
                Node()
                print('"joined"')
            """),
        })
        interrupted, long, joined = run.values("node")
        self.assert_within(0.6, *interrupted)
        for wait in long:
            self.assert_within(0.05, *wait)
        self.assertEqual(joined, "joined")


class CannotStart(FlowTest):
    """T34."""

    GOOD = """
        from dora import Node
        try:
            Node()
            print("joined")
        except RuntimeError as error:
            print("RuntimeError", "`bad` ended before" in str(error))
            raise
    """

    def fails(self, script, *words):
        run = self.flow(
            {"bad": Node(script), "good": Node(self.GOOD)}, code=1, timeout=20
        )
        self.assertEqual(run.lines("good"), ["RuntimeError True"])
        for word in ("[ERROR]", "bad", *words):
            self.assertIn(word, run.err)
        self.assertNotIn("Node `good` failed", run.err)
        return run

    def test_exit_before_joining(self):
        self.fails("import sys; sys.exit(1)", "code 1")

    def test_success_before_joining(self):
        self.fails("print('not a node')")

    def test_import_error(self):
        self.fails("import no_such_module_zz", "no_such_module_zz", "ModuleNotFoundError")

    def test_syntax_error(self):
        self.fails("def (", "SyntaxError")

    def test_crash_before_joining(self):
        self.fails("import os; os.kill(os.getpid(), 11)", "SIGSEGV")

    def test_two_that_fail_are_two_failures(self):
        """Also the one that failed when nobody could join any more."""
        running = self.start({
            "first": Node("""
                from probe import hear
                hear("second is there")
                raise SystemExit(1)
            """),
            "second": Node("""
                from probe import hear, tell
                tell("second is there")
                hear("first's end is known")
                raise SystemExit(3)
            """),
        })
        running.expect("first: exited with code 1")
        self.tell("first's end is known")
        run = self.ended(running, 1)
        self.assertIn("Node `first` failed: exited with code 1", run.err)
        self.assertIn("Node `second` failed: exited with code 3", run.err)
        self.assertEqual(run.node("second")["exit"], "code")

    def test_missing_file(self):
        run = self.flow(
            {"bad": Node(path="no_such.py"), "good": Node(self.GOOD)}, code=1
        )
        self.assertIn("no_such.py", run.err)
        self.assertRegex(run.err, r"flow\.yml:\d+:\d+")
        self.assertEqual(run.lines("good"), [])

    def test_not_executable(self):
        self.write("tool.sh", "#!/bin/sh\n", mode=0o644)
        run = self.flow({"bad": Node(path="tool.sh")}, code=1)
        self.assertIn("tool.sh", run.err)

    def test_missing_interpreter(self):
        run = self.flow({"bad": Node("x", python="/no/such/python3")}, code=1)
        self.assertIn("/no/such/python3", run.err)

    def test_wrong_interpreter_script(self):
        self.write("tool", "#!/no/such/shell\n", mode=0o755)
        run = self.flow({"bad": Node(path="tool")}, code=1)
        self.assertIn("bad", run.err)


class Descriptors(FlowTest):
    def test_few_descriptors_are_needed(self):
        """T16: the number of them does not grow with edges and messages."""
        run = self.flow({
            "source": Node("""
                import os
                from dora import Node
                node = Node()
                before = len(os.listdir("/proc/self/fd"))
                for n in range(2000):
                    for o in range(10):
                        node.send_output(f"o{o}", b"x")
                print(before, len(os.listdir("/proc/self/fd")) - before)
            """, outputs=[f"o{n}" for n in range(10)]),
            "sink": Node("""
                import os
                from dora import Node
                node = Node()
                before = len(os.listdir("/proc/self/fd"))
                for event in node: pass
                print(before, len(os.listdir("/proc/self/fd")) - before)
            """, inputs={f"i{n}": f"source/o{n}" for n in range(10)}),
        }, popen={"preexec_fn": lambda: resource.setrlimit(
            resource.RLIMIT_NOFILE, (64, 64))})
        for node in ("source", "sink"):
            before, grown = map(int, run.lines(node)[0].split())
            # Inside dora-run they are those of all nodes, and its own; one
            # opens a directory or a script while another counts.
            inside = run.node(node)["tier"] == "interpreter"
            self.assertLess(before, 40 if inside else 16)
            self.assertLessEqual(grown, 3 if inside else 0)

    def test_too_few_are_refused_before_anything_runs(self):
        """T16: wherever in the start they run out."""
        for limit in range(7, 22, 3):
            with self.subTest(limit=limit):
                self.fresh()
                run = self.flow({
                    "source": Node("print('runs')", outputs=["x"]),
                    "sink": Node("print('runs')", inputs={"x": "source/x"}),
                }, code=1, popen={"preexec_fn": lambda n=limit: resource.setrlimit(
                    resource.RLIMIT_NOFILE, (n, n))})
                self.assertIn("Too many open files", run.out + run.err, run)
                self.assertNotIn("runs", run.out, run)

    def test_stopped_before_the_start_nobody_has_failed(self):
        running = self.start({
            "late": Node("from probe import hear; print('here'); hear('stopped')",
                         isolation="process"),
            "ready": Node("from dora import Node; print('there', flush=True); Node()",
                          isolation="process"),
        })
        running.expect("here")
        running.expect("there")
        running.signal()
        running.expect("stopping")
        self.tell("stopped")
        run = self.ended(running)
        self.assertIn("gave up because the dataflow did not start", run.out + run.err)
        self.assertNotIn("failed", run.out + run.err)


class BadFiles(FlowTest):
    """I9: one clear error with its place, all errors of a file at once."""

    def refuse(self, text, *patterns):
        self.fresh()
        path = self.write("flow.yml", text)
        result = self.command("check", path)
        self.assertEqual(result.returncode, 1, result)
        for pattern in patterns:
            self.assertRegex(result.stderr + result.stdout, pattern)
        run = self.ended(self.start_file(path), 1)
        for pattern in patterns:
            self.assertRegex(run.err, pattern)

    def test_places_and_suggestions(self):
        self.refuse(
            "nodes:\n  - id: a\n    path: x.py\n    outputs: [image]\n"
            "  - id: b\n    path: x.py\n    inputs:\n      i: a/imge\n      j: c/o\n",
            r"flow\.yml:8:\d+: .*imge", "image", r"flow\.yml:9:\d+: .*\bc\b",
        )
        self.refuse("nodes:\n  - id: a\n    pth: x.py\n", r"flow\.yml:3:\d+: .*pth", "path")
        self.refuse("nodes: [\n", r"flow\.yml:\d+:\d+")
        self.refuse("nods: []\n", r"flow\.yml:1:\d+: .*nods", "nodes")
        self.refuse(
            "nodes:\n  - {id: a, path: x.py}\n  - {id: a, path: x.py}\n",
            r"flow\.yml:3:\d+: .*\ba\b",
        )

    def test_missing_file(self):
        result = self.command("nowhere.yml")
        self.assertEqual(result.returncode, 1)
        self.assertIn("nowhere.yml", result.stderr)

    def test_bad_command_line(self):
        for arguments in ([], ["--no-such-option"], ["--stop-after", "soon", "x.yml"]):
            result = self.command(*arguments)
            self.assertEqual(result.returncode, 2, result)
            self.assertTrue(result.stderr)


class Commands(FlowTest):
    def test_check_names_tier_interpreter_and_reason(self):
        path = self.write_flow({
            "source": Node("x", outputs=["x"]),
            "sink": Node("x", inputs={"x": "source/x"}),
        })
        result = self.command("check", path)
        self.assertEqual(result.returncode, 0, result)
        version = ".".join(map(str, settings.version))
        lines = [l for l in result.stdout.splitlines() if "source" in l or "sink" in l]
        self.assertEqual(len(lines), 2, result)
        for line in lines:
            self.assertIn(tier(), line)
            self.assertIn(version, line)

    def test_graph_is_mermaid(self):
        path = self.write_flow({
            "source": Node("x", outputs=["image"]),
            "sink": Node("x", inputs={"x": "source/image", "t": "dora/timer/secs/1"}),
        })
        result = self.command("graph", path)
        self.assertEqual(result.returncode, 0, result)
        self.assertIn("flowchart", result.stdout)
        for word in ("source", "sink", "image"):
            self.assertIn(word, result.stdout)

    def test_version_and_help(self):
        result = self.command("--version")
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stdout, r"\d+\.\d+\.\d+")
        self.assertIn("--stop-after", self.command("--help").stdout)

    def test_no_files_are_left_but_the_log_directory(self):
        """I7."""
        self.flow({"node": Node("from dora import Node; Node()")})
        self.assertEqual(
            sorted(os.listdir(self.directory)),
            ["flow.yml", "node.py", "out", "probe.py", "report.json"],
        )
        [run] = [n for n in os.listdir(self.directory + "/out") if n != ".gitignore"]
        names = set(os.listdir(f"{self.directory}/out/{run}"))
        self.assertIn("log_node.jsonl", names)
        self.assertLessEqual(names, {"log_node.jsonl", "run.json"})
