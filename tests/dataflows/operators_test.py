"""Nodes that are operators: a class in a file, handed one event after the other."""

import subprocess
import textwrap
import unittest

from harness import FlowTest, Node, TEXT_SINK, settings, tier

#: Sends the numbers that it is given, then ends.
SOURCE = """
    from dora import Node
    node = Node()
    for n in range(3):
        node.send_output("n", b"%d" % n, {"number": n, "who": "source"})
"""

#: What operators do in most files.
WORD = """
    from dora import DoraStatus

    class Operator:
        def __init__(self):
            self.count = 0

        def on_event(self, dora_event, send_output) -> DoraStatus:
            if dora_event["type"] == "INPUT":
                self.count += 1
                send_output("word", bytes(dora_event["value"]) + b"!",
                            dora_event["metadata"])
            return DoraStatus.CONTINUE
"""

#: Prints the events it gets.
TEACHER = """
    import json
    from dora import DoraStatus

    class Operator:
        def on_event(self, dora_event, send_output):
            value = dora_event.get("value")
            print(json.dumps([dora_event["kind"], dora_event["type"], dora_event["id"],
                              None if value is None else len(value)]))
            return DoraStatus.CONTINUE
"""


class OperatorTest(FlowTest):
    def operator(self, file, script, *, listed=None, node=None, **block):
        """A node with such a block; `listed`: the operator's id in a list;
        `node`: keys beside the block."""
        self.write(file, script)
        block = {"python": file, **block}
        if listed:
            return Node(operators=[{"id": listed, **block}], **(node or {}))
        return Node(operator=block, **(node or {}))

    def source(self):
        return Node(SOURCE, outputs=["n"])

    def fails(self, script, *what, file="op.py", **how):
        """Runs an operator beside a source; its last words are `what`."""
        run = self.flow({
            "source": self.source(),
            "op": self.operator(file, script, inputs={"n": "source/n"}),
        }, code=1, **how)
        for text in what:
            self.assertIn(text, run.err)
            self.assertIn(text, "\n".join(run.lines("op", "stderr")))
        return run


