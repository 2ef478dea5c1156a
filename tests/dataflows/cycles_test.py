"""T61, R10: a thousand times the same dataflow of eight Python nodes, one after
the other in one process: every edge delivers in every one, and the last leaves
what the tenth left. Of C nodes: tests/cycles_test.c."""

import json
import os
import subprocess
import unittest

from harness import ROOT, FlowTest, Node, either, has_long_form, settings, tier

SOURCE = """
    from dora import Node
    node = Node()
    for n in range(10):
        node.send_output("out", b"%d" % n)
"""
RELAY = """
    from dora import Node
    node = Node()
    for event in node:
        if event["type"] == "INPUT":
            node.send_output("out", event["value"])
"""
SINK = """
    from dora import Node
    assert sum(event["type"] == "INPUT" for event in Node()) in (10, 20)
"""


def all_of(source):
    return {"source": f"{source}/out", "queue_size": 100}


#: A source that two relays share and one joins again, a tail, and a pair.
NODES = {
    "a": (SOURCE, {"outputs": ["out"]}),
    "b": (RELAY, {"outputs": ["out"], "inputs": {"in": all_of("a")}}),
    "c": (RELAY, {"outputs": ["out"], "inputs": {"in": all_of("a")}}),
    "d": (RELAY, {"outputs": ["out"], "inputs": {
        "in": all_of("b"),
        "too": {"source": "c/out", "queue_policy": "backpressure"}}}),
    "e": (RELAY, {"outputs": ["out"], "inputs": {"in": all_of("d")}}),
    "f": (SINK, {"inputs": {"in": all_of("e")}}),
    "g": (SOURCE, {"outputs": ["out"]}),
    "h": (SINK, {"inputs": {"in": all_of("g")}}),
}

#: KB: the C library keeps arenas, one more or less by chance.
NOISE = {"process": 256, "interpreter": 1024}


class Cycles(FlowTest):
    @has_long_form
    def test_the_last_leaves_what_the_tenth_left(self):
        cycles = either(20, 1000)
        path = self.write_flow({
            name: Node(script, isolation=tier(), **keys)
            for name, (script, keys) in NODES.items()
        })
        lines = self.output(os.path.join(ROOT, "build", "dev", "python_cycles"),
                            os.path.dirname(settings.dora_run), settings.python,
                            cycles, path)
        samples = [json.loads(line) for line in lines]
        _, *first, first_kb = next(s for s in samples if s[0] == 10)
        cycle, *last, last_kb = samples[-1]
        if settings.long:
            print(f"{len(NODES)} nodes, tier {tier()}: descriptors, threads, "
                  f"children and KB after cycle 10: {first}, {first_kb}; after "
                  f"cycle {cycle}: {last}, {last_kb}", flush=True)
        self.assertEqual(cycle, cycles)
        self.assertEqual(last, first, samples)
        self.assertLessEqual(last_kb, first_kb + NOISE[tier()], samples)

    def output(self, *command):
        done = subprocess.run(
            [str(word) for word in command], cwd=self.directory,
            env=self.environment(), stdout=subprocess.PIPE, text=True,
            timeout=either(120, 1800) * settings.patience)
        self.assertEqual(done.returncode, 0, done)
        return done.stdout.splitlines()


if __name__ == "__main__":
    unittest.main()
