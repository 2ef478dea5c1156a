/* arrow_import.c - arrays of other libraries, by the Arrow PyCapsule interface:
 * what they are, and where their bytes lie. Nothing is taken out of the
 * capsules; they are kept for as long as the bytes are used. */
#include "module.h"

#include <string.h>

/* Calls the method `name`. 1: *ret_result is new; 0: there is none; -1. */
static int
call_if_any(PyObject *object, const char *name, PyObject **ret_result)
{
    PyObject *method;

    /* A class has the method too, but is no array. */
    if (PyType_Check(object))
        return 0;
    method = PyObject_GetAttrString(object, name);
    if (method == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError))
            return -1;
        PyErr_Clear();
        return 0;
    }
    *ret_result = PyObject_CallNoArgs(method);
    Py_DECREF(method);
    return *ret_result == NULL ? -1 : 1;
}

int
dora__py_arrow_meet(const struct dora__py_module *m, PyObject **ret_make)
{
    PyObject *pyarrow = PyImport_GetModule(m->words[DORA__PY_PYARROW]);

    *ret_make = NULL;
    if (pyarrow == NULL)
        return PyErr_Occurred() ? -1 : 0;
    *ret_make = PyObject_GetAttrString(pyarrow, "array");
    Py_DECREF(pyarrow);
    if (*ret_make == NULL && PyErr_ExceptionMatches(PyExc_AttributeError))
        PyErr_Clear(); /* still being imported */
    return PyErr_Occurred() ? -1 : 0;
}

int
dora__py_arrow_same(PyObject *object, enum dora_value value)
{
    PyObject *capsule;
    const struct ArrowSchema *schema;
    int r = call_if_any(object, "__arrow_c_schema__", &capsule);

    if (r <= 0)
        return r < 0 ? -1 : -2;
    schema = PyCapsule_GetPointer(capsule, "arrow_schema");
    r = schema == NULL
            ? -1
            : strcmp(schema->format, dora__py_arrow_format(value)) == 0;
    Py_DECREF(capsule);
    return r;
}

/* Bytes without nulls lie in one piece and are sent as they are, whatever
 * others a block has to be made of. */
static int
describe(const struct ArrowSchema *schema, const struct ArrowArray *array,
         struct dora__py_payload *payload)
{
    struct dora_error err = {0};

    if (strcmp(schema->format, "n") == 0 && array->length == 0) {
        payload->value = DORA_VALUE_NULL;
        return 1;
    }
    if (dora__arrow_is_bytes(schema, array)) {
        payload->value = DORA_VALUE_BYTES;
        payload->size = (size_t)array->length;
        payload->data = dora__arrow_bytes(array);
        return 1;
    }
    if (dora__arrow_measure(schema, array, &payload->packed, &err) < 0) {
        PyErr_SetString(PyExc_RuntimeError, err.text);
        return -1;
    }
    payload->value = DORA_VALUE_ARROW;
    payload->size = payload->packed.whole;
    payload->schema = schema;
    payload->array = array;
    return 1;
}

int
dora__py_arrow_payload(PyObject *object, struct dora__py_payload *payload)
{
    const struct ArrowSchema *schema;
    const struct ArrowArray *array;
    PyObject *pair;
    int r = call_if_any(object, "__arrow_c_array__", &pair);

    if (r <= 0)
        return r;
    payload->owner = pair; /* let go of with the payload */
    if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2) {
        PyErr_SetString(PyExc_TypeError,
                        "__arrow_c_array__ must return a pair of capsules");
        return -1;
    }
    schema = PyCapsule_GetPointer(PyTuple_GET_ITEM(pair, 0), "arrow_schema");
    if (schema == NULL)
        return -1;
    array = PyCapsule_GetPointer(PyTuple_GET_ITEM(pair, 1), "arrow_array");
    return array == NULL ? -1 : describe(schema, array, payload);
}
