"""Every run ends: by itself, by Ctrl-C, by force; and says how each node did."""

import os
import signal
import subprocess
import time

from harness import FlowTest, Node, TEXT_SINK, settings

TICKER = Node("""
    from dora import Node
    node = Node()
    print("ready")
    for event in node:
        pass
    print("ended")
""", inputs={"tick": "dora/timer/millis/20"})


def alive(marker):
    """Processes whose environment holds the marker."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if marker.encode() in file.read():
                    found.append(int(pid))
        except OSError:
            pass
    return found


class Naive(FlowTest):
    """T39, T40: scripts that take no notice of the end."""

    def test_iteration_that_ignores_stop(self):
        running = self.start({"node": TICKER})
        running.expect("ready")
        begun = time.monotonic()
        running.signal()
        run = self.ended(running)
        self.assert_within(2, begun)
        self.assertEqual(run.lines("node"), ["ready", "ended"])

    def test_timer_does_not_keep_a_finished_graph_alive_if_told_so(self):
        run = self.flow({
            "source": Node("""
                from dora import Node
                Node().send_output("x", b"1")
            """, outputs=["x"]),
            "sink": Node(
                TEXT_SINK.replace('bytes(event["value"]).decode()', "event['id']"),
                inputs={"x": "source/x", "t": "dora/timer/secs/100"},
            ),
        }, exit_when_nodes_finish=True)
        self.assertEqual(run.lines("sink")[-1], "STOP ALL_INPUTS_CLOSED")


class Stop(FlowTest):
    def test_stop_after(self):
        run = self.flow({"node": TICKER}, args=["--stop-after", "500ms"])
        self.assertEqual(run.lines("node"), ["ready", "ended"])
        self.assertGreaterEqual(run.seconds, 0.5)
        self.assertLess(run.own, 5)

    def test_stop_overtakes_full_queues(self):
        """T41: at most one handler late, exactly once, queue_size 1 and all."""
        running = self.start({
            "flood": Node("""
                from dora import Node
                node = Node()
                while node.next(timeout=0)["type"] != "STOP":
                    for _ in range(100):
                        node.send_output("x", b"f")
            """, outputs=["x"]),
            "sink": Node("""
                import time
                from dora import Node
                node = Node()
                stops = after = 0
                for event in node:
                    if event["type"] == "STOP":
                        stops += 1
                        print(event["id"])
                    elif stops:
                        after += 1
                    else:
                        if not stops and after == 0 and event["type"] == "INPUT":
                            print("working")
                        time.sleep(0.05)
                print(stops, after <= 2)
            """, inputs={"x": {"source": "flood/x", "queue_size": 1}}),
        })
        running.expect("working", 3)
        begun = time.monotonic()
        running.signal()
        run = self.ended(running)
        self.assert_within(2, begun)
        self.assertEqual(run.lines("sink")[-2:], ["MANUAL", "1 True"])
        self.assert_accounted(run)

    def test_lossless_data_is_delivered_after_a_manual_stop(self):
        """Or counted: the queue's content is never simply gone."""
        running = self.start({
            "source": Node("""
                from dora import Node
                from probe import tell
                node = Node()
                for n in range(20):
                    node.send_output("x", b"%d" % n)
                tell("sent")
                for event in node: pass
            """, outputs=["x"]),
            "sink": Node("""
                from dora import Node
                from probe import hear
                node = Node()
                hear("sent")
                print("full")
                hear("stopped")
                kinds = [e["type"] for e in node]
                print(kinds.count("INPUT"), kinds.count("STOP"))
            """, inputs={"x": {"source": "source/x", "queue_size": 20,
                               "queue_policy": "backpressure"}}),
            "clock": Node("""
                from dora import Node
                from probe import tell
                for event in Node():
                    if event["type"] == "STOP":
                        tell("stopped")
            """),
        })
        running.expect("full")
        running.signal()
        run = self.ended(running)
        self.assertEqual(run.lines("sink")[-1], "20 1")
        self.assert_accounted(run)

    #: T39, T40, T42: where nodes may sit when the stop comes, and whether they
    #: end by the event alone, by SIGTERM after the grace, or by SIGKILL.
    PLACES = {
        "next": ("node.next()", 0),
        "awaiting": ("import asyncio; asyncio.run(recv())", 0),
        "thread": (
            "import threading; t = threading.Thread(target=node.next);"
            " t.start(); t.join()",
            0,
        ),
        "service": (
            "id = node.send_service_request('x', b'?');"
            " [e for e in node if e.get('metadata', {}).get('request_id') == id]",
            0,
        ),
        "backpressure": ("[node.send_output('y', b'1') for _ in range(10)]", 0),
        "loop": ("while True: node.next()", None),
        "source": ("while True: node.send_output('x', b'1'); time.sleep(0.01)", 1),
        "lock": ("import threading; l = threading.Lock(); l.acquire(); l.acquire()", 1),
        "child": ("import subprocess; subprocess.run(['sleep', '100'])", 1),
        "stdin": ("import os; os.dup2(os.pipe()[0], 0); input()", 1),
        "sleep": ("time.sleep(100)", 1),
        "gil": ("import ctypes; ctypes.PyDLL(None).sleep(100)", 1),
        "stubborn": ("ignore(); print('deaf'); time.sleep(100)", 2),
    }

    def test_stop_is_bounded_wherever_a_node_sits(self):
        nodes = {
            name: Node(f"""
                import signal, time
                from dora import Node
                node = Node()
                async def recv():
                    return await node.recv_async()
                def ignore():
                    signal.signal(signal.SIGTERM, signal.SIG_IGN)
                    signal.signal(signal.SIGINT, signal.SIG_IGN)
                print("ready")
                {place}
                print("ended")
            """, outputs=["x", "y"], isolation="process")
            for name, (place, _) in self.PLACES.items()
        }
        nodes["asleep"] = Node("""
            from dora import Node
            node = Node()
            import time
            time.sleep(100)
        """, isolation="process", inputs={
            "requests": "service/x",
            "data": {"source": "backpressure/y", "queue_policy": "backpressure",
                     "queue_size": 1},
        })
        running = self.start(nodes, timeout=40)
        running.expect("ready", len(self.PLACES))
        running.expect("deaf")
        begun = time.monotonic()
        running.signal()
        run = self.ended(running, 1)
        self.assert_within(20, begun)
        for name, (_, means) in self.PLACES.items():
            exit = run.node(name)["exit"]
            self.assertEqual(exit, "grace" if means == 2 else "success", name)
            self.assertEqual(run.lines(name)[-1] == "ended", means == 0, name)
        self.assertIn("stubborn", run.err)
        # A loop on None must not burn a processor until the grace is over.
        self.assertLess(run.node("loop")["user_ns"], 3e9)

    def test_graces_are_configurable(self):
        """In both tiers; the usual ones take 15 s."""
        running = self.start({
            "polite": Node("""
                import time
                from dora import Node
                node = Node()
                print("ready")
                time.sleep(100)
            """, isolation="process"),
            "deaf": Node("""
                import signal, time
                from dora import Node
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                node = Node()
                print("ready")
                time.sleep(100)
            """, isolation="process"),
            "busy": Node("""
                from dora import Node
                node = Node()
                print("ready")
                while True: pass
            """),
            "swallows": Node("""
                from dora import Node
                node = Node()
                print("ready")
                while True:
                    try:
                        while True: pass
                    except BaseException: pass
            """),
        }, args=["--grace-duration", "600ms"])
        running.expect("ready", 4)
        begun = time.monotonic()
        running.signal()
        run = self.ended(running, 1)
        self.assertGreater(time.monotonic() - begun, 0.9)
        self.assert_within(7, begun)
        self.assertEqual(run.node("polite")["exit"], "success")
        self.assertEqual(run.node("deaf")["exit"], "grace")
        self.assertRegex(run.err, "deaf +did not stop in time and was killed")

    def test_stop_during_the_barrier(self):
        running = self.start({
            "waits": Node("""
                from dora import Node
                print("ready", flush=True)
                try:
                    Node()
                except RuntimeError:
                    print("gave up")
            """),
            "never": Node("""
                import time
                time.sleep(100)
            """),
        })
        running.expect("ready")
        begun = time.monotonic()
        running.signal()
        run = self.ended(running, None)
        self.assert_within(20, begun)
        self.assertEqual(run.lines("waits"), ["ready", "gave up"])

    def test_twenty_nodes_stop_quickly(self):
        running = self.start({f"n{i}": Node("""
            from dora import Node
            node = Node()
            print("ready")
            for event in node: pass
        """) for i in range(20)}, timeout=60)
        running.expect("ready", 20)
        begun = time.monotonic()
        running.signal()
        self.ended(running)
        self.assert_within(3, begun)


