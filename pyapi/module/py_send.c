/* py_send.c - send_output() and send_output_raw().
 *
 * Keeps true:
 *   1. What already lies in shared memory - a received value, a slice of one,
 *      a view of one - is sent on by reference; anything else is copied once.
 *      When nobody subscribes, nothing is.
 *   2. A send that finds room does not give up the GIL. One that must wait,
 *      for memory or for a full lossless queue, gives it up and runs signal
 *      handlers; it does not hold it, nor anything others need, while asleep.
 *   3. Arguments are checked before anything is taken, so that an error sends
 *      nothing and leaks nothing. */
#include "module.h"

#include <string.h>

/* --- outputs ------------------------------------------------------------- */

/* As in an output's id in the file: letters, digits, "_.-", and "/" between. */
static bool
is_legal(const char *id)
{
    char before = '/';

    for (; *id != '\0'; before = *id++) {
        if (*id == '/' ? before == '/'
                       : !Py_ISALNUM(*id) && strchr("_.-", *id) == NULL)
            return false;
    }
    return before != '/';
}

/* "a, b, c" of the declared outputs. */
static PyObject *
declared(const struct dora__py_node *self)
{
    PyObject *comma = PyUnicode_FromString(", ");
    PyObject *text =
        comma == NULL ? NULL : PyUnicode_Join(comma, self->outputs);

    Py_XDECREF(comma);
    return text;
}

static int
refuse_output(const struct dora__py_node *self, PyObject *id)
{
    PyObject *names = declared(self);

    if (names != NULL && PyUnicode_GET_LENGTH(names) == 0)
        PyErr_Format(PyExc_RuntimeError,
                     "output %R is not in the node's output list, which is "
                     "empty",
                     id);
    else if (names != NULL)
        PyErr_Format(PyExc_RuntimeError,
                     "output %R is not in the node's output list: %U", id,
                     names);
    Py_XDECREF(names);
    return -1;
}

/* 1: it was told of before; 0: now it has been; -1. */
static int
note_output(struct dora__py_node *self, PyObject *id)
{
    int known;

    Py_BEGIN_CRITICAL_SECTION(self);
    known = PySet_Contains(self->undeclared, id);
    if (known == 0 && PySet_Add(self->undeclared, id) < 0)
        known = -1;
    Py_END_CRITICAL_SECTION();
    return known;
}

/* Says once per output that nothing of it will arrive. */
static int
warn_output(struct dora__py_node *self, PyObject *id)
{
    int known = note_output(self, id);
    PyObject *names;
    struct dora__text line = {0};

    if (known != 0)
        return known < 0 ? -1 : 0;
    names = declared(self);
    if (names == NULL)
        return -1;
    dora__text_printf(&line,
                      "send_output(\"%s\") is ignored: the dataflow declares "
                      "no such output of this node; it has: %s",
                      PyUnicode_AsUTF8(id), PyUnicode_AsUTF8(names));
    Py_DECREF(names);
    if (!line.failed)
        dora_node_log(self->node, DORA_LEVEL_WARN, NULL, line.text);
    free(line.text);
    return 0;
}

/* Number of the output; -1: exception; -2: it is not declared. */
static int
find_output(const struct dora__py_node *self, PyObject *id)
{
    PyObject *number;
    const char *text;

    if (!PyUnicode_Check(id)) {
        (void)dora__py_text(id, "output_id");
        return -1;
    }
    number = PyDict_GetItemWithError(self->outputs, id);
    if (number != NULL)
        return (int)PyLong_AsLong(number);
    if (PyErr_Occurred())
        return -1;
    text = PyUnicode_AsUTF8(id);
    if (text == NULL)
        return -1;
    if (is_legal(text))
        return -2;
    PyErr_Format(PyExc_RuntimeError,
                 "invalid output_id: %R; an id is made of letters, digits, "
                 "'_', '.', '-', and '/' between them",
                 id);
    return -1;
}

/* --- payloads ------------------------------------------------------------ */

static void
payload_fini(struct dora__py_payload *payload)
{
    if (payload->view.obj != NULL)
        PyBuffer_Release(&payload->view);
    dora_sample_unref(payload->sample);
    Py_XDECREF(payload->owner);
}

static int
refuse_data(PyObject *data)
{
    if (PyUnicode_Check(data) || PyList_Check(data)) {
        PyErr_Format(PyExc_RuntimeError,
                     "invalid data type: %s; send an Arrow array, %s, or bytes",
                     PyUnicode_Check(data) ? "str" : "list",
                     PyUnicode_Check(data) ? "pa.array([text])"
                                           : "pa.array(items)");
        return -1;
    }
    PyErr_Format(PyExc_RuntimeError,
                 "invalid data type: %.100s; accepted are bytes, contiguous "
                 "buffers (bytearray, memoryview, NumPy arrays: sent as their "
                 "bytes), Arrow arrays, and received values",
                 dora__py_type_name(Py_TYPE(data)));
    return -1;
}

