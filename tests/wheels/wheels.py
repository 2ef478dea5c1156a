#!/usr/bin/env python3
"""Runs dataflows with real packages from the package index: `wheels.py
--dora-run build/dora-run --place build/wheels PYTHON...`.

For each Python a virtual environment below `place` gets PACKAGES, as far as
they can be had. What is tried then, and with which versions, is printed; last
line `N passed, N failed[, N skipped]`.
"""

import argparse
import os
import shutil
import subprocess
import sys
import textwrap
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), os.path.join(os.path.dirname(HERE), "dataflows")]

import run_dataflows  # noqa: E402
from conda import Conda  # noqa: E402
from examples_test import Examples  # noqa: E402
from harness import FlowTest, Node, settings  # noqa: E402
from mixed import Mixed  # noqa: E402

#: Package: the module to import, and how its C code is made.
PACKAGES = {
    "numpy": ("numpy", "C, for the main interpreter only"),
    "pyarrow": ("pyarrow", "Cython over C++"),
    "orjson": ("orjson", "PyO3"),
    "pydantic-core": ("pydantic_core", "PyO3"),
    "msgpack": ("msgpack", "Cython"),
    "lxml": ("lxml.etree", "Cython over C"),
    "PyYAML": ("yaml", "Cython, with a stand-in in Python"),
    "pybase64": ("pybase64", "C, with a stand-in in Python"),
    "psutil": ("psutil", "C, single-phase"),
    "greenlet": ("greenlet", "C++, switches stacks"),
    "markupsafe": ("markupsafe", "C, with a stand-in in Python"),
    "cffi": ("_cffi_backend", "C, calls libraries"),
    "contourpy": ("contourpy", "pybind11"),
    "pillow": ("PIL.Image", "C"),
}

#: Sends what packages make, and looks at what arrives as each would see it.
ARROW_SENDER = """
    import pyarrow as pa
    from dora import Node
    node = Node()
    node.send_output("x", pa.array([i % 251 for i in range(100000)], type=pa.uint8()))
    with node.send_output_raw("x", 40_000_000) as buffer:
        memoryview(buffer)[:4] = b"head"
"""
ARROW_RECEIVER = """
    import pyarrow as pa
    from dora import Node
    node = Node()
    for event in node:
        if event["type"] != "INPUT":
            continue
        value = event["value"]
        assert isinstance(value, pa.UInt8Array), type(value)
        where = value.buffers()[1]
        print(value.type, where.size, where.is_mutable, value[0].as_py(), value[1].as_py())
"""
#: Both make the same; what arrives is pyarrow's own.
ARROW_ARRAYS = """
    import datetime
    import pyarrow as pa
    from dora import Node
    node = Node()
    arrays = [
        pa.array([1, 2, 3]), pa.array(["Hello World"]), pa.array([1.5, None]), pa.array([]),
        pa.array([True, None, False] * 7).slice(3, 13), pa.array([b"x", b"", None]),
        pa.array([[1, 2], [], None, [3]]).slice(1), pa.array([[[1], [2, 3]], [[4]]]),
        pa.array([{"a": 1, "b": "x"}, {"a": 2, "b": None}]).slice(1),
        pa.array([None, None]), pa.array([1, None], pa.uint8()),
        pa.array(["a", "bb", None, "dddd"], pa.large_string()).slice(1, 3),
        pa.array([datetime.datetime(2024, 1, 1)], pa.timestamp("ns", "UTC")),
        pa.array([datetime.date(2024, 1, 1)]), pa.array([datetime.timedelta(1)]),
        pa.array(["a", "b", "a"]).dictionary_encode(), pa.array([[1, 2]], pa.list_(pa.int8(), 2)),
        pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
        pa.array([7], pa.decimal128(9, 2)),
    ]
"""
ARROW_PAIR = (ARROW_ARRAYS + """
    for array in arrays:
        node.send_output("x", array)
    node.send_output("x", pa.record_batch({"x": [1, 2], "y": ["u", "v"]}))
""", ARROW_ARRAYS + """
    arrays.append(pa.record_batch({"x": [1, 2], "y": ["u", "v"]}).to_struct_array())
    events = (event for event in node if event["type"] == "INPUT")
    for array, event in zip(arrays, events, strict=True):
        value = event["value"]
        assert isinstance(value, type(array)), type(value)
        value.validate(full=True)
        assert value.equals(array), (value, array)
        print(value.type == array.type, len(value))
""")
#: As pyarrow's own, or as dora's, which pyarrow imports; numbers name arrays.
NESTED_SENDER = """
    import nested
    from dora import Node
    node = Node()
    for number in range(300):
        node.send_output("x", nested.array(number), {"number": number})
"""
NESTED_RECEIVER = """
    {first}
    from dora import Node
    node = Node()
    import nested, pyarrow as pa
    count = 0
    for event in node:
        if event["type"] != "INPUT":
            continue
        want, value = nested.array(event["metadata"]["number"]), event["value"]
        assert isinstance(value, pa.Array) is {own}, type(value)
        got = pa.array(value)
        got.validate()
        assert got.type == want.type and got.equals(want), (got, want)
        count += 1
    print(count)
"""
NUMPY_PAIR = ("""
    import numpy as np
    from dora import Node
    node = Node()
    node.send_output("x", np.arange(100000, dtype=np.uint8))
""", """
    import numpy as np
    from dora import Node
    for event in Node():
        if event["type"] == "INPUT":
            array = np.asarray(event["value"])
            print(array.dtype, array.shape, int(array.sum()),
                  array.__array_interface__["data"]
                  == np.frombuffer(event["value"], np.uint8).__array_interface__["data"])
""")


