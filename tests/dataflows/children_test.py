"""T56: what a node forks, spawns and starts is none of the dataflow's."""

import shutil
import unittest

from harness import FlowTest, Node, settings
from places import own_mounts

SOURCE = """
    from dora import Node
    node = Node()
    for n in range(30):
        with node.send_output_raw("x", 100_000) as buffer:
            buffer[:] = bytes([n]) * 100_000
"""


#: A sink that has every message looked at by another process, which imports
#: what the script does.
POOLS = """
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from dora import Node

    def total(data):
        return len(data), data[0]

    if __name__ == "__main__":
        node = Node()
        pools = [
            ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method))
            for method in ("fork", "spawn", "forkserver")
        ]
        got = []
        for event in node:
            if event["type"] == "INPUT":
                data = bytes(event["value"])
                pool = pools[len(got) % 3]
                size, first = pool.submit(total, data).result()
                assert size == 100_000
                got.append(first)
        for pool in pools: pool.shutdown()
        print(got)
"""


HELPER = """
    try:
        from dora import Node
        Node()
        print("a node")
    except ImportError:
        print("no module")
    except RuntimeError:
        print("no node")
"""
ASKS_HELPER = """
    import subprocess, sys
    from dora import Node
    node = Node()
    got = []
    for event in node:
        if event["type"] == "INPUT":
            got.append(bytes(event["value"])[0])
            if len(got) % 10 == 0:
                print(subprocess.run([sys.executable, "helper.py"],
                                     capture_output=True, text=True).stdout.strip())
    print(got)
"""


class Children(FlowTest):
    def beside_children(self, script, **how):
        """Runs a sink that makes children while it receives; what arrives is
        whole, and in order."""
        run = self.flow({
            "source": Node(SOURCE, outputs=["x"]),
            "sink": Node(script, isolation="process", inputs={
                "x": {"source": "source/x", "queue_policy": "backpressure"}}),
        }, **how)
        self.assertEqual(run.lines("sink")[-1], str(list(range(30))), run)
        self.assert_accounted(run)
        return run.lines("sink")[:-1]

    def test_pools_of_every_method(self):
        self.assertEqual(self.beside_children(POOLS), [])

    def test_workers_that_inherit_values(self):
        """As data loaders do: forked workers read the parent's values in place,
        drop them, and end in every way; the parent's are still there."""
        self.beside_children("""
            import os
            from dora import Node
            node = Node()
            held, got = [], []
            for event in node:
                if event["type"] != "INPUT":
                    continue
                held.append(event["value"])
                if len(held) < 10:
                    continue
                workers = []
                for number in range(4):
                    pid = os.fork()
                    if pid == 0:
                        view = memoryview(held[number])
                        right = len(set(bytes(view))) == 1
                        del view
                        held.clear()
                        if number == 0: os.kill(os.getpid(), 9)
                        if number == 1: os._exit(not right)
                        raise SystemExit(not right)   # with all finalizers
                    workers.append(pid)
                codes = [os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]) for p in workers]
                assert codes == [-9, 0, 0, 0], codes
                for value in held:
                    data = bytes(value)
                    assert data == data[:1] * 100_000
                    got.append(data[0])
                held.clear()
            print(got)
        """)

    def test_workers_that_return_views(self):
        """A pool forked in the handler, while the values are held; what comes
        back is a copy, and the values are still the node's."""
        run = self.flow({
            "source": Node(SOURCE, outputs=["x"]),
            "sink": Node("""
                import multiprocessing
                import numpy as np
                from dora import Node
                fork, held, got = multiprocessing.get_context("fork"), [], []

                def load(number):
                    return np.frombuffer(held[number], np.uint8)[1000:]

                node = Node()
                for event in node:
                    if event["type"] == "INPUT":
                        held.append(event["value"])
                    if len(held) == 10:
                        with fork.Pool(4) as pool:
                            arrays = pool.map(load, range(10))
                        for array, value in zip(arrays, held):
                            assert len(array) == 99_000 and (array == value[0].as_py()).all()
                            got.append(int(array[0]))
                        held.clear()
                print(got)
            """, numpy=True, isolation="process", inputs={
                "x": {"source": "source/x", "queue_policy": "backpressure"}}),
        })
        self.assertEqual(run.lines("sink"), [str(list(range(30)))], run)
        self.assert_accounted(run)

    def answers(self):
        return ["no module" if settings.free_threaded else "no node"] * 3

    def test_helper_that_imports_dora(self):
        """It has the module, unless its Python is free-threaded, and is told
        that it is no node; the node goes on."""
        self.write("helper.py", HELPER)
        self.assertEqual(self.beside_children(ASKS_HELPER), self.answers())

    def test_without_proc(self):
        under = own_mounts("umount -l /proc; ! test -e /proc/self")
        self.write("helper.py", HELPER)
        for script, lines in ((POOLS, []), (ASKS_HELPER, self.answers())):
            with self.subTest(script):
                shutil.rmtree(self.directory + "/out", ignore_errors=True)
                self.assertEqual(self.beside_children(script, under=under), lines)


class Accidents(FlowTest):
    def test_writing_to_what_was_received_kills_only_the_writer(self):
        """Through a bare address, past all that Python forbids."""
        inputs = {"x": {"source": "source/x", "queue_policy": "backpressure"}}
        run = self.flow({
            "source": Node(SOURCE, outputs=["x"]),
            "writer": Node("""
                import ctypes
                from dora import Node
                from probe import address
                node = Node()
                value = node.next()["value"]
                print("writes", flush=True)
                ctypes.memset(address(value), 255, 1)
                print("has written")
            """, inputs=inputs, isolation="process"),
            "reader": Node("""
                from dora import Node
                print([bytes(e["value"]) == bytes([n]) * 100_000 for n, e in
                       enumerate(e for e in Node() if e["type"] == "INPUT")] == [True] * 30)
            """, inputs=inputs),
        }, code=1)
        self.assertEqual(run.lines("writer"), ["writes"])
        self.assertEqual(run.node("writer")["exit"], "signal")
        self.assertEqual(run.node("writer")["exit_code"], 11)
        self.assertEqual(run.lines("reader"), ["True"])
        self.assertEqual(run.node("source")["exit"], "success")
        self.assert_accounted(run)


if __name__ == "__main__":
    unittest.main()
