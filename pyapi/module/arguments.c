/* arguments.c - reads what Python passes to a METH_FASTCALL | METH_KEYWORDS
 * method. A table instead of PyArg_Parse: sends and receives go through here
 * once per message, and a call by position costs three comparisons. */
#include "module.h"

#include <math.h>

static int
parameter_count(const struct dora__py_signature *signature)
{
    int n = 0;

    while (signature->names[n] != NULL)
        n++;
    return n;
}

static int
find_name(const struct dora__py_signature *signature, int count, PyObject *name)
{
    for (int i = 0; i < count; i++) {
        if (PyUnicode_CompareWithASCIIString(name, signature->names[i]) == 0)
            return i;
    }
    return -1;
}

static int
keyword_arguments(const struct dora__py_signature *signature, int parameters,
                  PyObject *const *args, PyObject *names, PyObject **values)
{
    for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(names); k++) {
        PyObject *name = PyTuple_GET_ITEM(names, k);
        int i = find_name(signature, parameters, name);

        if (i < 0) {
            PyErr_Format(PyExc_TypeError,
                         "%s() got an unexpected keyword argument %R",
                         signature->function, name);
            return -1;
        }
        if (values[i] != NULL) {
            PyErr_Format(PyExc_TypeError,
                         "%s() got multiple values for argument '%s'",
                         signature->function, signature->names[i]);
            return -1;
        }
        values[i] = args[k];
    }
    return 0;
}

int
dora__py_arguments(const struct dora__py_signature *signature,
                   PyObject *const *args, Py_ssize_t count, PyObject *names,
                   PyObject **ret_values)
{
    int parameters = parameter_count(signature);

    if (count > parameters) {
        PyErr_Format(PyExc_TypeError,
                     "%s() takes at most %d arguments (%zd given)",
                     signature->function, parameters, count);
        return -1;
    }
    for (int i = 0; i < parameters; i++)
        ret_values[i] = i < count ? args[i] : NULL;
    if (names != NULL && keyword_arguments(signature, parameters, args + count,
                                           names, ret_values) < 0)
        return -1;
    for (int i = 0; i < signature->required; i++) {
        if (ret_values[i] == NULL) {
            PyErr_Format(PyExc_TypeError, "%s() missing required argument '%s'",
                         signature->function, signature->names[i]);
            return -1;
        }
    }
    return 0;
}

const char *
dora__py_text(PyObject *value, const char *name)
{
    if (!PyUnicode_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s must be str, not %.100s", name,
                     dora__py_type_name(Py_TYPE(value)));
        return NULL;
    }
    return PyUnicode_AsUTF8(value);
}

int64_t
dora__py_timeout(PyObject *value)
{
    double seconds;

    if (value == NULL || value == Py_None)
        return -1;
    seconds = PyFloat_AsDouble(value);
    if (seconds == -1.0 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_TypeError))
            PyErr_Format(PyExc_TypeError,
                         "timeout must be a number of seconds or None, not "
                         "%.100s",
                         dora__py_type_name(Py_TYPE(value)));
        return -2;
    }
    if (!isfinite(seconds) || seconds < 0) {
        PyErr_Format(PyExc_ValueError,
                     "timeout must be a finite number of seconds and not "
                     "negative, not %R",
                     value);
        return -2;
    }
    if (seconds > 4e9) /* about 127 years: the clock has not many more */
        seconds = 4e9;
    return (int64_t)(seconds * 1e9);
}
