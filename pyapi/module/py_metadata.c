/* py_metadata.c - parameters of a message: a dict on Python's side, dora.h's
 * encoded block in memory.
 *
 * Keeps true: what can be carried comes back equal (bool, int of 64 bits,
 * float, str, datetime, lists of them); numbers of NumPy are numbers; anything
 * else travels as its str(), and the node is told so once. What cannot be
 * right is an error here, at the sender: keys that are no str, ints beyond 64
 * bits, lists of mixed items. */
#include "module.h"

#include <string.h>

struct pair {
    struct dora__py_module *m;
    struct dora_metadata *metadata;
    const char *key;
    size_t key_size;
};

static int add_value(struct pair *pair, PyObject *value);

static int
check(int r)
{
    if (r == -E2BIG)
        PyErr_SetString(PyExc_RuntimeError, "metadata is larger than 16 MiB");
    else if (r < 0)
        (void)dora__py_raise(r, NULL);
    return r < 0 ? -1 : 0;
}

/* --- encoding: lists ----------------------------------------------------- */

static int
mixed(const struct pair *pair, Py_ssize_t index, const char *kind)
{
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_TypeError))
        return -1;
    PyErr_Format(PyExc_TypeError,
                 "metadata '%s': item %zd of the list is not %s, as the first "
                 "one is",
                 pair->key, index, kind);
    return -1;
}

static int
add_bools(struct pair *pair, PyObject *items, Py_ssize_t count)
{
    uint8_t *values = PyMem_Malloc((size_t)count);
    int r;

    if (values == NULL)
        return check(-ENOMEM);
    for (Py_ssize_t i = 0; i < count; i++)
        values[i] = PyList_GET_ITEM(items, i) == Py_True;
    r = dora_metadata_bool_list(pair->metadata, pair->key, pair->key_size,
                                values, (size_t)count);
    PyMem_Free(values);
    return check(r);
}

static int
add_ints(struct pair *pair, PyObject *items, Py_ssize_t count)
{
    int64_t *values = PyMem_Malloc((size_t)count * sizeof(*values) + 1);
    int r = 0;

    if (values == NULL)
        return check(-ENOMEM);
    for (Py_ssize_t i = 0; i < count && r == 0; i++) {
        PyObject *item = PyNumber_Index(PyList_GET_ITEM(items, i));

        if (item != NULL)
            values[i] = PyLong_AsLongLong(item);
        Py_XDECREF(item);
        if (item == NULL || PyErr_Occurred())
            r = mixed(pair, i, "an int");
    }
    if (r == 0)
        r = check(dora_metadata_int_list(
            pair->metadata, pair->key, pair->key_size, values, (size_t)count));
    PyMem_Free(values);
    return r;
}

static int
add_floats(struct pair *pair, PyObject *items, Py_ssize_t count)
{
    double *values = PyMem_Malloc((size_t)count * sizeof(*values));
    int r = 0;

    if (values == NULL)
        return check(-ENOMEM);
    for (Py_ssize_t i = 0; i < count && r == 0; i++) {
        values[i] = PyFloat_AsDouble(PyList_GET_ITEM(items, i));
        if (values[i] == -1.0 && PyErr_Occurred())
            r = mixed(pair, i, "a float");
    }
    if (r == 0)
        r = check(dora_metadata_float_list(
            pair->metadata, pair->key, pair->key_size, values, (size_t)count));
    PyMem_Free(values);
    return r;
}

static int
add_strings(struct pair *pair, PyObject *items, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        if (!PyUnicode_Check(PyList_GET_ITEM(items, i)))
            return mixed(pair, i, "a str");
        if (PyUnicode_AsUTF8(PyList_GET_ITEM(items, i)) == NULL)
            return -1;
    }
    if (check(dora_metadata_string_list(pair->metadata, pair->key,
                                        pair->key_size, (size_t)count)) < 0)
        return -1;
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_ssize_t size;
        const char *text =
            PyUnicode_AsUTF8AndSize(PyList_GET_ITEM(items, i), &size);

        if (check(dora_metadata_list_string(pair->metadata, text,
                                            (size_t)size)) < 0)
            return -1;
    }
    return 0;
}

static bool
all_bools(PyObject *items, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        if (!PyBool_Check(PyList_GET_ITEM(items, i)))
            return false;
    }
    return count > 0;
}

/* --- encoding: single values --------------------------------------------- */

/* Numbers of NumPy, of which only float64 is a Python number: known by name,
 * since NumPy is not to be imported for this. */
static bool
is_numpy_scalar(PyObject *value)
{
    PyObject *module;
    bool is;

    if (strncmp(dora__py_type_name(Py_TYPE(value)), "numpy.", 6) != 0)
        return false;
    module = PyObject_GetAttrString((PyObject *)Py_TYPE(value), "__mro__");
    if (module == NULL || !PyTuple_Check(module)) {
        PyErr_Clear();
        Py_XDECREF(module);
        return false;
    }
    is = false;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(module); i++) {
        PyTypeObject *base = (PyTypeObject *)PyTuple_GET_ITEM(module, i);

        is = is || strcmp(dora__py_type_name(base), "numpy.generic") == 0;
    }
    Py_DECREF(module);
    return is;
}

