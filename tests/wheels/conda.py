"""Environments of conda as nodes' interpreters, where there is a conda: that in
$CONDA_ROOT, else the one whose `conda` or `mamba` is on PATH. All that they have
loaded is what their own interpreter loads by itself: OpenSSL, SQLite and the
rest are the environment's, not the system's."""

import glob
import json
import os
import shutil
import subprocess

from harness import FlowTest, Node, settings
from run_dataflows import facts, is_inside

LOOK = '''
    import lzma, math, os, sqlite3, ssl, sys, zlib
    from xml.parsers import expat

    def look():
        try:
            import ctypes
        except ImportError:  # inside dora-run
            pass
        assert math.isclose(math.sin(0), 0)
        assert sqlite3.connect(":memory:").execute("select 6 * 7").fetchone() == (42,)
        ssl.create_default_context()
        with open("/proc/self/maps") as maps:
            files = {line.split()[-1] for line in maps if ".so" in line}
        return {
            "prefix": sys.prefix,
            # Without its date: that of conda's libpython is another.
            "versions": [sys.version.split(" (")[0], ssl.OPENSSL_VERSION,
                         sqlite3.sqlite_version, zlib.ZLIB_RUNTIME_VERSION, expat.EXPAT_VERSION],
            "certificates": ssl.get_default_verify_paths().openssl_cafile,
            "libraries": sorted(files),
        }
'''

#: Says what it is and where the value lies, which it passes on.
PASS_ON = """
    import json, look
    from dora import Node
    from probe import place

    node = Node()
    print(json.dumps(look.look()))
    for event in node:
        if event["type"] == "INPUT":
            print(*place(event["value"]))
            node.send_output("out", event["value"])
"""

SOURCE = """
    from dora import Node
    from probe import place
    with Node().send_output_raw("out", 100_000) as buffer:
        memoryview(buffer)[:] = bytes(range(250)) * 400
        print(*place(buffer))
"""

INSIDE = """
    import json, look
    from dora import Node
    Node()
    print(json.dumps(look.look()))
"""

CHILDREN = """
    import multiprocessing, subprocess, sys
    import look

    def answer(_):
        return sys.prefix, look.look()["versions"]

    if __name__ == "__main__":
        from dora import Node
        Node()
        for method in ("fork", "spawn", "forkserver"):
            with multiprocessing.get_context(method).Pool(1) as pool:
                assert pool.map(answer, [0]) == [answer(0)], method
        code = "import dora, look, sys; print((sys.prefix, look.look()['versions']))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.stdout.strip() == str(answer(0)), done
        print("the same")
"""


def find_root():
    program = shutil.which("conda") or shutil.which("mamba")
    root = os.environ.get("CONDA_ROOT") or (
        program and os.path.dirname(os.path.dirname(os.path.realpath(program))))
    return root and os.path.realpath(root)


def environments():
    """The base and what is in envs/, by name, as far as dora-run knows them."""
    root, found = find_root(), {}
    for place in [root, *sorted(glob.glob(root + "/envs/*"))] if root else []:
        python = place + "/bin/python"
        if not (os.path.isdir(place + "/conda-meta") and os.access(python, os.X_OK)):
            continue
        version, tag = facts(python)
        if version >= (3, 11) and tag.split("-")[1].isdigit():
            found["base" if place == root else os.path.basename(place)] = place
    return found


