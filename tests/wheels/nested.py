"""Arrow arrays of types nested at random, each made anew from its number."""

import datetime
import decimal
import random

import pyarrow as pa

DAY = datetime.date(2024, 2, 29)
LEAVES = [  # a type, and what makes a value of it
    (pa.int8(), lambda r: r.randrange(-128, 128)),
    (pa.uint64(), lambda r: r.randrange(2**64)),
    (pa.float32(), lambda r: r.randrange(-99, 99) / 4),
    (pa.bool_(), lambda r: r.random() < 0.5),
    (pa.null(), lambda r: None),
    (pa.string(), lambda r: r.choice(["", "é", "x" * 40])),
    (pa.large_binary(), lambda r: r.randbytes(r.randrange(6))),
    (pa.binary(5), lambda r: r.randbytes(5)),
    (pa.date32(), lambda r: DAY + datetime.timedelta(r.randrange(999))),
    (pa.duration("ms"), lambda r: datetime.timedelta(seconds=r.randrange(999))),
    (pa.decimal128(20, 3), lambda r: decimal.Decimal(r.randrange(-999, 999)) / 8),
    (pa.decimal256(50, 0), lambda r: decimal.Decimal(r.randrange(10**40))),
]


def kind(r, depth=0):
    """A type, and what makes a value of it."""
    if depth > 3 or r.random() < 0.4:
        return r.choice(LEAVES)
    inner, make = kind(r, depth + 1)
    other, make_other = kind(r, depth + 1)

    def maybe(make):
        return None if r.random() < 0.2 else make(r)

    return r.choice([
        (pa.list_(inner), lambda r: [maybe(make) for _ in range(r.randrange(4))]),
        (pa.large_list(inner), lambda r: [maybe(make) for _ in range(r.randrange(4))]),
        (pa.list_(inner, 2), lambda r: [maybe(make), maybe(make)]),
        (pa.struct([]), lambda r: {}),
        (pa.struct([("a", inner), ("b", other)]),
         lambda r: {"a": maybe(make), "b": maybe(make_other)}),
        (pa.map_(pa.int32(), inner),
         lambda r: [(n, maybe(make)) for n in range(r.randrange(3))]),
        (pa.dictionary(pa.int8(), pa.string()), lambda r: r.choice(["a", "bb"])),
    ])


def array(number):
    r = random.Random(number)
    what, make = kind(r)
    values = [None if r.random() < 0.2 else make(r) for _ in range(r.choice([0, 1, 9, 33]))]
    whole = pa.array(values, what)
    start = r.randrange(len(whole) + 1)
    return whole.slice(start, r.randrange(len(whole) - start + 1)) if number % 2 else whole
