"""Nodes that are started again, and inputs that fall silent."""

import contextlib
import os
import resource

from harness import FlowTest, Node, either, has_long_form

COUNTED = """
    import sys
    from dora import Node
    node = Node()
    print("incarnation", node.restart_count(), node.is_restart())
"""


class Restart(FlowTest):
    def stopped_after(self, nodes, text, code=0):
        """Ctrl-C once dora-run has said `text`."""
        running = self.start(nodes)
        running.expect(text)
        running.signal()
        return self.ended(running, code)

    def incarnations(self, script, code, until, inputs=True, **keys):
        """A node with an input that stays open while it restarts."""
        run = self.stopped_after({
            "worker": Node(
                COUNTED + script,
                inputs={"x": "steady/x"} if inputs else {},
                restart_delay=0.05,
                **keys,
            ),
            "steady": Node("""
                from dora import Node
                node = Node()
                print("steady")
                for event in node:
                    if event["type"] == "INPUT" and event["id"] == "tick":
                        node.send_output("x", b"tick")
            """, inputs={"tick": "dora/timer/millis/20"}, outputs=["x"]),
        }, until, code)
        return run, [l for l in run.lines("worker") if l.startswith("incarnation")]

    def test_crash_then_recover(self):
        run, lines = self.incarnations("""
    if node.restart_count() < 2:
        sys.exit(1)
    for event in node: pass
        """, 0, "incarnation 2", restart_policy="on-failure", max_restarts=3)
        self.assertEqual(lines, [
            "incarnation 0 False", "incarnation 1 True", "incarnation 2 True",
        ])
        self.assertEqual(run.node("worker")["restarts"], 2)

    def test_budget_exhausted(self):
        run, lines = self.incarnations(
            "    raise ValueError('always')\n", 1, "max restarts",
            restart_policy="on-failure", max_restarts=2,
        )
        self.assertEqual(len(lines), 3)
        self.assertIn("worker", run.err)
        self.assertIn("max restarts", run.out + run.err)

    def test_always_with_clean_exits(self):
        _, lines = self.incarnations(
            "    sys.exit(0)\n", 0, "max restarts",
            restart_policy="always", max_restarts=2,
        )
        self.assertEqual(len(lines), 3)

    def test_never(self):
        _, lines = self.incarnations("    sys.exit(1)\n", 1, "ERROR")
        self.assertEqual(len(lines), 1)

    def test_log_of_every_incarnation_is_kept(self):
        run, lines = self.incarnations(
            "    sys.exit('gone')\n", 1, "max restarts",
            restart_policy="on-failure", max_restarts=1,
        )
        self.assertEqual(len(lines), 2)
        self.assertEqual(run.lines("worker", "stderr").count("gone"), 2)

    def test_consumers_are_told_and_stay_connected(self):
        run = self.stopped_after({
            "feeder": Node("""
                from dora import Node
                node = Node()
                for event in node:
                    if event["type"] == "INPUT" and event["id"] == "tick":
                        node.send_output("x", b"x")
            """, inputs={"tick": "dora/timer/millis/20", "bye": "sink/bye"}, outputs=["x"]),
            "crasher": Node("""
                import os
                from dora import Node
                node = Node()
                node.next()
                node.send_output("y", b"from %d" % node.restart_count())
                if node.restart_count() == 0:
                    os.kill(os.getpid(), 9)
                for event in node: pass
            """, inputs={"x": "feeder/x"}, outputs=["y"],
                restart_policy="on-failure", max_restarts=1),
            "sink": Node("""
                from dora import Node
                for event in Node():
                    if event["type"] == "INPUT":
                        print(bytes(event["value"]).decode())
                    else:
                        print(event["type"], event["id"])
            """, inputs={"y": "crasher/y"}, outputs=["bye"]),
        }, "from 1")
        self.assertEqual(run.lines("sink"), [
            "from 0", "NODE_RESTARTED crasher", "from 1", "STOP MANUAL",
        ])
        self.assert_accounted(run)


    def test_two_that_feed_each_other_die_together(self):
        """Neither counts as gone for the other while it is to come back."""
        run = self.flow({
            "victim": Node("""
                import os
                from dora import Node
                node = Node()
                if node.restart_count() == 0:
                    node.send_output("pid", b"%d" % os.getpid())
                else:
                    node.send_output("pid", b"0")
                for event in node: pass
            """, outputs=["pid"], inputs={"again": "killer/again"},
                restart_policy="on-failure", max_restarts=1, isolation="process"),
            "killer": Node("""
                import os
                from dora import Node
                node = Node()
                for event in node:
                    if event["type"] == "INPUT":
                        pid = int(bytes(event["value"]))
                        if pid == 0:
                            print("both are back", node.restart_count())
                            break
                        os.kill(pid, 9)
                        os.kill(os.getpid(), 9)
            """, inputs={"pid": "victim/pid"}, outputs=["again"],
                restart_policy="on-failure", max_restarts=1, isolation="process"),
        })
        self.assertEqual(run.lines("killer"), ["both are back 1"])


