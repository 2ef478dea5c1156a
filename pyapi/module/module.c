/* module.c - the `dora` module: its state, its errors, how it is made.
 *
 * Keeps true:
 *   1. Multi-phase initialisation; every Python object hangs off the module
 *      state, so that each interpreter has its own, with its own GIL.
 *   2. `import dora` imports _datetime, which is C, and nothing else. What
 * needs another module (enum, json, numpy) meets it when it is first used.
 *   3. Failures of the runtime become exceptions in dora__py_raise only. */
#include "module.h"

#include "python.h"

#include <string.h>

static PyObject *make_status(PyObject *module);

/* --- state --------------------------------------------------------------- */

static int
module_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct dora__py_module *m = dora__py_state(module);

    Py_VISIT(m->node);
    Py_VISIT(m->handler);
    Py_VISIT(m->buffer);
    Py_VISIT(m->array);
    Py_VISIT(m->arrow_array);
    Py_VISIT(m->scalar);
    Py_VISIT(m->datatype);
    Py_VISIT(m->receiver);
    Py_VISIT(m->uint8);
    Py_VISIT(m->null);
    Py_VISIT(m->string);
    Py_VISIT(m->datetime);
    Py_VISIT(m->status);
    Py_VISIT(m->release_view);
    return 0;
}

static int
module_clear(PyObject *module)
{
    struct dora__py_module *m = dora__py_state(module);
    size_t i;

    Py_CLEAR(m->node);
    Py_CLEAR(m->handler);
    Py_CLEAR(m->buffer);
    Py_CLEAR(m->array);
    Py_CLEAR(m->arrow_array);
    Py_CLEAR(m->scalar);
    Py_CLEAR(m->datatype);
    Py_CLEAR(m->receiver);
    Py_CLEAR(m->uint8);
    Py_CLEAR(m->null);
    Py_CLEAR(m->string);
    Py_CLEAR(m->datetime);
    Py_CLEAR(m->status);
    Py_CLEAR(m->release_view);
    for (i = 0; i < DORA_COUNT(m->words); i++)
        Py_CLEAR(m->words[i]);
    for (i = 0; i < DORA_COUNT(m->event_types); i++)
        Py_CLEAR(m->event_types[i]);
    return 0;
}

static void
module_free(void *module)
{
    (void)module_clear(module);
}

int
dora__py_add_type(PyObject *module, PyType_Spec *spec, bool visible,
                  PyTypeObject **ret_type)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);

    if (type == NULL)
        return -1;
    *ret_type = (PyTypeObject *)type;
    return visible ? PyModule_AddType(module, *ret_type) : 0;
}

/* --- errors -------------------------------------------------------------- */

PyObject *
dora__py_raise(int code, const struct dora_error *err)
{
    PyObject *type = PyExc_RuntimeError;
    const char *text = err != NULL && err->text[0] != '\0' ? err->text : NULL;

    if (code == -ENOMEM)
        return PyErr_NoMemory();
    if (text == NULL && code == -ECHILD)
        text = "this process was forked from a node and is not a node itself";
    if (text == NULL && code == -EPIPE)
        text = "the stream of events has ended";
    if (text == NULL)
        text = strerror(-code);
    PyErr_SetString(type, text);
    return NULL;
}

/* --- attributes made when first asked for -------------------------------- */

/* Makes `made` (taken over) the one, or NULL; if there is one already, that is
 * it. */
static PyObject *
the_status(PyObject *module, PyObject *made)
{
    struct dora__py_module *m = dora__py_state(module);
    PyObject *status;

    Py_BEGIN_CRITICAL_SECTION(module);
    if (m->status == NULL)
        m->status = Py_XNewRef(made);
    status = Py_XNewRef(m->status);
    Py_END_CRITICAL_SECTION();
    Py_XDECREF(made);
    return status;
}

static PyObject *
make_status(PyObject *module)
{
    PyObject *enums, *name, *status = the_status(module, NULL);

    if (status != NULL)
        return status;
    enums = PyImport_ImportModule("enum");
    name = enums == NULL ? NULL : PyModule_GetNameObject(module);
    status = name == NULL
                 ? NULL
                 : PyObject_CallMethod(enums, "Enum", "s((si)(si)(si))",
                                       "DoraStatus", "CONTINUE", 0, "STOP", 1,
                                       "STOP_ALL", 2);
    if (status != NULL &&
        PyObject_SetAttrString(status, "__module__", name) < 0)
        Py_CLEAR(status);
    Py_XDECREF(name);
    Py_XDECREF(enums);
    return status == NULL ? NULL : the_status(module, status);
}

static PyObject *
module_getattr(PyObject *module, PyObject *name)
{
    if (PyUnicode_Check(name) &&
        PyUnicode_CompareWithASCIIString(name, "DoraStatus") == 0)
        return make_status(module);
    PyErr_Format(PyExc_AttributeError, "module 'dora' has no attribute %R",
                 name);
    return NULL;
}

