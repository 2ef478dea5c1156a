"""Arrow arrays of other items than bytes: what a node without pyarrow sees of
them. With pyarrow: tests/wheels."""

import textwrap

from harness import FlowTest, Node, TEXT_SINK

#: Arrays as any library may make them, without one.
MAKER = textwrap.dedent('''
    import ctypes, struct
    from ctypes import POINTER, c_char_p, c_int64, c_void_p

    class Schema(ctypes.Structure):
        pass

    class Array(ctypes.Structure):
        pass

    Schema._fields_ = [
        ("format", c_char_p), ("name", c_char_p), ("metadata", c_void_p), ("flags", c_int64),
        ("n_children", c_int64), ("children", POINTER(POINTER(Schema))),
        ("dictionary", POINTER(Schema)), ("release", c_void_p), ("private", c_void_p)]
    Array._fields_ = [
        ("length", c_int64), ("null_count", c_int64), ("offset", c_int64),
        ("n_buffers", c_int64), ("n_children", c_int64), ("buffers", POINTER(c_char_p)),
        ("children", POINTER(POINTER(Array))), ("dictionary", POINTER(Array)),
        ("release", c_void_p), ("private", c_void_p)]

    new_capsule = ctypes.pythonapi.PyCapsule_New
    new_capsule.restype = ctypes.py_object
    new_capsule.argtypes = [c_void_p, c_char_p, c_void_p]

    class made:
        """`buffers` without the validity, of which "01" is a null and an item."""
        def __init__(self, format, length, *buffers, nulls=None, children=(), offset=0, name=""):
            parts = [(c.schema, c.array) for c in children]
            schemas = (POINTER(Schema) * len(parts))(*(ctypes.pointer(s) for s, _ in parts))
            arrays = (POINTER(Array) * len(parts))(*(ctypes.pointer(a) for _, a in parts))
            if nulls is not None:
                bits = sum((bit == "1") << i for i, bit in enumerate(nulls))
                nulls = bits.to_bytes(len(nulls) // 8 + 1, "little")
            buffers = [nulls, *buffers] if format != "n" else []
            pointers = (c_char_p * max(len(buffers), 1))(*buffers)
            self.schema = Schema(format.encode(), name.encode(), None, 2, len(parts), schemas)
            self.array = Array(length, -1 if nulls else 0, offset, len(buffers), len(parts),
                               pointers, arrays)
            self.kept = parts, schemas, arrays, buffers, pointers

        def __arrow_c_array__(self, requested_schema=None):
            return (new_capsule(ctypes.addressof(self.schema), b"arrow_schema", None),
                    new_capsule(ctypes.addressof(self.array), b"arrow_array", None))

    def numbers(code, *items, **keys):
        formats = dict(b="c", B="C", h="s", H="S", i="i", I="I", q="l", Q="L", f="f", d="g", e="e")
        return made(formats[code], len(items), struct.pack(f"{len(items)}{code}", *items), **keys)

    def texts(*items, **keys):
        places = [0]
        for item in items:
            places.append(places[-1] + len(item))
        return made("u", len(items), struct.pack(f"{len(places)}i", *places),
                    b"".join(items), **keys)

    def lists(places, child, **keys):
        return made("+l", len(places) - 1, struct.pack(f"{len(places)}i", *places),
                    children=[child], **keys)

    from dora import Node
    node = Node()
''')


def sender(text):
    """Foreign code: in a process, wherever the others are."""
    return Node(MAKER + textwrap.dedent(text), outputs=["x"], isolation="process")


def sink(text, **keys):
    return Node(textwrap.dedent("""
        from dora import Node
        node = Node()
        values = (event["value"] for event in node if event["type"] == "INPUT")
    """) + textwrap.dedent(text),
                inputs={"x": {"source": "sender/x", "queue_size": 100}}, **keys)


