"""Graphs of odd shapes start, carry their messages and end."""

import json

from harness import FlowTest, Node, either, has_long_form, tier


class OddGraphs(FlowTest):
    """T35."""

    def test_no_nodes(self):
        self.flow({})

    def test_no_edges(self):
        run = self.flow({
            name: Node("""
                from dora import Node
                Node()
                print("here")
            """) for name in ("a", "b")
        })
        self.assertEqual(run.lines("a") + run.lines("b"), ["here", "here"])

    def test_self_loop(self):
        run = self.flow({
            "node": Node("""
                from dora import Node
                node = Node()
                node.send_output("out", b"0")
                for event in node:
                    if event["type"] == "INPUT":
                        n = int(bytes(event["value"]))
                        if n == 1000:
                            break
                        node.send_output("out", b"%d" % (n + 1))
                print(n)
            """, inputs={"in": "node/out"}, outputs=["out"]),
        })
        self.assertEqual(run.lines("node"), ["1000"])

    def test_cycle_of_two_without_source_stops_when_asked(self):
        script = """
            from dora import Node
            for event in Node():
                print(event["type"], event["id"])
        """
        run = self.flow({
            "a": Node(script, inputs={"i": "b/o"}, outputs=["o"]),
            "b": Node(script, inputs={"i": "a/o"}, outputs=["o"]),
        }, args=["--stop-after", "300ms"])
        self.assertEqual(run.lines("a"), ["STOP MANUAL"])
        self.assertEqual(run.lines("b"), ["STOP MANUAL"])

    @has_long_form
    def test_chain(self):
        """A message through 200 nodes, or 500, unchanged and uncopied."""
        length = either(200, 500)
        relay = """
            from dora import Node
            node = Node()
            for event in node:
                if event["type"] == "INPUT":
                    node.send_output("o", event["value"], {"hops": event["metadata"]["hops"] + 1})
        """
        nodes = {
            "n0": Node("""
                from dora import Node
                node = Node()
                for n in range(3):
                    node.send_output("o", bytes([n]) * 10_000, {"hops": 0})
            """, outputs=["o"])
        }
        for i in range(1, length):
            nodes[f"n{i}"] = Node(relay, inputs={"i": f"n{i - 1}/o"}, outputs=["o"])
        nodes["end"] = Node("""
            from dora import Node
            for event in Node():
                if event["type"] == "INPUT":
                    print(event["metadata"]["hops"], set(bytes(event["value"])))
        """, inputs={"i": f"n{length - 1}/o"})
        run = self.flow(nodes, timeout=either(180, 600))
        self.assertEqual(
            run.lines("end"), [f"{length - 1} {{{n}}}" for n in range(3)]
        )
        for i in range(1, length):
            self.assertEqual(run.node(f"n{i}")["copied_bytes"], 0)

    def test_sixty_four_subscribers_are_too_many(self):
        nodes = {"s": Node("x", outputs=["o"])}
        for i in range(64):
            nodes[f"c{i}"] = Node("x", inputs={"i": "s/o"})
        run = self.flow(nodes, code=1)
        self.assertRegex(run.err, "63")


class Modules(FlowTest):
    """Files of nodes that a node stands for."""

    def relay(self):
        return {"id": "relay", "path": "relay.py", "isolation": tier(),
                "args": "$PARAM_WORD", "inputs": {"in": "_mod/in"},
                "outputs": ["out"]}

    def setUp(self):
        super().setUp()
        self.write("parts/relay.py", """
            import os, sys
            from dora import Node
            node = Node()
            for event in node:
                if event["type"] == "INPUT":
                    said = bytes(event["value"]) + sys.argv[1].encode()
                    node.send_output("out", said)
            print(os.environ["PARAM_WORD"])
        """)
        self.write("parts/relay.yml", json.dumps({
            "module": {"name": "relay", "inputs": ["in"], "outputs": ["out"]},
            "nodes": [self.relay()]}, indent=1))

    def nodes(self):
        return {
            "source": Node("""
                from dora import Node
                node = Node()
                node.send_output("out", b"<")
            """, outputs=["out"]),
            "one": Node(module="parts/relay.yml", inputs={"in": "source/out"},
                        params={"word": "a"}),
            "two": Node(module="parts/relay.yml", inputs={"in": "one/out"},
                        params={"word": "b"}),
            "sink": Node("""
                from dora import Node
                node = Node()
                for event in node:
                    if event["type"] == "INPUT":
                        print(bytes(event["value"]).decode())
                print(*[n["id"] for n in node.dataflow_descriptor()["nodes"]])
            """, inputs={"in": "two/out"}),
        }

    def test_run(self):
        run = self.flow(self.nodes())
        self.assertEqual(
            run.lines("sink"), ["<ab", "source one.relay two.relay sink"])
        self.assertEqual(run.lines("two.relay"), ["b"])

    def test_a_mistake_is_told_where_it_stands(self):
        self.write("parts/relay.yml", """
            module: {name: relay, inputs: [in], outputs: [out]}
            nodes:
            - {id: relay, path: relay.py, output: [out], inputs: {in: _mod/in}}
        """)
        path = self.write_flow({"source": Node(path="parts/relay.py", outputs=["out"]),
                                "one": self.nodes()["one"]})
        said = self.command("check", path).stderr
        self.assertIn("parts/relay.yml:4:31: error: node `one.relay`: unknown "
                      "key `output`; did you mean `outputs`?", said)
