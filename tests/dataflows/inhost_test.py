"""Nodes inside dora-run: what a script may take for its process's is its own,
what cannot be is refused or moves it to a process, and its end is its own."""

import os
import signal
import textwrap
import unittest

from harness import FlowTest, Node as AnyNode, settings


def Node(script=None, **keys):
    keys.setdefault("isolation", "interpreter")
    return AnyNode(script, **keys)


class InsideTest(FlowTest):
    def setUp(self):
        super().setUp()
        path = self.write_flow({"node": Node("x")})
        if self.command("check", path).returncode:
            self.skipTest("dora-run runs no nodes of this Python inside")

    def tier(self, run, node):
        return run.node(node)["tier"]


class Surroundings(InsideTest):
    def test_facts_of_a_script(self):
        self.write("helper.py", "FACT = 'helped'\n")
        run = self.flow({"node": Node("""
            import os, sys, threading
            import helper
            from dora import Node
            node = Node()
            print(sys.argv[1:], os.path.isabs(sys.argv[0]), sys.argv[0] == __file__)
            print(__name__, sys.path[0] == os.path.dirname(__file__), helper.FACT)
            print(os.getcwd() == os.path.realpath(os.path.dirname(__file__)))
            print(repr(sys.stdin.read()), __spec__)
            print(threading.current_thread() is threading.main_thread(),
                  threading.current_thread().daemon)
            print(os.environ["MINE"], os.environb[b"MINE"], "DORA_NODE_CONFIG" in os.environ)
            print(open("/proc/thread-self/comm").read().strip())
            print(sys.executable, sys.orig_argv[0] == sys.executable)
        """, args="--flag 'two words'", env={"MINE": "yes"})})
        self.assertEqual(run.lines("node"), [
            "['--flag', 'two words'] True True",
            "__main__ True helped",
            "True",
            "'' None",
            "True False",
            "yes b'yes' True",
            "node",
            f"{settings.python} True",
        ])
        self.assertEqual(self.tier(run, "node"), "interpreter")

    def test_one_file_twice(self):
        """T65: globals, class attributes and helper modules are separate."""
        self.write("helper.py", "seen = []\n")
        script = """
            import helper, os
            from dora import Node
            class Cache:
                content = []
            Cache.content.append(os.environ["NAME"])
            helper.seen.append(os.environ["NAME"])
            Node()
            print(Cache.content, helper.seen)
        """
        run = self.flow({
            name: Node(script, env={"NAME": name}) for name in ("a", "b")
        })
        for name in ("a", "b"):
            self.assertEqual(run.lines(name), [f"['{name}'] ['{name}']"])

    def test_what_is_changed_stays_with_the_node(self):
        """T66. Both have changed everything when they meet in Node()."""
        script = """
            import gc, os, random, subprocess, sys, warnings
            from dora import Node
            mine = os.environ["MINE"]
            os.mkdir(mine)
            os.chdir(mine)
            os.umask(0o022 if mine == "a" else 0o077)
            os.environ["ADDED"] = mine
            sys.path.insert(0, mine)
            sys.setrecursionlimit(500 if mine == "a" else 600)
            random.seed(mine)
            warnings.filterwarnings("error" if mine == "a" else "ignore")
            (gc.disable if mine == "a" else gc.enable)()
            node = Node()
            print(os.path.basename(os.getcwd()), sys.path[0], os.environ["ADDED"])
            print(oct(os.umask(0)), sys.getrecursionlimit(), gc.isenabled())
            print(random.random() == random.Random(mine).random())
            print(warnings.filters[0][0])
            print(subprocess.run(["sh", "-c", 'echo "$ADDED" "$(basename "$PWD")"'],
                                 capture_output=True, text=True).stdout.strip())
            os.system("echo $ADDED > said")
            print(open("said").read().strip(), os.getenv("ADDED"))
            del os.environ["ADDED"]
            print(os.popen("echo [$ADDED]").read().strip())
        """
        run = self.flow({
            name: Node(script, env={"MINE": name}) for name in ("a", "b")
        })
        for name, umask, limit, gc, action in (
            ("a", "0o22", 500, False, "error"), ("b", "0o77", 600, True, "ignore")
        ):
            self.assertEqual(run.lines(name), [
                f"{name} {name} {name}", f"{umask} {limit} {gc}", "True", action,
                f"{name} {name}", f"{name} {name}", "[]",
            ])

    def test_refused(self):
        """What the README says is refused, in its words; T66, T68."""
        run = self.flow({"node": Node("""
            import asyncio, os, signal, subprocess, sys
            from dora import Node
            node = Node()
            def attempt(what, function, *args, **keys):
                try:
                    print(what, function(*args, **keys))
                except Exception as error:
                    print(what, type(error).__name__)
            async def handler():
                asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, print)
            attempt("signal", signal.signal, signal.SIGUSR1, signal.SIG_IGN)
            attempt("wakeup", signal.set_wakeup_fd, -1)
            attempt("asyncio", asyncio.run, handler())
            attempt("fork", os.fork)
            attempt("exec", os.execv, "/bin/true", ["true"])
            attempt("preexec", subprocess.run, ["true"], preexec_fn=print)
            attempt("frames", sys._current_frames)
        """)})
        self.assertEqual(run.lines("node"), [
            "signal ValueError", "wakeup ValueError", "asyncio RuntimeError",
            "fork RuntimeError", "exec RuntimeError", "preexec RuntimeError",
            "frames RuntimeError",
        ])

    def test_of_dora_run(self):
        """What the README says is dora-run's: the second node sees what the
        first has changed, or nobody does."""
        run = self.flow({
            "first": Node("""
                import locale, os, resource, time
                from dora import Node
                hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
                resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
                locale.setlocale(locale.LC_NUMERIC, "C.UTF-8")
                before = time.tzname
                os.environ["TZ"] = "XYZ+5"
                time.tzset()
                print(time.tzname == before, os.environ["TZ"])
                Node()
                print(os.getpid())
            """),
            "second": Node("""
                import locale, os, resource
                from dora import Node
                Node()
                print(os.getpid())
                print(resource.getrlimit(resource.RLIMIT_CORE)[0])
                print(locale.setlocale(locale.LC_NUMERIC))
            """),
        })
        said, pid = run.lines("first")
        self.assertEqual(said, "True XYZ+5")
        self.assertEqual(run.lines("second"), [pid, "0", "C.UTF-8"])

    def test_modules_of_the_main_thread_move(self):
        """T68: what serves one interpreter only gets a process, and there the
        main thread."""
        for lines in ("import curses", "import faulthandler; faulthandler.enable()",
                      "import tracemalloc; tracemalloc.start()",
                      "import ctypes"):
            self.fresh()
            run = self.flow({"node": Node(lines + """
import signal
from dora import Node
Node()
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
print("fine")
""")})
            self.assertEqual(run.lines("node"), ["fine"], lines)
            self.assertEqual(self.tier(run, "node"), "process", lines)

    def test_replaced_streams_stay_with_the_node(self):
        """T66. And what is printed by hand comes out all the same."""
        run = self.flow({
            "first": Node("""
                import io, sys
                from dora import Node
                sys.stdout = io.StringIO()
                Node()
                print("nowhere")
                sys.__stdout__.write(f"{len(sys.stdout.getvalue())}\\n")
            """),
            "second": Node("""
                from dora import Node
                Node()
                print("shown")
            """),
        })
        self.assertEqual(run.lines("first"), ["8"])
        self.assertEqual(run.lines("second"), ["shown"])

    def test_cores_to_keep_to(self):
        run = self.flow({"node": Node("""
            import os, threading
            from dora import Node
            node = Node()
            print(os.sched_getaffinity(0))
        """, cpu_affinity=[0])})
        self.assertEqual(run.lines("node"), ["{0}"])

    def test_children_can_be_stopped(self):
        """They inherit no blocked signals."""
        run = self.flow({"node": Node("""
            import subprocess
            from dora import Node
            node = Node()
            child = subprocess.Popen(["sleep", "100"])
            child.terminate()
            print(child.wait(10))
        """)})
        self.assertEqual(run.lines("node"), ["-15"])

    def test_output_comes_whole(self):
        run = self.flow({"node": Node("""
            import sys
            from dora import Node
            node = Node()
            print("a", "b"); print("no newline", end="")
            print("to stderr", file=sys.stderr)
            sys.stdout.buffer.write(b"; raw bytes")
        """)})
        self.assertEqual(run.lines("node"), ["a b", "no newline; raw bytes"])
        self.assertEqual(run.lines("node", "stderr"), ["to stderr"])


