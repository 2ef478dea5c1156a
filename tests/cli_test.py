#!/usr/bin/env python3
"""What dora-run says, on a terminal and in a pipe.

    python3 tests/cli_test.py build/dora-run [-v] [TEST...]

Nodes are shell commands where that is enough, and Python scripts on the first
Python that dora-run was built for.
"""

import os
import re
import subprocess
import unittest

from cli import Case, DORA_RUN, LIMIT, first_python


class CommandLine(Case):
    def test_nothing_is_answered_with_usage(self):
        done = subprocess.run([DORA_RUN], capture_output=True, text=True,
                              timeout=LIMIT, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertTrue(done.stderr.startswith("usage: dora-run FILE"))
        self.assertEqual(done.stdout, "")

    def test_a_mistake_is_one_line_and_status_2(self):
        done = self.run_dora("flow.yml", "--stop-aftr", "3")
        self.assertEqual(done.returncode, 2)
        self.assertEqual(done.stderr, "dora-run: no option `--stop-aftr`; "
                         "did you mean `--stop-after`?\n")

    def test_help_teaches(self):
        done = self.run_dora("--help")
        self.assertEqual(done.returncode, 0)
        for word in ("nodes:", "from dora import Node", "--stop-after"):
            self.assertIn(word, done.stdout)
        self.assertLessEqual(max(map(len, done.stdout.splitlines())), 80)

    def test_version_shows_what_it_was_built_for(self):
        done = self.run_dora("--version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"^dora-run \d+\.\d+\.\d+, memory layout")
        self.assertIn(first_python(), done.stdout)

    def test_missing_file_is_status_1(self):
        done = self.run_dora("gone.yml")
        self.assertEqual(done.returncode, 1)
        self.assertIn("gone.yml", done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)


class Problems(Case):
    WRONG = ("nodes:\n  - id: camera\n    path: shell\n    outputs: [image]\n"
             "  - id: plot\n    path: shell\n    inputs:\n"
             "      image: camra/image\n      depth: camera/dept\n"
             "    colour: red\n")

    def test_all_are_printed_with_their_places(self):
        self.write("flow.yml", self.WRONG)
        for verb in ([], ["check"], ["graph"]):
            done = self.run_dora(*verb, "flow.yml")
            self.assertEqual(done.returncode, 1)
            places = re.findall(r"^flow\.yml:(\d+):\d+: error: ", done.stderr,
                                re.MULTILINE)
            self.assertEqual(places, sorted(places, key=int))
            self.assertGreaterEqual(len(places), 3, done.stderr)
            self.assertIn("`camera`", done.stderr)
            self.assertIn("dora-run: flow.yml: %d errors\n" % len(places),
                          done.stderr)
            self.assertEqual(done.stdout, "")
        self.assertEqual(os.listdir(self.directory), ["flow.yml"])

    def test_on_a_terminal_the_line_is_shown(self):
        self.write("flow.yml", self.WRONG)
        shown, status = self.on_terminal("check", "flow.yml")
        self.assertEqual(status, 1)
        self.assertIn("     8 |       image: camra/image\r\n", shown)
        self.assertRegex(shown, r"       \|  {13}\S*\^")

    def test_missing_script_is_named_with_its_place(self):
        self.write("flow.yml", "nodes:\n  - id: n\n    path: gone.py\n")
        done = self.run_dora("check", "flow.yml")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"(?m)^flow\.yml:3:\d+: error: .*could "
                         r"not find source path `gone\.py`")

    def test_shell_needs_permission(self):
        path = self.shell("echo hello")
        done = subprocess.run([DORA_RUN, path], capture_output=True, text=True,
                              env=self.environment, timeout=LIMIT, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("--allow-shell-nodes", done.stderr)
        done = subprocess.run(
            [DORA_RUN, path], capture_output=True, text=True, timeout=LIMIT,
            env={**self.environment, "DORA_ALLOW_SHELL_NODES": "true"},
            check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("hello", done.stdout)


class CheckAndGraph(Case):
    def test_check_says_what_runs_each_node_and_starts_nothing(self):
        path = self.one("open('started', 'w')\n")
        done = self.run_dora("check", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("ok, 1 node, 0 edges", done.stdout)
        self.assertRegex(done.stdout, r"(?m)^n +python +(process|interpreter) +Python "
                         r"3\.\d+\.\d+ \(/.*\) +\S")
        self.assertFalse(os.path.exists(self.directory + "/started"))
        self.assertFalse(os.path.exists(self.directory + "/out"))

    def test_check_follows_python_and_isolation(self):
        path = self.one("")
        done = self.run_dora("check", path, "--python", first_python())
        self.assertIn("(%s)" % first_python(), done.stdout)
        self.assertIn("--python names it", done.stdout)
        done = self.run_dora("check", path, "--isolation", "n=process")
        self.assertIn("`isolation: process`", done.stdout)
        done = self.run_dora("check", path, "--isolation", "m=process")
        self.assertEqual(done.returncode, 1)
        self.assertIn("`m`", done.stderr)

    def test_graph_is_a_flowchart(self):
        path = self.one("", "    outputs: [x]\n    inputs: {t: dora/timer/"
                        "secs/1, back: n/x}\n")
        done = self.run_dora("graph", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout.startswith("flowchart TB\n"))
        self.assertIn("-->", done.stdout)


class Lines(Case):
    def test_lines_have_time_level_and_node(self):
        done = self.run_dora(self.shell("echo one; echo two >&2"))
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"(?m)^\d\d:\d\d:\d\d stdout n0: one$")
        self.assertRegex(done.stdout, r"(?m)^\d\d:\d\d:\d\d stderr n0: two$")
        self.assertNotIn("\033", done.stdout + done.stderr)

    def test_colours_are_for_terminals(self):
        path = self.shell("echo one")
        shown, status = self.on_terminal(path)
        self.assertEqual(status, 0)
        self.assertRegex(shown, "\033\\[\\d+mn0\033\\[0m: one")
        self.environment["NO_COLOR"] = "1"
        shown, status = self.on_terminal(path)
        self.assertEqual(status, 0)
        self.assertIn(" n0: one", shown)
        self.assertNotIn("\033", shown)

    def test_level_hides_raw_lines_and_lesser_records(self):
        path = self.one("from dora import Node\nnode = Node()\nprint('raw')\n"
                        "node.log_info('small')\nnode.log_warn('large')\n")
        done = self.run_dora(path)
        for word in ("stdout n: raw", "INFO   n: small", "WARN   n: large"):
            self.assertIn(word, done.stdout)
        done = self.run_dora(path, "--log-level", "warn")
        self.assertIn("large", done.stdout)
        self.assertNotIn("small", done.stdout)
        self.assertNotIn("raw", done.stdout)

    def test_long_lines_and_any_bytes_arrive_whole(self):
        done = self.run_dora(self.shell(
            "head -c 300000 /dev/zero | tr '\\0' a; echo; "
            "printf 'half \\303'; kill -SEGV $$"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("n0: " + "a" * 300000 + "\n", done.stdout)
        self.assertIn("n0: half ", done.stdout)
        self.assertIn("SIGSEGV", done.stderr)

    def test_env_stands_between_the_file_and_its_nodes(self):
        path = self.write("flow.yml", "env: {A: file, B: file, C: file}\n"
                          "nodes:\n  - id: n\n    path: shell\n"
                          "    args: echo got $A-$B-$C\n    env: {C: node}\n")
        done = self.run_dora(path, "--env", "B=cli", "--env", "C=cli")
        self.assertIn("n: got file-cli-node\n", done.stdout)

    def test_env_reaches_nodes(self):
        done = self.run_dora(self.shell("echo got $A-$B"), "--env", "A=1",
                             "--env=B=x=y")
        self.assertIn("n0: got 1-x=y", done.stdout)


class Interpreters(Case):
    SHOW = ("import sys\nfrom dora import Node\nnode = Node()\n"
            "print('prefix', sys.prefix)\nprint('runs', sys.executable)\n"
            "print('argv', sys.argv)\n")

    def make_venv(self, name):
        path = os.path.join(self.directory, name)
        subprocess.run([first_python(), "-m", "venv", "--without-pip", path],
                       check=True, timeout=LIMIT)
        return path

    def assert_in_venv(self, done, venv):
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("n: prefix %s\n" % venv, done.stdout)
        self.assertIn("n: runs %s/bin/python\n" % venv, done.stdout)

    def test_active_venv_is_used(self):
        venv = self.make_venv("with space é")
        self.environment["VIRTUAL_ENV"] = venv
        done = self.run_dora(self.one(self.SHOW))
        self.assert_in_venv(done, venv)

    def test_named_venv_is_used(self):
        venv = self.make_venv("venv")
        done = self.run_dora(self.one(self.SHOW, "    python: venv\n"))
        self.assert_in_venv(done, venv)
        done = self.run_dora(self.one(self.SHOW), "--python", "venv")
        self.assert_in_venv(done, venv)

    def test_unsupported_interpreter_is_refused(self):
        self.write("other", "#!/bin/sh\nprintf '/x\\n/x\\n3.9.1\\n'\n", 0o755)
        done = self.run_dora(self.one("", "    python: ./other\n"))
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"flow\.yml:\d+:\d+: error: .*Python "
                         r"3\.9\.1 .*configure\.py --python")

    def test_python_with_arguments(self):
        self.write("pkg/mod.py", self.SHOW)
        self.write("pkg/__init__.py", "")
        path = self.write("flow.yml", "nodes:\n  - id: n\n    path: python\n"
                          "    args: -m pkg.mod 'a b' c\n")
        done = self.run_dora(path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("/pkg/mod.py', 'a b', 'c']", done.stdout)

    def test_console_script(self):
        self.write("tool", "#!%s\n%s" % (first_python(), self.SHOW), 0o755)
        path = self.write("flow.yml", "nodes:\n  - id: n\n    path: tool\n"
                          "    args: x\n")
        done = self.run_dora(path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("/tool', 'x']", done.stdout)

    def test_script_has_an_absolute_path_and_the_directory_of_the_file(self):
        self.write("sub/n.py", "import os\n" + self.SHOW
                   + "print('cwd', os.getcwd())\n")
        path = self.write("flow.yml", "nodes:\n  - id: n\n"
                          "    path: ./sub/n.py\n")
        done = subprocess.run(self.command(path), cwd="/", text=True,
                              env=self.environment, capture_output=True,
                              timeout=LIMIT, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("argv ['%s/sub/n.py']" % self.directory, done.stdout)
        self.assertIn("cwd %s\n" % self.directory, done.stdout)


if __name__ == "__main__":
    unittest.main()
