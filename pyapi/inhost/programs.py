"""Programs that a script inside the host starts.

dora-guardian starts them, so that all of them end with the host, and what they
have started as well. To the script they are its children: it waits for them,
and their numbers are theirs until it has. Runs before inhost.py, in the same
globals; given are start_program, await_links, take_end.
"""

import _signal
import errno
import os
import posix
import sys
from os import close as close_fd

started = {}  # process ids: the link by which the end is told
failed = {}  # process ids of those that became no program: exit status
own_fds = {}  # what a script's 0, 1 and 2 are; inhost.py says so

# From dora__spawn_step: the program has not been reached, and why.
MESSAGE, FORK, PREPARE, DIRECTORY = 1, 2, 3, 4

RESTORED = _signal.SIGPIPE, _signal.SIGXFSZ  # what Python ignores
LEAVE_GROUP = -1
LOOK_UP = 100  # ms: a wait takes notice of a stop


def launch(programs, argv, env, places, directory=b"", *, defaults=(),
           blocked=(), session=False, group=LEAVE_GROUP, umask=-1, uid=None,
           gid=None, groups=None):
    """The process id, and if it cannot run the program, where and why."""
    if env is None:
        env = os.environ
    if hasattr(env, "keys"):
        env = [os.fsencode(key) + b"=" + os.fsencode(env[key]) for key in env]
    pid, step, code = start_program(
        started, [os.fsencode(program) for program in programs],
        [os.fsencode(word) for word in argv], list(env), places, directory,
        sum(1 << number - 1 for number in set(defaults)),
        sum(1 << number - 1 for number in set(blocked)),
        session, group, umask, uid, gid, groups)
    failed.pop(pid, None)
    if step in (MESSAGE, FORK):
        raise OSError(code, os.strerror(code))
    return pid, step, code


def inheritable_fds():
    try:
        fds = map(int, os.listdir("/proc/self/fd"))
    except OSError:
        fds = range(3, 1024)
    places = dict(own_fds)
    for fd in fds:
        try:
            if fd > 2 and os.get_inheritable(fd):
                places[fd] = fd
        except OSError:
            pass
    return places


# --- starting ------------------------------------------------------------------


def mend_posixsubprocess(module):
    def fork_exec(*args):
        (argv, programs, close_fds, passed, cwd, env, stdin, _, _, stdout, _,
         stderr, _, errors, restore_signals, session, group, gid, groups, uid,
         umask, preexec_fn, *_) = args
        if preexec_fn is not None:
            raise RuntimeError("preexec_fn not supported within subinterpreters")
        places = {} if close_fds else inheritable_fds()
        places.update((fd, own_fds.get(fd, fd)) for fd in passed if fd != errors)
        for fd, given in enumerate((stdin, stdout, stderr)):
            given = fd if given == -1 else given
            places[fd] = own_fds.get(given, given)
        pid, step, code = launch(
            programs, argv, env, places, b"" if cwd is None else os.fsencode(cwd),
            defaults=RESTORED if restore_signals else (), session=session,
            group=group, umask=umask, uid=uid, gid=gid, groups=groups)
        if step:
            place = {DIRECTORY: "noexec:chdir", PREPARE: "noexec"}.get(step, "")
            failed[pid] = 255 << 8
            os.write(errors, b"OSError:%X:%s" % (code, place.encode()))
        return pid

    module.fork_exec = fork_exec


def act_on_files(actions, opened):
    """What posix_spawn is to do with descriptors, as the place of each."""
    places = inheritable_fds()
    for action, fd, *rest in actions or ():
        if action == os.POSIX_SPAWN_OPEN:
            opened.append(os.open(*rest))
            places[fd] = opened[-1]
        elif action == os.POSIX_SPAWN_CLOSE:
            places.pop(fd, None)
        elif action == os.POSIX_SPAWN_CLOSEFROM:
            places = {place: places[place] for place in places if place < fd}
        elif action == os.POSIX_SPAWN_DUP2:
            places[rest[0]] = places.get(fd, fd)
        else:
            raise TypeError("Unknown file_actions identifier")
    return places


