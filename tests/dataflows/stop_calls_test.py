"""T50: a node may stop the dataflow it is in, from wherever its code is; the
first call wins, and nobody is stopped twice."""

import signal

from harness import FlowTest, Node

HEAD = """\
import contextlib, os, signal, sys, threading, time
from dora import Node
host = int(os.environ["DORA_RUN_PARENT_PID"])

def stop():
    os.kill(host, signal.SIGTERM)

def until_end():
    print([e["id"] for e in node if e["type"] == "STOP"])

"""
#: In the place of a node that has got its first input, by how it ends.
CALLS = {
    "in a handler": ("success", """
        stop()
        until_end()
    """),
    "in another thread": ("success", """
        thread = threading.Thread(target=stop)
        thread.start()
        until_end()
        thread.join()
    """),
    "in a signal handler, while next() waits": ("success", """
        signal.signal(signal.SIGALRM, lambda *_: stop())
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        until_end()
    """),
    "in __exit__, while an exception flies": ("code", """
        class Stopping:
            def __enter__(self): pass
            def __exit__(self, *_): stop()
        try:
            with Stopping():
                raise ValueError("it flies")
        finally:
            until_end()
    """),
    "by an exit handler": ("success", """
        import atexit
        atexit.register(stop)
    """),
    "by a forked child, which then ends as Python does": ("success", """
        if os.fork() == 0:
            stop()
            sys.exit(0)
        until_end()
        os.wait()
    """),
}


class Calls(FlowTest):
    def run_one(self, call):
        script = HEAD + "node = Node()\nnext(node)\n" + self.indented(call)
        return self.start({
            "stops": Node(script, inputs={"x": "bystander/x"}, isolation="process"),
            "bystander": Node("""
                from dora import Node
                node = Node()
                node.send_output("x", b"now")
                print([e["id"] for e in node if e["type"] == "STOP"])
            """, outputs=["x"]),
        })

    @staticmethod
    def indented(text):
        lines = text.strip("\n").split("\n")
        indent = len(lines[0]) - len(lines[0].lstrip())
        return "".join(line[indent:] + "\n" for line in lines)

    def test_from_anywhere(self):
        for name, (end, call) in CALLS.items():
            with self.subTest(call=name):
                self.fresh()
                run = self.ended(self.run_one(call), int(end == "code"))
                self.assertEqual(run.lines("bystander"), ["['MANUAL']"], run)
                self.assertEqual(run.node("stops")["exit"], end, run)
                if "until_end" in call:
                    self.assertEqual(run.lines("stops"), ["['MANUAL']"], run)
                if end == "code":
                    self.assertIn("ValueError: it flies", run.err)
                self.assertEqual(run.report["stopped_by"], "SIGTERM")

    def test_after_the_host_is_gone(self):
        """There is nobody to stop: the node is killed with its host."""
        running = self.run_one("""
            os.kill(host, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                while True:
                    stop()
            time.sleep(1000)
        """)
        run = self.ended(running, -signal.SIGKILL)
        self.assertLess(run.own, 20)
