"""T38: which interpreter a node gets, for everything that may ask for one. What
`check` says, with the reason, is what runs."""

import os
import shutil
import subprocess

from harness import FlowTest, Node, settings

WHO = """
    import sys
    from dora import Node
    Node()
    print(sys.executable, sys.prefix, sep="\\n")
"""


def facts(python):
    """Its own file, prefix and standard library."""
    code = ("import os, sys, sysconfig; print(os.path.realpath(sys.executable),"
            " sys.prefix, sysconfig.get_path('stdlib'), sep='\\n')")
    return subprocess.run([python, "-I", "-c", code], check=True,
                          capture_output=True, text=True).stdout.split("\n")[:3]


def make_conda(python, place):
    """Laid out as conda does it: no pyvenv.cfg, but an interpreter and a
    standard library of its own."""
    base, _, library = facts(python)
    own = os.path.join(place, "lib", os.path.basename(library))
    os.makedirs(own + "/site-packages")
    os.makedirs(place + "/bin")
    os.mkdir(place + "/conda-meta")
    shutil.copy(base, place + "/bin/python")
    for entry in set(os.listdir(library)) - {"site-packages"}:
        os.symlink(os.path.join(library, entry), os.path.join(own, entry))


class Interpreters(FlowTest):
    def setUp(self):
        super().setUp()
        self.base, self.prefix, _ = facts(settings.python)
        self.version = "%d.%d" % tuple(settings.version[:2])
        self.plain = shutil.which("python3", path=self.path_to(settings.python))

    def below(self, name):
        """A directory of that name is where the dataflow is from now on."""
        self.directory = os.path.join(self.directory, name)
        os.mkdir(self.directory)

    def venv(self, name):
        place = os.path.join(self.directory, name)
        subprocess.run([settings.python, "-m", "venv", "--without-pip", place],
                       check=True, capture_output=True)
        return place

    def assert_chosen(self, executable, prefix, reason, *, env=None, **keys):
        """`node` is a script that says who it is, unless `keys` say more."""
        path = self.write_flow(
            {"node": Node(**keys) if "path" in keys else Node(WHO, **keys)})
        check = subprocess.run(
            [settings.dora_run, "check", path], env=self.environment(env),
            capture_output=True, text=True, timeout=20 * settings.patience)
        self.assertEqual(check.returncode, 0, check)
        row = check.stdout.splitlines()[-1]
        self.assertIn(f"({executable})", row)
        self.assertIn(reason, row)
        shutil.rmtree(os.path.join(self.directory, "out"), ignore_errors=True)
        run = self.ended(self.start_file(path, python=None, env=env))
        self.assertEqual(run.lines("node"), [executable, prefix], run)

    # --- nobody asks ------------------------------------------------------

    def test_nothing_asked_for(self):
        self.assert_chosen(self.plain, self.prefix, "python3 on PATH")

    def test_path_python(self):
        self.write("who.py", WHO)
        self.assert_chosen(self.plain, self.prefix, "python3 on PATH",
                           path="python", args="who.py")

    # --- the active environment -------------------------------------------

    def test_active_venv(self):
        venv = self.venv("venv")
        self.write("who.py", WHO)
        for keys in ({}, {"path": "python", "args": "who.py"},
                     {"path": "python3", "args": "-m who"}):
            with self.subTest(keys):
                self.assert_chosen(venv + "/bin/python", venv, "($VIRTUAL_ENV)",
                                   env={"VIRTUAL_ENV": venv}, **keys)

    def test_active_venv_by_a_link(self):
        link = os.path.join(self.directory, "current")
        os.symlink(self.venv("venv"), link)
        self.assert_chosen(link + "/bin/python", link, "($VIRTUAL_ENV)",
                           env={"VIRTUAL_ENV": link})

    def test_active_conda_environment(self):
        """None that dora-run was built for: the module for any Python."""
        if settings.free_threaded:
            self.skipTest("the module for any Python is not for this one")
        place = os.path.join(self.directory, "conda")
        make_conda(settings.python, place)
        env = {"CONDA_PREFIX": place, "CONDA_DEFAULT_ENV": "work"}
        self.assert_chosen(place + "/bin/python", place, "($CONDA_PREFIX)",
                           env=env, isolation="process")
        venv = self.venv("venv")  # activated within it
        self.assert_chosen(venv + "/bin/python", venv, "($VIRTUAL_ENV)",
                           env={**env, "VIRTUAL_ENV": venv})

    # --- the project's ----------------------------------------------------

    def test_uv_project(self):
        """From anywhere in it, as `uv run` has it, and without that."""
        venv = self.venv(".venv")
        self.write("pyproject.toml", "[project]\nname = 'p'\nversion = '1'\n")
        self.write(".python-version", "3.9\n")
        for place in (".", "flows"):
            if place != ".":
                self.below(place)
            with self.subTest(place):
                self.write("who.py", WHO)
                self.assert_chosen(venv + "/bin/python", venv,
                                   f"the project's environment ({venv})")
                self.assert_chosen(venv + "/bin/python", venv,
                                   "the project's environment",
                                   path="python", args="-m who")

    def test_version_file_of_pyenv(self):
        home = os.path.join(self.directory, "pyenv")
        program = f"{home}/versions/9.8.7/bin/python3"
        os.makedirs(os.path.dirname(program))
        os.symlink(self.base, program)
        self.write("pyenv/version", "1.2.3\n")
        self.write("pyenv/shims/python3", "#!/bin/sh\nexit 1\n", 0o755)
        file = self.write(".python-version", "9.8.7\n")
        env = {"PATH": f"{home}/shims:{os.environ['PATH']}", "PYENV_VERSION": ""}
        self.assert_chosen(program, self.prefix, f"{file} says 9.8.7", env=env)
        self.write(".python-version", "9.8.6\n")
        refused = self.ended(self.start_file(
            self.write_flow({"node": Node(WHO)}), python=None, env=env), 1)
        self.assertIn(f"{file} says 9.8.6", refused.err)

    def test_version_file_without_pyenv(self):
        file = self.write(".python-version", f"{self.version}\n")
        self.assert_chosen(shutil.which(f"python{self.version}",
                                        path=self.environment()["PATH"]),
                           self.prefix, f"{file} says {self.version}")
        self.write(".python-version", "3.4\n")
        self.assert_chosen(self.plain, self.prefix,
                           f"python3 on PATH; {file} says 3.4, which is not here")

    # --- the script -------------------------------------------------------

    def test_first_line_of_a_console_script(self):
        venv = self.venv("venv")
        python = venv + "/bin/python"
        for line in (f"#!{python}", f"#!/bin/sh\n'''exec' \"{python}\" \"$0\"\n' '''"):
            with self.subTest(line):
                self.write("tool", f"{line}\n")
                with open(os.path.join(self.directory, "tool"), "a") as file:
                    file.write("import sys\nfrom dora import Node\nNode()\n"
                               "print(sys.executable, sys.prefix, sep='\\n')\n")
                os.chmod(file.name, 0o755)
                self.assert_chosen(python, venv, "the first line of the script",
                                   path="tool")

    def test_console_script_of_an_environment_that_is_not_active(self):
        """`pip install` puts it beside the interpreter, which is not on PATH."""
        for name, keys in (("venv", {"python": "venv"}), (".venv", {})):
            with self.subTest(name):
                venv = self.venv(name)
                python = venv + "/bin/python"
                self.write(f"{name}/bin/my-tool", f"#!{python}\nimport sys\n"
                           "from dora import Node\nNode()\n"
                           "print(sys.executable, sys.prefix, sep='\\n')\n", 0o755)
                self.assert_chosen(python, venv, "", path="my-tool", **keys)
                shutil.rmtree(venv)
        run = self.flow({"a": Node(path="my-tool")}, code=1)
        self.assertIn("could not find source path `my-tool`", run.err)

    def test_first_line_that_leaves_it_open(self):
        venv = self.venv("venv")
        self.write("tool", "#!/usr/bin/env python3\nimport sys\n"
                   "from dora import Node\nNode()\n"
                   "print(sys.executable, sys.prefix, sep='\\n')\n", 0o755)
        self.assert_chosen(self.plain, self.prefix, "python3 on PATH", path="tool")
        self.assert_chosen(venv + "/bin/python", venv, "($VIRTUAL_ENV)",
                           env={"VIRTUAL_ENV": venv}, path="tool")

    def test_first_line_of_a_py_file_says_nothing(self):
        """As in `python file.py`."""
        self.write("who.py", "#!/nowhere/python3\nimport sys\n"
                   "from dora import Node\nNode()\n"
                   "print(sys.executable, sys.prefix, sep='\\n')\n", 0o755)
        self.assert_chosen(self.plain, self.prefix, "python3 on PATH",
                           path="who.py")

    # --- names ------------------------------------------------------------

    def test_space_and_letters_in_every_path(self):
        self.below("mit Leerzeichen \u00e4\u6f22")
        venv = self.venv("b\u00fchne 1")
        python = venv + "/bin/python"
        self.write("mein knoten \u00f6.py", WHO)
        self.write("b\u00fcro/__init__.py", "")
        self.write("b\u00fcro/wer.py", WHO)
        for keys in ({"path": "mein knoten \u00f6.py"},
                     {"path": "python", "args": "'mein knoten \u00f6.py'"},
                     {"path": "python", "args": "-m b\u00fcro.wer"}):
            with self.subTest(keys):
                self.assert_chosen(python, venv, "`python` of the node",
                                   python="b\u00fchne 1", **keys)
        self.assert_chosen(python, venv, "`path` of the node",
                           path="b\u00fchne 1/bin/python",
                           args="'mein knoten \u00f6.py'")

    def test_module_of_a_package(self):
        self.write("pkg/__init__.py", "")
        self.write("pkg/mod.py", WHO)
        self.assert_chosen(self.plain, self.prefix, "python3 on PATH",
                           path="python", args="-m pkg.mod")
