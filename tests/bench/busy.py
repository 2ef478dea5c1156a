"""A node that computes, and prints how much it got done in each tenth of a
second, as JSON. With REST=1 it rests in every second tenth. The same as a
program of its own, without dora, with BARE=1."""

import json
import os
import time

TENTH = 0.1
REST = os.environ["REST"] == "1"

if "BARE" not in os.environ:
    from dora import Node
    node = Node()


def compute():
    total = 0
    for i in range(10_000):
        total += i


done = {}
end = time.monotonic() + float(os.environ["SECONDS"])
while (now := time.monotonic()) < end:
    tenth = int(now / TENTH)
    if REST and tenth % 2 == 0:
        time.sleep(max(0, (tenth + 1) * TENTH - now))
        continue
    compute()
    done[tenth] = done.get(tenth, 0) + 1
print(json.dumps(done))