class Operators(OperatorTest):
    def test_both_forms(self):
        """Ids without prefix; sources NODE/OUTPUT and NODE/OPERATOR/OUTPUT."""
        run = self.flow({
            "source": self.source(),
            "one": self.operator("one.py", WORD, inputs={"n": "source/n"},
                                 outputs=["word"]),
            "other": self.operator("other.py", WORD, listed="op",
                                   inputs={"n": "one/word"}, outputs=["word"]),
            "teacher": self.operator("teacher.py", TEACHER, inputs={
                "here": "one/word", "there": "other/op/word"}),
            "sink": Node(TEXT_SINK, inputs={"x": "other/op/word"}),
        })
        self.assertEqual(run.lines("sink"), [
            "0!!", "1!!", "2!!", "INPUT_CLOSED x", "STOP ALL_INPUTS_CLOSED"])
        events = run.values("teacher")
        self.assertEqual([e for e in events if e[2] == "there"],
                         3 * [["dora", "INPUT", "there", 3]]
                         + [["dora", "INPUT_CLOSED", "there", None]])
        self.assertEqual([e for e in events if e[2] == "here"],
                         3 * [["dora", "INPUT", "here", 2]]
                         + [["dora", "INPUT_CLOSED", "here", None]])
        self.assertEqual(events[-1], ["dora", "STOP", "ALL_INPUTS_CLOSED", None])
        self.assertEqual({n["kind"] for n in run.report["nodes"]}, {"python", "operator"})
        for node in ("one", "other", "teacher"):
            self.assertEqual(run.node(node)["tier"], settings.isolation or tier(), run)
        self.assert_accounted(run)

    def test_metadata_that_is_passed_on(self):
        """With its time: it is still that of the first hop."""
        run = self.flow({
            "source": self.source(),
            "op": self.operator("op.py", WORD, inputs={"n": "source/n"},
                                outputs=["word"]),
            "sink": Node("""
                from dora import Node
                sent = {}
                for event in Node():
                    if event["type"] == "INPUT":
                        meta = event["metadata"]
                        sent.setdefault(meta["number"], []).append(meta["timestamp"])
                        print(event["id"], meta["number"], meta["who"])
                print(sorted(len(times) for times in sent.values()),
                      all(a == b for a, b in sent.values()))
            """, inputs={"n": "source/n", "word": "op/word"}),
        })
        lines = run.lines("sink")
        self.assertEqual([line for line in lines if line[0] == "w"],
                         ["word 0 source", "word 1 source", "word 2 source"])
        self.assertEqual(lines[-1], "[2, 2, 2] True")

    def test_stop_is_a_success_and_closes_the_outputs(self):
        run = self.flow({
            "op": self.operator("op.py", """
                from dora import DoraStatus

                class Operator:
                    def on_event(self, dora_event, send_output):
                        send_output("out", b"last")
                        return DoraStatus.STOP

                    def __del__(self):
                        print("deleted")
            """, inputs={"tick": "dora/timer/millis/5"}, outputs=["out"]),
            "sink": Node(TEXT_SINK, inputs={"x": "op/out"}),
        })
        self.assertEqual(run.lines("op"), ["deleted"])
        self.assertEqual(run.lines("sink"),
                         ["last", "INPUT_CLOSED x", "STOP ALL_INPUTS_CLOSED"])

    def test_stop_all_stops_all(self):
        """As if a person had: also what would run for ever."""
        run = self.flow({
            "op": self.operator("op.py", """
                from dora import DoraStatus

                class Operator:
                    def on_event(self, dora_event, send_output):
                        return DoraStatus.STOP_ALL
            """, inputs={"tick": "dora/timer/millis/50"}),
            "alone": Node("""
                from dora import Node
                for event in Node():
                    print(event["type"], event["id"])
            """),
            "other": self.operator("other.py", TEACHER,
                                   inputs={"slow": "dora/timer/secs/600"}),
        }, timeout=30)
        self.assertEqual(run.lines("alone"), ["STOP MANUAL"])
        self.assertEqual(run.values("other")[-1], ["dora", "STOP", "MANUAL", None])
        self.assertIn("stopping the dataflow", run.out + run.err)

    def test_a_person_s_stop(self):
        running = self.start({
            "op": self.operator("op.py", TEACHER, inputs={"t": "dora/timer/millis/20"}),
        })
        running.expect('"INPUT"', 2)
        running.signal()
        run = self.ended(running)
        self.assertEqual(run.values("op")[-1], ["dora", "STOP", "MANUAL", None])

    def test_any_object_with_a_value_is_a_status(self):
        """Older files bring their own DoraStatus."""
        run = self.flow({
            "source": self.source(),
            "op": self.operator("op.py", """
                from enum import Enum

                class DoraStatus(Enum):
                    CONTINUE = 0
                    STOP = 1

                class Operator:
                    def on_event(self, dora_event, send_output):
                        print(dora_event["type"])
                        last = bytes(dora_event["value"]) == b"1"
                        return DoraStatus.STOP if last else DoraStatus.CONTINUE
            """, inputs={"n": {"source": "source/n", "queue_policy": "backpressure"}}),
        })
        self.assertEqual(run.lines("op"), ["INPUT", "INPUT"])

    def test_where_it_runs(self):
        """As in dora 1.x: a module by its own name, in the file's directory,
        with what lies beside it within reach."""
        self.write("parts/sibling.py", "NAME = 'sibling'\n")
        run = self.flow({
            "op": self.operator("parts/op.py", """
                import os, sys
                import sibling
                from dora import DoraStatus

                class Operator:
                    def __init__(self):
                        assert not hasattr(self, "dataflow_descriptor")
                        print(__name__, os.path.basename(__file__), sibling.NAME)
                        print(sys.modules[__name__].Operator is Operator, sys.argv)
                        print(os.path.realpath(".") == os.path.realpath(os.environ["HERE"]))
                        print(sys.path[-1] == os.path.realpath("parts"))

                    def on_event(self, dora_event, send_output):
                        nodes = self.dataflow_descriptor["nodes"]
                        print([node["id"] for node in nodes], nodes[0]["operator"]["python"])
                        return DoraStatus.STOP
            """, inputs={"tick": "dora/timer/millis/5"},
                node={"env": {"HERE": self.directory}}),
            "sink": Node(TEXT_SINK, inputs={"x": "dora/timer/secs/600"}),
        }, args=["--stop-after", "500ms"])
        self.assertEqual(run.lines("op"), [
            "op op.py sibling", "True ['-c']", "True", "True",
            "['op', 'sink'] parts/op.py"])

    def test_a_file_called_like_a_standard_module(self):
        """It does not stand in that one's way."""
        self.write("needs.py", "import logging.handlers\n")    # needs queue
        run = self.flow({
            "source": self.source(),
            "op": self.operator("parts/queue.py", WORD.replace("from", "import needs; from", 1), inputs={"n": "source/n"},
                                outputs=["word"]),
            "sink": Node(TEXT_SINK, inputs={"x": "op/word"}),
        })
        self.assertEqual(run.lines("sink")[:3], ["0!", "1!", "2!"])

    def test_what_it_prints_as_an_output(self):
        run = self.flow({
            "op": self.operator("op.py", """
                from dora import DoraStatus

                class Operator:
                    def on_event(self, dora_event, send_output):
                        print("printed")
                        return DoraStatus.STOP
            """, listed="speaker", inputs={"tick": "dora/timer/millis/5"},
                outputs=["said"], send_stdout_as="said"),
            "sink": Node("""
                from dora import Node
                for event in Node():
                    if event["type"] == "INPUT":
                        print(repr(event["value"][0].as_py()))
            """, inputs={"x": "op/speaker/said"}),
        })
        self.assertEqual([line.replace("\\n", "") for line in run.lines("sink")],
                         ["'printed'"])

    def test_an_output_that_is_not_declared(self):
        run = self.flow({
            "source": self.source(),
            "op": self.operator("op.py", WORD, inputs={"n": "source/n"}),
        })
        self.assertIn('send_output("word") is ignored', run.out + run.err)

    def test_arrays_of_pyarrow(self):
        if subprocess.run([settings.python, "-c", "import pyarrow"],
                          capture_output=True).returncode:
            self.skipTest("no pyarrow for this Python")
        run = self.flow({
            "op": self.operator("op.py", """
                import pyarrow as pa
                from dora import DoraStatus

                class Operator:
                    def on_event(self, dora_event, send_output):
                        if dora_event["type"] != "INPUT":
                            return DoraStatus.CONTINUE
                        print(type(dora_event["value"]).__module__)
                        send_output("out", pa.array([1.5, None, 2.5]), {"a": [1, 2]})
                        return DoraStatus.STOP
            """, inputs={"n": "source/n"}, outputs=["out"],
                node={"isolation": "process"}),
            "source": self.source(),
            "sink": Node("""
                from dora import Node
                for event in Node():
                    if event["type"] == "INPUT":
                        print(event["value"].to_pylist(), event["metadata"]["a"])
            """, inputs={"x": "op/out"}),
        })
        self.assertEqual(run.lines("op"), ["pyarrow.lib"])
        self.assertEqual(run.lines("sink"), ["[1.5, None, 2.5] [1, 2]"])

    def test_one_that_cannot_stay_inside_moves(self):
        """Found out when it is loaded, before there is a Node."""
        if not settings.inside:
            self.skipTest("this Python runs no nodes inside")
        run = self.flow({
            "source": self.source(),
            "op": self.operator("op.py", "import ctypes\n" + textwrap.dedent(WORD),
                                inputs={"n": "source/n"}, outputs=["word"],
                                node={"isolation": "interpreter"}),
            "sink": Node(TEXT_SINK, inputs={"x": "op/word"}),
        })
        self.assertEqual(run.lines("sink")[:3], ["0!", "1!", "2!"])
        self.assertEqual(run.node("op")["tier"], "process")

    def test_a_value_is_passed_on_without_a_copy(self):
        run = self.flow({
            "source": Node("""
                from dora import Node
                with Node().send_output_raw("x", 1 << 20) as buffer:
                    buffer[-1] = 7
            """, outputs=["x"]),
            "op": self.operator("op.py", """
                from dora import DoraStatus

                class Operator:
                    def on_event(self, dora_event, send_output):
                        if dora_event["type"] == "INPUT":
                            send_output("x", dora_event["value"], dora_event["metadata"])
                        return DoraStatus.CONTINUE
            """, inputs={"x": "source/x"}, outputs=["x"]),
            "sink": Node("""
                from dora import Node
                for event in Node():
                    if event["type"] == "INPUT":
                        print(len(event["value"]), event["value"][-1].as_py())
            """, inputs={"x": "op/x"}),
        })
        self.assertEqual(run.lines("sink"), [f"{1 << 20} 7"])
        self.assertEqual(run.node("op")["copied_bytes"], 0)


