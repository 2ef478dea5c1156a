"""`build:` lines of nodes: what runs, when again, and in which Python."""

import os
import select
import signal
import subprocess

from harness import FlowTest, Node, settings

SCRIPT = "from dora import Node\nNode()\nprint('ran')"


def knows_versions(python):
    """Whether some pip, or what it knows of versions, comes with the Python. A
    distribution may have split both off."""
    code = ("import ensurepip, glob, importlib.util as u, os\n"
            "here = os.path.dirname(ensurepip.__file__) + '/_bundled/pip-*'\n"
            "assert (u.find_spec('packaging') or u.find_spec('pip') or glob.glob(here)\n"
            "        or glob.glob('/usr/share/python-wheels/pip-*'))")
    return subprocess.run([python, "-c", code], capture_output=True).returncode == 0


class Build(FlowTest):
    def made(self, name="made"):
        """Lines of a file that build lines append to."""
        try:
            with open(os.path.join(self.directory, name)) as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []

    def node(self, *lines, **keys):
        self.write("note", "#!/bin/sh\necho \"$1\" >> made\necho noted $1\n", 0o755)
        return {"a": Node(SCRIPT, build="\n".join(lines), **keys)}

    def test_a_run_builds_what_has_changed(self):
        run = self.flow(self.node("./note one", "", "# not a command", "./note 'two words'"))
        self.assertEqual(self.made(), ["one", "two words"])
        self.assertEqual(run.lines("a"), ["ran"])
        self.assertIn("build: ./note one", run.err + run.out)
        self.assertIn("noted one", run.out)
        self.flow(self.node("./note one", "", "# not a command", "./note 'two words'"))
        self.assertEqual(len(self.made()), 2)
        self.flow(self.node("./note three"))
        self.assertEqual(self.made()[2:], ["three"])
        self.flow(self.node("./note four"), args=["--no-build"])
        self.assertEqual(len(self.made()), 3)

    def test_build_runs_all_of_it_and_no_node(self):
        path = self.write_flow(self.node("./note one"))
        for times in (1, 2):
            done = self.command("build", path)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(self.made(), ["one"] * times)
        self.assertIn("noted one", done.stdout)
        self.assertNotIn("ran", done.stdout)

    def test_the_first_that_fails_ends_it(self):
        lines = "./note one", "sh -c 'echo why; exit 7'", "./note two"
        run = self.flow(self.node(*lines), code=1)
        self.assertIn("node `a`: build: `sh -c 'echo why; exit 7'` exited with code 7",
                      run.err)
        self.assertIn("why", run.out)
        self.assertEqual(self.made(), ["one"])
        self.assertNotIn("ran", run.out)
        self.flow(self.node(*lines), code=1)
        self.assertEqual(self.made(), ["one"] * 2)
        run = self.flow(self.node("no-such-program x"), code=1)
        self.assertIn("`no-such-program x`: No such file or directory", run.err)
        run = self.flow(self.node("echo 'open"), code=1)
        self.assertIn("build: `echo 'open`: ", run.err)

    def test_it_ends_with_dora_run(self):
        line = "sh -c 'echo $$ > pid; echo waits; exec sleep 100'"
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            running = self.start(self.node(line))
            running.expect("stdout a: waits")
            ended = os.pidfd_open(int(self.made("pid")[0]))
            self.addCleanup(os.close, ended)
            running.signal(number)
            run = self.ended(running, None)
            self.assertTrue(select.select([ended], [], [], 5 * settings.patience)[0])
            if number != signal.SIGKILL:
                self.assertEqual(run.code, 1)
                self.assertIn(f"node `a`: build: `{line}` was stopped", run.err)
                self.assertNotIn("ran", run.out)

    def test_it_may_make_the_node(self):
        self.write("source.py", SCRIPT)
        run = self.flow({
            "a": Node(path="made/a.py", python=settings.python,
                      build="mkdir -p made\ncp source.py made/a.py"),
            "b": Node(path="made/program", build="cp /bin/true made/program"),
        })
        self.assertEqual(run.lines("a"), ["ran"])

    def test_python_is_the_nodes(self):
        self.flow({"a": Node(SCRIPT, build="""\
            python -c "import sys; open('who', 'w').write(sys.executable)"
        """)})
        self.assertEqual(self.made("who"), [settings.python])

    def test_an_earlier_line_makes_the_python(self):
        """Nothing is ever installed into another one."""
        self.write("pip", "#!/bin/sh\ntouch wrong\n", 0o755)
        make = f"{settings.python} -m venv --without-pip env"
        run = self.flow({"a": Node(SCRIPT, python="env", build="pip install thing\n" + make)},
                        code=1)
        self.assertIn("node `a`: `python` of the node names the interpreter `env`, which "
                      "does not exist: an earlier line of `build` has to make it, before "
                      "`pip install thing`", run.err)
        who = 'python -c "import sys; open(\'who\', \'w\').write(sys.prefix)"'
        for times in (1, 2):  # the second time nothing has changed
            run = self.flow({"a": Node(SCRIPT, python="env", build=f"{make}\n{who}")})
            self.assertEqual(self.made("who"), [os.path.join(self.directory, "env")])
            self.assertEqual("build: " in run.out, times == 1)
        self.assertEqual(self.made("wrong"), [])

    def test_a_program_yet_to_be_installed_names_no_python(self):
        """Lines of pip mean the one that would be asked for."""
        subprocess.run([settings.python, "-m", "venv", "--without-pip",
                        os.path.join(self.directory, "env")], check=True)
        who = 'python -c "import sys; open(\'who\', \'w\').write(sys.prefix)"'
        path = self.write_flow({"a": Node(path="thing-node", build=who)})
        run = self.ended(self.start_file(path, python=None, env={
            "VIRTUAL_ENV": os.path.join(self.directory, "env")}), 1)
        self.assertIn("could not find source path `thing-node`", run.err)
        self.assertEqual(self.made("who"), [os.path.join(self.directory, "env")])

    def test_without_uv(self):
        os.mkdir(os.path.join(self.directory, "bin"))
        for line, advice in (("pip install nothing-such", ", without --uv it is pip itself"),
                             ("uv pip install nothing-such", "")):
            run = self.flow({"a": Node(SCRIPT, build=line)}, args=["--uv"], code=1,
                            env={"PATH": os.path.join(self.directory, "bin")})
            self.assertIn(f"node `a`: build: `{line}`: there is no program `uv` on PATH: "
                          f"`pip install uv` makes one{advice}\n", run.err)

    def test_pip_is_not_asked_for_what_is_there(self):
        """Offline, without a pip, and where the distribution forbids it."""
        place = os.path.join(self.directory, "env")
        subprocess.run([settings.python, "-m", "venv", "--without-pip", place],
                       check=True, capture_output=True, timeout=60)
        site, = (os.path.join(r, d) for r, ds, _ in os.walk(place)
                 for d in ds if d == "site-packages" and "64" not in os.path.relpath(r, place))
        os.mkdir(os.path.join(site, "thing-1.4.dist-info"))
        with open(os.path.join(site, "thing-1.4.dist-info", "METADATA"), "w") as file:
            file.write("Metadata-Version: 2.1\nName: thing\nVersion: 1.4\n")
        python = os.path.join(place, "bin", "python")
        lines = ["pip install thing", "pip install -q thing",
                 "uv pip install thing", "python -m pip install thing"]
        if knows_versions(python):
            lines.append("pip install 'thing>=1.3,<2'")
        for line in lines:
            run = self.flow({"a": Node(SCRIPT, build=line, python=python)})
            self.assertIn(f"build: is there already: {line}", run.out + run.err)
            self.assertIn("stdout a: ran", run.out)
        run = self.flow({"a": Node(SCRIPT, build="pip install other", python=python)},
                        code=1)
        self.assertIn("node `a`: build: `pip install other` exited with code 1", run.err)
        self.assertIn("No module named pip", run.out)
        self.assertIn(f"{python} has no pip; --uv lets uv do it", run.err)
