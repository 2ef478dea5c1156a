"""Runs a dataflow of throw-away scripts under dora-run and says what came of it.

    class TestGreeting(FlowTest):
        def test_hello_arrives(self):
            run = self.flow({
                "source": Node('''
                    from dora import Node
                    Node().send_output("hello", b"hi")
                ''', outputs=["hello"]),
                "sink": Node('''
                    from dora import Node
                    for event in Node():
                        print(event["type"])
                ''', inputs={"hello": "source/hello"}),
            })
            self.assertEqual(run.lines("sink"), ["INPUT", "INPUT_CLOSED", "STOP"])

The scripts lie in a directory of their own, beside a copy of probe.py. Nothing
here sleeps: nodes meet at FIFOs (probe.tell, probe.hear), the test waits for
lines. Every run has a deadline. Which dora-run, Python and tier are used is
decided by `settings`, so that the same tests serve all of them.
"""

import glob
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import textwrap
import threading
import time
import unittest

import pace

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


class settings:
    """Filled in by run_dataflows.py."""

    dora_run = os.path.join(ROOT, "build", "dora-run")
    python = "/usr/bin/python3"
    numpy_python = None  # an interpreter of the same build that has NumPy
    version = (3, 11)
    free_threaded = False
    isolation = None
    inside = False  # this Python runs nodes inside dora-run
    patience = 1.0  # factor on every deadline
    long = 0.0  # seconds that a long form lasts; 0: the short forms are run


def either(short, long):
    return long if settings.long else short


def has_long_form(test):
    """Marks what `ninja soak` runs: longer, larger, otherwise the same."""
    test.has_long_form = True
    return test


def tier():
    """Where a node runs that nothing speaks against running inside."""
    if settings.isolation not in (None, "auto"):
        return settings.isolation
    return "interpreter" if settings.inside else "process"


class Node:
    """One node of a test dataflow; keywords become its YAML keys."""

    def __init__(self, script=None, *, numpy=False, **keys):
        self.script = None if script is None else textwrap.dedent(script)
        self.numpy = numpy
        self.keys = keys


class Run:
    """A dora-run that has ended."""

    def __init__(self, directory, code=0, out="", err="", seconds=0.0, own=0.0):
        self.directory = directory
        self.code, self.out, self.err = code, out, err
        self.seconds = seconds
        self.own = own  # without those that others took: see pace.py
        try:
            with open(os.path.join(directory, "report.json")) as file:
                self.report = json.load(file)
        except (OSError, ValueError):
            self.report = None

    def records(self, node):
        """The node's log file, line by line, oldest first."""
        found = glob.glob(
            os.path.join(glob.escape(self.directory), "out", "*", f"log_{node}.jsonl")
        )
        records = []
        for path in found:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                records += [json.loads(line) for line in file]
        return records

    def lines(self, node, stream="stdout"):
        """What the node printed; not what it logged."""
        return [
            record["msg"]
            for record in self.records(node)
            if record["stream"] == stream and record["level"] == "stdout"
        ]

    def values(self, node):
        """The lines that are JSON, decoded."""
        return [json.loads(line) for line in self.lines(node)]

    def node(self, name):
        assert self.report, f"dora-run wrote no report\n{self}"
        return next(n for n in self.report["nodes"] if n["id"] == name)

    def edge(self, name):
        """`name` is consumer/input."""
        return next(
            e for e in self.report["edges"] if f"{e['to_node']}/{e['input']}" == name
        )

    def __str__(self):
        return (
            f"exit {self.code} after {self.seconds:.2f} s\n"
            f"--- stdout\n{self.out[-6000:]}\n--- stderr\n{self.err[-6000:]}\n"
            f"--- report\n{json.dumps(self.report, indent=1)[-3000:]}"
        )


#: Ends a program with the tests, should those be killed before they can.
TIE = [shutil.which("setpriv"), "--pdeathsig", "KILL"]


