"""Part of sound.py: tries modules in several interpreters of this process.

    probe.py facts
    probe.py extension NAMES        probe.py module NAMES SOUND

The last line of output is JSON: {module: trouble}, empty if there was none.
"""

import array
import json
import os
import sys
import sysconfig
import threading

ROUNDS = 3
IMMORTAL = 1 << 30  # references

# Runs in each interpreter. The guard is inhost.py's: what is not sound is refused
# by an exception that no library expects.
CODE = """
import sys
import _imp

class Refused(BaseException):
    pass

def guard(sound):
    dynamic, builtin = _imp.create_dynamic, _imp.create_builtin
    def create_dynamic(spec, file=None):
        if spec.name not in sound:
            raise Refused(f"it needs {spec.name}")
        return dynamic(spec)
    def create_builtin(spec):
        if spec.name in ("faulthandler", "_tracemalloc"):
            raise Refused(f"it needs {spec.name}")
        return builtin(spec)
    _imp.create_dynamic, _imp.create_builtin = create_dynamic, create_builtin

def look(module):
    for name in dir(module):
        thing = getattr(module, name, None)
        repr(thing)
        if isinstance(thing, type):
            type.mro(thing), type.__subclasses__(thing)

def attempt(name):
    import importlib
    try:
        module = importlib.import_module(name)
        look(module)
        exec(uses.get(name, ""), {"m": module})
    except ModuleNotFoundError as error:
        return "missing" if error.name == name else f"it needs {error.name}"
    except Refused as error:
        return str(error)
    except ImportError as error:
        if "support loading in subinterpreters" in str(error):
            return "it serves one interpreter of a process only"
        return "missing"
    return None

def names_in(code):
    yield from code.co_names + code.co_varnames
    for constant in code.co_consts:
        if isinstance(constant, type(code)):
            yield from names_in(constant)

# Of strings that were interned for good.
def addresses():
    import gc
    for thing in gc.get_objects():
        names = ()
        if isinstance(thing, dict):
            names = list(thing)
        elif hasattr(type(thing), "__code__"):
            names = names_in(thing.__code__)
        for name in names:
            if type(name) is str and sys.getrefcount(name) > immortal:
                yield id(name)

def attempt_all():
    import gc
    if sound is not None:
        guard(sound | {"readline", "_suggestions"})
    troubles = {}
    for name in names:
        trouble = attempt(name)
        if trouble is not None:
            troubles[name] = trouble
        gc.collect()
    with open(answer, "w") as file:
        import json
        json.dump([troubles, list(set(addresses()))], file)

attempt_all()
"""

