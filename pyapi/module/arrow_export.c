/* arrow_export.c - an Array as the capsules of the Arrow PyCapsule interface.
 *
 * What is handed over holds a reference to the sample, or bytes of its own, and
 * no Python object: its release callback may run on a thread that knows no
 * Python, or after the interpreter is gone, and only counts down. */
#include "module.h"

#include <string.h>

struct exported {
    struct dora_sample *sample;
    const void *buffers[3]; /* validity, bytes; or validity, places, bytes */
    int32_t places[2];      /* of the one string: where it begins and ends */
    unsigned char copy[];   /* of an Array that is a copy */
};

/* --- schema -------------------------------------------------------------- */

/* Format and name are literals: nothing to give back. */
static void
release_schema(struct ArrowSchema *schema)
{
    schema->release = NULL;
}

static void
free_schema(PyObject *capsule)
{
    struct ArrowSchema *schema = PyCapsule_GetPointer(capsule, "arrow_schema");

    if (schema->release != NULL)
        schema->release(schema);
    free(schema);
}

const char *
dora__py_arrow_format(enum dora_value value)
{
    return value == DORA_VALUE_BYTES  ? "C"
           : value == DORA_VALUE_TEXT ? "u"
                                      : "n";
}

PyObject *
dora__py_arrow_schema(enum dora_value value)
{
    struct ArrowSchema *schema = calloc(1, sizeof(*schema));
    PyObject *capsule;

    if (schema == NULL)
        return PyErr_NoMemory();
    schema->format = dora__py_arrow_format(value);
    schema->name = "";
    schema->flags = ARROW_FLAG_NULLABLE;
    schema->release = release_schema;
    capsule = PyCapsule_New(schema, "arrow_schema", free_schema);
    if (capsule == NULL)
        free(schema);
    return capsule;
}

/* --- array --------------------------------------------------------------- */

static void
release_array(struct ArrowArray *array)
{
    struct exported *exported = array->private_data;

    dora_sample_unref(exported->sample);
    free(exported);
    array->release = NULL;
}

static void
free_array(PyObject *capsule)
{
    struct ArrowArray *array = PyCapsule_GetPointer(capsule, "arrow_array");

    if (array->release != NULL)
        array->release(array);
    free(array);
}

static void
fill(struct ArrowArray *array, struct exported *exported,
     const struct dora__py_array *self)
{
    bool text = self->value == DORA_VALUE_TEXT;
    const void *data = self->data;

    exported->sample =
        self->sample != NULL ? dora_sample_ref(self->sample) : NULL;
    if (self->copy != NULL)
        data = memcpy(exported->copy, self->data, (size_t)self->size);
    exported->buffers[text ? 2 : 1] = data;
    if (text)
        exported->buffers[1] = exported->places;
    exported->places[1] = (int32_t)self->size;
    array->length = self->length;
    array->null_count = self->value == DORA_VALUE_NULL ? self->length : 0;
    array->n_buffers = text ? 3 : self->value == DORA_VALUE_BYTES ? 2 : 0;
    array->buffers = exported->buffers;
    array->release = release_array;
    array->private_data = exported;
}

static PyObject *
export_array(const struct dora__py_array *self)
{
    struct ArrowArray *array = calloc(1, sizeof(*array));
    size_t copied = self->copy != NULL ? (size_t)self->size : 0;
    struct exported *exported = calloc(1, sizeof(*exported) + copied);
    PyObject *capsule;

    if (array == NULL || exported == NULL) {
        free(array);
        free(exported);
        return PyErr_NoMemory();
    }
    fill(array, exported, self);
    capsule = PyCapsule_New(array, "arrow_array", free_array);
    if (capsule == NULL) {
        release_array(array);
        free(array);
    }
    return capsule;
}

PyObject *
dora__py_arrow_array(PyObject *self, PyObject *const *args, Py_ssize_t count,
                     PyObject *names)
{
    static const struct dora__py_signature signature = {
        "__arrow_c_array__", {"requested_schema", NULL}, 0};
    const struct dora__py_array *array = (const struct dora__py_array *)self;
    PyObject *values[1], *schema, *data;

    /* A requested type is a wish: what is exported says what it is. */
    if (dora__py_arguments(&signature, args, count, names, values) < 0)
        return NULL;
    schema = dora__py_arrow_schema(array->value);
    data = schema == NULL ? NULL : export_array(array);
    if (data == NULL) {
        Py_XDECREF(schema);
        return NULL;
    }
    return Py_BuildValue("(NN)", schema, data);
}

/* --- of a field ---------------------------------------------------------- */

PyObject *
dora__py_arrow_field_schema(struct dora__arrow *arrow,
                            const struct dora__arrow_field *field)
{
    struct ArrowSchema *schema = calloc(1, sizeof(*schema));
    PyObject *capsule;

    if (schema == NULL || dora__arrow_export_schema(arrow, field, schema) < 0) {
        free(schema);
        return PyErr_NoMemory();
    }
    capsule = PyCapsule_New(schema, "arrow_schema", free_schema);
    if (capsule == NULL) {
        schema->release(schema);
        free(schema);
    }
    return capsule;
}

PyObject *
dora__py_arrow_field_array(struct dora__arrow *arrow,
                           const struct dora__arrow_field *field,
                           Py_ssize_t start, Py_ssize_t length)
{
    struct ArrowArray *array = calloc(1, sizeof(*array));
    PyObject *capsule;

    if (array == NULL ||
        dora__arrow_export_array(arrow, field, start, length, array) < 0) {
        free(array);
        return PyErr_NoMemory();
    }
    capsule = PyCapsule_New(array, "arrow_array", free_array);
    if (capsule == NULL) {
        array->release(array);
        free(array);
    }
    return capsule;
}
