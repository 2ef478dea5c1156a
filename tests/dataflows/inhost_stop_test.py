"""Nodes inside dora-run that do not stop by themselves: what ends each kind of
them, and what is said of those that nothing ends."""

import re

from harness import settings
from inhost_test import InsideTest, Node

#: What a node may be busy with for ever, by what becomes of it on Python 3.13
#: once it is to end at all costs. Code that waits in the system for something
#: else than a lock hears of an exception on 3.15 only; some locks, up to 3.13.
ENDS = {
    "loop": "while True: pass",
    "swallows": """
        while True:
            try:
                while True: pass
            except BaseException: pass
    """,
    "naps": "while True: time.sleep(0.01)",
    "sleeps": "while True: time.sleep(1000)",
    "naps-swallowing": """
        while True:
            try:
                while True: time.sleep(1000)
            except BaseException: pass
    """,
    "next": "while True: node.next()",
    "generator": "all(True for _ in iter(int, 1))",
    "program": "subprocess.run(['sleep', '1000'])",
}
LOCKS = {
    "event": "threading.Event().wait()",
    "event-long": "threading.Event().wait(1000)",
    "condition": """
        condition = threading.Condition()
        with condition: condition.wait()
    """,
    "semaphore": "threading.Semaphore(0).acquire()",
    "lock": "lock = threading.Lock(); lock.acquire(); lock.acquire()",
    "with-lock": """
        class Held: lock = threading.Lock()
        Held.lock.acquire()
        with Held.lock: pass
    """,
    "queue": "queue.Queue().get()",
    "queue-put": "full = queue.Queue(1); full.put(1); full.put(2)",
    "busy-threads": """
        def work():
            while True: pass
        threading.Thread(target=work, daemon=True).start()
        threading.Event().wait()
    """,
}
WAITS = {
    "simple-queue": "queue.SimpleQueue().get()",
    "join": """
        thread = threading.Thread(target=threading.Event().wait, daemon=True)
        thread.start()
        thread.join()
    """,
    "recv": "a, b = socket.socketpair(); a.recv(1)",
    "select": "select.select([], [], [])",
    "asyncio": "asyncio.run(asyncio.sleep(1000))",
    "read": "a, b = os.pipe(); os.read(a, 1)",
}
HOLDS = {  # the interpreter's lock as well
    "sum": "sum(range(10 ** 12))",
    "regex": "re.match('(a*)*b', 'a' * 100)",
}

MODULES = "asyncio, os, queue, re, select, socket, subprocess, threading, time"
HEAD = """\
import {modules}
from dora import Node
node = Node()
def stuck():
    print("ready", flush=True)
"""


def script(lines, modules=MODULES):
    body = "\n".join(lines.rstrip().split("\n"))
    indent = min((len(line) - len(line.lstrip())
                  for line in body.split("\n") if line.strip()), default=0)
    return HEAD.format(modules=modules) + "".join(
        f"    {line[indent:]}\n"
        for line in body.split("\n") if line.strip()) + "stuck()\n"


class Stops(InsideTest):
    def test_sleep_ends_with_the_dataflow(self):
        running = self.start({"node": Node(script("""
            time.sleep(1000)
            print(next(node)["id"])
        """))})
        running.expect("ready")
        running.signal()
        run = self.ended(running)
        self.assertEqual(run.lines("node"), ["ready", "MANUAL"])


class Stuck(InsideTest):
    def kill(self, rows, code=None, modules=MODULES):
        """All of them in one dataflow, which is to end at all costs."""
        running = self.start({f"is-{name}": Node(script(lines, modules))
                              for name, lines in rows.items()}, timeout=60)
        running.expect("ready", len(rows))
        running.signal()
        running.expect("stopping")
        running.signal()
        return self.ended(running, code)

    def ends(self, run, name):
        return run.node(f"is-{name}")["exit"]

    def test_what_runs_python(self):
        run = self.kill(ENDS)
        self.assertNotIn("abandoned", run.out, run)
        for name in ENDS:
            self.assertNotEqual(self.ends(run, name), "grace", f"{name}\n{run}")
            if name != "sleeps":
                self.assertIn("in stuck", self.said(run, name), f"{name}\n{run}")

    def test_what_waits_for_a_lock(self):
        run = self.kill(LOCKS)
        self.assertNotIn("abandoned", run.out, run)
        for name in LOCKS:
            self.assertIn("in stuck", self.said(run, name), f"{name}\n{run}")

    def test_interrupts_meet_their_thread(self):
        """Many that wait at once: whatever else runs a pending exception, it
        is not lost. One may come while the last one's traceback is being said,
        in the middle of what that imports."""
        run = self.kill({f"n{i}": LOCKS["event"] for i in range(16)},
                        modules="threading")
        self.assertNotIn("abandoned", run.out, run)

    def test_what_waits_in_the_system(self):
        """Given up, by name and place; dora-run ends all the same."""
        run = self.kill(WAITS, code=1)
        for name in WAITS:
            self.assertIn("in stuck", self.said(run, name), f"{name}\n{run}")
            if settings.version < (3, 15):
                self.assertEqual(self.ends(run, name), "grace", f"{name}\n{run}")
                self.assertRegex(run.err, f"is-{name} +did not stop in time and was given up")
        self.assertLess(run.own, 20)

    def test_what_holds_the_lock(self):
        run = self.kill(HOLDS, code=1)
        for name in HOLDS:
            self.assertEqual(self.ends(run, name), "grace", f"{name}\n{run}")
            self.assertIn("in stuck", self.said(run, name), f"{name}\n{run}")

    def said(self, run, name):
        """What the node is said to be at, a frame a line."""
        lines = run.lines(f"is-{name}", "stderr")
        return "\n".join(re.sub(r"^  File .*, line \d+,? ?", "", line)
                         for line in lines)
