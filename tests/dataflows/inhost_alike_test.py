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

#: What programs that it starts are to it, and what they find.
PROGRAMS = {
    "what-they-find": """
        os.umask(0o027)
        os.mkdir("below")
        r, w = os.pipe()
        os.dup2(r, 900, False)      # one that dora-run has not
        facts = ("umask; ls -d below; echo $MINE; ls /proc/self/fd | tr '\\n' ' ';"
                 "grep -E 'Sig(Blk|Ign)' /proc/self/status; readlink /proc/self/fd/0;"
                 "nproc; wc -c <&0")
        for how in ({}, {"close_fds": False}, {"restore_signals": False},
                    {"cwd": "below", "umask": 0o077}):
            subprocess.run(facts, shell=True, pass_fds=[900] * ("close_fds" not in how),
                           env={**os.environ, "MINE": "own"}, **how)
        os.write(w, b"12345")
        os.close(w)
        print(subprocess.run(["wc", "-c"], stdin=r, capture_output=True).stdout)
    """,
    "what-cannot-start": """
        def attempt(what, *args, **keys):
            try: print(what(*args, **keys))
            except Exception as error: print(type(error).__name__, error)
        open("text", "w").close()
        for how in ({"args": ["/nowhere"]}, {"args": ["no-such-program"]},
                    {"args": ["./text"]}, {"args": ["true"], "cwd": "/nowhere"},
                    {"args": ["a\\0b"]}, {"args": [1]}, {"args": []},
                    {"args": ["true"], "process_group": 0, "start_new_session": True},
                    {"args": "exit 3", "shell": True},
                    {"args": ["zzz"], "executable": "/bin/true"}):
            attempt(subprocess.call, **how)
        attempt(os.posix_spawn, "/nowhere", ["x"], {})
        attempt(os.posix_spawnp, "no-such-program", ["x"], os.environ)
        attempt(os.posix_spawn, "/bin/true", [], {})
        attempt(os.waitpid, -1, 0)
    """,
    "where-they-belong": """
        ids = "cut -d' ' -f5,6 /proc/$$/stat | tr ' ' '\\n' | grep -cx $$"
        for how in ({}, {"process_group": 0}, {"start_new_session": True}):
            subprocess.run(ids, shell=True, **how)
        for how in ({}, {"setpgroup": 0}, {"setsid": True}):
            os.waitpid(os.posix_spawn("/bin/sh", ["sh", "-c", ids], os.environ, **how), 0)
        leader = subprocess.Popen(["sleep", "100"], process_group=0)
        member = subprocess.Popen(["sleep", "100"], process_group=leader.pid)
        print(os.getpgid(member.pid) == leader.pid)
        os.killpg(leader.pid, signal.SIGTERM)
        print(os.waitpid(-leader.pid, 0)[1], os.waitpid(-leader.pid, 0)[1])
        if os.getuid() == 0:
            subprocess.run("id -u; id -g; id -G", shell=True, user=65534, group=65533,
                           extra_groups=[7, 9])
    """,
    "files-of-posix-spawn": """
        actions = [(os.POSIX_SPAWN_OPEN, 5, "made", os.O_WRONLY | os.O_CREAT, 0o640),
                   (os.POSIX_SPAWN_DUP2, 5, 1), (os.POSIX_SPAWN_CLOSE, 5),
                   (os.POSIX_SPAWN_DUP2, 1, 2)]
        command = "echo out; echo err >&2; ls /proc/$$/fd"
        child = os.posix_spawn("/bin/sh", ["sh", "-c", command], {"PATH": "/bin"},
                               file_actions=actions)
        print(os.waitpid(child, 0)[1], open("made").read(), oct(os.stat("made").st_mode))
        os.waitpid(os.posix_spawn("/bin/grep", ["grep", "Sig[BI]", "/proc/self/status"], {},
                                  setsigmask=[signal.SIGUSR1],
                                  setsigdef=[signal.SIGPIPE]), 0)
    """,
    "how-they-are-waited-for": """
        def attempt(what, *args):
            try: return what(*args)
            except OSError as error: return error
        child = subprocess.Popen(["sleep", "100"])
        print(os.waitpid(child.pid, os.WNOHANG), os.wait3(os.WNOHANG)[:2], child.poll(),
              os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG))
        child.send_signal(signal.SIGSTOP)
        child.kill()
        fd = os.pidfd_open(child.pid)
        print(os.waitid(os.P_PIDFD, fd, os.WEXITED | os.WNOWAIT)[1:])
        os.kill(child.pid, 0)                     # not reaped: its number is its own
        os.close(os.pidfd_open(child.pid))
        print(child.wait(), attempt(os.kill, child.pid, 0), attempt(os.waitpid, child.pid, 0))
        child = subprocess.Popen(["sh", "-c", "kill -SEGV $$"])
        print(os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT).si_pid == child.pid,
              os.WTERMSIG(os.waitpid(0, 0)[1]), child.wait())
        child = subprocess.Popen(["sh", "-c", "while [ $((n += 1)) -lt 100000 ]; do :; done"])
        _, status, usage = os.wait4(child.pid, 0)
        print(status, usage.ru_utime > 0, usage.ru_maxrss > 0)
        children = [subprocess.Popen(["sh", "-c", f"exit {n}"]) for n in range(20)]
        codes = []
        threads = [threading.Thread(target=lambda c=c: codes.append(c.wait())) for c in children]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(sorted(codes))
        print(attempt(os.wait))
    """,
    "asyncio": """
        import asyncio
        async def one(n):
            child = await asyncio.create_subprocess_shell(
                f"read x; echo $x {n}; exit {n}", stdin=-1, stdout=-1)
            return (await child.communicate(b"in\\n"))[0], await child.wait()
        async def all():
            return await asyncio.gather(*map(one, range(20)))
        print(asyncio.run(all()))
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

    def test_programs(self):
        self.compare(PROGRAMS)


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
