"""R5, c14: any thread, any time. One Node in the hands of many threads, on every
Python: with one lock for all of them, and without."""

import pace
from harness import FlowTest, Node, either, has_long_form, settings

#: A payload says which one it is, and all of its bytes follow from that.
PATTERN = """
    def pattern(n, size):
        return n.to_bytes(8, "little") + bytes([n % 251]) * (size - 8)

    def is_whole(data, n):
        data = bytes(data)
        return data == pattern(n, len(data))

    def size_of(n):
        return 8 + n * 7919 % (40_000 if n % 10 == 0 else 400)
"""

#: A thread that only wants to run, and from when to when it could not.
HEARTBEAT = """
    import threading, time

    class Heartbeat(threading.Thread):
        def __init__(self):
            super().__init__()
            self.over, self.gaps = False, []

        def run(self):
            before = time.monotonic()
            while not self.over:
                time.sleep(0.001)
                now = time.monotonic()
                if now - before > 0.05:
                    self.gaps.append([before, now])
                before = now
"""

#: Bursts with silence between, in which whoever waits, waits.
FEED = PATTERN + """
    import sys
    from dora import Node
    node = Node()
    bursts, burst = map(int, sys.argv[1:])
    for turn in range(bursts):
        node.next()
        for n in range(turn * burst, (turn + 1) * burst):
            node.send_output("numbers", pattern(n, size_of(n)), {"n": n})
"""

#: Eight threads and a task, each of which does whatever comes next.
CROWD = PATTERN + HEARTBEAT + """
    import asyncio, collections, json, random, sys
    from dora import Node
    sys.setswitchinterval(0.0005)
    node = Node()
    over = threading.Event()
    wrong = []                          # what must not have been
    handlers = collections.deque()      # made by one thread, sent by another
    views = collections.deque()         # slices that outlive their send
    values = collections.deque()        # what was received, looked at later

    class Member:
        def __init__(self, who):
            self.who, self.sent, self.got = who, 0, []
            self.random = random.Random(who)

        def label(self, n):
            self.sent += 1
            return {"who": self.who, "seq": self.sent - 1, "n": n}

        def take(self, event):
            if event is None or event["type"] == "STOP":
                over.set()
            elif event["type"] == "INPUT":
                n = event["metadata"]["n"]
                if not is_whole(event["value"], n):
                    wrong.append(f"received {n}")
                self.got.append(n)
                values.append((event["value"], n))
            elif event["type"] != "INPUT_CLOSED" and "timed out" not in event["error"]:
                wrong.append(event)

        def next(self):
            self.take(node.next(timeout=self.random.choice([0, 0.001, 0.5])))

        def try_recv(self):
            event = node.try_recv()
            if event is not None:
                self.take(event)

        def drain(self):
            if node.is_empty():
                return self.next()
            try:
                events = node.drain()
            except RuntimeError as error:
                if "closed" not in str(error):
                    raise
                return over.set()
            for event in events:
                self.take(event)

        def send(self):
            n = self.random.randrange(1000)
            node.send_output("out", pattern(n, size_of(n)), self.label(n))

        def send_raw(self):
            n = self.random.randrange(1000)
            data = pattern(n, size_of(n))
            with node.send_output_raw("out", len(data), self.label(n)) as view:
                view[:] = data
                if n % 3 == 0:
                    views.append((view[:], n))

        def begin(self):
            n = self.random.randrange(1000)
            data = pattern(n, size_of(n))
            handler = node.send_output_raw("out", len(data), self.label(n))
            handler.as_memoryview()[:] = data
            handlers.append(handler)

        def finish(self):
            if handlers:
                handlers.popleft().send()

        def forward(self):
            if values:
                value, n = values.popleft()
                node.send_output("out", value, self.label(n))

        def check(self):
            for kept in views, values:
                if len(kept) > 20:
                    data, n = kept.popleft()
                    if not is_whole(data, n):
                        wrong.append(f"kept {n}")

        def step(self):
            # Receives more often than it sends.
            self.random.choice([
                self.next, self.try_recv, self.drain, self.next, self.drain,
                self.send, self.send_raw, self.begin, self.finish, self.forward])()
            self.check()

        def run(self):
            try:
                while not over.is_set():
                    self.step()
            except BaseException as error:
                wrong.append(f"{self.who}: {error!r}")
                over.set()

    async def run_task(member):
        try:
            while not over.is_set():
                member.take(await node.recv_async(timeout=0.02))
                member.send()
        except BaseException as error:
            wrong.append(f"task: {error!r}")
            over.set()

    members = [Member(who) for who in range(9)]
    heart = Heartbeat()
    threads = [threading.Thread(target=member.run) for member in members[1:]]
    heart.start()
    for thread in threads:
        thread.start()
    asyncio.run(run_task(members[0]))
    for thread in threads:
        thread.join()
    heart.over = True
    heart.join()
    for handler in handlers:
        handler.send()
    print(json.dumps({
        "wrong": wrong, "gaps": heart.gaps,
        "got": sorted(n for member in members for n in member.got),
        "busy": sum(1 for member in members if member.got),
        "sent": [member.sent for member in members]}))
"""

