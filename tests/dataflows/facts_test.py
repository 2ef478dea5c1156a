"""What a node is told of itself, and what it logs."""

from harness import FlowTest, Node


class Facts(FlowTest):
    def test_what_a_node_knows_of_itself_and_the_dataflow(self):
        """c13."""
        run = self.flow({
            "one": Node("""
                import datetime, os, uuid
                import dora
                from dora import Node
                node = Node()
                config = node.node_config()
                print(config["inputs"]["tick"], config["inputs"]["x"]["source"],
                      config["inputs"]["x"]["queue_size"], "out" in config["outputs"])
                graph = node.dataflow_descriptor()
                print([n["id"] for n in graph["nodes"]],
                      graph["nodes"][0]["inputs"]["x"]["source"])
                print(len(uuid.UUID(node.dataflow_id()).hex),
                      os.path.isdir("out/" + node.dataflow_id()))
                print(node.is_restart(), node.restart_count())
                now = lambda: datetime.datetime.now(datetime.timezone.utc)
                second = datetime.timedelta(seconds=1)
                print(now() - second < node.timestamp() < now() + second)
                print(isinstance(dora.__version__, str), dora.DoraStatus.STOP.value)
            """, inputs={
                "tick": "dora/timer/millis/100",
                "x": {"source": "one/out", "queue_size": 7},
            }, outputs=["out"]),
        })
        self.assertEqual(run.lines("one"), [
            "dora/timer/millis/100 one/out 7 True",
            "['one'] one/out",
            "32 True",
            "False 0",
            "True",
            "True 1",
        ])

    def test_a_process_has_one_node(self):
        """Also after it has dropped its Node: it was told who it is."""
        run = self.flow({"only": Node("""
            from dora import Node
            node = Node()
            for turn in range(2):
                try:
                    Node()
                except RuntimeError as error:
                    print("already a Node for 'only'" in str(error))
                node = None
        """)})
        self.assertEqual(run.lines("only"), ["True", "True"])

    def test_node_outside_a_dataflow_raises(self):
        run = self.flow({
            "node": Node("""
                import os, subprocess, sys
                from dora import Node
                node = Node()
                code = "import dora\\ntry: dora.Node()\\nexcept RuntimeError: print('RuntimeError')"
                print(subprocess.run([sys.executable, "-c", code], capture_output=True,
                                     text=True, stdin=subprocess.DEVNULL))
                try:
                    Node()
                except RuntimeError as error:
                    print("second")
            """),
        })
        self.assertEqual(run.lines("node")[-1], "second")

    def test_import_dora_is_the_built_in_one(self):
        """An installed package named dora never shadows it; Node() imports
        no Python module."""
        self.write("dora/__init__.py", "raise ImportError('shadow')")
        run = self.flow({
            "node": Node("""
                import sys
                import dora
                before = set(sys.modules)
                node = dora.Node()
                print([name for name in set(sys.modules) - before
                       if str(getattr(sys.modules[name], "__file__", "")).endswith(".py")])
                print("pyarrow" in sys.modules)
            """),
        })
        self.assertEqual(run.lines("node"), ["[]", "False"])


class Logging(FlowTest):
    def test_levels_reach_screen_and_file(self):
        run = self.flow({
            "node": Node("""
                import logging
                from dora import Node
                node = Node()
                node.log("warn", "careful", target="me", fields={"a": "b"})
                node.log_error("bad")
                node.log_info("good")
                node.log_debug("detail")
                logging.warning("from logging")
                logging.getLogger("mine").error("named")
                print("plain")
            """),
        })
        records = {r["msg"]: r for r in run.records("node")}
        self.assertEqual(records["careful"]["level"], "warn")
        self.assertEqual(records["careful"]["target"], "me")
        self.assertEqual(records["careful"]["fields"], {"a": "b"})
        self.assertEqual(records["bad"]["level"], "error")
        self.assertEqual(records["good"]["level"], "info")
        self.assertEqual(records["from logging"]["level"], "warn")
        self.assertEqual(records["plain"]["level"], "stdout")
        for text in ("careful", "bad", "good", "from logging", "plain"):
            self.assertIn(text, run.out)

    def test_log_file_lines(self):
        run = self.flow({
            "node": Node("""
                import sys
                from dora import Node
                Node()
                print("to stdout")
                print("to stderr", file=sys.stderr)
                print("no newline", end="")
            """),
        })
        records = run.records("node")
        self.assertEqual(
            [(r["stream"], r["msg"]) for r in records if r["stream"] == "stdout"],
            [("stdout", "to stdout"), ("stdout", "no newline")],
        )
        self.assertIn("to stderr", [r["msg"] for r in records if r["stream"] == "stderr"])
        for record in records:
            self.assertEqual(
                set(record),
                {"ts", "level", "node", "stream", "msg", "target", "fields"},
            )
            self.assertEqual(record["node"], "node")
            self.assertRegex(
                record["ts"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"
            )

    def test_min_log_level_and_display_level(self):
        script = """
            from dora import Node
            node = Node()
            node.log_error("E1"); node.log_info("I1"); node.log_debug("D1"); print("raw1")
        """
        run = self.flow({"node": Node(script, min_log_level="info")})
        self.assertEqual([r["msg"] for r in run.records("node")], ["E1", "I1"])
        self.fresh()
        run = self.flow({"node": Node(script)}, args=["--log-level", "info"])
        self.assertIn("I1", run.out)
        self.assertNotIn("D1", run.out)
        self.assertNotIn("raw1", run.out)
        self.assertEqual(len(run.records("node")), 4)
