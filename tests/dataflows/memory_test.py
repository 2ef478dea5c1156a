"""Who holds a producer's memory, what happens when it is full, and what the
death of a neighbour leaves."""

import pace
from harness import FlowTest, Node, either, has_long_form, settings


class Full(FlowTest):
    def test_the_error_names_holder_count_and_bytes(self):
        """T12."""
        run = self.flow({
            "source": Node("""
                from dora import Node
                node = Node()
                count = 0
                try:
                    for n in range(100):
                        with node.send_output_raw("frame", 500_000) as buffer:
                            buffer[0] = n
                        count += 1
                except Exception as error:
                    print(count, type(error).__name__, error)
            """, outputs=["frame"], heap_limit="4MB", inputs={"done": "hoarder/done"}),
            "hoarder": Node("""
                from dora import Node
                events = [event for event in Node() if event["type"] == "INPUT"]
                print(len(events))
            """, inputs={"x": {"source": "source/frame", "queue_size": 1000}},
                outputs=["done"]),
        })
        [line] = run.lines("source")
        self.assertRegex(line, r"^[78] \w*Error .*")
        self.assertIn("hoarder", line)
        self.assertIn("frame", line)
        self.assertEqual(run.lines("hoarder"), [line.split()[0]])

    def test_recovery_is_immediate_after_one_release(self):
        run = self.flow({
            "source": Node("""
                from dora import Node
                node = Node()
                held = [node.send_output_raw("x", 900_000) for _ in range(4)]
                try:
                    node.send_output_raw("x", 900_000)
                    print("no error")
                except Exception as error:
                    print("source" in str(error))
                held.pop()
                held.append(node.send_output_raw("x", 900_000))
                print("fits")
            """, outputs=["x"], heap_limit="4MB"),
        })
        self.assertEqual(run.lines("source"), ["True", "fits"])

    def test_wait_blocks_until_a_holder_lets_go(self):
        run = self.flow({
            "source": Node("""
                from dora import Node
                node = Node()
                for n in range(200):
                    with node.send_output_raw("x", 500_000) as buffer:
                        buffer[:8] = n.to_bytes(8, "little")
            """, outputs=["x"], heap_limit="3MB", heap_full="wait"),
            "slow": Node("""
                import time
                from dora import Node
                got = []
                for event in Node():
                    if event["type"] == "INPUT":
                        got.append(int.from_bytes(bytes(event["value"][:8]), "little"))
                        time.sleep(0.001)
                print(got == list(range(200)))
            """, inputs={"x": {"source": "source/x", "queue_size": 1000}}),
        })
        self.assertEqual(run.lines("slow"), ["True"])
        self.assertLessEqual(run.node("source")["heap_peak"], 3 << 20)

    def test_wait_is_ended_by_the_holders_death(self):
        run = self.flow({
            "source": Node("""
                from dora import Node
                from probe import tell
                node = Node()
                for n in range(5):
                    node.send_output_raw("x", 500_000).send()
                tell("full")
                for n in range(5):
                    node.send_output_raw("x", 500_000).send()
                print("went on")
            """, outputs=["x"], heap_limit="3MB", heap_full="wait"),
            "holder": Node("""
                import os
                from dora import Node
                from probe import hear
                node = Node()
                kept = [node.next() for _ in range(5)]
                hear("full")
                os.kill(os.getpid(), 9)
            """, inputs={"x": {"source": "source/x", "queue_size": 1000}}),
        }, code=1)
        self.assertEqual(run.lines("source"), ["went on"])

    #: What a node that follows its events may be blocked in.
    SENDS = {
        "raw": 'with node.send_output_raw("x", 500_000) as b: b[:3] = b"abc"',
        "manual": 'sample = node.send_output_raw("x", 500_000); sample.send()',
        "copied": 'node.send_output("x", bytes(500_000))',
    }

    def test_stop_finds_nodes_waiting_for_memory_and_they_end_well(self):
        """T42: what is sent after a stop is lost without an error."""
        for name, send in self.SENDS.items():
            with self.subTest(send=name):
                self.fresh()
                running = self.start({
                    "source": Node(f"""
                        from dora import Node
                        node = Node()
                        while (event := node.next(timeout=0))["type"] == "ERROR":
                            {send}
                        print(event["type"], event["id"])
                    """, outputs=["x"], heap_limit="3MB", heap_full="wait"),
                    "holder": Node("""
                        from dora import Node
                        node = Node()
                        kept = list(node)
                    """, inputs={"x": {"source": "source/x", "queue_size": 1000}}),
                })
                running.expect("waiting for memory")
                running.signal()
                run = self.ended(running)
                self.assertEqual(run.lines("source"), ["STOP MANUAL"])
                self.assertEqual(run.node("source")["exit"], "success")
                self.assert_accounted(run)

    def test_a_long_wait_names_the_holder(self):
        """Also when it is the node itself, which would wait for ever."""
        running = self.start({
            "source": Node("""
                from dora import Node
                node = Node()
                held = []
                while True:
                    held.append(node.send_output_raw("x", 500_000))
            """, outputs=["x"], heap_limit="3MB", heap_full="wait"),
        })
        running.expect("waiting for memory: no memory for 500000 bytes on output 'x'")
        running.expect("held by source itself")
        running.signal()
        run = self.ended(running, None)
        self.assertEqual((run.out + run.err).count("waiting for memory: "), 1, run)

    def test_larger_than_the_heap_says_so(self):
        run = self.flow({
            "source": Node("""
                from dora import Node
                node = Node()
                try:
                    node.send_output_raw("x", 5_000_000)
                except Exception as error:
                    print("heap_limit" in str(error) or "limit" in str(error))
                    print("5" in str(error))
            """, outputs=["x"], heap_limit="4MB"),
        })
        self.assertEqual(run.lines("source"), ["True", "True"])

    def test_no_change_of_path_up_to_the_limit(self):
        """T12: holding frames does not make sending slower or copy."""
        run = self.flow({
            "source": Node("""
                from dora import Node
                node = Node()
                for n in range(30):
                    with node.send_output_raw("x", 1_000_000) as buffer:
                        buffer[-1] = n
            """, outputs=["x"], heap_limit="64MB"),
            "hoarder": Node("""
                from dora import Node
                events = [event for event in Node() if event["type"] == "INPUT"]
                print([memoryview(e["value"])[-1] for e in events] == list(range(30)))
            """, inputs={"x": {"source": "source/x", "queue_size": 100}}),
        })
        self.assertEqual(run.lines("hoarder"), ["True"])
        self.assertEqual(run.node("source")["copied_bytes"], 0)


