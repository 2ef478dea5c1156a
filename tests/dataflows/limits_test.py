"""Where memory, descriptors, rights or parts of the system are missing: a
dataflow runs there, or is refused in one sentence before the first message."""

import os
import shutil
import subprocess
import unittest

from harness import FlowTest, Node, settings, tier
from places import (
    LITTLE_LOCKED, as_nobody, control_group, own_mounts, own_namespace)

SOURCE = """
    from dora import Node
    node = Node()
    sent = 0
    try:
        for n in range(300):
            with node.send_output_raw("x", 1_000_000) as buffer:
                buffer[0] = buffer[-1] = n % 256
            sent += 1
    except RuntimeError as error:
        print(error)
    print("sent", sent)
"""
KEEPER = """
    from dora import Node
    kept, wrong, count = [], 0, 0
    for event in Node():
        if event["type"] == "INPUT":
            view = memoryview(event["value"])
            wrong += len(view) != 1_000_000 or view[0] != view[-1]
            count += 1
            kept = kept[-100:] + [view]
    print("got", count, wrong)
"""


def graph(keepers, **keys):
    nodes = {"source": Node(SOURCE, outputs=["x"], **keys)}
    for n in range(keepers):
        nodes[f"keeper{n}"] = Node(
            KEEPER, inputs={"x": {"source": "source/x", "queue_size": 300}}, **keys
        )
    return nodes


class LimitTest(FlowTest):
    def assert_works(self, run, keepers=1):
        sent = int(run.lines("source")[-1].split()[1])
        for n in range(keepers):
            self.assertEqual(run.lines(f"keeper{n}"), [f"got {sent} 0"], run)
        self.assert_accounted(run)
        return sent

    def assert_runs(self, **how):
        self.assertEqual(self.assert_works(self.flow(graph(1), **how)), 300)

    def refused(self, nodes, sentence, **how):
        self.fresh()
        run = self.flow(nodes, code=1, **how)
        self.assertRegex(run.err, sentence)
        self.assertNotIn("Traceback", run.err)
        self.assertEqual(run.lines("source"), [], run)


class Memory(LimitTest):
    """T17."""

    def test_a_control_groups_limit_is_never_overrun(self):
        """The budget is half of what is free at the start; what the nodes take
        themselves comes on top, and the heaps stay below what that leaves."""
        with control_group(100_000_000) as (under, kills):
            run = self.flow(graph(7), under=under)
            self.assertEqual(kills(), "0", run)
        sent = self.assert_works(run, 7)
        self.assertGreater(sent, 0, run)
        if sent < 300:
            self.assertRegex(run.lines("source")[0], "no memory for 1000000 bytes")

    def test_who_waits_for_memory_gets_it_when_the_machine_has_it_again(self):
        with control_group(48_000_000) as (under, kills):
            run = self.flow({
                "source": Node("""
                    from dora import Node
                    from probe import hear
                    node = Node()
                    hear("it hoards")
                    for n in range(6):
                        node.send_output_raw("x", 4_000_000).send()
                    print("over")
                """, outputs=["x"], heap_full="wait", isolation="process"),
                "hog": Node("""
                    from dora import Node
                    from probe import tell
                    node = Node()
                    hoard = bytearray(14_000_000)
                    for n in range(0, len(hoard), 4096): hoard[n] = 1
                    print("hoards")
                    tell("it hoards")
                    held = [node.next(timeout=1) for _ in range(6)]
                    print(sum(e["type"] == "INPUT" for e in held))
                    del hoard, held
                    for event in node: pass
                """, inputs={"x": {"source": "source/x", "queue_size": 10}},
                    isolation="process"),
            }, under=under)
            self.assertEqual(kills(), "0", run)
        self.assertEqual(run.lines("source"), ["over"])

    def test_too_little_for_the_processes_is_refused(self):
        if tier() == "interpreter":
            self.skipTest("of processes")
        with control_group(24_000_000) as (under, kills):
            self.refused(
                graph(7), r"with it the nodes' processes take at least", under=under
            )
            self.assertEqual(kills(), "0")

    def test_address_space(self):
        for size in (1500, 4000) if tier() == "interpreter" else (120, 500, 4000):
            with self.subTest(megabytes=size):
                self.fresh()
                run = self.flow(graph(1), under=["prlimit", f"--as={size << 20}"])
                self.assertGreater(self.assert_works(run), 0)
        self.refused(
            graph(1), "ERROR. (cannot|out of memory)",
            under=["prlimit", f"--as={30 << 20}"],
        )

    def test_file_size(self):
        run = self.flow(graph(1), under=["prlimit", f"--fsize={20 << 20}"])
        self.assertGreater(self.assert_works(run), 0)
        self.refused(
            graph(1), "bytes of memory, addresses or file size are left",
            under=["prlimit", f"--fsize={500_000}"],
        )

    def test_locked_memory(self):
        self.assert_runs(under=LITTLE_LOCKED)

    def test_nodes_that_lock_all_memory(self):
        """The ranges of the heaps exceed the machine; what mlockall makes
        resident is what is in use."""
        if settings.free_threaded:
            self.skipTest("mlockall fills what this Python's allocator reserves")
        self.write("locks.py", """
            import ctypes, os
            def lock():
                if ctypes.CDLL(None, use_errno=True).mlockall(3):
                    print(os.strerror(ctypes.get_errno()))
        """)
        nodes = {
            "source": Node("""
                from dora import Node
                from locks import lock
                node = Node()
                node.send_output_raw("x", 100_000).send()
                lock()
                for n in range(19):
                    with node.send_output_raw("x", 1_000_000) as buffer:
                        buffer[:] = bytes([n]) * 1_000_000
            """, outputs=["x"], isolation="process"),
            "sink": Node("""
                from dora import Node
                from locks import lock
                node = Node()
                kept = [node.next()["value"]]
                lock()
                kept += [e["value"] for e in node if e["type"] == "INPUT"]
                print([value[-1].as_py() for value in kept[1:]] == list(range(19)))
            """, isolation="process",
                inputs={"x": {"source": "source/x", "queue_size": 20}}),
        }
        with control_group(300_000_000) as (under, kills):
            run = self.flow(nodes, under=under)
            self.assertEqual(kills(), "0", run)
        self.assertEqual(run.lines("source"), [], run)
        self.assertEqual(run.lines("sink"), ["True"], run)
        run = self.flow(nodes, under=LITTLE_LOCKED)
        self.assertEqual(run.lines("sink")[-1], "True", run)

    def test_a_node_of_many_outputs_that_locks_all_memory(self):
        """Nor are the records of all messages that there could be."""
        run = self.flow({"node": Node("""
            import ctypes
            from dora import Node
            node, kilobytes = Node(), 0
            if ctypes.CDLL(None).mlockall(1):
                print("refused")
            with open("/proc/self/smaps") as maps:
                lines = iter(maps)
                for line in lines:
                    if "memfd:dora" in line:
                        kilobytes += int(next(l for l in lines if "Rss" in l).split()[1])
            print(kilobytes)
        """, outputs=[f"x{n}" for n in range(100)],
            isolation="process")})
        if run.lines("node")[0] == "refused":
            self.skipTest("no right to lock memory")
        self.assertLess(int(run.lines("node")[0]), 140_000)


