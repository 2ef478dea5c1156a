/* array_type.c - dora.Array: the value of a message, in shared memory.
 *
 * Keeps true:
 *   1. The bytes stay where the producer wrote them, and are read-only. Only a
 *      slice with a step has a copy of its own, as pyarrow's has.
 *   2. The reference to the sample is given back when the Array object dies,
 *      never when a buffer of it is released: NumPy and others may keep a
 *      plain reference to the object and no buffer at all.
 *   3. It holds no Python object but the bytes of a copy, so it is no part of
 *      any cycle, and dying costs one atomic operation whoever does it and
 *      whenever.
 *
 * Answers what nodes ask of a pyarrow array of unsigned bytes, of nulls or of
 * one string, and nothing more: nodes tell values apart by what they do not
 * have (as_py, get, decode, tobytes). */
#include "module.h"

#include <string.h>

static inline struct dora__py_array *
array_of(PyObject *object)
{
    return (struct dora__py_array *)object;
}

PyObject *
dora__py_array_new(const struct dora__py_module *m, enum dora_value value,
                   struct dora_sample *sample, const void *data, size_t size)
{
    struct dora__py_array *self =
        (struct dora__py_array *)dora__py_alloc(m->array);

    if (self == NULL) {
        dora_sample_unref(sample);
        return NULL;
    }
    self->sample = sample;
    self->data = data;
    self->size = value == DORA_VALUE_NULL ? 0 : (Py_ssize_t)size;
    self->length = value == DORA_VALUE_TEXT ? 1 : (Py_ssize_t)size;
    self->value = value;
    return (PyObject *)self;
}

static void
array_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    dora_sample_unref(array_of(self)->sample);
    Py_XDECREF(array_of(self)->copy);
    dora__py_free(type, (PyObject *)self);
    Py_DECREF(type);
}

/* --- items --------------------------------------------------------------- */

static Py_ssize_t
array_length(PyObject *self)
{
    return array_of(self)->length;
}

/* For the sequence protocol: `index` is already counted from the front. */
static PyObject *
array_item(PyObject *object, Py_ssize_t index)
{
    const struct dora__py_array *self = array_of(object);

    if (index < 0 || index >= self->length) {
        PyErr_SetString(PyExc_IndexError, "index out of bounds");
        return NULL;
    }
    if (self->value == DORA_VALUE_TEXT)
        return dora__py_scalar_text(dora__py_module_of(object),
                                    dora__py_array_string(self));
    return dora__py_scalar_new(
        dora__py_module_of(object), self->value,
        self->value == DORA_VALUE_BYTES ? self->data[index] : 0);
}

PyObject *
dora__py_array_string(const struct dora__py_array *array)
{
    return PyUnicode_DecodeUTF8((const char *)array->data, array->size,
                                "replace");
}

/* A part that shares the memory. Of a text that is the whole or nothing. */
static PyObject *
part(PyObject *object, Py_ssize_t start, Py_ssize_t length)
{
    const struct dora__py_array *self = array_of(object);
    struct dora_sample *sample =
        self->sample != NULL ? dora_sample_ref(self->sample) : NULL;
    bool text = self->value == DORA_VALUE_TEXT;
    PyObject *result = dora__py_array_new(
        dora__py_module_of(object), self->value, sample,
        self->data != NULL ? self->data + (text ? 0 : start) : NULL,
        (size_t)(text ? length * self->size : length));

    if (result != NULL)
        array_of(result)->copy = Py_XNewRef(self->copy);
    if (result != NULL && text)
        array_of(result)->length = length;
    return result;
}

/* Every `step`th item, copied. */
static PyObject *
stride(PyObject *object, Py_ssize_t start, Py_ssize_t step, Py_ssize_t length)
{
    const struct dora__py_array *self = array_of(object);
    PyObject *copy = NULL, *result;
    uint8_t *bytes = NULL;

    if (self->value == DORA_VALUE_BYTES) {
        copy = PyBytes_FromStringAndSize(NULL, length);
        if (copy == NULL)
            return NULL;
        bytes = (uint8_t *)PyBytes_AS_STRING(copy);
        for (Py_ssize_t i = 0; i < length; i++)
            bytes[i] = self->data[start + i * step];
    }
    result = dora__py_array_new(dora__py_module_of(object), self->value, NULL,
                                bytes, (size_t)length);
    if (result == NULL)
        Py_XDECREF(copy);
    else
        array_of(result)->copy = copy;
    return result;
}

