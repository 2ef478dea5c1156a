"""One dataflow of environments that pip and uv make, and of conda's layout, of
every Python that dora-run was built for, each with a NumPy of its own; and of
conda's own, where there is one."""

import os
import subprocess

from conda import SOURCE, environments
from harness import FlowTest, Node, settings
from interpreters_test import make_conda
from run_dataflows import facts, has_numpy

PASS_ON = """
    import ctypes, math, os, sqlite3, ssl, sys
    import numpy as np
    from dora import Node

    node = Node()
    assert ctypes.sizeof(ctypes.c_int) == 4 and math.isclose(math.sin(0), 0)
    assert sqlite3.connect(":memory:").execute("select 6 * 7").fetchone() == (42,)
    ssl.create_default_context()
    for event in node:
        if event["type"] == "INPUT":
            array = np.frombuffer(event["value"], np.uint8)
            print(sys.prefix, np.__version__, int(array.sum()),
                  np.__file__.startswith(sys.prefix + "/"))
            node.send_output("out", event["value"])
"""

SINK = """
    from dora import Node
    from probe import place
    for event in Node():
        if event["type"] == "INPUT":
            print(*place(event["value"]))
"""


class Mixed(FlowTest):
    pythons = []
    uv = None  # its program

    def make_pip(self, python, place):
        subprocess.run([python, "-m", "venv", place], check=True)
        return [place + "/bin/python", "-m", "pip", "install"]

    def make_uv(self, python, place):
        subprocess.run([self.uv, "venv", "--python", python, place], check=True,
                       capture_output=True)
        return [self.uv, "pip", "install", "--python", place + "/bin/python"]

    def make_conda(self, python, place):
        make_conda(python, place)
        code = "import site; print([p for p in site.getsitepackages() if p.startswith(%r)][0])"
        site = subprocess.run([place + "/bin/python", "-I", "-c", code % place],
                              check=True, capture_output=True, text=True).stdout.strip()
        return [self.uv, "pip", "install", "--python", place + "/bin/python",
                "--target", site]

    def make_all(self):
        """Environments of every kind, by name; conda's are as they are."""
        real = {f"conda-{name}": place for name, place in environments().items()}
        places = {name: place for name, place in real.items()
                  if has_numpy(place + "/bin/python")}
        pythons = self.pythons + [place + "/bin/python" for place in real.values()]
        for i, python in enumerate(pythons):
            for make in (self.make_pip, self.make_uv, self.make_conda):
                kind = make.__name__.removeprefix("make_")
                if kind == "conda" and (
                        python not in self.pythons
                        or facts(python)[1].split("-")[1].endswith("t")):
                    continue  # there is a real one; that needs a build of its own
                name = f"{kind}{i}"
                places[name] = os.path.join(self.directory, name)
                install = make(python, places[name])
                done = subprocess.run([*install, "--quiet", "numpy"],
                                      capture_output=True, text=True)
                self.assertEqual(done.returncode, 0, done)
        return places

    def test_numpy_of_each_environment(self):
        """A message goes through all of them, and is not copied."""
        if self.uv is None:
            self.skipTest("no uv for the last Python")
        nodes = {"source": Node(SOURCE, outputs=["out"], isolation="process")}
        before = "source/out"
        self.write("pass_on.py", PASS_ON)
        places = self.make_all()
        for name, place in places.items():
            nodes[name] = Node(path="pass_on.py", python=place,
                               inputs={"in": before}, outputs=["out"])
            before = f"{name}/out"
        nodes["sink"] = Node(SINK, inputs={"in": before}, isolation="process")
        settings.python = self.pythons[0]
        run = self.flow(nodes, timeout=180)
        total = str(sum(range(250)) * 400)
        for name, place in places.items():
            prefix, version, found, own = run.lines(name)[0].split()
            self.assertEqual([prefix, found, own], [place, total, "True"])
            node = run.node(name)
            print(f"      {name}: NumPy {version}, {node['kind']}: {node['reason']}")
        self.assertEqual(run.lines("sink"), run.lines("source"))

