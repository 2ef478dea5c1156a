/* receiver_type.c - what recv_async() returns: a coroutine for one event.
 *
 * The event is popped in the very step that returns it. Between steps only
 * "there may be one" is waited for; a coroutine that is cancelled there has
 * taken nothing.
 *
 * A coroutine is one task's; what its section keeps whole is only itself. */
#include "module.h"

struct receiver {
    PyObject_HEAD struct dora__py_node *node; /* strong */
    PyObject *future, *timer;                 /* while it waits */
    int64_t timeout, deadline; /* -1: none; deadline 0: not begun */
};

static inline struct receiver *
receiver_of(PyObject *object)
{
    return (struct receiver *)object;
}

/* --- life ---------------------------------------------------------------- */

static int
receiver_traverse(PyObject *object, visitproc visit, void *arg)
{
    struct receiver *self = receiver_of(object);

    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->node);
    Py_VISIT(self->future);
    Py_VISIT(self->timer);
    return 0;
}

/* Takes over both: what it waits for from now on, NULL for nothing. What it
 * waited for is given up. */
static void
wait_for(struct receiver *self, PyObject *future, PyObject *timer)
{
    PyObject *old_future, *old_timer, *result;

    Py_BEGIN_CRITICAL_SECTION(self);
    old_future = self->future;
    old_timer = self->timer;
    self->future = future;
    self->timer = timer;
    Py_END_CRITICAL_SECTION();
    if (old_future != NULL)
        dora__py_async_forget(self->node, old_future);
    Py_XDECREF(old_future);
    if (old_timer != NULL) {
        result = PyObject_CallMethod(old_timer, "cancel", NULL);
        if (result == NULL)
            PyErr_Clear();
        Py_XDECREF(result);
        Py_DECREF(old_timer);
    }
}

/* Ends a wait, whichever way. */
static void
stop_waiting(struct receiver *self)
{
    wait_for(self, NULL, NULL);
}

static void
receiver_dealloc(PyObject *object)
{
    struct receiver *self = receiver_of(object);
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    Py_CLEAR(self->timer);
    Py_CLEAR(self->future);
    Py_CLEAR(self->node);
    dora__py_free(type, object);
    Py_DECREF(type);
}

/* --- steps --------------------------------------------------------------- */

/* Ends the coroutine with a value (taken over). */
static PyObject *
finish(PyObject *value)
{
    if (value != NULL) {
        PyErr_SetObject(PyExc_StopIteration, value);
        Py_DECREF(value);
    }
    return NULL;
}

/* What a loop wants of one that waits for a future: the future itself, marked
 * by its own iterator. */
static PyObject *
wait_for_future(struct receiver *self)
{
    PyObject *future = dora__py_async_future(self->node), *timer = NULL;
    PyObject *iterator = NULL, *yielded = NULL;

    if (future == NULL)
        return NULL;
    if (self->deadline > 0)
        timer = dora__py_async_later(future, self->deadline - dora__now());
    if (timer != NULL || self->deadline <= 0)
        iterator = PyObject_CallMethod(future, "__await__", NULL);
    wait_for(self, future, timer);
    if (iterator != NULL)
        yielded = PyIter_Next(iterator);
    Py_XDECREF(iterator);
    return yielded;
}

static PyObject *
receiver_iternext(PyObject *object)
{
    struct receiver *self = receiver_of(object);
    PyObject *event;
    int r;

    stop_waiting(self);
    r = dora__py_poll(self->node, &event);
    if (r > 0)
        return finish(event);
    if (r == -1)
        return NULL;
    if (r == -EPIPE)
        return finish(Py_NewRef(Py_None));
    dora__py_unpark(self->node);
    if (self->timeout >= 0 && self->deadline == 0)
        self->deadline = dora__now() + self->timeout;
    if (self->timeout == 0 ||
        (self->deadline > 0 && dora__now() >= self->deadline))
        return finish(dora__py_timeout_event(self->node->m));
    return wait_for_future(self);
}

static PyObject *
receiver_send(PyObject *self, PyObject *Py_UNUSED(value))
{
    PyObject *yielded = receiver_iternext(self);

    if (yielded == NULL && !PyErr_Occurred())
        PyErr_SetNone(PyExc_StopIteration);
    return yielded;
}

static PyObject *
receiver_throw(PyObject *self, PyObject *args)
{
    PyObject *type, *value = NULL, *traceback = NULL;

    if (!PyArg_ParseTuple(args, "O|OO:throw", &type, &value, &traceback))
        return NULL;
    stop_waiting(receiver_of(self));
    if (PyExceptionInstance_Check(type))
        PyErr_SetObject((PyObject *)Py_TYPE(type), type);
    else if (PyExceptionClass_Check(type))
        PyErr_SetObject(type, value == Py_None ? NULL : value);
    else
        PyErr_SetString(PyExc_TypeError, "throw() takes an exception");
    return NULL;
}

static PyObject *
receiver_close(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    stop_waiting(receiver_of(self));
    Py_RETURN_NONE;
}

static PyMethodDef receiver_methods[] = {
    {"send", receiver_send, METH_O, NULL},
    {"throw", receiver_throw, METH_VARARGS, NULL},
    {"close", receiver_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot receiver_slots[] = {
    {Py_tp_dealloc, (void *)receiver_dealloc},
    {Py_tp_traverse, (void *)receiver_traverse},
    {Py_tp_iter, (void *)PyObject_SelfIter},
    {Py_tp_iternext, (void *)receiver_iternext},
    {Py_am_await, (void *)PyObject_SelfIter},
    {Py_tp_methods, receiver_methods},
    {0, NULL},
};

static PyType_Spec receiver_spec = {
    .name = "dora.Receiver",
    .basicsize = sizeof(struct receiver),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = receiver_slots,
};

PyObject *
dora__py_recv_async(PyObject *object, PyObject *const *args, Py_ssize_t count,
                    PyObject *names)
{
    static const struct dora__py_signature signature = {
        "recv_async", {"timeout", NULL}, 0};
    struct dora__py_node *node = (struct dora__py_node *)object;
    struct receiver *self;
    PyObject *values[1];
    int64_t timeout;

    if (dora__py_arguments(&signature, args, count, names, values) < 0)
        return NULL;
    timeout = dora__py_timeout(values[0]);
    if (timeout == -2)
        return NULL;
    self = receiver_of(dora__py_alloc(node->m->receiver));
    if (self == NULL)
        return NULL;
    self->node = (struct dora__py_node *)Py_NewRef(object);
    self->timeout = timeout;
    return (PyObject *)self;
}

int
dora__py_receiver_setup(PyObject *module)
{
    return dora__py_add_type(module, &receiver_spec, false,
                             &dora__py_state(module)->receiver);
}