static PyObject *
module_dir(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    PyObject *names = PyDict_Keys(PyModule_GetDict(module)), *status;

    if (names == NULL)
        return NULL;
    status = PyUnicode_FromString("DoraStatus");
    if (status == NULL || PyList_Append(names, status) < 0)
        Py_CLEAR(names);
    Py_XDECREF(status);
    return names;
}

static PyMethodDef module_methods[] = {
    {"__getattr__", module_getattr, METH_O, NULL},
    {"__dir__", module_dir, METH_NOARGS, NULL},
    {"start_runtime", dora__py_start_runtime, METH_NOARGS,
     "start_runtime()\n--\n\nHow dora-run starts an operator; nothing for "
     "scripts."},
    {NULL, NULL, 0, NULL},
};

/* --- making -------------------------------------------------------------- */

static int
set_words(struct dora__py_module *m)
{
    static const char *const words[DORA__PY_WORDS] = {
        "type",      "kind",  "id",   "value",   "metadata",
        "timestamp", "error", "dora", "pyarrow",
    };
    static const char *const types[DORA__PY_EVENT_TYPES] = {
        "ERROR",          "INPUT",       "INPUT_CLOSED", "INPUT_RECOVERED",
        "NODE_RESTARTED", "NODE_FAILED", "STOP",
    };
    size_t i;

    for (i = 0; i < DORA_COUNT(words); i++) {
        m->words[i] = PyUnicode_InternFromString(words[i]);
        if (m->words[i] == NULL)
            return -1;
    }
    for (i = 0; i < DORA_COUNT(types); i++) {
        m->event_types[i] = PyUnicode_InternFromString(types[i]);
        if (m->event_types[i] == NULL)
            return -1;
    }
    return 0;
}

/* Without it `import dora.x` would say that dora is no package. */
static int
be_package(PyObject *module)
{
    PyObject *path = PyList_New(0);
    int r = path == NULL ? -1 : PyModule_AddObjectRef(module, "__path__", path);

    Py_XDECREF(path);
    return r;
}

/* In os.environ: an interpreter inside the host has an environment of its own,
 * of which C knows nothing. `os` is there since the interpreter is. */
static int
is_set(const char *variable, bool *ret_set)
{
    PyObject *os = PyImport_ImportModule("os"), *value = NULL;
    PyObject *environment =
        os == NULL ? NULL : PyObject_GetAttrString(os, "environ");
    const char *text = NULL;

    if (environment != NULL)
        value = PyObject_CallMethod(environment, "get", "ss", variable, "");
    if (value != NULL)
        text = PyUnicode_AsUTF8(value);
    if (text != NULL)
        *ret_set = text[0] != '\0' && strcmp(text, "0") != 0;
    Py_XDECREF(value);
    Py_XDECREF(environment);
    Py_XDECREF(os);
    return text == NULL ? -1 : 0;
}

static int
module_exec(PyObject *module)
{
    struct dora__py_module *m = dora__py_state(module);

    m->release_view =
        PyObject_GetAttrString((PyObject *)&PyMemoryView_Type, "release");
    if (m->release_view == NULL ||
        is_set("DORA_STRICT_VIEWS", &m->strict_views) < 0 ||
        is_set("DORA_CHECK_VIEWS", &m->check_views) < 0 || set_words(m) < 0 ||
        dora__py_time_setup(m) < 0 || dora__py_datatype_setup(module) < 0 ||
        dora__py_scalar_setup(module) < 0 || dora__py_array_setup(module) < 0 ||
        dora__py_arrow_setup(module) < 0 || dora__py_buffer_setup(module) < 0 ||
        dora__py_handler_setup(module) < 0 ||
        dora__py_receiver_setup(module) < 0 || dora__py_node_setup(module) < 0)
        return -1;
    if (PyModule_AddStringConstant(module, "__version__", DORA_VERSION) < 0 ||
        PyModule_AddStringConstant(module, "__author__", "dora-run authors") <
            0)
        return -1;
    return be_package(module);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, (void *)module_exec},
#if PY_VERSION_HEX >= 0x030c0000 && !defined(Py_LIMITED_API)
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#ifdef Py_MOD_GIL_NOT_USED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED}, /* module.h says what holds instead */
#endif
    {0, NULL},
};

PyDoc_STRVAR(module_doc,
             "Nodes of a dataflow run by dora-run.\n\n"
             "    from dora import Node\n\n"
             "    node = Node()\n"
             "    for event in node:\n"
             "        if event[\"type\"] == \"INPUT\":\n"
             "            node.send_output(\"out\", event[\"value\"])\n");

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,         .m_name = "dora",
    .m_doc = module_doc,           .m_size = sizeof(struct dora__py_module),
    .m_methods = module_methods,   .m_slots = module_slots,
    .m_traverse = module_traverse, .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC
PyInit_dora(void)
{
    return PyModuleDef_Init(&definition);
}