class Fragments(FlowTest):
    def test_random_sizes_freed_in_random_order(self):
        """T13, short: the largest size fits whenever twice of it is free."""
        run = self.flow({
            "node": Node("""
                import random
                from dora import Node
                node = Node()
                random.seed(4)
                LIMIT = 64 << 20
                held = []
                total = 0
                for turn in range(3000):
                    size = int(2 ** random.uniform(0, 23))
                    while total + size > LIMIT // 3 or len(held) > 400:
                        total -= held.pop(random.randrange(len(held)))[1]
                    sample = node.send_output_raw("x", size)
                    view = sample.as_memoryview()
                    view[0] = view[-1] = turn % 256
                    held.append((sample, size, turn % 256, view))
                    total += size
                    if turn % 100 == 0:
                        big = node.send_output_raw("x", 8 << 20)
                        del big
                print(all(view[0] == view[-1] == mark for _, _, mark, view in held))
                held.clear()
                del sample, view
                whole = node.send_output_raw("x", LIMIT - (4 << 20))
                print("whole")
            """, outputs=["x"], heap_limit="64MB"),
        }, timeout=60)
        self.assertEqual(run.lines("node"), ["True", "whole"])

    @has_long_form
    def test_receivers_free_in_random_order_from_three_threads(self):
        """T13: what they let go makes room for the largest size again."""
        megabytes = either(64, 2048)
        env = {
            "SECONDS": str(settings.long),
            "COUNT": str(either(150, 500)),
            "LARGEST": str(either(20, 25)),  # its logarithm
            "WHOLE": str((megabytes - 2) << 20),
        }
        run = self.flow({
            "source": Node("""
                import os, random, time
                from dora import Node
                node = Node()
                random.seed(5)
                COUNT, LARGEST, WHOLE = (
                    int(os.environ[name]) for name in ("COUNT", "LARGEST", "WHOLE"))
                end = time.monotonic() + float(os.environ["SECONDS"])
                turn = 0
                while turn < 3 or time.monotonic() < end:
                    turn += 1
                    for n in range(COUNT):
                        size = int(2 ** random.uniform(3, LARGEST))
                        with node.send_output_raw("x", size) as buffer:
                            buffer[0] = buffer[-1] = n % 251
                    del buffer
                    for event in node:
                        if event["type"] == "INPUT": break
                    node.send_output_raw("unheard", WHOLE)
                    node.send_output("go", b"")
                print("largest", turn >= 3)
            """, inputs={"freed": "sink/freed"}, outputs=["x", "go", "unheard"],
                heap_limit=f"{megabytes}MB", env=env),
            "sink": Node("""
                import os, random, threading
                from dora import Node
                node = Node()
                random.seed(6)
                COUNT = int(os.environ["COUNT"])

                def drop(part):
                    while part:
                        n, view = part.pop()
                        assert view[0] == view[-1] == n % 251

                held = []
                for event in node:
                    if event["type"] != "INPUT" or event["id"] != "x":
                        continue
                    held.append((len(held), memoryview(event["value"])))
                    if len(held) < COUNT:
                        continue
                    del event
                    random.shuffle(held)
                    threads = [threading.Thread(target=drop, args=(held[i::3],))
                               for i in range(3)]
                    held.clear()
                    for thread in threads: thread.start()
                    for thread in threads: thread.join()
                    del threads, thread
                    node.send_output("freed", b"")
                print("over")
            """, inputs={"x": {"source": "source/x", "queue_policy": "backpressure"},
                         "go": "source/go"}, outputs=["freed"], env=env),
        }, timeout=60 + settings.long)
        self.assertEqual(run.lines("source"), ["largest True"])
        self.assertEqual(run.lines("sink"), ["over"])

    def test_other_threads_run_while_memory_is_fetched(self):
        """A first large payload is as slow as the system; the GIL is free."""
        run = self.flow({
            "node": Node("""
                import sys, threading, time
                from dora import Node
                node = Node()
                sys.setswitchinterval(0.001)
                turns = 0
                over = False
                def count():
                    global turns
                    while not over:
                        turns += 1
                        time.sleep(0.001)
                thread = threading.Thread(target=count)
                thread.start()
                before, begun = turns, time.monotonic()
                sample = node.send_output_raw("x", 512 << 20)
                print([turns - before, begun, time.monotonic()])
                over = True
            """, outputs=["x"], heap_limit="1GB"),
        })
        [[during, *span]] = run.values("node")
        self.assertGreater(during, pace.own(*span) * 20)

    def test_idle_memory_is_given_back(self):
        run = self.flow({
            "node": Node("""
                from dora import Node
                node = Node()
                with node.send_output_raw("x", 200 << 20) as buffer:
                    for at in range(0, len(buffer), 4096): buffer[at] = 1
            """, outputs=["x"], heap_limit="512MB"),
        })
        node = run.node("node")
        self.assertGreaterEqual(node["heap_peak"], 200 << 20)
        self.assertEqual(node["heap_used"], 0)


