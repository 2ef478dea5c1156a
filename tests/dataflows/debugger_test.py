"""breakpoint() in a node, on a terminal of its own: a pseudo one."""

import fcntl
import json
import os
import select
import signal
import subprocess
import termios
import time

from harness import FlowTest, Node, Run, settings


class Terminal:
    """A dora-run that a person sits in front of."""

    def __init__(self, command, directory, env):
        self.master, slave = os.openpty()
        self.process = subprocess.Popen(
            command, cwd=directory, env=env, stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        self.text, self.seen = "", 0
        self.deadline = time.monotonic() + 60 * settings.patience

    def expect(self, words):
        """Waits for them, after what was waited for last."""
        while words not in self.text[self.seen:]:
            left = self.deadline - time.monotonic()
            if left <= 0 or not self.more(left):
                raise AssertionError(f"never said {words!r}:\n{self.text}")
        at = self.text.index(words, self.seen)
        between = self.text[self.seen:at]
        self.seen = at + len(words)
        return between

    def more(self, seconds):
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.master, 1 << 16)
        except OSError:  # the other side is closed
            return False
        self.text += data.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(data)

    def type(self, line):
        os.write(self.master, line.encode() + b"\n")

    def end(self):
        while time.monotonic() < self.deadline and self.more(5):
            pass
        code = self.process.wait(max(1, self.deadline - time.monotonic()))
        os.close(self.master)
        return code


#: Counts the ticks of a timer; stops where the test wants to look.
STOPS = """
    from dora import Node
    node = Node()
    count = 0
    for event in node:
        if event["type"] != "INPUT":
            print(event["type"], "after", count)
            break
        count += 1
        if count == 3:
            breakpoint()
            print("went on with", count)
"""
#: Prints at every tick.
TICKS = """
    import time
    from dora import Node
    for i, event in enumerate(Node()):
        print("tick", i, time.monotonic())
"""
TIMER = {"tick": "dora/timer/millis/20"}


