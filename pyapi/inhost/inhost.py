"""Makes an interpreter inside the host look to its script like a process.

Runs once in each, before the script, with what inhost_calls.c gives it as
globals: argv, env, id, program, ident, native_id, stdout, stderr, sound;
sleeper, file_opener, refuse, registered, acted, leave, interrupt. What a script may take
for its process's and is the host's is replaced here; what cannot be is refused.
"""

import _imp
import _signal
import _thread
import atexit
import builtins
import io
import os
import posix
import sys
import time
from importlib import _bootstrap

# --- extension modules -----------------------------------------------------

# Of the standard library, each known to work in several interpreters at once.
SOUND = frozenset(sound.split())

# The library tries them and does as well without.
OPTIONAL = frozenset(("readline", "_suggestions"))

# Compiled into the interpreter, but for one interpreter only. _ctypes, wherever
# it lies: a thread of a C library that calls back finds the wrong interpreter.
REFUSED_BUILTIN = frozenset(("faulthandler", "_tracemalloc", "_ctypes",
                             "_curses", "_curses_panel", "_tkinter"))


class NeedsProcess(BaseException):
    """The script cannot run inside the host; no concern of its handlers."""


INSIDE = f"node '{id}', which runs inside the host"
REMEDY = "give the node `isolation: process`"


def fail_import(name):
    raise ImportError(
        f"{name} cannot be loaded by {INSIDE}: its C code serves one "
        f"interpreter of a process only; {REMEDY}", name=name)


def refuse_module(name):
    if not refuse(name):
        raise NeedsProcess(name)
    fail_import(name)


def guard_extensions():
    library = os.path.join(sys.base_exec_prefix, sys.platlibdir,
                           "python%d.%d" % sys.version_info[:2], "lib-dynload")
    dynamic, builtin = _imp.create_dynamic, _imp.create_builtin

    def create_dynamic(spec, file=None):
        ours = os.path.dirname(spec.origin) == library
        if ours and spec.name in OPTIONAL:
            fail_import(spec.name)
        if not (ours and spec.name in SOUND):
            refuse_module(spec.name)
        return dynamic(spec)

    def create_builtin(spec):
        if spec.name in REFUSED_BUILTIN:
            refuse_module(spec.name)
        return builtin(spec)

    _imp.create_dynamic, _imp.create_builtin = create_dynamic, create_builtin


# --- modules to mend once they are imported ----------------------------------


class Mender:
    """A loader that lets another one work, then mends the module."""

    def __init__(self, loader, mend):
        self.loader, self.mend = loader, mend

    def __getattr__(self, name):
        return getattr(self.loader, name)

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        module.__loader__ = module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        self.mend(module)


class MenderFinder:
    busy = set()

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        mend = MENDED.get(name)
        if mend is None or name in cls.busy:
            return None
        cls.busy.add(name)
        try:
            spec = _bootstrap._find_spec(name, path, target)
        finally:
            cls.busy.discard(name)
        if spec is not None:
            spec.loader = Mender(spec.loader, mend)
        return spec


def mend_threading(threading):
    # The main thread is the one that runs the script, not the process's. (As
    # one unknown to threading it would count as a daemon, and so would the
    # threads it starts.)
    main = threading._main_thread
    threading._active.pop(main._ident, None)
    main._ident = ident
    main._native_id = native_id
    threading._active[ident] = main


def mend_spawn(module):
    # Its children import dora.
    os.environ["DORA_RUN_PYTHON"] = sys.executable
    module.set_executable(program)


MENDED = {
    "threading": mend_threading,
    "_posixsubprocess": mend_posixsubprocess,
    "multiprocessing.spawn": mend_spawn,
}


# --- what is the process's ----------------------------------------------------


def leave_as(status):
    # No exit handler, no word of what is not run any more.
    atexit._clear()
    sys.unraisablehook = callable
    leave(status)


