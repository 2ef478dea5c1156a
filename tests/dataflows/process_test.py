"""What a node sees of the process it runs in, and of the machine around it."""

import os
import subprocess
import time

from harness import FlowTest, Node, settings


class Surroundings(FlowTest):
    def test_process_facts(self):
        self.write("helper.py", "FACT = 'helped'\n")
        run = self.flow({"node": Node("""
            import os, sys
            import helper
            from dora import Node
            node = Node()
            print(sys.argv[1:], os.path.isabs(sys.argv[0]), sys.argv[0] == __file__)
            print(__name__, sys.path[0] == os.path.dirname(__file__), helper.FACT)
            print(os.getcwd() == os.path.realpath(os.path.dirname(__file__)))
            print(os.getpgid(0) == os.getpid(), os.isatty(0), os.isatty(1))
            print(repr(sys.stdin.read()))
            print(os.environ["PYTHONUNBUFFERED"], sys.version_info[:3])
            print("DORA_RUN_ATTACH" in os.environ)
        """, isolation="process", args="--flag 'two words' \"x\\\"y\" plain")})
        self.assertEqual(run.lines("node"), [
            "['--flag', 'two words', 'x\"y', 'plain'] True True",
            "__main__ True helped",
            "True",
            "True False False",
            "''",
            f"1 {tuple(settings.version)}",
            "False",
        ])

    def test_working_directory_is_the_files_not_the_callers(self):
        """c6; also with the script in a subdirectory."""
        self.write("deep/er/node.py", """
            import os, sys
            from dora import Node
            Node()
            print(os.getcwd() == os.environ["WANT"], os.path.basename(sys.path[0]))
            open("made.txt", "w").write("x")
        """)
        running = self.start(
            {"node": Node(path="deep/er/node.py")},
            env={"WANT": os.path.realpath(self.directory)},
            popen={"cwd": "/"},
        )
        run = self.ended(running)
        self.assertEqual(run.lines("node"), ["True er"])
        self.assertTrue(os.path.exists(f"{self.directory}/made.txt"))

    def test_environment(self):
        """c7."""
        run = self.flow({"node": Node("""
            import os
            from dora import Node
            Node()
            for key in ("YES", "INT", "FLOAT", "ONE", "TEXT", "QUOTED", "FROM", "OR",
                        "TOP", "BOTH", "INHERITED"):
                print(key, os.environ.get(key))
            print("DORA_NODE_CONFIG" in os.environ)
        """, env={
            "YES": True, "INT": 12, "FLOAT": 0.5, "ONE": 1.0, "TEXT": "a b",
            "QUOTED": "1.10", "FROM": "$INHERITED/x", "OR": "${NOPE_ZZ:-else}",
            "BOTH": "node",
        })}, env={"INHERITED": "outer"})
        lines = run.lines("node")
        self.assertEqual(lines[:8] + lines[9:11], [
            "YES true", "INT 12", "FLOAT 0.5", "ONE 1", "TEXT a b", "QUOTED 1.10",
            "FROM outer/x", "OR else", "BOTH node", "INHERITED outer",
        ])
        self.assertEqual(lines[11], "True")

    def test_dataflow_environment_is_overridden_by_the_nodes(self):
        script = self.write("node.py", """
            import os
            from dora import Node
            Node()
            print(os.environ["TOP"], os.environ["BOTH"])
        """)
        path = self.write("flow.yml", f"""\
            env: {{TOP: top, BOTH: top}}
            nodes:
              - id: node
                path: {script}
                env: {{BOTH: node}}
        """)
        run = self.ended(self.start_file(path))
        self.assertEqual(run.lines("node"), ["top node"])

    def test_nothing_but_the_asked_for_names(self):
        """I7: no socket, no file in /dev/shm, no listening port."""
        run = self.flow({"node": Node("""
            import os
            from dora import Node
            before = set(os.listdir("/dev/shm"))
            Node()
            print(sorted(set(os.listdir("/dev/shm")) - before))
            kinds = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                     if os.path.exists(f"/proc/self/fd/{fd}")]
            print([k for k in kinds if "socket" in k])
        """, isolation="process")})
        self.assertEqual(run.lines("node"), ["[]", "[]"])

    def test_descriptors_do_not_leak_into_children(self):
        run = self.flow({"node": Node("""
            import os, subprocess, sys
            from dora import Node
            Node()
            code = "import os; print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1])"
            print(subprocess.run([sys.executable, "-c", code], close_fds=False,
                                 capture_output=True, text=True).stdout.strip())
        """)})
        self.assertEqual(run.lines("node"), ["[0, 1, 2]"])