/* The Python object behind a scalar of NumPy or of ours: new, or NULL, with
 * or without an exception. */
static PyObject *
unwrap(const struct dora__py_module *m, PyObject *value)
{
    PyObject *plain;

    if (Py_TYPE(value) == m->scalar)
        return dora__py_scalar_value(value);
    if (!is_numpy_scalar(value))
        return NULL;
    plain = PyObject_CallMethod(value, "item", NULL);
    if (plain != NULL && Py_TYPE(plain) == Py_TYPE(value))
        Py_CLEAR(plain); /* longdouble gives itself */
    return plain;
}

static int
add_list(struct pair *pair, PyObject *list)
{
    PyObject *items = PySequence_List(list);
    PyObject *first;
    Py_ssize_t count;
    int r = 0;

    if (items == NULL)
        return -1;
    count = PyList_GET_SIZE(items);
    for (Py_ssize_t i = 0; i < count && r == 0; i++) {
        PyObject *plain = unwrap(pair->m, PyList_GET_ITEM(items, i));

        if (plain != NULL)
            r = PyList_SetItem(items, i, plain);
        else if (PyErr_Occurred())
            r = -1;
    }
    first = count > 0 ? PyList_GET_ITEM(items, 0) : NULL;
    if (r < 0)
        ;
    else if (all_bools(items, count))
        r = add_bools(pair, items, count);
    else if (count == 0 || PyLong_Check(first))
        r = add_ints(pair, items, count);
    else if (PyFloat_Check(first))
        r = add_floats(pair, items, count);
    else if (PyUnicode_Check(first))
        r = add_strings(pair, items, count);
    else
        r = 1;
    Py_DECREF(items);
    return r;
}

static int
add_string(struct pair *pair, PyObject *value)
{
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(value, &size);

    if (text == NULL)
        return -1;
    return check(dora_metadata_string(pair->metadata, pair->key, pair->key_size,
                                      text, (size_t)size));
}

static int
add_int(struct pair *pair, PyObject *value)
{
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);

    if (overflow != 0) {
        PyErr_Format(PyExc_OverflowError,
                     "metadata '%s': int does not fit in 64 bits", pair->key);
        return -1;
    }
    if (number == -1 && PyErr_Occurred())
        return -1;
    return check(
        dora_metadata_int(pair->metadata, pair->key, pair->key_size, number));
}

/* What nothing else fits. */
static int
add_as_text(struct pair *pair, PyObject *value)
{
    PyObject *text;
    int r;

    if (!atomic_exchange_explicit(&pair->m->told_metadata, true,
                                  memory_order_relaxed) &&
        PyErr_WarnFormat(
            PyExc_RuntimeWarning, 1,
            "metadata '%s' is sent as the text of its %.100s; metadata holds "
            "bool, int, float, str, datetime and lists of one of them",
            pair->key, dora__py_type_name(Py_TYPE(value))) < 0)
        return -1;
    text = PyObject_Str(value);
    if (text == NULL)
        return -1;
    r = add_string(pair, text);
    Py_DECREF(text);
    return r;
}

static int
add_other(struct pair *pair, PyObject *value)
{
    PyObject *plain = unwrap(pair->m, value);
    int64_t microseconds;
    int r;

    if (plain != NULL) {
        r = add_value(pair, plain);
        Py_DECREF(plain);
        return r;
    }
    if (PyErr_Occurred())
        return -1;
    r = dora__py_time_parse(pair->m, value, &microseconds);
    if (r < 0)
        return -1;
    if (r > 0)
        return check(dora_metadata_time(pair->metadata, pair->key,
                                        pair->key_size, microseconds));
    return add_as_text(pair, value);
}

static int
add_value(struct pair *pair, PyObject *value)
{
    if (PyBool_Check(value))
        return check(dora_metadata_bool(pair->metadata, pair->key,
                                        pair->key_size, value == Py_True));
    if (PyLong_Check(value))
        return add_int(pair, value);
    if (PyFloat_Check(value))
        return check(dora_metadata_float(pair->metadata, pair->key,
                                         pair->key_size,
                                         PyFloat_AS_DOUBLE(value)));
    if (PyUnicode_Check(value))
        return add_string(pair, value);
    if (PyList_Check(value) || PyTuple_Check(value)) {
        int r = add_list(pair, value);

        return r > 0 ? add_as_text(pair, value) : r;
    }
    return add_other(pair, value);
}