def own_exits():
    kill, getpid = os.kill, os.getpid
    killpg, getpgrp = os.killpg, os.getpgrp
    raise_any, pthread_kill = _signal.raise_signal, _signal.pthread_kill
    signals = _signal.valid_signals()
    # Two of them Python ignores.
    harmless = {_signal.SIGCHLD, _signal.SIGCONT, _signal.SIGURG,
                _signal.SIGWINCH, _signal.SIGPIPE, _signal.SIGXFSZ}

    def raise_signal(number, /):
        if number not in signals:
            raise_any(number)
        elif number == _signal.SIGINT:
            interrupt()
        elif number not in harmless:
            leave_as(number)

    def own_kill(pid, number, /):
        if number in signals and pid in (0, getpid()):
            raise_signal(number)
        else:
            kill(pid, number)

    def own_killpg(group, number, /):
        if number in signals and group in (0, getpgrp()):
            raise_signal(number)
        else:
            killpg(group, number)

    def own_pthread_kill(thread, number, /):
        if number in signals:
            raise_signal(number)
        else:
            pthread_kill(thread, number)

    os._exit = lambda status: leave_as((status & 0xFF) << 8)
    os.abort = lambda: leave_as(_signal.SIGABRT)
    os.kill, os.killpg = own_kill, own_killpg
    _signal.raise_signal = raise_signal
    _signal.pthread_kill = own_pthread_kill
    _thread.interrupt_main = lambda number=_signal.SIGINT: raise_signal(number)
    for name in ("_exit", "abort", "kill", "killpg"):
        setattr(posix, name, getattr(os, name))


def refusal(name, error, why):
    def refused(*args, **keys):
        raise error(f"{name} is not for {INSIDE}: {why}; {REMEDY}")

    refused.__name__ = refused.__qualname__ = name.partition(".")[2]
    return refused


def refuse_calls():
    # Some would fail by themselves, with words about interpreters; the timers
    # would end the host.
    for name in ("signal", "set_wakeup_fd", "alarm", "setitimer"):
        setattr(_signal, name, refusal(f"signal.{name}", ValueError,
                                       "signals are the process's"))
    for name in ("fork", "forkpty", "execv", "execve"):
        function = refusal(f"os.{name}", RuntimeError,
                           "the process is not its own")
        setattr(os, name, function)
        setattr(posix, name, function)
    # They visit the threads of all interpreters, whose frames they change.
    for name in ("_current_frames", "_current_exceptions"):
        setattr(sys, name, refusal(f"sys.{name}", RuntimeError,
                                   "other nodes' frames are not its own"))


def own_environment():
    pairs = dict(pair.split(b"=", 1) for pair in env)
    # As children.c does it.
    module, path = pairs.pop(b"DORA_RUN_MODULE"), pairs.get(b"PYTHONPATH")
    pairs[b"PYTHONPATH"] = path + b":" + module if path else module
    # The C environment is everybody's.
    os.putenv = os.unsetenv = posix.putenv = posix.unsetenv = \
        lambda *pair: None
    os.environ._data.clear()
    os.environ._data.update(pairs)
    posix.environ.clear()
    posix.environ.update(pairs)

    def system(command):
        import subprocess
        code = subprocess.call(["/bin/sh", "-c", command])
        return code << 8 if code >= 0 else -code

    os.system = posix.system = system


nothing = io.FileIO(os.devnull)  # what its stdin is, were that closed
own_fds.update({0: nothing.fileno(), 1: stdout, 2: stderr})


class Lines(io.BufferedWriter):
    """Keeps nothing back but the beginning of a line."""

    def write(self, data, /):
        count = super().write(data)
        if b"\n" in bytes(data):
            self.flush()
        return count


