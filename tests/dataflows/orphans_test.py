"""T46, R9: nothing that a dataflow has started outlives it, however it ends."""

import glob
import os
import random
import signal
import time
import unittest

import pace
from harness import FlowTest, Node, Running, either, has_long_form, settings
from places import as_nobody, own_mounts

#: Leaves children of every kind. Those that keep no environment are known by
#: their arguments; SECONDS is a number of the test's own.
FAMILY = """
    import os, subprocess, sys, time
    from dora import Node
    node = Node()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    def start(command, **how):
        subprocess.Popen(["sh", "-c", command], **quiet, **how)
    start("exec setsid sleep 1000")
    start("exec sleep 1000", process_group=0)
    start("exec sleep 1000", start_new_session=True)
    start("sleep 1000 & sleep 1000 & wait")
    start("trap '' TERM INT HUP; sleep 1000")
    start("(setsid sh -c 'sleep 1000 & sleep 1000 &' &)")
    start("exec env -i setsid sleep SECONDS")
    start("(env -i setsid sh -c 'sleep SECONDS & sleep SECONDS & wait' &)")
    os.system("env -i setsid sleep SECONDS >/dev/null 2>&1 &")
    os.posix_spawn("/bin/sleep", ["sleep", "SECONDS"], {}, setsid=True)
    print("spread", flush=True)
    for event in node: pass
"""
#: Fewer of them, and daemons of Python's own.
FORKED = """
    import os, time
    from dora import Node
    node = Node()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(1000)
        os._exit(0)
    print("spread", flush=True)
    for event in node: pass
"""


def alive(*marks):
    """The processes with one of these in their environment or among their
    arguments, and their command lines."""
    found = {}
    for path in glob.glob("/proc/[0-9]*"):
        try:
            facts = [open(f"{path}/{name}", "rb").read()
                     for name in ("environ", "cmdline")]
        except OSError:
            continue
        if any(mark.encode() in fact for mark in marks for fact in facts):
            found[int(path.split("/")[2])] = facts[1]
    return found


def runnable():
    with open("/proc/loadavg") as file:
        return int(file.read().split()[3].partition("/")[0])