class WrongOperators(OperatorTest):
    def test_one_that_raises(self):
        run = self.fails("""
            class Operator:
                def on_event(self, dora_event, send_output):
                    raise ValueError("not this one")
        """, "Traceback", 'op.py", line 4, in on_event', "ValueError: not this one")
        self.assertIn("`op`", run.err)
        self.assertEqual(run.err.count('File "'), 1, run)

    def test_one_that_says_nothing(self):
        run = self.fails("""
            class Operator:
                def on_event(self, dora_event, send_output):
                    pass
        """, "node `op`: `on_event` of ", "op.py returned None; it must return a "
             "DoraStatus: CONTINUE, STOP or STOP_ALL")
        self.assertNotIn("Traceback", run.err)

    def test_one_that_says_something_else(self):
        for said in ("True", "'CONTINUE'", "type('S', (), {'value': 3})()"):
            self.fresh()
            self.fails(f"""
                class Operator:
                    def on_event(self, dora_event, send_output):
                        return {said}
            """, "it must return a DoraStatus")

    def test_no_class(self):
        run = self.fails("operator = 1\n", "node `op`: ",
                         "op.py defines no class `Operator`")
        self.assertNotIn("Traceback", run.err)

    def test_no_method(self):
        self.fails("""
            class Operator:
                def on_input(self, dora_input, send_output):
                    pass
        """, "has no method `on_event(self, dora_event, send_output)`")

    def test_one_that_cannot_be_made(self):
        """Before the barrier: the dataflow does not start."""
        run = self.fails("""
            class Operator:
                def __init__(self):
                    raise OSError("no camera")
        """, "OSError: no camera")
        self.assertEqual(run.lines("source"), [])
        self.assertIn("cannot run", run.out + run.err)

    def test_no_file(self):
        path = self.write_flow({"op": Node(operator={"python": "none.py"})})
        result = self.command("check", path)
        self.assertEqual(result.returncode, 1)
        self.assertIn("node `op`: could not find source path `none.py`", result.stderr)

    def test_start_runtime_is_not_for_scripts(self):
        run = self.flow({"node": Node("""
            import dora
            dora.start_runtime()
        """)}, code=1)
        self.assertIn("start_runtime() is how dora-run starts an operator", run.err)

    def test_what_decides_where_it_runs(self):
        """Its file is looked at as a script is."""
        if not settings.inside:
            self.skipTest("this Python runs no nodes inside")
        self.write("helper.py", "import json\nimport ctypes\n")
        nodes = {"good": self.operator("good.py", WORD, node={"isolation": "auto"}),
                 "bad": self.operator("bad.py", "import helper\n",
                                      node={"isolation": "auto"})}
        result = self.command("check", self.write_flow(nodes))
        rows = {row.split()[0]: row for row in result.stdout.splitlines()[2:]}
        self.assertIn("operator  interpreter", rows["good"])
        self.assertIn("operator  process", rows["bad"])
        self.assertIn("helper.py:2: import ctypes", rows["bad"])