static PyObject *
array_subscript(PyObject *self, PyObject *key)
{
    Py_ssize_t length = array_length(self), start, stop, step;

    if (PySlice_Check(key)) {
        if (PySlice_Unpack(key, &start, &stop, &step) < 0)
            return NULL;
        length = PySlice_AdjustIndices(length, &start, &stop, step);
        if (step != 1 && length > 1)
            return stride(self, start, step, length);
        return part(self, start, length);
    }
    start = PyNumber_AsSsize_t(key, PyExc_IndexError);
    if (start == -1 && PyErr_Occurred())
        return NULL;
    return array_item(self, start < 0 ? start + length : start);
}

int
dora__py_slice_arguments(Py_ssize_t whole, PyObject *const *args,
                         Py_ssize_t count, PyObject *names,
                         Py_ssize_t *ret_start, Py_ssize_t *ret_length)
{
    static const struct dora__py_signature signature = {
        "slice", {"offset", "length", NULL}, 0};
    Py_ssize_t offset = 0, length = whole;
    PyObject *values[2];

    if (dora__py_arguments(&signature, args, count, names, values) < 0)
        return -1;
    if (values[0] != NULL)
        offset = PyNumber_AsSsize_t(values[0], PyExc_IndexError);
    if (values[1] != NULL && values[1] != Py_None)
        length = PyNumber_AsSsize_t(values[1], PyExc_IndexError);
    if (PyErr_Occurred())
        return -1;
    if (offset < 0 || length < 0) {
        PyErr_SetString(PyExc_IndexError, "Offset must be non-negative");
        return -1;
    }
    *ret_start = Py_MIN(offset, whole);
    *ret_length = Py_MIN(length, whole - *ret_start);
    return 0;
}

static PyObject *
array_slice(PyObject *self, PyObject *const *args, Py_ssize_t count,
            PyObject *names)
{
    Py_ssize_t start, length;

    if (dora__py_slice_arguments(array_length(self), args, count, names, &start,
                                 &length) < 0)
        return NULL;
    return part(self, start, length);
}

static PyObject *
array_iter(PyObject *self)
{
    return PySeqIter_New(self);
}

static PyObject *
array_to_pylist(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    const struct dora__py_array *self = array_of(object);
    PyObject *list = PyList_New(self->length);

    for (Py_ssize_t i = 0; list != NULL && i < self->length; i++) {
        PyObject *item =
            self->value == DORA_VALUE_BYTES  ? PyLong_FromLong(self->data[i])
            : self->value == DORA_VALUE_TEXT ? dora__py_array_string(self)
                                             : Py_NewRef(Py_None);

        if (item == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, i, item);
    }
    return list;
}

/* --- comparing and printing ---------------------------------------------- */

static bool
equals(const struct dora__py_array *a, const struct dora__py_array *b)
{
    return a->value == b->value && a->length == b->length &&
           a->size == b->size &&
           (a->size == 0 || a->data == b->data ||
            memcmp(a->data, b->data, (size_t)a->size) == 0);
}

static PyObject *
array_richcompare(PyObject *self, PyObject *other, int op)
{
    if ((op != Py_EQ && op != Py_NE) || Py_TYPE(other) != Py_TYPE(self))
        Py_RETURN_NOTIMPLEMENTED;
    return PyBool_FromLong(equals(array_of(self), array_of(other)) ==
                           (op == Py_EQ));
}

static PyObject *
array_equals(PyObject *self, PyObject *other)
{
    if (Py_TYPE(other) == Py_TYPE(self))
        return PyBool_FromLong(equals(array_of(self), array_of(other)));
    PyErr_Format(PyExc_TypeError, "expected dora.Array, got %.100s",
                 dora__py_type_name(Py_TYPE(other)));
    return NULL;
}

