"""Nodes of one dataflow, each in an environment of its own: its interpreter,
its packages, and the standard library that belongs to both."""

import os
import shutil
import subprocess

from harness import TEXT_SINK, FlowTest, Node, settings
from places import own_mounts

#: What any node should be able to do, and who it is.
REPORT = """
    import ctypes, math, sqlite3, ssl, sys
    import which                     # another in each environment
    from dora import Node

    node = Node()
    assert ctypes.sizeof(ctypes.c_int) == 4 and math.isclose(math.sin(0), 0)
    assert sqlite3.connect(":memory:").execute("select 6 * 7").fetchone() == (42,)
    ssl.create_default_context()
    print(which.NAME, sys.prefix, sys.executable, sep="\\n")
    for event in node:
        if event["type"] == "INPUT":
            node.send_output("out", event["value"])
            break
"""

SOURCE = """
    from dora import Node
    from probe import place
    with Node().send_output_raw("out", 5000) as buffer:
        buffer[:] = bytes(range(250)) * 20
        print(*place(buffer))
"""

SINK = """
    from dora import Node
    from probe import place
    for event in Node():
        if event["type"] == "INPUT":
            assert bytes(event["value"]) == bytes(range(250)) * 20
            print(*place(event["value"]))
"""


class Environments(FlowTest):
    def setUp(self):
        super().setUp()
        with open(os.path.join(os.path.dirname(settings.dora_run), "pythons")) as table:
            self.rows = [line.split("\t") for line in table.read().splitlines()]
        if not any(os.path.samefile(row[2], os.path.realpath(settings.python))
                   for row in self.rows):
            self.skipTest("dora-run was not built for this Python")

    def venv(self, name, python, *options):
        """An environment without pip, with a package that knows its name."""
        place = os.path.join(self.directory, name)
        subprocess.run(
            [python, "-m", "venv", "--without-pip", *options, place], check=True)
        site = subprocess.run(
            [place + "/bin/python", "-c",
             "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True, capture_output=True, text=True).stdout.strip()
        with open(os.path.join(site, "which.py"), "w") as file:
            file.write(f"NAME = {name!r}\n")
        return place

    def chain(self, environments):
        """One block goes through a node in each of them."""
        nodes, before = {}, "source/out"
        self.write("report.py", REPORT)
        for name, place in environments.items():
            nodes[name] = Node(path="report.py", python=place,
                               isolation="process",
                               inputs={"in": before}, outputs=["out"])
            before = f"{name}/out"
        nodes["source"] = Node(SOURCE, outputs=["out"], isolation="process")
        nodes["sink"] = Node(SINK, inputs={"in": before}, isolation="process")
        run = self.flow(nodes)
        for name, place in environments.items():
            self.assertEqual(run.lines(name)[:2], [name, place], run)
            self.assertTrue(run.lines(name)[2].startswith(place + "/bin/python"))
        self.assertEqual(run.lines("sink"), run.lines("source"))  # not a copy
        return run

    def everywhere(self):
        """A venv of each Python that dora-run was built for, and of the first
        one another, whose interpreter is a copy."""
        found = {f"venv{i}": self.venv(f"venv{i}", row[2])
                 for i, row in enumerate(self.rows)}
        found["copied"] = self.venv("copied", self.rows[0][2], "--copies")
        return found

    def test_of_every_python(self):
        run = self.chain(self.everywhere())
        self.assertEqual({node["tier"] for node in run.report["nodes"]}, {"process"})

    def test_named_by_a_link(self):
        place = os.path.join(self.directory, "linked")
        os.symlink(self.venv("venv", self.rows[0][2]), place)
        self.write("report.py", REPORT)
        run = self.flow({
            "source": Node(SOURCE, outputs=["out"], isolation="process"),
            "node": Node(path="report.py", python=place, isolation="process",
                         inputs={"in": "source/out"}, outputs=["out"]),
        })
        self.assertEqual(run.lines("node"),
                         ["venv", place, place + "/bin/python"])

    def built_for(self, rows, name="with space"):
        """From now on dora-run is one that was built for those Pythons only."""
        built = os.path.dirname(settings.dora_run)
        place = os.path.join(self.directory, name)
        os.mkdir(place)
        for name in ("dora-run", "dora-guardian", "dora-stable", "dora-stable.so",
                     "dora-preload.so"):
            shutil.copy(os.path.join(built, name), place)
        with open(os.path.join(place, "pythons"), "w") as table:
            table.writelines("\t".join(row) + "\n" for row in rows)
        self.dora_run = os.path.join(place, "dora-run")

    def test_of_pythons_that_dora_run_was_not_built_for(self):
        """Those but the tests' own get the module for any Python."""
        mine = [row for row in self.rows
                if os.path.samefile(row[2], os.path.realpath(settings.python))]
        self.rows = [row for row in self.rows
                     if row in mine or not row[1].endswith("t")]
        self.built_for(mine)
        run = self.chain(self.everywhere())
        reasons = [node["reason"] for node in run.report["nodes"]]
        others = sum("module for any Python" in reason for reason in reasons)
        # `copied` is of the first.
        self.assertEqual(others, len(self.rows) - 1 + (self.rows[0] not in mine))

    def test_of_no_build_and_free_threaded(self):
        if not settings.free_threaded:
            self.skipTest("this Python is not")
        self.built_for([])
        run = self.flow({"node": Node("import dora; dora.Node()")}, code=1)
        self.assertIn("it is free-threaded, for which dora-run has to be built",
                      run.err)
        ended = subprocess.run(
            [settings.python, "-c", "import dora"], capture_output=True, text=True,
            executable=os.path.join(os.path.dirname(self.dora_run), "dora-stable"))
        self.assertIn("ImportError: this Python is free-threaded", ended.stderr)

    def need_module_for_any(self):
        if settings.free_threaded:
            self.skipTest("the module for any Python is not for this one")

    def test_of_no_build_without_proc(self):
        self.need_module_for_any()
        under = own_mounts("umount -l /proc; ! test -e /proc/self")
        nodes = {
            "source": Node("""
                from dora import Node
                Node().send_output("out", b"whole")
            """, outputs=["out"], isolation="process"),
            "sink": Node(TEXT_SINK, inputs={"in": "source/out"},
                         isolation="process"),
        }
        self.built_for([], "plain")
        run = self.flow(nodes, under=under)
        self.assertEqual(run.lines("sink")[0], "whole")
        self.assertIn("module for any Python", run.node("sink")["reason"])
        self.built_for([])
        run = self.flow(nodes, under=under, code=1)
        self.assertIn("cannot run nodes", run.err)
        self.assertIn("without /proc, its path may have no space", run.err)

    def test_nothing_is_counted_wrong(self):
        """None, True and False, by whose count versions differ most."""
        self.need_module_for_any()
        self.built_for([])
        run = self.flow({
            "asks": Node("""
                import sys
                from dora import Node
                node, before = Node(), [sys.getrefcount(o) for o in (None, True, False)]
                for i in range(3000):
                    node.send_output("out", b"x", {"none": None, "yes": True})
                    event = node.next()
                    node.try_recv(), node.is_empty(), event["value"] == 1
                for was, o in zip(before, (None, True, False)):
                    print(abs(sys.getrefcount(o) - was) < 500)
            """, inputs={"in": "answers/out"}, outputs=["out"], isolation="process"),
            "answers": Node("""
                from dora import Node
                node = Node()
                for event in node:
                    if event["type"] == "INPUT":
                        node.send_output("out", event["value"])
            """, inputs={"in": "asks/out"}, outputs=["out"], isolation="process"),
        })
        self.assertEqual(run.lines("asks"), ["True"] * 3)
        self.assertIn("module for any Python", run.node("asks")["reason"])
