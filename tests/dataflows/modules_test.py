"""Extension modules of every kind, in nodes of both tiers: never a crash of
dora-run, always a move to a process or one clear error."""

import os
import subprocess
import textwrap

from harness import HERE, FlowTest, Node as AnyNode, settings
from inhost_test import InsideTest, Node

#: Those that can be had in a process; "raises" never can.
KINDS = ("single", "plain", "refuses", "shares", "own", "claims", "once", "aborts")

IMPORT = """
    import {module}
    from dora import Node
    node = Node()
    print({module}.answer())
"""


class Built:
    """Mixed into tests that import the modules of extension.c."""

    def build(self, kinds=KINDS + ("raises",), place=""):
        facts = subprocess.run(
            [settings.python, "-I", "-c",
             "import sysconfig as s; print(s.get_path('include'));"
             "print(s.get_config_var('EXT_SUFFIX'))"],
            check=True, capture_output=True, text=True).stdout.split("\n")
        os.makedirs(os.path.join(self.directory, place), exist_ok=True)
        for kind in kinds:
            subprocess.run(
                [os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE",
                 f"-I{facts[0]}", f"-DKIND={kind.upper()}", f"-DNAME=is_{kind}",
                 os.path.join(HERE, "extension.c"), "-o",
                 os.path.join(self.directory, place, f"is_{kind}{facts[1]}")],
                check=True)


class Processes(Built, FlowTest):
    def test_every_kind_twice_at_once(self):
        self.build()
        run = self.flow({
            f"{kind}{i}": AnyNode(IMPORT.format(module=f"is_{kind}"),
                                  isolation="process")
            for kind in KINDS for i in range(2)})
        for kind in KINDS:
            for i in range(2):
                self.assertEqual(run.lines(f"{kind}{i}"), ["42"])

    def test_one_that_fails(self):
        self.build(["raises"])
        run = self.flow({"node": AnyNode(IMPORT.format(module="is_raises"),
                                         isolation="process")}, code=1)
        self.assertIn("no such device", run.lines("node", "stderr")[-1])


class Inside(Built, InsideTest):
    def test_every_kind_moves(self):
        """Two nodes of each at once; none has been loaded inside: that would
        have been the end of dora-run."""
        self.build()
        run = self.flow({
            f"{kind}{i}": Node(IMPORT.format(module=f"is_{kind}"))
            for kind in KINDS for i in range(2)})
        for kind in KINDS:
            for i in range(2):
                name = f"{kind}{i}"
                self.assertEqual(run.lines(name), ["42"])
                self.assertEqual(self.tier(run, name), "process")
                self.assertIn(f"`is_{kind}`", run.node(name)["reason"])

    def test_one_that_fails(self):
        """It moves, and fails there with its own words."""
        self.build(["raises"])
        run = self.flow({"node": Node(IMPORT.format(module="is_raises"))}, code=1)
        self.assertEqual(self.tier(run, "node"), "process")
        self.assertIn("no such device", run.lines("node", "stderr")[-1])

    def test_a_package_that_would_do_without(self):
        """Nor is it content with less than the module."""
        self.build(["single"], "package")
        self.write("package/__init__.py", """
            try:
                from . import is_single
                kind = "fast"
            except Exception:
                kind = "slow"
        """)
        run = self.flow({"node": Node("""
            import package
            from dora import Node
            Node()
            print(package.kind)
        """)})
        self.assertEqual(run.lines("node"), ["fast"])
        self.assertIn("(package.is_single)", run.node("node")["reason"])

    def test_every_kind_after_node(self):
        """An ImportError that names the module, the node and what to do; as
        often as it is tried, and the node goes on."""
        self.build()
        run = self.flow({kind: Node(f"""
            from dora import Node
            node = Node()
            for i in range(2):
                try:
                    import is_{kind}
                except ImportError as error:
                    print(error.name, "|", error)
        """) for kind in KINDS + ("raises",)})
        for kind in KINDS + ("raises",):
            lines = run.lines(kind)
            self.assertEqual(len(lines), 2, run)
            for line in lines:
                self.assertTrue(line.startswith(f"is_{kind} | is_{kind} "), line)
                self.assertIn(f"node '{kind}'", line)
                self.assertIn("`isolation: process`", line)
            self.assertEqual(self.tier(run, kind), "interpreter")

    def test_one_is_all_it_takes(self):
        """A failure with one clear error where the script has acted."""
        self.build(["refuses"])
        run = self.flow({"node": Node("""
            open("file", "w").close()
            import is_refuses
            from dora import Node
            Node()
        """)}, code=1)
        self.assertIn("`is_refuses` cannot be loaded inside the host", run.err)
        self.assertIn("`isolation: process`", run.err)

    def test_other_ways_to_load_one(self):
        """Past the import statement, and past what looks at imports."""
        self.build(["single"])
        for lines in (
            "__import__('is_single')",
            "import importlib; importlib.import_module('is_single')",
            """
            import glob, importlib.util as u
            spec = u.spec_from_file_location('is_single', glob.glob('is_single*')[0])
            spec.loader.exec_module(u.module_from_spec(spec))
            """,
            """
            import _imp, glob, importlib.machinery as m
            path = glob.glob('is_single*')[0]
            _imp.create_dynamic(m.ModuleSpec('is_single', None, origin=path))
            """,
        ):
            run = self.flow({"node": Node(
                textwrap.dedent(lines) + "\nfrom dora import Node"
                "\nNode()\nprint('there')")})
            self.assertEqual(run.lines("node")[-1:], ["there"], run)
            self.assertEqual(self.tier(run, "node"), "process", run)
            self.fresh()
            self.build(["single"])
