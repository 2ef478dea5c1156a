"""Restarts and deaths at awkward moments: scenarios T44, T59, T60, T62."""

import os
import time

from harness import FlowTest, Node, settings


class Restarts(FlowTest):
    def test_stop_in_the_middle_of_a_back_off(self):
        """T44: nobody comes back after the stop, and nobody waits for him."""
        running = self.start({
            "crasher": Node("""
                import sys
                from dora import Node
                node = Node()
                print("incarnation", node.restart_count(), flush=True)
                sys.exit(1)
            """, inputs={"x": "other/x"}, restart_policy="on-failure", restart_delay=30,
                isolation="process"),
            "other": Node("""
                from dora import Node
                for event in Node(): pass
            """, inputs={"tick": "dora/timer/secs/1"}, outputs=["x"]),
        })
        running.expect("starting it again in 30 s")
        begun = time.monotonic()
        running.signal()
        run = self.ended(running, None)
        self.assert_within(8, begun)
        self.assertEqual(run.lines("crasher"), ["incarnation 0"])
        self.assertEqual(run.node("crasher")["restarts"], 0)

    def test_stop_while_another_stop_is_under_way(self):
        """T44: a second signal during the grace kills, and restarts nobody."""
        running = self.start({
            "deaf": Node("""
                import signal, time
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                from dora import Node
                node = Node()
                print("incarnation", node.restart_count(), flush=True)
                while True: time.sleep(1)
            """, inputs={"tick": "dora/timer/secs/1"}, restart_policy="always",
                isolation="process"),
        })
        running.expect("incarnation 0")
        running.signal()
        running.expect("once more to kill")
        begun = time.monotonic()
        running.signal()
        run = self.ended(running, 1)
        self.assert_within(8, begun)
        self.assertEqual(run.lines("deaf"), ["incarnation 0"])

    def test_queued_inputs_are_for_the_next_incarnation(self):
        """T60: what it had not taken is there after the restart, once; what it
        had taken is gone with it."""
        run = self.flow({
            "source": Node("""
                from dora import Node
                node = Node()
                for n in range(6): node.send_output("x", b"%d" % n)
                for event in node: pass
            """, inputs={"over": "worker/over"}, outputs=["x"]),
            "worker": Node("""
                import os
                from dora import Node
                node = Node()
                print("incarnation", node.restart_count(), node.is_restart())
                for event in node:
                    if event["type"] != "INPUT": continue
                    print(bytes(event["value"]).decode(), flush=True)
                    if bytes(event["value"]) == b"2" and not node.is_restart():
                        os.kill(os.getpid(), 9)
                    if bytes(event["value"]) == b"5": break
            """, inputs={"x": "source/x"}, outputs=["over"], isolation="process",
                restart_policy="on-failure", max_restarts=1),
        })
        self.assertEqual(run.lines("worker"), [
            "incarnation 0 False", "0", "1", "2", "incarnation 1 True", "3", "4", "5"])
        self.assert_accounted(run)

    def test_a_producer_that_closed_and_is_started_again(self):
        """Its outputs were closed by itself; they open again, and the consumer
        hears of both."""
        running = self.start({
            "producer": Node("""
                import sys
                from dora import Node
                from probe import hear
                node = Node()
                again = node.is_restart()
                node.send_output("x", b"again" if again else b"first")
                del node
                if not again:
                    hear("closed")
                    sys.exit(1)
            """, outputs=["x"], inputs={"tick": "dora/timer/secs/3600"},
                isolation="process", restart_policy="on-failure", max_restarts=1),
            "reader": Node("""
                from dora import Node
                from probe import tell
                node = Node()
                for event in node:
                    if event["type"] == "INPUT":
                        print(bytes(event["value"]).decode())
                    else:
                        print(event["type"], event["id"])
                    if event["type"] == "INPUT_CLOSED" and not globals().get("told"):
                        told = True
                        tell("closed")
            """, inputs={"x": "producer/x", "tick": "dora/timer/secs/3600"}),
        })
        running.expect("reader: INPUT_CLOSED x", 2)
        running.signal()
        run = self.ended(running)
        lines = [line for line in run.lines("reader") if line != ""]
        self.assertEqual(lines, [
            "first", "INPUT_CLOSED x", "NODE_RESTARTED producer", "again",
            "INPUT_CLOSED x", "STOP MANUAL"])
        self.assert_accounted(run)


