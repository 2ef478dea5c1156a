"""breakpoint() in a node: pdb on the terminal of dora-run.

Run at the first breakpoint() with what py_debug.c gives it as globals: take,
give, readable; node. The terminal is held while pdb waits for commands, not
between them: `continue`, `next` and the like let all others go on.
"""

import _thread
import io
import os
import pdb
import signal
import sys


class Keys(io.RawIOBase):
    """What is typed. When the dataflow stops it says `continue`, so that the
    script learns of it as ever."""

    def __init__(self, fd):
        self.fd = fd

    def readable(self):
        return True

    def readinto(self, buffer):
        data = os.read(self.fd, len(buffer)) if readable(self.fd) else b"continue\n"
        buffer[:len(data)] = data
        return len(data)


class Terminal:
    """Held from here to close()."""

    def __init__(self):
        self.fd = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        self.group = os.tcgetpgrp(self.fd)
        self.bring(os.getpgrp())
        self.reader = io.TextIOWrapper(io.BufferedReader(Keys(self.fd)),
                                       errors="replace")
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

    def close(self):
        self.bring(self.group)
        os.close(self.fd)


class Debugger(pdb.Pdb):
    turn = _thread.allocate_lock()  # among the threads of the script
    said = False

    def __init__(self):
        super().__init__(nosigint=True, stdin=sys.stdin, stdout=sys.stderr)
        self.prompt = f"({node}) "

    def interaction(self, *args, **keys):
        with self.turn:
            if not take():
                self.complain()
                self.set_continue()
                return
            try:
                self.converse(*args, **keys)
            finally:
                give()

    def converse(self, *args, **keys):
        terminal = Terminal()
        self.stdin, self.stdout = terminal.reader, terminal.writer
        try:
            if not self.said:
                self.message(f"--- node `{node}` has stopped here; c goes on, "
                             "q ends it, h helps")
                self.said = True
            super().interaction(*args, **keys)
        finally:
            self.stdin, self.stdout = sys.stdin, sys.stderr
            terminal.close()

    @staticmethod
    def complain():
        print("breakpoint(): there is no terminal for it (dora-run is not in "
              "the foreground of one); going on", file=sys.stderr)


def stop(*args, **keys):
    if os.environ.get("PYTHONBREAKPOINT"):
        return sys.__breakpointhook__(*args, **keys)
    Debugger().set_trace(sys._getframe(1))
