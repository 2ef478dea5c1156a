"""What test nodes need beside dora: meeting points, and looks at memory."""

import ctypes
import os


def tell(name):
    """Meets hear(name) of another node: both go on together."""
    with open(_fifo(name), "w"):
        pass


def hear(name):
    with open(_fifo(name)) as fifo:
        fifo.read()


def _fifo(name):
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"{name}.fifo")
    try:
        os.mkfifo(path)
    except FileExistsError:
        pass
    return path


class Py_buffer(ctypes.Structure):
    _fields_ = [
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    ]


def raw_buffer(exporter):
    """A Py_buffer that is held until release_buffer."""
    raw = Py_buffer()
    ctypes.pythonapi.PyObject_GetBuffer(
        ctypes.py_object(exporter), ctypes.byref(raw), 0
    )
    return raw


def release_buffer(raw):
    ctypes.pythonapi.PyBuffer_Release(ctypes.byref(raw))


def address(exporter):
    """Where its bytes lie."""
    raw = raw_buffer(exporter)
    try:
        return raw.buf
    finally:
        release_buffer(raw)


def place(exporter):
    """(inode, offset in the file) of its bytes: the same in every process."""
    at = address(exporter)
    with open("/proc/self/maps") as maps:
        for line in maps:
            span, _, offset, _, inode = line.split()[:5]
            first, last = (int(end, 16) for end in span.split("-"))
            if first <= at < last:
                return int(inode), at - first + int(offset, 16)
    raise LookupError(hex(at))


def rights(exporter):
    """Those of the mapping that its bytes lie in: "r--s"."""
    at = address(exporter)
    with open("/proc/self/maps") as maps:
        for line in maps:
            span, rights = line.split()[:2]
            first, last = (int(end, 16) for end in span.split("-"))
            if first <= at < last:
                return rights
    raise LookupError(hex(at))


class FromBuffer:
    """Holds its source as torch.frombuffer does: an address and a plain
    reference to the object, no Py_buffer."""

    def __init__(self, source):
        self.source = source
        self.at = address(source)

    def read(self, size):
        return ctypes.string_at(self.at, size)