def own_streams():
    def writer(fd, name, errors):
        raw = io.FileIO(fd, "w", closefd=False)
        raw.name = name
        stream = io.TextIOWrapper(Lines(raw), encoding="utf-8",
                                  errors=errors, write_through=True)
        stream.mode = "w"
        return stream

    raw = io.FileIO(nothing.fileno(), closefd=False)
    raw.name = "<stdin>"
    sys.stdin = sys.__stdin__ = io.TextIOWrapper(
        io.BufferedReader(raw), encoding="utf-8", errors="surrogateescape")
    sys.stdin.mode = "r"
    sys.stdout = sys.__stdout__ = writer(stdout, "<stdout>", "surrogateescape")
    sys.stderr = sys.__stderr__ = writer(stderr, "<stderr>", "backslashreplace")


def own_descriptors():
    # To a script, 0, 1 and 2 are its streams; it cannot close them.
    own = own_fds
    paths = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
    paths.update((f"{place}/fd/{fd}", fd)
                 for place in ("/dev", "/proc/self") for fd in own)
    close, dup, dup2, file_open = os.close, os.dup, os.dup2, open

    def on_own(function):
        def owned(fd, *args):
            return function(own.get(fd, fd), *args)

        owned.__name__ = owned.__qualname__ = function.__name__
        return owned

    def own_close(fd):
        if fd not in own:
            close(fd)

    def own_dup2(fd, fd2, inheritable=True):
        dup2(own.get(fd, fd), own.get(fd2, fd2),
             inheritable and fd2 not in own)
        return fd2

    def open_stream(file, *args, closefd=True, **keys):
        fd = own[paths.get(file, file)]
        return file_open(dup(fd) if closefd else fd, *args, closefd=closefd,
                         **keys)

    replaced = {name: on_own(getattr(os, name))
                for name in ("read", "readv", "write", "writev", "dup", "fstat",
                             "isatty")}
    for name, function in (*replaced.items(), ("close", own_close),
                           ("dup2", own_dup2)):
        setattr(os, name, function)
        setattr(posix, name, function)
    builtins.open = io.open = file_opener(file_open, open_stream)


def own_stacks():
    # On a small one a recursion that Python bears elsewhere ends the host.
    smallest, set_size = 16 << 20, _thread.stack_size

    def stack_size(size=0, /):
        before = set_size(size)
        if 0 < size < smallest:
            set_size(smallest)
        return before

    _thread.stack_size = stack_size


def enter_site():
    """What was left out when this interpreter was made: packages, those of the
    venv that argv[0] lies in, and what their .pth files say."""
    sys.executable = argv[0]
    place = os.path.dirname(os.path.abspath(argv[0]))
    prefix = os.path.dirname(place)
    # Since 3.14 site finds these set.
    if sys.version_info >= (3, 14) and any(
            os.path.isfile(os.path.join(above, "pyvenv.cfg"))
            for above in (place, prefix)):
        sys.prefix = sys.exec_prefix = prefix
    import site


def own_script():
    script, main = argv[2], sys.modules["__main__"]
    sys.orig_argv = list(argv)
    main.__spec__ = main.__cached__ = None
    main.__builtins__ = builtins
    if script == "-c":
        sys.argv = ["-c"] + argv[4:]
        place = ""
    else:
        from importlib.machinery import SourceFileLoader

        sys.argv = argv[2:]
        place = os.path.dirname(os.path.realpath(script))
        main.__file__ = script
        main.__loader__ = SourceFileLoader("__main__", script)
    if not sys.flags.safe_path:
        sys.path.insert(0, place)


# --- what cannot be undone ------------------------------------------------------

ACTS = {
    "_thread.start_new_thread": "started a thread",
    "_thread.start_joinable_thread": "started a thread",
    "socket.__new__": "opened a socket",
    "subprocess.Popen": "started a program",
    "os.posix_spawn": "started a program",
    "os.mkdir": "made a directory",
    "os.remove": "removed a file",
    "os.rmdir": "removed a directory",
    "os.truncate": "changed a file",
    "os.link": "made a link",
    "os.symlink": "made a link",
}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def watch(event, args):
    if event == "open":
        path, _, flags = args
        if not flags & WRITES or registered() or isinstance(path, int):
            return
        path = os.fsdecode(path)
        if "__pycache__" not in path and path != os.devnull:
            acted(f"opened {path} for writing")
    elif event in ACTS and not registered():
        acted(ACTS[event])


