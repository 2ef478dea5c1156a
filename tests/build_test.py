"""What configure.py writes, what ninja install puts where, what README says.

Run by `ninja test` once everything is built; from anywhere by
`python3 tests/build_test.py`.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        return file.read()


def load_configure():
    spec = importlib.util.spec_from_file_location(
        "configure", os.path.join(TOP, "configure.py"))
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode = True
    spec.loader.exec_module(module)
    return module


configure = load_configure()


class Temporary(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = os.path.realpath(directory.name)


class TestConfigure(Temporary):
    """In a copy, so that the build that runs this test stays as it is."""

    def setUp(self):
        super().setUp()
        shutil.copy(os.path.join(TOP, "configure.py"), self.directory)

    def run_it(self, *arguments):
        return subprocess.run(
            [sys.executable, "configure.py", *arguments], cwd=self.directory,
            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def written(self):
        return {name: os.stat(os.path.join(self.directory, "build", name))
                for name in ("config.ninja", "pythons.ninja", "pythons")}

    def test_all_missing_packages_are_named_at_once(self):
        done = self.run_it("--cc", "no-such-compiler", "--python", "/nowhere")
        self.assertEqual(done.returncode, 1)
        for package in ("gcc", "libyaml-dev", "libcmocka-dev", "python3-dev"):
            self.assertIn(package, done.stderr)
        self.assertIn("configure.py --setup", done.stderr)
        self.assertFalse(os.path.exists(self.directory + "/build"))

    def test_same_facts_leave_the_files_alone(self):
        self.assertEqual(self.run_it().returncode, 0)
        before = self.written()
        self.assertEqual(self.run_it("--again").stdout, "")
        for name, after in self.written().items():
            self.assertEqual(before[name].st_mtime_ns, after.st_mtime_ns, name)

    def test_arguments_are_remembered(self):
        self.assertEqual(self.run_it("--prefix", "/opt/a b").returncode, 0)
        with open(self.directory + "/build/config.ninja") as file:
            text = file.read()
        self.assertIn("\nprefix = /opt/a b\n", text)
        self.assertRegex(text, r"(?m)^configure_args = --prefix '/opt/a b'")

    def test_only_the_named_python_is_built_for(self):
        first = read("build/pythons").split("\t")[2]
        self.assertEqual(self.run_it("--python", first).returncode, 0)
        with open(self.directory + "/build/pythons") as file:
            lines = file.read().splitlines()
        self.assertEqual([line.split("\t")[2] for line in lines], [first])

    def test_what_is_passed_over_is_said(self):
        done = self.run_it("--python", "/nowhere", "--python", "/bin/false")
        self.assertIn("/nowhere: does not run", done.stdout)
        self.assertIn("/bin/false: does not run", done.stdout)


class FakePython(configure.Python):
    def __init__(self, prefix, version=(3, 13, 0), **facts):
        defaults = dict.fromkeys(
            ("LIBDIR", "LIBPL", "LDLIBRARY", "INSTSONAME", "LDVERSION",
             "MULTIARCH", "Py_GIL_DISABLED", "Py_DEBUG"))
        super().__init__("python", {
            **defaults, "version": list(version), "prefix": prefix,
            "release": "%d.%d.%d" % version,
            "implementation": "cpython", "executable": prefix + "/bin/python3",
            "INCLUDEPY": prefix + "/include", **facts})


class TestPythons(Temporary):
    def tags(self, *pythons):
        configure.name_pythons(pythons)
        return [python.tag for python in pythons]

    def test_tags_tell_builds_apart(self):
        self.assertEqual(
            self.tags(FakePython("/usr"), FakePython("/usr/local"),
                      FakePython("/a/env"), FakePython("/b/env"),
                      FakePython("/usr", Py_GIL_DISABLED=1),
                      FakePython("/usr", Py_DEBUG=1),
                      FakePython("/opt/my python")),
            ["cp313-usr", "cp313-usr-local", "cp313-env", "cp313-env-2",
             "cp313t-usr", "cp313d-usr", "cp313-my_python"])

    def test_complaints(self):
        library = {"LIBDIR": self.directory, "LDLIBRARY": "libpython3.so"}
        self.assertIn("older", FakePython("/usr", (3, 10, 9)).complaint())
        self.assertIn("shared", FakePython("/usr").complaint())
        open(self.directory + "/libpython3.so", "w").close()
        self.assertIn("headers", FakePython(
            "/usr", INCLUDEPY="/nowhere", **library).complaint())
        open(self.directory + "/Python.h", "w").close()
        self.assertIsNone(FakePython(
            "/usr", INCLUDEPY=self.directory, **library).complaint())

    def test_a_static_library_is_not_a_shared_one(self):
        open(self.directory + "/libpython3.a", "w").close()
        self.assertIsNone(FakePython("/usr", LIBDIR=self.directory,
                                     LDLIBRARY="libpython3.a").library)

    def test_a_static_interpreter_has_the_shared_library_of_its_release(self):
        """As conda makes it: what it says of itself names no shared one."""
        path = self.directory + "/libpython3.13.so.1.0"
        for release in ("3.13.5", "3.13.4", "3.13.55"):
            with open(path, "wb") as file:
                file.write(b"\x7fELF..Python %s\0.." % release.encode())
            found = FakePython("/c", (3, 13, 5), LIBDIR=self.directory,
                               LDVERSION="3.13", LDLIBRARY="libpython3.13.a",
                               INSTSONAME="libpython3.13.a").library
            self.assertEqual(found, path if release == "3.13.5" else None)

    def test_only_unusual_libraries_get_a_run_path(self):
        for directory in ("/usr/lib", "/usr/lib64", "/lib",
                          "/usr/lib/x86_64-linux-gnu"):
            self.assertEqual(configure.rpath(directory), "")
        self.assertIn("-rpath,/opt/python/lib",
                      configure.rpath("/opt/python/lib"))


class TestInstall(Temporary):
    def make(self, action, prefix="/usr"):
        subprocess.run(
            [os.path.join(TOP, "runtime/install.sh"), action, prefix],
            env={**os.environ, "DESTDIR": self.directory}, check=True,
            stdout=subprocess.DEVNULL)

    def files(self):
        return {os.path.relpath(os.path.join(where, name), self.directory)
                for where, _, names in os.walk(self.directory)
                for name in names}

    def test_every_file_has_its_place_and_goes_again(self):
        self.make("install")
        tags = [line.split("\t")[0] for line in
                read("build/pythons").splitlines()]
        expected = {
            "usr/bin/dora-run", "usr/include/dora.h", "usr/lib/libdora.a",
            "usr/lib/libdora-python.a", "usr/lib/pkgconfig/dora.pc",
            "usr/libexec/dora-run/dora-guardian",
            "usr/libexec/dora-run/pythons",
            "usr/libexec/dora-run/dora-stable",
            "usr/libexec/dora-run/dora-stable.so",
            "usr/libexec/dora-run/dora-preload.so",
            "usr/libexec/dora-run/children/dora.abi3.so",
            *("usr/libexec/dora-run/%s/dora-python" % tag for tag in tags),
            *("usr/libexec/dora-run/%s/dora-inhost.so" % tag for tag in tags
              if os.path.exists("build/%s/dora-inhost.so" % tag))}
        self.assertEqual(self.files(), expected)
        self.make("uninstall")
        self.assertEqual(self.files(), set())

    def test_what_is_installed_speaks_of_the_prefix(self):
        self.make("install")
        with open(self.directory + "/usr/libexec/dora-run/pythons") as file:
            lines = file.read().splitlines()
        self.assertTrue(lines)
        for line in lines:
            tag, _, _, program = line.split("\t")
            self.assertEqual(program,
                             "/usr/libexec/dora-run/%s/dora-python" % tag)
        with open(self.directory + "/usr/lib/pkgconfig/dora.pc") as file:
            text = file.read()
        self.assertNotIn(self.directory, text)
        version = re.search('DORA_VERSION "(.*)"', read("runtime/dora.h"))
        self.assertIn("Version: %s\n" % version.group(1), text)

    def test_an_installed_dora_run_needs_no_build_directory(self):
        prefix = self.directory
        subprocess.run([os.path.join(TOP, "runtime/install.sh"), "install",
                        prefix], check=True, stdout=subprocess.DEVNULL,
                       env={k: v for k, v in os.environ.items()
                            if k != "DESTDIR"})
        done = subprocess.run(
            [prefix + "/bin/dora-run", "--version"], text=True, check=True,
            stdout=subprocess.PIPE)
        self.assertIn(prefix + "/libexec/dora-run", done.stdout)
        self.assertNotIn(os.path.join(TOP, "build"), done.stdout)


class TestWithoutPython(Temporary):
    """runtime/ is built and passes its tests where there is no Python to build
    for, nor one to be found, nor pyapi/."""

    def tools(self):
        """A directory with every program of the machine but Python."""
        place = os.path.join(self.directory, "bin")
        os.mkdir(place)
        for directory in os.environ["PATH"].split(":"):
            for name in os.listdir(directory) if os.path.isdir(directory) else ():
                link = os.path.join(place, name)
                if not name.startswith("python") and not os.path.lexists(link):
                    os.symlink(os.path.join(directory, name), link)
        return place

    def test_the_runtime_builds_and_passes_its_tests(self):
        for name in ("runtime", "tests"):
            shutil.copytree(os.path.join(TOP, name),
                            os.path.join(self.directory, name))
        for name in ("build.ninja", "configure.py"):
            shutil.copy(os.path.join(TOP, name), self.directory)
        subprocess.run([sys.executable, "configure.py", "--no-python"],
                       cwd=self.directory, check=True,
                       stdout=subprocess.DEVNULL)
        config = os.path.join(self.directory, "build/config.ninja")
        with open(config, "a") as file:
            file.write("opt = -O0\n")  # it is not the speed that is tried
        done = subprocess.run(
            ["ninja", "-j2", "build/dev/runtime_test"], cwd=self.directory,
            env={**os.environ, "PATH": self.tools()}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout[-6000:])
        self.assertGreater(done.stdout.count("[  PASSED  ]"), 30)


# What stands around README's node when it is tried.
CAMERA = """
from dora import Node
Node().send_output("image", bytes([0, 1, 255]))
"""
CHECK = """
from dora import Node
events = list(Node())
print(events[0]["value"].to_pylist(), "then", events[1]["type"])
"""
CHECK_YML = """  - id: check
    path: check.py
    inputs: {negative: invert/negative}