class Places(LimitTest):
    """T17: shared memory has no name, so no file system is needed for it."""

    def test_devices_without_shm(self):
        devices = os.path.join(self.directory, "devices")
        os.mkdir(devices)
        self.assert_runs(under=own_mounts(f"""
            mount -t tmpfs none {devices}
            for name in null zero random urandom tty full; do
                : > {devices}/$name
                mount --bind /dev/$name {devices}/$name
            done
            mount --move {devices} /dev
        """))

    def test_shm_that_is_read_only_or_tiny(self):
        for options in ("ro", "size=4k"):
            with self.subTest(options):
                self.fresh()
                self.assert_runs(
                    under=own_mounts(f"mount -t tmpfs -o {options} none /dev/shm")
                )

    def test_logs_without_a_place(self):
        """A full or read-only directory costs the log files, nothing else."""
        for spoil in ("head -c 1000000 /dev/zero > {0}/fill || :",
                      "mount -o remount,ro {0}"):
            with self.subTest(spoil):
                self.fresh()
                path = self.write_flow(graph(1))
                copy = self.directory + ".copy"
                shutil.copytree(self.directory, copy)
                self.addCleanup(shutil.rmtree, copy)
                under = own_mounts(
                    f"mount -t tmpfs -o size=100k none {self.directory}\n"
                    f"cp {copy}/* {self.directory}\n"
                    f"{spoil.format(self.directory)}\ncd {self.directory}"
                )
                run = subprocess.run(
                    [*under, settings.dora_run, path], env=self.environment(),
                    capture_output=True, text=True, timeout=60 * settings.patience,
                )
                self.assertEqual(run.returncode, 0, run)
                self.assertIn("cannot write logs to", run.stdout + run.stderr)
                self.assertIn("keeper0: got 300 0", run.stdout)

    def test_without_proc(self):
        run = self.flow(graph(1), under=own_mounts("umount -l /proc"))
        self.assertEqual(self.assert_works(run), 300)

    def test_without_standard_files(self):
        """Their numbers do not go to what is opened next."""
        for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
            with self.subTest(closed):
                self.fresh()
                self.assert_runs(under=("sh", "-c", f'exec "$@" {closed}', "sh"))

    def test_without_network(self):
        self.assert_runs(under=own_namespace("-n"))

    def test_without_rights(self):
        """As nobody, whose home does not exist."""
        nobody = as_nobody(settings.python, settings.dora_run)
        os.chown(self.directory, 65534, 65534)
        self.assert_runs(under=nobody, env={"HOME": "/nonexistent"})


if __name__ == "__main__":
    unittest.main()