SINK = PATTERN + """
    import json
    from dora import Node
    got, wrong = [[] for _ in range(9)], []
    for event in Node():
        if event["type"] == "INPUT":
            label = event["metadata"]
            if not is_whole(event["value"], label["n"]):
                wrong.append(label["n"])
            got[label["who"]].append(label["seq"])
    print(json.dumps({"wrong": wrong, "got": [sorted(seqs) for seqs in got]}))
"""


def lossless(source, size=100):
    return {"source": source, "queue_size": size, "queue_policy": "backpressure"}


class Threads(FlowTest):
    @has_long_form
    def test_one_node_in_many_hands(self):
        bursts, burst = either(12, int(settings.long * 5)), 300
        run = self.flow({
            "feed": Node(FEED, args=f"{bursts} {burst}", outputs=["numbers"],
                         inputs={"tick": "dora/timer/millis/200"}),
            "crowd": Node(CROWD, outputs=["out"],
                          inputs={"numbers": lossless("feed/numbers")}),
            "sink": Node(SINK, inputs={"in": lossless("crowd/out")}),
        }, timeout=60 + 2 * settings.long)
        (crowd,), (sink,) = map(run.values, ("crowd", "sink"))
        self.assertEqual(crowd["wrong"], [], run)
        self.assertEqual(crowd["got"], list(range(bursts * burst)), run)
        self.assertGreater(crowd["busy"], 4, "one thread got all of it")
        self.assertEqual(sink["wrong"], [], run)
        self.assertEqual(sink["got"], [list(range(n)) for n in crowd["sent"]], run)
        # A thread that sleeps with the lock stops the heart in most of the
        # silences; a machine with other work, in a few.
        frozen = [gap for gap in crowd["gaps"] if pace.own(*gap) > 0.05]
        self.assertLessEqual(len(frozen), bursts // 4, run)
        self.assert_accounted(run)

    def test_only_one_of_many_at_once(self):
        """What can be done once is done once, whoever of many at once does it."""
        run = self.flow({
            "source": Node("""
                import threading
                import dora
                THREADS = 8

                def at_once(function):
                    '''What it gave to each of the threads that call it together.'''
                    together, results = threading.Barrier(THREADS), []
                    def call():
                        together.wait()
                        try:
                            results.append(function())
                        except RuntimeError as error:
                            results.append(str(error))
                    threads = [threading.Thread(target=call) for _ in range(THREADS)]
                    for thread in threads:
                        thread.start()
                    for thread in threads:
                        thread.join()
                    return results

                nodes = at_once(dora.Node)
                refused = [node for node in nodes if isinstance(node, str)]
                print(len(refused), all("already a Node" in text for text in refused))
                node, = set(nodes) - set(refused)
                print(len(set(map(id, at_once(lambda: dora.DoraStatus)))))
                print(at_once(lambda: node.send_output("nowhere", b"")) == [None] * THREADS)
                for turn in range(100):
                    handler = node.send_output_raw("out", 100)
                    with handler.as_memoryview() as view:
                        view[:] = bytes([turn]) * 100
                    sent = at_once(handler.send)
                    assert sent.count(None) == 1, sent
                    assert all("already" in text for text in sent if text), sent
            """, outputs=["out"]),
            "sink": Node("""
                from dora import Node
                got = [bytes(e["value"]) for e in Node() if e["type"] == "INPUT"]
                print(got == [bytes([turn]) * 100 for turn in range(100)])
            """, inputs={"in": lossless("source/out")}),
        })
        self.assertEqual(run.lines("source"), ["7 True", "1", "True"], run)
        self.assertEqual(run.lines("sink"), ["True"], run)
        warned = [r["msg"] for r in run.records("source") if "nowhere" in r["msg"]]
        self.assertEqual(len(warned), 1, run)

    def test_no_lock_comes_with_the_module(self):
        """A Python that has no lock for all threads is left without."""
        run = self.flow({"node": Node("""
            import sys, sysconfig
            import dora
            dora.Node()
            print(bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
                  not getattr(sys, "_is_gil_enabled", lambda: True)())
        """)})
        without, is_without = run.lines("node")[0].split()
        self.assertEqual(is_without, without, run)
