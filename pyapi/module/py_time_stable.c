/* py_time_stable.c - py_time.c for the build that serves every Python: whose
 * C table of datetime is nobody's promise, so that this asks in Python. */
#include "module.h"

/* What is kept in the module state, a tuple. */
enum { EPOCH, DATETIME, TIMEDELTA, MICROSECOND, UTC };

static inline PyObject *
kept(const struct dora__py_module *m, int which)
{
    return PyTuple_GetItem(m->datetime, which);
}

int
dora__py_time_setup(struct dora__py_module *m)
{
    static const char source[] =
        "(lambda d: (d.datetime(1970, 1, 1, tzinfo=d.timezone.utc),"
        " d.datetime, d.timedelta, d.timedelta(microseconds=1),"
        " d.timezone.utc))(__import__('datetime'))";
    PyObject *globals, *code, *tuple = NULL;

    if (m->datetime != NULL)
        return 0;
    code = Py_CompileString(source, "<dora>", Py_eval_input);
    globals = code == NULL
                  ? NULL
                  : Py_BuildValue("{sO}", "__builtins__", PyEval_GetBuiltins());
    if (globals != NULL)
        tuple = PyEval_EvalCode(code, globals, globals);
    Py_XDECREF(globals);
    Py_XDECREF(code);
    m->datetime = tuple;
    return tuple == NULL ? -1 : 0;
}

PyObject *
dora__py_time_new(struct dora__py_module *m, int64_t microseconds)
{
    PyObject *delta = PyObject_CallFunction(kept(m, TIMEDELTA), "iiL", 0, 0,
                                            (long long)microseconds);
    PyObject *time = delta == NULL ? NULL : PyNumber_Add(kept(m, EPOCH), delta);

    Py_XDECREF(delta);
    if (time == NULL && PyErr_ExceptionMatches(PyExc_OverflowError))
        PyErr_SetString(PyExc_OverflowError, "time out of datetime's range");
    return time;
}

/* Of an aware datetime. */
static PyObject *
since_epoch(const struct dora__py_module *m, PyObject *time)
{
    PyObject *delta = PyNumber_Subtract(time, kept(m, EPOCH));
    PyObject *number = delta == NULL
                           ? NULL
                           : PyNumber_FloorDivide(delta, kept(m, MICROSECOND));

    Py_XDECREF(delta);
    return number;
}

int
dora__py_time_parse(const struct dora__py_module *m, PyObject *object,
                    int64_t *ret_microseconds)
{
    PyObject *utc, *number;
    int is = PyObject_IsInstance(object, kept(m, DATETIME));

    if (is <= 0)
        return is;
    utc = PyObject_CallMethod(object, "astimezone", "O", kept(m, UTC));
    number = utc == NULL ? NULL : since_epoch(m, utc);
    Py_XDECREF(utc);
    if (number == NULL)
        return -1;
    *ret_microseconds = PyLong_AsLongLong(number);
    Py_DECREF(number);
    return PyErr_Occurred() ? -1 : 1;
}