static PyObject *
array_str(PyObject *self)
{
    return dora__py_array_text(array_of(self), 0, 10);
}

static PyObject *
array_repr(PyObject *self)
{
    PyObject *text = array_str(self), *whole;

    if (text == NULL)
        return NULL;
    whole = PyUnicode_FromFormat(
        "<dora.%sArray object at %p>\n%U",
        array_of(self)->value == DORA_VALUE_BYTES  ? "UInt8"
        : array_of(self)->value == DORA_VALUE_TEXT ? "String"
                                                   : "Null",
        self, text);
    Py_DECREF(text);
    return whole;
}

int
dora__py_string_arguments(PyObject *const *args, Py_ssize_t count,
                          PyObject *names, Py_ssize_t *ret_indent,
                          Py_ssize_t *ret_window)
{
    static const struct dora__py_signature signature = {
        "to_string", {"indent", "top_level_indent", "window", NULL}, 0};
    PyObject *values[3];
    Py_ssize_t indent = 0, window = 10;

    if (dora__py_arguments(&signature, args, count, names, values) < 0)
        return -1;
    if (values[1] != NULL)
        indent = PyNumber_AsSsize_t(values[1], PyExc_ValueError);
    if (values[2] != NULL)
        window = PyNumber_AsSsize_t(values[2], PyExc_ValueError);
    if (PyErr_Occurred())
        return -1;
    *ret_indent = Py_MIN(indent, 1000);
    *ret_window = window;
    return 0;
}

static PyObject *
array_to_string(PyObject *self, PyObject *const *args, Py_ssize_t count,
                PyObject *names)
{
    Py_ssize_t indent, window;

    if (dora__py_string_arguments(args, count, names, &indent, &window) < 0)
        return NULL;
    return dora__py_array_text(array_of(self), (int)indent, window);
}

/* --- buffer -------------------------------------------------------------- */

static int
array_getbuffer(PyObject *object, Py_buffer *view, int flags)
{
    struct dora__py_array *self = array_of(object);
    static const char nothing[1];

    if (self->value == DORA_VALUE_TEXT) { /* as pyarrow: NumPy asks on */
        PyErr_SetString(PyExc_BufferError,
                        "a string has no buffer; value[0].as_py() is it");
        return -1;
    }
    /* PyBuffer_FillInfo does not write through the pointer, and refuses a
     * writable view of it. */
    return PyBuffer_FillInfo(view, object,
                             (void *)(uintptr_t)(self->data != NULL
                                                     ? (const void *)self->data
                                                     : nothing),
                             self->size, 1, flags);
}

/* --- attributes ---------------------------------------------------------- */

PyObject *
dora__py_array_type(const struct dora__py_module *m,
                    const struct dora__py_array *array)
{
    return dora__py_datatype(m, array->value);
}

static PyObject *
get_type(PyObject *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(
        dora__py_array_type(dora__py_module_of(self), array_of(self)));
}

static PyObject *
get_nbytes(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSsize_t(array_of(self)->size);
}

static PyObject *
get_null_count(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSsize_t(
        array_of(self)->value == DORA_VALUE_NULL ? array_of(self)->length : 0);
}

static PyObject *
get_offset(PyObject *Py_UNUSED(self), void *Py_UNUSED(closure))
{
    return PyLong_FromLong(0);
}

/* Validity and bytes, as pyarrow has them: the second is a view of exactly the
 * value's bytes. Of a text both, and the places where it begins and ends, are
 * copies. */
static PyObject *
array_buffers(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    const struct dora__py_array *array = array_of(self);
    const int32_t places[] = {0, (int32_t)array->size};
    PyObject *view;

    if (array->value == DORA_VALUE_NULL)
        return Py_BuildValue("[O]", Py_None);
    if (array->value == DORA_VALUE_TEXT)
        return Py_BuildValue("[Oy#y#]", Py_None, (const char *)places,
                             (Py_ssize_t)sizeof places,
                             (const char *)array->data, array->size);
    view = PyMemoryView_FromObject(self);
    return view == NULL ? NULL : Py_BuildValue("[ON]", Py_None, view);
}