class venv:
    """The one in use."""

    packages = {}
    uv = None  # its program


class Real(FlowTest):
    def pair(self, sender, receiver, **keys):
        return self.flow({"sender": Node(sender, outputs=["x"], **keys),
                          "receiver": Node(receiver, inputs={"x": "sender/x"}, **keys)})

    def need(self, package):
        if package not in venv.packages:
            self.skipTest(f"no {package} for this Python")

    def test_pyarrow_imports_values_without_a_copy(self):
        self.need("pyarrow")
        for keys in ({}, {"isolation": "process"}):
            self.fresh()
            run = self.pair(ARROW_SENDER, ARROW_RECEIVER, **keys)
            self.assertEqual(run.lines("receiver"),
                             ["uint8 100000 False 0 1", "uint8 40000000 False 104 101"])
            self.assertEqual(run.node("receiver")["copied_bytes"], 0)

    def test_pyarrow_arrays_of_every_type(self):
        self.need("pyarrow")
        sender, receiver = ARROW_PAIR
        run = self.flow({
            "sender": Node(sender, outputs=["x"]),
            "receiver": Node(receiver, inputs={"x": {"source": "sender/x", "queue_size": 100}}),
        })
        lengths = (3, 1, 2, 0, 13, 3, 3, 2, 1, 2, 2, 3, 1, 1, 1, 3, 1, 1, 1, 2)
        self.assertEqual(run.lines("receiver"), [f"True {length}" for length in lengths])

    def test_pyarrow_arrays_nested_at_random(self):
        self.need("pyarrow")
        shutil.copy(os.path.join(os.path.dirname(__file__), "nested.py"), self.directory)
        inputs = {"x": {"source": "sender/x", "queue_size": 300}}
        run = self.flow({
            "sender": Node(NESTED_SENDER, outputs=["x"]),
            "own": Node(NESTED_RECEIVER.format(first="import pyarrow", own=True),
                        inputs=inputs),
            "doras": Node(NESTED_RECEIVER.format(first="", own=False),
                          isolation="process", inputs=inputs),
        })
        self.assertEqual((run.lines("own"), run.lines("doras")), (["300"], ["300"]))

    def test_numpy_arrays(self):
        self.need("numpy")
        run = self.pair(*NUMPY_PAIR)
        total = sum(i % 256 for i in range(100000))
        self.assertEqual(run.lines("receiver"), [f"uint8 (100000,) {total} True"])
        self.assertEqual(run.node("receiver")["copied_bytes"], 0)

    def test_zero_copy_numpy(self):
        self.need("numpy")
        settings.numpy_python = settings.python
        Examples.test_zero_copy_numpy(self)

    run_example = Examples.run_example


class Uv(FlowTest):
    """NumPy in an environment of uv, beside one of pip."""

    def environment(self, extra=None):
        env = super().environment(extra)
        return {**env, "PATH": env["PATH"] + ":" + os.path.dirname(settings.python)}

    def test_numpy_of_each_environment(self):
        self.need("numpy")
        if venv.uv is None:
            self.skipTest("no uv for this Python")
        made = f"uv venv --python {settings.python} made"
        where = "\nprint(np.__file__)"
        sender, receiver = (textwrap.dedent(text) + where for text in NUMPY_PAIR)
        run = self.flow({
            "sender": Node(sender, outputs=["x"]),
            "receiver": Node(receiver, inputs={"x": "sender/x"}, python="made",
                             build=f"{made}\npip install numpy"),
        }, args=["--uv"], timeout=180)
        total = sum(i % 256 for i in range(100000))
        self.assertEqual(run.lines("receiver")[0], f"uint8 (100000,) {total} True")
        self.assertIn(self.directory + "/made/lib", run.lines("receiver")[1])
        self.assertIn(os.path.dirname(os.path.dirname(settings.python)) + "/lib",
                      run.lines("sender")[0])
        self.assertEqual(run.node("receiver")["copied_bytes"], 0)

    need = Real.need


