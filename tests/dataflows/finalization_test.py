"""T49: the end of an interpreter that is busy and holds much."""

import unittest

from harness import FlowTest, Node, either, has_long_form


class Finalization(FlowTest):
    @has_long_form
    def test_with_values_threads_and_pools_alive(self):
        for number in range(either(3, 500)):
            self.fresh()
            run = self.flow({
                "source": Node("""
                    from dora import Node
                    node = Node()
                    for n in range(20):
                        node.send_output_raw("x", 50_000).send()
                """, outputs=["x"]),
                "busy": Node("""
                    import concurrent.futures, sys, threading, time
                    from dora import Node
                    node = Node()
                    values = [node.next()["value"] for _ in range(10)]
                    views = [memoryview(value) for value in values]
                    class Slow:
                        def __init__(self): self.value = values[0]
                        def __del__(self): time.sleep(float(sys.argv[1]))
                    slow = Slow()
                    pool = concurrent.futures.ThreadPoolExecutor(2)
                    pool.submit(time.sleep, 0.05)
                    threading.Thread(target=lambda: [
                        node.next() for _ in iter(int, 1)], daemon=True).start()
                    threading.Thread(target=lambda: [
                        node.send_output("y", v) for v in iter(lambda: values[1], 0)
                    ], daemon=True).start()
                    print("over")
                """, outputs=["y"], inputs={"x": {"source": "source/x", "queue_size": 20}},
                    args="0.05" if number else "2"),
                "sink": Node("""
                    from dora import Node
                    kept = [event for event in Node()]
                    print(len(kept) > 0)
                """, inputs={"y": "busy/y"}),
            }, timeout=30)
            self.assertEqual(run.lines("busy"), ["over"], run)
            self.assertEqual(run.lines("sink"), ["True"], run)
            self.assertNotIn("Fatal Python error", run.out + run.err)


if __name__ == "__main__":
    unittest.main()
