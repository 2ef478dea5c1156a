"""What .pth files import before a node's first line."""

import os
import signal
import subprocess

from harness import FlowTest, Node, settings

#: Says what its .pth file has set, if anything.
SCRIPT = """
    import sys
    from dora import Node
    Node()
    print("_ctypes" in sys.modules, getattr(sys, "mark", None))
"""


class Site(FlowTest):
    def setUp(self):
        super().setUp()
        if not settings.inside:
            self.skipTest("no node of this Python runs inside dora-run")

    def two(self, **how):
        """Of the same, at once. How they ended."""
        node = Node(SCRIPT, isolation="interpreter")
        run = self.flow({"a": node, "b": node}, **how)
        return run, {entry["tier"] for entry in run.report["nodes"]}

    def base(self, line):
        """The environment of who has that line among its own packages."""
        major, minor = settings.version[:2]
        self.write(f"user/lib/python{major}.{minor}/site-packages/line.pth",
                   line + "\n")
        return {"PYTHONUSERBASE": os.path.join(self.directory, "user")}

    def test_base_imports_what_serves_one_interpreter(self):
        """No interpreter inside gets it: the nodes become processes."""
        run, tiers = self.two(env=self.base("import ctypes"))
        self.assertEqual(tiers, {"process"}, run)
        for name in "ab":
            self.assertEqual(run.lines(name), ["True None"], run)
            self.assertEqual(run.lines(name, "stderr"), [], run)
            self.assertIn("cannot be loaded inside", run.node(name)["reason"])

    def test_base_imports_what_does_no_harm(self):
        run, tiers = self.two(env=self.base("import sys; sys.mark = 'base'"))
        self.assertEqual(tiers, {"interpreter"}, run)
        self.assertEqual(run.lines("a") + run.lines("b"), ["False base"] * 2, run)

    def test_ended_while_it_imports(self):
        """As a process would be: by a signal, and without a word."""
        self.write("slow/sitecustomize.py", "print('slow', flush=True)\nwhile True: pass\n")
        line = f"import sys; sys.path.insert(0, {self.directory + '/slow'!r})"
        path = self.write_flow({"node": Node(SCRIPT, isolation="interpreter")})
        running = self.start_file(path, env=self.base(line))
        running.expect("slow")
        running.signal()
        running.expect("stopping")
        running.signal()
        run = self.ended(running, None)
        self.assertEqual(run.node("node")["exit_code"], signal.SIGTERM, run)
        self.assertNotIn("Traceback", run.out + run.err, run)

    def test_environment_is_asked_and_not_its_base(self):
        place = os.path.join(self.directory, "venv")
        subprocess.run([settings.python, "-m", "venv", "--without-pip", place],
                       check=True)
        major, minor = settings.version[:2]
        self.write(f"venv/lib/python{major}.{minor}/site-packages/line.pth",
                   "import sys; sys.mark = 'venv'\n")
        env = {**self.base("import ctypes"), "VIRTUAL_ENV": place}
        path = self.write_flow({"a": Node(SCRIPT, isolation="interpreter")})
        run = self.ended(self.start_file(path, python=None, env=env))
        self.assertEqual(run.node("a")["tier"], "interpreter", run)
        self.assertEqual(run.lines("a"), ["False venv"], run)
