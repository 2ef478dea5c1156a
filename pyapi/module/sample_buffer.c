/* sample_buffer.c - dora.SampleBuffer: the writable bytes of a message that is
 * being made, and the only exporter of them.
 *
 * The memory is pinned by this object and nothing else: its loan ends when the
 * object dies. So a view keeps the memory for as long as it keeps the object,
 * as every Py_buffer does; sample_park.c takes care of those who keep only a
 * memoryview.
 *
 * Whether it is closed, and how many Py_buffers are out, is one question: its
 * section answers it. */
#include "module.h"

struct buffer {
    PyObject_HEAD struct dora_loan *loan;
    PyObject *output; /* str */
    Py_ssize_t exports;
    bool closed, sealed;
    uint64_t checksum; /* of what was sent, if sealed */
};

static inline struct buffer *
buffer_of(PyObject *object)
{
    return (struct buffer *)object;
}

PyObject *
dora__py_buffer_new(const struct dora__py_module *m, struct dora_loan *loan,
                    PyObject *output)
{
    struct buffer *self = (struct buffer *)dora__py_alloc(m->buffer);

    if (self == NULL) {
        dora_loan_drop(loan);
        return NULL;
    }
    self->loan = loan;
    self->output = Py_NewRef(output);
    return (PyObject *)self;
}

struct dora_loan *
dora__py_buffer_loan(PyObject *buffer)
{
    return buffer_of(buffer)->loan;
}

Py_ssize_t
dora__py_buffer_close(PyObject *buffer, bool strict)
{
    Py_ssize_t out = 0;

    Py_BEGIN_CRITICAL_SECTION(buffer);
    if (strict)
        out = buffer_of(buffer)->exports;
    if (out == 0)
        buffer_of(buffer)->closed = true;
    Py_END_CRITICAL_SECTION();
    return out;
}

/* --- DORA_CHECK_VIEWS ---------------------------------------------------- */

/* FNV-1a over words: any change of the bytes counts, not who made it. */
static uint64_t
checksum(const struct dora_loan *loan)
{
    const unsigned char *bytes = dora_loan_data((struct dora_loan *)loan);
    size_t size = dora_loan_size(loan);
    uint64_t sum = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < size; i++)
        sum = (sum ^ bytes[i]) * UINT64_C(1099511628211);
    return sum;
}

void
dora__py_buffer_seal(PyObject *object)
{
    struct buffer *self = buffer_of(object);

    if (!dora__py_module_of(object)->check_views)
        return;
    self->checksum = checksum(self->loan);
    self->sealed = true;
}

static void
check_seal(const struct buffer *self)
{
    if (self->sealed && checksum(self->loan) != self->checksum)
        PySys_WriteStderr("dora: a message on output '%.200s' was written to "
                          "after it was sent, through a view that was still "
                          "open: receivers may have read either\n",
                          PyUnicode_AsUTF8(self->output));
}

/* --- the type ------------------------------------------------------------ */

static void
buffer_dealloc(PyObject *object)
{
    struct buffer *self = buffer_of(object);
    PyTypeObject *type = Py_TYPE(object);

    check_seal(self);
    dora_loan_drop(self->loan);
    Py_DECREF(self->output);
    dora__py_free(type, object);
    Py_DECREF(type);
}

static int
buffer_getbuffer(PyObject *object, Py_buffer *view, int flags)
{
    struct buffer *self = buffer_of(object);
    int r = -1;

    Py_BEGIN_CRITICAL_SECTION(object);
    if (self->closed)
        PyErr_SetString(PyExc_BufferError,
                        "cannot access the sample: already sent or dropped");
    else
        r = PyBuffer_FillInfo(view, object, dora_loan_data(self->loan),
                              (Py_ssize_t)dora_loan_size(self->loan), 0, flags);
    if (r == 0)
        self->exports++;
    Py_END_CRITICAL_SECTION();
    return r;
}

static void
buffer_releasebuffer(PyObject *object, Py_buffer *Py_UNUSED(view))
{
    Py_BEGIN_CRITICAL_SECTION(object);
    buffer_of(object)->exports--;
    Py_END_CRITICAL_SECTION();
}

static PyType_Slot buffer_slots[] = {
    {Py_tp_dealloc, (void *)buffer_dealloc},
    {Py_bf_getbuffer, (void *)buffer_getbuffer},
    {Py_bf_releasebuffer, (void *)buffer_releasebuffer},
    {Py_tp_doc, "The bytes of a message to be sent: a writable buffer."},
    {0, NULL},
};

static PyType_Spec buffer_spec = {
    .name = "dora.SampleBuffer",
    .basicsize = sizeof(struct buffer),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = buffer_slots,
};

int
dora__py_buffer_setup(PyObject *module)
{
    return dora__py_add_type(module, &buffer_spec, true,
                             &dora__py_state(module)->buffer);
}