class Inside(FlowTest):
    """Asked into dora-run, two nodes of each package at once."""

    def setUp(self):
        super().setUp()
        path = self.write_flow({"node": Node("x", isolation="interpreter")})
        if self.command("check", path).returncode:
            self.skipTest("dora-run runs no nodes of this Python inside")

    def test_every_package_moves_or_runs(self):
        nodes = {}
        for package in venv.packages:
            module, _ = PACKAGES[package]
            for i in range(2):
                nodes[f"{package}-{i}".replace(".", "-")] = Node(f"""
                    import {module}
                    from dora import Node
                    Node()
                    print({module}.__name__)
                """, isolation="interpreter")
        run = self.flow(nodes, timeout=180)
        for package in venv.packages:
            tiers = set()
            for i in range(2):
                self.assertEqual(run.lines(f"{package}-{i}"), [PACKAGES[package][0]], run)
                tiers.add(run.node(f"{package}-{i}")["tier"])
            self.assertEqual(len(tiers), 1)
            print(f"      {package}: {tiers.pop()}", flush=True)

    def test_every_package_after_node(self):
        """An ImportError of it, or the stand-in; never the end."""
        nodes = {
            f"with-{package}": Node(f"""
                from dora import Node
                Node()
                try:
                    import {PACKAGES[package][0]}
                    print("stand-in")
                except ImportError as error:
                    print("`isolation: process`" in str(error) or error)
            """, isolation="interpreter") for package in venv.packages}
        run = self.flow(nodes, timeout=120)
        for package in venv.packages:
            self.assertEqual(run.node(f"with-{package}")["tier"], "interpreter")
            lines = run.lines(f"with-{package}")
            self.assertEqual(len(lines), 1, run)
            self.assertIn(lines[0], ("True", "stand-in"), run)
            print(f"      {package}: {'refused' if lines[0] == 'True' else lines[0]}",
                  flush=True)


def install(python, place):
    """The interpreter of a virtual environment that has what can be had."""
    version, tag = run_dataflows.facts(python)
    at = os.path.join(place, f"{'.'.join(map(str, version))}-{tag}")
    inside = os.path.join(at, "bin", "python")
    if not os.path.exists(inside):
        subprocess.run([python, "-m", "venv", at], check=True)
    pip = [inside, "-m", "pip", "--disable-pip-version-check"]
    get = [*pip, "install", "--quiet", "--only-binary", ":all:"]
    if subprocess.run([*get, *PACKAGES], stderr=subprocess.DEVNULL).returncode:
        for package in PACKAGES:
            subprocess.run([*get, package], stderr=subprocess.DEVNULL)
    program = os.path.join(at, "bin", "uv")
    subprocess.run([*get, "uv"], stderr=subprocess.DEVNULL)
    venv.uv = program if os.path.exists(program) else None
    listed = subprocess.run([*pip, "list", "--format=freeze"], check=True,
                            capture_output=True, text=True).stdout.split()
    versions = dict(line.lower().replace("_", "-").split("==") for line in listed)
    venv.packages = {package: versions[package.lower()] for package in PACKAGES
                     if package.lower() in versions}
    if not venv.packages:
        sys.exit("wheels: no package can be had; is the package index reachable?")
    return version, inside


def suite_of(*classes):
    load = unittest.defaultTestLoader.loadTestsFromTestCase
    return unittest.TestSuite(load(one) for one in classes)


def run_all(tests, counts):
    for test in run_dataflows.flatten(tests):
        verdict, seconds, text = run_dataflows.run_one(test)
        counts[verdict] += 1
        print(f"{verdict:>4}  {seconds:6.2f} s  {test.id().removeprefix('__main__.')}",
              flush=True)
        if text:
            print("      " + text.rstrip().replace("\n", "\n      "), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dora-run", default=settings.dora_run)
    parser.add_argument("--place", required=True)
    parser.add_argument("python", nargs="+")
    options = parser.parse_args()
    settings.dora_run = os.path.abspath(options.dora_run)
    counts = {"ok": 0, "FAIL": 0, "skip": 0}
    for python in options.python:
        settings.version, settings.python = install(os.path.abspath(python),
                                                    os.path.abspath(options.place))
        print(f"Python {'.'.join(map(str, settings.version))} ({python}):",
              ", ".join(f"{name} {version}"
                        for name, version in venv.packages.items()), flush=True)
        run_all(suite_of(Real, Uv, Inside), counts)
    Mixed.pythons, Mixed.uv = options.python, venv.uv
    run_all(suite_of(Mixed, Conda), counts)
    line = f"{counts['ok']} passed, {counts['FAIL']} failed"
    print(line + (f", {counts['skip']} skipped" if counts["skip"] else ""))
    return 0 if counts["ok"] and not counts["FAIL"] else 1


if __name__ == "__main__":
    sys.exit(main())