def parent_of(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def guardians_of(pid):
    """The one that watches, and the one that serves."""
    for path in glob.glob("/proc/[0-9]*/exe"):
        number = int(path.split("/")[2])
        try:
            if (os.readlink(path).endswith("dora-guardian")
                    and parent_of(number) == pid):
                return [number, *guardians_of(number)[:1]]
        except OSError:
            pass
    return []


class OrphanTest(FlowTest):
    def setUp(self):
        super().setUp()
        self.seconds = f"1000.{random.getrandbits(40)}"
        self.mark = f"DORA_TEST_MARK={os.getpid()}_{self.seconds}"
        self.family = FAMILY.replace("SECONDS", self.seconds)
        self.addCleanup(self.end_all)

    def end_all(self):
        """Those that a test which failed has left."""
        for pid in alive(self.mark, self.seconds):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def begin(self, nodes, **how):
        key, value = self.mark.split("=")
        return self.start(nodes, env={key: value}, **how)

    def gone_after(self):
        """Seconds until all are gone, over what the machine's crowd explains:
        how many want to run on each core."""
        begun, crowd = time.monotonic(), 1
        while left := alive(self.mark, self.seconds):
            crowd = max(crowd, runnable() / os.cpu_count())
            self.assert_within(2 * crowd, begun, run=left)
            time.sleep(0.005)
        return pace.own(begun) / crowd / settings.patience

    def assert_gone(self):
        self.assertLess(self.gone_after(), 0.2)

    def assert_mostly_gone(self, times):
        """Some may meet a moment in which others had the cores: one in ten, of
        few two."""
        allowed = max(2, len(times) // 10)
        self.assertLess(sorted(times)[-1 - allowed], 0.2, times)


class Orphans(OrphanTest):
    def test_of_a_shell_that_waits(self):
        self.write("x.py", "import time; print('up', flush=True); time.sleep(1000)")
        running = self.begin({
            "shell": Node(path="sh", args="-c 'python3 x.py & sleep 1000 & wait'"),
        })
        running.expect("up")
        running.signal()
        running.finish()
        self.assert_gone()

    @has_long_form
    def test_when_the_host_is_killed_at_any_moment(self):
        """Between fork and exec, before the barrier, in the middle of a stop."""
        random.seed(46)
        times = []
        for round in range(either(12, 200)):
            self.fresh()
            running = self.begin({
                "one": Node(self.family),
                "two": Node(self.family),
                "forked": Node(FORKED, isolation="process"),
                "shell": Node(path="sh", args="-c 'sleep 1000 & wait'"),
            })
            if round % 3:
                time.sleep(random.random() * 0.5)
            else:
                running.expect("spread", 3)
            if round % 4 == 3:
                running.signal()
                time.sleep(random.random() * 0.1)
            running.signal(signal.SIGKILL)
            running.process.wait()
            times.append(self.gone_after())
            running.finish()
        self.assert_mostly_gone(times)
        self.assertEqual([n for n in os.listdir("/dev/shm") if "dora" in n], [])

    def test_when_the_guardian_is_killed(self):
        running = self.begin({"family": Node(self.family, isolation="process")})
        running.expect("spread")
        self.assertGreaterEqual(len(alive(self.mark, self.seconds)), 15)
        os.kill(guardians_of(running.pid)[1], signal.SIGKILL)
        run = running.finish()
        self.assertEqual(run.code, 1, run)
        self.assertEqual(run.node("family")["exit"], "lost")
        self.assertIn("dora-guardian, which starts the nodes, was killed, and 1 "
                      "node with it", run.err)
        self.assert_gone()

    def test_when_both_of_the_guardian_are_killed(self):
        """What keeps its environment is found all the same."""
        running = self.begin({"family": Node(FORKED, isolation="process")})
        running.expect("spread")
        for guardian in guardians_of(running.pid):
            os.kill(guardian, signal.SIGKILL)
        run = running.finish()
        self.assertEqual(run.node("family")["exit"], "lost")
        self.assert_gone()

    def test_when_one_of_the_guardian_is_killed_with_the_host(self):
        times = []
        for round in range(6):
            self.fresh()
            running = self.begin({"family": Node(self.family)})
            running.expect("spread")
            for pid in (guardians_of(running.pid)[round % 2], running.pid):
                os.kill(pid, signal.SIGKILL)
            running.process.wait()
            times.append(self.gone_after())
            running.finish()
        self.assert_mostly_gone(times)

    def test_after_a_node_that_was_killed_alone(self):
        """What a dead node has left goes at the end of the dataflow."""
        end = self.family.replace("for event in node: pass", "os.kill(os.getpid(), 9)")
        running = self.begin({"family": Node(end)})
        running.expect("spread")
        self.assertEqual(running.finish().code, 1)
        self.assert_gone()

    def test_after_a_node_that_ended_well(self):
        running = self.begin({
            "family": Node(self.family.replace("for event in node: pass", "")),
        })
        running.expect("spread")
        self.assertEqual(running.finish().code, 0)
        self.assert_gone()

    def test_without_proc(self):
        """Each number that a process may have is tried."""
        times = []
        for number in (signal.SIGINT, signal.SIGKILL) * 3:
            self.fresh()
            running = self.begin({"family": Node(self.family)},
                                 under=own_mounts("umount -l /proc"))
            running.expect("spread")
            running.signal(number)
            running.process.wait()
            times.append(self.gone_after())
            running.finish()
        self.assert_mostly_gone(times)

    def test_of_worker_processes(self):
        """Those of multiprocessing, and what keeps count of their resources."""
        running = self.begin({"node": Node("""
            import multiprocessing, time
            from dora import Node
            def work(pipe):
                import subprocess
                subprocess.Popen(["setsid", "sleep", "1000"])
                pipe.send("up")
                time.sleep(1000)
            if __name__ == "__main__":
                node = Node()
                context = multiprocessing.get_context("spawn")
                lock = context.Lock()
                here, there = context.Pipe()
                context.Process(target=work, args=(there,), daemon=True).start()
                print(here.recv(), flush=True)
                time.sleep(1000)
        """)})
        running.expect("stdout node: up")
        running.signal(signal.SIGKILL)
        running.process.wait()
        self.assert_gone()
        running.finish()


class Tools(OrphanTest):
    """What `build` lines and git have started."""

    def lines(self, after="sleep 1000"):
        return Node("", build=(
            f"""sh -c "(env -i setsid sleep {self.seconds} &); setsid sleep 1000 & """
            f"""echo spread; {after}" """))

    def kill(self, running):
        running.expect("spread")
        running.signal(signal.SIGKILL)
        running.process.wait()
        self.assert_gone()
        running.finish()

    def test_of_lines_that_a_run_does(self):
        self.kill(self.begin({"a": self.lines()}))

    @has_long_form
    def test_of_lines_at_any_moment(self):
        random.seed(46)
        times = []
        for _ in range(either(8, 200)):
            self.fresh()
            running = self.begin({"a": self.lines()})
            time.sleep(random.random() * 0.06)
            running.signal(signal.SIGKILL)
            running.process.wait()
            times.append(self.gone_after())
            running.finish()
        self.assert_mostly_gone(times)

    def test_of_lines_that_are_run_alone(self):
        key, value = self.mark.split("=")
        command = [settings.dora_run, "build", self.write_flow({"a": self.lines()})]
        environment = self.environment({key: value})
        self.kill(Running(self.directory, command, environment, 60))

    def test_when_lines_have_ended(self):
        run = self.ended(self.begin({"a": self.lines("true")}))
        self.assertIn("spread", run.out)
        self.assert_gone()


class Neighbours(OrphanTest):
    """T37: each ends its own, and only those."""

    def run_side_by_side(self, unders):
        """The same file below each of these commands; some are killed."""
        path = self.write_flow({
            "source": Node("""
                import os
                from dora import Node
                node = Node()
                for n in range(100):
                    node.send_output("x", os.environ["WHO"].encode())
            """, outputs=["x"]),
            "sink": Node("""
                import os
                from dora import Node
                got = [bytes(e["value"]).decode() for e in Node() if e["type"] == "INPUT"]
                print(got == [os.environ["WHO"]] * 100)
            """, inputs={"x": {"source": "source/x", "queue_policy": "backpressure"}}),
        })
        key, value = self.mark.split("=")
        runs = [
            self.start_file(path, under=under, env={"WHO": str(n), key: value})
            for n, under in enumerate(unders)
        ]
        for running in runs[::4]:
            time.sleep(0.05)
            running.signal(signal.SIGKILL)
        for number, running in enumerate(runs):
            run = running.finish()
            if number % 4:
                self.assertEqual(run.code, 0, run)
                self.assertIn("sink: True", run.out)
        self.assert_gone()

    def test_twenty_of_one_user(self):
        self.run_side_by_side([()] * 20)

    def test_of_two_users(self):
        nobody = as_nobody(settings.python, settings.dora_run)
        os.chmod(self.directory, 0o777)
        self.write("report.json", "", 0o666)
        self.run_side_by_side([(), nobody, nobody, (), nobody] * 2)


if __name__ == "__main__":
    unittest.main()
