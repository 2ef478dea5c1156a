/* scalar_type.c - dora.Scalar: one item of an Array. Not a number, as with
 * pyarrow: as_py() is one; but it may be used as an index, converted, printed
 * and compared. It is always true, as pyarrow's are. That of a text is a
 * string; that of an Arrow array what as_py() gives. */
#include "module.h"

struct scalar {
    PyObject_HEAD enum dora_value value;
    uint8_t number;
    PyObject *item; /* str, or anything; NULL: not so */
    PyObject *type; /* dora.DataType, or NULL: that of all of this value */
};

PyObject *
dora__py_scalar_value(PyObject *object)
{
    const struct scalar *self = (const struct scalar *)object;

    if (self->value == DORA_VALUE_NULL)
        Py_RETURN_NONE;
    if (self->item != NULL)
        return Py_NewRef(self->item);
    return PyLong_FromLong(self->number);
}

static void
scalar_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    Py_XDECREF(((struct scalar *)self)->item);
    Py_XDECREF(((struct scalar *)self)->type);
    dora__py_free(type, (PyObject *)self);
    Py_DECREF(type);
}

static PyObject *
scalar_number(PyObject *object)
{
    const struct scalar *self = (const struct scalar *)object;

    if (self->value == DORA_VALUE_BYTES)
        return dora__py_scalar_value(object);
    if (self->value == DORA_VALUE_ARROW)
        return PyNumber_Long(self->item);
    PyErr_Format(PyExc_ValueError, "%s is not a number",
                 self->value == DORA_VALUE_NULL ? "null" : "a string");
    return NULL;
}

static PyObject *
scalar_index(PyObject *object)
{
    const struct scalar *self = (const struct scalar *)object;

    return self->value == DORA_VALUE_ARROW ? PyNumber_Index(self->item)
                                           : scalar_number(object);
}

static PyObject *
scalar_float(PyObject *object)
{
    if (((struct scalar *)object)->value == DORA_VALUE_ARROW)
        return PyNumber_Float(((struct scalar *)object)->item);
    if (((struct scalar *)object)->value == DORA_VALUE_BYTES)
        return PyFloat_FromDouble(((struct scalar *)object)->number);
    return scalar_number(object);
}

static PyObject *
scalar_str(PyObject *self)
{
    PyObject *value = dora__py_scalar_value(self), *text;

    if (value == NULL)
        return NULL;
    text = PyObject_Str(value);
    Py_DECREF(value);
    return text;
}

static PyObject *
scalar_repr(PyObject *object)
{
    const struct scalar *self = (const struct scalar *)object;

    if (self->value == DORA_VALUE_NULL)
        return PyUnicode_FromString("<dora.NullScalar: None>");
    if (self->value == DORA_VALUE_TEXT)
        return PyUnicode_FromFormat("<dora.StringScalar: %R>", self->item);
    if (self->value == DORA_VALUE_ARROW)
        return PyUnicode_FromFormat("<dora.Scalar of %S: %R>", self->type,
                                    self->item);
    return PyUnicode_FromFormat("<dora.UInt8Scalar: %d>", self->number);
}

static Py_hash_t
scalar_hash(PyObject *self)
{
    PyObject *value = dora__py_scalar_value(self);
    Py_hash_t hash = value == NULL ? -1 : PyObject_Hash(value);

    Py_XDECREF(value);
    return hash;
}

static PyObject *
scalar_richcompare(PyObject *self, PyObject *other, int op)
{
    PyObject *left, *right, *result;

    if (Py_TYPE(other) == Py_TYPE(self))
        right = dora__py_scalar_value(other);
    else if (PyLong_Check(other) || PyFloat_Check(other) ||
             PyUnicode_Check(other) ||
             ((struct scalar *)self)->value == DORA_VALUE_ARROW)
        right = Py_NewRef(other);
    else
        Py_RETURN_NOTIMPLEMENTED;
    left = dora__py_scalar_value(self);
    result = left == NULL || right == NULL
                 ? NULL
                 : PyObject_RichCompare(left, right, op);
    Py_XDECREF(left);
    Py_XDECREF(right);
    return result;
}