class Conda(FlowTest):
    def setUp(self):
        super().setUp()
        self.environments = environments()
        if not self.environments:
            self.skipTest("no conda: CONDA_ROOT names none, and none is on PATH")
        self.fresh()

    def fresh(self):
        super().fresh()
        self.write("look.py", LOOK)
        self.write("pass_on.py", PASS_ON)

    def bare(self, python):
        """What the interpreter says without us."""
        code = "import json, look; print(json.dumps(look.look()))"
        done = subprocess.run([python, "-c", code], cwd=self.directory, check=True,
                              capture_output=True, text=True)
        return json.loads(done.stdout)

    def assert_same(self, got, python):
        """Of the libraries that the interpreter has, no other one is there."""
        want, got = self.bare(python), json.loads(got)
        names = {os.path.basename(file) for file in want["libraries"]}
        got["libraries"] = [file for file in got["libraries"]
                            if os.path.basename(file) in names]
        self.assertEqual(got, want)

    def tool(self, name, python):
        """A console script, as pip writes it."""
        return self.write(name, f"#!{python}\nimport pass_on\n", 0o755)

    def assert_passed_on(self, run, nodes):
        """Every node got the very bytes of the source."""
        for name, python in nodes.items():
            said, place = run.lines(name)
            self.assert_same(said, python)
            self.assertEqual([place], run.lines("source"), name)
            self.assertEqual(run.node(name)["copied_bytes"], 0)

    def test_every_way_to_name_one(self):
        """`python`, a path, the first line of a script, and what `python -m
        venv` makes of one; beside those that have nothing of conda."""
        nodes, pythons, before = {"source": Node(SOURCE, outputs=["out"])}, {}, "source/out"
        ways = [("system", settings.python, {"path": "pass_on.py"})]
        for name, place in self.environments.items():
            python, venv = place + "/bin/python", f"{self.directory}/venv-{name}"
            subprocess.run([python, "-m", "venv", "--without-pip", venv], check=True)
            self.tool(f"tool-{name}", python)
            ways += [
                (f"{name}-named", python, {"path": "pass_on.py", "python": place}),
                (f"{name}-path", python, {"path": python, "args": "-m pass_on"}),
                (f"{name}-line", python, {"path": f"tool-{name}"}),
                (f"{name}-venv", venv + "/bin/python",
                 {"path": "pass_on.py", "python": venv}),
            ]
        for name, python, keys in ways:
            nodes[name] = Node(inputs={"in": before}, outputs=["out"], **keys)
            pythons[name], before = python, f"{name}/out"
        run = self.flow(nodes, timeout=120, env={"PYTHONPATH": self.directory})
        self.assert_passed_on(run, pythons)
        for name in pythons:
            print(f"      {name}: {run.node(name)['kind']}, {run.node(name)['reason']}")

    def test_the_active_one(self):
        for name, place in self.environments.items():
            self.fresh()
            os.mkdir(self.directory + "/bin")
            python = place + "/bin/python"
            self.tool("bin/tool", python)
            inputs = {"inputs": {"in": "source/out"}, "outputs": ["out"]}
            run = self.ended(self.start_file(self.write_flow({
                "source": Node(SOURCE, outputs=["out"]),
                "script": Node(path="pass_on.py", **inputs),
                "python": Node(path="python", args="pass_on.py", **inputs),
                "tool": Node(path="tool", **inputs),
            }), python=None, timeout=60, env={
                "CONDA_PREFIX": place, "CONDA_DEFAULT_ENV": name, "CONDA_SHLVL": "1",
                "PATH": f"{place}/bin:{self.directory}/bin:{os.environ['PATH']}",
                "PYTHONPATH": self.directory,
            }))
            self.assert_passed_on(run, dict.fromkeys(("script", "python", "tool"), python))
            self.assertIn("($CONDA_PREFIX)", run.node("script")["reason"])

    def test_processes_that_they_start(self):
        run = self.flow({name: Node(CHILDREN, python=place, isolation="process")
                         for name, place in self.environments.items()}, timeout=120)
        for name in self.environments:
            self.assertEqual(run.lines(name), ["the same"], run)

    def test_inside(self):
        """Of dora-run, which has no OpenSSL of its own."""
        able = [place for place in self.environments.values()
                if is_inside(settings.dora_run, place + "/bin/python")]
        if not able:
            self.skipTest("dora-run runs no nodes of conda's inside: "
                          "configure.py --python $CONDA_ROOT/bin/python")
        nodes = {name: Node(INSIDE, python=able[0], isolation="interpreter")
                 for name in ("a", "b")}
        run = self.flow(nodes)
        want = self.bare(able[0] + "/bin/python")
        for name in nodes:
            got = json.loads(run.lines(name)[0])
            self.assertEqual(got["versions"], want["versions"])
            self.assertEqual(got["certificates"], want["certificates"])
            for library in ("libssl", "libcrypto", "libsqlite3"):
                self.assertEqual(*([file for file in side["libraries"] if library in file]
                                   for side in (got, want)))