class Running:
    """A dora-run under way."""

    def __init__(self, directory, command, env, timeout, **popen):
        self.directory = directory
        self.deadline = time.monotonic() + timeout
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            TIE + command,
            cwd=popen.pop("cwd", directory),
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **popen,
        )
        self.pid = self.process.pid
        self.text = {"out": "", "err": ""}
        self.more = threading.Condition()
        self.readers = [
            threading.Thread(target=self._read, args=(name, pipe), daemon=True)
            for name, pipe in (
                ("out", self.process.stdout),
                ("err", self.process.stderr),
            )
        ]
        for reader in list(self.readers):  # they take themselves off
            reader.start()

    def _read(self, name, pipe):
        with pipe:
            while chunk := os.read(pipe.fileno(), 1 << 16):
                with self.more:
                    self.text[name] += chunk.decode("utf-8", "replace")
                    self.more.notify_all()
        with self.more:
            self.readers.remove(threading.current_thread())
            self.more.notify_all()

    def _remaining(self):
        return max(0.0, self.deadline - time.monotonic())

    def expect(self, text, count=1):
        """Waits until `text` has appeared on dora-run's output."""
        with self.more:
            self.more.wait_for(
                lambda: (self.text["out"] + self.text["err"]).count(text) >= count
                or not self.readers,
                self._remaining(),
            )
            if (self.text["out"] + self.text["err"]).count(text) < count:
                raise AssertionError(f"never said {text!r}\n{self.finish()}")

    def signal(self, number=signal.SIGINT):
        self.process.send_signal(number)

    def end(self):
        """Of one that a test that failed has left behind."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def finish(self):
        late = False
        try:
            self.process.wait(self._remaining())
        except subprocess.TimeoutExpired:
            late = True
            self.process.kill()
            self.process.wait()
        ended = time.monotonic()
        with self.more:
            self.more.wait_for(lambda: not self.readers, 2)
        run = Run(
            self.directory,
            self.process.returncode,
            self.text["out"],
            self.text["err"],
            ended - self.begun,
            pace.own(self.begun, ended),
        )
        if late:
            raise AssertionError(f"not over at the deadline\n{run}")
        return run


class FlowTest(unittest.TestCase):
    maxDiff = 2000
    dora_run = None  # another one than that of the settings

    def setUp(self):
        self.fresh()

    def fresh(self):
        """A new directory: for the next run of the same test."""
        self.directory = tempfile.mkdtemp(prefix="dora-test-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        shutil.copy(os.path.join(HERE, "probe.py"), self.directory)

    # --- writing ---------------------------------------------------------

    def write(self, name, text, mode=0o644):
        path = os.path.join(self.directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(textwrap.dedent(text))
        os.chmod(path, mode)
        return path

    def write_flow(self, nodes, **top):
        """flow.yml and its scripts. JSON is YAML."""
        described = []
        for name, node in nodes.items():
            keys = dict(node.keys)
            if node.script is not None:
                self.write(f"{name}.py", node.script)
                keys.setdefault("path", f"{name}.py")
            if str(keys.get("path", "")).endswith(".py") or {"operator", "operators"} & set(keys):
                if node.numpy:
                    keys.setdefault("python", self.interpreter(node))
                if settings.isolation:
                    keys.setdefault("isolation", settings.isolation)
            described.append({"id": name, **keys})
        return self.write("flow.yml", json.dumps({"nodes": described, **top}, indent=1))

    def interpreter(self, node):
        if settings.numpy_python is None:
            self.skipTest("no NumPy for this Python")
        return settings.numpy_python

    # --- running ---------------------------------------------------------

    def path_to(self, python):
        """A PATH on which `python3` is this one."""
        place = os.path.dirname(python)
        python3 = os.path.join(place, "python3")
        if not (os.path.exists(python3) and os.path.samefile(python3, python)):
            place = self.directory + "-python3"
            if not os.path.exists(place):
                os.mkdir(place)
                os.symlink(python, os.path.join(place, "python3"))
                self.addCleanup(shutil.rmtree, place)
        return place + ":" + os.environ.get("PATH", "")

    def environment(self, extra=None):
        env = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("DORA_", "PYTHON", "VIRTUAL_ENV", "CONDA"))
        }
        env["PATH"] = self.path_to(settings.python)
        env["PYTHONDONTWRITEBYTECODE"] = "1"
        env.update(extra or {})
        return env

    def start(
        self, nodes, *, args=(), under=(), env=None, timeout=60, popen=None, **top
    ):
        """`under`: the command that executes dora-run, which is its end."""
        if isinstance(nodes, str):
            path = self.write("flow.yml", nodes)
        else:
            path = self.write_flow(nodes, **top)
        return self.start_file(
            path, args=args, under=under, env=env, timeout=timeout, popen=popen
        )

    def start_file(
        self, path, *, python="", args=(), under=(), env=None, timeout=60, popen=None
    ):
        """`python` None: which one is left to dora-run."""
        report = os.path.join(self.directory, "report.json")
        command = [*under, self.dora_run or settings.dora_run, *args]
        command += ["--report", report, path]
        if python is not None:
            command += ["--python", python or settings.python]
        running = Running(
            self.directory,
            command,
            self.environment(env),
            timeout * settings.patience,
            **(popen or {}),
        )
        self.addCleanup(running.end)
        return running

    def flow(self, nodes, *, code=0, **how):
        """Runs to the end; `code` is the exit code to demand, None for any."""
        return self.ended(self.start(nodes, **how), code)

    def ended(self, running, code=0):
        run = running.finish()
        if code is not None and run.code != code:
            self.fail(f"expected exit {code}\n{run}")
        return run

    def command(self, *args, timeout=20, **popen):
        """dora-run with other arguments; returns CompletedProcess."""
        if args and args[0] == "check":
            args += ("--python", settings.python)
        return subprocess.run(
            [settings.dora_run, *args],
            cwd=self.directory,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout * settings.patience,
            **popen,
        )

    def tell(self, name):
        """Meets probe.hear(name) of a node; it is an error if that has ended."""
        deadline = time.monotonic() + 20 * settings.patience
        while True:
            try:
                return os.close(os.open(self._fifo(name), os.O_WRONLY | os.O_NONBLOCK))
            except OSError:  # ENXIO: nobody hears yet
                self.assertLess(time.monotonic(), deadline, f"nobody heard {name!r}")
                time.sleep(0.01)

    def hear(self, name, timeout=20):
        """Meets probe.tell(name) of a node."""
        end = os.open(self._fifo(name), os.O_RDONLY | os.O_NONBLOCK)
        ready = select.poll()
        ready.register(end, select.POLLIN)
        heard = ready.poll(1000 * timeout * settings.patience)
        os.close(end)
        self.assertTrue(heard, f"never told {name!r}")

    def _fifo(self, name):
        path = os.path.join(self.directory, f"{name}.fifo")
        try:
            os.mkfifo(path)
        except FileExistsError:
            pass
        return path

    def compiled(self, source):
        """A shared library of the C source, among the scripts."""
        library = os.path.join(self.directory, source.removesuffix(".c") + ".so")
        subprocess.run(
            [os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O1", "-fno-builtin"]
            + [os.path.join(HERE, source), "-o", library],
            check=True,
        )
        return library

    def preloaded(self, source):
        """A dora-run, in a copy of its programs, below which every dora-python
        has the library made of `source` preloaded."""
        place = os.path.join(self.directory, "libexec")
        os.mkdir(place)
        built = os.path.dirname(settings.dora_run)
        library = self.compiled(source)
        for name in ("dora-run", "dora-guardian"):
            shutil.copy(os.path.join(built, name), place)
        with open(os.path.join(built, "pythons")) as table:
            rows = [line.rstrip("\n").split("\t") for line in table]
        if not rows:
            self.skipTest("no dora-python to preload it into")
        with open(os.path.join(place, "pythons"), "w") as table:
            for tag, version, executable, program in rows:
                wrapper = self.write(f"libexec/{tag}", f"""\
                    #!/bin/bash
                    export LD_PRELOAD={library}
                    exec -a "{executable}" {program} "$@"
                """, mode=0o755)
                table.write("\t".join((tag, version, executable, wrapper)) + "\n")
        return os.path.join(place, "dora-run")

    # --- judging ---------------------------------------------------------

    def assert_within(self, seconds, begun, ended=None, run=None):
        """Of time in which nobody else had the processor: see pace.py."""
        self.assertLess(pace.own(begun, ended), seconds * settings.patience, run)

    def assert_accounted(self, run):
        """I2 at the end of a run: nothing is missing from any edge."""
        for edge in run.report["edges"]:
            total = edge["delivered"] + edge["dropped"] + edge["queued"]
            self.assertEqual(edge["sent"], total, f"{edge}\n{run}")


#: A node that prints length, checksum and first bytes of all it gets.
CHECKSUM_SINK = """
    import zlib
    from dora import Node

    for event in Node():
        if event["type"] == "INPUT":
            data = bytes(event["value"])
            print(len(data), zlib.crc32(data), data[:4].hex())
"""

#: A node that prints the content of all it gets, then how the stream ended.
TEXT_SINK = """
    from dora import Node

    for event in Node():
        if event["type"] == "INPUT":
            print(bytes(event["value"]).decode())
        else:
            print(event["type"], event["id"])
"""
