"""Timers: a grid since the barrier, no bursts, no busy loop (T63)."""

import subprocess

from harness import TEXT_SINK, FlowTest, Node, Run, settings


class Timers(FlowTest):
    def ticks(self, source, script, **how):
        run = self.flow({"node": Node(script, inputs={"tick": source})}, **how)
        return run

    def test_grid_does_not_drift(self):
        run = self.ticks("dora/timer/millis/1", """
            import time
            from dora import Node
            node = Node()
            first = None
            worst = 0
            begun = time.monotonic()
            for n in range(1000):
                stamp = node.next()["metadata"]["timestamp"].timestamp()
                first = first or stamp
                late = (stamp - first) % 0.001
                worst = max(worst, min(late, 0.001 - late))
            print([worst, stamp - first, begun, time.monotonic()])
        """)
        [[worst, passed, *span]] = run.values("node")
        self.assertLess(worst, 5e-6)
        self.assertGreater(passed, 0.99)
        self.assert_within(3, *span)

    def test_stepping_the_wall_clock_moves_nothing(self):
        path = self.write_flow({
            "node": Node("""
                import time
                from dora import Node
                node = Node()
                walls, last = set(), None
                begun = time.monotonic()
                for count in range(50):
                    stamp = node.next()["metadata"]["timestamp"]
                    assert last is None or stamp > last
                    last = stamp
                    walls.add(round(time.time() - time.monotonic(), -3))
                    node.send_output("x", str(count).encode())
                print([len(walls), begun, time.monotonic()])
            """, inputs={"tick": "dora/timer/millis/20"}, outputs=["x"],
                isolation="process"),
            "sink": Node(TEXT_SINK, inputs={
                "x": {"source": "node/x", "queue_size": 100}},
                isolation="process"),
        })
        subprocess.run([self.preloaded("stepped.c"), path], check=True,
                       capture_output=True, timeout=60 * settings.patience)
        run = Run(self.directory)
        [[walls, *span]] = run.values("node")
        self.assertEqual(walls, 2)
        self.assertGreater(span[1] - span[0], 0.9)
        self.assert_within(5, *span)
        self.assertEqual(run.lines("sink")[:50], [str(n) for n in range(50)])

    def test_first_tick_is_immediate(self):
        run = self.ticks("dora/timer/secs/1000", """
            import time
            from dora import Node
            node = Node()
            begun = time.monotonic()
            print(node.next()["type"], begun, time.monotonic())
        """)
        kind, *wait = run.lines("node")[0].split()
        self.assertEqual(kind, "INPUT")
        self.assert_within(1, *map(float, wait))

    def test_missed_ticks_are_skipped(self):
        """All but one of those that came while the node did something else."""
        run = self.ticks("dora/timer/millis/10", """
            import time
            from dora import Node
            node = Node()
            for _ in range(10):
                print(node.next()["metadata"]["timestamp"].timestamp())
                time.sleep(0.1)
        """)
        stamps = run.values("node")
        # One may have been waiting when the time of that sleep began.
        self.assertGreater(stamps[-1] - stamps[0], 0.75)

    def test_very_short_and_very_long_periods(self):
        for source in ("dora/timer/micros/100", "dora/timer/hz/0.001",
                       "dora/timer/hz/0.5", "dora/timer/nanos/2000000"):
            with self.subTest(source=source):
                self.fresh()
                run = self.ticks(source, """
                    from dora import Node
                    print(Node().next()["type"])
                """)
                self.assertEqual(run.lines("node"), ["INPUT"])

    def test_absurd_periods_are_refused_or_honoured_without_a_busy_loop(self):
        for source in ("dora/timer/micros/1", "dora/timer/hz/1e9"):
            with self.subTest(source=source):
                self.fresh()
                run = self.ticks(source, """
                    from dora import Node
                    node = Node()
                    for _ in range(100): node.next()
                    print("ticked")
                """, code=None)
                if run.code:
                    self.assertRegex(run.err, r"flow\.yml:\d+:\d+: .*timer")
                else:
                    self.assertEqual(run.lines("node"), ["ticked"])

    def test_nonsense_is_refused_with_its_place(self):
        for source in ("dora/timer/millis/0", "dora/timer/hz/-1", "dora/timer/hz/nan",
                       "dora/timer/hours/1", "dora/timer/secs/soon", "dora/timer"):
            with self.subTest(source=source):
                self.fresh()
                run = self.ticks(source, "x", code=1)
                self.assertRegex(run.err, r"flow\.yml:\d+:\d+")

    def test_subscribers_of_one_timer_share_its_ticks(self):
        script = """
            from dora import Node
            node = Node()
            print([round(node.next()["metadata"]["timestamp"].timestamp() * 1e6)
                   for _ in range(15)])
        """
        inputs = {"tick": "dora/timer/millis/50"}
        run = self.flow({"a": Node(script, inputs=inputs), "b": Node(script, inputs=inputs)})
        [a], [b] = run.values("a"), run.values("b")
        self.assertTrue(set(a) & set(b), (a, b))

    def test_many_timers(self):
        run = self.flow({"node": Node("""
            from dora import Node
            node = Node()
            seen = set()
            while len(seen) < 200:
                seen.add(node.next()["id"])
            print(len(seen))
        """, inputs={f"t{n}": f"dora/timer/millis/{10 + n}" for n in range(200)})})
        self.assertEqual(run.lines("node"), ["200"])

    def test_timer_node_is_idle_between_ticks(self):
        run = self.flow({"node": Node("""
            import resource
            from dora import Node
            node = Node()
            node.next()
            before = resource.getrusage(resource.RUSAGE_SELF)
            for _ in range(10): node.next()
            after = resource.getrusage(resource.RUSAGE_SELF)
            print(after.ru_nvcsw - before.ru_nvcsw,
                  after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.05)
        """, inputs={"tick": "dora/timer/millis/50"})})
        switches, quiet = run.lines("node")[0].split()
        self.assertLessEqual(int(switches), 20)
        self.assertEqual(quiet, "True")
