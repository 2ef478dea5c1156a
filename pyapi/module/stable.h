/* stable.h - Python.h as the files of the module use it, in both ways they are
 * compiled: for one Python, with what is fast there; and, with Py_LIMITED_API,
 * once for every CPython from 3.11 on, where the same names are functions. */
#ifndef DORA_STABLE_H
#define DORA_STABLE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>

/* From begin to end one thread at a time, whoever else begins with the same
 * object; left for as long as it waits for anything, then taken again. Where
 * Python has one lock for all, or none of its versions knows of others, that is
 * what it has. */
#ifndef Py_BEGIN_CRITICAL_SECTION
#define Py_BEGIN_CRITICAL_SECTION(object) {
#define Py_END_CRITICAL_SECTION() }
#endif

#ifdef Py_LIMITED_API

/* Counted by the interpreter itself. What the headers have inline knows how one
 * version marks an object as immortal: by that of 3.11, each None returned to
 * 3.14 raises its count, which may wrap after 2^30 of them; by that of 3.12,
 * None is not counted at all, and 3.11 would use it up. */
#undef Py_INCREF
#undef Py_XINCREF
#undef Py_DECREF
#undef Py_XDECREF
#undef Py_NewRef
#undef Py_XNewRef
#define Py_INCREF(object) Py_IncRef((PyObject *)(object))
#define Py_XINCREF Py_INCREF
#define Py_DECREF(object) Py_DecRef((PyObject *)(object))
#define Py_XDECREF Py_DECREF
#define Py_NewRef(object) (Py_NewRef)((PyObject *)(object))
#define Py_XNewRef(object) (Py_XNewRef)((PyObject *)(object))

#undef Py_RETURN_NONE
#undef Py_RETURN_TRUE
#undef Py_RETURN_FALSE
#undef Py_RETURN_NOTIMPLEMENTED
#define Py_RETURN_NONE return Py_NewRef(Py_None)
#define Py_RETURN_TRUE return Py_NewRef(Py_True)
#define Py_RETURN_FALSE return Py_NewRef(Py_False)
#define Py_RETURN_NOTIMPLEMENTED return Py_NewRef(Py_NotImplemented)

#define PyTuple_GET_SIZE PyTuple_Size
#define PyTuple_GET_ITEM PyTuple_GetItem
#define PyList_GET_SIZE PyList_Size
#define PyList_GET_ITEM PyList_GetItem
#define PyList_SET_ITEM (void)PyList_SetItem
#define PyDict_GET_SIZE PyDict_Size
#define PyBytes_AS_STRING PyBytes_AsString
#define PyBytes_GET_SIZE PyBytes_Size
#define PyFloat_AS_DOUBLE PyFloat_AsDouble
#define PyUnicode_GET_LENGTH PyUnicode_GetLength
#define PyUnicode_AsUTF8(text) PyUnicode_AsUTF8AndSize((text), NULL)
#define PyObject_CallOneArg(function, value) \
    PyObject_CallFunctionObjArgs((function), (value), NULL)
#define Py_XSETREF(place, value)                 \
    do {                                         \
        PyObject *before_ = (PyObject *)(place); \
        (place) = (value);                       \
        Py_XDECREF(before_);                     \
    } while (0)
#define Py_SETREF Py_XSETREF

static inline bool
Py_ISALNUM(char c)
{
    return ((c | 32) >= 'a' && (c | 32) <= 'z') || (c >= '0' && c <= '9');
}

static inline PyObject *
dora__py_alloc(PyTypeObject *type)
{
    return ((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
}

static inline void
dora__py_free(PyTypeObject *type, PyObject *object)
{
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
}

/* "int", "numpy.int64": kept until the next call in this thread. */
const char *dora__py_type_name(PyTypeObject *type);

#else

static inline PyObject *
dora__py_alloc(PyTypeObject *type)
{
    return type->tp_alloc(type, 0);
}

static inline void
dora__py_free(PyTypeObject *type, PyObject *object)
{
    type->tp_free(object);
}

static inline const char *
dora__py_type_name(PyTypeObject *type)
{
    return type->tp_name;
}

#endif

#endif