static PyObject *
scalar_as_py(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return dora__py_scalar_value(self);
}

static PyObject *
scalar_type(PyObject *object, void *Py_UNUSED(closure))
{
    const struct dora__py_module *m = dora__py_module_of(object);
    const struct scalar *self = (const struct scalar *)object;

    return Py_NewRef(self->type != NULL ? self->type
                                        : dora__py_datatype(m, self->value));
}

static PyObject *
scalar_is_valid(PyObject *object, void *Py_UNUSED(closure))
{
    const struct scalar *self = (const struct scalar *)object;

    return PyBool_FromLong(self->value != DORA_VALUE_NULL &&
                           self->item != Py_None);
}

/* A field of a struct, an item of a list. */
static PyObject *
scalar_subscript(PyObject *object, PyObject *key)
{
    const struct scalar *self = (const struct scalar *)object;

    if (self->item != NULL &&
        (PyDict_Check(self->item) || PyList_Check(self->item)))
        return PyObject_GetItem(self->item, key);
    PyErr_SetString(PyExc_TypeError,
                    "only the items of struct and list arrays have parts");
    return NULL;
}

static PyMethodDef scalar_methods[] = {
    {"as_py", scalar_as_py, METH_NOARGS, "The item as an object of Python."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef scalar_getset[] = {
    {"type", scalar_type, NULL, "dora.DataType of the item.", NULL},
    {"is_valid", scalar_is_valid, NULL, "Whether it is not null.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot scalar_slots[] = {
    {Py_tp_dealloc, (void *)scalar_dealloc},
    {Py_tp_str, (void *)scalar_str},
    {Py_tp_repr, (void *)scalar_repr},
    {Py_tp_hash, (void *)scalar_hash},
    {Py_tp_richcompare, (void *)scalar_richcompare},
    {Py_nb_index, (void *)scalar_index},
    {Py_nb_int, (void *)scalar_number},
    {Py_nb_float, (void *)scalar_float},
    {Py_mp_subscript, (void *)scalar_subscript},
    {Py_tp_methods, scalar_methods},
    {Py_tp_getset, scalar_getset},
    {Py_tp_doc, "One item of an Array."},
    {0, NULL},
};

static PyType_Spec scalar_spec = {
    .name = "dora.Scalar",
    .basicsize = sizeof(struct scalar),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = scalar_slots,
};

PyObject *
dora__py_scalar_new(const struct dora__py_module *m, enum dora_value value,
                    uint8_t number)
{
    struct scalar *self = (struct scalar *)dora__py_alloc(m->scalar);

    if (self != NULL) {
        self->value = value;
        self->number = number;
    }
    return (PyObject *)self;
}

PyObject *
dora__py_scalar_text(const struct dora__py_module *m, PyObject *text)
{
    PyObject *self =
        text == NULL ? NULL : dora__py_scalar_new(m, DORA_VALUE_TEXT, 0);

    if (self != NULL)
        ((struct scalar *)self)->item = text;
    else
        Py_XDECREF(text);
    return self;
}

PyObject *
dora__py_scalar_item(const struct dora__py_module *m, PyObject *item,
                     PyObject *type)
{
    struct scalar *self =
        (struct scalar *)dora__py_scalar_new(m, DORA_VALUE_ARROW, 0);

    if (self == NULL) {
        Py_DECREF(item);
        Py_DECREF(type);
        return NULL;
    }
    self->item = item;
    self->type = type;
    return (PyObject *)self;
}

int
dora__py_scalar_setup(PyObject *module)
{
    return dora__py_add_type(module, &scalar_spec, true,
                             &dora__py_state(module)->scalar);
}
