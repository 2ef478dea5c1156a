#!/usr/bin/env python3
"""Finds what dora-run is built with, and writes it down for Ninja.

    python3 configure.py                    look, and say what was found and why
    python3 configure.py --setup            install what is missing, then look
    python3 configure.py --python PATH...   build for these Pythons only
    python3 configure.py --no-python        build what knows no Python only

Nothing is built here and nothing outside build/ is written, but for --setup,
which runs apt-get (through sudo when not root). Written are

    build/config.ninja    the facts, and the arguments given here: Ninja calls
                          this program again with them when it has changed
    build/pythons.ninja   a reading of pyapi/python.ninja for each Python
    build/pythons         the same table for dora-run: tag, version ("3.14.4t":
                          free-threaded), the interpreter's own file, its
                          dora-python
"""

import argparse
import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

OLDEST_PYTHON = (3, 11)
OLDEST_HOST = (3, 13)  # of nodes inside dora-run

# What a tool or library is for, and its package on Debian and Ubuntu.
REQUIRED, TESTS, OPTIONAL = "required", "tests", "optional"

ASK = """
import json, os, sys, sysconfig
names = ("INCLUDEPY", "LIBDIR", "LIBPL", "LDLIBRARY", "INSTSONAME",
         "LDVERSION", "MULTIARCH", "Py_GIL_DISABLED", "Py_DEBUG")
base = getattr(sys, "_base_executable", None) or sys.executable
facts = {name: sysconfig.get_config_var(name) for name in names}
facts.update(version=list(sys.version_info[:3]), prefix=sys.base_prefix,
             release=sys.version.split()[0],
             implementation=sys.implementation.name,
             executable=os.path.realpath(base))
print(json.dumps(facts))
"""


class Found:
    """The outcome of looking for one thing."""

    def __init__(self, name, package, need, where, use):
        self.name, self.package, self.need = name, package, need
        self.where, self.use = where, use


def say(*words):
    if not ARGS.again:
        print(*words)


