/* inhost_calls.c - what inhost.py is given of C. Functions find their guest in
 * a capsule; it stays as long as its interpreter does. */
#include "inhost.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define GUEST "dora.guest"

/* C code that may be loaded: names, one a line. Written by tests/sound. */
extern const char dora__inhost_sound[];
__asm__(".section .rodata\n"
        ".hidden dora__inhost_sound\n"
        ".global dora__inhost_sound\n"
        "dora__inhost_sound:\n"
        ".incbin \"pyapi/inhost/sound.list\"\n"
        ".byte 0\n"
        ".previous\n");

static struct dora__guest *
guest_of(PyObject *capsule)
{
    return PyCapsule_GetPointer(capsule, GUEST);
}

/* As time.sleep takes it. Less than 0: it does not. */
static double
seconds_of(PyObject *seconds)
{
    double value;

#if PY_VERSION_HEX >= 0x030f0000
    value = PyFloat_AsDouble(seconds);
#else
    PyObject *whole = NULL;

    if (PyFloat_Check(seconds))
        return PyFloat_AS_DOUBLE(seconds);
    whole = PyNumber_Index(seconds);
    value = whole == NULL ? -1 : PyLong_AsDouble(whole);
    Py_XDECREF(whole);
#endif
    PyErr_Clear();
    return value;
}

