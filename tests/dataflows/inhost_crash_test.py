"""A crash inside dora-run: its last words say whose it was and where."""

import signal

from inhost_test import InsideTest, Node

#: A fault of the hardware in C code, below a function of a script.
CRASH = """
    import mmap, os, tempfile, threading, zlib
    from dora import Node
    node = Node()
    def step_on_it(step=lambda mapped: mapped[5000]):
        with tempfile.TemporaryFile() as file:
            file.truncate(8192)
            with mmap.mmap(file.fileno(), 8192) as mapped:
                file.truncate(0)
                step(mapped)
"""


class Crash(InsideTest):
    def crash(self, lines):
        return self.flow({
            "innocent": Node("""
                from dora import Node
                for event in Node(): pass
            """, inputs={"tick": "dora/timer/secs/100"}),
            "culprit-of-it-all": Node(CRASH + lines),
        }, code=None)

    def test_its_node_is_named(self):
        run = self.crash("    step_on_it()")
        self.assertEqual(run.code, -signal.SIGBUS, run)
        words = run.err[run.err.index("dora-run: node"):]
        self.assertIn("`culprit-of-it-all` has crashed (SIGBUS)", words)
        self.assertIn("`isolation: process` contains it", words)
        self.assertRegex(words, r"culprit-of-it-all\.py\", line \d+ in step_on_it")
        self.assertNotIn("innocent.py", words)

    def test_in_a_thread_of_the_script(self):
        """Known by its interpreter; the name of a thread has 15 letters."""
        run = self.crash("    threading.Thread(target=step_on_it).start()")
        self.assertEqual(run.code, -signal.SIGBUS, run)
        self.assertIn("`culprit-of-it-all` has crashed (SIGBUS)", run.err)
        self.assertIn("in step_on_it", run.err)

    def test_without_the_lock_of_python(self):
        """Which C code gives back while it computes."""
        run = self.crash("    threading.Thread(target=step_on_it,"
                         " args=(zlib.crc32,)).start()")
        self.assertEqual(run.code, -signal.SIGBUS, run)
        self.assertIn("`culprit-of-it-all` has crashed (SIGBUS)", run.err)
        self.assertIn("in step_on_it", run.err)

    def test_abort_of_c_code(self):
        """Not os.abort(), which is the node's own, as is what it can signal."""
        run = self.crash("""
    import inspect, signal
    kill = inspect.getclosurevars(signal.pthread_kill).nonlocals["pthread_kill"]
    kill(threading.get_ident(), signal.SIGABRT)
""")
        self.assertEqual(run.code, -signal.SIGABRT, run)
        self.assertIn("`culprit-of-it-all` has crashed (SIGABRT)", run.err)

    def test_in_a_process_it_is_contained(self):
        run = self.flow({"node": Node(CRASH + "    step_on_it()",
                                      isolation="process")}, code=1)
        self.assertEqual(run.node("node")["exit_code"], signal.SIGBUS)
