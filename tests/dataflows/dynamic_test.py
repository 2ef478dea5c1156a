"""Nodes that are started by hand, `path: dynamic`, while the dataflow runs: T64
and more."""

import concurrent.futures
import os
import signal
import time

from harness import FlowTest, Node, Running, settings

#: Says what it gets; sends every message on, if it can.
ECHO = """
    from dora import Node
    node = Node(node_id="hand")
    print("joined", node.restart_count(), flush=True)
    for event in node:
        if event["type"] == "INPUT":
            print("got", bytes(event["value"]).decode(), flush=True)
            if "out" in node.node_config()["outputs"]:
                node.send_output("out", event["value"])
        else:
            print(event["type"], event.get("id"), flush=True)
"""

#: Sends 0, 1, 2... for as long as the dataflow runs.
COUNTER = Node("""
    from dora import Node
    node, n = Node(), 0
    for event in node:
        if event["type"] == "INPUT":
            node.send_output("n", str(n).encode())
            n += 1
""", inputs={"tick": "dora/timer/millis/5"}, outputs=["n"])

#: Says what it gets from the one started by hand.
LISTENER = """
    from dora import Node
    for event in Node():
        if event["type"] == "INPUT":
            print("heard", bytes(event["value"]).decode(), flush=True)
        else:
            print(event["type"], event.get("id"), flush=True)
"""


class DynamicTest(FlowTest):
    def begin(self, nodes, **how):
        running = self.start(nodes, **how)
        running.expect("is attached by hand")
        return running

    def attach(self, script, *arguments, id="hand", options=(), timeout=30, **popen):
        path = self.write("by_hand.py", script)
        return Running(
            self.directory,
            [settings.dora_run, "node", "--id", id, "--python", settings.python]
            + [*options, path, *arguments],
            self.environment(),
            timeout * settings.patience,
            **popen,
        )

    def refused(self, script, *reasons, **how):
        run = self.attach(script, **how).finish()
        self.assertEqual(run.code, 1, run)
        for reason in reasons:
            self.assertIn(reason, run.err)
        self.assertEqual(run.err.count("\n"), 1, run)
        return run

    def stop(self, running, code=0):
        running.signal()
        return self.ended(running, code)


