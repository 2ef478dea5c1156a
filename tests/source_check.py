"""Reads many Python files twice, with runtime's eyes and with tokenize, and
compares all names and their lines: `source_check.py PROGRAM [DIRECTORY]`.

The files are those of this Python's own library (which has to be 3.12 or newer:
f-strings), or of a directory. What tokenize cannot read is left out.
"""

import os
import subprocess
import sys
import sysconfig
import tokenize


def find_files(top):
    for directory, below, files in os.walk(top):
        below[:] = sorted(b for b in below if b not in (
            "site-packages", "__pycache__", "bad_coding", "lib2to3"))
        if os.path.basename(directory) == "test":
            # Of its tests those of what is hard to read.
            below.clear()
            files = [f for f in files if f.startswith((
                "test_fstring", "test_gramm", "test_synt", "test_tok",
                "test_string_l", "test_unicode_id", "test_ast", "test_exc"))]
        yield from (os.path.join(directory, f) for f in sorted(files)
                    if f.endswith(".py"))


def names_of(path):
    """None: not one for the comparison."""
    try:
        with open(path, "rb") as file:
            tokens = list(tokenize.tokenize(file.readline))
    except (SyntaxError, tokenize.TokenError):
        return None
    if tokens[0].string.lower() not in ("utf-8", "utf-8-sig"):
        return None
    return [(t.start[0], t.string) for t in tokens if t.type == tokenize.NAME]


def main():
    program, *rest = sys.argv[1:]
    files = list(find_files(rest[0] if rest else sysconfig.get_path("stdlib")))
    text = subprocess.run([program, *files], check=True, capture_output=True).stdout
    found, names = {}, None
    for line in text.decode("utf-8", "surrogateescape").split("\n")[:-1]:
        if line.startswith("/"):
            names = found[line] = []
        else:
            number, name = line.split(" ")
            names.append((int(number), name))
    compared = wrong = 0
    for path in files:
        expected = names_of(path)
        if expected is None:
            continue
        compared += 1
        if found[path] != expected:
            wrong += 1
            different = next((pair for pair in zip(found[path], expected)
                              if pair[0] != pair[1]),
                             (found[path][-1:], expected[-1:]))
            print(f"{path}: read {different[0]}, is {different[1]}")
    print(f"{compared - wrong} of {compared} files read alike")
    sys.exit(wrong > 0 or compared == 0)


if __name__ == "__main__":
    main()
