#!/usr/bin/env python3
"""What dora-run does on a terminal, in a pipe and under signals.

    python3 tests/cli_test.py build/dora-run [-v] [TEST...]

Nodes are shell commands where that is enough, and Python scripts on the first
Python that dora-run was built for.
"""

import glob
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

DORA_RUN = os.path.abspath(sys.argv.pop(1) if len(sys.argv) > 1
                           else "build/dora-run")
LIMIT = 60  # seconds for anything

# A node that never ends by itself, but by the stop.
WAIT = """
from dora import Node
node = Node()
print("ready")
for event in node:
    pass
"""

# A node that neither ends nor listens.
DEAF = """
import signal, time
from dora import Node
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
node = Node()
print("ready")
while True:
    time.sleep(100)
"""


def first_python():
    with open(os.path.join(os.path.dirname(DORA_RUN), "pythons"),
              encoding="utf-8") as table:
        return table.readline().split("\t")[2]


def children(pid):
    """Ids of the processes that `pid` has started."""
    found = []
    for name in glob.glob(f"/proc/{pid}/task/*/children"):
        with open(name, encoding="ascii") as file:
            found += map(int, file.read().split())
    return found


class Case(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="dora-cli-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.environment = {
            name: value for name, value in os.environ.items()
            if name not in ("VIRTUAL_ENV", "CONDA_PREFIX", "NO_COLOR",
                            "DORA_LOG_LEVEL", "DORA_ALLOW_SHELL_NODES")}
        self.environment["TERM"] = "xterm"

    def write(self, name, text, mode=0o644):
        path = os.path.join(self.directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def shell(self, *commands):
        """A dataflow of shell commands, n0, n1...; its path."""
        return self.write("flow.yml", "nodes:\n" + "".join(
            "  - id: n%d\n    path: shell\n    args: %s\n"
            % (number, json.dumps(command))
            for number, command in enumerate(commands)))

    def one(self, script, more=""):
        """A dataflow of one script, `n`; its path."""
        self.write("n.py", script)
        return self.write("flow.yml", "nodes:\n  - id: n\n    path: n.py\n"
                          + more)

    def command(self, *words):
        return [DORA_RUN, "--allow-shell-nodes", *words]

    def run_dora(self, *words, **options):
        options.setdefault("env", self.environment)
        return subprocess.run(
            self.command(*words), cwd=self.directory, timeout=LIMIT, text=True,
            errors="replace", stdin=subprocess.DEVNULL, capture_output=True,
            check=False, **options)

    def start(self, *words, **options):
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        process = subprocess.Popen(
            self.command(*words), cwd=self.directory, text=True,
            env=self.environment, stdin=subprocess.DEVNULL, **options)
        self.addCleanup(self.end, process)
        watchdog = threading.Timer(LIMIT, process.kill)
        watchdog.start()
        self.addCleanup(watchdog.cancel)
        return process

    def end(self, process):
        if process.poll() is None:
            process.kill()
        process.wait()
        for file in (process.stdout, process.stderr):
            if file:
                file.close()

    def await_line(self, process, text):
        for line in process.stdout:
            if text in line:
                return
        self.fail("ended without: " + text)

    def on_terminal(self, *words):
        """Everything that appears on a terminal, and the status."""
        master, slave = pty.openpty()
        process = subprocess.Popen(
            self.command(*words), cwd=self.directory, env=self.environment,
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)
        shown = b""
        while True:
            try:
                part = os.read(master, 65536)
            except OSError:
                break
            if not part:
                break
            shown += part
        os.close(master)
        return shown.decode(errors="replace"), process.wait(LIMIT)


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
        self.assertRegex(done.stdout, r"(?m)^n +python +process +Python "
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


class Ends(Case):
    def test_failure_shows_the_last_words(self):
        done = self.run_dora(self.one(
            "import sys\nfrom dora import Node\nnode = Node()\n"
            "for i in range(30): print('noise', i, file=sys.stderr)\n"
            "raise ValueError('why')\n"))
        self.assertEqual(done.returncode, 1)
        block = done.stderr[done.stderr.index("[ERROR]"):]
        self.assertTrue(block.startswith("[ERROR] Dataflow failed\n"))
        self.assertIn("Node `n` failed: exited with code 1 with stderr output:"
                      "\n    Traceback (most recent call last):\n", block)
        self.assertIn("    ValueError: why\n", block)
        self.assertNotIn("noise", block)
        self.assertIn(os.path.join(self.directory, "out"), block)

    def test_consequences_are_only_counted(self):
        self.write("bad.py", "raise SystemExit('no camera')\n")
        self.write("good.py", WAIT)
        path = self.write("flow.yml", "nodes:\n"
                          "  - {id: bad, path: bad.py, outputs: [x]}\n"
                          "  - {id: a, path: good.py, inputs: {x: bad/x}}\n"
                          "  - {id: b, path: good.py, inputs: {x: bad/x}}\n")
        done = self.run_dora(path)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(re.findall(r"Node `(\w+)` failed", done.stderr),
                         ["bad"])
        self.assertIn("    no camera\n", done.stderr)
        self.assertIn("2 more nodes gave up", done.stderr)

    def test_every_end_has_its_word(self):
        path = self.shell("exit 0", "exit 3", "kill -SEGV $$", "kill -KILL $$")
        done = self.run_dora(path, "--report", "report.json")
        self.assertEqual(done.returncode, 1)
        for words in ("n0  succeeded", "n1  exited with code 3",
                      "n2  was killed by SIGSEGV", "n3  was killed by SIGKILL"):
            self.assertIn(words, done.stderr)
        with open(self.directory + "/report.json", encoding="utf-8") as file:
            nodes = json.load(file)["nodes"]
        self.assertEqual([(node["exit"], node["exit_code"]) for node in nodes],
                         [("success", 0), ("code", 3), ("signal", 11),
                          ("signal", 9)])

    def test_report_tells_everything(self):
        self.write("send.py", "from dora import Node\nnode = Node()\n"
                   "for i in range(5): node.send_output('x', b'12345678')\n")
        self.write("take.py", "from dora import Node\n"
                   "print(len([e for e in Node() if e['type'] == 'INPUT']))\n")
        path = self.write("flow.yml", "nodes:\n"
                          "  - {id: send, path: send.py, outputs: [x]}\n"
                          "  - {id: take, path: take.py, inputs: {x: "
                          "send/x}}\n")
        done = self.run_dora(path, "--report", "report.json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("take: 5", done.stdout)
        with open(self.directory + "/report.json", encoding="utf-8") as file:
            report = json.load(file)
        self.assertEqual(report["status"], 0)
        self.assertIsNone(report["stopped_by"])
        self.assertGreater(report["duration_ns"], 0)
        self.assertTrue(os.path.isdir(report["log_directory"]))
        self.assertIn(report["dataflow_id"], report["log_directory"])
        send, take = report["nodes"]
        self.assertEqual([send["id"], take["id"]], ["send", "take"])
        for node in (send, take):
            self.assertEqual(node["kind"], "python")
            self.assertEqual(node["tier"], "process")
            self.assertTrue(node["interpreter"].startswith("Python 3."))
            self.assertTrue(node["reason"])
            self.assertEqual(node["exit"], "success")
            self.assertGreater(node["user_ns"] + node["system_ns"], 0)
            self.assertGreaterEqual(node["voluntary_switches"], 0)
            self.assertGreaterEqual(node["involuntary_switches"], 0)
        self.assertGreater(send["heap_peak"], 0)
        self.assertEqual(send["copied_bytes"], 40)
        (edge,) = report["edges"]
        self.assertEqual((edge["source"], edge["to_node"], edge["input"]),
                         ("send/x", "take", "x"))
        self.assertEqual((edge["sent"], edge["delivered"], edge["dropped"],
                          edge["queued"]), (5, 5, 0, 0))

    def test_report_that_cannot_be_written_starts_nothing(self):
        done = self.run_dora(self.shell("touch started"), "--report",
                             "no/such/directory.json")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no/such/directory.json: No such file", done.stderr)
        self.assertFalse(os.path.exists(self.directory + "/started"))

    def test_losses_are_warned_of_and_summed_up(self):
        self.write("send.py", "import time\nfrom dora import Node\n"
                   "node = Node()\nfor i in range(400):\n"
                   "    node.send_output('x', b'1')\n    time.sleep(0.005)\n")
        self.write("take.py", "import time\nfrom dora import Node\n"
                   "node = Node()\nfor event in node: time.sleep(0.1)\n")
        path = self.write("flow.yml", "nodes:\n"
                          "  - {id: send, path: send.py, outputs: [x]}\n"
                          "  - {id: take, path: take.py, inputs: {x: "
                          "send/x}}\n")
        done = self.run_dora(path)
        self.assertEqual(done.returncode, 0, done.stderr)
        warnings = re.findall(r"(?m)^dora-run: warning: send/x -> take/x: .*",
                              done.stderr)
        self.assertEqual(len(warnings), 1, done.stderr)
        self.assertRegex(done.stderr, r"(?m)^  send/x -> take/x: \d+ of 400 "
                         "messages dropped$")

    def test_input_nobody_read_is_named(self):
        self.write("send.py", "from dora import Node\nnode = Node()\n"
                   "node.send_output('x', b'1')\n")
        self.write("take.py", "from dora import Node\nnode = Node()\n")
        path = self.write("flow.yml", "nodes:\n"
                          "  - {id: send, path: send.py, outputs: [x]}\n"
                          "  - {id: take, path: take.py, inputs: {x: "
                          "send/x}}\n")
        done = self.run_dora(path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("take never read its input `x`", done.stderr)


class Stops(Case):
    def test_stop_after(self):
        began = time.monotonic()
        done = self.run_dora(self.one(WAIT), "--stop-after", "500ms")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertLess(time.monotonic() - began, 10)
        self.assertIn("stopping: --stop-after", done.stderr)

    def test_stop_after_counts_from_when_all_have_started(self):
        path = self.one("import time\ntime.sleep(1.5)\n" + WAIT)
        done = self.run_dora(path, "--stop-after", "300ms")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("n: ready", done.stdout)

    def test_one_signal_stops_with_success(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(number):
                process = self.start(self.one(WAIT))
                self.await_line(process, "n: ready")
                process.send_signal(number)
                _, errors = process.communicate(timeout=LIMIT)
                self.assertEqual(process.returncode, 0, errors)
                self.assertIn("stopped by " + number.name, errors)
                self.assertIn("n  succeeded", errors)

    def test_two_signals_kill(self):
        process = self.start(self.one(DEAF))
        self.await_line(process, "n: ready")
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=LIMIT)
        self.assertEqual(process.returncode, 1, errors)
        self.assertLess(time.monotonic() - began, 5)
        self.assertIn("killing all nodes", errors)

    def test_a_key_held_down_kills(self):
        process = self.start(self.one(DEAF))
        self.await_line(process, "n: ready")
        began = time.monotonic()
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(0.03)
        self.assertIn(process.returncode, (1, -signal.SIGABRT))
        self.assertLess(time.monotonic() - began, 5)

    def test_three_signals_abort(self):
        process = self.start(self.one(DEAF))
        self.await_line(process, "n: ready")
        # A guardian that does not answer keeps the second from being enough.
        guardian, = children(process.pid)
        os.kill(guardian, signal.SIGSTOP)
        try:
            for _ in range(3):
                process.send_signal(signal.SIGINT)
                time.sleep(0.3)
            self.assertEqual(process.wait(LIMIT), -signal.SIGABRT)
        finally:
            os.kill(guardian, signal.SIGCONT)

    def test_group_and_process_signalled_at_once_is_one_stop(self):
        path = self.one(WAIT.replace("pass", "pass\nimport time\n"
                                     "time.sleep(0.5)\nprint('in peace')\n"))
        done = subprocess.run(
            ["timeout", "-k", "30", "3", *self.command(path)],
            cwd=self.directory, env=self.environment, capture_output=True,
            text=True, timeout=LIMIT, check=False)
        self.assertIn("n: in peace", done.stdout)
        self.assertIn("n  succeeded", done.stderr)

    def test_nohup_is_respected(self):
        path = self.one(WAIT)
        process = subprocess.Popen(
            ["nohup", *self.command(path, "--stop-after", "2s")],
            cwd=self.directory, env=self.environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        self.addCleanup(self.end, process)
        self.await_line(process, "n: ready")
        process.send_signal(signal.SIGHUP)
        _, errors = process.communicate(timeout=LIMIT)
        self.assertEqual(process.returncode, 0, errors)
        self.assertIn("stopped by --stop-after", errors)

    def test_closed_output_stops(self):
        path = self.one("import itertools, time\nfrom dora import Node\n"
                        "node = Node()\n"
                        "while node.next(timeout=0.01)['type'] == 'ERROR':\n"
                        "    print('line')\n")
        process = self.start(path)
        process.stdout.readline()
        process.stdout.close()
        self.assertEqual(process.wait(LIMIT), 0)
        self.assertIn("stopped by closed output", process.stderr.read())

    def test_output_that_nobody_reads_holds_nobody_up(self):
        path = self.one("from dora import Node\nnode = Node()\n"
                        "for i in range(30000): print('x' * 1000)\n"
                        "open('done', 'w')\n")
        began = time.monotonic()
        process = self.start(path)
        self.assertEqual(process.wait(LIMIT), 0)
        self.assertTrue(os.path.exists(self.directory + "/done"))
        self.assertLess(time.monotonic() - began, 30)
        (log,) = [os.path.join(top, name)
                  for top, _, names in os.walk(self.directory)
                  for name in names if name == "log_n.jsonl"]
        with open(log, encoding="utf-8") as file:
            self.assertEqual(sum('"msg":"xxx' in line.replace(" ", "")
                                 for line in file), 30000)

    def test_slow_stop_names_who_is_waited_for(self):
        process = self.start(self.one(DEAF))
        self.await_line(process, "n: ready")
        process.send_signal(signal.SIGINT)
        line = ""
        while "waiting for" not in line:
            line = process.stderr.readline()
            self.assertTrue(line)
        self.assertRegex(line, r"waiting for n to stop \(\d s\)")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(LIMIT), 1)

    def test_rest_costs_nothing(self):
        process = self.start(self.one(WAIT))
        self.await_line(process, "n: ready")

        def switches():
            total = 0
            for task in os.listdir("/proc/%d/task" % process.pid):
                with open("/proc/%d/task/%s/status" % (process.pid, task),
                          encoding="ascii") as file:
                    total += int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)",
                                           file.read(), re.MULTILINE).group(1))
            return total

        time.sleep(2)
        before = switches()
        time.sleep(3)
        # The losses are looked at after 2, 4, 8... seconds of rest.
        self.assertLessEqual(switches() - before, 4)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(LIMIT), 0)


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