def run(command):
    """Output of a command, or None when it fails or does not exist."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


# --- compiler, libraries, tools ---------------------------------------------------


def compiles(compiler, text, *arguments, language="c"):
    """Whether the compiler makes a program of the text."""
    if compiler is None:
        return False
    with tempfile.TemporaryDirectory() as directory:
        source = os.path.join(directory, "try." + language)
        with open(source, "w", encoding="ascii") as file:
            file.write(text)
        output = os.path.join(directory, "try")
        return run([*shlex.split(compiler), source, "-o", output,
                    *arguments]) is not None


MAIN = "int main(void) { return 0; }\n"


def find_compiler():
    """The C compiler: --cc, else the first of the usual ones that works."""
    for name in [ARGS.cc] if ARGS.cc else ["gcc", "clang", "cc"]:
        if compiles(name, "#include <stdio.h>\n" + MAIN):
            return name
    return None


def find_tool(*names):
    return next((name for name in names if shutil.which(name)), None)


def find_cxx():
    for name in ("g++", "clang++"):
        if compiles(name, "#include <cstddef>\n" + MAIN, language="cc"):
            return name
    return None


def find_clang():
    """A clang that can link a fuzzer."""
    main = "int LLVMFuzzerTestOneInput(const char *d, __SIZE_TYPE__ n)" \
           "{ return !d + !n; }\n"
    for name in ["clang", *sorted(glob.glob("/usr/bin/clang-[0-9]*"))]:
        if shutil.which(name) and compiles(
                name, main, "-fsanitize=fuzzer,address,undefined"):
            return name
    return None


def find_cross():
    name = "aarch64-linux-gnu-gcc"
    if compiles(name, "#include <stdio.h>\n" + MAIN):
        return name
    return None


def library(compiler, header, link):
    text = "#include <stdarg.h>\n#include <stddef.h>\n#include <stdint.h>\n" \
           "#include <setjmp.h>\n#include <%s>\n" % header + MAIN
    return link if compiles(compiler, text, link) else None


def look_around():
    """Every tool and library, by the name it has in config.ninja."""
    cc = find_compiler()
    cxx = find_cxx()
    things = [
        ("cc", "gcc libc6-dev", REQUIRED, cc, "to compile"),
        ("ninja", "ninja-build", REQUIRED, find_tool("ninja"), "to build"),
        ("yaml", "libyaml-dev", REQUIRED, library(cc, "yaml.h", "-lyaml"),
         "to read dataflows"),
        ("cmocka", "libcmocka-dev", TESTS,
         library(cc, "cmocka.h", "-lcmocka"), "for the C tests"),
        ("cxx", "g++", TESTS, cxx, "to try dora.h in C++"),
        ("clang", "clang libclang-rt-dev", OPTIONAL, find_clang(),
         "for ninja fuzz"),
        ("spin", "spin", OPTIONAL, find_tool("spin"), "for ninja model"),
        ("relacy", "relacy-dev", OPTIONAL,
         compiles(cxx, "#include <relacy/pch.hpp>\n" + MAIN, language="cc")
         and "relacy", "for ninja model"),
        ("clang_tidy", "clang-tidy", OPTIONAL, find_tool("clang-tidy"),
         "for ninja tidy"),
        ("clang_format", "clang-format", OPTIONAL,
         find_tool("clang-format"), "for ninja format and lint"),
        ("cross", "gcc-aarch64-linux-gnu", OPTIONAL, find_cross(),
         "for ninja qemu"),
        ("qemu", "qemu-user-static", OPTIONAL,
         find_tool("qemu-aarch64-static", "qemu-aarch64"), "for ninja qemu"),
        ("linux", "user-mode-linux", OPTIONAL, find_tool("linux.uml"),
         "for ninja cgroup2"),
    ]
    return {thing[0]: Found(*thing) for thing in things}


# --- Pythons -----------------------------------------------------------------------


class Python:
    """One build of CPython, asked about itself."""

    def __init__(self, path, facts):
        self.path = path  # how it was found
        self.facts = facts
        self.version = tuple(facts["version"])
        self.executable = facts["executable"]
        self.library = self._library()
        self.tag = None

    def _library(self):
        names = [self.facts["INSTSONAME"], self.facts["LDLIBRARY"]]
        places = [self.facts["LIBDIR"], self.facts["LIBPL"]]
        if self.facts["LIBDIR"] and self.facts["MULTIARCH"]:
            places.append(os.path.join(self.facts["LIBDIR"],
                                       self.facts["MULTIARCH"]))
        for place in filter(None, places):
            for name in filter(None, names):
                path = os.path.join(place, name)
                if ".so" in name and os.path.exists(path):
                    return path
        return self._library_beside()

    def _library_beside(self):
        """That of an interpreter which is linked statically, as conda's, and
        names none; another's may lie there, but not of the same release."""
        if not self.facts["LIBDIR"] or not self.facts["LDVERSION"]:
            return None
        path = os.path.join(self.facts["LIBDIR"], "libpython%s.so.1.0"
                            % self.facts["LDVERSION"])
        try:
            with open(path, "rb") as file:
                own = self.facts["release"].encode() + b"\0" in file.read()
        except OSError:
            return None
        return path if own else None

    def complaint(self):
        """Why it cannot be used, or None."""
        if self.facts["implementation"] != "cpython":
            return "not CPython"
        if self.version < OLDEST_PYTHON:
            return "older than %d.%d" % OLDEST_PYTHON
        if self.library is None:
            return "has no shared libpython"
        header = os.path.join(self.facts["INCLUDEPY"], "Python.h")
        if not os.path.exists(header):
            return "has no headers"
        return None

    def is_free_threaded(self):
        return bool(self.facts["Py_GIL_DISABLED"])

    def text(self):
        return "%d.%d.%d" % self.version + "t" * self.is_free_threaded()

    def hosts_nodes(self):
        """Whether nodes can be interpreters inside the host."""
        return self.version >= OLDEST_HOST and not self.is_free_threaded()

    def base_tag(self):
        """cp311-usr, cp313t-3.13.0: version and last part of the prefix."""
        flags = "t" * self.is_free_threaded()
        flags += "d" if self.facts["Py_DEBUG"] else ""
        name = os.path.basename(self.facts["prefix"].rstrip("/")) or "root"
        if self.facts["prefix"] == "/usr/local":
            name = "usr-local"
        return "cp%d%d%s-%s" % (*self.version[:2], flags,
                                re.sub(r"[^A-Za-z0-9._-]", "_", name))


