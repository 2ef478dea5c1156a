/* module_test.c - the dora module inside programs other than dora-python:
 * several interpreters in one process, each its own node; and what the module
 * keeps true when memory runs out at any point. Takes the interpreter whose
 * standard library is to be used as its argument. */
#include "python.h"

#include "fault.h"
#include "flow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

static const char *interpreter;

enum { HEAP = 1 << 20, MESSAGES = 2000 };

static void
start_python(void)
{
    PyConfig config;
    PyStatus status;

    assert_int_equal(PyImport_AppendInittab("dora", PyInit_dora), 0);
    PyConfig_InitIsolatedConfig(&config);
    status = PyConfig_SetBytesString(&config, &config.executable, interpreter);
    assert_false(PyStatus_Exception(status));
    status = Py_InitializeFromConfig(&config);
    assert_false(PyStatus_Exception(status));
    PyConfig_Clear(&config);
}

/* Runs the text in a fresh __main__-like namespace. New reference. */
static PyObject *
run(const char *text)
{
    PyObject *globals = PyDict_New(), *result;

    assert_non_null(globals);
    assert_int_equal(
        PyDict_SetItemString(globals, "__builtins__", PyEval_GetBuiltins()), 0);
    result = PyRun_String(text, Py_file_input, globals, globals);
    if (result == NULL) {
        PyErr_Print();
        fail_msg("%s", "a script failed");
    }
    Py_XDECREF(result);
    return globals;
}

/* --- interpreters -------------------------------------------------------- */

struct part {
    struct dora_node *node;
    const char *script;
    pthread_t thread;
};

static PyThreadState *
new_interpreter(void)
{
    PyThreadState *state = NULL;
#if PY_VERSION_HEX >= 0x030c0000
    const PyInterpreterConfig config = {
        .allow_threads = 1,
        .check_multi_interp_extensions = 1,
        .gil = PyInterpreterConfig_OWN_GIL,
    };

    assert_false(
        PyStatus_Exception(Py_NewInterpreterFromConfig(&state, &config)));
#else
    state = Py_NewInterpreter();
#endif
    assert_non_null(state);
    return state;
}

/* Before 3.12 interpreters share one GIL; there the main thread gives it up
 * meanwhile. No thread state is current before and after. */
static void *
be_part(void *arg)
{
    struct part *part = arg;
    PyThreadState *state;

    PyThreadState *first = PyThreadState_New(PyInterpreterState_Main());

    PyEval_RestoreThread(first);
    state = new_interpreter();
    assert_int_equal(dora__py_seat(part->node), 0);
    Py_DECREF(run(part->script));
    Py_EndInterpreter(state);
#if PY_VERSION_HEX < 0x030c0000
    (void)PyThreadState_Swap(first);
#else
    PyEval_RestoreThread(first);
#endif
    PyThreadState_Clear(first);
    PyThreadState_DeleteCurrent();
    return NULL;
}

static void
test_module_interpreters_are_nodes_of_their_own(void **unused)
{
    static const char send[] = "from dora import Node\n"
                               "node = Node()\n"
                               "for n in range(2000):\n"
                               "    if n % 2:\n"
                               "        node.send_output('out', b'%d' % n)\n"
                               "        continue\n"
                               "    text = b'%d' % n\n"
                               "    with node.send_output_raw('out', len(text))"
                               " as buffer:\n"
                               "        buffer[:] = text\n";
    static const char receive[] = "from dora import Node\n"
                                  "node = Node()\n"
                                  "kept = []\n"
                                  "while len(kept) < 2000:\n"
                                  "    kept.append(node.next())\n"
                                  "values = [int(bytes(event['value']))\n"
                                  "          for event in kept]\n"
                                  "assert values == list(range(2000))\n";
    struct flow flow;
    struct dora_node *nodes[2];
    struct part parts[2] = {{.script = send}, {.script = receive}};
    PyThreadState *state;

    (void)unused;
#if PY_VERSION_HEX >= 0x030c0000 && PY_VERSION_HEX < 0x030d0000
    skip(); /* its _datetime does not load in interpreters of their own GIL */
#endif
    /* As hosts of several interpreters must, for 3.13's sake: there the first
     * and the last to import it share what they should not. */
    Py_DECREF(run("import _datetime"));
    flow_begin(&flow, 2, HEAP);
    (void)flow_output(&flow, 0, "out", MESSAGES + 64);
    (void)flow_input(&flow, 1, "in", 0, MESSAGES, 0);
    flow_make(&flow);
    flow_open(&flow, nodes);
    state = PyEval_SaveThread();
    for (size_t i = 0; i < DORA_COUNT(parts); i++) {
        parts[i].node = nodes[i];
        assert_int_equal(
            pthread_create(&parts[i].thread, NULL, be_part, &parts[i]), 0);
    }
    for (size_t i = 0; i < DORA_COUNT(parts); i++)
        assert_int_equal(pthread_join(parts[i].thread, NULL), 0);
    PyEval_RestoreThread(state);
    flow_end(&flow);
}

