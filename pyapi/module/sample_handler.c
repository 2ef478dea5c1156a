/* sample_handler.c - dora.SampleHandler: a message between being taken and
 * being sent.
 *
 *     open -> closed   send() has begun: no new views, ours are released
 *     closed -> sent   it is in the queues; the handler lets go of the bytes
 *
 * `sent` is set by the one send() that may go on, before anything else, and
 * taken back if that fails. All of it is read and written in the handler's
 * section; the message itself goes out outside.
 *
 * A send that is interrupted while it waits for room leaves the handler
 * closed, and send() goes on where it was. Views that others still hold do not
 * hinder a send: they keep the memory (sample_park.c), and must not be written
 * through any more. DORA_STRICT_VIEWS=1 refuses such a send instead. A handler
 * that dies unsent sends nothing.
 *
 * It holds the Node; nothing holds it, so it dies with its last variable. */
#include "module.h"

#include <string.h>

enum { FEW = 2 };

struct view {
    PyObject *view; /* memoryview, strong */
    bool entered;   /* given by `with`, which ends it */
};

struct handler {
    PyObject_HEAD struct dora__py_node *node; /* strong */
    PyObject *buffer;                         /* strong; NULL once sent */
    struct view *views;                       /* `few`, or memory of its own */
    size_t view_count, view_capacity;
    bool closed, sent;
    struct view few[FEW]; /* enough for most */
};

static inline struct handler *
handler_of(PyObject *object)
{
    return (struct handler *)object;
}

/* --- life ---------------------------------------------------------------- */

PyObject *
dora__py_handler_new(struct dora__py_node *node, struct dora_loan *loan,
                     PyObject *output)
{
    PyObject *buffer = dora__py_buffer_new(node->m, loan, output);
    struct handler *self;

    if (buffer == NULL)
        return NULL;
    self = handler_of(dora__py_alloc(node->m->handler));
    if (self == NULL) {
        Py_DECREF(buffer);
        return NULL;
    }
    self->node = (struct dora__py_node *)Py_NewRef((PyObject *)node);
    self->buffer = buffer;
    self->views = self->few;
    self->view_capacity = FEW;
    return (PyObject *)self;
}

static int
handler_traverse(PyObject *object, visitproc visit, void *arg)
{
    struct handler *self = handler_of(object);

    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->node);
    Py_VISIT(self->buffer);
    for (size_t i = 0; i < self->view_count; i++)
        Py_VISIT(self->views[i].view);
    return 0;
}

static void
drop_views(struct handler *self)
{
    while (self->view_count > 0)
        dora__py_park(self->node, self->views[--self->view_count].view, NULL);
}

static void
handler_dealloc(PyObject *object)
{
    struct handler *self = handler_of(object);
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    if (self->buffer != NULL)
        (void)dora__py_buffer_close(self->buffer, false);
    drop_views(self);
    if (self->views != self->few)
        PyMem_Free(self->views);
    Py_CLEAR(self->buffer);
    Py_CLEAR(self->node);
    dora__py_free(type, object);
    Py_DECREF(type);
}

/* --- views --------------------------------------------------------------- */

/* New reference. */
static PyObject *
open_buffer(struct handler *self)
{
    PyObject *buffer = NULL;

    Py_BEGIN_CRITICAL_SECTION(self);
    if (!self->closed && !self->sent)
        buffer = Py_NewRef(self->buffer);
    Py_END_CRITICAL_SECTION();
    if (buffer == NULL)
        PyErr_SetString(PyExc_RuntimeError,
                        "cannot access buffer: already sent");
    return buffer;
}

static int
make_room(struct handler *self)
{
    size_t capacity = self->view_capacity * 2;
    struct view *views;

    if (self->view_count < self->view_capacity)
        return 0;
    views = PyMem_Malloc(capacity * sizeof(*views));
    if (views == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(views, self->views, self->view_count * sizeof(*views));
    if (self->views != self->few)
        PyMem_Free(self->views);
    self->views = views;
    self->view_capacity = capacity;
    return 0;
}

/* Keeps a view that has a place reserved: one more reference. */
static int
remember(struct handler *self, PyObject *view, bool entered)
{
    int r = -1;

    Py_BEGIN_CRITICAL_SECTION(self);
    if (self->closed || self->sent)
        PyErr_SetString(PyExc_RuntimeError,
                        "cannot access buffer: already sent");
    else
        r = make_room(self);
    if (r == 0)
        self->views[self->view_count++] =
            (struct view){Py_NewRef(view), entered};
    Py_END_CRITICAL_SECTION();
    return r;
}

/* A new memoryview, remembered. New reference. */
static PyObject *
make_view(struct handler *self, bool entered)
{
    PyObject *buffer = open_buffer(self);
    PyObject *view = buffer == NULL ? NULL : PyMemoryView_FromObject(buffer);

    Py_XDECREF(buffer);
    if (view == NULL || dora__py_park_reserve(self->node) < 0) {
        Py_XDECREF(view);
        return NULL;
    }
    if (remember(self, view, entered) == 0)
        return view;
    dora__py_park(self->node, view, NULL);
    return NULL;
}

/* What holds a Py_buffer of it makes it stay, which is no error. */
static int
release_view(const struct handler *self, PyObject *view)
{
    PyObject *result = PyObject_CallOneArg(self->node->m->release_view, view);

    if (result == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_BufferError))
            return -1;
        PyErr_Clear();
    }
    Py_XDECREF(result);
    return 0;
}