def ask_python(path):
    text = run([path, "-I", "-c", ASK])
    if text is None:
        return None
    try:
        return Python(path, json.loads(text))
    except ValueError:
        return None


def candidates():
    """Where a Python may be, the one that nodes get by default first."""
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        if os.environ.get(name):
            yield os.path.join(os.environ[name], "bin", "python3")
    if shutil.which("python3"):
        yield shutil.which("python3")
    for directory in ("/usr/bin", "/usr/local/bin"):
        yield from sorted(path for path in glob.glob(directory + "/python3.*")
                          if re.search(r"/python3\.\d+[td]*$", path))
    yield from sorted(path for path in glob.glob("/opt/python*/bin/python3.*")
                      if re.search(r"/python3\.\d+[td]*$", path))
    root = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    yield from sorted(glob.glob(root + "/versions/*/bin/python3"))


def find_pythons():
    """The usable Pythons, tagged, and those passed over with the reason."""
    usable, refused, seen = [], [], set()
    paths = [] if ARGS.no_python else ARGS.python or candidates()
    for path in paths:
        python = ask_python(path)
        if python is None:
            refused.append((path, "does not run"))
            continue
        file = os.stat(python.executable)
        if (file.st_dev, file.st_ino) in seen:  # python3.14 may be python3.14t
            continue
        seen.add((file.st_dev, file.st_ino))
        complaint = python.complaint()
        if complaint:
            refused.append((python.executable,
                            "Python %s %s" % (python.text(), complaint)))
        else:
            usable.append(python)
    name_pythons(usable)
    return usable, refused


def host_python(pythons):
    """The one that runs nodes inside dora-run: the newest that can."""
    able = [python for python in pythons if python.hosts_nodes()]
    return max(able, key=lambda python: python.version, default=None)


def name_pythons(pythons):
    """Gives each a tag of its own."""
    taken = set()
    for python in pythons:
        base = python.tag = python.base_tag()
        count = 1
        while python.tag in taken:
            count += 1
            python.tag = "%s-%d" % (base, count)
        taken.add(python.tag)


# --- what is missing, and getting it ----------------------------------------------


def missing(found, pythons, needs):
    """Packages that would give what was not found."""
    packages = []
    for thing in found.values():
        if thing.need in needs and thing.where is None:
            packages += thing.package.split()
    if ARGS.no_python:
        return packages
    if REQUIRED in needs and not pythons:
        packages.append("python3-dev")
    if TESTS in needs and lacks_numpy(pythons):
        packages.append("python3-numpy")
    return packages


def lacks_numpy(pythons):
    """Whether the tests with NumPy need Debian's, for Debian's Python. For
    others they make a virtual environment of their own, where they can."""
    if not pythons:
        return True
    system = [p.executable for p in pythons if p.facts["prefix"] == "/usr"]
    return bool(system) and run([system[0], "-I", "-c", "import numpy"]) is None


def is_offered(package):
    """Whether this system's archive has it."""
    shown = subprocess.run(["apt-cache", "show", "--quiet=1", package],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return shown.returncode == 0


def set_up(found, pythons):
    """Installs what is required, and what the tests need; of what is optional,
    what there is."""
    packages = missing(found, pythons, (REQUIRED, TESTS))
    extra = (missing(found, pythons, (OPTIONAL,)) if ARGS.setup == "all"
             else [])
    if not packages + extra:
        say("setup: nothing to install")
        return
    if not shutil.which("apt-get"):
        sys.exit("configure.py: --setup knows apt-get only; please install "
                 "what these Debian packages hold: " +
                 " ".join(packages + extra))
    before = [] if os.geteuid() == 0 else ["sudo"]
    before += ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get",
               "-o", "DPkg::Lock::Timeout=300"]
    subprocess.call([*before, "update"])  # an old list may still do
    packages += filter(is_offered, extra)
    say("setup: apt-get install", *packages)
    sys.stdout.flush()
    if subprocess.call([*before, "install", "-y", "--no-install-recommends",
                        *packages]) != 0:
        sys.exit("configure.py: apt-get could not install: "
                 + " ".join(packages))


