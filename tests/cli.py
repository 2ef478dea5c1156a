"""A dora-run to be tried as on a command line, and the Case that tries it: what
cli_test.py and cli_end_test.py share."""

import glob
import json
import os
import pty
import shutil
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

    def await_line(self, process, text, stream=None):
        for line in stream or process.stdout:
            if text in line:
                return
        self.fail("ended without: " + text)

    def on_terminal(self, *words):
        """Everything that appears on a terminal, and the status."""
        try:
            master, slave = pty.openpty()
        except OSError as error:  # a bare chroot has no /dev/pts
            self.skipTest("no terminals here: %s" % error)
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
