#!/usr/bin/env python3
"""How dora-run ends: by itself, and under signals.

    python3 tests/cli_end_test.py build/dora-run [-v] [TEST...]
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import time
import unittest

from cli import Case, DEAF, LIMIT, WAIT, children


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
            self.assertIn(node["tier"], ("process", "interpreter"))
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
        os.mkfifo(self.directory + "/sent")
        self.write("send.py", "from dora import Node\nnode = Node()\n"
                   "node.send_output('x', b'1')\nopen('sent', 'w').close()\n")
        self.write("take.py", "from dora import Node\nnode = Node()\n"
                   "open('sent').read()\n")
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
        self.await_line(process, "stopping: SIGINT", process.stderr)
        process.send_signal(signal.SIGINT)
        self.await_line(process, "killing all nodes", process.stderr)
        self.assertEqual(process.wait(LIMIT), 1)
        self.assertLess(time.monotonic() - began, 5)

    def test_a_key_held_down_kills(self):
        process = self.start(self.one(DEAF))
        self.await_line(process, "n: ready")
        began = time.monotonic()
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.03)
        self.assertIn(process.returncode, (1, -signal.SIGABRT))
        self.assertLess(time.monotonic() - began, 5)

    def test_three_signals_abort(self):
        process = self.start(self.one(DEAF))
        self.await_line(process, "n: ready")
        # A guardian that does not answer keeps the second from being enough.
        watcher, = children(process.pid)
        guardian, = children(watcher)
        os.kill(guardian, signal.SIGSTOP)
        try:
            process.send_signal(signal.SIGINT)
            self.await_line(process, "stopping: SIGINT", process.stderr)
            process.send_signal(signal.SIGINT)
            self.await_line(process, "killing all nodes", process.stderr)
            # What comes right after another signal is that one again.
            with self.assertRaises(subprocess.TimeoutExpired):
                process.wait(0.1)
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(LIMIT), -signal.SIGABRT)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(guardian, signal.SIGCONT)

    def test_group_and_process_signalled_at_once_is_one_stop(self):
        path = self.one(WAIT.replace("pass", "pass\nimport time\n"
                                     "time.sleep(0.5)\nprint('in peace')\n"))
        process = self.start(path, start_new_session=True)
        self.await_line(process, "n: ready")
        os.kill(process.pid, signal.SIGTERM)  # as timeout(1) does it
        os.killpg(process.pid, signal.SIGTERM)
        output, errors = process.communicate(timeout=LIMIT)
        self.assertIn("n: in peace", output)
        self.assertIn("n  succeeded", errors)

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


if __name__ == "__main__":
    unittest.main()
