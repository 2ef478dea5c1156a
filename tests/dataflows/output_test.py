"""What nodes print: all of it, at once, and at no cost to them."""

import json

from harness import FlowTest, Node


class LastWords(FlowTest):
    """T48, c20."""

    def test_everything_before_a_crash_is_kept(self):
        run = self.flow({"node": Node("""
            import os, sys
            from dora import Node
            Node()
            for n in range(2000): print("line", n)
            sys.stderr.write("on stderr")
            sys.stdout.write("half a line")
            os.kill(os.getpid(), 11)
        """)}, code=1)
        lines = run.lines("node")
        self.assertEqual(lines[:2000], [f"line {n}" for n in range(2000)])
        self.assertEqual(lines[2000], "half a line")
        self.assertIn("on stderr", run.lines("node", "stderr"))

    def test_strange_bytes(self):
        run = self.flow({"node": Node("""
            import os
            from dora import Node
            Node()
            os.write(1, b"nul \\x00 here\\n")
            os.write(1, b"half \\xc3\\n")
            os.write(1, b"esc \\x1b[31m\\n")
            os.write(1, "whole \\u00e9\\n".encode())
            os.write(1, b'quote " and \\\\\\n')
            os.write(1, b"cut \\xe4\\xb8")
        """)})
        lines = run.lines("node")
        self.assertEqual(len(lines), 6)
        self.assertIn("nul \x00 here", lines)
        self.assertIn("whole é", lines)
        self.assertIn('quote " and \\', lines)

    def test_a_megabyte_without_newline(self):
        run = self.flow({"node": Node("""
            from dora import Node
            Node()
            print("a" * 1_000_000, end="")
        """)})
        self.assertEqual(sum(len(line) for line in run.lines("node")), 1_000_000)

    def test_a_crash_after_a_long_line_loses_nothing(self):
        """No newline, NULs, half a character, then SIGSEGV."""
        run = self.flow({"node": Node("""
            import ctypes, os
            from dora import Node
            Node()
            text = b"a" * 1_000_000 + b"\\0nul\\0" + b"\\xe4\\xb8"
            while text:
                text = text[os.write(1, text):]
            ctypes.string_at(0)
        """)}, code=1)
        [line] = run.lines("node", "stdout")
        self.assertEqual(line[:1_000_005], "a" * 1_000_000 + "\0nul\0")
        self.assertRegex(line[1_000_005:], "^\ufffd+$")
        self.assertIn("SIGSEGV", run.err)

    def test_output_is_prompt(self):
        running = self.start({"node": Node("""
            from dora import Node
            node = Node()
            print("at once")
            for event in node: pass
        """)})
        running.expect("at once")
        running.signal()
        self.ended(running)

    #: What follows measures how long `act(n)` takes, and whether it was blocked:
    #: who is only taken off the processor is not.
    WATCH = """
        import json, os, resource, time
        from dora import Node
        Node()
        def switches():
            return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
        def blocked(act, count):
            found = []
            for n in range(count):
                before, begun = switches(), time.perf_counter()
                act(n)
                ended = time.perf_counter()
                if switches() > before:
                    found.append((begun, ended))
            return found
    """

    def test_many_lines_do_not_block_the_node(self):
        """Ten milliseconds are too long; a pipe takes tens of them to fill."""
        run = self.flow({"node": Node(self.WATCH + """
        waits = blocked(lambda n: print("line", n), 100_000)
        print(json.dumps([wait for wait in waits if wait[1] - wait[0] > 0.010]))
        """)}, timeout=60)
        lines = run.lines("node")
        self.assertEqual(lines[:-1], [f"line {n}" for n in range(100_000)])
        for wait in json.loads(lines[-1]):
            self.assert_within(0.010, *wait)

    def test_a_flood_waits_for_little_at_a_time(self):
        """Faster than lines can be dealt with, so that it has to wait: but for a
        small part of what the pipe holds. On a busy machine that takes long,
        but then it is seen in the number of waits."""
        run = self.flow({"node": Node(self.WATCH + """
        text = b"line 1\\n" * 500
        waits = blocked(lambda n: os.write(1, text), 400)
        delays = []
        for _ in range(20):
            waits += blocked(lambda n: os.write(1, text), 10)
            begun = time.perf_counter()
            time.sleep(0.001)
            delays.append(time.perf_counter() - begun - 0.001)
        waits = sorted(ended - begun for begun, ended in waits)
        print(json.dumps([len(waits), waits[len(waits) * 9 // 10], max(delays)]))
        """)}, timeout=60)
        lines = run.lines("node")
        self.assertEqual(lines[:-1], ["line 1"] * 300_000)
        count, wait, delay = json.loads(lines[-1])
        self.assertTrue(wait < 0.010 + delay or count > 20, lines[-1])