# --- the end ---------------------------------------------------------------------


ONLY_AST = 0x400  # ast.PyCF_ONLY_AST
Lock = type(_thread.allocate_lock())


def step_of(frame):
    """What the source says of the step that the frame is at: an expression."""
    steps = list(frame.f_code.co_positions())
    line, last, start, end = steps[frame.f_lasti // 2]
    if line != last:
        return None
    with io.open_code(frame.f_code.co_filename) as file:
        text = file.read().splitlines()[line - 1]
    return compile(text[start:end].strip(), "<lock>", "eval", ONLY_AST)


def named_lock(frame):
    """The lock that the frame takes just now, by `with` or acquire(), or None:
    if the step it is at says so, and nothing but names. Imports nothing: the
    script may have been interrupted in an import, and keep its locks."""
    step = step_of(frame)
    if step is None:
        return None
    if type(step.body).__name__ == "Call":
        step.body = step.body.func
        if getattr(step.body, "attr", "") != "acquire":
            return None
        step.body = step.body.value
    name = step.body
    while type(name).__name__ == "Attribute":
        name = name.value
    if type(name).__name__ != "Name":
        return None
    found = eval(compile(step, "<lock>", "eval"), frame.f_globals, frame.f_locals)
    return found if isinstance(found, Lock) else None


def loosen(frame):
    """Ends the script's wait for a condition or a lock, so that it meets the
    exception it has been sent. Nothing else does where locks are mutexes of
    CPython's own: since 3.13.5 interrupts are no concern of theirs but in the
    main thread."""
    threading = sys.modules.get("threading")
    if threading and frame.f_code is threading.Condition.wait.__code__:
        frame.f_locals["waiter"].release()
        return
    lock = named_lock(frame)
    if lock is not None:
        lock.release()


def is_interrupt(error):
    """Whether Python ends as if by SIGINT: since 3.14 its subclasses count."""
    if sys.version_info >= (3, 14):
        return isinstance(error, KeyboardInterrupt)
    return type(error) is KeyboardInterrupt


def report(error):
    """Says how the script ended if that is worth it; the status it ends with."""
    if not isinstance(error, SystemExit):
        try:
            sys.excepthook(type(error), error, error.__traceback__)
        except SystemExit as other:
            return report(other)
        except BaseException as other:
            print("Error in sys.excepthook:", file=sys.stderr)
            sys.__excepthook__(type(other), other,
                               other.__traceback__.tb_next)
            print("\nOriginal exception was:", file=sys.stderr)
            sys.__excepthook__(type(error), error, error.__traceback__)
        return _signal.SIGINT if is_interrupt(error) else 1 << 8
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        fits = -2**63 <= error.code < 2**63
        return (error.code & 0xFF if fits else 0xFF) << 8
    print(error.code, file=sys.stderr)
    return 1 << 8


def flush():
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        try:
            stream.flush()
        except Exception:
            pass
    nothing.close()


def end(left):
    """As a process does it: threads, then exit handlers; or neither."""
    threading = sys.modules.get("threading")
    try:
        if not left and threading is not None:
            threading._shutdown()
            threading._threading_atexits.clear()  # it comes here once more
    finally:
        atexit._run_exitfuncs()
        end_programs()


guard_extensions()
own_streams()
own_descriptors()
own_environment()
own_exits()
own_programs()
own_stacks()
refuse_calls()
time.sleep = sleeper(time.sleep)
sys.meta_path.insert(0, MenderFinder)
enter_site()
own_script()
sys.addaudithook(watch)