class Joining(DynamicTest):
    def test_it_gets_what_is_sent_from_then_on(self):
        running = self.begin({
            "counter": COUNTER,
            "seen": Node("""
                from dora import Node
                for n, event in enumerate(Node()):
                    if event["type"] == "INPUT" and n in (0, 60):
                        print("seen", bytes(event["value"]).decode(), flush=True)
            """, inputs={"n": {"source": "counter/n", "queue_size": 1000}}),
            "hand": Node(path="dynamic", inputs={"n": {
                "source": "counter/n", "queue_policy": "backpressure",
            }}),
        })
        running.expect("seen 60")  # nobody waits for it
        hand = self.attach(ECHO)
        hand.expect("got", 20)
        self.stop(running)
        run = hand.finish()
        numbers = [int(l[4:]) for l in run.out.splitlines() if l.startswith("got")]
        self.assertGreaterEqual(numbers[0], 60)
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers))))
        # The counter may send one more before it is told itself.
        self.assertIn("STOP MANUAL\n", run.out[-30:], run)
        self.assertEqual(run.code, 0, run)

    def test_an_answer_to_its_first_message_arrives(self):
        """It is heard and served when Node() has returned."""
        running = self.begin({
            "server": Node("""
                from dora import Node
                node = Node()
                for event in node:
                    if event["type"] == "INPUT":
                        node.send_output("answer", event["value"])
            """, inputs={"question": "hand/question"}, outputs=["answer"]),
            "hand": Node(path="dynamic", inputs={"answer": "server/answer"},
                         outputs=["question"]),
        })
        for i in range(3):
            run = self.attach("""
                import sys
                from dora import Node
                node = Node("hand")
                node.send_output("question", sys.argv[1].encode())
                print(bytes(node.next()["value"]).decode())
            """, f"-{i}").finish()
            self.assertEqual((run.code, run.out), (0, f"-{i}\n"), run)
        self.stop(running)

    def test_only_dynamic_nodes(self):
        """Such a dataflow is up until it is stopped."""
        running = self.begin({
            "hand": Node(path="dynamic", outputs=["out"]),
            "other": Node(path="dynamic", inputs={"x": "hand/out"}),
        })
        other = self.attach("""
            import os
            from dora import Node
            node = Node("other")
            print(os.getcwd(), flush=True)
            for event in node:
                print(event["type"], event.get("id"), flush=True)
        """, id="other")
        other.expect(os.path.realpath(self.directory))
        for i in range(2):
            hand = self.attach("""
                from dora import Node
                Node("hand").send_output("out", b"x")
            """)
            self.assertEqual(hand.finish().code, 0)
            other.expect("NODE_RESTARTED hand", i + 1)
        run = self.stop(running)
        self.assertEqual(run.node("hand")["exit"], "attached")
        self.assertIn("was attached 2 times", run.out + run.err)
        self.assertEqual(other.finish().out.splitlines()[1:], [
            "INPUT x", "NODE_RESTARTED hand", "INPUT x", "NODE_RESTARTED hand",
            "STOP MANUAL",
        ])

    def test_its_log_is_the_dataflows(self):
        running = self.begin({"hand": Node(path="dynamic")})
        hand = self.attach("""
            import logging
            from dora import Node
            node = Node()
            node.log_warn("to the host")
            logging.error("bridged")
            print("to the terminal", flush=True)
            node.next()
        """)
        running.expect("bridged")
        run = self.stop(running)
        records = [(r["level"], r["msg"]) for r in run.records("hand")]
        self.assertIn(("warn", "to the host"), [(l.lower(), m) for l, m in records])
        self.assertEqual(hand.finish().out, "to the terminal\n")


class Refusals(DynamicTest):
    def test_a_second_one_is_told_who_is_there(self):
        """T64."""
        running = self.begin({"counter": COUNTER, "hand": Node(
            path="dynamic", inputs={"n": "counter/n"})})
        hand = self.attach(ECHO)
        hand.expect("got", 1)
        self.refused(ECHO, "`hand`", "attached already", f"process {hand.pid}")
        self.refused(ECHO, "has no node `nope`", "`hand`", id="nope")
        self.refused(ECHO, "starts node `counter` itself", "`hand`", id="counter")
        hand.expect("got", 2)  # unharmed
        self.stop(running)
        self.assertEqual(hand.finish().code, 0)

    def test_of_several_at_once_one_is_taken(self):
        """T64: and the others are told which."""
        running = self.begin({"hand": Node(path="dynamic")})
        hands = [self.attach(ECHO) for _ in range(3)]
        with concurrent.futures.ThreadPoolExecutor(len(hands)) as pool:
            runs = [pool.submit(hand.finish) for hand in hands]
            ended = concurrent.futures.as_completed(runs)
            refused = [next(ended).result() for _ in hands[1:]]
            taken = next(i for i, run in enumerate(runs) if not run.done())
            hands[taken].expect("joined 0")
            self.stop(running)
        self.assertEqual(runs[taken].result().code, 0)
        for run in refused:
            self.assertEqual(run.code, 1, run)
            self.assertIn("attached already", run.err)
            self.assertIn(f"process {hands[taken].pid}", run.err)

    def test_while_stopping(self):
        """T64."""
        running = self.begin({
            "slow": Node("""
                from probe import hear
                from dora import Node
                for event in Node():
                    print(event["type"], flush=True)
                hear("go")
            """, isolation="process"),
            "hand": Node(path="dynamic"),
        })
        hand = self.attach(ECHO)
        hand.expect("joined 0")
        running.signal()
        running.expect("STOP")
        self.assertIn("STOP MANUAL", hand.finish().out)
        self.refused(ECHO, "is being stopped", "`hand`")
        with open(os.path.join(self.directory, "go.fifo"), "w"):
            pass
        self.ended(running)
        self.refused(ECHO, "no dataflow with dynamic nodes runs")

    def test_another_id_in_the_script(self):
        running = self.begin({"hand": Node(path="dynamic")})
        run = self.attach("from dora import Node; Node('foot')").finish()
        self.assertIn("RuntimeError: could not initiate node: Node('foot')", run.err)
        running.expect("is attached no more")
        hand = self.attach("from dora import Node; print(Node('hand'))")
        self.assertEqual(hand.finish().out, "<dora.Node 'hand'>\n")
        self.stop(running)

    def test_which_of_several_runs(self):
        first = self.begin({"hand": Node(path="dynamic")})
        path = self.write("second.yml", "nodes: [{id: hand, path: dynamic}]")
        second = self.start_file(path)
        second.expect("is attached by hand")
        refusal = self.refused(ECHO, "several dataflows run", "--run", "second.yml")
        self.refused(ECHO, "neither a dataflow", options=["--run", "nothing"])
        ids = os.listdir(os.path.join(self.directory, "out"))
        for id in (i for i in ids if not i.startswith(".")):
            self.assertIn(id, refusal.err)
            hand = self.attach(ECHO, options=["--run", id])
            hand.expect("joined 0")
            hand.signal()
            hand.finish()
        hand = self.attach(ECHO, options=[f"--run={path}"], cwd="/")
        hand.expect("joined 1")
        second.expect("is attached: ", 2)
        self.stop(second)
        hand.finish()
        self.stop(first)


