/* datatype_type.c - dora.DataType: what the items of an Array are. There are
 * three of them per interpreter, made with the module, and one for each that an
 * Arrow array is asked for. Compares equal to its name, and to the types of
 * other libraries by their Arrow schema; nested ones by their names. */
#include "module.h"

#include <string.h>

struct datatype {
    PyObject_HEAD enum dora_value value;
    /* Of an Arrow array: one reference, and what pyarrow calls it. */
    struct dora__arrow *arrow;
    const struct dora__arrow_field *field;
    char *name;
};

static const char *
name_of(PyObject *self)
{
    enum dora_value value = ((struct datatype *)self)->value;

    if (value == DORA_VALUE_ARROW)
        return ((struct datatype *)self)->name;
    return value == DORA_VALUE_BYTES  ? "uint8"
           : value == DORA_VALUE_TEXT ? "string"
                                      : "null";
}

/* The module holds them, they their type, and that the module: only a collector
 * that sees all three frees any. */
static int
datatype_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static void
datatype_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    dora__arrow_unref(((struct datatype *)self)->arrow);
    free(((struct datatype *)self)->name);
    dora__py_free(type, (PyObject *)self);
    Py_DECREF(type);
}

static PyObject *
datatype_str(PyObject *self)
{
    return PyUnicode_FromString(name_of(self));
}

static PyObject *
datatype_repr(PyObject *self)
{
    return PyUnicode_FromFormat("DataType(%s)", name_of(self));
}

static Py_hash_t
datatype_hash(PyObject *self)
{
    PyObject *name = datatype_str(self);
    Py_hash_t hash = name == NULL ? -1 : PyObject_Hash(name);

    Py_XDECREF(name);
    return hash;
}

/* As below, with a type of another library. */
static int
same_name(PyObject *self, PyObject *other)
{
    PyObject *name;
    int same = dora__py_arrow_same(other, DORA_VALUE_NULL);

    if (same < 0)
        return same;
    name = PyObject_Str(other);
    if (name == NULL)
        return -1;
    same = PyUnicode_CompareWithASCIIString(name, name_of(self)) == 0;
    Py_DECREF(name);
    return same;
}

/* 1, 0, -1: exception, -2: not comparable. */
static int
equals(PyObject *self, PyObject *other)
{
    if (Py_TYPE(other) == Py_TYPE(self))
        return strcmp(name_of(self), name_of(other)) == 0;
    if (PyUnicode_Check(other))
        return PyUnicode_CompareWithASCIIString(other, name_of(self)) == 0;
    if (((struct datatype *)self)->value == DORA_VALUE_ARROW)
        return same_name(self, other);
    return dora__py_arrow_same(other, ((struct datatype *)self)->value);
}

static PyObject *
datatype_richcompare(PyObject *self, PyObject *other, int op)
{
    int same;

    if (op != Py_EQ && op != Py_NE)
        Py_RETURN_NOTIMPLEMENTED;
    same = equals(self, other);
    if (same == -2)
        Py_RETURN_NOTIMPLEMENTED;
    if (same < 0)
        return NULL;
    return PyBool_FromLong(same == (op == Py_EQ));
}

static PyObject *
datatype_bit_width(PyObject *self, void *Py_UNUSED(closure))
{
    const struct datatype *type = (const struct datatype *)self;

    if (type->value == DORA_VALUE_BYTES)
        return PyLong_FromLong(8);
    if (type->field != NULL && type->field->layout.kind == DORA__ARROW_BITS)
        return PyLong_FromLong(1);
    if (type->field != NULL && type->field->layout.kind == DORA__ARROW_FIXED)
        return PyLong_FromSize_t(8 * type->field->layout.width);
    PyErr_Format(PyExc_ValueError, "%s has no bit width", name_of(self));
    return NULL;
}

static PyObject *
datatype_schema(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    const struct datatype *type = (const struct datatype *)self;

    return type->arrow != NULL
               ? dora__py_arrow_field_schema(type->arrow, type->field)
               : dora__py_arrow_schema(type->value);
}

static PyMethodDef datatype_methods[] = {
    {"__arrow_c_schema__", datatype_schema, METH_NOARGS,
     "The type as an ArrowSchema capsule."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef datatype_getset[] = {
    {"bit_width", datatype_bit_width, NULL, "Bits of one item.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot datatype_slots[] = {
    {Py_tp_traverse, (void *)datatype_traverse},
    {Py_tp_dealloc, (void *)datatype_dealloc},
    {Py_tp_str, (void *)datatype_str},
    {Py_tp_repr, (void *)datatype_repr},
    {Py_tp_hash, (void *)datatype_hash},
    {Py_tp_richcompare, (void *)datatype_richcompare},
    {Py_tp_methods, datatype_methods},
    {Py_tp_getset, datatype_getset},
    {Py_tp_doc, "Type of the items of an Array."},
    {0, NULL},
};

static PyType_Spec datatype_spec = {
    .name = "dora.DataType",
    .basicsize = sizeof(struct datatype),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = datatype_slots,
};

static PyObject *
make(const struct dora__py_module *m, enum dora_value value)
{
    struct datatype *self = (struct datatype *)dora__py_alloc(m->datatype);

    if (self != NULL)
        self->value = value;
    return (PyObject *)self;
}

int
dora__py_datatype_setup(PyObject *module)
{
    struct dora__py_module *m = dora__py_state(module);

    if (dora__py_add_type(module, &datatype_spec, true, &m->datatype) < 0)
        return -1;
    m->uint8 = make(m, DORA_VALUE_BYTES);
    m->null = make(m, DORA_VALUE_NULL);
    m->string = make(m, DORA_VALUE_TEXT);
    return m->uint8 != NULL && m->null != NULL && m->string != NULL ? 0 : -1;
}

PyObject *
dora__py_datatype(const struct dora__py_module *m, enum dora_value value)
{
    return value == DORA_VALUE_BYTES  ? m->uint8
           : value == DORA_VALUE_TEXT ? m->string
                                      : m->null;
}

PyObject *
dora__py_datatype_new(const struct dora__py_module *m,
                      struct dora__arrow *arrow,
                      const struct dora__arrow_field *field)
{
    struct datatype *self = (struct datatype *)make(m, DORA_VALUE_ARROW);
    struct dora__text name = {0};

    if (self == NULL)
        return NULL;
    self->arrow = dora__arrow_ref(arrow);
    self->field = field;
    dora__py_arrow_name(&name, field);
    self->name = name.text;
    if (!name.failed)
        return (PyObject *)self;
    Py_DECREF(self);
    return PyErr_NoMemory();
}
