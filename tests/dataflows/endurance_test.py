"""T20: a long life leaves nothing behind. Messages, requests and restarts by the
thousand, after which everybody is as large as soon after the start."""

import glob
import os

from harness import FlowTest, Node, either, has_long_form, settings
from orphans_test import guardians_of

#: Said by each node that stays, once everything has been in use and at the end.
SIZES = """
    import os, sys
    MESSAGES, REQUESTS, RESTARTS = map(int, sys.argv[1:])

    def size():
        with open("/proc/self/status") as file:
            kib = next(line for line in file if line.startswith("VmRSS:"))
        return [int(kib.split()[1]), len(os.listdir("/proc/self/fd"))]
"""
NODES = {
    # Per message to be lost with its reader, many that arrive.
    "source": (SIZES + """
    from dora import Node
    from probe import hear, tell
    node = Node()
    warm = RESTARTS // 10
    for turn in range(RESTARTS):
        if turn == warm:
            hear("again")       # nobody is about to start
            first = size()
            tell("warm")
            hear("measured")
        node.send_output("once", b"%d" % turn)
        for n in range(MESSAGES // RESTARTS):
            node.send_output("number", b"12345678")
    hear("last")    # who has no inputs left is not started again
    print([first, size()])
    tell("sent")
    hear("measured")
    """, {"outputs": ["once", "number"]}),
    "sink": (SIZES + """
    from dora import Node
    node = Node()
    got, first = 0, None
    while event := node.next():
        if event["type"] == "INPUT":
            got += 1
            if got == MESSAGES // 10:
                first = size()
    print([got, first, size()])
    """, {"inputs": {"number": {"source": "source/number", "queue_size": 1000,
                                "queue_policy": "backpressure"}}}),
    # Takes one message and dies with it.
    "mortal": (SIZES + """
    from dora import Node
    from probe import tell
    node = Node()
    if node.restart_count() == RESTARTS // 10:
        tell("again")
    kept = next(node)
    if node.restart_count() + 1 < RESTARTS:
        os.kill(os.getpid(), 9)
    tell("last")
    for event in node: pass
    """, {"inputs": {"once": {"source": "source/once",
                              "queue_policy": "backpressure"}},
          "restart_policy": "on-failure", "restart_delay": 0}),
    "client": (SIZES + """
    from dora import Node
    node = Node()
    first = None
    for n in range(REQUESTS):
        id = node.send_service_request("ask", b"?")
        while node.next()["metadata"].get("request_id") != id: pass
        if n == REQUESTS // 10:
            first = size()
    print([first, size()])
    """, {"outputs": ["ask"], "inputs": {"answer": "server/answer"}}),
    "server": (SIZES + """
    from dora import Node
    node = Node()
    for event in node:
        if event["type"] == "INPUT":
            node.send_service_response("answer", event["value"], event["metadata"])
    """, {"outputs": ["answer"], "inputs": {"ask": "client/ask"}}),
}


def size_of(pid):
    """KiB that are resident, and descriptors."""
    with open(f"/proc/{pid}/status") as file:
        kib = next(line for line in file if line.startswith("VmRSS:"))
    return int(kib.split()[1]), len(os.listdir(f"/proc/{pid}/fd"))


def shared(pid):
    """Blocks of all memory that the dataflow shares."""
    return sum({
        os.stat(path).st_ino: os.stat(path).st_blocks
        for path in glob.glob(f"/proc/{pid}/fd/*")
        if os.readlink(path).startswith("/memfd:")
    }.values())


class Endurance(FlowTest):
    def assert_same(self, who, first, last):
        self.assertLessEqual(last[0], first[0] * 1.01, f"KiB of {who}")
        self.assertEqual(last[1], first[1], f"descriptors of {who}")

    @has_long_form
    def test_long_lives_leave_nothing_behind(self):
        """50 million messages, 10,000 requests and restarts in the long form;
        as many as there is time for, if that is less than ten minutes."""
        part = min(settings.long / 600, 1)
        messages, requests, restarts = either(
            (20_000, 100, 20),
            (int(50e6 * part), int(10e3 * part), int(10e3 * part)))
        running = self.start({
            name: Node(script, isolation="process",
                       args=f"{messages} {requests} {restarts}", **keys)
            for name, (script, keys) in NODES.items()
        }, timeout=either(60, 1800))
        self.hear("warm", 1800)
        _, guardian = guardians_of(running.pid)
        first = [size_of(running.pid), size_of(guardian)], shared(running.pid)
        self.tell("measured")
        self.hear("sent", 1800)
        last = [size_of(running.pid), size_of(guardian)], shared(running.pid)
        self.tell("measured")
        run = self.ended(running)
        self.assert_accounted(run)
        self.assertEqual(run.node("mortal")["restarts"], restarts - 1)
        got, *sink = run.values("sink")[-1]
        self.assertEqual(got, messages // restarts * restarts)
        sizes = {
            "dora-run": (first[0][0], last[0][0]),
            "dora-guardian": (first[0][1], last[0][1]),
            "source": run.values("source")[-1],
            "sink": sink,
            "client": run.values("client")[-1],
        }
        # A heap grows in steps, which a tenth of a second need not have seen.
        self.assertLessEqual(last[1], first[1] * 1.01 + either(256, 0),
                             "shared memory")
        if not settings.long:
            return
        print(f"{got} messages, {requests} requests, {restarts} restarts in "
              f"{run.seconds:.0f} s; KiB after a tenth of it and at the end: " +
              ", ".join(f"{who} {a[0]} {b[0]}" for who, (a, b) in sizes.items()) +
              f"; shared {first[1] // 2} {last[1] // 2}", flush=True)
        for who, pair in sizes.items():
            self.assert_same(who, *pair)
