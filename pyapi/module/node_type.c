/* node_type.c - dora.Node: the script as a node of the dataflow.
 *
 * Node() joins and returns when every node has (the barrier), so that nothing
 * sent afterwards is lost. The node closes when the Node and all that keeps it
 * (sample handlers) are gone, at the latest with the process; values received
 * stay valid after it.
 *
 * Methods are in py_receive.c, py_send.c, py_log.c and py_async.c. */
#include "module.h"

#include "python.h"

#include <structmember.h>

static inline struct dora__py_node *
node_of(PyObject *object)
{
    return (struct dora__py_node *)object;
}

static inline PyObject *
input_of(const struct dora__py_node *self, size_t input)
{
    return atomic_load_explicit(&self->inputs[input], memory_order_relaxed);
}

PyObject *
dora__py_json(const char *text)
{
    PyObject *json = PyImport_ImportModule("json"), *result;

    if (json == NULL)
        return NULL;
    result = PyObject_CallMethod(json, "loads", "s", text);
    Py_DECREF(json);
    return result;
}

/* --- life ---------------------------------------------------------------- */

static int
node_traverse(PyObject *object, visitproc visit, void *arg)
{
    struct dora__py_node *self = node_of(object);
    int r;

    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->outputs);
    Py_VISIT(self->undeclared);
    Py_VISIT(self->make_arrow);
    for (size_t i = 0; i < self->input_count; i++)
        Py_VISIT(input_of(self, i));
    r = dora__py_park_traverse(self, visit, arg);
    return r != 0 ? r : dora__py_async_traverse(self->async, visit, arg);
}

static int
node_clear(PyObject *object)
{
    struct dora__py_node *self = node_of(object);

    Py_CLEAR(self->undeclared);
    Py_CLEAR(self->make_arrow);
    dora__py_park_clear(self);
    dora__py_async_clear(self->async);
    return 0;
}

/* The script drops its Node and goes on. At its end, when no Python code runs
 * any more, the outputs are left to the host, which knows how the script has
 * ended: who reads them is to learn of a failure before they close. */
static void
leave(struct dora__py_node *self)
{
    dora__node_close(self->node);
    if (dora__py_async_free(self->async))
        return;
    if (dora__py_seat_leave(self->node))
        dora__node_detach(self->node);
}

static void
node_dealloc(PyObject *object)
{
    struct dora__py_node *self = node_of(object);
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    if (self->weak != NULL)
        PyObject_ClearWeakRefs(object);
    (void)node_clear(object);
    Py_CLEAR(self->outputs);
    for (size_t i = 0; i < self->input_count; i++)
        Py_XDECREF(input_of(self, i));
    PyMem_Free(self->inputs);
    PyMem_Free(self->parked);
    if (self->node != NULL && PyEval_GetFrame() != NULL)
        leave(self);
    dora__py_free(type, object);
    Py_DECREF(type);
}

/* Gives up the GIL while other nodes are waited for. */
static int
join(struct dora_node *node)
{
    struct dora_error err = {0};
    int64_t nap = 0;
    int r = 0;

    do {
        if (dora__py_nap(r, &nap) < 0)
            return -1;
        Py_BEGIN_ALLOW_THREADS;
        r = dora__node_join(node, nap, &err);
        Py_END_ALLOW_THREADS;
    } while (r == -EINTR || r == -ETIMEDOUT);
    if (r >= 0)
        return 0;
    (void)dora__py_raise(r, &err);
    return -1;
}

static PyObject *
list_outputs(const struct dora_node *node)
{
    PyObject *outputs = PyDict_New();
    size_t count = dora__node_output_count(node);

    for (size_t i = 0; outputs != NULL && i < count; i++) {
        PyObject *id =
            PyUnicode_InternFromString(dora__node_output_id(node, i));
        PyObject *number = id == NULL ? NULL : PyLong_FromSize_t(i);

        if (number == NULL || PyDict_SetItem(outputs, id, number) < 0)
            Py_CLEAR(outputs);
        Py_XDECREF(number);
        Py_XDECREF(id);
    }
    return outputs;
}