class Stop(FlowTest):
    def test_stop_during_the_delay(self):
        """T44: nobody is started again, and nobody waited for."""
        running = self.start({
            "worker": Node("""
                from dora import Node
                Node()
                print("up", flush=True)
                raise SystemExit(3)
            """, restart_policy="on-failure", restart_delay=30),
        })
        running.expect("starting it again in 30 s")
        running.signal()
        run = self.ended(running, 1)
        self.assertEqual(run.lines("worker"), ["up"])
        self.assertLess(run.own, 10)

    def test_a_crash_before_the_stop_stays_a_crash(self):
        """T47: by its word and code, with its last words; and an end without
        failure, which `always` would have followed by a start, is none."""
        running = self.start({
            "crashes": Node("""
                from dora import Node
                Node()
                raise ValueError("the reason")
            """, restart_policy="on-failure", restart_delay=30),
            "killed": Node("""
                import os
                from dora import Node
                Node()
                os.kill(os.getpid(), 9)
            """, restart_policy="on-failure", restart_delay=30),
            "returns": Node("""
                from dora import Node
                Node()
            """, restart_policy="always", restart_delay=30),
        })
        running.expect("starting it again in 30 s", 3)
        running.signal()
        run = self.ended(running, 1)
        ends = {n["id"]: (n["exit"], n["restarts"]) for n in run.report["nodes"]}
        self.assertEqual(ends, {"crashes": ("code", 0), "killed": ("signal", 0),
                                "returns": ("success", 0)})
        tail = run.err[run.err.index("[ERROR]"):]
        self.assertIn("Node `crashes` failed: exited with code 1", tail)
        self.assertIn("ValueError: the reason", tail)
        self.assertIn("Node `killed` failed: was killed by signal 9", tail)

    def test_stop_during_the_start(self):
        """At any moment of it; the second call of stop changes nothing."""
        for tenth in range(6):
            self.fresh()
            running = self.start({
                "worker": Node("""
                    import os
                    from dora import Node
                    Node()
                    os.kill(os.getpid(), 9)
                """, restart_policy="always", restart_delay=0, isolation="process"),
            })
            running.expect("starting it again", 1 + tenth)
            running.signal()
            running.signal(15)
            run = self.ended(running, 1)
            self.assertLess(run.own, 20)


class Descriptors(FlowTest):
    @has_long_form
    def test_restarts_cost_no_descriptors(self):
        """T16: of dora-run, of its guardian, and of those that stay."""
        messages, restarts = either((3000, 5), (100_000, 20))
        running = self.start({
            "source": Node("""
                import os, sys
                from dora import Node
                from probe import hear, tell
                node = Node()
                tell("up")
                hear("counted")
                before = len(os.listdir("/proc/self/fd"))
                for n in range(int(sys.argv[1]) // 10):
                    for o in range(10):
                        node.send_output(f"o{o}", b"x")
                print(len(os.listdir("/proc/self/fd")) - before)
                tell("sent")
                hear("end")
            """, outputs=[f"o{n}" for n in range(10)], args=str(messages),
                isolation="process"),
            "sink": Node("""
                import os, sys
                from dora import Node
                node = Node()
                got = 0
                for event in node:
                    got += event["type"] == "INPUT"
                    if got == 20 and node.restart_count() < int(sys.argv[1]):
                        os.kill(os.getpid(), 9)
                print("last")
            """, inputs={f"i{n}": {"source": f"source/o{n}", "queue_policy": "backpressure"}
                         for n in range(10)},
                args=str(restarts), isolation="process",
                restart_policy="on-failure", restart_delay=0),
        }, popen={"preexec_fn": lambda: resource.setrlimit(
            resource.RLIMIT_NOFILE, (64, 64))}, timeout=120)

        def count():
            """What the descriptors of dora-run are of."""
            found = []
            for entry in os.scandir(f"/proc/{running.pid}/fd"):
                with contextlib.suppress(FileNotFoundError):  # it was closed
                    found.append(os.readlink(entry.path).partition(":[")[0])
            return sorted(found)

        self.hear("up")
        before = count()
        self.tell("counted")
        self.hear("sent", 100)
        self.assertEqual(count(), before)
        self.tell("end")
        run = self.ended(running)
        self.assertEqual(run.lines("source"), ["0"])
        self.assertEqual(run.lines("sink"), ["last"])
        self.assertEqual(run.node("sink")["restarts"], restarts)
        self.assert_accounted(run)


