/* py_debug.c - breakpoint(): what debugger.py, which is run when it is called
 * first, is given of C.
 *
 * Whoever waits here for the terminal or for a key looks up ten times a second:
 * for signals, and for the end of the dataflow. */
#include "module.h"
#include "python.h"

#include <poll.h>

#define LOOK ((int64_t)100 * 1000000)

/* debugger.py, as it is. */
extern const char dora__debugger_source[];
__asm__(".section .rodata\n"
        ".hidden dora__debugger_source\n"
        ".global dora__debugger_source\n"
        "dora__debugger_source:\n"
        ".incbin \"pyapi/debugger.py\"\n"
        ".byte 0\n"
        ".previous\n");

/* False: there is none, or the dataflow stops. */
static PyObject *
call_take(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct dora_node *node = dora__py_seat_look();
    int r;

    (void)self;
    if (node == NULL)
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_False);
    do {
        Py_BEGIN_ALLOW_THREADS;
        r = dora__node_take_terminal(node, LOOK);
        Py_END_ALLOW_THREADS;
        if ((r == -EINTR || r == -ETIMEDOUT) && PyErr_CheckSignals() < 0)
            return NULL;
    } while (r == -EINTR || r == -ETIMEDOUT);
    return PyBool_FromLong(r == 0);
}

static PyObject *
call_give(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct dora_node *node = dora__py_seat_look();

    (void)self;
    if (node != NULL)
        dora__node_return_terminal(node);
    PyErr_Clear();
    Py_RETURN_NONE;
}

/* Waits for a key. False: the dataflow stops. */
static PyObject *
call_readable(PyObject *self, PyObject *number)
{
    struct dora_node *node = dora__py_seat_look();
    struct pollfd keys = {.fd = (int)PyLong_AsLong(number), .events = POLLIN};
    int ready = 0;

    (void)self;
    if (PyErr_Occurred())
        return NULL;
    while (ready <= 0 && node != NULL && !dora__node_stopping(node)) {
        Py_BEGIN_ALLOW_THREADS;
        ready = poll(&keys, 1, LOOK / 1000000);
        Py_END_ALLOW_THREADS;
        if (PyErr_CheckSignals() < 0)
            return NULL;
    }
    return PyBool_FromLong(ready > 0);
}

static PyMethodDef methods[] = {
    {"take", call_take, METH_NOARGS, NULL},
    {"give", call_give, METH_NOARGS, NULL},
    {"readable", call_readable, METH_O, NULL},
};

static int
set(PyObject *dict, const char *key, PyObject *value)
{
    int r = value == NULL ? -1 : PyDict_SetItemString(dict, key, value);

    Py_XDECREF(value);
    return r;
}

/* What debugger.py defines: a new dict. */
static PyObject *
load(void)
{
    struct dora_node *node = dora__py_seat_look();
    PyObject *dict = PyErr_Occurred() ? NULL : PyDict_New();
    PyObject *code = NULL, *result = NULL;
    bool failed = dict == NULL;

    for (size_t i = 0; !failed && i < DORA_COUNT(methods); i++)
        failed = set(dict, methods[i].ml_name,
                     PyCFunction_New(&methods[i], NULL)) < 0;
    if (!failed &&
        set(dict, "__name__", PyUnicode_FromString("dora.debugger")) == 0 &&
        set(dict, "node",
            PyUnicode_FromString(node == NULL ? "?" : dora_node_id(node))) ==
            0 &&
        PyDict_SetItemString(dict, "__builtins__", PyEval_GetBuiltins()) == 0)
        code = Py_CompileString(dora__debugger_source, "<dora-debugger>",
                                Py_file_input);
    if (code != NULL)
        result = PyEval_EvalCode(code, dict, dict);
    Py_XDECREF(code);
    if (result == NULL)
        Py_CLEAR(dict);
    Py_XDECREF(result);
    return dict;
}

/* `self` is a list that keeps the dict of debugger.py. */
static PyObject *
breakpoint_hook(PyObject *self, PyObject *args, PyObject *keys)
{
    PyObject *dict, *stop;

    if (PyList_Size(self) == 0) {
        dict = load();
        if (dict == NULL || PyList_Append(self, dict) < 0) {
            Py_XDECREF(dict);
            return NULL;
        }
        Py_DECREF(dict);
    }
    stop = PyDict_GetItemString(PyList_GetItem(self, 0), "stop");
    return stop == NULL ? NULL : PyObject_Call(stop, args, keys);
}

static PyMethodDef hook = {
    "breakpointhook", (PyCFunction)(void (*)(void))breakpoint_hook,
    METH_VARARGS | METH_KEYWORDS,
    "What breakpoint() calls: pdb on the terminal of dora-run."};

int
dora__py_debug_install(void)
{
    PyObject *kept = PyList_New(0);
    PyObject *function = kept == NULL ? NULL : PyCFunction_New(&hook, kept);
    int r = function == NULL ? -1 : PySys_SetObject("breakpointhook", function);

    Py_XDECREF(kept);
    Py_XDECREF(function);
    return r;
}
