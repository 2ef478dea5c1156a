/* extension.c - an extension module of each kind that is about, built by
 * modules_test.py with KIND and NAME:
 *
 *     SINGLE   single-phase, with static types: NumPy of old, OpenCV, psutil
 *     RAISES   its initialisation fails
 *     PLAIN    multi-phase, says nothing of interpreters: most of Cython
 *     REFUSES  multi-phase, says it supports none but the main one: NumPy
 *     SHARES   multi-phase, for interpreters that share a lock
 *     OWN      multi-phase, says that each interpreter may have its own lock
 *     CLAIMS   says so, but has static types: Cython's own_gil
 *     ONCE     refuses the second interpreter that it meets: PyO3
 *     ABORTS   single-phase, ends the process when it meets a second one: torch
 *
 * All of them end a dora-run that as much as loads them. */
#include <Python.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SINGLE, RAISES, PLAIN, REFUSES, SHARES, OWN, CLAIMS, ONCE, ABORTS };

__attribute__((constructor)) static void
stay_outside(void)
{
    if (strcmp(program_invocation_short_name, "dora-run") == 0)
        abort();
}

static PyObject *
answer(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyLong_FromLong(42);
}

static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, NULL},
                                {NULL, NULL, 0, NULL}};

static PyTypeObject thing = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "extension.Thing",
    .tp_basicsize = sizeof(PyObject),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = PyType_GenericNew,
};

#define STRING_OF(name) #name
#define STRING(name) STRING_OF(name)
#define JOIN_OF(a, b) a##b
#define JOIN(a, b) JOIN_OF(a, b)
#define INIT JOIN(PyInit_, NAME)

PyMODINIT_FUNC INIT(void);

#if KIND == SINGLE || KIND == RAISES || KIND == ABORTS

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    STRING(NAME),
    NULL,
    -1,
    methods,
    NULL,
    NULL,
    NULL,
    NULL,
};

PyMODINIT_FUNC
INIT(void)
{
    static PyObject *cache;
    PyObject *module;

    if (KIND == RAISES) {
        PyErr_SetString(PyExc_RuntimeError, "no such device");
        return NULL;
    }
    if (cache != NULL && KIND == ABORTS)
        abort();
    module = cache = PyModule_Create(&definition);
    if (module != NULL && PyModule_AddType(module, &thing) < 0)
        Py_CLEAR(module);
    return module;
}

#else

static int
execute(PyObject *module)
{
    static int64_t first = -1;
    int64_t own = PyInterpreterState_GetID(PyInterpreterState_Get());

    if (first >= 0 && first != own && KIND == ONCE) {
        PyErr_SetString(PyExc_ImportError, "no subinterpreters yet");
        return -1;
    }
    first = own;
    return KIND == CLAIMS ? PyModule_AddType(module, &thing) : 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)execute},
#if PY_VERSION_HEX >= 0x030c0000
#if KIND == REFUSES
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#elif KIND == SHARES
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_SUPPORTED},
#elif KIND == OWN || KIND == CLAIMS || KIND == ONCE
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    STRING(NAME),
    NULL,
    0,
    methods,
    slots,
    NULL,
    NULL,
    NULL,
};

PyMODINIT_FUNC
INIT(void)
{
    (void)thing;
    return PyModuleDef_Init(&definition);
}

#endif