class Debugger(FlowTest):
    def sit(self, nodes, args=()):
        path = self.write_flow(nodes)
        self.report = os.path.join(self.directory, "report.json")
        env = self.environment({"TERM": "dumb"})
        terminal = Terminal([settings.dora_run, *args, "--report", self.report, path],
                            self.directory, env)
        self.addCleanup(terminal.process.kill)
        return terminal

    def records(self, node):
        return Run(self.directory).lines(node)

    def test_a_conversation(self):
        terminal = self.sit({"node": Node(STOPS, inputs=TIMER),
                             "other": Node(TICKS, inputs=TIMER)})
        terminal.expect("node `node` has stopped here")
        terminal.expect("(node) ")
        terminal.type("p count * 14")
        self.assertIn("42", terminal.expect("(node) "))
        terminal.type("count = 100")
        terminal.expect("(node) ")
        terminal.type("w")
        self.assertIn("node.py(", terminal.expect("(node) "))
        terminal.type("n")
        terminal.expect("(node) ")
        terminal.type("c")
        terminal.expect("tick")
        terminal.process.send_signal(signal.SIGINT)
        terminal.end()
        self.assertIn("went on with 100", terminal.text)
        with open(self.report) as file:
            nodes = json.load(file)["nodes"]
        self.assertEqual([node["exit"] for node in nodes], ["success"] * 2, terminal.text)
        self.assertIn("STOP after", self.records("node")[-1])

    def test_every_way_into_it(self):
        """The same terminal, the same silence of others."""
        terminal = self.sit({"node": Node("""
            import pdb
            from dora import Node

            def calls():
                x = 20
                breakpoint()
                return x

            def fails():
                here = "failing"
                raise ValueError(here)

            node = Node()
            here = "module"
            pdb.set_trace()
            here = "class"
            pdb.Pdb().set_trace()
            try:
                fails()
            except ValueError as error:
                pdb.post_mortem(error.__traceback__)
            here = "builtin"
            breakpoint()
            print("done")
        """), "other": Node(TICKS, inputs=TIMER)})
        for here in "module", "class", "failing", "builtin":
            terminal.expect("(node) ")
            terminal.type("p here")
            self.assertNotIn("tick", terminal.expect(f"'{here}'"), terminal.text)
            self.assertNotIn("tick", terminal.expect("(node) "))
            if here == "failing":  # a breakpoint in what is called at the prompt
                terminal.type("calls()")
                terminal.expect("(node) ")
                terminal.type("p x + 1")
                self.assertIn("21", terminal.expect("(node) "))
                terminal.type("c")
                terminal.expect("(node) ")
            terminal.type("c")
        terminal.expect("done")
        terminal.process.send_signal(signal.SIGINT)
        terminal.end()
        self.assertEqual(self.records("node"), ["done"], terminal.text)

    def test_around_a_script(self):
        """`python -m pdb` would start it again and again."""
        self.write("script.py", """
            from dora import Node
            node = Node()
            print("once")
        """)
        run = self.flow({"node": Node(path="python", args="-m pdb script.py")},
                        popen={"start_new_session": True})
        if "module for any Python" in run.node("node")["reason"]:
            self.skipTest("pdb runs before dora is imported")  # and reads nothing
        self.assertEqual(run.lines("node").count("once"), 1, run)

    def test_streams_of_its_own(self):
        """Who gives pdb some talks by them, and needs no terminal."""
        run = self.flow({"node": Node("""
            import io
            import pdb
            from dora import Node
            Node()
            here = 14
            said = io.StringIO()
            pdb.Pdb(stdin=io.StringIO("p here * 3\\nc\\n"), stdout=said).set_trace()
            print("42" in said.getvalue())
        """)}, popen={"start_new_session": True})
        self.assertEqual(run.lines("node"), ["True"])

    def test_everything_else_waits(self):
        """No line of another node comes between, and no tick."""
        terminal = self.sit({"node": Node(STOPS, inputs=TIMER),
                             "other": Node(TICKS, inputs=TIMER)})
        terminal.expect("has stopped here")
        terminal.expect("(node) ")
        terminal.type("import time; then = time.monotonic(); time.sleep(1)")
        self.assertNotIn("tick", terminal.expect("(node) "))
        terminal.type("p 'be' 'gun=%f;' % then")
        terminal.expect("begun=")
        begun = float(terminal.expect(";"))
        terminal.expect("(node) ")
        terminal.type("c")
        terminal.expect("went on")
        terminal.expect("tick")
        terminal.process.send_signal(signal.SIGINT)
        terminal.end()
        times = [float(line.split()[2]) for line in self.records("other")]
        late = [t for t in times if begun + 0.1 < t < begun + 0.9]
        self.assertEqual(late, [])
        burst = [t for t in times if begun + 0.9 <= t < begun + 1.3]
        self.assertLess(len(burst), 25)  # 20 are due, 50 were missed

    def test_nobody_is_late(self):
        """Who sends by a timer is not taken for silent, nor who thinks for hung."""
        terminal = self.sit({
            "node": Node(STOPS, inputs=TIMER, health_check_timeout=2),
            "sender": Node("""
                from dora import Node
                node = Node()
                for event in node:
                    if event["type"] == "INPUT":
                        node.send_output("x", b"1")
            """, inputs=TIMER, outputs=["x"]),
            "receiver": Node("""
                from dora import Node
                for event in Node():
                    if event["type"] != "INPUT":
                        print(event["type"])
            """, inputs={"x": {"source": "sender/x", "input_timeout": 2}}),
        })
        terminal.expect("(node) ")
        terminal.type("import time; time.sleep(4)")
        terminal.expect("(node) ")
        terminal.type("c")
        terminal.expect("went on")
        terminal.process.send_signal(signal.SIGINT)
        terminal.end()
        self.assertEqual(self.records("receiver"), ["STOP"], terminal.text)

    def test_two_want_it(self):
        """One after the other."""
        script = """
            from dora import Node
            node = Node()
            breakpoint()
            print("done")
        """
        terminal = self.sit({"a": Node(script), "b": Node(script)})
        terminal.expect("node `")
        first = terminal.expect("` has stopped here")
        terminal.expect(f"({first}) ")
        terminal.type("c")
        terminal.expect("node `")
        second = terminal.expect("` has stopped here")
        self.assertEqual({first, second}, {"a", "b"})
        terminal.expect(f"({second}) ")
        terminal.type("c")
        self.assertEqual(terminal.end(), 0, terminal.text)
        for name in "ab":
            self.assertEqual(self.records(name), ["done"])

    def test_before_node(self):
        terminal = self.sit({"node": Node("""
            from dora import Node
            here = "early"
            breakpoint()
            Node()
            print("done")
        """)})
        terminal.expect("(node) ")
        terminal.type("p here")
        terminal.expect("'early'")
        terminal.type("c")
        self.assertEqual(terminal.end(), 0, terminal.text)

    def test_to_quit_ends_the_node(self):
        """And the terminal is as before."""
        terminal = self.sit({"node": Node(STOPS, inputs=TIMER)})
        terminal.expect("(node) ")
        terminal.type("q")
        # Since 3.14 pdb asks, and ends what it has stopped without a word.
        if self.asks():
            terminal.expect("Quit anyway? [y/n] ")
            terminal.type("n")
            terminal.expect("(node) ")
            terminal.type("q")
            terminal.expect("Quit anyway? [y/n] ")
            terminal.type("y")
        self.assertEqual(terminal.end(), 1, terminal.text)
        self.assertIn("code 1" if self.asks() else "BdbQuit", terminal.text)

    def asks(self):
        line = "import sys; sys.exit(sys.version_info < (3, 14))"
        return subprocess.run([settings.python, "-c", line]).returncode == 0

    def test_its_questions(self):
        """They are on the terminal as well, and so is a Python at the prompt."""
        terminal = self.sit({"node": Node(STOPS, inputs=TIMER)})
        terminal.expect("(node) ")
        terminal.type("b 10")
        terminal.expect("(node) ")
        terminal.type("cl")
        terminal.expect("Clear all breaks? ")
        terminal.type("y")
        self.assertIn("Deleted breakpoint 1", terminal.expect("(node) "))
        terminal.type("interact")
        terminal.expect(">>> ")
        terminal.type("count * 14")
        self.assertIn("42", terminal.expect(">>> "))
        os.write(terminal.master, b"\x04")
        terminal.expect("(node) ")
        terminal.type("b 10")
        terminal.expect("(node) ")
        terminal.type("cl")
        terminal.expect("Clear all breaks? ")
        terminal.process.send_signal(signal.SIGTERM)
        self.assertEqual(terminal.end(), 0, terminal.text)
        self.assertIn("STOP after 3", self.records("node"))

    def test_a_stop_goes_on(self):
        """The script hears of it as ever."""
        terminal = self.sit({"node": Node(STOPS, inputs=TIMER)})
        terminal.expect("(node) ")
        terminal.process.send_signal(signal.SIGTERM)
        self.assertEqual(terminal.end(), 0, terminal.text)
        self.assertIn("STOP after 3", self.records("node"))

    def test_killed_with_the_terminal(self):
        """dora-run has it again; what was held back is shown."""
        terminal = self.sit({"node": Node(STOPS, inputs=TIMER)})
        terminal.expect("(node) ")
        while terminal.process.poll() is None:  # two within 50 ms are one
            terminal.process.send_signal(signal.SIGTERM)
            terminal.more(0.2)
            self.assertLess(time.monotonic(), terminal.deadline)
        terminal.end()
        self.assertIn("stopped by SIGTERM", terminal.text)

    def test_without_a_terminal(self):
        """One sentence, and on."""
        run = self.flow({"node": Node("""
            from dora import Node
            Node()
            breakpoint()
            print("went on")
        """)}, popen={"start_new_session": True})
        self.assertEqual(run.lines("node"), ["went on"])
        self.assertIn("there is no terminal for it", "".join(run.lines("node", "stderr")))