class Deaths(FlowTest):
    def test_segfault_while_writing_and_while_holding(self):
        """T59: of a block that is half written nothing is seen; three that it
        holds come back to their producer, whose heap holds seven."""
        run = self.flow({
            "source": Node("""
                from dora import Node
                node = Node()
                for n in range(60):
                    with node.send_output_raw("x", 1_000_000) as buffer:
                        buffer[0] = n
                    node.next()
                print("all sent")
            """, outputs=["x"], inputs={"ok": "relay/ok", "tick": "dora/timer/millis/5"},
                heap_limit="8MB"),
            "relay": Node("""
                import os, signal
                from dora import Node
                node, held = Node(), []
                for event in node:
                    if event["type"] != "INPUT": continue
                    held.append(event["value"])
                    if len(held) == 3:
                        node.send_output("ok", b"whole")
                        buffer = node.send_output_raw("ok", 1_000_000).as_memoryview()
                        buffer[:500_000] = b"h" * 500_000
                        os.kill(os.getpid(), signal.SIGSEGV)
            """, outputs=["ok"], inputs={"x": {"source": "source/x", "queue_size": 2}},
                isolation="process"),
            "sink": Node("""
                from dora import Node
                for event in Node():
                    if event["type"] == "INPUT":
                        print(len(event["value"]))
                    else:
                        print(event["type"], event["id"])
            """, inputs={"ok": "relay/ok"}),
        }, code=1)
        self.assertEqual(run.lines("source"), ["all sent"])
        self.assertEqual(run.lines("sink"), [
            "5", "NODE_FAILED relay", "INPUT_CLOSED ok", "STOP ALL_INPUTS_CLOSED"])
        self.assert_accounted(run)


class Silence(FlowTest):
    def test_one_event_for_each_silence_and_only_of_that_input(self):
        """T62: again and again; another input, silent from the beginning, is
        not touched."""
        run = self.flow({
            "source": Node("""
                from dora import Node
                from probe import hear
                node = Node()
                for n in range(3):
                    node.send_output("x", b"%d" % n)
                    hear(f"silent {n}")
            """, outputs=["x", "reply"]),
            "sink": Node("""
                from dora import Node
                from probe import tell
                count = 0
                for event in Node():
                    print(event["type"], event["id"])
                    if event["type"] == "INPUT_CLOSED" and event["id"] == "x" and count < 3:
                        tell(f"silent {count}")
                        count += 1
            """, inputs={"x": {"source": "source/x", "input_timeout": 0.3},
                         "reply": {"source": "source/reply", "input_timeout": 0.3}}),
        })
        lines = run.lines("sink")
        self.assertEqual(lines[:8], [
            "INPUT x", "INPUT_CLOSED x", "INPUT_RECOVERED x", "INPUT x",
            "INPUT_CLOSED x", "INPUT_RECOVERED x", "INPUT x", "INPUT_CLOSED x"])
        self.assertEqual(lines[8:], ["INPUT_CLOSED reply", "STOP ALL_INPUTS_CLOSED"])


class Paths(FlowTest):
    def test_a_console_script_on_the_path(self):
        """A bare name; its Python is the one its first line names."""
        self.write("bin/my-tool", f"""\
            #!{settings.python}
            import sys
            from dora import Node
            print(Node().node_config() is not None, sys.argv[1:], sys.executable)
        """, 0o755)
        path = os.path.join(self.directory, "bin") + ":" + self.environment()["PATH"]
        run = self.flow({"a": Node(path="my-tool", args="one 'two words'")},
                        env={"PATH": path})
        self.assertEqual(run.lines("a"), [
            f"True ['one', 'two words'] {settings.python}"])

    def test_an_address_is_refused_with_a_reason(self):
        run = self.flow({"a": Node(path="https://example.org/node")}, code=1)
        self.assertIn("download", run.err)
