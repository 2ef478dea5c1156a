"""T18: two runs of one file at the same time, with restarts while messages are
under way, among things of others that look like ours."""

import glob
import os
import pathlib
import socket
import tempfile
import uuid

from harness import FlowTest, Node

#: Messages say whose they are, and the sum of their bytes.
NODES = {
    "source": Node("""
        import os, zlib
        from dora import Node
        node = Node()
        who = os.environ["WHO"].encode()
        for n in range(617):
            body = b"%s:%d:" % (who, n) + bytes([n % 256]) * (n * 37 % 5000)
            node.send_output("x", b"%08x" % zlib.crc32(body) + body)
    """, outputs=["x"]),
    "worker": Node("""
        import os
        from dora import Node
        node = Node()
        taken = 0
        for event in node:
            if event["type"] == "INPUT":
                node.send_output("y", event["value"])
                taken += 1
                if taken == 40:     # with more of them queued
                    os.kill(os.getpid(), 9)
    """, inputs={"x": {"source": "source/x", "queue_policy": "backpressure"}},
        outputs=["y"], isolation="process", restart_policy="on-failure",
        restart_delay=0),
    "sink": Node("""
        import collections, os, zlib
        from dora import Node
        who = os.environ["WHO"].encode()
        held = collections.deque(maxlen=50)     # of several incarnations
        last, foreign, torn, restarts = -1, 0, 0, 0

        def look(value):
            global foreign, torn
            data = bytes(value)
            torn += int(data[:8], 16) != zlib.crc32(data[8:])
            foreign += not data[8:].startswith(who + b":")
            return int(data[8:].split(b":")[1])

        for event in Node():
            restarts += event["type"] == "NODE_RESTARTED"
            if event["type"] == "INPUT":
                number = look(event["value"])
                torn += number <= last
                last = number
                held.append(event["value"])
                look(held[0])
        for value in held:
            look(value)
        print(who.decode(), last, foreign, torn, restarts)
    """, inputs={"y": {"source": "worker/y", "queue_policy": "backpressure"}}),
}


class Twins(FlowTest):
    def decoys(self):
        """Files of another live program, where ours could be taken to be."""
        other = str(uuid.uuid4())
        places = [
            f"/dev/shm/dora_pool_{other}",
            f"/dev/shm/dora-{other}-heaps",
            os.path.join(tempfile.gettempdir(), f"dora-{other}.sock"),
            os.path.join(self.directory, "out", other, "log_worker.jsonl"),
            os.path.join(self.directory, "out", "dora-run.lock"),
        ]
        for path in places:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as file:
                file.write(other)
            self.addCleanup(pathlib.Path(path).unlink, missing_ok=True)
        held = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        held.bind(f"\0dora-{other}")
        self.addCleanup(held.close)
        memory = os.memfd_create("dora-heaps")
        os.write(memory, other.encode())
        self.addCleanup(os.close, memory)
        return other, places, memory

    def test_nothing_crosses(self):
        other, places, memory = self.decoys()
        before = set(glob.glob("/dev/shm/*"))
        path = self.write_flow(NODES)
        runs = [self.start_file(path, env={"WHO": who}) for who in ("left", "right")]
        for who, running in zip(("left", "right"), runs):
            run = running.finish()
            self.assertEqual(run.code, 0, run)
            words = run.out.split(f"sink: {who} ")[1].split("\n")[0].split()
            last, foreign, torn, restarts = map(int, words)
            self.assertEqual(last, 616, run)
            self.assertEqual((foreign, torn), (0, 0), run)
            self.assertGreaterEqual(restarts, 10, run)
        self.assertLessEqual(set(glob.glob("/dev/shm/*")), before)
        for place in places:
            with open(place) as file:
                self.assertEqual(file.read(), other, place)
        self.assertEqual(os.pread(memory, 100, 0), other.encode())
        # Each has a directory of its own for its logs; the decoys' are theirs.
        logs = glob.glob(os.path.join(self.directory, "out", "*", "log_sink.jsonl"))
        self.assertEqual(len(logs), 2)