class Leaving(DynamicTest):
    def test_again_and_again(self):
        running = self.begin({
            "counter": COUNTER,
            "hand": Node(path="dynamic", inputs={"n": "counter/n"}, outputs=["out"]),
            "listener": Node(LISTENER, inputs={"x": "hand/out"}),
        })
        for i, end in enumerate([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]):
            hand = self.attach(ECHO)
            hand.expect(f"joined {i}")
            hand.expect("got", 3)
            hand.signal(end)
            run = hand.finish()
            self.assertEqual(run.code, -end, run)
            self.assertEqual("KeyboardInterrupt" in run.err, end == signal.SIGINT)
            running.expect("NODE_RESTARTED hand", i + 1)
        run = self.stop(running)
        self.assert_accounted(run)
        self.assertNotIn("INPUT_CLOSED x", run.out)
        self.assertIn("heard", run.out)

    def test_what_it_held_comes_back(self):
        running = self.begin({
            "source": Node("""
                from dora import Node
                node = Node()
                for event in node:
                    if event["type"] == "INPUT":
                        with node.send_output_raw("big", 3 << 20) as buffer:
                            buffer[0] = 1
            """, inputs={"tick": "dora/timer/millis/2"}, outputs=["big"],
                heap_limit="32MB"),
            "hand": Node(path="dynamic", inputs={"big": {
                "source": "source/big", "queue_size": 1}}),
        })
        for i in range(3):  # 3 x 7 x 3 MB would not fit
            hand = self.attach("""
                from dora import Node
                node, kept = Node(), []
                while len(kept) < 7:
                    kept.append(node.next()["value"])
                print("holds", flush=True)
                node.log_info("holds them")
                while True: pass
            """)
            hand.expect("holds")
            hand.signal(signal.SIGKILL)
            hand.finish()
            running.expect("is attached no more", i + 1)
        self.stop(running)

    def test_its_end_is_seen_past_its_children(self):
        """A child of it that lives on holds the connection, and nobody up."""
        running = self.begin({"hand": Node(path="dynamic")})
        hand = self.attach("""
            import os, sys, time
            from dora import Node
            node = Node()
            child = os.fork()
            if child == 0:
                time.sleep(60)
            sys.stdout.write(f"child {child} is there\\n")
            os._exit(3)
        """)
        hand.expect("is there")
        self.assertEqual(hand.process.wait(), 3)
        running.expect("is attached no more")
        child = int(hand.text["out"].split()[1])
        again = self.attach(ECHO)
        again.expect("joined 1")
        os.kill(child, signal.SIGKILL)
        self.stop(running)
        again.finish()
        hand.finish()

    def test_the_end_of_the_others(self):
        """The dataflow ends without it; it gets what was sent, and the end."""
        running = self.begin({
            "source": Node("""
                from dora import Node
                node = Node()
                node.next()
                for n in range(5):
                    node.send_output("n", str(n).encode())
            """, inputs={"go": "hand/out"}, outputs=["n"]),
            "hand": Node(path="dynamic", inputs={"n": "source/n"}, outputs=["out"]),
        })
        hand = self.attach("""
            from probe import hear
            from dora import Node
            node = Node()
            node.send_output("out", b"go")
            hear("over")
            for event in node:
                print(event["type"], event.get("id"))
        """)
        self.ended(running)
        with open(os.path.join(self.directory, "over.fifo"), "w"):
            pass
        self.assertEqual(hand.finish().out.splitlines(),
                         ["INPUT n"] * 5 + ["INPUT_CLOSED n", "STOP ALL_INPUTS_CLOSED"])

    def test_its_outputs_close_with_its_inputs(self):
        """Nobody is it, and nothing can come of it any more."""
        run = self.ended(self.begin({
            "source": Node("from dora import Node; Node()", outputs=["x"]),
            "hand": Node(path="dynamic", inputs={"x": "source/x"}, outputs=["out"]),
            "next": Node(path="dynamic", inputs={"x": "hand/out"}, outputs=["out"]),
            "listener": Node(LISTENER, inputs={"x": "next/out"}),
        }))
        self.assertEqual(run.lines("listener"),
                         ["INPUT_CLOSED x", "STOP ALL_INPUTS_CLOSED"])
        self.assertIn("was never attached", run.out + run.err)


