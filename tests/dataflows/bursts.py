"""A source that sends a burst, and sinks for it."""

from harness import Node, TEXT_SINK

#: Sends `count` numbered messages, then lets the consumer begin.
BURST = """
from dora import Node
from probe import tell
node = Node()
for n in range({count}):
    node.send_output("x", b"%d" % n)
tell("sent")
"""

LATE_SINK = """
from dora import Node
from probe import hear
node = Node()
hear("sent")
for event in node:
    if event["type"] == "INPUT":
        print(bytes(event["value"]).decode())
"""


def source(script, **keys):
    return Node(script, outputs=["x"], **keys)


def sink(script=TEXT_SINK, **options):
    return Node(script, inputs={"x": {"source": "source/x", **options}})
