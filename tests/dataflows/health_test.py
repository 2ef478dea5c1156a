"""Nodes that hang, and those that only look like it (startup_timeout,
health_check_timeout)."""

import os
import signal
import time

from harness import FlowTest, Node

TIMEOUT = 1  # not too short for a machine with other work

#: Ends the run once it was told to.
PATIENT = """
    from dora import Node
    for event in Node():
        if event["type"] == "NODE_FAILED":
            print(event["value"]["source_node_id"], event["value"]["error"])
        else:
            print(event["type"])
"""


def descendants(pid):
    """Children, their children..., nearest first."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children") as file:
            found += map(int, file.read().split())
    return found + [far for near in found for far in descendants(near)]


class Health(FlowTest):
    def test_hung_node_is_killed_and_named(self):
        run = self.flow({
            "hung": Node("""
                import time
                from dora import Node
                node = Node()
                node.send_output("x", b"1")
                time.sleep(60)
            """, outputs=["x"], health_check_timeout=TIMEOUT, isolation="process"),
            "sink": Node(PATIENT, inputs={"x": "hung/x"}),
        }, code=1)
        self.assertLess(run.own, 20)
        lines = run.lines("sink")
        self.assertEqual([line.split()[0] for line in lines],
                         ["INPUT", "hung", "INPUT_CLOSED", "STOP"])
        self.assertIn("hung and was killed: for 1 s", lines[1])
        self.assertIn("health_check_timeout", run.out + run.err)
        node = run.node("hung")
        self.assertEqual((node["exit"], node["exit_code"]), ("hung", 9))

    def test_timer_of_each_incarnation_starts_afresh(self):
        """T60: the second incarnation gets the whole time again, though the
        first one had used up its own."""
        run = self.flow({
            "hung": Node("""
                import time
                from dora import Node
                node = Node()
                print("incarnation", node.restart_count(), node.is_restart())
                if node.restart_count() < 2:
                    time.sleep(60)
                time.sleep(0.2)
                for _ in node: pass
            """, inputs={"x": "sink/y"}, outputs=["x"], isolation="process",
                health_check_timeout=TIMEOUT,
                restart_policy="on-failure", max_restarts=3),
            "sink": Node("""
                from dora import Node
                restarts = 0
                for event in Node():
                    print(event["type"])
                    restarts += event["type"] == "NODE_RESTARTED"
                    if restarts == 2: break
            """, inputs={"x": "hung/x"}, outputs=["y"]),
        })
        self.assertEqual(run.lines("hung"), [
            "incarnation 0 False", "incarnation 1 True", "incarnation 2 True"])
        self.assertEqual(run.node("hung")["restarts"], 2)
        self.assertGreaterEqual(run.seconds, 2 * TIMEOUT)

    def test_waiting_asking_and_sending_are_health(self):
        """Four nodes that are well for four timeouts, each in its way."""
        keys = dict(health_check_timeout=TIMEOUT, isolation="process")
        run = self.flow({
            "waits": Node("""
                from dora import Node
                for event in Node(): print(event["type"])
            """, inputs={"x": "clock/never"}, **keys),
            "asks": Node("""
                import time
                from dora import Node
                node, end = Node(), time.monotonic() + 2.5
                while time.monotonic() < end:
                    node.try_recv()
                    time.sleep(0.05)
                print("well")
            """, inputs={"x": "clock/never"}, **keys),
            "sends": Node("""
                import time
                from dora import Node
                node, end = Node(), time.monotonic() + 2.5
                while time.monotonic() < end:
                    node.send_output("x", b"")
                    time.sleep(0.05)
                print("well")
            """, outputs=["x"], **keys),
            "awaits": Node("""
                import asyncio
                from dora import Node
                async def main():
                    node = Node()
                    while (event := await node.recv_async())["type"] != "STOP":
                        print(event["type"])
                asyncio.run(main())
            """, inputs={"x": "clock/never"}, **keys),
            "clock": Node("""
                import time
                from dora import Node
                node = Node()
                time.sleep(2.5)
            """, outputs=["never"]),
        })
        self.assertEqual(run.lines("waits"), ["INPUT_CLOSED", "STOP"])
        self.assertEqual(run.lines("asks"), ["well"])
        self.assertEqual(run.lines("sends"), ["well"])
        self.assertEqual(run.lines("awaits"), ["INPUT_CLOSED"])

    def test_a_stopped_job_is_not_taken_for_hung(self):
        """T45: SIGSTOP of everything for longer than the timeout; the node is
        the last to go on."""
        running = self.start({
            "worker": Node("""
                import time
                from dora import Node
                node = Node()
                print("here", flush=True)
                for event in node: time.sleep(0.005)
                print("well")
            """, inputs={"tick": "dora/timer/millis/10"}, isolation="process",
                health_check_timeout=TIMEOUT),
        })
        running.expect("here")
        job = [running.pid, *descendants(running.pid)]
        self.assertEqual(len(job), 4)  # both of the guardian, the node
        for pid in job:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(2 * TIMEOUT)
        for pid in job[:-1]:
            os.kill(pid, signal.SIGCONT)
        time.sleep(TIMEOUT / 4)
        os.kill(job[-1], signal.SIGCONT)
        time.sleep(TIMEOUT)
        running.signal()
        run = self.ended(running)
        self.assertEqual(run.lines("worker"), ["here", "well"])

    def test_one_that_does_not_start_is_killed_and_started_again(self):
        run = self.flow({
            "late": Node("""
                import os, time
                if not os.path.exists("tried"):
                    open("tried", "w").close()
                    time.sleep(60)
                from dora import Node
                node = Node()
                time.sleep(3.5)  # its start is over
                print("restarts", node.restart_count())
            """, startup_timeout=3, isolation="process",
                restart_policy="on-failure"),
            "other": Node("from dora import Node; Node()", startup_timeout=40),
        })
        self.assertEqual(run.lines("late"), ["restarts 1"])

    def test_one_that_never_starts_is_a_failure(self):
        run = self.flow({
            "never": Node("import time; time.sleep(60)",
                          startup_timeout=TIMEOUT, isolation="process"),
            "other": Node(PATIENT),
        }, code=1)
        self.assertLess(run.own, 20)
        self.assertEqual(run.node("never")["exit"], "hung")
        self.assertIn("hung and was killed: it had not called Node() in 1 s "
                      "(startup_timeout)", run.out + run.err)

    def test_where_it_has_no_effect_this_is_said(self):
        self.write("flow.yml", """\
            nodes:
              - {id: a, path: sleep, args: '1', health_check_timeout: 1, startup_timeout: 2}
        """)
        done = self.command("check", "flow.yml")
        for key in "health_check_timeout", "startup_timeout":
            self.assertIn(f"`{key}` has no effect on a program that",
                          done.stdout + done.stderr)