class HostGone(DynamicTest):
    def test_killed_while_it_waits(self):
        """T64: the stream ends within 0.2 s."""
        running = self.begin({
            "counter": Node("from dora import Node\nfor e in Node(): pass",
                            outputs=["n"]),
            "hand": Node(path="dynamic", inputs={"n": "counter/n"}),
        })
        hand = self.attach("""
            import time
            from dora import Node
            node = Node()
            print("waits", flush=True)
            event = node.next()
            print(event["type"], node.next(), time.monotonic())
        """)
        hand.expect("waits")
        self.asleep(hand.pid)
        at = time.monotonic()
        running.signal(signal.SIGKILL)
        run = hand.finish()
        what, nothing, then = run.out.split()[1:]
        self.assertEqual((what, nothing), ("STOP", "None"), run)
        self.assert_within(0.2, at, float(then))
        running.finish()
        self.left_behind()

    def test_killed_while_it_waits_for_room(self):
        running = self.begin({
            "stuck": Node("""
                from dora import Node
                node = Node()
                print("stuck", flush=True)
                while True: pass
            """, inputs={"x": {"source": "hand/out", "queue_size": 1,
                               "queue_policy": "backpressure"}},
                isolation="process"),
            "hand": Node(path="dynamic", outputs=["out"]),
        })
        running.expect("stuck")
        hand = self.attach("""
            from dora import Node
            node = Node()
            node.send_output("out", b"1")
            print("sends", flush=True)
            node.send_output("out", b"2")
            print("given up")
        """)
        hand.expect("sends")
        self.asleep(hand.pid)
        running.signal(signal.SIGKILL)
        self.assertIn("given up", hand.finish().out)
        running.finish()

    def asleep(self, pid):
        while True:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "S":
                    return

    def left_behind(self):
        """Logs and run.json, nothing else."""
        names = sorted(
            name
            for _, _, files in os.walk(os.path.join(self.directory, "out"))
            for name in files
        )
        self.assertEqual(
            names, [".gitignore", "log_counter.jsonl", "log_hand.jsonl", "run.json"]
        )