/* A node that dora-run started is who it is, whatever it says; one that was
 * attached by hand has been given its id twice. */
static int
check_id(const struct dora_node *node, PyObject *id)
{
    const char *name = dora_node_id(node);

    if (id == NULL || !PyUnicode_Check(id) || !dora__node_is_dynamic(node) ||
        PyUnicode_CompareWithASCIIString(id, name) == 0)
        return 0;
    PyErr_Format(PyExc_RuntimeError,
                 "could not initiate node: Node(%R), but this script was "
                 "attached by `dora-run node --id %s`",
                 id, name);
    return -1;
}

/* What sends and receives look things up in. */
static int
make_tables(struct dora__py_node *self)
{
    size_t count = dora__node_input_count(self->node);

    self->inputs = PyMem_Calloc(count, sizeof(*self->inputs));
    if (self->inputs == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    self->input_count = count;
    self->undeclared = PySet_New(NULL);
    self->outputs = list_outputs(self->node);
    return self->undeclared == NULL || self->outputs == NULL ? -1 : 0;
}

static PyObject *
make(PyTypeObject *type, struct dora__py_module *m, PyObject *id)
{
    struct dora__py_node *self = node_of(dora__py_alloc(type));

    if (self == NULL)
        return NULL;
    self->m = m;
    self->node = dora__py_seat_take();
    if (self->node != NULL && check_id(self->node, id) == 0 &&
        make_tables(self) == 0 &&
        dora__py_arrow_meet(m, &self->make_arrow) == 0 && join(self->node) == 0)
        return (PyObject *)self;
    /* Interrupted, perhaps: then Node() may be called again. */
    if (self->node != NULL)
        dora__py_seat_return(self->node);
    self->node = NULL;
    Py_DECREF(self);
    return NULL;
}

static PyObject *
node_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"node_id", "daemon_port", NULL};
    struct dora__py_module *m = PyType_GetModuleState(type);
    PyObject *id = NULL, *port = NULL, *node;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO:Node", names, &id,
                                     &port))
        return NULL;
    node = make(type, m, id);
    if (node != NULL && dora__py_bridge_logging(node) < 0)
        Py_CLEAR(node);
    return node;
}

/* --- what it is ---------------------------------------------------------- */

static PyObject *
node_config(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return dora__py_json(dora__node_config(node_of(self)->node));
}

static PyObject *
dataflow_descriptor(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return dora__py_json(dora__node_descriptor(node_of(self)->node));
}

static PyObject *
dataflow_id(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyUnicode_FromString(dora__node_dataflow_id(node_of(self)->node));
}

static PyObject *
restart_count(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromUnsignedLong(
        dora__node_restart_count(node_of(self)->node));
}

static PyObject *
is_restart(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(dora__node_restart_count(node_of(self)->node) > 0);
}

static PyObject *
timestamp(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return dora__py_time_new(node_of(self)->m,
                             dora__clock(CLOCK_REALTIME) / 1000);
}

static PyObject *
node_repr(PyObject *self)
{
    return PyUnicode_FromFormat("<dora.Node '%s'>",
                                dora_node_id(node_of(self)->node));
}

#define FAST(function) \
    (PyCFunction)(void (*)(void))(function), METH_FASTCALL | METH_KEYWORDS

