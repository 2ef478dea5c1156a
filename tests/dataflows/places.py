"""Commands that execute the rest of their line where something is missing."""

import contextlib
import os
import subprocess
import tempfile
import unittest


#: Where groups with a memory limit are made, of version 2 or 1: their limit,
#: the file that counts the kernel's kills there, and what swap they may have.
GROUPS = [
    ("/sys/fs/cgroup", "memory.max", "memory.events", "memory.swap.max"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.oom_control", None),
]


def make_group():
    """A new one, as a row of GROUPS."""
    for top, *files in GROUPS:
        with contextlib.suppress(OSError):
            place = tempfile.mkdtemp(prefix="dora-test-", dir=top)
            if os.path.exists(f"{place}/{files[0]}"):
                return place, *files
            os.rmdir(place)
    raise unittest.SkipTest("no control group can be made")


@contextlib.contextmanager
def control_group(size):
    """A command that executes the rest of its line in a group with so much
    memory, and what counts the kernel's kills there."""
    place, limit, events, swap = make_group()
    try:
        with open(f"{place}/{limit}", "w") as file:
            file.write(str(size))
        if swap and os.path.exists(f"{place}/{swap}"):
            with open(f"{place}/{swap}", "w") as file:
                file.write("0")

        def kills():
            with open(f"{place}/{events}") as file:
                return dict(line.split() for line in file)["oom_kill"]

        yield ["sh", "-c", f'echo $$ > {place}/cgroup.procs; exec "$@"', "sh"], kills
    finally:
        os.rmdir(place)


#: Executes the rest of its line with little memory to lock, root or not.
LITTLE_LOCKED = ["prlimit", "--memlock=65536:65536"]
if os.geteuid() == 0:
    LITTLE_LOCKED += ["setpriv", "--bounding-set=-ipc_lock"]


def own_namespace(kind):
    """A command that executes the rest of its line in one of its own."""
    for options in ([kind], ["-r", kind]):
        if not subprocess.run(
            ["unshare", *options, "true"], capture_output=True
        ).returncode:
            return ["unshare", *options]
    raise unittest.SkipTest("no namespace can be made")


def own_mounts(commands):
    """Executes the rest of its line after `commands`, which may mount."""
    return [*own_namespace("-m"), "sh", "-ec", f'{commands}\nexec "$@"', "sh"]


def as_nobody(*programs):
    """Executes the rest of its line as another user, who may run these."""
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if os.geteuid() != 0:
        raise unittest.SkipTest("only root may be another")
    for program in programs:
        if subprocess.run(  # setpriv itself still may what root may
            [*nobody, "sh", "-c", '"$0" --version', program], capture_output=True
        ).returncode:
            raise unittest.SkipTest(f"{program} is not for everybody")
    return nobody