# What a module is for, in a line: m is the module.
USES = {
    "_asyncio": "import asyncio; asyncio.run(asyncio.sleep(0))",
    "_bisect": "m.bisect_left([1, 2], 1)",
    "_blake2": "m.blake2b(b'x').digest()",
    "_bz2": "c = m.BZ2Compressor(); c.compress(b'x' * 1000); c.flush()",
    "_contextvars": "v = m.ContextVar('v'); v.set(1); m.copy_context().run(v.get)",
    "_csv": "list(m.reader(['a,b', 'c,d']))",
    "_datetime": "from datetime import *; datetime.now(timezone.utc).isoformat()"
                 " + str(date.today() + timedelta(1)) + str(time(1))",
    "_decimal": "str(m.Decimal(1) / m.Decimal(3) + m.Decimal('1e5'));"
                "m.getcontext().prec = 5",
    "_elementtree": "p = m.XMLParser(); p.feed('<a><b c=\"1\">x</b></a>'); p.close()",
    "_hashlib": "m.new('sha256', b'x').hexdigest();"
                "m.pbkdf2_hmac('sha1', b'p', b's', 10)",
    "_heapq": "h = []; [m.heappush(h, -i) for i in range(9)]; m.heappop(h)",
    "_hmac": "m.compute_digest(b'key', b'x', 'sha256');"
             "m.new(b'key', b'x', 'md5').copy().digest()",
    "_json": "import json; json.loads(json.dumps({'a': [1, 2.5, None, 'x']}))",
    "_lsprof": "p = m.Profiler(); p.enable(); len('x'); p.disable(); p.getstats()",
    "_lzma": "c = m.LZMACompressor(); c.compress(b'x' * 1000); c.flush()",
    "_md5": "m.md5(b'x').digest()",
    "_multiprocessing": "import os; s = m.SemLock(1, 1, 1,"
                        " f'/dora-sound-{os.getpid()}-{id(m)}', True);"
                        " s.acquire(); s.release()",
    "_pickle": "m.loads(m.dumps({'a': [1, (2,), {3}, object]}))",
    "_posixsubprocess": "import subprocess; subprocess.run(['true'], check=True)",
    "_queue": "q = m.SimpleQueue(); q.put(1); q.get()",
    "_random": "r = m.Random(1); r.random(); r.getrandbits(70)",
    "_socket": "a, b = m.socket(1, 1), m.socket(1, 1); a.close(); b.close()",
    "_sqlite3": "import sqlite3; c = sqlite3.connect(':memory:');"
                "c.execute('create table t(x)'); c.execute('insert into t values(1)');"
                "c.execute('select * from t').fetchall(); c.close()",
    "_ssl": "import ssl; ssl.create_default_context(); m.RAND_bytes(8)",
    "_statistics": "m._normal_dist_inv_cdf(0.5, 0.0, 1.0)",
    "_struct": "m.unpack('<iqd', m.pack('<iqd', 1, 2, 3.0)); m.Struct('@hb').size",
    "_uuid": "m.generate_time_safe()",
    "_zoneinfo": "import zoneinfo; zoneinfo.available_timezones();"
                 "zoneinfo.ZoneInfo.no_cache('UTC') if"
                 " 'UTC' in zoneinfo.available_timezones() else 0",
    "_zstd": "from compression import zstd; c = m.ZstdCompressor();"
             "zstd.decompress(c.compress(b'x' * 1000) + c.flush())",
    "annotationlib": "m.get_annotations(m.get_annotations)",
    "array": "a = m.array('d', range(99)); a.append(1); memoryview(a)[1]; a.tobytes()",
    "binascii": "m.a2b_base64(m.b2a_base64(b'xyz')); m.crc32(b'x')",
    "cmath": "m.sqrt(-1); m.exp(1j); m.polar(1 + 1j); m.log(-0j - 1)",
    "math": "m.sqrt(2); m.gamma(5); m.fsum([.1] * 10); m.comb(9, 3)",
    "mmap": "x = m.mmap(-1, 4096); x[:4] = b'abcd'; x.find(b'c'); x.close()",
    "pyexpat": "p = m.ParserCreate(); p.Parse('<a><b/></a>', True)",
    "select": "p = m.poll(); p.poll(0); m.epoll().close()",
    "unicodedata": "m.name('a'); m.normalize('NFKC', 'e\\u0301'); m.lookup('SPACE')",
    "zlib": "m.decompress(m.compress(b'x' * 1000)); c = m.compressobj(); c.copy()",
    "collections": "m.OrderedDict(a=1); m.namedtuple('N', 'a b')(1, 2);"
                   "m.Counter('aab').most_common(); m.deque([1], 3).rotate()",
    "dataclasses": "D = m.make_dataclass('D', ['a']); repr(D(1)) + str(m.asdict(D(1)))",
    "datetime": "m.datetime.fromisoformat('2020-01-02').strftime('%c %z');"
                "m.datetime.strptime('2020', '%Y')",
    "email": "m.message_from_string('To: a@b\\n\\nx').as_string()",
    "enum": "E = m.Enum('E', 'A B'); E(1); m.Flag('F', 'A B')(3)",
    "fractions": "m.Fraction('1/3') + m.Fraction(0.5)",
    "functools": "m.lru_cache(int)('1'); m.reduce(int.__add__, range(9));"
                 "m.cmp_to_key(lambda a, b: a - b)(1)",
    "hashlib": "[m.new(n, b'x') for n in m.algorithms_guaranteed];"
               "m.scrypt(b'p', salt=b's', n=2, r=1, p=1)",
    "io": "m.TextIOWrapper(m.BytesIO(b'x\\n')).read(); m.StringIO('x').getvalue()",
    "itertools": "list(m.islice(m.chain(m.count(), m.cycle('a')), 9));"
                 "list(m.product('ab', repeat=2))",
    "json": "m.loads(m.dumps({'a': [1, 2.5, None, 'x']}, indent=1))",
    "logging": "m.getLogger('x').warning('y'); m.basicConfig()",
    "operator": "m.itemgetter(1)([1, 2]); m.attrgetter('a.b'); m.methodcaller('x')",
    "os": "m.stat('/'); list(m.scandir('/')); m.environ.copy(); m.times(); m.uname()",
    "pathlib": "list(m.Path('/').glob('e*')); m.Path('/a/b').relative_to('/a')",
    "pickle": "m.loads(m.dumps([1, 'x', {2: 3.5}]))",
    "random": "m.random(); m.sample(range(9), 3); m.gauss(0, 1)",
    "re": "m.sub(r'(a+)(b)?', r'\\\\1', 'aab' * 9); m.compile('(?i)x|y').findall('Xy')",
    "statistics": "m.stdev([1, 2, 4]); m.NormalDist().samples(3)",
    "string.templatelib": "list(m.Template('a', m.Interpolation(1, 'one')))",
    "tempfile": "m.TemporaryFile().close(); m.mkdtemp.__doc__",
    "time": "m.strftime('%c'); m.localtime(); m.monotonic_ns(); m.get_clock_info('time')",
    "typing": "m.Optional[int]; m.get_type_hints(m.NamedTuple);"
              "m.TypeVar('T'); m.Callable[[int], m.Any]",
    "uuid": "m.uuid4(); m.uuid5(m.NAMESPACE_DNS, 'x')",
    "weakref": "o = type('O', (), {})(); m.WeakValueDictionary(a=o); m.finalize(o, int)",
    "xml.etree.ElementTree": "m.tostring(m.fromstring('<a><b/>x</a>'))",
    "zoneinfo": "m.available_timezones()",
}


