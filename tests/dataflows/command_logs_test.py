"""`dora-run logs`: what the nodes of a run have printed."""

import glob
import os
import re

from harness import FlowTest, Node, Running, settings

SPEAKER = """
    from dora import Node
    node = Node()
    print("plain {name}")
    node.log("warn", "careful {name}", "my.target")
    node.log("error", "bad {name}")
"""


class Logs(FlowTest):
    def shown(self, *args, code=0):
        done = self.command("logs", *args)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return [re.sub(r"^[\d:]{8} ", "", line) for line in done.stdout.splitlines()]

    def run_two(self):
        self.flow({name: Node(SPEAKER.format(name=name)) for name in ("a", "b")})

    def test_all_of_the_last_run(self):
        self.run_two()
        lines = self.shown("flow.yml")
        self.assertEqual([l for l in lines if " a: " in l], [
            "stdout a: plain a", "WARN   a: my.target: careful a", "ERROR  a: bad a"])
        self.assertEqual(len(lines), 6)
        self.assertEqual(sorted(self.shown()), sorted(lines))
        self.assertEqual(sorted(self.shown(self.directory)), sorted(lines))

    def test_node_and_level(self):
        self.run_two()
        self.assertEqual(self.shown("flow.yml", "--id", "b", "--log-level", "error"),
                         ["ERROR  b: bad b"])
        self.assertEqual(self.shown("--id=a", "--log-level=warn"),
                         ["WARN   a: my.target: careful a", "ERROR  a: bad a"])

    def test_which_run(self):
        """The last one, of that file, or the one that is named."""
        self.flow({"a": Node("from dora import Node\nNode()\nprint('first')")})
        first, = glob.glob(os.path.join(self.directory, "out", "*", "run.json"))
        first = os.path.basename(os.path.dirname(first))
        self.flow({"a": Node("from dora import Node\nNode()\nprint('second')")})
        with open(os.path.join(self.directory, "flow.yml")) as file:
            self.write("other.yml", file.read())
        self.assertEqual(self.shown("flow.yml"), ["stdout a: second"])
        self.assertEqual(self.shown("--run", first), ["stdout a: first"])
        self.assertEqual(self.shown("flow.yml", "--run", first[-12:]), ["stdout a: first"])
        self.shown("other.yml", code=1)
        self.ended(self.start_file(os.path.join(self.directory, "other.yml")))
        self.assertEqual(self.shown("other.yml"), ["stdout a: second"])

    def test_files_that_turned_over(self):
        self.flow({"a": Node("""
            from dora import Node
            node = Node()
            for n in range(200): print("line", n)
        """, max_log_size="2KB", max_rotated_files=20)})
        self.assertGreater(len(glob.glob(os.path.join(self.directory, "out/*/log_a.*"))), 5)
        self.assertEqual(self.shown("flow.yml"), [f"stdout a: line {n}" for n in range(200)])

    def test_follow_to_the_end(self):
        running = self.start({"a": Node("""
            from dora import Node
            from probe import hear
            node = Node()
            print("before", flush=True)
            hear("go")
            for n in range(100): print("after", n)
        """, max_log_size="4KB", max_rotated_files=50)})
        running.expect("before")
        follower = Running(
            self.directory,
            [settings.dora_run, "logs", "flow.yml", "--follow"],
            self.environment(), 30 * settings.patience)
        follower.expect("before")
        with open(os.path.join(self.directory, "go.fifo"), "w"):
            pass
        self.ended(running)
        run = self.ended(follower)
        self.assertEqual(run.out.count("after"), 100)
        self.assertIn("after 99", run.out)

    def test_nothing_there_is_said(self):
        done = self.command("logs")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no run has left logs in ./out", done.stderr)
        self.run_two()
        done = self.command("logs", "--id", "c")
        self.assertEqual(done.returncode, 1)
        self.assertIn("has no log of a node `c`", done.stderr)
