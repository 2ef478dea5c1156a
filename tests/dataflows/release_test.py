"""Values let go of at odd moments and in odd places."""

from harness import FlowTest, Node


class WrongMoment(FlowTest):
    def test_last_reference_dropped_in_odd_places(self):
        """T21: in gc, in __del__, on a worker thread, in atexit, and when the
        interpreter is nearly gone."""
        run = self.flow({
            "source": Node("""
                from dora import Node
                node = Node()
                for n in range(40):
                    with node.send_output_raw("x", 10_000) as buffer:
                        buffer[:] = b"v" * 10_000
            """, outputs=["x"]),
            "sink": Node("""
                import atexit, builtins, concurrent.futures, gc, sys, threading
                from dora import Node
                node = Node()
                values = [e["value"] for e in node if e["type"] == "INPUT"]

                class Cycle:
                    pass
                cycle = Cycle(); cycle.me = cycle; cycle.value = values.pop()
                del cycle
                gc.collect()

                class Late:
                    def __init__(self, value): self.value = value
                    def __del__(self):
                        assert bytes(self.value[:1]) == b"v"
                        del self.value
                late = Late(values.pop()); del late

                with concurrent.futures.ThreadPoolExecutor(3) as pool:
                    box = [values.pop() for _ in range(9)]
                    def drop(n): box[n] = None
                    list(pool.map(drop, range(9)))

                kept = values.pop()
                @atexit.register
                def end():
                    global kept
                    del kept

                sys.modules["holds"] = values.pop()       # freed with the modules
                builtins.held = memoryview(values.pop())  # and later still
                stuck = Late(values.pop())
                local = threading.local(); local.value = values.pop()
                print(len(values))
            """, inputs={"x": {"source": "source/x", "queue_size": 100}}),
        })
        self.assertEqual(run.lines("sink"), ["24"])

    def test_last_reference_dropped_on_a_thread_without_python(self):
        """T21: a value, a view, what was exported to Arrow, a sample not sent;
        by C threads, one of which never meets Python at all."""
        self.compiled("foreign.c")
        foreign = """
            import ctypes
            from dora import Node
            foreign = ctypes.CDLL("./foreign.so")
            def drop(box):
                thing = box.pop()
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
                number = ctypes.c_void_p(id(thing))
                del thing
                assert foreign.drop_elsewhere(number) == 0
            node = Node()
        """
        run = self.flow({
            "source": Node(foreign + """
            for n in range(3):
                with node.send_output_raw("x", 1_000_000) as buffer:
                    buffer[0] = n
            del buffer
            drop([node.send_output_raw("x", 900_000)])
            try:
                node.send_output_raw("x", 3_900_000)
            except Exception:
                print("held")
            node.send_output("x", b"")
            for event in node:
                if event["type"] == "INPUT":
                    node.send_output_raw("x", 3_900_000)
                    print("free")
            """, outputs=["x"], inputs={"freed": "sink/freed"}, heap_limit="4MB",
                isolation="process"),
            "sink": Node(foreign + """
            values = [node.next()["value"] for _ in range(3)]
            assert len(node.next()["value"]) == 0
            drop([values.pop()])
            drop([memoryview(values.pop())[10:]])
            [value] = values
            values.clear()
            capsules = value.__arrow_c_array__()
            del value
            pointer = ctypes.pythonapi.PyCapsule_GetPointer
            pointer.restype = ctypes.c_void_p
            array = pointer(ctypes.py_object(capsules[1]), b"arrow_array")
            assert foreign.release_elsewhere(ctypes.c_void_p(array)) == 0
            node.send_output("freed", b"")
            del capsules
            """, inputs={"x": {"source": "source/x", "queue_size": 100}},
                outputs=["freed"], isolation="process"),
        })
        self.assertEqual(run.lines("source"), ["held", "free"])

    def test_exit_with_a_thread_inside_next(self):
        """T49."""
        run = self.flow({
            "node": Node("""
                import threading
                from dora import Node
                node = Node()
                held = node.next()
                threading.Thread(target=node.next, daemon=True).start()
                threading.Thread(target=lambda: [node.send_output("self", b"x")
                                 for _ in iter(int, 1)], daemon=True).start()
                print("over")
            """, inputs={"tick": "dora/timer/secs/1000", "self": "node/self"},
                outputs=["self"]),
        })
        self.assertEqual(run.lines("node"), ["over"])

    def test_fork_is_inert(self):
        """T56, short: a child frees and consumes nothing of its parent's."""
        run = self.flow({
            "source": Node("""
                from dora import Node
                node = Node()
                for n in range(20): node.send_output("x", b"%d" % n)
            """, outputs=["x"]),
            "sink": Node("""
                import multiprocessing, os
                from dora import Node
                node = Node()
                first = node.next()
                pid = os.fork()
                if pid == 0:
                    del first
                    try:
                        node.next(timeout=1)
                        os._exit(1)
                    except RuntimeError:
                        os._exit(0)
                print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                print(bytes(first["value"]))
                print([int(bytes(e["value"])) for e in node if e["type"] == "INPUT"]
                      == list(range(1, 20)))
            """, isolation="process",
                inputs={"x": {"source": "source/x", "queue_size": 100}}),
        })
        self.assertEqual(run.lines("sink"), ["0", "b'0'", "True"])
