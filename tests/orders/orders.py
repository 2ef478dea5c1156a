"""Checks the memory orders of ring.h and bell.h with Relacy.

    python3 tests/orders/orders.py BUILD [DRAWS]
    python3 tests/orders/orders.py BUILD --places

The second only looks whether each weakening still finds its place; it needs no
Relacy.

The headers are read as C++ with each `_Atomic T` a `shared<T>` of Relacy's,
and run as they are by orders.cpp. Then one order after the other is weakened:
each weakening must be found, else the checker would be blind to it.

Relacy runs the accesses of a thread in the order of the program; loads may
return old values. So it does not see what only a load after a later store
could break: the release half of dora__front_pop and the acquire of the head in
dora__edge_fill are kept by reasoning alone.
"""

import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PLANE = os.path.join(os.path.dirname(os.path.dirname(HERE)), "runtime/plane")
HEADERS = ("layout.h", "bell.h", "ring.h")

# function, what stands there (a regular expression), what is put there; `#` is
# the number of the weakening.
FENCE = r"dora__fence_full\(\);"
NO_FENCE = "if (orders_weakening != #) dora__fence_full();"
WEAKENINGS = [
    ("tail is not released", "dora__ring_put",
     r"memory_order_release", "WEAKER(#, release)"),
    ("tail is not acquired", "dora__edge_look",
     r"(?<=tail\[ring\], )memory_order_acquire", "WEAKER(#, acquire)"),
    ("record is not released", "dora__record_release",
     r"memory_order_release", "WEAKER(#, release)"),
    ("drop breaks the release sequence", "dora__ring_drop",
     r"atomic_fetch_and_explicit\(\s*(&.*?holders),\s*(~.*?),\s*"
     r"memory_order_relaxed\);",
     r"if (orders_weakening == #) atomic_store_explicit(\1, "
     r"atomic_load_explicit(\1, memory_order_relaxed) & \2, "
     r"memory_order_relaxed); else \g<0>"),
    ("sleeper has no fence", "dora__bell_arm", FENCE, NO_FENCE),
    ("ringer has no fence", "dora__bell_ring", FENCE, NO_FENCE),
    ("gate is not acquired", "dora__gate_enter",
     r"memory_order_acquire", "WEAKER(#, acquire)"),
    ("gate is not released", "dora__gate_leave",
     r"memory_order_release", "WEAKER(#, release)"),
    ("gate is not acquired by the host", "dora__gate_try_host",
     r"memory_order_acquire", "WEAKER(#, acquire)"),
    ("gate is not released by the host", "dora__gate_leave_host",
     r"memory_order_release", "WEAKER(#, release)"),
    ("rings are merged without a second look", "dora__edge_look",
     r"if \(rings == 2\)", "if (rings == 2 && orders_weakening != #)"),
]


def weakened(text, function, pattern, replacement):
    """The text with the first match within the function replaced, or None."""
    start = re.search(r"^%s\(" % function, text, re.M)
    if start is None:
        return None
    end = text.index("\n}", start.end())
    body, count = re.subn(pattern, replacement, text[start.start():end], count=1,
                          flags=re.S)
    return text[:start.start()] + body + text[end:] if count else None


def prepare(build):
    texts = {}
    for name in HEADERS:
        with open(os.path.join(PLANE, name)) as file:
            texts[name] = re.sub(r"_Atomic (u?int\d+_t)", r"shared<\1>",
                                 file.read())
    for number, (name, function, pattern, new) in enumerate(WEAKENINGS, 1):
        new = new.replace("#", str(number))
        for header, text in texts.items():
            changed = weakened(text, function, pattern, new)
            if changed is not None:
                texts[header] = changed
                break
        else:
            sys.exit("orders.py: no place for: " + name)
    os.makedirs(build, exist_ok=True)
    for name, text in texts.items():
        with open(os.path.join(build, name), "w") as file:
            file.write(text)


def main():
    build = sys.argv[1]
    draws = sys.argv[2] if len(sys.argv) > 2 else "20000"
    program = os.path.join(build, "orders")
    prepare(build)
    if draws == "--places":
        return 0
    compiler = os.environ.get("CXX", "g++")
    if subprocess.run([compiler, "-fsyntax-only", "-x", "c++", "-"],
                      input="#include <relacy/pch.hpp>\n", text=True,
                      stderr=subprocess.DEVNULL).returncode != 0:
        sys.exit("orders.py: needs Relacy; on Debian: apt-get install "
                 "relacy-dev")
    subprocess.run([compiler, "-std=gnu++17", "-O1", "-w", "-fpermissive",
                    "-I", HERE, "-I", build, os.path.join(HERE, "orders.cpp"),
                    "-o", program], check=True)
    good = True
    with open(os.path.join(build, "trace"), "w") as trace:
        for number in range(len(WEAKENINGS) + 1):
            name = WEAKENINGS[number - 1][0] if number else "as built"
            done = subprocess.run([program, draws, str(number)], text=True,
                                  stdout=subprocess.PIPE, stderr=trace)
            print("%s: %s" % (name, "passed" if done.returncode == 0 else
                              done.stdout.strip().split("\n")[-1]), flush=True)
            if number == 0:
                print(done.stdout, end="")
            good &= (done.returncode == 0) == (number == 0)
    print("orders: %s" % ("ok" if good else "FAILED"))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
