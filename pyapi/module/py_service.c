/* py_service.c - requests and their answers: messages whose metadata carries a
 * `request_id`, by which the asker knows the answer. Such messages are not
 * dropped by full queues before others. */
#include "module.h"

#include <string.h>

#define REQUEST_ID "request_id"

static PyObject *
new_id(void)
{
    char id[37];

    dora__uuid(id);
    return PyUnicode_FromString(id);
}

/* A copy of the dict (or None) with the id. */
static PyObject *
with_id(PyObject *metadata, PyObject *id)
{
    PyObject *dict;

    if (metadata == NULL || metadata == Py_None)
        dict = PyDict_New();
    else if (PyDict_Check(metadata))
        dict = PyDict_Copy(metadata);
    else
        return PyErr_Format(PyExc_TypeError,
                            "metadata must be a dict, not %.100s",
                            dora__py_type_name(Py_TYPE(metadata)));
    if (dict != NULL && PyDict_SetItemString(dict, REQUEST_ID, id) < 0)
        Py_CLEAR(dict);
    return dict;
}

PyObject *
dora__py_send_service_request(PyObject *self, PyObject *const *args,
                              Py_ssize_t count, PyObject *names)
{
    static const struct dora__py_signature signature = {
        "send_service_request", {"output_id", "data", "metadata", NULL}, 2};
    PyObject *values[3], *id, *metadata, *sent = NULL;

    if (dora__py_arguments(&signature, args, count, names, values) < 0)
        return NULL;
    id = new_id();
    metadata = id == NULL ? NULL : with_id(values[2], id);
    if (metadata != NULL)
        sent = dora__py_send((struct dora__py_node *)self, values[0], values[1],
                             metadata);
    Py_XDECREF(metadata);
    if (sent == NULL)
        Py_CLEAR(id);
    Py_XDECREF(sent);
    return id;
}

PyObject *
dora__py_send_service_response(PyObject *self, PyObject *const *args,
                               Py_ssize_t count, PyObject *names)
{
    static const struct dora__py_signature signature = {
        "send_service_response", {"output_id", "data", "metadata", NULL}, 3};
    struct dora__py_node *node = (struct dora__py_node *)self;
    PyObject *values[3];

    if (dora__py_arguments(&signature, args, count, names, values) < 0)
        return NULL;
    if (PyDict_Check(values[2]) &&
        PyDict_GetItemString(values[2], REQUEST_ID) == NULL)
        dora_node_log(node->node, DORA_LEVEL_WARN, NULL,
                      "send_service_response: the metadata has no "
                      "`request_id`; pass that of the request, or nobody can "
                      "tell what this answers");
    return dora__py_send(node, values[0], values[1], values[2]);
}
