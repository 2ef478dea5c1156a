"""T46, R9: nothing that a dataflow has started outlives it, however it ends."""

import glob
import os
import random
import signal
import time
import unittest

import pace
from harness import FlowTest, Node, either, has_long_form, settings
from places import as_nobody

#: Leaves children of every kind, which keep the environment's mark.
FAMILY = """
    import os, subprocess, time
    from dora import Node
    node = Node()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.Popen(["setsid", "sleep", "1000"], **quiet)
    subprocess.Popen(["sleep", "1000"], process_group=0, **quiet)
    subprocess.Popen(["sh", "-c", "sleep 1000 & sleep 1000 & wait"], **quiet)
    subprocess.Popen(["sh", "-c", "trap '' TERM INT HUP; sleep 1000"], **quiet)
    if os.fork() == 0:          # a daemon
        os.setsid()
        if os.fork() == 0:
            time.sleep(1000)
        os._exit(0)
    print("spread", flush=True)
    for event in node: pass
"""


def alive(mark):
    """Command lines of the processes with this in their environment."""
    found = []
    for path in glob.glob("/proc/[0-9]*/environ"):
        try:
            with open(path, "rb") as file:
                if mark.encode() in file.read():
                    with open(path.replace("environ", "cmdline"), "rb") as file:
                        found.append(file.read())
        except OSError:
            pass
    return found


def runnable():
    with open("/proc/loadavg") as file:
        return int(file.read().split()[3].partition("/")[0])


def parent_of(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def guardian_of(pid):
    for path in glob.glob("/proc/[0-9]*/exe"):
        number = path.split("/")[2]
        try:
            if (os.readlink(path).endswith("dora-guardian")
                    and parent_of(number) == pid):
                return int(number)
        except OSError:
            pass
    raise AssertionError("no guardian")


class OrphanTest(FlowTest):
    def setUp(self):
        super().setUp()
        self.mark = f"DORA_TEST_MARK={os.getpid()}_{id(self)}_{random.random()}"

    def begin(self, nodes, **how):
        key, value = self.mark.split("=")
        return self.start(nodes, env={key: value}, **how)

    def gone_after(self):
        """Seconds until all are gone, over what the machine's crowd explains:
        how many want to run on each core."""
        begun, crowd = time.monotonic(), 1
        while left := alive(self.mark):
            crowd = max(crowd, runnable() / os.cpu_count())
            self.assert_within(2 * crowd, begun, run=left)
            time.sleep(0.005)
        return pace.own(begun) / crowd / settings.patience

    def assert_gone(self):
        self.assertLess(self.gone_after(), 0.2)


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
                "one": Node(FAMILY, isolation="process"),
                "two": Node(FAMILY, isolation="process"),
                "shell": Node(path="sh", args="-c 'sleep 1000 & wait'"),
            })
            if round % 3:
                time.sleep(random.random() * 0.3)
            else:
                running.expect("spread", 2)
            if round % 4 == 3:
                running.signal()
                time.sleep(random.random() * 0.1)
            running.signal(signal.SIGKILL)
            running.process.wait()
            times.append(self.gone_after())
            running.finish()
        # One in ten may meet a moment in which others had the cores.
        self.assertLess(sorted(times)[len(times) * 9 // 10], 0.2, times)
        self.assertEqual([n for n in os.listdir("/dev/shm") if "dora" in n], [])

    def test_when_the_guardian_is_killed(self):
        running = self.begin({"family": Node(FAMILY, isolation="process")})
        running.expect("spread")
        self.assertGreaterEqual(len(alive(self.mark)), 6)
        os.kill(guardian_of(running.pid), signal.SIGKILL)
        run = running.finish()
        self.assertEqual(run.code, 1, run)
        self.assert_gone()

    def test_after_a_node_that_was_killed_alone(self):
        """What a dead node has left goes at the end of the dataflow."""
        running = self.begin({
            "family": Node(
                FAMILY.replace("for event in node: pass", "os.kill(os.getpid(), 9)"),
                isolation="process",
            ),
        })
        running.expect("spread")
        self.assertEqual(running.finish().code, 1)
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