class Interpreter(FlowTest):
    def test_sys_facts_are_those_of_the_nodes_own_python(self):
        code = (
            "import sys, os; print(sys.prefix, sys.base_prefix, sys.exec_prefix,"
            " os.path.realpath(sys.executable), sys.path[1:])"
        )
        want = subprocess.run(
            [settings.python, "-c", code], capture_output=True, text=True,
            env=self.environment(), cwd="/",
        ).stdout.strip()
        run = self.flow({"node": Node(f"""
            from dora import Node
            Node()
            {code}
        """)})
        self.assertEqual(run.lines("node"), [want])

    def test_virtual_environment(self):
        """By `python:`, by VIRTUAL_ENV, by `path: bin/python` with arguments,
        through a symbolic link."""
        venv = os.path.join(self.directory, "venv")
        subprocess.run(
            [settings.python, "-m", "venv", "--without-pip", venv],
            check=True, capture_output=True,
        )
        version = "%d.%d" % tuple(settings.version[:2]) + "t" * settings.free_threaded
        self.write(
            f"venv/lib/python{version}/site-packages/only_here.py", "WORD = 'venv'"
        )
        script = """
            import sys, only_here
            from dora import Node
            Node()
            print(sys.prefix, only_here.WORD, sys.prefix != sys.base_prefix)
        """
        python = f"{venv}/bin/python"
        self.write("script.py", script)
        run = self.flow({
            "by_key": Node(script, python=python),
            "by_path": Node(path="venv/bin/python", args="script.py"),
        })
        for name in ("by_key", "by_path"):
            self.assertEqual(run.lines(name), [f"{venv} venv True"])
        path = self.write("flow.yml", "nodes:\n  - id: node\n    path: script.py\n")
        run = self.ended(self.start_file(path, python=None, env={"VIRTUAL_ENV": venv}))
        self.assertEqual(run.lines("node"), [f"{venv} venv True"])

    def test_module_form(self):
        self.write("pack/__init__.py", "")
        self.write("pack/prog.py", """
            import sys
            from dora import Node
            Node()
            print(__name__, __package__, sys.argv[1:])
        """)
        run = self.flow({"node": Node(path=settings.python, args="-m pack.prog a b")})
        self.assertEqual(run.lines("node"), ["__main__ pack ['a', 'b']"])

    def test_multiprocessing_and_subprocess(self):
        """T56: spawned children run this Python; Node() in them says why
        not."""
        run = self.flow({"node": Node("""
            import multiprocessing, subprocess, sys
            def square(n):
                return n * n
            if __name__ == "__main__":
                from dora import Node
                node = Node()
                for method in ("fork", "spawn"):
                    with multiprocessing.get_context(method).Pool(2) as pool:
                        print(method, pool.map(square, [1, 2, 3]))
                print(subprocess.run([sys.executable, "-c", "print(6 * 7)"],
                                     capture_output=True, text=True).stdout.strip())
        """, isolation="process")})
        self.assertEqual(
            run.lines("node"), ["fork [1, 4, 9]", "spawn [1, 4, 9]", "42"]
        )

    def test_traceback_names_the_script(self):
        run = self.flow({"node": Node("""
            from dora import Node
            Node()
            raise ValueError("here")
        """)}, code=1)
        self.assertRegex(run.err, r'node\.py", line 4')


class Executables(FlowTest):
    def test_any_program_is_supervised(self):
        self.write("tool.sh", """\
            #!/bin/sh
            echo "args: $*"
            echo "cwd: $(basename "$PWD")"
            echo oops >&2
        """, mode=0o755)
        run = self.flow({"tool": Node(path="tool.sh", args="one 'two three'")}, code=None)
        self.assertEqual(run.lines("tool"), [
            "args: one two three", f"cwd: {os.path.basename(self.directory)}",
        ])
        self.assertEqual(run.lines("tool", "stderr"), ["oops"])

    def test_a_program_from_the_path(self):
        run = self.flow({"tool": Node(path="echo", args="hello")}, code=None)
        self.assertEqual(run.lines("tool"), ["hello"])

    def test_shell_needs_permission(self):
        nodes = {"tool": Node(path="shell", args="echo $((6 * 7))")}
        run = self.flow(nodes, code=1)
        self.assertIn("allow-shell", run.err)
        self.fresh()
        run = self.flow(nodes, code=None, env={"DORA_ALLOW_SHELL_NODES": "true"})
        self.assertEqual(run.lines("tool"), ["42"])


class Idle(FlowTest):
    def test_idle_nodes_use_no_processor(self):
        """I6: waiting wakes nobody but for ever rarer looks: a node's at the
        signals that came just before it slept, dora-run's at the queues."""
        running = self.start({
            name: Node("""
                import os
                from dora import Node
                node = Node()
                print("ready", os.getpid())
                for event in node: pass
            """, isolation="process") for name in ("a", "b")
        })
        running.expect("ready", 2)
        pids = [
            int(line.rsplit("ready ", 1)[1])
            for line in running.text["out"].splitlines() if "ready " in line
        ] + [running.pid]
        # The first looks follow each other closely, on a busy machine later.
        for _ in range(5):
            before = [self.switches(pid) for pid in pids]
            time.sleep(2)
            after = [self.switches(pid) for pid in pids]
            woken = [int(now) - int(then)
                     for then, now in zip(sum(before, []), sum(after, []))]
            if max(woken) <= 3:
                break
        running.signal()
        self.ended(running)
        self.assertLessEqual(max(woken), 3, (before, after))

    @staticmethod
    def switches(pid):
        """Voluntary and involuntary context switches of all its threads."""
        counts = []
        for task in sorted(os.listdir(f"/proc/{pid}/task")):
            with open(f"/proc/{pid}/task/{task}/status") as file:
                counts += [line.split()[1] for line in file if "ctxt_switches" in line]
        return counts