# --- saying and writing it -----------------------------------------------------------


def report(found, pythons, refused):
    for thing in found.values():
        say("%-13s %s" % (thing.name, thing.where or "not found (%s)"
                          % thing.use))
    for index, python in enumerate(pythons):
        say("%-13s Python %s%s, %s, %s%s"
            % (python.tag, python.text(),
               " (free-threaded)" * python.is_free_threaded(),
               python.executable, python.library,
               " (nodes that name none)" if index == 0 else ""))
    for path, reason in refused:
        say("%-13s %s: %s" % ("passed over", path, reason))


def advise(found, pythons):
    """Says what is missing; ends the program when it cannot be built."""
    tests = missing(found, pythons, (TESTS,))
    optional = missing(found, pythons, (OPTIONAL,))
    if optional:
        say("optional, not found; packages: " + " ".join(optional))
    if tests:
        say("missing for the tests; packages: " + " ".join(tests))
    required = missing(found, pythons, (REQUIRED,))
    if required:
        sys.exit("configure.py: missing; on Debian and Ubuntu:\n"
                 "    apt-get install " + " ".join(required + tests) +
                 "\nor let it be done:\n    python3 configure.py --setup")


def write(path, text):
    """Writes the file if that changes it: what is equal is not rebuilt."""
    try:
        with open(path, encoding="utf-8") as file:
            if file.read() == text:
                return
    except OSError:
        pass
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def ninja_text(text):
    """Escapes a value; a value with a line break cannot be written."""
    if "\n" in text:
        sys.exit("configure.py: line break in %r" % text)
    return text.replace("$", "$$")


def config_ninja(found, first, arguments):
    facts = {
        "configure_args": " ".join(map(shlex.quote, arguments)),
        "python": shlex.quote(sys.executable),
        "first_python": shlex.quote(first.executable) if first else "false",
        "prefix": ARGS.prefix,
        "opt": "-O2 -g",
        # Some gcc warn that their TSan does not follow fences.
        "no_tsan_warning": "-Wno-tsan" if compiles(
            found["cc"].where, MAIN, "-Werror", "-Wno-tsan") else "",
    }
    for thing in found.values():
        if thing.name != "ninja":
            # What is missing is called by its name: the error then says so.
            fallback = {"yaml": "-lyaml", "cmocka": "-lcmocka",
                        "cxx": "g++", "cross": "aarch64-linux-gnu-gcc",
                        "qemu": "qemu-aarch64-static",
                        "linux": "linux.uml"}
            facts[thing.name] = thing.where or fallback.get(
                thing.name, thing.name.replace("_", "-"))
    return "".join("%s = %s\n" % (key, ninja_text(value))
                   for key, value in facts.items())


def rpath(directory):
    """Where the library is found when run; not asked for where the system
    looks anyway, since it would then win for every other library too."""
    if re.match(r"/(usr/)?lib(64)?(/[^/]+-linux-gnu)?$", directory):
        return ""
    return " -Wl,--disable-new-dtags,-rpath," + shlex.quote(directory)


def stable_python(pythons):
    """The oldest: headers promise nothing to those before them."""
    return min((p for p in pythons if not p.is_free_threaded()),
               key=lambda p: p.version, default=None)