/* `self` is a guest and Python's own, which says what is wrong. */
static PyObject *
call_sleep(PyObject *self, PyObject *seconds)
{
    struct dora__guest *g = guest_of(PyTuple_GET_ITEM(self, 0));
    double value = seconds_of(seconds);
    int64_t now = dora__now();

    if (!(value >= 0 && value < 9e9))
        return PyObject_CallOneArg(PyTuple_GET_ITEM(self, 1), seconds);
    dora__inhost_sleep(g, now + (int64_t)(value * 1e9));
    if (PyErr_CheckSignals() < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef sleeper = {
    "sleep", call_sleep, METH_O,
    "sleep($module, seconds, /)\n--\n\nDelay execution for a given number of "
    "seconds; ended early when the dataflow stops."};

/* What stands for time.sleep, which is given. */
static PyObject *
call_sleeper(PyObject *self, PyObject *own)
{
    PyObject *both = PyTuple_Pack(2, self, own), *function = NULL;

    if (both != NULL)
        function = PyCFunction_New(&sleeper, both);
    Py_XDECREF(both);
    return function;
}

/* Whether it is too late to move, so that the import has to fail. */
static PyObject *
call_refuse(PyObject *self, PyObject *name)
{
    struct dora__guest *g = guest_of(self);
    const char *text = PyUnicode_AsUTF8(name);

    if (text == NULL)
        return NULL;
    if (g->refused[0] == 0 && !g->registered)
        (void)snprintf(g->refused, sizeof g->refused, "%s", text);
    return PyBool_FromLong(g->registered);
}

static PyObject *
call_registered(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(guest_of(self)->registered);
}

static PyObject *
call_acted(PyObject *self, PyObject *what)
{
    struct dora__guest *g = guest_of(self);
    const char *text = PyUnicode_AsUTF8(what);

    if (text == NULL)
        return NULL;
    if (g->acted[0] == 0)
        (void)snprintf(g->acted, sizeof g->acted, "%s", text);
    Py_RETURN_NONE;
}

static PyObject *
call_leave(PyObject *self, PyObject *status)
{
    struct dora__guest *g = guest_of(self);
    long value = PyLong_AsLong(status);

    if (value == -1 && PyErr_Occurred())
        return NULL;
    g->left = true;
    g->status = (int)value;
    dora__inhost_leave(g);
    return NULL;
}

/* What SIGINT is to a process. */
static PyObject *
call_interrupt(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct dora__guest *g = guest_of(self);

    if (PyThread_get_thread_ident() == g->ident) {
        PyErr_SetNone(PyExc_KeyboardInterrupt);
        return NULL;
    }
    (void)PyThreadState_SetAsyncExc(g->ident, PyExc_KeyboardInterrupt);
    dora__inhost_press(g, DORA__PRESS_WAKE);
    Py_RETURN_NONE;
}

/* Which of the descriptors 0 to 2 a file is; -1: none. */
static long
find_stream(PyObject *file)
{
    static const char *const names[] = {
        "/dev/stdin",      "/dev/stdout",     "/dev/stderr",
        "/dev/fd/0",       "/dev/fd/1",       "/dev/fd/2",
        "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2"};

    if (PyLong_CheckExact(file)) {
        long number = PyLong_AsLong(file);

        PyErr_Clear();
        return number >= 0 && number <= 2 ? number : -1;
    }
    for (size_t i = 0; PyUnicode_Check(file) && i < DORA_COUNT(names); i++)
        if (PyUnicode_CompareWithASCIIString(file, names[i]) == 0)
            return (long)i % 3;
    return -1;
}

/* open() as the script has it; in C, so that no traceback has a line of it.
 * `self`: the builtin, and what opens streams. */
static PyObject *
call_open(PyObject *self, PyObject *const *args, Py_ssize_t count,
          PyObject *names)
{
    Py_ssize_t which = count > 0 && find_stream(args[0]) >= 0;

    return PyObject_Vectorcall(PyTuple_GetItem(self, which), args,
                               (size_t)count, names);
}

static PyMethodDef opener = {
    "open", (PyCFunction)(void (*)(void))call_open,
    METH_FASTCALL | METH_KEYWORDS,
    "open($module, /, file, mode='r', buffering=-1, encoding=None,\n"
    "     errors=None, newline=None, closefd=True, opener=None)\n--\n\n"
    "Open file and return a stream.  Raise OSError upon failure."};

/* The arguments are `self` of call_open. */
static PyObject *
call_file_opener(PyObject *Py_UNUSED(self), PyObject *args)
{
    PyObject *module = PyUnicode_FromString("_io"), *function = NULL;

    if (module != NULL)
        function = PyCFunction_NewEx(&opener, args, module);
    Py_XDECREF(module);
    return function;
}

static PyObject *
call_start_program(PyObject *self, PyObject *args)
{
    return dora__inhost_start_program(guest_of(self), args);
}

static PyObject *
call_await_links(PyObject *Py_UNUSED(self), PyObject *args)
{
    return dora__inhost_await_links(args);
}

static PyObject *
call_take_end(PyObject *Py_UNUSED(self), PyObject *args)
{
    return dora__inhost_take_end(args);
}

static PyMethodDef methods[] = {
    {"sleeper", call_sleeper, METH_O, NULL},
    {"file_opener", call_file_opener, METH_VARARGS, NULL},
    {"refuse", call_refuse, METH_O, NULL},
    {"registered", call_registered, METH_NOARGS, NULL},
    {"acted", call_acted, METH_O, NULL},
    {"leave", call_leave, METH_O, NULL},
    {"interrupt", call_interrupt, METH_NOARGS, NULL},
    {"start_program", call_start_program, METH_VARARGS, NULL},
    {"await_links", call_await_links, METH_VARARGS, NULL},
    {"take_end", call_take_end, METH_VARARGS, NULL},
};

static PyObject *
list_of(char *const *texts, PyObject *(*make)(const char *))
{
    PyObject *list = PyList_New(0);

    for (; list != NULL && *texts != NULL; texts++) {
        PyObject *item = make(*texts);

        if (item == NULL || PyList_Append(list, item) < 0)
            Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list;
}

static int
add(PyObject *dict, const char *key, PyObject *value)
{
    int r = value == NULL ? -1 : PyDict_SetItemString(dict, key, value);

    Py_XDECREF(value);
    return r;
}

static int
add_functions(PyObject *dict, PyObject *capsule)
{
    if (capsule == NULL)
        return -1;
    for (size_t i = 0; i < DORA_COUNT(methods); i++)
        if (add(dict, methods[i].ml_name,
                PyCFunction_New(&methods[i], capsule)) < 0)
            return -1;
    return 0;
}

PyObject *
dora__inhost_calls(struct dora__guest *g)
{
    PyObject *dict = PyDict_New();
    PyObject *capsule = PyCapsule_New(g, GUEST, NULL);

    if (dict != NULL &&
        (add_functions(dict, capsule) < 0 ||
         add(dict, "argv", list_of(g->argv, PyUnicode_DecodeFSDefault)) < 0 ||
         add(dict, "env", list_of(g->env, PyBytes_FromString)) < 0 ||
         add(dict, "id", PyUnicode_FromString(g->id)) < 0 ||
         add(dict, "program", PyUnicode_DecodeFSDefault(g->program)) < 0 ||
         add(dict, "ident", PyLong_FromUnsignedLong(g->ident)) < 0 ||
         add(dict, "native_id", PyLong_FromLong(g->native_id)) < 0 ||
         add(dict, "stdout", PyLong_FromLong(g->stdout_fd)) < 0 ||
         add(dict, "stderr", PyLong_FromLong(g->stderr_fd)) < 0 ||
         add(dict, "sound", PyUnicode_FromString(dora__inhost_sound)) < 0 ||
         PyDict_SetItemString(dict, "__builtins__", PyEval_GetBuiltins()) < 0 ||
         add(dict, "__name__", PyUnicode_FromString("dora-inhost")) < 0))
        Py_CLEAR(dict);
    Py_XDECREF(capsule);
    return dict;
}
