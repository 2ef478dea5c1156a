"""What a script does to itself, its streams and its programs comes out the same
inside dora-run and in a process."""

import textwrap

from inhost_test import InsideTest, Node

#: How a script may end.
ENDS = {
    "exit-beyond-an-int": "sys.stderr = None; sys.exit(2 ** 70)",
    "interrupt-of-its-own": "class Mine(KeyboardInterrupt): pass\nraise Mine",
    "hook-fails": """
        def fail(*error): raise KeyError("in the hook")
        sys.excepthook = fail
        raise ValueError("first")
    """,
    "exit-is-caught": """
        try: os._exit(3)
        except BaseException: print("caught")
        print("went on")
    """,
    "exit-in-a-block": """
        class Block:
            def __enter__(self): return self
            def __exit__(self, *error):
                print("left")
                return True
        try:
            with Block(): os._exit(4)
        finally:
            print("finally")
    """,
    "exit-in-a-handler": """
        atexit.register(print, "never")
        atexit.register(os._exit, 5)
    """,
    "exit-while-main-waits": """
        threading.Thread(target=lambda: time.sleep(0.1) or os._exit(6)).start()
        try: threading.Event().wait()
        except BaseException: print("caught")
    """,
    "no-such-signal": "os.kill(os.getpid(), 99)",
    "ignored-signals": """
        os.kill(os.getpid(), signal.SIGPIPE)
        os.kill(os.getpid(), signal.SIGXFSZ)
        print("goes on")
    """,
    "signal-to-its-thread":
        "signal.pthread_kill(threading.get_ident(), signal.SIGKILL)",
    "handlers-of-threading": "threading._register_atexit(print, 'once')",
}

#: What it does before it ends well.
DOES = {
    "interrupts-main": """
        def interrupt():
            os.kill(os.getpid(), signal.SIGINT)
            print("sent")
        for how in (_thread.interrupt_main, interrupt):
            thread = threading.Thread(target=how)
            try:
                thread.start()
                for _ in range(1000): time.sleep(0.01)
            except KeyboardInterrupt:
                thread.join()
                print("interrupted")
    """,
    "streams-by-number": """
        subprocess.run(["echo", "of a program"], stdout=1)
        subprocess.run(["echo", "of another"], stdout=2)
        for path in ("/dev/fd/1", "/proc/self/fd/2"):
            with open(path, "w") as file: file.write(f"by {path}\\n")
        os.writev(1, [b"in ", b"pieces\\n"])
    """,
    "posix-spawn": """
        os.environ["MINE"] = "its own"
        lines = 'echo "$MINE"; read x || echo end; grep SigBlk /proc/self/status'
        child = os.posix_spawn("/bin/sh", ["sh", "-c", lines], os.environ)
        print(os.waitpid(child, 0)[1])
        child = os.posix_spawnp("echo", ["echo", "elsewhere"], os.environ,
                                file_actions=[(os.POSIX_SPAWN_DUP2, 1, 2)])
        os.waitpid(child, 0)
    """,
    "any-child": """
        def attempt(wait, *args):
            try: print(wait(*args))
            except OSError as error: print(error)
        for wait, *args in ((os.wait,), (os.waitpid, -1, 0), (os.waitpid, 0, 0),
                            (os.wait3, 0), (os.wait4, -1, 0),
                            (os.waitid, os.P_ALL, 0, os.WEXITED)):
            attempt(wait, *args)
        child = subprocess.Popen(["sh", "-c", "exit 3"])
        print(os.wait() == (child.pid, 3 << 8))
    """,
    "little-stack": """
        import json
        def recurse():
            try: json.loads("[" * 2000000)
            except RecursionError: print("too deep")
        threading.stack_size(1 << 18 if inside else 0)
        thread = threading.Thread(target=recurse)
        thread.start()
        thread.join()
    """,
}

HEAD = """\
import _thread, atexit, os, signal, subprocess, sys, threading, time
from dora import Node
inside = os.environ["TIER"] == "interpreter"
node = Node()
"""


class Alike(InsideTest):
    def outcomes(self, rows, tier):
        """By row: how it ended and what it said."""
        self.fresh()
        run = self.flow({
            name: Node(HEAD + textwrap.dedent(lines), isolation=tier,
                       env={"TIER": tier})
            for name, lines in rows.items()
        }, code=None, timeout=60)
        return {name: (run.node(name)["exit"], run.node(name)["exit_code"],
                       run.lines(name), [line for line in run.lines(name, "stderr")
                                         if not line.startswith(" ")])
                for name in rows}

    def compare(self, rows):
        inside = self.outcomes(rows, "interpreter")
        process = self.outcomes(rows, "process")
        for name in rows:
            with self.subTest(name):
                self.assertEqual(inside[name], process[name])

    def test_ends(self):
        self.compare(ENDS)

    def test_deeds(self):
        self.compare(DOES)


class Output(InsideTest):
    def test_lines_are_not_kept_back(self):
        """However they were written; the node is alive and says no more."""
        running = self.start({"node": Node("""
            import sys
            from dora import Node
            node = Node()
            sys.stdout.buffer.write(b"raw\\n")
            print("two", "words", end="\\n")
            node.next()
        """, inputs={"never": "dora/timer/secs/1000"})})
        running.expect("raw")
        running.expect("two words")
        running.signal()
        self.ended(running)
