"""What scripts take for their process's: streams by number or by path, signals,
processes. The same in both tiers, or one sentence that says what to do."""

from harness import FlowTest, Node, settings

REMEDY = "give the node `isolation: process`"


class Streams(FlowTest):
    def test_by_number_and_by_path(self):
        run = self.flow({"node": Node("""
            import os, subprocess, sys
            from dora import Node
            node = Node()
            with open(1, "w", closefd=False) as file:
                file.write("number\\n")
            with os.fdopen(os.dup(1), "w") as file:
                file.write("copy\\n")
            with open("/dev/stdout", "w") as file:
                file.write("path\\n")
            os.write(1, b"write\\n")
            print(os.read(0, 1), open("/dev/stdin").read() == "",
                  open(0, closefd=False).read() == "")
            print(sys.stdin.name, sys.stdout.mode, open.__name__, os.isatty(1))
            with open(2, "w", closefd=False) as file:
                file.write("number\\n")
            os.write(2, b"write\\n")
            sys.stdin.close()
            subprocess.run(["cat"], check=True)
        """)})
        self.assertEqual(run.lines("node"), [
            "number", "copy", "path", "write", "b'' True True",
            "<stdin> w open False"])
        self.assertEqual(run.lines("node", "stderr"), ["number", "write"])

    def test_led_elsewhere_and_back(self):
        """And what the script starts follows."""
        run = self.flow({"node": Node("""
            import os, subprocess
            from dora import Node
            node = Node()
            before = os.dup(1)
            with open("file", "w") as file:
                os.dup2(file.fileno(), 1)
            print("ours", flush=True)
            subprocess.run(["echo", "theirs"], check=True)
            os.dup2(before, 1)
            print(open("file").read().split())
        """)})
        self.assertEqual(run.lines("node"), ["['ours', 'theirs']"])

    def test_sleep_says_what_is_wrong(self):
        """What that says is the Python's affair: asked of the same one."""
        script = """
            import time
            from fractions import Fraction
            from dora import Node
            node = Node()
            for bad in (-1, "x", None, float("nan"), 1e20, 1 << 62, Fraction(1, 2)):
                try:
                    time.sleep(bad)
                    print("nothing")
                except Exception as error:
                    print(type(error).__name__, error, sep=": ")
        """
        run = self.flow({"node": Node(script),
                         "process": Node(script, isolation="process")})
        self.assertEqual(len(run.lines("node")), 7)
        self.assertEqual(run.lines("node"), run.lines("process"))


class Refused(FlowTest):
    def refused(self, statement):
        """By one line, which does not end dora-run."""
        if not settings.inside:
            self.skipTest("no node of this Python runs inside dora-run")
        run = self.flow({"node": Node(f"""
            import multiprocessing, os, signal, time
            from dora import Node
            node = Node()
            try:
                {statement}
            except Exception as error:
                print(type(error).__name__, error, sep=": ")
            time.sleep(0.01)
        """, isolation="interpreter")})
        (line,) = run.lines("node")
        self.assertTrue(line.endswith(REMEDY), line)
        self.assertIn("node 'node', which runs inside the host", line)
        return line.split(":")[0]

    def test_signals(self):
        for statement in ("signal.signal(signal.SIGINT, print)", "signal.alarm(1)",
                          "signal.setitimer(signal.ITIMER_REAL, 0.001)"):
            self.fresh()
            self.assertEqual(self.refused(statement), "ValueError")

    def test_forks(self):
        for statement in ("os.fork()", "os.execv('/bin/true', ['true'])",
                          "multiprocessing.get_context('fork').Process().start()"):
            self.fresh()
            self.assertEqual(self.refused(statement), "RuntimeError")

    def test_modules(self):
        self.assertEqual(self.refused("import readline"), "ImportError")