/* Whatever its items are: their bytes. */
static int
buffer_payload(PyObject *data, struct dora__py_payload *payload)
{
    if (PyObject_GetBuffer(data, &payload->view, PyBUF_SIMPLE) < 0) {
        if (PyErr_ExceptionMatches(PyExc_BufferError) ||
            PyErr_ExceptionMatches(PyExc_ValueError))
            PyErr_SetString(PyExc_RuntimeError,
                            "invalid data: the buffer is not contiguous; send "
                            "bytes(...) of it, or a contiguous copy");
        return -1;
    }
    payload->data = payload->view.buf;
    payload->size = (size_t)payload->view.len;
    return 0;
}

/* What is to be sent, where it lies. */
static int
read_payload(struct dora__py_node *self, PyObject *data,
             struct dora__py_payload *payload)
{
    int r;

    payload->value = DORA_VALUE_BYTES;
    if (PyBytes_CheckExact(data)) {
        payload->data = PyBytes_AS_STRING(data);
        payload->size = (size_t)PyBytes_GET_SIZE(data);
        return 0;
    }
    if (Py_TYPE(data) == self->m->array) {
        const struct dora__py_array *array =
            (const struct dora__py_array *)data;

        payload->data = array->data;
        payload->value = array->value;
        payload->size = (size_t)array->size;
        if (array->sample != NULL && payload->size > 0)
            payload->sample = dora_sample_ref(array->sample);
        return 0;
    }
    if (Py_TYPE(data) == self->m->arrow_array &&
        dora__py_arrow_whole(data, payload))
        return 0;
    r = dora__py_arrow_payload(data, payload);
    if (r == 0 && PyObject_CheckBuffer(data))
        return buffer_payload(data, payload);
    if (r == 0)
        return refuse_data(data);
    return r < 0 ? -1 : 0;
}

/* --- loans --------------------------------------------------------------- */

/* Where the bytes lie in a sample that begins at `start`. */
static size_t
offset_in(const struct dora__py_payload *payload)
{
    return (size_t)((const char *)payload->data -
                    (const char *)dora__sample_data(payload->sample));
}

/* One attempt: with `payload`, a loan of its bytes by reference, if it lies in
 * a sample. */
static int
try_loan(struct dora_node *node, int output, size_t size,
         const struct dora_metadata *metadata,
         const struct dora__py_payload *payload, int64_t timeout,
         struct dora_loan **ret_loan, struct dora_error *err)
{
    if (payload != NULL && payload->sample != NULL)
        return dora__node_loan_slice(node, output, payload->sample,
                                     offset_in(payload), size, metadata->bytes,
                                     metadata->size, timeout, ret_loan, err);
    return dora__node_loan(node, output, size, metadata->bytes, metadata->size,
                           timeout, ret_loan, err);
}

/* First at once, then without the GIL for as long as it takes. -ECANCELED: stop
 * was requested meanwhile, no exception is set. */
static int
take_loan(struct dora_node *node, int output, size_t size,
          const struct dora_metadata *metadata,
          const struct dora__py_payload *payload, struct dora_loan **ret_loan)
{
    struct dora_error err; /* a kilobyte: not zeroed for each message */
    int64_t nap = 0;
    int r;

    err.text[0] = '\0';
    r = try_loan(node, output, size, metadata, payload, 0, ret_loan, &err);

    while (r == -ETIMEDOUT || r == -EINTR) {
        if (dora__py_nap(r, &nap) < 0)
            return -1;
        Py_BEGIN_ALLOW_THREADS;
        r = try_loan(node, output, size, metadata, payload, nap, ret_loan,
                     &err);
        Py_END_ALLOW_THREADS;
    }
    if (r >= 0 || r == -ENOTSUP || r == -ECANCELED)
        return r;
    (void)dora__py_raise(r, &err);
    return -1;
}

/* Stop came while the node waited for memory. What it sends now is lost as any
 * message after the stop, and that is no error of its: it writes into memory of
 * its own, and meets STOP where it looks for events. */
static int
take_adrift(struct dora_node *node, int output, size_t size,
            struct dora_loan **ret_loan)
{
    struct dora_error err = {0};
    int r = dora__node_loan_adrift(node, output, size, ret_loan, &err);

    if (r < 0)
        (void)dora__py_raise(r, &err);
    return r;
}

int
dora__py_send_loan(struct dora_loan *loan)
{
    struct dora_error err; /* as above */
    int64_t nap = 0;
    int r;

    err.text[0] = '\0';
    r = dora_loan_send(loan, 0, &err);

    while (r == -ETIMEDOUT || r == -EINTR) {
        if (dora__py_nap(r, &nap) < 0)
            return -1;
        Py_BEGIN_ALLOW_THREADS;
        r = dora_loan_send(loan, nap, &err);
        Py_END_ALLOW_THREADS;
    }
    /* Stop came while it waited for room: the message is lost with the queue
     * it was for, as any sent after the stop. */
    if (r >= 0 || r == -ECANCELED)
        return 0;
    (void)dora__py_raise(r, &err);
    return -1;
}