class Ends(InsideTest):
    def end(self, lines, code=1):
        """How a node ends that does so, with another that goes on."""
        return self.flow({
            "node": Node("import atexit, os, sys\n"
                         "from dora import Node\n"
                         "node = Node()\n"
                         "atexit.register(print, 'exit handler')\n"
                         + textwrap.dedent(lines), outputs=["x"]),
            "other": Node("""
                from dora import Node
                for event in Node(): print(event["type"])
            """, inputs={"x": "node/x"}),
        }, code=code)

    def test_codes(self):
        """T67."""
        for lines, code, handled in (
            ("sys.exit(3)", 3, True),
            ("sys.exit()", 0, True),
            ("quit()", 0, True),
            ("sys.exit('words')", 1, True),
            ("raise KeyError", 1, True),
            ("os._exit(4)", 4, False),
            ("try: os._exit(5)\nexcept Exception: pass", 5, False),
        ):
            self.fresh()
            run = self.end(lines, code=None)
            self.assertEqual(run.node("node")["exit_code"], code, f"{lines}\n{run}")
            self.assertEqual(run.lines("node"), ["exit handler"] * handled, lines)
            self.assertEqual(run.node("other")["exit"], "success", f"{lines}\n{run}")
            self.assertIn("STOP", run.lines("other"))
            self.assertEqual("NODE_FAILED" in run.lines("other"), code != 0)

    def test_signals_to_oneself(self):
        """T67: only the node ends."""
        for lines, number in (
            ("os.abort()", signal.SIGABRT),
            ("os.kill(os.getpid(), 9)", signal.SIGKILL),
            ("import signal; signal.raise_signal(signal.SIGTERM)", signal.SIGTERM),
        ):
            self.fresh()
            run = self.end(lines)
            self.assertEqual(run.node("node")["exit"], "signal", f"{lines}\n{run}")
            self.assertEqual(run.node("node")["exit_code"], number)
            self.assertEqual(run.node("other")["exit"], "success")

    def test_exit_from_another_thread(self):
        run = self.end("""
            import threading, time
            threading.Thread(target=os._exit, args=(6,)).start()
            time.sleep(1000)
        """)
        self.assertEqual(run.node("node")["exit_code"], 6)

    def test_traceback_is_the_scripts(self):
        run = self.end("""
            def fail():
                raise ValueError("here")
            fail()
        """)
        lines = run.lines("node", "stderr")
        self.assertEqual(lines[0], "Traceback (most recent call last):")
        self.assertIn("node.py", lines[1])
        self.assertEqual(lines[-1], "ValueError: here")
        self.assertNotIn("inhost", run.err)

    def test_syntax_error(self):
        run = self.flow({"node": Node("print('x'\n")}, code=1)
        self.assertRegex(run.err, r'node\.py", line 1')
        self.assertIn("SyntaxError", run.err)

    def test_threads_are_waited_for(self):
        run = self.end("""
            import threading, time
            def late():
                time.sleep(0.2)
                print("late")
            threading.Thread(target=late).start()
        """, code=0)
        self.assertEqual(run.lines("node"), ["late", "exit handler"])

    def test_daemon_threads_are_not(self):
        """They are asked to end; one that cannot be is left."""
        for what in ("time.sleep(0.01)", "sum(range(10**5))", "os.read(pipe, 1)"):
            self.fresh()
            run = self.end(f"""
                import threading, time
                pipe = os.pipe()[0]
                def work():
                    while True: {what}
                threading.Thread(target=work, daemon=True).start()
                time.sleep(0.1)
            """, code=0)
            self.assertEqual(run.lines("node"), ["exit handler"], what)

    def test_starting_over(self):
        """A new interpreter each time; nothing of the last one is left."""
        run = self.flow({"node": Node("""
            import sys
            from dora import Node
            node = Node()
            assert not hasattr(sys, "mark")
            sys.mark = True
            print(node.restart_count())
            sys.exit(node.restart_count() < 30)
        """, restart_policy="on-failure", max_restarts=50, restart_delay=0)})
        self.assertEqual(run.lines("node"), [str(n) for n in range(31)])
        self.assertEqual(run.node("node")["restarts"], 30)

    def test_many_at_once(self):
        nodes = {"source": Node("""
            from dora import Node
            node = Node()
            node.send_output("x", b"hello")
        """, outputs=["x"])}
        for n in range(63):
            nodes[f"sink{n}"] = Node("""
                from dora import Node
                for event in Node():
                    if event["type"] == "INPUT": print(bytes(event["value"]))
            """, inputs={"x": "source/x"})
        run = self.flow(nodes, timeout=60)
        for n in range(63):
            self.assertEqual(run.lines(f"sink{n}"), ["b'hello'"])