class Death(FlowTest):
    def test_consumer_dies_holding_blocks(self):
        """T14."""
        run = self.flow({
            "source": Node("""
                from dora import Node
                from probe import hear
                node = Node()
                for n in range(15):
                    node.send_output_raw("x", 250_000).send()
                for event in node:
                    if event["type"] in ("INPUT_CLOSED", "STOP"): break
                whole = node.send_output_raw("x", 3_900_000)
                print("all back")
            """, outputs=["x"], inputs={"bye": "holder/bye"}, heap_limit="4MB"),
            "holder": Node("""
                import os
                from dora import Node
                node = Node()
                kept = [node.next() for _ in range(10)]
                os.kill(os.getpid(), 9)
            """, inputs={"x": {"source": "source/x", "queue_size": 20}}, outputs=["bye"]),
        }, code=1)
        self.assertEqual(run.lines("source"), ["all back"])
        self.assert_accounted(run)

    def test_producer_dies_while_readers_read(self):
        """T15."""
        reader = """
            from dora import Node
            node = Node()
            kept = []
            for event in node:
                if event["type"] == "INPUT":
                    kept.append((event["metadata"]["n"], memoryview(event["value"])))
            for _ in range(20):
                for n, view in kept:
                    assert view == bytes([n]) * 1_000_000
            print(len(kept))
        """
        inputs = {"x": {"source": "source/x", "queue_size": 100}}
        for end in ("sys.exit(0)", "os.kill(os.getpid(), 9)"):
            with self.subTest(end=end):
                self.fresh()
                run = self.flow({
                    "source": Node(f"""
                        import os, sys
                        from dora import Node
                        node = Node()
                        for n in range(10):
                            with node.send_output_raw("x", 1_000_000, {{"n": n}}) as buffer:
                                buffer[:] = bytes([n]) * 1_000_000
                        {end}
                    """, outputs=["x"]),
                    "one": Node(reader, inputs=inputs),
                    "two": Node(reader, inputs=inputs),
                }, code=None)
                self.assertEqual(run.lines("one") + run.lines("two"), ["10", "10"])

    def test_producer_dies_with_a_message_half_written(self):
        run = self.flow({
            "source": Node("""
                import os
                from dora import Node
                node = Node()
                node.send_output("x", b"whole")
                with node.send_output_raw("x", 1000) as buffer:
                    buffer[:500] = b"h" * 500
                    os.kill(os.getpid(), 9)
            """, outputs=["x"]),
            "sink": Node("""
                from dora import Node
                print([(e["type"], bytes(e["value"]) if e["type"] == "INPUT" else e["id"])
                       for e in Node()])
            """, inputs={"x": "source/x"}),
        }, code=1)
        self.assertEqual(run.lines("sink"), [
            "[('INPUT', b'whole'), ('NODE_FAILED', 'source'), "
            "('INPUT_CLOSED', 'x'), ('STOP', 'ALL_INPUTS_CLOSED')]"
        ])
