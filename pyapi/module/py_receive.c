/* py_receive.c - next() and its relatives.
 *
 * Keeps true:
 *   1. The GIL is given up around sleeping and around nothing else: a message
 *      that is there, or comes within microseconds, is taken without (a release
 *      and re-take costs as much as the rest).
 *   2. A signal that comes while waiting runs its Python handler at once.
 *   3. A message is popped only by the call that returns it: whoever waits
 *      may be interrupted or cancelled without losing one. */
#include "module.h"

/* This often next() says at once that there is nothing more to come. */
enum { MANY_ENDS = 100 };

int
dora__py_poll(struct dora__py_node *self, PyObject **ret_event)
{
    struct dora_event event;
    int r;

    do
        r = dora_node_next(self->node, 0, &event);
    while (r == -EINTR);
    if (r == 0 || r == -EPIPE)
        return r;
    if (r < 0) {
        (void)dora__py_raise(r, NULL);
        return -1;
    }
    *ret_event = dora__py_event(self, &event);
    return *ret_event == NULL ? -1 : 1;
}

/* Sleeps without the GIL until `deadline` at most. As dora__node_doze. */
static int
doze(struct dora__py_node *self, struct dora__wait *wait, int64_t deadline)
{
    int r;

    wait->deadline = deadline;
    Py_BEGIN_ALLOW_THREADS;
    r = dora__node_doze(self->node, wait);
    Py_END_ALLOW_THREADS;
    return r;
}

static int
doze_in_naps(struct dora__py_node *self, struct dora__wait *wait,
             int64_t deadline)
{
    int64_t nap = 0, end;
    int r = 0;

    do {
        if (dora__py_nap(r, &nap) < 0)
            return -1;
        end = dora__now() + nap;
        if (nap < 0 || (deadline >= 0 && deadline <= end))
            return doze(self, wait, deadline);
        r = doze(self, wait, end);
    } while (r == -ETIMEDOUT);
    return r;
}

/* Waits until there may be an event, at most until `deadline` (-1: none). 0;
 * -ETIMEDOUT; -1: exception. */
static int
wait_until(struct dora__py_node *self, int64_t deadline)
{
    struct dora__wait wait = {.deadline = deadline};
    int r;

    if (dora__node_spin(self->node, &wait))
        return 0;
    r = doze_in_naps(self, &wait, deadline);
    if (r == -EINTR)
        return PyErr_CheckSignals() < 0 ? -1 : 0;
    if (r < -1 && r != -ETIMEDOUT) {
        (void)dora__py_raise(r, NULL);
        return -1;
    }
    return r;
}

/* A loop that takes no notice of the end is slowed down: it shall not take a
 * processor from those that are still at work until somebody ends it. */
static void
linger(struct dora__py_node *self)
{
    const struct timespec moment = {.tv_nsec = 20000000};

    if (atomic_fetch_add_explicit(&self->ends, 1, memory_order_relaxed) <
        MANY_ENDS)
        return;
    atomic_store_explicit(&self->ends, MANY_ENDS, memory_order_relaxed);
    Py_BEGIN_ALLOW_THREADS;
    (void)nanosleep(&moment, NULL);
    Py_END_ALLOW_THREADS;
    (void)PyErr_CheckSignals();
}

/* A dict; NULL without exception when the stream has ended. */
static PyObject *
receive(struct dora__py_node *self, int64_t timeout)
{
    int64_t deadline = timeout < 0 ? -1 : 0;
    PyObject *event = NULL;
    int r;

    for (;;) {
        r = dora__py_poll(self, &event);
        if (r == -EPIPE)
            linger(self);
        if (r != 0)
            return r > 0 ? event : NULL;
        dora__py_unpark(self);
        if (timeout == 0)
            return dora__py_timeout_event(self->m);
        if (deadline == 0)
            deadline = dora__now() + timeout;
        r = wait_until(self, deadline);
        if (r == -ETIMEDOUT)
            timeout = 0; /* one last look */
        else if (r < 0)
            return NULL;
    }
}

PyObject *
dora__py_next(PyObject *self, PyObject *const *args, Py_ssize_t count,
              PyObject *names)
{
    static const struct dora__py_signature signature = {
        "next", {"timeout", NULL}, 0};
    PyObject *values[1], *event;
    int64_t timeout;

    if (dora__py_arguments(&signature, args, count, names, values) < 0)
        return NULL;
    timeout = dora__py_timeout(values[0]);
    if (timeout == -2)
        return NULL;
    event = receive((struct dora__py_node *)self, timeout);
    if (event == NULL && !PyErr_Occurred())
        Py_RETURN_NONE;
    return event;
}

PyObject *
dora__py_iternext(PyObject *self)
{
    return receive((struct dora__py_node *)self, -1);
}

PyObject *
dora__py_try_recv(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *event;
    int r = dora__py_poll((struct dora__py_node *)self, &event);

    if (r > 0)
        return event;
    if (r == -1)
        return NULL;
    Py_RETURN_NONE;
}

/* What comes while it drains is left to the next call, or a fast producer would
 * keep it here for ever. What is queued are messages; closed inputs and the
 * like are told besides. */
PyObject *
dora__py_drain(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct dora__py_node *self = (struct dora__py_node *)object;
    Py_ssize_t limit = (Py_ssize_t)dora_node_queued(self->node) + 64;
    PyObject *list = PyList_New(0), *event;
    int r = list == NULL ? -1 : 1;

    while (r > 0 && PyList_GET_SIZE(list) < limit) {
        r = dora__py_poll(self, &event);
        if (r <= 0)
            break;
        if (PyList_Append(list, event) < 0)
            r = -1;
        Py_DECREF(event);
    }
    if (r == -EPIPE && PyList_GET_SIZE(list) == 0) {
        PyErr_SetString(PyExc_RuntimeError,
                        "could not drain events: the channel is closed");
        r = -1;
    }
    if (r == -1)
        Py_CLEAR(list);
    return list;
}

PyObject *
dora__py_is_empty(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(
        dora_node_queued(((struct dora__py_node *)self)->node) == 0);
}