def pythons_ninja(pythons):
    text = ""
    for python in pythons:
        libdir = os.path.dirname(python.library)
        values = {
            "tag": python.tag,
            "t": "build/" + python.tag,
            "py": shlex.quote(python.executable),
            "py_cflags": "-isystem " + shlex.quote(python.facts["INCLUDEPY"]),
            "py_libs": shlex.quote(python.library) + rpath(libdir),
        }
        text += "".join("%s = %s\n" % (key, ninja_text(value))
                        for key, value in values.items())
        text += "subninja pyapi/python.ninja\n"
    stable = stable_python(pythons)
    if stable:
        text += "py = %s\n" % ninja_text(shlex.quote(stable.executable))
        text += "py_cflags = -isystem %s\n" % ninja_text(
            shlex.quote(stable.facts["INCLUDEPY"]))
        text += "subninja pyapi/stable.ninja\n"
    everything = ["build/%s/all" % p.tag for p in pythons]
    if stable:
        everything.append("build/stable/all")
    host = host_python(pythons)
    if host:
        everything.append("build/%s/dora-inhost.so" % host.tag)
    tests = ["build/%s/test" % p.tag for p in pythons]
    if stable:
        tests.append("build/stable/test")
    if host:
        tests.append("build/%s/dataflows_inhost.ok" % host.tag)
        tests.append("build/%s/source_check.ok" % host.tag)
        tests.append("build/%s/stays_test.ok" % host.tag)
    text += "host_python = %s\n" % ninja_text(shlex.quote(
        (host or pythons[0]).executable)) if pythons else ""
    if host:
        # What `ninja test` leaves out: by default nodes are in both tiers.
        text += "build test_process: phony build/%s/dataflows_process.ok\n" % host.tag
    text += "build build/python: phony %s\n" % " ".join(everything)
    text += "build build/python_test: phony %s\n" % " ".join(tests)
    return text


def table(pythons):
    here = os.path.dirname(os.path.abspath(__file__))
    return "".join("%s\t%s\t%s\t%s\n" % (
        python.tag, python.text(), python.executable,
        os.path.join(here, "build", python.tag, "dora-python"))
        for python in pythons)


def parse():
    parser = argparse.ArgumentParser(
        description="Finds what dora-run is built with; writes build/*.ninja.")
    parser.add_argument("--prefix", default="/usr/local",
                        help="where ninja install puts things (%(default)s)")
    parser.add_argument("--python", action="append", default=[],
                        metavar="PATH", help="an interpreter to build for; may "
                        "repeat (default: every usable one found)")
    parser.add_argument("--no-python", action="store_true",
                        help="build no dora module: the C library, and "
                        "dora-run for nodes of other kinds")
    parser.add_argument("--cc", default=os.environ.get("CC"),
                        help="the C compiler (default: $CC, gcc, clang)")
    parser.add_argument("--setup", nargs="?", const="needed",
                        choices=("needed", "all"),
                        help="install missing packages first; `all`: those "
                        "for optional targets too")
    parser.add_argument("--again", action="store_true",
                        help=argparse.SUPPRESS)  # called by Ninja
    arguments = parser.parse_args()
    arguments.python = [os.path.abspath(shutil.which(path) or path)
                        for path in arguments.python]
    return arguments


def remembered():
    arguments = ["--prefix", ARGS.prefix]
    for path in ARGS.python:
        arguments += ["--python", path]
    if ARGS.no_python:
        arguments.append("--no-python")
    if ARGS.cc:
        arguments += ["--cc", ARGS.cc]
    return arguments


def main():
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
    found, (pythons, refused) = look_around(), find_pythons()
    if ARGS.setup:
        set_up(found, pythons)
        found, (pythons, refused) = look_around(), find_pythons()
    report(found, pythons, refused)
    advise(found, pythons)
    os.makedirs("build", exist_ok=True)
    write("build/config.ninja", config_ninja(
        found, pythons[0] if pythons else None, remembered()))
    write("build/pythons.ninja", pythons_ninja(pythons))
    write("build/stable/pythons", "")
    write("build/pythons", table(pythons))
    say("now: ninja, ninja run, ninja test")


if __name__ == "__main__":
    if sys.version_info < (3, 9):
        sys.exit("configure.py: needs Python 3.9 or newer")
    ARGS = parse()
    main()
