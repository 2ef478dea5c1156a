"""Signal handlers of a node's own, while it waits for events."""

from harness import FlowTest, Node


class Handlers(FlowTest):
    def test_no_signal_is_slept_through(self):
        """However close to the beginning of a wait it comes."""
        run = self.flow({"node": Node("""
            import os, queue, random, signal, threading, time
            from dora import Node

            ROUNDS = 2000
            node = Node()
            ran = queue.SimpleQueue()
            signal.signal(signal.SIGUSR1, lambda *_: ran.put(None))

            def pester():
                longest = 0
                for _ in range(ROUNDS):
                    sent = time.monotonic()
                    signal.pthread_kill(main, signal.SIGUSR1)
                    ran.get()
                    longest = max(longest, time.monotonic() - sent)
                    time.sleep(random.random() / 3000)
                print("longest", longest < 5)
                os.kill(os.getpid(), signal.SIGINT)

            main = threading.main_thread().ident
            threading.Thread(target=pester, daemon=True).start()
            try:
                node.next()
            except KeyboardInterrupt:
                print("interrupted")
        """, isolation="process")})
        self.assertEqual(run.lines("node"), ["longest True", "interrupted"])
