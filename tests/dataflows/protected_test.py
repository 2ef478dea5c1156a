"""Messages that queues drop last."""

from bursts import sink, source
from harness import FlowTest


class Protected(FlowTest):
    """Messages with request_id, goal_id or goal_status, and flush."""

    SEND = """
        from dora import Node
        from probe import tell
        node = Node()
        {body}
        tell("sent")
    """
    SINK = """
        from dora import Node
        from probe import hear
        node = Node()
        hear("sent")
        print(*(bytes(e["value"]).decode() for e in node if e["type"] == "INPUT"))
    """

    def run_with(self, body, expected, bound=3):
        run = self.flow({
            "source": source(self.SEND.replace("{body}", body)),
            "sink": sink(self.SINK, queue_size=bound),
        })
        self.assertEqual(run.lines("sink"), [expected])
        self.assert_accounted(run)

    def test_protected_outlive_ordinary(self):
        self.run_with("""
        node.send_output("x", b"P", {"request_id": "1"})
        for n in range(9): node.send_output("x", b"%d" % n)
        """, "P 7 8")

    def test_newcomer_is_refused_when_all_are_protected(self):
        self.run_with("""
        for n in range(3): node.send_output("x", b"P%d" % n, {"goal_id": "1"})
        node.send_output("x", b"ordinary")
        """, "P0 P1 P2")

    def test_oldest_protected_goes_for_a_protected(self):
        self.run_with("""
        for n in range(5): node.send_output("x", b"P%d" % n, {"goal_status": "aborted"})
        """, "P2 P3 P4")

    def test_order_across_both_kinds_is_kept(self):
        self.run_with("""
        for n in range(8):
            node.send_output("x", b"%d" % n, {"request_id": "r"} if n % 3 == 0 else None)
        """, "0 1 2 3 4 5 6 7", bound=8)

    def test_flush_removes_older_ordinary_ones(self):
        self.run_with("""
        node.send_output("x", b"P", {"request_id": "1"})
        for n in range(3): node.send_output("x", b"%d" % n)
        node.send_output("x", b"new", {"flush": True})
        node.send_output("x", b"newer", {"flush": False})
        """, "P new newer", bound=10)
