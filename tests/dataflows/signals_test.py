"""Signal handlers of a node's own, while dora waits on its behalf."""

import json
import textwrap

from bursts import sink
from harness import FlowTest, Node

#: Sends signals to the main thread, each as soon as the last was handled, and
#: in the end one that interrupts it.
PESTER = """
import os, queue, random, signal, threading, time
from dora import Node
from probe import hear, tell

ran = queue.SimpleQueue()
signal.signal(signal.SIGUSR1, lambda *_: ran.put(None))
main = threading.main_thread().ident

def pester():
    longest = [0, 0]
    for _ in range(2000):
        sent = time.monotonic()
        signal.pthread_kill(main, signal.SIGUSR1)
        ran.get()
        longest = max(longest, [sent, time.monotonic()], key=lambda s: s[1] - s[0])
        time.sleep(random.random() / 3000)
    print(longest)
    os.kill(os.getpid(), signal.SIGINT)

thread = threading.Thread(target=pester, daemon=True)
"""


def pestered(wait, **keys):
    """A source whose `wait` is interrupted."""
    return Node(PESTER + textwrap.dedent(wait), isolation="process", **keys)


class Handlers(FlowTest):
    """However close to the beginning of a wait a signal comes, its handler is
    not put off until the wait is over."""

    def check(self, nodes, **options):
        run = self.flow(nodes, **options)
        longest, interrupted = run.lines("source")
        self.assert_within(5, *json.loads(longest))
        self.assertEqual(interrupted, "interrupted")

    def test_in_next(self):
        self.check({"source": pestered("""
            node = Node()
            thread.start()
            try:
                node.next()
            except KeyboardInterrupt:
                print("interrupted")
        """)})

    def test_in_a_send_that_waits_for_room(self):
        self.check({
            "source": pestered("""
                node = Node()
                node.send_output("x", b"fills the queue")
                thread.start()
                try:
                    node.send_output("x", b"waits")
                except KeyboardInterrupt:
                    print("interrupted")
                tell("over")
            """, outputs=["x"]),
            "sink": sink("""
                from dora import Node
                from probe import hear
                node = Node()
                hear("over")
                for event in node:
                    pass
            """, queue_size=1, queue_policy="backpressure"),
        })

    def test_in_a_send_that_waits_for_memory(self):
        self.check({
            "source": pestered("""
                node = Node()
                first = node.send_output_raw("x", 2_000_000)
                thread.start()
                try:
                    node.send_output_raw("x", 2_000_000)
                except KeyboardInterrupt:
                    print("interrupted")
            """, outputs=["x"], heap_limit="3MB", heap_full="wait"),
            "sink": sink(),
        })

    def test_while_others_are_waited_for(self):
        self.check({
            "source": pestered("""
                thread.start()
                try:
                    Node()
                except KeyboardInterrupt:
                    print("interrupted")
                tell("over")
            """, outputs=["x"]),
            "sink": sink("""
                from dora import Node
                from probe import hear
                hear("over")
                Node()
            """),
        })
