"""Checks of the house style that no compiler makes; `ninja lint` runs it.

    python3 tests/lint.py [--nm build/libdora.a build/libdora-python.a]

What is checked stands at the head of each check_ function. Prints one line per
complaint, `file:line: text`, and fails when there is one.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

FILE_LINES = 600
FUNCTION_LINES = 80

# Calls that are wrong everywhere, with what to use.
BANNED = {
    "strcpy": "memcpy with a known size", "strcat": "struct dora__text",
    "sprintf": "snprintf", "vsprintf": "vsnprintf", "gets": "getline",
    "strtok": "strtok_r, or walk the text", "atoi": "strtol",
    "atol": "strtol", "atof": "strtod", "alloca": "malloc",
    "PyGILState_Ensure": "the node's own thread state",
    "PyGILState_Release": "the node's own thread state",
    "PyGILState_GetThisThreadState": "PyThreadState_Get",
}
# Plays a library with threads of its own, as others are.
STRANGER = "tests/dataflows/foreign.c"
# Asks about threads that C code has crashed in, which are attached to nothing.
LAST_WORDS = "pyapi/inhost/inhost_fault.c"
# Calls that a library must not make: its host prints, exits and has the
# process's state, not it.
BANNED_IN_LIBRARY = ("exit", "_exit", "quick_exit", "abort", "printf", "vprintf",
                     "puts", "putchar", "perror", "system", "popen", "signal",
                     "sigaction", "chdir", "fchdir", "setenv", "putenv",
                     "unsetenv", "clearenv", "setlocale", "srand")
# One of them only asks here.
ASKS = re.compile(r"sigaction\(\w+, NULL, ")
# Programs: what is not the library.
PROGRAMS = re.compile(r"runtime/(command/\w+|guardian/guardian(_start)?)\.c$")
# Before exec a forked child may only _exit.
FORKS = re.compile(r"runtime/guardian/guardian\w*\.c$")

# The directories of runtime/, from the bottom: a file may include what lies in
# its own and below. What lies in none is for all.
FLOORS = ("graph", "plane", "node", "guardian", "host", "source", "flow",
          "command")
# Memory knows no graphs, but what is to be made.
OF_GRAPH = ("graph/plan.h",)
# What pyapi/ may see of runtime/.
FOR_PYTHON = {"dora.h", "base.h", "guardian/guardian_client.h", "node/arrow.h",
              "node/node.h", "host/file.h", "host/kind.h"}
# The rooms of pyapi/ that another one uses, and by whom.
PYTHON_ROOMS = {"module": ("inhost", "program"), "launch": (), "inhost": (),
                "program": ()}
# What dora-run and examples/ see of the library.
FOR_PROGRAMS = {"dora.h", "base.h", "nearest.h", "logline.h"}

COMPLAINTS = []


def complain(path, line, text):
    COMPLAINTS.append("%s:%d: %s" % (path, line, text))


def tracked(*patterns):
    done = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "--",
                           *patterns], cwd=TOP, check=True, text=True,
                          stdout=subprocess.PIPE)
    return [path for path in done.stdout.splitlines()
            if os.path.exists(os.path.join(TOP, path))]


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        return file.read()


def code_of(text):
    """The text with comments and literals blanked, line breaks kept."""
    pattern = r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(pattern, lambda match: re.sub(r"[^\n]", " ", match.group()),
                  text, flags=re.DOTALL)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


# --- one file ------------------------------------------------------------------------


def check_calls(path, code):
    """No call that is wrong everywhere; in a library none that is its host's
    to make; every atomic says its order."""
    for name, instead in BANNED.items():
        if path == STRANGER and name.startswith("PyGILState"):
            continue
        if path == LAST_WORDS and name == "PyGILState_GetThisThreadState":
            continue
        for match in re.finditer(r"\b%s\s*\(" % name, code):
            complain(path, line_of(code, match.start()),
                     "%s: use %s" % (name, instead))
    for match in re.finditer(r"\batomic_(load|store|exchange|fetch_(add|sub|and|or|xor)|"
                             r"compare_exchange_(weak|strong))\s*\(", code):
        if path.startswith("tests/"):
            break
        complain(path, line_of(code, match.start()),
                 "%s without an explicit order" % match.group().rstrip("( "))
    library = path.startswith("runtime/") and not PROGRAMS.match(path)
    for name in BANNED_IN_LIBRARY if library else ():
        if name == "_exit" and FORKS.match(path):
            continue
        for match in re.finditer(r"(?<![\w.>])%s\s*\(" % name, code):
            if ASKS.match(code, match.start()):
                continue
            complain(path, line_of(code, match.start()),
                     "%s: not for a library" % name)


def check_sizes(path, code):
    """A file has a subject and a function a page."""
    lines = code.splitlines()
    if len(lines) > FILE_LINES:
        complain(path, len(lines), "%d lines: more than %d, split it by noun"
                 % (len(lines), FILE_LINES))
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            if number - start > FUNCTION_LINES:
                complain(path, start, "function of %d lines: more than %d"
                         % (number - start, FUNCTION_LINES))
            start = None


def check_words(path, text):
    """Nothing left to do is left in the code; lines fit."""
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
            complain(path, number, "loose end: " + line.strip())
        if len(line) > 80 and "http" not in line:
            complain(path, number, "%d columns" % len(line))
        if line != line.rstrip() or "\t" in line:
            complain(path, number, "tab, or blank at the end of the line")


def check_test_names(path, code):
    """tests/ring_test.c and ring_stress_test.c hold test_ring_<fact>."""
    stem = re.fullmatch(r"tests/([a-z0-9]+)\w*_test\.c", path)
    if not stem:
        return
    for match in re.finditer(r"^(?!#define).*cmocka_unit_test\w*\(\s*(\w+)",
                             code, re.MULTILINE):
        if not match.group(1).startswith("test_%s_" % stem.group(1)):
            complain(path, line_of(code, match.start()), "%s: not test_%s_..."
                     % (match.group(1), stem.group(1)))


# --- includes ------------------------------------------------------------------------


def includes(text):
    return [(line_of(text, match.start()), match.group(1)) for match in
            re.finditer(r'^#include [<"]([^>"]+)[>"]', text, re.MULTILINE)]


def floor_of(name):
    """How high the directory of a file of runtime/ stands; 0: none, for all."""
    directory = name.rpartition("/")[0]
    return FLOORS.index(directory) + 1 if directory in FLOORS else 0


def wrong_arrow(path, name):
    """What is wrong with an include in this file; None: nothing."""
    top, _, below = path.partition("/")
    ours = os.path.exists(os.path.join(TOP, "runtime", name))
    if top == "runtime" and (name == "Python.h" or "pyapi" in name):
        return "runtime knows no Python"
    if top == "pyapi" and ours and name not in FOR_PYTHON:
        return "pyapi sees of runtime only " + ", ".join(sorted(FOR_PYTHON))
    room = name.partition("/")[0]
    if top == "pyapi" and room in PYTHON_ROOMS and \
            below.partition("/")[0] not in PYTHON_ROOMS[room]:
        return "not for " + path.rpartition("/")[0]
    if (below.startswith("command/") or top == "examples") and ours and \
            name not in FOR_PROGRAMS:
        return "a program sees " + ", ".join(sorted(FOR_PROGRAMS))
    if top == "runtime" and floor_of(name) > floor_of(below):
        return "%s stands below it" % path.rpartition("/")[0]
    if below.startswith("plane/") and name.startswith("graph/") and \
            name not in OF_GRAPH:
        return "memory knows no graph"
    return None


def check_arrows(path, text):
    """Dependencies point one way; a source includes its own header first."""
    own = os.path.basename(path)[:-2] + ".h"
    names = includes(text)
    if path.endswith(".c") and path.startswith(("runtime/", "pyapi/")) and \
            own in [name for _, name in names] and names[0][1] != own:
        complain(path, names[0][0], "include %s first" % own)
    for line, name in names:
        wrong = wrong_arrow(path, name)
        if wrong:
            complain(path, line, "%s: %s" % (name, wrong))


def check_cycles(headers):
    """No header reaches itself."""
    edges = {os.path.basename(path): [os.path.basename(name) for _, name in
                                      includes(read(path))]
             for path in headers}

    def reaches(start, name, seen):
        for after in edges.get(name, ()):
            if after == start:
                return True
            if after not in seen:
                seen.add(after)
                if reaches(start, after, seen):
                    return True
        return False

    for path in headers:
        name = os.path.basename(path)
        if reaches(name, name, set()):
            complain(path, 1, "includes itself by way of others")


# --- symbols -------------------------------------------------------------------------


def symbols(archive):
    """Name to visibility, of what the archive defines for others."""
    done = subprocess.run(["readelf", "--wide", "--symbols", archive], cwd=TOP,
                          check=True, text=True, stdout=subprocess.PIPE)
    found = {}
    for line in done.stdout.splitlines():
        words = line.split()
        if len(words) == 8 and words[4] in ("GLOBAL", "WEAK") and \
                words[6] != "UND":
            found[words[7]] = words[5]
    return found


def check_symbols(archives):
    """The libraries define dora_ names only; visible are exactly those that
    dora.h declares, and all of them are there."""
    header = code_of(read("runtime/dora.h"))
    declared = set()
    for match in re.finditer(r"^(?:extern )?DORA_API\b[^;{]*;", header,
                             re.MULTILINE):
        name = re.search(r"\b(dora_\w+)\s*(\(|;)", match.group())
        declared.add(name.group(1))
    defined = {}
    for archive in archives:
        for name, visibility in symbols(archive).items():
            defined[name] = visibility
            if not name.startswith("dora_") or (
                    name.startswith("dora__") and visibility != "HIDDEN"):
                complain(archive, 0, "%s: %s symbol" % (
                    name, visibility.lower()))
            elif visibility == "DEFAULT" and name not in declared:
                complain(archive, 0, "%s: exported but not in dora.h" % name)
    for name in sorted(declared - set(defined)):
        complain("runtime/dora.h", 0, "%s: declared but not defined" % name)


# --- tools ---------------------------------------------------------------------------


def check_format(paths):
    """clang-format would change nothing."""
    tool = shutil.which("clang-format")
    if tool is None:
        print("lint: clang-format not found, formatting not checked")
        return
    done = subprocess.run([tool, "--dry-run", "-Werror", *paths], cwd=TOP,
                          text=True, stderr=subprocess.PIPE)
    seen = set()
    for match in re.finditer(r"^(\S+?):(\d+):\d+: error:", done.stderr,
                             re.MULTILINE):
        if match.group(1) not in seen:
            seen.add(match.group(1))
            complain(match.group(1), int(match.group(2)),
                     "not formatted; ninja format")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nm", nargs="*", default=[], metavar="ARCHIVE")
    arguments = parser.parse_args()
    sources = tracked("*.c", "*.h")
    for path in sources:
        text = read(path)
        code = code_of(text)
        check_calls(path, code)
        check_sizes(path, code)
        check_words(path, text)
        check_test_names(path, code)
        check_arrows(path, text)
    check_cycles([path for path in sources if path.endswith(".h")])
    check_format(sources)
    if arguments.nm:
        check_symbols(arguments.nm)
    for complaint in sorted(COMPLAINTS):
        print(complaint)
    print("lint: %d files, %d complaints" % (len(sources), len(COMPLAINTS)))
    return 1 if COMPLAINTS else 0


if __name__ == "__main__":
    sys.exit(main())