/* It never changes: a copy of an event may share it. */
static PyObject *
array_copy(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(self);
}

/* How its items are copied; NULL: they need not be. */
static const char *
copied_dtype(PyObject *self)
{
    return array_of(self)->value == DORA_VALUE_BYTES ? NULL : "object";
}

static PyObject *
array_to_numpy(PyObject *self, PyObject *const *args, Py_ssize_t count,
               PyObject *names)
{
    return dora__py_to_numpy(self, copied_dtype(self), args, count, names);
}

static PyObject *
array_protocol(PyObject *self, PyObject *const *args, Py_ssize_t count,
               PyObject *names)
{
    return dora__py_numpy_protocol(self, copied_dtype(self), args, count,
                                   names);
}

static PyMethodDef array_methods[] = {
    {"to_pylist", array_to_pylist, METH_NOARGS,
     "The items as a list of int, str or None."},
    {"tolist", array_to_pylist, METH_NOARGS, "The same as to_pylist()."},
    {"to_numpy", (PyCFunction)(void (*)(void))array_to_numpy,
     METH_FASTCALL | METH_KEYWORDS,
     "to_numpy($self, zero_copy_only=True, writable=False)\n--\n\n"
     "A read-only NumPy array over the same memory."},
    {"to_string", (PyCFunction)(void (*)(void))array_to_string,
     METH_FASTCALL | METH_KEYWORDS,
     "to_string($self, indent=2, top_level_indent=0, window=10)\n--\n\n"
     "The lines that str() gives."},
    {"slice", (PyCFunction)(void (*)(void))array_slice,
     METH_FASTCALL | METH_KEYWORDS,
     "slice($self, offset=0, length=None)\n--\n\nA part that shares the "
     "memory."},
    {"equals", array_equals, METH_O,
     "equals($self, other, /)\n--\n\nWhether type and items are the same."},
    {"buffers", array_buffers, METH_NOARGS,
     "Validity (None) and a view of the bytes."},
    {"__copy__", array_copy, METH_NOARGS, NULL},
    {"__deepcopy__", array_copy, METH_O, NULL},
    {"__array__", (PyCFunction)(void (*)(void))array_protocol,
     METH_FASTCALL | METH_KEYWORDS, NULL},
    {"__arrow_c_array__", (PyCFunction)(void (*)(void))dora__py_arrow_array,
     METH_FASTCALL | METH_KEYWORDS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef array_getset[] = {
    {"type", get_type, NULL, "dora.DataType of the items.", NULL},
    {"nbytes", get_nbytes, NULL, "Bytes of memory.", NULL},
    {"null_count", get_null_count, NULL, "Number of items that are null.",
     NULL},
    {"offset", get_offset, NULL, "Always 0.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot array_slots[] = {
    {Py_tp_dealloc, (void *)array_dealloc},
    {Py_tp_str, (void *)array_str},
    {Py_tp_repr, (void *)array_repr},
    {Py_tp_hash, (void *)PyObject_HashNotImplemented},
    {Py_tp_richcompare, (void *)array_richcompare},
    {Py_tp_iter, (void *)array_iter},
    {Py_sq_length, (void *)array_length},
    {Py_sq_item, (void *)array_item},
    {Py_mp_length, (void *)array_length},
    {Py_mp_subscript, (void *)array_subscript},
    {Py_bf_getbuffer, (void *)array_getbuffer},
    {Py_tp_methods, array_methods},
    {Py_tp_getset, array_getset},
    {Py_tp_doc, "The value of a message, read-only in shared memory."},
    {0, NULL},
};

static PyType_Spec array_spec = {
    .name = "dora.Array",
    .basicsize = sizeof(struct dora__py_array),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = array_slots,
};

int
dora__py_array_setup(PyObject *module)
{
    return dora__py_add_type(module, &array_spec, true,
                             &dora__py_state(module)->array);
}
