"""How each end of a node counts, and what is said of it."""

from harness import FlowTest, Node, settings


class Verdicts(FlowTest):
    """T47."""

    ENDS = {
        "success": ("pass", 0, "success"),
        "exit 0": ("sys.exit(0)", 0, "success"),
        "exit 3": ("sys.exit(3)", 1, "code 3"),
        "exit text": ("sys.exit('goodbye')", 1, "goodbye"),
        "exception": ("raise KeyError('lost')", 1, "KeyError"),
        "segfault": ("os.kill(os.getpid(), signal.SIGSEGV)", 1, "SIGSEGV"),
        "kill": ("os.kill(os.getpid(), signal.SIGKILL)", 1, "SIGKILL"),
        "term": ("os.kill(os.getpid(), signal.SIGTERM)", 1, "SIGTERM"),
        "_exit": ("os._exit(7)", 1, "code 7"),
        "abort": ("os.abort()", 1, "SIGABRT"),
    }

    def test_every_way_to_end(self):
        for name, (way, code, word) in self.ENDS.items():
            with self.subTest(end=name):
                self.fresh()
                run = self.flow({"node": Node(f"""
                    import os, signal, sys
                    from dora import Node
                    node = Node()
                    {way}
                """)}, code=code)
                if code:
                    self.assertIn(word, run.err)
                    self.assertRegex(run.err, r"(?s)\[ERROR\].*node")
                else:
                    self.assertNotIn("[ERROR]", run.err)
                exit = run.node("node")["exit"]
                self.assertEqual(exit == "success", code == 0, exit)

    def test_failure_summary(self):
        run = self.flow({"node": Node("""
            import sys
            from dora import Node
            Node()
            for n in range(100): print("noise", n, file=sys.stderr)
            def inner(): raise ValueError("the reason")
            inner()
        """)}, code=1)
        tail = run.err[run.err.index("[ERROR]"):]
        self.assertIn("Dataflow failed", tail)
        self.assertRegex(tail, r"Node `node` failed: exited with code 1")
        self.assertIn("Traceback", tail)
        self.assertIn("ValueError: the reason", tail)
        self.assertNotIn("noise 5\n", tail)

    def test_a_missing_module_names_the_interpreter(self):
        run = self.flow({"node": Node("import not_there")}, code=1)
        self.assertRegex(run.err, r"No module named 'not_there'\nIt ran on Python "
                         + r"\.".join(map(str, settings.version[:2])) + r".* \(/.*\): install")
        self.fresh()
        run = self.flow({"node": Node("import os.not_there")}, code=1)
        self.assertIn("No module named 'os.not_there'", run.err)

    def test_failure_during_a_stop_is_a_failure(self):
        running = self.start({"node": Node("""
            import sys
            from dora import Node
            node = Node()
            print("ready")
            for event in node: pass
            sys.exit(5)
        """)})
        running.expect("ready")
        running.signal()
        run = self.ended(running, 1)
        self.assertIn("code 5", run.err)