class Signals(FlowTest):
    """T45."""

    def test_each_stop_signal_is_graceful(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(signal=number):
                self.fresh()
                running = self.start({"node": TICKER})
                running.expect("ready")
                running.signal(number)
                run = self.ended(running)
                self.assertEqual(run.lines("node"), ["ready", "ended"])

    def test_an_ignored_hangup_stays_ignored(self):
        """nohup dora-run ..."""
        running = self.start({"node": TICKER}, popen={
            "preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)})
        running.expect("ready")
        running.signal(signal.SIGHUP)
        running.signal(signal.SIGTERM)
        run = self.ended(running)
        self.assertEqual(run.report["stopped_by"], "SIGTERM")

    def test_second_ctrl_c_is_at_once(self):
        running = self.start({"node": Node("""
            import signal, time
            from dora import Node
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            node = Node()
            print("ready")
            for event in node:
                # Two signals at the same moment count as one.
                time.sleep(0.2)
                print("was told")
            while True: time.sleep(1)
        """, isolation="process")})
        running.expect("ready")
        running.signal()
        running.expect("was told")
        begun = time.monotonic()
        running.signal()
        self.ended(running, 1)
        self.assert_within(2, begun)

    def test_ctrl_c_does_not_reach_the_nodes_directly(self):
        """A terminal's Ctrl-C goes to dora-run's process group only."""
        running = self.start({"node": Node("""
            from dora import Node
            node = Node()
            print("ready")
            try:
                for event in node:
                    print(event["type"], event["id"])
            except KeyboardInterrupt:
                print("interrupted")
        """)}, popen={"start_new_session": True})
        running.expect("ready")
        os.killpg(running.pid, signal.SIGINT)
        run = self.ended(running)
        self.assertEqual(run.lines("node"), ["ready", "STOP MANUAL"])

    def test_data_flows_while_the_host_is_stopped(self):
        """Messages, ticks and waits need nothing of dora-run."""
        relay = """
            from dora import Node
            from probe import tell
            node = Node()
            print("ready")
            count = 0
            for event in node:
                if event["type"] == "INPUT":
                    count += 1
                    if "o" in node.node_config()["outputs"]:
                        node.send_output("o", b"%d" % count)
                    elif count == int(bytes(event["value"])) == 50:
                        tell("fifty")
        """
        running = self.start({
            "source": Node(relay, inputs={"t": "dora/timer/millis/50"}, outputs=["o"],
                           isolation="process"),
            "sink": Node(relay, inputs={"x": {"source": "source/o", "queue_size": 1000}},
                         isolation="process"),
        })
        running.expect("ready", 2)
        running.signal(signal.SIGSTOP)
        self.hear("fifty")
        running.signal(signal.SIGCONT)
        running.signal()
        self.ended(running)

    def test_closed_output_does_not_hang(self):
        path = self.write_flow({"node": Node("""
            from dora import Node
            node = Node()
            for n in range(5000):
                print("line", n)
        """)})
        shell = f"'{settings.dora_run}' '{path}' | head -n 1"
        result = subprocess.run(
            ["/bin/bash", "-c", shell], env=self.environment(), cwd=self.directory,
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=20 * settings.patience,
        )
        self.assertEqual(len(result.stdout.splitlines()), 1)

    def test_nothing_survives_the_host(self):
        """R9, T46: grandchildren, sessions of their own, everything."""
        marker = f"DORA_TEST_MARK_{os.getpid()}_{id(self)}=1"
        key, value = marker.split("=")
        running = self.start({
            "plain": TICKER,
            "family": Node("""
                import os, subprocess
                from dora import Node
                node = Node()
                subprocess.Popen(["setsid", "sleep", "1000"])
                subprocess.Popen(["sh", "-c", "sleep 1000 & sleep 1000 & wait"])
                if os.fork() == 0:
                    os.setsid()
                    if os.fork() == 0:
                        import time
                        time.sleep(1000)
                    os._exit(0)
                print("spread")
                for event in node: pass
            """, isolation="process"),
        }, env={key: value})
        running.expect("ready")
        running.expect("spread")
        self.assertGreaterEqual(len(alive(marker)), 5)
        running.signal(signal.SIGKILL)
        running.process.wait()
        begun = time.monotonic()
        while left := alive(marker):
            self.assert_within(2, begun, run=left)
        running.finish()

    def test_nothing_survives_a_normal_end(self):
        marker = f"DORA_TEST_MARK_{os.getpid()}_{id(self)}=1"
        key, value = marker.split("=")
        self.flow({"family": Node("""
            import subprocess
            from dora import Node
            node = Node()
            subprocess.Popen(["setsid", "sleep", "1000"], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        """)}, env={key: value})
        self.assertEqual(alive(marker), [])


class NaturalEnd(FlowTest):
    def test_the_last_consumer_gets_its_time(self):
        """T43."""
        run = self.flow({
            "source": Node("""
                from dora import Node
                Node().send_output("x", b"1")
            """, outputs=["x"]),
            "writer": Node("""
                import time
                from dora import Node
                for event in Node(): pass
                time.sleep(3)
                print("written")
            """, inputs={"x": "source/x"}),
        })
        self.assertEqual(run.lines("writer"), ["written"])

    def test_who_ignores_the_end_is_ended_and_named(self):
        """T43, c19."""
        run = self.flow({
            "source": Node("""
                from dora import Node
                Node().send_output("x", b"1")
            """, outputs=["x"]),
            "straggler": Node("""
                import time
                from dora import Node
                node = Node()
                while True:
                    time.sleep(1)
            """, inputs={"x": "source/x"}, finish_grace_secs=1),
        }, code=1, env={"DORA_FINISH_DRAIN_GRACE_SECS": "1"},
            health_check_interval=0.2, timeout=40)
        self.assertIn("straggler", run.err)

    def test_one_failure_does_not_stop_the_others(self):
        running = self.start({
            "bad": Node("""
                from dora import Node
                Node()
                raise ValueError("broken on purpose")
            """),
            "good": Node("""
                from dora import Node
                from probe import hear
                node = Node()
                hear("failed")
                print("finished")
            """),
        })
        running.expect("bad: exited with code 1")
        self.tell("failed")
        run = self.ended(running, 1)
        self.assertEqual(run.lines("good"), ["finished"])
        self.assertIn("broken on purpose", run.err)
