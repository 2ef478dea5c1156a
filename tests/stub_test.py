"""Run by dora-python outside any dataflow: the module as it is imported, and
dora.pyi against it, so that neither says what the other does not have."""

import ast
import os
import sys
import unittest

BEFORE = set(sys.modules)
import dora  # noqa: E402

IMPORTED = set(sys.modules) - BEFORE
HERE = os.path.dirname(os.path.abspath(__file__))
STUB = os.path.join(HERE, "..", "pyapi", "dora.pyi")

#: What every object has, and what only type checkers need to be told.
PLAIN = set(dir(object)) | {"__init__", "__buffer__", "__hash__", "__module__"}


def classes():
    with open(STUB, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def members(node):
    return {
        item.name for item in node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)
    } | {
        target.id for item in node.body if isinstance(item, ast.Assign) for target in item.targets
    }


class Stub(unittest.TestCase):
    def test_classes_are_the_module_s(self):
        shown = {
            name for name in dir(dora)
            if name[0] != "_" and isinstance(getattr(dora, name), type)
        }
        self.assertEqual(set(classes()), shown)

    def test_members_of_classes(self):
        for name, node in classes().items():
            with self.subTest(name):
                there = set(vars(getattr(dora, name)))
                told = members(node)
                self.assertEqual({m for m in told - PLAIN if m not in there}, set())
                public = {m for m in there if not m.startswith("_")}
                self.assertEqual(public - told, set())

    def test_parameters_of_methods(self):
        for name, node in classes().items():
            for item in node.body:
                if not isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
                    continue
                if item.name.startswith("__"):
                    continue
                method = getattr(getattr(dora, name), item.name)
                signature = getattr(method, "__text_signature__", None)
                if not signature:
                    continue
                told = [a.arg for a in (item.args.posonlyargs + item.args.args)[1:]]
                given = [p.partition("=")[0].strip() for p in signature[1:-1].split(",")]
                given = [p for p in given if p and not p.startswith("$") and p != "/"]
                with self.subTest(f"{name}.{item.name}"):
                    self.assertEqual(told, given)


class Module(unittest.TestCase):
    def test_import_imports_nothing(self):
        self.assertLessEqual(IMPORTED, {"dora", "_datetime"})

    def test_node_outside_a_dataflow_says_how(self):
        for arguments in ((), ("name",), ("name", 1)):
            with self.assertRaisesRegex(RuntimeError, "dora-run"):
                dora.Node(*arguments)
        self.assertRaises(TypeError, dora.Node, 1, 2, 3)
        self.assertRaises(TypeError, dora.Node, unknown=1)

    def test_types_that_only_the_module_makes(self):
        for name in ("Array", "Scalar", "DataType", "SampleHandler", "SampleBuffer"):
            with self.subTest(name):
                self.assertRaises(TypeError, getattr(dora, name))
                with self.assertRaises(TypeError):
                    getattr(dora, name).extra = 1
                self.assertEqual(getattr(dora, name).__module__, "dora")

    def test_names(self):
        self.assertIsInstance(dora.__version__, str)
        self.assertIsInstance(dora.__author__, str)
        self.assertEqual([s.value for s in dora.DoraStatus], [0, 1, 2])
        self.assertIs(dora.DoraStatus, dora.DoraStatus)
        self.assertRaises(AttributeError, lambda: dora.nothing)

    def test_it_is_a_package_of_nothing(self):
        with self.assertRaisesRegex(ModuleNotFoundError, "dora.nothing"):
            import dora.nothing  # noqa: F401

    def test_it_can_be_forgotten_and_met_again(self):
        import gc
        import importlib

        old = sys.modules.pop("dora")
        try:
            self.assertEqual(importlib.import_module("dora").__name__, "dora")
        finally:
            sys.modules["dora"] = old
        gc.collect()


if __name__ == "__main__":
    unittest.main()