static PyMethodDef node_methods[] = {
    {"next", FAST(dora__py_next),
     "next($self, timeout=None)\n--\n\n"
     "Wait for the next event: a dict, or None at the end of the stream. After "
     "`timeout` seconds without one: a dict of type ERROR."},
    {"try_recv", dora__py_try_recv, METH_NOARGS,
     "try_recv($self, /)\n--\n\nThe next event if there is one now, else "
     "None."},
    {"drain", dora__py_drain, METH_NOARGS,
     "drain($self, /)\n--\n\nAll events that are there now, as a list."},
    {"is_empty", dora__py_is_empty, METH_NOARGS,
     "is_empty($self, /)\n--\n\nWhether no message is queued."},
    {"recv_async", FAST(dora__py_recv_async),
     "recv_async($self, timeout=None)\n--\n\n"
     "An awaitable for what next() would return."},
    {"send_output", FAST(dora__py_send_output),
     "send_output($self, output_id, data, metadata=None)\n--\n\n"
     "Send bytes, a buffer of bytes, an Arrow array of uint8, or a received "
     "value; the latter, and parts of it, without a copy."},
    {"send_output_raw", FAST(dora__py_send_output_raw),
     "send_output_raw($self, output_id, data_length, metadata=None)\n--\n\n"
     "Take `data_length` bytes of shared memory to write a message into: a "
     "SampleHandler, sent by `with` or by send()."},
    {"send_service_request", FAST(dora__py_send_service_request),
     "send_service_request($self, output_id, data, metadata=None)\n--\n\n"
     "Send a message with a new `request_id` in its metadata, which is "
     "returned."},
    {"send_service_response", FAST(dora__py_send_service_response),
     "send_service_response($self, output_id, data, metadata)\n--\n\n"
     "Send a message with the metadata of the request that it answers."},
    {"log", FAST(dora__py_log),
     "log($self, level, message, target=None, fields=None)\n--\n\n"
     "Write a line to the node's log."},
    {"log_error", dora__py_log_error, METH_O,
     "log_error($self, message, /)\n--\n\nWrite a line of this level."},
    {"log_warn", dora__py_log_warn, METH_O,
     "log_warn($self, message, /)\n--\n\nWrite a line of this level."},
    {"log_info", dora__py_log_info, METH_O,
     "log_info($self, message, /)\n--\n\nWrite a line of this level."},
    {"log_debug", dora__py_log_debug, METH_O,
     "log_debug($self, message, /)\n--\n\nWrite a line of this level."},
    {"log_trace", dora__py_log_trace, METH_O,
     "log_trace($self, message, /)\n--\n\nWrite a line of this level."},
    {"node_config", node_config, METH_NOARGS,
     "node_config($self, /)\n--\n\nThis node's inputs and outputs, as in the "
     "file."},
    {"dataflow_descriptor", dataflow_descriptor, METH_NOARGS,
     "dataflow_descriptor($self, /)\n--\n\nThe whole file."},
    {"dataflow_id", dataflow_id, METH_NOARGS,
     "dataflow_id($self, /)\n--\n\nThe id of this run."},
    {"is_restart", is_restart, METH_NOARGS,
     "is_restart($self, /)\n--\n\nWhether this node was started before in this "
     "run."},
    {"restart_count", restart_count, METH_NOARGS,
     "restart_count($self, /)\n--\n\nHow often this node was started again."},
    {"timestamp", timestamp, METH_NOARGS,
     "timestamp($self, /)\n--\n\nNow, as an aware UTC datetime."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef node_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(struct dora__py_node, weak),
     READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot node_slots[] = {
    {Py_tp_new, (void *)node_new},
    {Py_tp_dealloc, (void *)node_dealloc},
    {Py_tp_traverse, (void *)node_traverse},
    {Py_tp_clear, (void *)node_clear},
    {Py_tp_repr, (void *)node_repr},
    {Py_tp_iter, (void *)PyObject_SelfIter},
    {Py_tp_iternext, (void *)dora__py_iternext},
    {Py_tp_methods, node_methods},
    {Py_tp_members, node_members},
    {Py_tp_doc, "Node(node_id=None, daemon_port=None)\n--\n\n"
                "Become the node that dora-run started this script as."},
    {0, NULL},
};

static PyType_Spec node_spec = {
    .name = "dora.Node",
    .basicsize = sizeof(struct dora__py_node),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = node_slots,
};

int
dora__py_node_setup(PyObject *module)
{
    return dora__py_add_type(module, &node_spec, true,
                             &dora__py_state(module)->node);
}
