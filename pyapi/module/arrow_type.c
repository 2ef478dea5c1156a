/* arrow_type.c - dora.ArrowArray: the value of a message that is an Arrow array
 * of other items than bytes, in shared memory.
 *
 * A node that had imported pyarrow at Node() gets pyarrow's own array over the
 * same memory, and never sees one of these. For the others it answers what
 * nodes ask of an array, and any library takes it by __arrow_c_array__.
 *
 * Keeps true: the memory stays until the last of this object, the parts made of
 * it, the buffers of it and whatever was exported is gone. */
#include "module.h"

#include <string.h>

struct arrow_array {
    PyObject_HEAD struct dora__arrow *arrow; /* one reference */
    const struct dora__arrow_field *field;
    Py_ssize_t start, length;
    /* Of the whole message alone: its sample, which `arrow` keeps, and the
     * block in it. */
    struct dora_sample *sample;
    const void *block;
    size_t size;
};

static inline struct arrow_array *
array_of(PyObject *object)
{
    return (struct arrow_array *)object;
}

/* --- life ---------------------------------------------------------------- */

/* Takes over the reference, even on failure. */
static PyObject *
new_part(const struct dora__py_module *m, struct dora__arrow *arrow,
         const struct dora__arrow_field *field, Py_ssize_t start,
         Py_ssize_t length)
{
    struct arrow_array *self =
        (struct arrow_array *)dora__py_alloc(m->arrow_array);

    if (self == NULL) {
        dora__arrow_unref(arrow);
        return NULL;
    }
    self->arrow = arrow;
    self->field = field;
    self->start = start;
    self->length = length;
    return (PyObject *)self;
}

static void
release_sample(void *sample)
{
    dora_sample_unref(sample);
}

PyObject *
dora__py_arrow_new(const struct dora__py_module *m, struct dora_sample *sample,
                   const void *block, size_t size)
{
    struct dora__arrow *arrow;
    const struct dora__arrow_field *root;
    PyObject *self;
    int r = dora__arrow_open(block, size, sample, release_sample, &arrow);

    if (r < 0) {
        dora_sample_unref(sample);
        if (r == -ENOMEM)
            return PyErr_NoMemory();
        PyErr_SetString(PyExc_RuntimeError,
                        "the message is no Arrow array, though it says so");
        return NULL;
    }
    root = dora__arrow_root(arrow);
    self = new_part(m, arrow, root, 0, (Py_ssize_t)root->length);
    if (self != NULL) {
        array_of(self)->sample = sample;
        array_of(self)->block = block;
        array_of(self)->size = size;
    }
    return self;
}

bool
dora__py_arrow_whole(PyObject *object, struct dora__py_payload *payload)
{
    const struct arrow_array *self = array_of(object);

    if (self->block == NULL)
        return false;
    payload->data = self->block;
    payload->size = self->size;
    payload->value = DORA_VALUE_ARROW;
    payload->sample = dora_sample_ref(self->sample);
    return true;
}

static void
array_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    dora__arrow_unref(array_of(self)->arrow);
    dora__py_free(type, self);
    Py_DECREF(type);
}

/* --- items --------------------------------------------------------------- */

static Py_ssize_t
array_length(PyObject *self)
{
    return array_of(self)->length;
}

static PyObject *
type_of(PyObject *object)
{
    const struct arrow_array *self = array_of(object);

    return dora__py_datatype_new(dora__py_module_of(object), self->arrow,
                                 self->field);
}

static PyObject *
array_item(PyObject *object, Py_ssize_t index)
{
    const struct arrow_array *self = array_of(object);
    PyObject *item, *type;

    if (index < 0 || index >= self->length) {
        PyErr_SetString(PyExc_IndexError, "index out of bounds");
        return NULL;
    }
    item = dora__py_arrow_item(self->field, self->start + index);
    type = item == NULL ? NULL : type_of(object);
    if (type == NULL) {
        Py_XDECREF(item);
        return NULL;
    }
    return dora__py_scalar_item(dora__py_module_of(object), item, type);
}

static PyObject *
part(PyObject *object, Py_ssize_t start, Py_ssize_t length)
{
    const struct arrow_array *self = array_of(object);

    if (length == self->length)
        return Py_NewRef(object);
    return new_part(dora__py_module_of(object), dora__arrow_ref(self->arrow),
                    self->field, self->start + start, length);
}