/* --- no memory ----------------------------------------------------------- */

/* Allocators that let the n-th call fail. */
static struct {
    PyMemAllocatorEx real[2]; /* MEM, OBJ */
    long left;                /* calls until one fails; < 0: none does */
} memory;

static bool
runs_out(void)
{
    return memory.left >= 0 && memory.left-- == 0;
}

static void *
failing_malloc(void *real, size_t size)
{
    PyMemAllocatorEx *a = real;

    return runs_out() ? NULL : a->malloc(a->ctx, size);
}

static void *
failing_calloc(void *real, size_t count, size_t size)
{
    PyMemAllocatorEx *a = real;

    return runs_out() ? NULL : a->calloc(a->ctx, count, size);
}

static void *
failing_realloc(void *real, void *pointer, size_t size)
{
    PyMemAllocatorEx *a = real;

    return runs_out() ? NULL : a->realloc(a->ctx, pointer, size);
}

static void
real_free(void *real, void *pointer)
{
    PyMemAllocatorEx *a = real;

    a->free(a->ctx, pointer);
}

static void
set_allocators(void)
{
    static const PyMemAllocatorDomain domains[] = {PYMEM_DOMAIN_MEM,
                                                   PYMEM_DOMAIN_OBJ};

    memory.left = -1;
    for (size_t i = 0; i < DORA_COUNT(domains); i++) {
        PyMemAllocatorEx failing = {&memory.real[i], failing_malloc,
                                    failing_calloc, failing_realloc, real_free};

        PyMem_GetAllocator(domains[i], &memory.real[i]);
        PyMem_SetAllocator(domains[i], &failing);
    }
}

static void
unset_allocators(void)
{
    PyMem_SetAllocator(PYMEM_DOMAIN_MEM, &memory.real[0]);
    PyMem_SetAllocator(PYMEM_DOMAIN_OBJ, &memory.real[1]);
}

/* What nodes do, as functions of `node`, and of what the one before gave. */
static const char steps[] =
    "import dora, datetime\n"
    "node = dora.Node()\n"
    "now = datetime.datetime.now(datetime.timezone.utc)\n"
    "extra = {'i': 5, 'f': 2.5, 's': 'text', 'b': True, 'l': [1, 2],\n"
    "         'g': [1.5], 't': ['a', 'b'], 'm': [True], 'd': now}\n"
    "def raw():\n"
    "    with node.send_output_raw('out', 100, extra) as buffer:\n"
    "        buffer[0] = 1\n"
    "def by_hand():\n"
    "    sample = node.send_output_raw('out', 100)\n"
    "    one, two = sample.as_memoryview(), sample.as_memoryview()\n"
    "    part = one[5:]\n"
    "    sample.send()\n"
    "def forward():\n"
    "    node.send_output('out', b'forwarded')\n"
    "    value = node.next()['value']\n"
    "    node.send_output('out', value[2:], extra)\n"
    "    node.send_output('out', memoryview(value)[1:4])\n"
    "def look():\n"
    "    node.send_output('out', bytes(50))\n"
    "    value = node.try_recv()['value']\n"
    "    str(value), repr(value), value.to_pylist(), value[1].as_py()\n"
    "    value.__arrow_c_array__(), value.type, value[3:] == value, "
    "list(value)\n"
    "tries = [raw, by_hand, forward, look, node.drain,\n"
    "         lambda: node.send_output('out', bytearray(7), extra),\n"
    "         lambda: node.send_output('none', b''),\n"
    "         lambda: node.next(timeout=0), lambda: node.recv_async(1),\n"
    "         lambda: node.next()]\n";