static int
add_pair(struct pair *pair, PyObject *key, PyObject *value)
{
    Py_ssize_t size;

    if (!PyUnicode_Check(key)) {
        PyErr_Format(PyExc_TypeError, "metadata keys must be str, not %.100s",
                     dora__py_type_name(Py_TYPE(key)));
        return -1;
    }
    pair->key = PyUnicode_AsUTF8AndSize(key, &size);
    if (pair->key == NULL)
        return -1;
    pair->key_size = (size_t)size;
    return add_value(pair, value);
}

int
dora__py_metadata_encode(struct dora__py_module *m, PyObject *dict,
                         struct dora_metadata *metadata)
{
    struct pair pair = {.m = m, .metadata = metadata};
    PyObject *copy, *key, *value;
    Py_ssize_t at = 0;
    int r = 0;

    if (dict == NULL || dict == Py_None)
        return 0;
    if (!PyDict_Check(dict)) {
        PyErr_Format(PyExc_TypeError, "metadata must be a dict, not %.100s",
                     dora__py_type_name(Py_TYPE(dict)));
        return -1;
    }
    if (PyDict_GET_SIZE(dict) == 0)
        return 0;
    /* Conversions run code of the node, which might change the dict. */
    copy = PyDict_Copy(dict);
    if (copy == NULL)
        return -1;
    while (r == 0 && PyDict_Next(copy, &at, &key, &value))
        r = add_pair(&pair, key, value);
    Py_DECREF(copy);
    return r;
}

/* --- decoding ------------------------------------------------------------ */

static PyObject *
list_item(const struct dora_meta_pair *pair, size_t i, size_t *at)
{
    const char *text;
    size_t size;
    int64_t integer;
    double number;

    switch (pair->type) {
    case DORA_META_BOOL_LIST:
        return PyBool_FromLong(((const uint8_t *)pair->values)[i]);
    case DORA_META_INT_LIST:
        memcpy(&integer, (const char *)pair->values + 8 * i, 8);
        return PyLong_FromLongLong(integer);
    case DORA_META_FLOAT_LIST:
        memcpy(&number, (const char *)pair->values + 8 * i, 8);
        return PyFloat_FromDouble(number);
    default:
        if (dora_metadata_next_string(pair->values, pair->values_size, at,
                                      &text, &size) != 1) {
            PyErr_SetString(PyExc_ValueError, "metadata is damaged");
            return NULL;
        }
        return PyUnicode_DecodeUTF8(text, (Py_ssize_t)size, "replace");
    }
}

static PyObject *
decode_list(const struct dora_meta_pair *pair)
{
    PyObject *list = PyList_New((Py_ssize_t)pair->count);
    size_t at = 0;

    for (size_t i = 0; list != NULL && i < pair->count; i++) {
        PyObject *item = list_item(pair, i, &at);

        if (item == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, (Py_ssize_t)i, item);
    }
    return list;
}

static PyObject *
decode_value(struct dora__py_module *m, const struct dora_meta_pair *pair)
{
    switch (pair->type) {
    case DORA_META_BOOL:
        return PyBool_FromLong(pair->as.boolean);
    case DORA_META_INT:
        return PyLong_FromLongLong(pair->as.integer);
    case DORA_META_FLOAT:
        return PyFloat_FromDouble(pair->as.number);
    case DORA_META_STRING:
        return PyUnicode_DecodeUTF8(pair->values, (Py_ssize_t)pair->count,
                                    "replace");
    case DORA_META_TIME:
        return dora__py_time_new(m, pair->as.integer);
    default:
        return decode_list(pair);
    }
}

static int
decode_pair(struct dora__py_module *m, PyObject *dict,
            const struct dora_meta_pair *pair)
{
    PyObject *key =
        PyUnicode_DecodeUTF8(pair->key, (Py_ssize_t)pair->key_size, "replace");
    PyObject *value = key == NULL ? NULL : decode_value(m, pair);
    int r = value == NULL ? -1 : PyDict_SetItem(dict, key, value);

    Py_XDECREF(key);
    Py_XDECREF(value);
    return r;
}

PyObject *
dora__py_metadata_decode(struct dora__py_module *m, int64_t sent_ns,
                         const void *bytes, size_t size)
{
    PyObject *dict = PyDict_New(), *time;
    struct dora_meta_pair pair;
    size_t at = 0;
    int r;

    if (dict == NULL)
        return NULL;
    time = dora__py_time_new(m, sent_ns / 1000);
    r = time == NULL ? -1
                     : PyDict_SetItem(dict, m->words[DORA__PY_TIMESTAMP], time);
    Py_XDECREF(time);
    while (r == 0 && at < size) {
        r = dora_metadata_next(bytes, size, &at, &pair);
        if (r == 0)
            break;
        if (r < 0)
            PyErr_SetString(PyExc_ValueError, "metadata is damaged");
        else
            r = decode_pair(m, dict, &pair);
    }
    if (r < 0)
        Py_CLEAR(dict);
    return dict;
}
