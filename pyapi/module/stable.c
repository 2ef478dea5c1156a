/* stable.c - the module as an extension for every CPython from 3.11 on, which a
 * node's own interpreter loads (preload.c): for those that dora-run was not
 * linked with. The same memory, the same module; what differs is in stable.h
 * and py_time_stable.c. */
#include "stable.h"

#include "attachment.h"
#include "children.h"
#include "python.h"

#include <stdio.h>
#include <string.h>

const char *
dora__py_type_name(PyTypeObject *type)
{
    static _Thread_local char text[200];
    PyObject *name = PyType_GetName(type);
    PyObject *module = PyObject_GetAttrString((PyObject *)type, "__module__");
    const char *of = NULL, *called = NULL;

    if (module != NULL && PyUnicode_Check(module))
        of = PyUnicode_AsUTF8(module);
    if (name != NULL)
        called = PyUnicode_AsUTF8(name);
    if (of == NULL || strcmp(of, "builtins") == 0)
        of = "";
    (void)snprintf(text, sizeof(text), "%s%s%s", of, *of != '\0' ? "." : "",
                   called != NULL ? called : "?");
    Py_XDECREF(module);
    Py_XDECREF(name);
    PyErr_Clear();
    return text;
}

/* The node that this process was started as takes its seat. */
static int
take_seat(const char *attachment)
{
    struct dora_node *node;
    struct dora_error err = {0};

    if (dora__attachment_take(attachment, &node, &err) < 0) {
        PyErr_SetString(PyExc_ImportError, err.text);
        return -1;
    }
    if (dora__py_seat(node) == 0)
        return dora__py_debug_install();
    dora__node_detach(node);
    return -1;
}

/* What preload.c calls where an interpreter imports `dora`. `attachment` is
 * given once in a process, or never; `program` is what multiprocessing is to
 * start. */
__attribute__((visibility("default"))) PyObject *
dora_stable_init(const char *attachment, const char *program);

PyObject *
dora_stable_init(const char *attachment, const char *program)
{
    if ((attachment != NULL && take_seat(attachment) < 0) ||
        dora__py_adopt_children(program) < 0)
        return NULL;
    return PyInit_dora();
}
