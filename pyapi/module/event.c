/* event.c - events as the dicts that nodes read: real ones, so that `.get`,
 * `**` and isinstance work.
 *
 * An INPUT begins as a copy of the dict of its input, in which type, kind and
 * id stand already: copying a small dict is cheaper than filling one, and
 * value and metadata are then stored over what is there. */
#include "module.h"

static int
set_event_type(const struct dora__py_module *m, PyObject *dict,
               enum dora_event_type type)
{
    if (PyDict_SetItem(dict, m->words[DORA__PY_TYPE], m->event_types[type]) < 0)
        return -1;
    return PyDict_SetItem(dict, m->words[DORA__PY_KIND],
                          m->words[DORA__PY_DORA]);
}

/* A dict with type, kind and, if there is one, the id. */
static PyObject *
begin(const struct dora__py_module *m, enum dora_event_type type,
      const char *id)
{
    PyObject *dict = PyDict_New(), *text;
    int r;

    if (dict == NULL)
        return NULL;
    r = set_event_type(m, dict, type);
    if (r == 0 && id != NULL) {
        text = PyUnicode_InternFromString(id);
        r = text == NULL ? -1
                         : PyDict_SetItem(dict, m->words[DORA__PY_ID], text);
        Py_XDECREF(text);
    }
    if (r < 0)
        Py_CLEAR(dict);
    return dict;
}

/* The dict to copy for messages of an input; borrowed. Nobody changes it once
 * it is there. */
static PyObject *
input_dict(struct dora__py_node *self, const struct dora_event *event)
{
    const struct dora__py_module *m = self->m;
    PyObject *_Atomic *place = &self->inputs[event->input];
    /* Pairs with the exchange below. */
    PyObject *there = atomic_load_explicit(place, memory_order_acquire), *dict;

    if (there != NULL)
        return there;
    dict = begin(m, DORA_EVENT_INPUT, event->id);
    if (dict == NULL)
        return NULL;
    if (PyDict_SetItem(dict, m->words[DORA__PY_VALUE], Py_None) < 0 ||
        PyDict_SetItem(dict, m->words[DORA__PY_METADATA], Py_None) < 0) {
        Py_DECREF(dict);
        return NULL;
    }
    if (atomic_compare_exchange_strong_explicit(
            place, &there, dict, memory_order_acq_rel, memory_order_acquire))
        return dict;
    Py_DECREF(dict); /* another thread was faster */
    return there;
}

static int
set_taken(PyObject *dict, PyObject *key, PyObject *value)
{
    int r = value == NULL ? -1 : PyDict_SetItem(dict, key, value);

    Py_XDECREF(value);
    return r;
}

static PyObject *
input_value(const struct dora__py_node *self, struct dora_event *event)
{
    PyObject *value =
        event->value == DORA_VALUE_ARROW
            ? dora__py_arrow_new(self->m, event->sample, event->data,
                                 event->data_size)
            : dora__py_array_new(self->m, event->value, event->sample,
                                 event->data, event->data_size);

    if (value != NULL && self->make_arrow != NULL)
        Py_SETREF(value, PyObject_CallOneArg(self->make_arrow, value));
    return value;
}

static PyObject *
input_event(struct dora__py_node *self, struct dora_event *event)
{
    struct dora__py_module *m = self->m;
    PyObject *value = input_value(self, event);
    PyObject *whole = value == NULL ? NULL : input_dict(self, event);
    PyObject *dict = whole == NULL ? NULL : PyDict_Copy(whole);
    PyObject *metadata;

    if (dict == NULL) {
        Py_XDECREF(value);
        return NULL;
    }
    metadata = dora__py_metadata_decode(m, event->sent_ns, event->metadata,
                                        event->metadata_size);
    if (set_taken(dict, m->words[DORA__PY_VALUE], value) < 0 ||
        set_taken(dict, m->words[DORA__PY_METADATA], metadata) < 0)
        Py_CLEAR(dict);
    return dict;
}

/* --- NODE_FAILED --------------------------------------------------------- */

static PyObject *
affected_inputs(const struct dora_event *event)
{
    PyObject *list = PyList_New((Py_ssize_t)event->input_count);

    for (size_t i = 0; list != NULL && i < event->input_count; i++) {
        PyObject *id = PyUnicode_FromString(event->inputs[i]);

        if (id == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, (Py_ssize_t)i, id);
    }
    return list;
}

static PyObject *
failed_event(const struct dora__py_module *m, const struct dora_event *event)
{
    PyObject *dict = begin(m, event->type, event->id);
    PyObject *inputs = dict == NULL ? NULL : affected_inputs(event);
    PyObject *value =
        inputs == NULL
            ? NULL
            : Py_BuildValue("{sssssN}", "source_node_id", event->id, "error",
                            event->error != NULL ? event->error : "",
                            "affected_input_ids", inputs);

    if (dict == NULL || set_taken(dict, m->words[DORA__PY_VALUE], value) < 0) {
        Py_XDECREF(dict);
        return NULL;
    }
    return dict;
}

/* --- any ----------------------------------------------------------------- */

PyObject *
dora__py_event(struct dora__py_node *self, struct dora_event *event)
{
    if (event->type == DORA_EVENT_INPUT)
        return input_event(self, event);
    if (event->type == DORA_EVENT_NODE_FAILED)
        return failed_event(self->m, event);
    return begin(self->m, event->type, event->id);
}

PyObject *
dora__py_error_event(const struct dora__py_module *m, const char *text)
{
    PyObject *dict = begin(m, 0, NULL);

    if (dict != NULL && set_taken(dict, m->words[DORA__PY_ERROR],
                                  PyUnicode_FromString(text)) < 0)
        Py_CLEAR(dict);
    return dict;
}

PyObject *
dora__py_timeout_event(const struct dora__py_module *m)
{
    return dora__py_error_event(
        m, "receiver timed out: no event within the timeout");
}