class Refusals(InsideTest):
    def test_before_node_it_becomes_a_process(self):
        run = self.flow({"node": Node("""
            print("early")
            import ctypes
            from dora import Node
            node = Node()
            print(node.restart_count(), ctypes.sizeof(ctypes.c_int))
        """)})
        self.assertEqual(run.lines("node"), ["early", "0 4"])
        self.assertEqual(self.tier(run, "node"), "process")
        self.assertIn("_ctypes", run.node("node")["reason"])

    def test_it_moves_whatever_the_script_catches(self):
        run = self.flow({"node": Node("""
            try:
                import ctypes
            except BaseException:
                pass
            from dora import Node
            Node()
            print("fine")
        """)})
        self.assertEqual(run.lines("node"), ["fine"])
        self.assertEqual(self.tier(run, "node"), "process")

    def test_after_node_it_is_an_import_error(self):
        run = self.flow({"node": Node("""
            from dora import Node
            node = Node()
            try:
                import ctypes
            except ImportError as error:
                print(error)
        """)})
        self.assertIn("_ctypes", run.lines("node")[0])
        self.assertIn("`isolation: process`", run.lines("node")[0])
        self.assertEqual(self.tier(run, "node"), "interpreter")

    def test_what_was_done_cannot_be_done_again(self):
        for lines, words in (
            ("import socket; socket.socket()", "opened a socket"),
            ("open('file', 'w')", "for writing"),
            ("import threading; threading.Thread(target=print).start()",
             "started a thread"),
            ("import subprocess; subprocess.run(['true'])", "started a program"),
        ):
            self.fresh()
            run = self.flow({"node": Node(lines + "\nimport ctypes\n")}, code=1)
            self.assertIn(words, run.err, run)
            self.assertIn("`isolation: process`", run.err)

    def test_numpy_moves(self):
        run = self.flow({"node": Node("""
            import numpy
            from dora import Node
            Node()
            print(int(numpy.arange(4).sum()))
        """, numpy=True)})
        self.assertEqual(run.lines("node"), ["6"])
        self.assertEqual(self.tier(run, "node"), "process")

    def test_only_scripts_of_the_hosts_python(self):
        run = self.flow({"node": Node(path="python", args="-c pass",
                                      isolation="interpreter")}, code=1)
        self.assertIn("ends in .py", run.err)


if __name__ == "__main__":
    unittest.main()