class Silence(FlowTest):
    def test_input_timeout_and_recovery(self):
        run = self.flow({
            "source": Node("""
                from dora import Node
                from probe import hear
                node = Node()
                node.send_output("x", b"1")
                hear("closed")
                node.send_output("x", b"2")
            """, outputs=["x"]),
            "sink": Node("""
                from dora import Node
                from probe import tell
                for event in Node():
                    print(event["type"], event["id"])
                    if event["type"] == "INPUT_CLOSED":
                        if not globals().get("told"):
                            told = True
                            tell("closed")
            """, inputs={"x": {"source": "source/x", "input_timeout": 0.3}}),
        }, health_check_interval=0.1)
        self.assertEqual(run.lines("sink"), [
            "INPUT x", "INPUT_CLOSED x", "INPUT_RECOVERED x", "INPUT x",
            "INPUT_CLOSED x", "STOP ALL_INPUTS_CLOSED",
        ])


class Storm(FlowTest):
    def test_crashes_at_any_moment_leak_and_lose_nothing(self):
        """Both ends of an edge die again and again, holding and half way
        through messages; every message stays accounted for, and a heap with
        room for a few of them never fills up."""
        run = self.flow({
            "source": Node("""
                import os, random
                from dora import Node
                node = Node()
                random.seed(node.restart_count())
                for n in range(random.randrange(20, 200)):
                    size = random.randrange(1, 150_000)
                    with node.send_output_raw("x", size, {"size": size}) as buffer:
                        buffer[0] = buffer[-1] = size % 256
                        if node.restart_count() < 30 and random.random() < 0.02:
                            os.kill(os.getpid(), 9)
                if node.restart_count() < 30:
                    os.kill(os.getpid(), 9)
                print("over")
            """, outputs=["x"], heap_limit="4MB",
                inputs={"back": {"source": "relay/y", "queue_size": 2}},
                restart_policy="on-failure", isolation="process"),
            "relay": Node("""
                import os, random
                from dora import Node
                node = Node()
                random.seed(100 + node.restart_count())
                kept = []
                for event in node:
                    if event["type"] == "INPUT":
                        value = event["value"]
                        assert len(value) == event["metadata"]["size"]
                        assert value[0].as_py() == value[-1].as_py() == len(value) % 256
                        kept = kept[-3:] + [value]
                        node.send_output("y", value, event["metadata"])
                        if node.restart_count() < 30 and random.random() < 0.03:
                            os.kill(os.getpid(), 9)
            """, outputs=["y"], inputs={"x": {"source": "source/x", "queue_size": 5}},
                restart_policy="on-failure", isolation="process"),
            "sink": Node("""
                from dora import Node
                count = 0
                for event in Node():
                    if event["type"] == "INPUT":
                        value = event["value"]
                        assert len(value) == event["metadata"]["size"]
                        assert value[0].as_py() == value[-1].as_py() == len(value) % 256
                        count += 1
                print(count > 0)
            """, inputs={"y": {"source": "relay/y", "queue_policy": "backpressure"}}),
        }, timeout=60)
        self.assertEqual(run.lines("source"), ["over"])
        self.assertEqual(run.lines("sink"), ["True"])
        self.assertEqual(run.node("source")["restarts"], 30)
        self.assert_accounted(run)