/* The section may be left meanwhile, and a send go on that lets them go. */
static int
release_views(struct handler *self, bool only_entered)
{
    int r = 0;

    Py_BEGIN_CRITICAL_SECTION(self);
    for (size_t i = 0; r == 0 && i < self->view_count; i++) {
        PyObject *view = Py_NewRef(self->views[i].view);

        if (self->views[i].entered || !only_entered)
            r = release_view(self, view);
        Py_DECREF(view);
    }
    Py_END_CRITICAL_SECTION();
    return r;
}

/* The sent bytes are the receivers'; memoryviews that others refer to go to
 * the node. */
static void
let_go(struct handler *self)
{
    PyObject *buffer = self->buffer;

    Py_BEGIN_CRITICAL_SECTION(self);
    self->buffer = NULL;
    while (self->view_count > 0)
        dora__py_park(self->node, self->views[--self->view_count].view, buffer);
    Py_END_CRITICAL_SECTION();
    Py_DECREF(buffer);
}

/* --- sending ------------------------------------------------------------- */

static int
refuse_open(Py_ssize_t open, const char *before)
{
    PyErr_Format(PyExc_RuntimeError,
                 "%scannot send: %zd view%s of the buffer still open; release "
                 "or delete them first (DORA_STRICT_VIEWS is set)",
                 before, open, open == 1 ? " is" : "s are");
    return -1;
}

static int
close_for_send(struct handler *self, const char *before)
{
    bool strict = self->node->m->strict_views;
    Py_ssize_t open;

    if (release_views(self, strict) < 0)
        return -1;
    open = dora__py_buffer_close(self->buffer, strict);
    if (open > 0)
        return refuse_open(open, before);
    dora__py_buffer_seal(self->buffer);
    Py_BEGIN_CRITICAL_SECTION(self);
    self->closed = true;
    Py_END_CRITICAL_SECTION();
    return 0;
}

/* For the one send() that goes on; `again` that it had closed before. */
static int
begin_send(struct handler *self, const char *before, bool *ret_again)
{
    bool sent;

    Py_BEGIN_CRITICAL_SECTION(self);
    sent = self->sent;
    self->sent = true;
    *ret_again = self->closed;
    Py_END_CRITICAL_SECTION();
    if (!sent)
        return 0;
    PyErr_Format(PyExc_RuntimeError, "%sthis sample has already been sent",
                 before);
    return -1;
}

static void
take_back_send(struct handler *self)
{
    Py_BEGIN_CRITICAL_SECTION(self);
    self->sent = false;
    Py_END_CRITICAL_SECTION();
}

static int
send(struct handler *self, const char *before)
{
    bool again;

    if (begin_send(self, before, &again) < 0)
        return -1;
    if ((!again && close_for_send(self, before) < 0) ||
        dora__py_send_loan(dora__py_buffer_loan(self->buffer)) < 0) {
        take_back_send(self);
        return -1;
    }
    let_go(self);
    return 0;
}

/* --- methods ------------------------------------------------------------- */

static PyObject *
handler_as_buffer(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    return open_buffer(handler_of(object));
}

static PyObject *
handler_as_memoryview(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return make_view(handler_of(self), false);
}

static PyObject *
handler_send(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    if (send(handler_of(self), "") < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *
handler_enter(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return make_view(handler_of(self), true);
}

static PyObject *
handler_exit(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    struct handler *self = handler_of(object);

    if (count != 3) {
        PyErr_Format(PyExc_TypeError,
                     "__exit__() takes 3 arguments (%zd given)", count);
        return NULL;
    }
    if (args[0] == Py_None) {
        if (send(self, "failed to send: ") < 0)
            return NULL;
    } else if (release_views(self, true) < 0) {
        return NULL;
    }
    Py_RETURN_FALSE;
}

static PyMethodDef handler_methods[] = {
    {"as_buffer", handler_as_buffer, METH_NOARGS,
     "The SampleBuffer: always the same one."},
    {"as_memoryview", handler_as_memoryview, METH_NOARGS,
     "A new writable memoryview of the bytes."},
    {"send", handler_send, METH_NOARGS,
     "Send the message. The views given out so far end here."},
    {"__enter__", handler_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))handler_exit, METH_FASTCALL,
     NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot handler_slots[] = {
    {Py_tp_dealloc, (void *)handler_dealloc},
    {Py_tp_traverse, (void *)handler_traverse},
    {Py_tp_methods, handler_methods},
    {Py_tp_doc, "A message in the making. `with` gives a writable memoryview "
                "and sends at its end, unless an exception ends it."},
    {0, NULL},
};

static PyType_Spec handler_spec = {
    .name = "dora.SampleHandler",
    .basicsize = sizeof(struct handler),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = handler_slots,
};

int
dora__py_handler_setup(PyObject *module)
{
    return dora__py_add_type(module, &handler_spec, true,
                             &dora__py_state(module)->handler);
}
