#!/usr/bin/env python3
"""Finds out which modules of the standard library interpreters inside the host
may have, and writes what it found:

    pyapi/inhost/sound.list    C code that several interpreters may load at once
    pyapi/launch/modules.list  all modules; a reason where a script that imports
                               it is not run inside the host without being asked

    sound.py --table build/pythons --to pyapi

Each module is tried in processes of its own, by probe.py: two interpreters at
once are made, import it, use it, collect garbage and end, again and again, while
the host's main interpreter has met _datetime only. What any of the Pythons fails
at is left out. The rest is a matter of judgment, and stands here: UNSOUND is
never loaded, UNFIT is loaded when a script is run inside by request.
"""

import argparse
import concurrent.futures
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))

# Passes, and is refused all the same.
UNSOUND = {
    "_ctypes": "a thread of a C library that calls back finds no interpreter",
}

BLOCKS = "it can wait where no stop reaches"
PROCESS = "it acts on the process"
STARTS = "it starts programs"
THREADS = "threads of the script can outlive it"
LOADS = "it runs what cannot be seen here"
TERMINAL = "it is for a terminal"
TRACES = "it watches other code"

# Not inside without being asked, whatever the interpreters make of it.
UNFIT = {
    **dict.fromkeys("""
        _asyncio _dbm _gdbm _multiprocessing _posixshmem _socket _sqlite3 _ssl
        asyncio dbm fcntl ftplib http imaplib logging.config logging.handlers mailbox
        nntplib poplib select selectors shelve smtplib socket socketserver
        sqlite3 ssl telnetlib urllib.request urllib.robotparser wsgiref xmlrpc
        xml.sax.expatreader fileinput
    """.split(), BLOCKS),
    **dict.fromkeys("""
        _locale _posixsubprocess _signal faulthandler grp locale posix pwd
        resource signal spwd syslog
    """.split(), PROCESS),
    **dict.fromkeys("""
        antigravity ensurepip multiprocessing platform pty pydoc pydoc_data
        subprocess venv webbrowser _aix_support _osx_support
    """.split(), STARTS),
    **dict.fromkeys("""
        _dummy_thread _queue _thread _threading_local concurrent queue sched
        threading
    """.split(), THREADS),
    **dict.fromkeys("""
        __main__ _frozen_importlib _frozen_importlib_external _imp
        _interpchannels _interpqueues _interpreters _xxinterpchannels
        _xxsubinterpreters builtins code codeop compileall importlib imp marshal
        modulefinder pkgutil py_compile runpy site sitecustomize usercustomize
        zipapp zipimport
    """.split(), LOADS),
    **dict.fromkeys("""
        _curses _curses_panel _pyrepl _tkinter cmd curses getpass idlelib
        readline rlcompleter termios tkinter tty turtle turtledemo
    """.split(), TERMINAL),
    **dict.fromkeys("""
        _lsprof _remote_debugging _testcapi _tracemalloc bdb cProfile doctest pdb
        profile profiling pstats test trace tracemalloc unittest
    """.split(), TRACES),
    **dict.fromkeys("_ctypes ctypes lib2to3".split(), "it calls C code"),
}


def find_unfit(name):
    while name:
        if name in UNFIT:
            return UNFIT[name]
        name = name.rpartition(".")[0]
    return None


class Python:
    def __init__(self, path):
        self.path = path
        self.facts = self.probe("facts")

    def probe(self, *arguments):
        """What probe.py says, as JSON; None if it crashed or hung."""
        try:
            done = subprocess.run(
                [self.path, "-I", os.path.join(HERE, "probe.py"), *arguments],
                capture_output=True, text=True, timeout=120)
            return json.loads(done.stdout.splitlines()[-1])
        except (subprocess.TimeoutExpired, ValueError, IndexError):
            return None

    def trouble(self, what, names, sound=()):
        """{name: what is wrong with it}, those without trouble left out; names
        that it does not have are None."""
        found = self.probe(what, ",".join(names), ",".join(sound))
        if found is not None and not found:
            return {}
        if len(names) > 1:
            half = len(names) // 2
            return {**self.trouble(what, names[:half], sound),
                    **self.trouble(what, names[half:], sound)}
        return found or {names[0]: "it ends the process"}

    def all_trouble(self, what, names, sound=()):
        groups = [names[i:i + 8] for i in range(0, len(names), 8)]
        found = {}
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for part in pool.map(
                    lambda group: self.trouble(what, group, sound), groups):
                found.update(part)
        return found


def judge(pythons):
    """(sound C modules, {module: reason or None})"""
    sound, unsound = set(), set(UNSOUND)
    for python in pythons:
        names = [n for n in python.facts["extensions"] if n not in UNSOUND]
        trouble = python.all_trouble("extension", names)
        unsound |= set(trouble)
        sound |= set(names) - set(trouble)
        for name, words in sorted(trouble.items()):
            print(f"{python.facts['version']}: {name}: {words}", file=sys.stderr)
    sound -= unsound

    modules = {}
    for python in pythons:
        names = python.facts["modules"]
        asked = [name for name in names if find_unfit(name) is None]
        trouble = python.all_trouble("module", asked, sorted(sound))
        for name in names:
            reason = find_unfit(name) or trouble.get(name)
            if reason != "missing":
                modules[name] = modules.get(name) or reason
    return sound, modules


def lines_of(modules):
    """Below an unfit one nothing needs to be said."""
    for name in sorted(modules):
        parents = [name[:i] for i, c in enumerate(name) if c == "."]
        if not any(modules.get(parent) for parent in parents):
            yield f"{name} {modules[name]}" if modules[name] else name


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--table", required=True, help="of dora-run's Pythons")
    parser.add_argument("--to", required=True, help="directory of both")
    options = parser.parse_args()
    with open(options.table) as table:
        rows = [line.split("\t") for line in table]
    # Nodes of a free-threaded one ("3.14.0t") are processes.
    pythons = [Python(path) for _, version, path, _ in rows
               if not version.endswith("t")
               and [int(n) for n in version.split(".")] >= [3, 13]]
    if not pythons:
        sys.exit("sound.py: none of the Pythons is 3.13 or newer")
    sound, modules = judge(pythons)
    for name, lines in (("inhost/sound.list", sorted(sound)),
                        ("launch/modules.list", lines_of(modules))):
        with open(os.path.join(options.to, name), "w") as file:
            file.writelines(line + "\n" for line in lines)
    print(f"{len(sound)} sound, {len(modules)} modules by Python",
          ", ".join(p.facts["version"] for p in pythons))


if __name__ == "__main__":
    main()
