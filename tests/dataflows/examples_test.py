"""The dataflows that are shipped, as a newcomer runs them."""

import os
import shlex
import shutil
import subprocess

from harness import FlowTest, ROOT, settings


class Examples(FlowTest):
    def run_example(self, name, python=None, **how):
        shutil.copytree(
            os.path.join(ROOT, "dataflows"),
            os.path.join(self.directory, "dataflows"),
            ignore=shutil.ignore_patterns("out"),
        )
        path = os.path.join(self.directory, "dataflows", name)
        env = {"PATH": self.path_to(python or settings.python)}
        code = how.pop("code", 0)
        run = self.ended(self.start_file(path, python=None, env=env, **how), code)
        run.directory = os.path.join(self.directory, "dataflows")
        return run

    def assert_tier(self, run, *nodes):
        """Nobody asked, so it is where `auto` puts what may run anywhere."""
        expected = "interpreter" if settings.inside else "process"
        for node in nodes:
            self.assertEqual(run.node(node)["tier"], expected, run)

    def test_zero_copy(self):
        run = self.run_example("zero_copy.yml")
        self.assertEqual(run.lines("receiver")[-1], "4 messages, every byte right")
        self.assertEqual(run.node("sender")["copied_bytes"], 0)
        self.assertEqual(run.node("receiver")["copied_bytes"], 0)
        self.assert_tier(run, "sender", "receiver")

    def test_zero_copy_numpy(self):
        if settings.numpy_python is None:
            self.skipTest("no NumPy for this Python")
        run = self.run_example("zero_copy_numpy.yml", settings.numpy_python)
        self.assertEqual(run.lines("receiver")[-1], "8 arrays, every byte right")
        for node in ("sender", "receiver"):
            self.assertEqual(run.node(node)["tier"], "process")

    def test_zero_copy_numpy_without_numpy_says_what_to_do(self):
        if settings.numpy_python == settings.python:
            self.skipTest("this Python has NumPy")
        run = self.run_example("zero_copy_numpy.yml", code=1)
        self.assertIn("needs NumPy", run.err)
        self.assertIn("pip install numpy", run.err)

    def test_watch(self):
        run = self.run_example("watch.yml", args=["--stop-after", "3500ms"])
        lines = run.lines("watch")
        self.assertIn("cpu", lines[0])
        rows = [line for line in lines if "%" in line]
        self.assertGreaterEqual(len(rows), 2)
        self.assertRegex(lines[-1], r"watched for \d+ seconds")
        for node in ("sample", "statistics", "watch"):
            self.assertEqual(run.node(node)["exit"], "success")
        self.assert_tier(run, "sample", "statistics", "watch")


class Embedding(FlowTest):
    def test_embed_is_built_from_what_is_installed(self):
        """With the flags that the installed pkg-config file gives."""
        prefix = os.path.join(self.directory, "prefix")
        work = os.path.join(self.directory, "work")
        shutil.copytree(os.path.join(ROOT, "examples"), work)
        subprocess.run(
            [os.path.join(ROOT, "runtime", "install.sh"), "install", prefix],
            check=True, capture_output=True,
        )
        flags = self.flags(os.path.join(prefix, "lib", "pkgconfig", "dora.pc"))
        subprocess.run(
            [os.environ.get("CC", "cc"), "-Wall", "-Wextra", "-Werror", "embed.c"]
            + flags + ["-o", "embed"],
            cwd=work, check=True,
        )
        with open(os.path.join(work, "embed.yml"), "a") as file:
            file.write(f"    python: {settings.python}\n")
        libexec = os.path.join(prefix, "libexec", "dora-run")
        result = subprocess.run(
            ["./embed", "embed.yml", libexec], cwd=work, capture_output=True,
            text=True, timeout=30 * settings.patience, env=self.environment(),
        )
        self.assertEqual(result.returncode, 0, result)
        self.assertEqual(result.stdout, "100 of 100 frames came back right\n")

    @staticmethod
    def flags(path):
        """Cflags and Libs of a pkg-config file."""
        values, flags = {}, []
        with open(path) as file:
            for line in file:
                for name, value in values.items():
                    line = line.replace(f"${{{name}}}", value)
                if line.startswith(("Cflags:", "Libs:")):
                    flags += shlex.split(line.partition(":")[2])
                elif "=" in line.partition(":")[0]:
                    name, _, value = line.strip().partition("=")
                    values[name] = value
        return flags