static bool
allowed_failure(void)
{
    bool allowed = PyErr_ExceptionMatches(PyExc_MemoryError) ||
                   PyErr_ExceptionMatches(PyExc_RuntimeError);

    if (allowed)
        PyErr_Clear();
    else
        PyErr_Print();
    return allowed;
}

/* Calls with the n-th allocation failing, for each n, until none is asked for
 * any more. */
static void
exhaust(PyObject *function, PyObject *prepare)
{
    for (long n = 0;; n++) {
        PyObject *result = PyObject_CallNoArgs(prepare);
        bool failed;

        assert_non_null(result);
        Py_DECREF(result);
        memory.left = n;
        result = PyObject_CallNoArgs(function);
        failed = memory.left < 0;
        memory.left = -1;
        if (result == NULL)
            assert_true(allowed_failure());
        Py_XDECREF(result);
        if (!failed)
            break;
    }
}

static void
exhaust_runtime(PyObject *function, PyObject *prepare)
{
    for (unsigned n = 1;; n++) {
        PyObject *result = PyObject_CallNoArgs(prepare);

        assert_non_null(result);
        Py_DECREF(result);
        fault_arm(FAULT_MEMORY, n);
        result = PyObject_CallNoArgs(function);
        if (!fault_disarm()) {
            Py_XDECREF(result);
            assert_null(PyErr_Occurred());
            break;
        }
        if (result == NULL)
            assert_true(allowed_failure());
        Py_XDECREF(result);
    }
}

static void
test_module_survives_every_failed_allocation(void **unused)
{
    struct flow flow;
    struct dora_node *nodes[1];
    struct dora__heap_counts heap;
    PyObject *globals, *tries, *prepare;

    (void)unused;
    flow_begin(&flow, 1, HEAP);
    (void)flow_output(&flow, 0, "out", 64);
    (void)flow_input(&flow, 0, "in", 0, 10, 0);
    flow_make(&flow);
    flow_open(&flow, nodes);
    assert_int_equal(dora__py_seat(nodes[0]), 0);
    globals = run(steps);
    tries = PyDict_GetItemString(globals, "tries");
    Py_DECREF(run("pass"));
    PyRun_String("def prepare():\n"
                 "    node.drain()\n"
                 "    node.send_output('out', bytes(40), extra)\n",
                 Py_file_input, globals, globals);
    prepare = PyDict_GetItemString(globals, "prepare");
    assert_non_null(prepare);
    set_allocators();
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(tries); i++) {
        exhaust(PyList_GET_ITEM(tries, i), prepare);
        exhaust_runtime(PyList_GET_ITEM(tries, i), prepare);
    }
    unset_allocators();
    Py_DECREF(PyRun_String("node.drain()\n"
                           "raw()\n"
                           "assert len(node.next()['value']) == 100\n"
                           "node.drain()\n"
                           "raw()\n"
                           "node.drain()\n",
                           Py_file_input, globals, globals));
    /* Nothing of a failed call still holds memory: a message of the whole heap
     * finds room, for which all that was let go is taken back. */
    Py_DECREF(PyRun_String("node.send_output_raw('out', 1 << 20)\n",
                           Py_file_input, globals, globals));
    dora__plane_heap_counts(&flow.plane, 0, &heap);
    assert_int_equal(heap.used, 0);
    PyDict_Clear(globals);
    Py_DECREF(globals);
    flow_end(&flow);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_module_interpreters_are_nodes_of_their_own),
        cmocka_unit_test(test_module_survives_every_failed_allocation),
    };
    int failed;

    if (argc < 2)
        return EXIT_FAILURE;
    interpreter = argv[1];
    (void)alarm(300);
    start_python();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)Py_FinalizeEx();
    return failed;
}