class ArrowArrays(FlowTest):
    def test_every_kind_of_item(self):
        run = self.flow({
            "sender": sender("""
                for code in "bhiq":
                    node.send_output("x", numbers(code, -3, 0, 100))
                for code in "HIQ":
                    node.send_output("x", numbers(code, 0, 7, 65535))
                for code in "fde":
                    node.send_output("x", numbers(code, -0.5, 0, 1024.0, 6.103515625e-05))
                node.send_output("x", numbers("e", float("inf"), 2 ** -24))
                node.send_output("x", numbers("B", 1, 2, nulls="10"))
                node.send_output("x", made("b", 3, bytes([5]), nulls="011"))
                node.send_output("x", texts(b"Hello", b"", "\\u015b".encode(), nulls="101"))
                node.send_output("x", made("z", 1, struct.pack("2i", 0, 2), b"\\0\\xff"))
                node.send_output("x", made("w:3", 2, b"abcdef"))
                node.send_output("x", made("n", 2))
                node.send_output("x", lists([0, 2, 2, 3], numbers("q", 1, 2, 3, name="item"),
                                            nulls="110"))
                node.send_output("x", made("+w:2", 2, children=[numbers("h", 1, 2, 3, 4)]))
                node.send_output("x", made("+s", 2, children=[
                    numbers("d", .5, 1.5, name="a"), texts(b"u", b"v", name="b")]))
                node.send_output("x", numbers("q", *range(9), offset=0))
            """),
            "sink": sink("""
                for value in values:
                    print(value.type, len(value), value.to_pylist(), value.null_count)
            """),
        })
        self.assertEqual(run.lines("sink"), [
            "int8 3 [-3, 0, 100] 0", "int16 3 [-3, 0, 100] 0", "int32 3 [-3, 0, 100] 0",
            "int64 3 [-3, 0, 100] 0", "uint16 3 [0, 7, 65535] 0", "uint32 3 [0, 7, 65535] 0",
            "uint64 3 [0, 7, 65535] 0", "float 4 [-0.5, 0.0, 1024.0, 6.103515625e-05] 0",
            "double 4 [-0.5, 0.0, 1024.0, 6.103515625e-05] 0",
            "halffloat 4 [-0.5, 0.0, 1024.0, 6.103515625e-05] 0",
            "halffloat 2 [inf, 5.960464477539063e-08] 0",
            "uint8 2 [1, None] 1", "bool 3 [None, False, True] 1",
            "string 3 ['Hello', None, '\u015b'] 1", "binary 1 [b'\\x00\\xff'] 0",
            "fixed_size_binary[3] 2 [b'abc', b'def'] 0", "null 2 [None, None] 2",
            "list<item: int64> 3 [[1, 2], [], None] 1",
            "fixed_size_list<: int16>[2] 2 [[1, 2], [3, 4]] 0",
            "struct<a: double, b: string> 2 [{'a': 0.5, 'b': 'u'}, {'a': 1.5, 'b': 'v'}] 0",
            "int64 9 [0, 1, 2, 3, 4, 5, 6, 7, 8] 0",
        ])

    def test_what_nodes_ask_of_a_value(self):
        run = self.flow({
            "sender": sender("""
                node.send_output("x", numbers("d", 1, 2.5, 4))
                node.send_output("x", texts(b"Hello World"))
                node.send_output("x", made("+s", 2, children=[
                    numbers("q", 5, 6, name="a"), lists([0, 1, 3], numbers("q", 7, 8, 9),
                                                        name="b")]))
                node.send_output("x", made("tdD", 1, bytes(4)))
            """),
            "sink": sink("""
                value = next(values)
                print(value[0].as_py(), value[-1].as_py(), float(value[1]), bool(value))
                print([x.as_py() for x in value], value[1:].to_pylist(), value.slice(0, 1)[0])
                print(value == value[:], value == value[1:], value != 3, value.equals(value))
                print(str(value.type), value.type == "double", value.type.bit_width, value.nbytes)
                print(repr(str(value)), repr(value[0]), value[0].type, value[0].is_valid)
                view = memoryview(value[1:])
                print(view.format, view.itemsize, view.shape, list(view), view.readonly)
                print([hasattr(value, n) for n in ("as_py", "get", "decode", "tobytes")])
                for index in (3, -4, "name"):
                    try:
                        value[index]
                    except (IndexError, TypeError) as error:
                        print(type(error).__name__)
                try:
                    hash(value)
                except TypeError as error:
                    print("no hash")
                text = next(values)
                print(text[0].as_py(), text[0] == "Hello World", str(text).split())
                table = next(values)
                print(table.field("a").to_pylist(), table.field(1)[1].as_py(), table[1]["b"][0])
                for key in ("c", 2):
                    try:
                        table.field(key)
                    except KeyError as error:
                        print("KeyError", error)
                part = table[1:].field("a")
                del table, value, text, view
                print(part.to_pylist())
                try:
                    next(values).to_pylist()
                except NotImplementedError as error:
                    print(error)
            """),
        })
        self.assertEqual(run.lines("sink"), [
            "1.0 4.0 2.5 True", "[1.0, 2.5, 4.0] [2.5, 4.0] 1.0", "True False True True",
            "double True 64 24",
            repr("[\n  1,\n  2.5,\n  4\n]") + " <dora.Scalar of double: 1.0> double True",
            "d 8 (2,) [2.5, 4.0] True", "[False, False, False, False]",
            "IndexError", "IndexError", "TypeError", "no hash",
            "Hello World True ['[', '\"Hello', 'World\"', ']']",
            "[5, 6] [8, 9] 8", "KeyError 'c'", "KeyError 2", "[6]",
            "an item of type date32[day] needs pyarrow: install it for this node's Python, "
            "and import it before Node()",
        ])

    def test_numpy_reads_numbers_in_place(self):
        run = self.flow({
            "sender": sender("""
                node.send_output("x", numbers("f", *range(1000)))
                node.send_output("x", numbers("q", 1, 2, nulls="10"))
                node.send_output("x", texts(b"a", b"b"))
                node.send_output("x", made("b", 2, bytes([2])))
            """),
            "sink": sink("""
                import numpy as np
                value = next(values)
                array = value.to_numpy()
                print(array.dtype, array.shape, array.flags.writeable, array.sum())
                print(array.ctypes.data == np.frombuffer(value, np.float32).ctypes.data)
                print(np.asarray(value).dtype, np.array(value[10:], np.int64)[0])
                for value in values:
                    try:
                        value.to_numpy()
                    except ValueError as error:
                        print("ValueError")
                    array = value.to_numpy(zero_copy_only=False)
                    print(array.dtype, array.tolist())
            """, numpy=True, isolation="process"),
        })
        self.assertEqual(run.lines("sink"), [
            "float32 (1000,) False 499500.0", "True", "float32 10",
            "ValueError", "float64 [1.0, nan]", "ValueError", "object ['a', 'b']",
            "ValueError", "bool [False, True]",
        ])

    def test_sent_on_by_reference(self):
        """The whole is; a part is packed again, and outlives what it was of."""
        run = self.flow({
            "sender": sender('node.send_output("x", numbers("q", *range(100000)))'),
            "relay": sink("""
                value = next(values)
                node.send_output("y", value)
                node.send_output("y", value[7:9], {"part": True})
            """, outputs=["y"]),
            "sink": Node("""
                from dora import Node
                for event in Node():
                    if event["type"] == "INPUT":
                        value = event["value"]
                        print(value.type, len(value), value[1].as_py(), value.offset)
            """, inputs={"x": "relay/y"}),
        })
        self.assertEqual(run.lines("sink"), ["int64 100000 1 0", "int64 2 8 0"])
        self.assertLess(run.node("relay")["copied_bytes"], 1000)

    def test_values_are_those_of_the_imported_pyarrow(self):
        """Looked for at Node(): of one that is imported later nobody knows."""
        self.write("pyarrow.py", "def array(value):\n    return 'pyarrow', value\n")
        receive = sink("""
            for _ in range(3):
                value = next(values)
                print(value[0], type(value[1]).__name__, len(value[1]))
        """)
        receive.script = "import pyarrow\n" + receive.script
        late = sink("""
            import pyarrow
            print(type(next(values)).__name__)
        """)
        run = self.flow({
            "sender": sender("""
                node.send_output("x", b"12")
                node.send_output("x", numbers("q", 1))
                node.send_output("x", made("n", 0))
            """),
            "sink": receive, "late": late,
        })
        self.assertEqual(run.lines("sink"), ["pyarrow Array 2", "pyarrow ArrowArray 1",
                                             "pyarrow Array 0"])
        self.assertEqual(run.lines("late"), ["Array"])

    def test_what_cannot_be_sent(self):
        run = self.flow({
            "sender": sender("""
                for array in (made("vu", 1, bytes(16), bytes(8)), texts(b"a", offset=-1),
                              made("u", 1, struct.pack("2i", 5, 1), b"abcdef")):
                    try:
                        node.send_output("x", array)
                    except RuntimeError as error:
                        print(error)
                try:
                    node.send_output("undeclared", made("vu", 0))
                finally:
                    node.send_output("x", b"end")
            """),
            "sink": Node(TEXT_SINK, inputs={"x": "sender/x"}),
        })
        self.assertEqual(run.lines("sender"), [
            "invalid data type: an Arrow array of format 'vu'; cast it to another, or send "
            "its bytes",
            "invalid data: in the Arrow array the length is not that of its parent",
            "invalid data: in the Arrow array places run backwards",
        ])
        self.assertEqual(run.lines("sink")[0], "end")
