"""pdb in a node, breakpoint() included, is on the terminal of dora-run.

Run when pdb has been imported, with what py_debug.c gives it as globals: take,
give, readable. The terminal is held while pdb waits for commands, not between
them: `continue`, `next` and the like let all others go on. Who gives pdb its
own streams keeps to them.
"""

import _thread
import io
import os
import signal
import sys


class Keys(io.RawIOBase):
    """What is typed, and `stopped` when the dataflow stops."""

    def __init__(self, fd, stopped):
        self.fd, self.stopped = fd, stopped

    def readable(self):
        return True

    def readinto(self, buffer):
        data = os.read(self.fd, len(buffer)) if readable(self.fd) else self.stopped
        buffer[:len(data)] = data
        return len(data)


class Terminal:
    """Held from here to close()."""

    def __init__(self, node):
        self.node = node
        self.fd = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        self.group = os.tcgetpgrp(self.fd)
        self.bring(os.getpgrp())
        # So that the script learns of a stop as ever.
        self.reader = self.keys(b"continue\n")
        self.writer = io.TextIOWrapper(io.FileIO(self.fd, "w", closefd=False),
                                       errors="replace", write_through=True)

    def bring(self, group):
        """Into the foreground, which only this mask allows from behind it."""
        if group == os.tcgetpgrp(self.fd):
            return
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        try:
            os.tcsetpgrp(self.fd, group)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def keys(self, stopped):
        return io.TextIOWrapper(io.BufferedReader(Keys(self.fd, stopped)),
                                errors="replace")

    def ask(self, question):
        self.writer.write(question)
        answer = self.keys(b"n\n").readline()
        if not answer:
            raise EOFError
        return answer.rstrip("\n")

    def close(self):
        self.bring(self.group)
        os.close(self.fd)


def mend(pdb):
    """Everything that pdb offers makes its debugger by this name."""

    class Pdb(pdb.Pdb):
        turn = _thread.RLock()  # among the threads of the script
        held = None  # the terminal, while pdb talks
        said = False
        ran = False

        def __init__(self, completekey="tab", stdin=None, stdout=None,
                     *args, **keys):
            self.ours = stdin is None and stdout is None
            if self.ours:
                stdin, stdout = sys.stdin, sys.stderr
                if len(args) < 2:
                    keys["nosigint"] = True  # that is dora-run's
            super().__init__(completekey, stdin, stdout, *args, **keys)
            if self.ours:  # input() and pyrepl are for the stdin of a process
                self.use_rawinput, self.pyrepl_input = False, None

        def interaction(self, *args, **keys):
            if not self.ours:
                return super().interaction(*args, **keys)
            with self.turn:
                if Pdb.held is not None:  # it was called at the prompt
                    self.converse(*args, **keys)
                    return
                name = take()
                if name is None:
                    self.complain()
                    return
                try:
                    Pdb.held = Terminal(name)
                    self.converse(*args, **keys)
                finally:
                    if Pdb.held is not None:
                        Pdb.held.close()
                    Pdb.held = None
                    give()

        def converse(self, *args, **keys):
            before = self.stdin, self.stdout
            self.stdin, self.stdout = Pdb.held.reader, Pdb.held.writer
            if self.prompt == "(Pdb) ":
                self.prompt = f"({Pdb.held.node}) "
            if not Pdb.said:
                self.message(f"--- node `{Pdb.held.node}` has stopped here; "
                             "c goes on, q ends it, h helps")
                Pdb.said = True
            try:
                super().interaction(*args, **keys)
            finally:
                self.stdin, self.stdout = before

        def _run(self, target):
            # `python -m pdb` starts the script anew when it has ended; but a
            # process is a node once.
            if Pdb.ran:
                self._user_requested_quit = True
                return
            Pdb.ran = True
            super()._run(target)

        def do_interact(self, arg):
            if Pdb.held is None or self.stdin is not Pdb.held.reader:
                return super().do_interact(arg)
            before = sys.stdin, sys.stdout, sys.stderr
            sys.stdin = Pdb.held.keys(b"")
            sys.stdout = sys.stderr = Pdb.held.writer
            try:
                return super().do_interact(arg)
            finally:
                sys.stdin, sys.stdout, sys.stderr = before

        def complain(self):
            print("pdb: there is no terminal for it (dora-run is not in the "
                  "foreground of one, or the script has let go of its Node); "
                  "going on", file=sys.stderr)
            self.set_continue()

    def ask(prompt=""):
        """input() of pdb, for its own questions."""
        if Pdb.held is None:
            return input(prompt)
        return Pdb.held.ask(prompt)

    pdb.input = ask
    Pdb.__qualname__, Pdb.__module__ = pdb.Pdb.__qualname__, pdb.__name__
    Pdb.__doc__ = pdb.Pdb.__doc__
    pdb.Pdb = Pdb