class AsUsersWriteThem(OperatorTest):
    def test_a_plot_of_boxes(self):
        """Three files as they are found: a camera, a detector, a plot."""
        self.write("webcam.py", """\
            import time

            from dora import DoraStatus

            CAMERA_WIDTH, CAMERA_HEIGHT = 64, 48


            class Operator:
                \"\"\"Sending image from webcam to the dataflow.\"\"\"

                def __init__(self):
                    self.start_time = time.time()
                    self.failure_count = 0
                    self.frames = 0

                def on_event(
                    self,
                    dora_event,
                    send_output,
                ) -> DoraStatus:
                    event_type = dora_event["type"]
                    if event_type == "INPUT":
                        self.frames += 1
                        frame = bytes([self.frames]) * (CAMERA_WIDTH * CAMERA_HEIGHT)
                        send_output("image", frame, dora_event["metadata"])
                    elif event_type == "STOP":
                        print("received stop")
                    else:
                        print("received unexpected event:", event_type)
                    if self.frames < 4 and time.time() - self.start_time < 20:
                        return DoraStatus.CONTINUE
                    return DoraStatus.STOP

                def __del__(self):
                    print("released the camera")
        """)
        self.write("object_detection.py", """\
            from dora import DoraStatus


            class Operator:
                \"\"\"Inferring object from images.\"\"\"

                def __init__(self):
                    self.model = lambda frame: [1.0, 2.0, float(frame[0])]

                def on_event(self, dora_event, send_output) -> DoraStatus:
                    if dora_event["type"] == "INPUT":
                        return self.on_input(dora_event, send_output)
                    return DoraStatus.CONTINUE

                def on_input(self, dora_input, send_output) -> DoraStatus:
                    frame = bytes(dora_input["value"])
                    boxes = self.model(frame)
                    text = ",".join(str(n) for n in boxes)
                    send_output("bbox", text.encode(), dora_input["metadata"])
                    return DoraStatus.CONTINUE
        """)
        self.write("plot.py", """\
            from dora import DoraStatus


            class Operator:
                def __init__(self):
                    self.image = []
                    self.bboxs = []

                def on_event(self, dora_event, send_output):
                    if dora_event["type"] == "INPUT":
                        if dora_event["id"] == "image":
                            self.image = bytes(dora_event["value"])
                        elif dora_event["id"] == "bbox" and len(self.image) != 0:
                            self.bboxs = bytes(dora_event["value"]).decode()
                            print(len(self.image), self.bboxs)
                    return DoraStatus.CONTINUE
        """)
        run = self.flow("""\
            nodes:
              - id: webcam
                operator:
                  python: webcam.py
                  inputs:
                    tick: dora/timer/millis/20
                  outputs:
                    - image

              - id: object_detection
                operator:
                  python: object_detection.py
                  inputs:
                    image: webcam/image
                  outputs:
                    - bbox

              - id: plot
                operators:
                  - id: op
                    python: plot.py
                    inputs:
                      image: webcam/image
                      bbox: object_detection/bbox
        """)
        self.assertEqual(run.lines("webcam"), ["released the camera"])
        self.assertEqual(run.lines("plot"),
                         [f"{64 * 48} 1.0,2.0,{n}.0" for n in range(1, 5)])


if __name__ == "__main__":
    unittest.main()
