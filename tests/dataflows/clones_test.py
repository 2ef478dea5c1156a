"""Clones under out/git that no dataflow names any more."""

import fcntl
import os

from harness import Node
from repositories import SCRIPT, GitTest

#: Says where it is, and stays there until it is stopped.
STAYS = SCRIPT + "for event in node:\n    pass\nprint(open('node.py').read()[:6])\n"
STAYS = STAYS.replace("Node()\n", "node = Node()\n", 1)


class Clones(GitTest):
    def build(self, path="flow.yml"):
        done = self.command("build", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def beside(self, name, nodes):
        """Another dataflow, in the same directory."""
        flow = os.path.join(self.directory, "flow.yml")
        self.write_flow(nodes)
        os.rename(flow, os.path.join(self.directory, name))
        return name

    def test_building_removes_what_a_branch_was(self):
        first = self.repository()
        self.flow({"a": self.node(branch="main")})
        second = self.commit("second")
        self.assertEqual(self.clones(), [first])
        text = self.build()
        self.assertIn(f"{first}, which no dataflow names", text)
        self.assertEqual(self.clones(), [second])
        self.assertNotIn("removes", self.build())

    def test_building_removes_what_was_pinned(self):
        first, second = self.repository(), self.commit("second")
        self.flow({"a": self.node(rev=first)})
        run = self.flow({"a": self.node(rev=second)})
        self.assertEqual(self.said(run), ("second", second))
        self.assertEqual(self.clones(), sorted([first, second]))  # a run removes none
        self.build()
        self.assertEqual(self.clones(), [second])
        self.write_flow({"a": Node("pass")})
        self.build()
        self.assertEqual(self.clones(), [])

    def test_what_another_dataflow_names_stays(self):
        """One that was built, or has run, and whose file is still there."""
        first, second = self.repository(), self.commit("second")
        other = self.beside("other.yml", {"a": self.node(rev=first)})
        self.build(other)
        self.flow({"a": self.node(rev=first)})
        self.write_flow({"a": self.node(rev=second)})
        self.build()
        self.assertEqual(self.clones(), sorted([first, second]))
        self.unreachable()
        os.rename(os.path.join(self.directory, other),
                  os.path.join(self.directory, "flow.yml"))
        run = self.ended(self.start_file(os.path.join(self.directory, "flow.yml")))
        self.assertEqual(self.said(run), ("first", first))
        self.build()
        self.assertEqual(self.clones(), [first])

    def test_what_a_dataflow_runs_in_stays(self):
        """Though its file names another by now."""
        self.repository()
        first = self.commit("first", **{"node.py": STAYS.format("stays")})
        second = self.commit("second")
        running = self.start({"a": self.node(rev=first)})
        running.expect("stays")
        self.write_flow({"a": self.node(rev=second)})
        self.build()
        self.assertEqual(self.clones(), sorted([first, second]))
        running.signal()
        run = self.ended(running)
        self.assertIn("a: import", run.out)
        self.build()
        self.assertEqual(self.clones(), [second])

    def test_who_fetches_now_is_not_hindered(self):
        first, second = self.repository(), self.commit("second")
        self.flow({"a": self.node(rev=first)})
        self.flow({"a": self.node(rev=second)})
        with open(self.directory + "/out/git/.lock", "w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            self.assertNotIn("removes", self.build())
        self.assertEqual(self.clones(), sorted([first, second]))