static PyObject *
array_subscript(PyObject *self, PyObject *key)
{
    Py_ssize_t length = array_length(self), start, stop, step;

    if (PySlice_Check(key)) {
        if (PySlice_Unpack(key, &start, &stop, &step) < 0)
            return NULL;
        length = PySlice_AdjustIndices(length, &start, &stop, step);
        if (step == 1 || length <= 1)
            return part(self, start, length);
        PyErr_SetString(PyExc_NotImplementedError,
                        "a slice with a step needs pyarrow, or to_pylist()");
        return NULL;
    }
    start = PyNumber_AsSsize_t(key, PyExc_IndexError);
    if (start == -1 && PyErr_Occurred())
        return NULL;
    return array_item(self, start < 0 ? start + length : start);
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
array_to_pylist(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    const struct arrow_array *self = array_of(object);

    return dora__py_arrow_list(self->field, self->start, self->length);
}

/* A field of a struct array, by name or number. */
static PyObject *
array_field(PyObject *object, PyObject *key)
{
    const struct arrow_array *self = array_of(object);
    const struct dora__arrow_field *child = self->field->children;
    Py_ssize_t number = -1;

    if (self->field->layout.kind != DORA__ARROW_STRUCT) {
        PyErr_SetString(PyExc_TypeError, "only a struct array has fields");
        return NULL;
    }
    if (!PyUnicode_Check(key)) {
        number = PyNumber_AsSsize_t(key, PyExc_IndexError);
        if (number == -1 && PyErr_Occurred())
            return NULL;
    }
    for (; child != NULL; child = child->next)
        if (PyUnicode_Check(key)
                ? PyUnicode_CompareWithASCIIString(key, child->name) == 0
                : number-- == 0)
            break;
    if (child == NULL) {
        PyErr_SetObject(PyExc_KeyError, key);
        return NULL;
    }
    return new_part(dora__py_module_of(object), dora__arrow_ref(self->arrow),
                    child, self->start, self->length);
}

/* --- comparing and printing ---------------------------------------------- */

/* 1, 0, -1 */
static int
equals(PyObject *a, PyObject *b)
{
    PyObject *left = type_of(a), *right = left == NULL ? NULL : type_of(b);
    int same =
        right == NULL ? -1 : PyObject_RichCompareBool(left, right, Py_EQ);

    Py_XDECREF(left);
    Py_XDECREF(right);
    if (same <= 0)
        return same;
    left = array_to_pylist(a, NULL);
    right = left == NULL ? NULL : array_to_pylist(b, NULL);
    same = right == NULL ? -1 : PyObject_RichCompareBool(left, right, Py_EQ);
    Py_XDECREF(left);
    Py_XDECREF(right);
    return same;
}

static PyObject *
array_richcompare(PyObject *self, PyObject *other, int op)
{
    int same;

    if ((op != Py_EQ && op != Py_NE) || Py_TYPE(other) != Py_TYPE(self))
        Py_RETURN_NOTIMPLEMENTED;
    same = equals(self, other);
    return same < 0 ? NULL : PyBool_FromLong(same == (op == Py_EQ));
}

static PyObject *
array_equals(PyObject *self, PyObject *other)
{
    int same;

    if (Py_TYPE(other) != Py_TYPE(self)) {
        PyErr_Format(PyExc_TypeError, "expected dora.ArrowArray, got %.100s",
                     dora__py_type_name(Py_TYPE(other)));
        return NULL;
    }
    same = equals(self, other);
    return same < 0 ? NULL : PyBool_FromLong(same);
}

static PyObject *
array_str(PyObject *self)
{
    PyObject *list = array_to_pylist(self, NULL), *text;

    if (list == NULL)
        return NULL;
    text = dora__py_items_text(list, 0, 10);
    Py_DECREF(list);
    return text;
}

static PyObject *
array_repr(PyObject *self)
{
    PyObject *type = type_of(self);
    PyObject *text = type == NULL ? NULL : array_str(self), *whole = NULL;

    if (text != NULL)
        whole = PyUnicode_FromFormat("<dora.ArrowArray of %S at %p>\n%U", type,
                                     self, text);
    Py_XDECREF(text);
    Py_XDECREF(type);
    return whole;
}

static PyObject *
array_to_string(PyObject *self, PyObject *const *args, Py_ssize_t count,
                PyObject *names)
{
    PyObject *list, *text;
    Py_ssize_t indent, window;

    if (dora__py_string_arguments(args, count, names, &indent, &window) < 0)
        return NULL;
    list = array_to_pylist(self, NULL);
    if (list == NULL)
        return NULL;
    text = dora__py_items_text(list, (int)indent, window);
    Py_DECREF(list);
    return text;
}

/* --- memory -------------------------------------------------------------- */

/* What struct and NumPy call an item, or NULL: it is no number, or one of
 * several bits, or some are null. */
static const char *
number_format(const struct dora__arrow_field *field)
{
    static const char known[][2] = {"cb", "CB", "sh", "SH", "ii", "II",
                                    "lq", "LQ", "ee", "ff", "gd"};
    static const char *const formats[] = {"b", "B", "h", "H", "i", "I",
                                          "q", "Q", "e", "f", "d"};

    if (field->layout.kind != DORA__ARROW_FIXED || field->buffers[0] != NULL ||
        field->format[1] != '\0' || field->dictionary != NULL)
        return NULL;
    for (size_t i = 0; i < DORA_COUNT(known); i++)
        if (known[i][0] == field->format[0])
            return formats[i];
    return NULL;
}

static int
array_getbuffer(PyObject *object, Py_buffer *view, int flags)
{
    struct arrow_array *self = array_of(object);
    const char *format = number_format(self->field);
    Py_ssize_t width = (Py_ssize_t)self->field->layout.width;
    uintptr_t at = (uintptr_t)self->field->buffers[1];

    if (format == NULL) { /* as pyarrow: NumPy asks on */
        PyErr_SetString(PyExc_BufferError,
                        "only numbers without nulls have a buffer; "
                        "to_pylist() gives the items");
        return -1;
    }
    if (PyBuffer_FillInfo(view, object,
                          (void *)(at + (uintptr_t)(self->start * width)),
                          self->length * width, 1, flags) < 0)
        return -1;
    view->itemsize = width;
    if ((flags & PyBUF_FORMAT) != 0)
        view->format = (char *)(uintptr_t)format;
    if ((flags & PyBUF_ND) != 0)
        view->shape = &self->length;
    if ((flags & PyBUF_STRIDES) == PyBUF_STRIDES)
        view->strides = &view->itemsize;
    return 0;
}

/* What NumPy makes of a copy. */
static const char *
copied_dtype(const struct dora__arrow_field *field)
{
    bool nulls = field->buffers[0] != NULL;

    if (field->dictionary != NULL)
        return "object";
    if (field->layout.kind == DORA__ARROW_BITS && !nulls)
        return "bool";
    if (field->layout.kind == DORA__ARROW_FIXED && nulls &&
        strchr("cCsSiIlLefg", field->format[0]) != NULL &&
        field->format[1] == '\0')
        return "float64";
    return "object";
}

static PyObject *
array_to_numpy(PyObject *self, PyObject *const *args, Py_ssize_t count,
               PyObject *names)
{
    const struct dora__arrow_field *field = array_of(self)->field;

    return dora__py_to_numpy(
        self, number_format(field) != NULL ? NULL : copied_dtype(field), args,
        count, names);
}

static PyObject *
array_protocol(PyObject *self, PyObject *const *args, Py_ssize_t count,
               PyObject *names)
{
    const struct dora__arrow_field *field = array_of(self)->field;

    return dora__py_numpy_protocol(
        self, number_format(field) != NULL ? NULL : copied_dtype(field), args,
        count, names);
}

static PyObject *
array_arrow(PyObject *object, PyObject *const *args, Py_ssize_t count,
            PyObject *names)
{
    static const struct dora__py_signature signature = {
        "__arrow_c_array__", {"requested_schema", NULL}, 0};
    const struct arrow_array *self = array_of(object);
    PyObject *values[1], *schema, *data;

    if (dora__py_arguments(&signature, args, count, names, values) < 0)
        return NULL;
    schema = dora__py_arrow_field_schema(self->arrow, self->field);
    data = schema == NULL
               ? NULL
               : dora__py_arrow_field_array(self->arrow, self->field,
                                            self->start, self->length);
    if (data == NULL) {
        Py_XDECREF(schema);
        return NULL;
    }
    return Py_BuildValue("(NN)", schema, data);
}

/* --- attributes ---------------------------------------------------------- */

static PyObject *
get_type(PyObject *self, void *Py_UNUSED(closure))
{
    return type_of(self);
}

static size_t
bytes_of(const struct dora__arrow_field *field)
{
    const struct dora__arrow_field *child = field->children;
    size_t bytes = field->dictionary != NULL ? bytes_of(field->dictionary) : 0;

    for (unsigned i = 0; i < DORA__ARROW_BUFFERS; i++)
        bytes += field->sizes[i];
    for (; child != NULL; child = child->next)
        bytes += bytes_of(child);
    return bytes;
}

static PyObject *
get_nbytes(PyObject *object, void *Py_UNUSED(closure))
{
    const struct arrow_array *self = array_of(object);

    if (self->field->layout.kind == DORA__ARROW_FIXED &&
        self->field->buffers[0] == NULL && self->field->dictionary == NULL)
        return PyLong_FromSize_t((size_t)self->length *
                                 self->field->layout.width);
    return PyLong_FromSize_t(bytes_of(self->field));
}

static PyObject *
get_null_count(PyObject *object, void *Py_UNUSED(closure))
{
    const struct arrow_array *self = array_of(object);
    Py_ssize_t count = 0;

    for (Py_ssize_t i = 0; i < self->length; i++)
        count += !dora__arrow_valid(self->field, self->start + i);
    return PyLong_FromSsize_t(count);
}

static PyObject *
get_offset(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSsize_t(array_of(self)->start);
}

/* It never changes: a copy of an event may share it. */
static PyObject *
array_copy(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(self);
}

static PyMethodDef array_methods[] = {
    {"to_pylist", array_to_pylist, METH_NOARGS,
     "The items as a list of objects of Python."},
    {"tolist", array_to_pylist, METH_NOARGS, "The same as to_pylist()."},
    {"to_numpy", (PyCFunction)(void (*)(void))array_to_numpy,
     METH_FASTCALL | METH_KEYWORDS,
     "to_numpy($self, zero_copy_only=True, writable=False)\n--\n\n"
     "A read-only NumPy array; of numbers, over the same memory."},
    {"to_string", (PyCFunction)(void (*)(void))array_to_string,
     METH_FASTCALL | METH_KEYWORDS,
     "to_string($self, indent=2, top_level_indent=0, window=10)\n--\n\n"
     "The lines that str() gives."},
    {"slice", (PyCFunction)(void (*)(void))array_slice,
     METH_FASTCALL | METH_KEYWORDS,
     "slice($self, offset=0, length=None)\n--\n\nA part that shares the "
     "memory."},
    {"field", array_field, METH_O,
     "field($self, index, /)\n--\n\nA field of a struct array, by name or "
     "number."},
    {"equals", array_equals, METH_O,
     "equals($self, other, /)\n--\n\nWhether type and items are the same."},
    {"__copy__", array_copy, METH_NOARGS, NULL},
    {"__deepcopy__", array_copy, METH_O, NULL},
    {"__array__", (PyCFunction)(void (*)(void))array_protocol,
     METH_FASTCALL | METH_KEYWORDS, NULL},
    {"__arrow_c_array__", (PyCFunction)(void (*)(void))array_arrow,
     METH_FASTCALL | METH_KEYWORDS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef array_getset[] = {
    {"type", get_type, NULL, "dora.DataType of the items.", NULL},
    {"nbytes", get_nbytes, NULL, "Bytes of memory.", NULL},
    {"null_count", get_null_count, NULL, "Number of items that are null.",
     NULL},
    {"offset", get_offset, NULL, "Where in the message it begins.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot array_slots[] = {
    {Py_tp_dealloc, (void *)array_dealloc},
    {Py_tp_str, (void *)array_str},
    {Py_tp_repr, (void *)array_repr},
    {Py_tp_hash, (void *)PyObject_HashNotImplemented},
    {Py_tp_richcompare, (void *)array_richcompare},
    {Py_tp_iter, (void *)PySeqIter_New},
    {Py_sq_length, (void *)array_length},
    {Py_sq_item, (void *)array_item},
    {Py_mp_length, (void *)array_length},
    {Py_mp_subscript, (void *)array_subscript},
    {Py_bf_getbuffer, (void *)array_getbuffer},
    {Py_tp_methods, array_methods},
    {Py_tp_getset, array_getset},
    {Py_tp_doc, "The value of a message: an Arrow array, read-only in shared "
                "memory."},
    {0, NULL},
};

static PyType_Spec array_spec = {
    .name = "dora.ArrowArray",
    .basicsize = sizeof(struct arrow_array),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = array_slots,
};

int
dora__py_arrow_setup(PyObject *module)
{
    return dora__py_add_type(module, &array_spec, true,
                             &dora__py_state(module)->arrow_array);
}
