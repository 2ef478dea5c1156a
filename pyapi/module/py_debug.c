/* py_debug.c - what debugger.py, which is run when pdb has been imported, is
 * given of C.
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
        ".incbin \"pyapi/module/debugger.py\"\n"
        ".byte 0\n"
        ".previous\n");

/* The node's name, or None: there is no terminal, or the dataflow stops. */
static PyObject *
call_take(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct dora_node *node = dora__py_seat_look();
    int r;

    (void)self;
    if (node == NULL)
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
    do {
        Py_BEGIN_ALLOW_THREADS;
        r = dora__node_take_terminal(node, LOOK);
        Py_END_ALLOW_THREADS;
        if ((r == -EINTR || r == -ETIMEDOUT) && PyErr_CheckSignals() < 0)
            return NULL;
    } while (r == -EINTR || r == -ETIMEDOUT);
    if (r < 0)
        Py_RETURN_NONE;
    return PyUnicode_FromString(dora_node_id(node));
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

static PyObject *
globals(void)
{
    PyObject *dict = Py_BuildValue("{sssO}", "__name__", "dora.debugger",
                                   "__builtins__", PyEval_GetBuiltins());

    for (size_t i = 0; dict != NULL && i < DORA_COUNT(methods); i++) {
        PyObject *function = PyCFunction_New(&methods[i], NULL);

        if (function == NULL ||
            PyDict_SetItemString(dict, methods[i].ml_name, function) < 0)
            Py_CLEAR(dict);
        Py_XDECREF(function);
    }
    return dict;
}

/* Called with pdb. */
static PyObject *
mend_pdb(PyObject *Py_UNUSED(self), PyObject *pdb)
{
    PyObject *dict = globals(), *code = NULL, *defined = NULL;
    PyObject *mend = NULL, *result = NULL;

    if (dict != NULL)
        code = Py_CompileString(dora__debugger_source, "<dora-debugger>",
                                Py_file_input);
    if (code != NULL)
        defined = PyEval_EvalCode(code, dict, dict);
    if (defined != NULL)
        mend = PyDict_GetItemString(dict, "mend"); /* borrowed */
    if (mend != NULL)
        result = PyObject_CallOneArg(mend, pdb);
    Py_XDECREF(defined);
    Py_XDECREF(code);
    Py_XDECREF(dict);
    return result;
}

static PyMethodDef mend = {"mend_pdb", mend_pdb, METH_O, NULL};

int
dora__py_debug_install(void)
{
    PyObject *function = PyCFunction_New(&mend, NULL);
    int r = function == NULL ? -1 : dora__py_mend("pdb", function);

    Py_XDECREF(function);
    return r;
}