def spawn(path, programs, argv, env, *, file_actions=(), setpgroup=LEAVE_GROUP,
          resetids=False, setsid=False, setsigmask=(), setsigdef=(),
          scheduler=None):
    if not argv:
        raise ValueError("posix_spawn: argv must not be empty")
    if scheduler is not None:
        raise RuntimeError(f"a scheduler is not for programs of {INSIDE}")
    sys.audit("os.posix_spawn", path, argv, env)
    opened = []
    try:
        pid, step, code = launch(
            programs, argv, env, act_on_files(file_actions, opened),
            defaults=setsigdef, blocked=setsigmask, session=setsid,
            group=setpgroup)
    finally:
        for fd in opened:
            close_fd(fd)
    if step:
        raise OSError(code, os.strerror(code), path)
    return pid


def posix_spawn(path, argv, env, /, **how):
    return spawn(path, [path], argv, env, **how)


def posix_spawnp(path, argv, env, /, **how):
    name = os.fsencode(path)
    places = [b""] if b"/" in name else map(os.fsencode, os.get_exec_path())
    return spawn(path, [os.path.join(place, name) for place in places], argv,
                 env, **how)


# --- waiting -------------------------------------------------------------------


def matching(pid):
    """Those that waitpid(pid) would mean."""
    if pid > 0:
        return [pid] if pid in started else []
    group = os.getpgrp() if pid == 0 else -pid
    return [number for number in list(started)
            if pid == -1 or os.getpgid(number) == group]


def await_end(pid, options, keep=False):
    """Process id, status and usage of one that has ended; (0, 0, None)."""
    while True:
        status = failed.get(pid) if keep else failed.pop(pid, None)
        if status is not None:
            return pid, status, None
        numbers = matching(pid)
        if not numbers:
            raise ChildProcessError(errno.ECHILD, os.strerror(errno.ECHILD))
        links = [started.get(number, -1) for number in numbers]
        at = await_links(links, 0 if options & os.WNOHANG else LOOK_UP)
        # Another thread may have taken it meanwhile.
        end = take_end(started, numbers[at], keep) if at >= 0 else None
        if end is not None:
            return numbers[at], *end
        if at < 0 and options & os.WNOHANG:
            return 0, 0, None


def waitpid(pid, options, /):
    return await_end(pid, options)[:2]


def wait4(pid, options):
    from resource import struct_rusage
    pid, status, usage = await_end(pid, options)
    return pid, status, struct_rusage(usage or (0.0, 0.0, *(0,) * 14))


def waitid(kind, number, options, /):
    if not options & os.WEXITED:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    if kind == os.P_ALL:
        number = -1
    elif kind == os.P_PGID:
        number = -number
    elif kind == os.P_PIDFD:
        with open(f"/proc/self/fdinfo/{number}") as facts:
            number = int(facts.read().partition("Pid:")[2].split()[0])
    pid, status, _ = await_end(number, options, options & os.WNOWAIT)
    if pid == 0:
        return None
    code = os.CLD_EXITED
    if os.WIFSIGNALED(status):
        code = os.CLD_DUMPED if os.WCOREDUMP(status) else os.CLD_KILLED
    value = (os.WEXITSTATUS(status) if code == os.CLD_EXITED
             else os.WTERMSIG(status))
    return os.waitid_result((pid, os.getuid(), _signal.SIGCHLD,
                              value, code))


def own_programs():
    own = (posix_spawn, posix_spawnp, waitpid, wait4, waitid)
    functions = {function.__name__: function for function in own}
    functions["wait"] = lambda: waitpid(-1, 0)
    functions["wait3"] = lambda options: wait4(-1, options)
    for name, function in functions.items():
        setattr(os, name, function)
        setattr(posix, name, function)


def end_programs():
    """Those that are left: nobody else knows of them."""
    while started:
        close_fd(started.popitem()[1])