/* --- send_output --------------------------------------------------------- */

/* What does not lie in the loan already. */
static int
fill(struct dora_loan *loan, const struct dora__py_payload *payload)
{
    struct dora_error err = {0};

    if (payload->value != DORA_VALUE_BYTES)
        dora__loan_set_value(loan, payload->value);
    if (payload->array != NULL) {
        if (dora__arrow_pack(payload->schema, payload->array, &payload->packed,
                             dora_loan_data(loan), &err) < 0) {
            PyErr_SetString(PyExc_RuntimeError, err.text);
            return -1;
        }
        dora__loan_filled(loan, payload->size);
    } else if (payload->sample == NULL) {
        dora__loan_fill(loan, payload->data, payload->size);
    }
    return 0;
}

static int
send_payload(struct dora__py_node *self, int output,
             struct dora__py_payload *payload,
             const struct dora_metadata *metadata)
{
    struct dora_loan *loan = NULL;
    int r;

    if (payload->sample == NULL && payload->data != NULL && payload->size > 0)
        payload->sample =
            dora__node_find_sample(self->node, payload->data, payload->size);
    r = take_loan(self->node, output, payload->size, metadata, payload, &loan);
    if (r == -ENOTSUP) {
        dora_sample_unref(payload->sample);
        payload->sample = NULL;
        r = take_loan(self->node, output, payload->size, metadata, payload,
                      &loan);
    }
    if (r < 0)
        return r == -ECANCELED ? 0 : -1; /* as any message after the stop */
    r = fill(loan, payload);
    if (r == 0)
        r = dora__py_send_loan(loan);
    dora_loan_drop(loan);
    return r;
}

static int
send(struct dora__py_node *self, int output, PyObject *data,
     PyObject *parameters)
{
    struct dora__py_payload payload = {0};
    struct dora_metadata metadata = {0};
    int r = read_payload(self, data, &payload);

    if (r == 0)
        r = dora__py_metadata_encode(self->m, parameters, &metadata);
    if (r == 0 && dora__node_heard(self->node, output)) {
        dora__py_unpark(self);
        r = send_payload(self, output, &payload, &metadata);
    }
    dora_metadata_fini(&metadata);
    payload_fini(&payload);
    return r;
}

PyObject *
dora__py_send(struct dora__py_node *self, PyObject *id, PyObject *data,
              PyObject *metadata)
{
    int output = find_output(self, id), r;

    if (output == -2)
        r = warn_output(self, id);
    else
        r = output < 0 ? -1 : send(self, output, data, metadata);
    if (r < 0)
        return NULL;
    Py_RETURN_NONE;
}

PyObject *
dora__py_send_output(PyObject *self, PyObject *const *args, Py_ssize_t count,
                     PyObject *names)
{
    static const struct dora__py_signature signature = {
        "send_output", {"output_id", "data", "metadata", NULL}, 2};
    PyObject *values[3];

    if (dora__py_arguments(&signature, args, count, names, values) < 0)
        return NULL;
    return dora__py_send((struct dora__py_node *)self, values[0], values[1],
                         values[2]);
}

/* --- send_output_raw ----------------------------------------------------- */

static int
length_of(PyObject *value, size_t *ret_length)
{
    PyObject *number = PyNumber_Index(value);
    Py_ssize_t length;

    if (number == NULL)
        return -1;
    length = PyLong_AsSsize_t(number);
    Py_DECREF(number);
    if (length == -1 && PyErr_Occurred())
        return -1;
    if (length < 0) {
        PyErr_SetString(PyExc_OverflowError,
                        "data_length must not be negative");
        return -1;
    }
    *ret_length = (size_t)length;
    return 0;
}

PyObject *
dora__py_send_output_raw(PyObject *object, PyObject *const *args,
                         Py_ssize_t count, PyObject *names)
{
    static const struct dora__py_signature signature = {
        "send_output_raw", {"output_id", "data_length", "metadata", NULL}, 2};
    struct dora__py_node *self = (struct dora__py_node *)object;
    struct dora_metadata metadata = {0};
    struct dora_loan *loan = NULL;
    PyObject *values[3];
    size_t length;
    int output, r;

    if (dora__py_arguments(&signature, args, count, names, values) < 0)
        return NULL;
    output = find_output(self, values[0]);
    if (output == -2)
        (void)refuse_output(self, values[0]);
    if (output < 0 || length_of(values[1], &length) < 0)
        return NULL;
    r = dora__py_metadata_encode(self->m, values[2], &metadata);
    if (r == 0) {
        dora__py_unpark(self);
        r = take_loan(self->node, output, length, &metadata, NULL, &loan);
    }
    dora_metadata_fini(&metadata);
    if (r == -ECANCELED)
        r = take_adrift(self->node, output, length, &loan);
    return r < 0 ? NULL : dora__py_handler_new(self, loan, values[0]);
}
