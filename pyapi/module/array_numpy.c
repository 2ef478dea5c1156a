/* array_numpy.c - an Array as a NumPy array over the same memory. NumPy is met
 * only here, when a node asks for it. */
#include "module.h"

static PyObject *
import_numpy(void)
{
    PyObject *numpy = PyImport_ImportModule("numpy");

    if (numpy == NULL && PyErr_ExceptionMatches(PyExc_ModuleNotFoundError))
        PyErr_SetString(PyExc_ImportError,
                        "to_numpy() needs the numpy package in this node's "
                        "Python; memoryview(value) and value.to_pylist() do "
                        "not");
    return numpy;
}

/* asarray(memoryview(self)): NumPy keeps the memoryview, that keeps self. */
static PyObject *
view_of(PyObject *numpy, PyObject *self)
{
    PyObject *view = PyMemoryView_FromObject(self), *array;

    if (view == NULL)
        return NULL;
    array = PyObject_CallMethod(numpy, "asarray", "O", view);
    Py_DECREF(view);
    return array;
}

/* Nulls and strings are objects to NumPy, as pyarrow gives them. */
static PyObject *
copied(PyObject *numpy, PyObject *self, const char *dtype)
{
    PyObject *list = PyObject_CallMethod(self, "to_pylist", NULL), *result;

    if (list == NULL)
        return NULL;
    result = PyObject_CallMethod(numpy, "array", "Os", list, dtype);
    Py_DECREF(list);
    return result;
}

PyObject *
dora__py_to_numpy(PyObject *self, const char *dtype, PyObject *const *args,
                  Py_ssize_t count, PyObject *names)
{
    static const struct dora__py_signature signature = {
        "to_numpy", {"zero_copy_only", "writable", NULL}, 0};
    PyObject *values[2], *numpy, *result = NULL;
    int zero_copy, writable;

    if (dora__py_arguments(&signature, args, count, names, values) < 0)
        return NULL;
    zero_copy = values[0] == NULL ? 1 : PyObject_IsTrue(values[0]);
    writable = values[1] == NULL ? 0 : PyObject_IsTrue(values[1]);
    if (zero_copy < 0 || writable < 0)
        return NULL;
    if (zero_copy && (writable || dtype != NULL)) {
        PyErr_SetString(PyExc_ValueError,
                        writable ? "Cannot return a writable array if asking "
                                   "for zero-copy"
                                 : "nulls, strings and other items that are "
                                   "not numbers can only be copied, and "
                                   "zero_copy_only is True");
        return NULL;
    }
    numpy = import_numpy();
    if (numpy == NULL)
        return NULL;
    result = dtype != NULL ? copied(numpy, self, dtype) : view_of(numpy, self);
    if (result != NULL && writable && dtype == NULL)
        Py_SETREF(result, PyObject_CallMethod(result, "copy", NULL));
    Py_DECREF(numpy);
    return result;
}

/* The copy that `copy=` and `dtype=` of __array__ ask for; takes over `array`.
 * NumPy 1 does not pass `copy`. */
static PyObject *
converted(PyObject *array, PyObject *dtype, PyObject *copy)
{
    int must = copy == NULL || copy == Py_None ? 0 : PyObject_IsTrue(copy);
    PyObject *result = NULL;

    if (must >= 0 && dtype != NULL && dtype != Py_None)
        result =
            PyObject_CallMethod(array, "astype", "OssOO", dtype, "K", "unsafe",
                                Py_True, must ? Py_True : Py_False);
    else if (must > 0)
        result = PyObject_CallMethod(array, "copy", NULL);
    else if (must == 0)
        return array;
    if (result != NULL && copy == Py_False && result != array) {
        PyErr_SetString(PyExc_ValueError,
                        "another dtype than that of the items would need "
                        "a copy");
        Py_CLEAR(result);
    }
    Py_DECREF(array);
    return result;
}

PyObject *
dora__py_numpy_protocol(PyObject *self, const char *dtype,
                        PyObject *const *args, Py_ssize_t count,
                        PyObject *names)
{
    static const struct dora__py_signature signature = {
        "__array__", {"dtype", "copy", NULL}, 0};
    PyObject *values[2], *numpy, *result;

    if (dora__py_arguments(&signature, args, count, names, values) < 0)
        return NULL;
    if (dtype != NULL && values[1] == Py_False) {
        PyErr_SetString(PyExc_ValueError,
                        "nulls, strings and other items that are not numbers "
                        "can only be copied");
        return NULL;
    }
    numpy = import_numpy();
    if (numpy == NULL)
        return NULL;
    result = dtype != NULL ? copied(numpy, self, dtype) : view_of(numpy, self);
    Py_DECREF(numpy);
    return result == NULL ? NULL : converted(result, values[0], values[1]);
}