"""


class TestReadme(Temporary):
    def test_its_two_lines_differ_in_their_last_word_only(self):
        lines = [line for line in read("README.md").splitlines()
                 if re.search(r"--setup && ninja \w+$", line)]
        self.assertEqual(len(lines), 2)
        run, test = lines
        self.assertEqual(run[:-len(" run")], test[:-len(" test")])
        self.assertTrue(run.endswith("ninja run"))
        self.assertTrue(test.endswith("ninja test"))

    def test_its_node_does_what_it_says(self):
        text = read("README.md")
        files = {
            "flow.yml": re.search("```yaml\n(.*?)```", text, re.S).group(1)
            + CHECK_YML,
            "invert.py": re.search("```python\n(.*?)```", text, re.S).group(1),
            "camera.py": CAMERA, "check.py": CHECK}
        for name, content in files.items():
            with open(os.path.join(self.directory, name), "w") as file:
                file.write(content)
        done = subprocess.run(
            [os.path.join(TOP, "build/dora-run"), "flow.yml"],
            cwd=self.directory, text=True, timeout=120, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("[255, 254, 0] then INPUT_CLOSED", done.stdout)

    def test_its_targets_exist(self):
        known = set(re.findall(r"(?m)^build (\w+):", read("build.ninja")))
        for name in re.findall(r"`ninja (\w+)`", read("README.md")):
            self.assertIn(name, known)


if __name__ == "__main__":
    unittest.main(verbosity=2)