def extensions():
    """C modules of the standard library that are files."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    place = os.path.join(sysconfig.get_path("platstdlib"), "lib-dynload")
    names = {name[:-len(suffix)] for name in os.listdir(place)
             if name.endswith(suffix)}
    return sorted(n for n in names if not n.startswith(("_test", "_xxtest", "xx", "_ctypes_test")))


def modules():
    """All of them, by their whole names."""
    top = sysconfig.get_path("stdlib")
    names = set(sys.stdlib_module_names)
    for directory, below, files in os.walk(top):
        below[:] = [b for b in below
                    if os.path.exists(os.path.join(directory, b, "__init__.py"))]
        package = os.path.relpath(directory, top).replace(os.sep, ".")
        if package != "." and package.split(".")[0] in sys.stdlib_module_names:
            names.add(package)
            names |= {f"{package}.{file[:-3]}" for file in files
                      if file.endswith(".py") and file != "__init__.py"}
    tests = {"test", "tests", "__main__", "idle_test"}
    names |= {"collections.abc", "os.path", "test"}  # without a file, or left out
    return sorted(n for n in names if n == "test" or not tests & set(n.split(".")))


def statics():
    """(first, last) of what this program and its libraries keep in variables."""
    import ctypes

    class Segment(ctypes.Structure):
        _fields_ = [("type", ctypes.c_uint32), ("flags", ctypes.c_uint32)] + [
            (name, ctypes.c_uint64)
            for name in "offset address physical in_file size alignment".split()]

    class Object(ctypes.Structure):
        _fields_ = [("base", ctypes.c_uint64), ("name", ctypes.c_char_p),
                    ("segments", ctypes.POINTER(Segment)),
                    ("count", ctypes.c_uint16)]

    found = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Object), ctypes.c_size_t,
                      ctypes.c_void_p)
    def note(pointer, size, data):
        one = pointer.contents
        for segment in one.segments[:one.count]:
            if segment.type == 1 and segment.flags & 2:  # PT_LOAD, PF_W
                first = one.base + segment.address
                found.append((first, first + segment.size))
        return 0

    ctypes.CDLL(None).dl_iterate_phdr(note, None)
    return found


def words_in_statics():
    words = array.array("Q")
    with open("/proc/self/mem", "rb", buffering=0) as memory:
        for first, last in statics():
            first += -first % words.itemsize
            memory.seek(first)
            words.frombytes(memory.read((last - first) & -words.itemsize))
    return set(words)


def cycle(number, names, sound, troubles, ended):
    import _interpreters
    import tempfile
    config = _interpreters.new_config(
        "isolated", allow_daemon_threads=True)
    for _ in range(ROUNDS):
        descriptor, answer = tempfile.mkstemp()
        os.close(descriptor)
        facts = (f"{names=}; {sound=}; {answer=}; immortal={IMMORTAL};"
                 f"uses={USES!r}\n")
        interpreter = _interpreters.create(config)
        error = _interpreters.exec(interpreter, facts + CODE)
        if error is not None:
            troubles.update(dict.fromkeys(names, f"{error.type.__name__} in it"))
        else:
            with open(answer) as file:
                found, strings = json.load(file)
            troubles.update(found)
            ended.update(strings)
        os.unlink(answer)
        _interpreters.destroy(interpreter)


def main():
    what = sys.argv[1]
    if what == "facts":
        print(json.dumps({
            "version": "%d.%d.%d" % sys.version_info[:3],
            "extensions": extensions(),
            "modules": modules(),
        }))
        return
    import _datetime  # as the host does
    names = sys.argv[2].split(",")
    sound = set(sys.argv[3].split(",")) if what == "module" else None
    troubles, ended = {}, set()
    # Two begin at once, and each goes on at its own pace: one ends while the
    # other begins.
    threads = [threading.Thread(target=cycle, args=(n, names, sound, troubles, ended))
               for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # The host gives back the memory of these (inhost_arenas.c). Since 3.14 it is
    # Python that does, and in the same places there are others by now.
    for first, last in statics():
        ended -= {string for string in ended if first <= string < last}
    if sys.version_info < (3, 14) and ended & words_in_statics():
        troubles.update(dict.fromkeys(
            names, "it keeps a string of an interpreter that has ended"))
    print(json.dumps(troubles))


if __name__ == "__main__":
    main()
