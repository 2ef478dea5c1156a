"""Where nodes run when nobody says. That scripts are read right is tested in
tests/scan_test.c."""

import unittest

from harness import FlowTest, Node, TEXT_SINK, settings


class Auto(FlowTest):
    def check(self, script, **keys):
        """What `check` says of one node: its line."""
        node = Node(script, **{"isolation": "auto", **keys})
        result = self.command("check", self.write_flow({"node": node}))
        self.assertEqual(result.returncode, 0, result)
        return next(line for line in result.stdout.splitlines()
                    if line.startswith("node  python"))

    def test_the_line_that_decides_is_named(self):
        self.write("helper.py", "import json\n\nfrom socket import socket\n")
        if settings.inside:
            line = self.check("import helper\n")
            self.assertIn("process", line)
            self.assertIn("helper.py:3: from socket import socket (", line)
            self.assertIn("interpreter", self.check("import json\n"))
        else:
            self.assertIn("process", self.check("import json\n"))

    def test_what_needs_a_process_is_given_one(self):
        for key, value in (("restart_policy", "on-failure"), ("env", {"TZ": "UTC"}),
                           ("python", settings.python)):
            self.fresh()
            line = self.check("import json\n", **{key: value})
            self.assertIn(" process ", line)
            if settings.inside:
                self.assertIn("auto: ", line)

    def test_one_by_one(self):
        """Nodes of both tiers in one dataflow, which says so."""
        run = self.flow({
            "a": Node("""
                from dora import Node
                Node().send_output("x", b"1")
            """, outputs=["x"], isolation="auto"),
            "b": Node("""
                import subprocess
                from dora import Node
                node = Node()
                for event in node:
                    if event["type"] == "INPUT":
                        node.send_output("x", bytes(event["value"]) + b"2")
            """, outputs=["x"], inputs={"x": "a/x"}, isolation="auto"),
            "c": Node(TEXT_SINK, inputs={"x": "b/x"}, isolation="auto"),
        })
        self.assertEqual(run.lines("c")[0], "12")
        best = "interpreter" if settings.inside else "process"
        self.assertEqual([run.node(name)["tier"] for name in "abc"],
                         [best, "process", best])

    def test_what_is_seen_too_late_moves(self):
        """A module that hides what it imports: found out when it is loaded."""
        run = self.flow({"node": Node("""
            import sys
            from dora import Node
            getattr(sys.modules["builtins"], "__imp" + "ort__")("ctypes")
            Node()
            print("fine")
        """, isolation="auto")})
        self.assertEqual(run.lines("node"), ["fine"])
        self.assertEqual(run.node("node")["tier"], "process")


if __name__ == "__main__":
    unittest.main()
