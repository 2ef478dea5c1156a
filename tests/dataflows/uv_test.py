"""Environments made by uv, and `uv pip`: on a package of our own, offline."""

import os
import shutil
import subprocess
import zipfile

from harness import FlowTest, Node, settings

#: Says where it is, and that of the package.
SCRIPT = """
    import os, sys
    import thing
    from dora import Node
    node = Node()
    print(sys.prefix, os.path.dirname(thing.__file__).startswith(sys.prefix + "/"))
"""

RECEIVER = SCRIPT + """
    for event in node:
        if event["type"] == "INPUT":
            print(bytes(event["value"]).decode())
"""


class Uv(FlowTest):
    def setUp(self):
        super().setUp()
        if shutil.which("uv", path=self.environment()["PATH"]) is None:
            self.skipTest("no uv on PATH")
        self.wheel = "./thing-1.4-py3-none-any.whl"
        with zipfile.ZipFile(os.path.join(self.directory, self.wheel), "w") as wheel:
            wheel.writestr("thing/__init__.py", "")
            info = "thing-1.4.dist-info/"
            wheel.writestr(info + "METADATA",
                           "Metadata-Version: 2.1\nName: thing\nVersion: 1.4\n")
            wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: x\n"
                           "Root-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(info + "RECORD", "thing/__init__.py,,\n" + "".join(
                f"{info}{name},,\n" for name in ("METADATA", "WHEEL", "RECORD")))

    def environment(self, extra=None):
        """uv reaches for nothing but what the test gives it."""
        return super().environment({
            "UV_OFFLINE": "1", "UV_CACHE_DIR": os.path.join(self.directory, "cache"),
            "UV_PYTHON_DOWNLOADS": "never", **(extra or {})})

    def venv(self, name="env"):
        place = os.path.join(self.directory, name)
        subprocess.run(["uv", "venv", "--quiet", "--python", settings.python, place],
                       env=self.environment(), check=True)
        return place

    def test_pip_is_uv_pip_when_asked(self):
        place = self.venv()
        run = self.flow({"a": Node(SCRIPT, python="env", build=f"pip install {self.wheel}")},
                        args=["--uv"])
        self.assertEqual(run.lines("a"), [f"{place} True"])
        self.assertIn("+ thing==1.4", run.out)

    def test_uv_pip_needs_no_asking(self):
        place = self.venv()
        nodes = {"a": Node(SCRIPT, python="env", build=f"uv pip install {self.wheel}")}
        path = self.write_flow(nodes)
        done = self.command("build", path)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("+ thing==1.4", done.stdout)
        run = self.flow(nodes)
        self.assertEqual(run.lines("a"), [f"{place} True"])
        self.assertNotIn("build:", run.out)

    def test_build_with_uv_leaves_what_is_met(self):
        self.venv()
        path = self.write_flow({"a": Node(SCRIPT, python="env",
                                          build=f"pip install {self.wheel}")})
        self.assertEqual(self.command("build", "--uv", path).returncode, 0)
        path = self.write_flow({"a": Node(SCRIPT, python="env",
                                          build="pip install 'thing>=1.3'")})
        done = self.command("build", path)  # without a pip, without --uv
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("build: is there already: pip install 'thing>=1.3'", done.stdout)

    def test_made_by_an_earlier_line(self):
        build = f"uv venv --python {settings.python} made\npip install {self.wheel}"
        run = self.flow({"a": Node(SCRIPT, python="made", build=build)}, args=["--uv"])
        self.assertEqual(run.lines("a"), [self.directory + "/made True"])

    def test_the_active_one(self):
        place = self.venv()
        path = self.write_flow({"a": Node(SCRIPT, build=f"uv pip install {self.wheel}")})
        run = self.ended(self.start_file(path, python=None, env={"VIRTUAL_ENV": place}))
        self.assertEqual(run.lines("a"), [f"{place} True"])
        self.assertIn("VIRTUAL_ENV", run.node("a")["reason"])

    def test_the_projects(self):
        """`uv venv` makes .venv, which is then that of the dataflow's nodes."""
        build = f"uv venv --python {settings.python}\nuv pip install {self.wheel}"
        path = self.write_flow({"a": Node(SCRIPT, build=build)})
        run = self.ended(self.start_file(path, python=None))
        self.assertEqual(run.lines("a"), [self.directory + "/.venv True"])

    def test_beside_a_plain_one(self):
        """Each has its own; a message goes from one to the other."""
        place = self.venv()
        plain = os.path.join(self.directory, "plain")
        subprocess.run([settings.python, "-m", "venv", plain], check=True)
        send = """
            import sys
            import thing
            from dora import Node
            Node().send_output("x", b"hello")
            print(sys.prefix)
        """
        pip = f"pip install --no-index {self.wheel}"
        run = self.flow({
            "a": Node(send, python="plain", build=pip, outputs=["x"]),
            "b": Node(RECEIVER, python="env", build="uv " + pip, inputs={"x": "a/x"}),
        })
        self.assertEqual(run.lines("a"), [plain])
        self.assertEqual(run.lines("b"), [f"{place} True", "hello"])
