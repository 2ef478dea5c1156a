/* module.h - what the files of the `dora` module share.
 *
 * One file per type; each ends in a setup function that puts its type into the
 * module state, called once by module.c. Nothing of Python is static: every
 * object belongs to one interpreter's copy of the module, and several
 * interpreters of a process may each have one, with a GIL of their own.
 *
 * Who keeps what alive: a value (Array) holds a reference to its sample and
 * nothing of Python; a SampleBuffer holds its loan; a SampleHandler its Node.
 * The runtime keeps the memory mapped until the last sample and loan are gone,
 * so a value may outlive the Node.
 *
 * Any thread may call anything at any time, also where Python runs threads side
 * by side. What is shared is
 *
 *   the runtime's       locked by the runtime; never while Python code runs
 *   fixed when made     values, types, what a Node is
 *   atomic              caches of the module and of a Node's inputs
 *   an object's own     under its critical section; with two, the Node's is
 *                       the inner one
 *
 * A section ends where a thread waits: nobody sleeps in one. */
#ifndef DORA_MODULE_H
#define DORA_MODULE_H

#include "stable.h"

#include "node/arrow.h"
#include "node/node.h"

#include <stdatomic.h>

/* --- module.c ------------------------------------------------------------ */

/* Names used in every event, interned once. */
enum dora__py_word {
    DORA__PY_TYPE,
    DORA__PY_KIND,
    DORA__PY_ID,
    DORA__PY_VALUE,
    DORA__PY_METADATA,
    DORA__PY_TIMESTAMP,
    DORA__PY_ERROR,
    DORA__PY_DORA,
    DORA__PY_PYARROW,
    DORA__PY_WORDS,
};

enum { DORA__PY_EVENT_TYPES = DORA_EVENT_STOP + 1 };

/* The state of one copy of the module. */
struct dora__py_module {
    PyTypeObject *node, *handler, *buffer, *array, *scalar, *datatype;
    PyTypeObject *receiver, *arrow_array;
    PyObject *uint8, *null, *string;             /* each dora.DataType */
    PyObject *words[DORA__PY_WORDS];             /* str, interned */
    PyObject *event_types[DORA__PY_EVENT_TYPES]; /* str, interned */
    PyObject *datetime;                          /* the module _datetime */
    void *datetime_api;                          /* its PyDateTime_CAPI */
    PyObject *release_view;                      /* memoryview.release */
    PyObject *status;               /* DoraStatus, once somebody asked */
    _Atomic uint64_t date;          /* a day and what it is called: py_time.c */
    atomic_bool told_metadata;      /* that something was sent as its str() */
    bool strict_views, check_views; /* DORA_STRICT_VIEWS, DORA_CHECK_VIEWS */
};

static inline struct dora__py_module *
dora__py_state(PyObject *module)
{
    return (struct dora__py_module *)PyModule_GetState(module);
}

/* The state behind an object of one of our types. */
static inline struct dora__py_module *
dora__py_module_of(PyObject *object)
{
    return (struct dora__py_module *)PyType_GetModuleState(Py_TYPE(object));
}

/* Makes a type and, if `visible`, adds it to the module under its name. New
 * reference in *ret_type. */
int dora__py_add_type(PyObject *module, PyType_Spec *spec, bool visible,
                      PyTypeObject **ret_type);

/* The one place where a failure of the runtime becomes an exception; `err` may
 * be NULL. Returns NULL. */
PyObject *dora__py_raise(int code, const struct dora_error *err);

/* --- arguments.c --------------------------------------------------------- */

/* Of a METH_FASTCALL | METH_KEYWORDS function. */
struct dora__py_signature {
    const char *function;
    const char *names[5]; /* until NULL */
    int required;
};
/* Writes borrowed references, NULL for what was not given. 0 or -1. */
DORA_MUST_CHECK
int dora__py_arguments(const struct dora__py_signature *signature,
                       PyObject *const *args, Py_ssize_t count, PyObject *names,
                       PyObject **ret_values);
/* UTF-8 of a str argument, borrowed from it; NULL with a TypeError. */
const char *dora__py_text(PyObject *value, const char *name);
/* Nanoseconds; -1: None or NULL, no limit; -2: exception. */
int64_t dora__py_timeout(PyObject *value);

/* --- nap.c --------------------------------------------------------------- */

/* Before each sleep without the GIL: runs signal handlers and says how long
 * (ns) it may be, -1: for ever. `nap` begins as 0 and is one wait's; `ended` is
 * what the last sleep returned. 0; -1: exception. */
DORA_MUST_CHECK
int dora__py_nap(int ended, int64_t *nap);

/* --- datatype_type.c, scalar_type.c, array_type.c ------------------------ */

int dora__py_datatype_setup(PyObject *module);

int dora__py_scalar_setup(PyObject *module);
PyObject *dora__py_scalar_new(const struct dora__py_module *m,
                              enum dora_value value, uint8_t number);
/* Of a string; takes over the reference, NULL with an exception allowed. */
PyObject *dora__py_scalar_text(const struct dora__py_module *m, PyObject *text);
/* Of an Arrow array; takes over both references, even on failure. */
PyObject *dora__py_scalar_item(const struct dora__py_module *m, PyObject *item,
                               PyObject *type);
/* What as_py() would give of a Scalar. */
PyObject *dora__py_scalar_value(PyObject *scalar);

/* A received value, or a part of one. */
struct dora__py_array {
    PyObject_HEAD struct dora_sample
        *sample;    /* one reference; NULL: no bytes, or a copy's */
    PyObject *copy; /* bytes, strong; NULL: the sample's, or none */
    const uint8_t *data;
    Py_ssize_t length; /* items */
    Py_ssize_t size;   /* bytes at `data` */
    enum dora_value value;
};

int dora__py_array_setup(PyObject *module);
/* Of `size` bytes, for nulls: items. Takes over the reference to `sample` (may
 * be NULL), even on failure. */
PyObject *dora__py_array_new(const struct dora__py_module *m,
                             enum dora_value value, struct dora_sample *sample,
                             const void *data, size_t size);
/* The item of a text: a new str. What is no UTF-8 becomes U+FFFD. */
PyObject *dora__py_array_string(const struct dora__py_array *array);
PyObject *dora__py_array_type(const struct dora__py_module *m,
                              const struct dora__py_array *array);
/* The type of values of that kind, which is not that of Arrow arrays;
 * borrowed. */
PyObject *dora__py_datatype(const struct dora__py_module *m,
                            enum dora_value value);
/* The type of a field: new. */
PyObject *dora__py_datatype_new(const struct dora__py_module *m,
                                struct dora__arrow *arrow,
                                const struct dora__arrow_field *field);

/* The arguments of slice() and of to_string(). 0 or -1. */
DORA_MUST_CHECK
int dora__py_slice_arguments(Py_ssize_t whole, PyObject *const *args,
                             Py_ssize_t count, PyObject *names,
                             Py_ssize_t *ret_start, Py_ssize_t *ret_length);
DORA_MUST_CHECK
int dora__py_string_arguments(PyObject *const *args, Py_ssize_t count,
                              PyObject *names, Py_ssize_t *ret_indent,
                              Py_ssize_t *ret_window);

/* array_text.c: the lines pyarrow would print, of an array, and of a list of
 * what it holds. */
PyObject *dora__py_array_text(const struct dora__py_array *array, int indent,
                              Py_ssize_t window);
PyObject *dora__py_items_text(PyObject *items, int indent, Py_ssize_t window);
/* array_numpy.c: to_numpy() and __array__() of an array that has a buffer, or
 * whose items are to be copied into an array of `dtype`. */
PyObject *dora__py_to_numpy(PyObject *self, const char *dtype,
                            PyObject *const *args, Py_ssize_t count,
                            PyObject *names);
PyObject *dora__py_numpy_protocol(PyObject *self, const char *dtype,
                                  PyObject *const *args, Py_ssize_t count,
                                  PyObject *names);

/* --- arrow_export.c, arrow_import.c -------------------------------------- */

PyObject *dora__py_arrow_array(PyObject *self, PyObject *const *args,
                               Py_ssize_t count, PyObject *names);
/* How the interface writes the type of such values. */
const char *dora__py_arrow_format(enum dora_value value);
/* A capsule "arrow_schema". */
PyObject *dora__py_arrow_schema(enum dora_value value);

/* Bytes to send, and what keeps them meanwhile. Zero to begin. */
struct dora__py_payload {
    const void *data;
    size_t size;
    enum dora_value value;
    struct dora_sample *sample; /* in which they lie: one reference, or NULL */
    const struct ArrowSchema *schema; /* instead of data: to be packed, */
    const struct ArrowArray *array;   /* borrowed from the owner */
    struct dora__arrow_size packed;
    Py_buffer view;  /* view.obj is NULL: not filled */
    PyObject *owner; /* strong, or NULL */
};
/* Of an object with __arrow_c_array__. 1; 0: it has none; -1: exception. */
int dora__py_arrow_payload(PyObject *object, struct dora__py_payload *payload);
/* *ret_make: pyarrow.array, new, once the script has imported it; or NULL. 0 or
 * -1. */
DORA_MUST_CHECK
int dora__py_arrow_meet(const struct dora__py_module *m, PyObject **ret_make);
/* Compares with an object that has __arrow_c_schema__. 1, 0: equal or not;
 * -2: it has none; -1: exception. */
int dora__py_arrow_same(PyObject *object, enum dora_value value);

/* A capsule of the type, or of the items, of a field. */
PyObject *dora__py_arrow_field_schema(struct dora__arrow *arrow,
                                      const struct dora__arrow_field *field);
PyObject *dora__py_arrow_field_array(struct dora__arrow *arrow,
                                     const struct dora__arrow_field *field,
                                     Py_ssize_t start, Py_ssize_t length);

/* --- arrow_item.c, arrow_type.c: Arrow arrays of anything ----------------- */

/* What pyarrow's to_pylist() gives of one item, and of several. */
PyObject *dora__py_arrow_item(const struct dora__arrow_field *field,
                              int64_t index);
PyObject *dora__py_arrow_list(const struct dora__arrow_field *field,
                              int64_t start, int64_t length);
/* "list<item: int64>" */
void dora__py_arrow_name(struct dora__text *text,
                         const struct dora__arrow_field *field);

int dora__py_arrow_setup(PyObject *module);
/* The value of a message. Takes over the reference, even on failure. */
PyObject *dora__py_arrow_new(const struct dora__py_module *m,
                             struct dora_sample *sample, const void *block,
                             size_t size);
/* Whether it is the whole of a message: then what is to be sent on. */
bool dora__py_arrow_whole(PyObject *object, struct dora__py_payload *payload);

/* --- py_time.c, py_metadata.c, event.c ----------------------------------- */

/* Meets _datetime. */
int dora__py_time_setup(struct dora__py_module *m);
/* An aware datetime, UTC. */
PyObject *dora__py_time_new(struct dora__py_module *m, int64_t microseconds);
/* 1: a datetime (naive: local time); 0: something else; -1: exception. */
int dora__py_time_parse(const struct dora__py_module *m, PyObject *object,
                        int64_t *ret_microseconds);

/* Encodes a dict of parameters (None or NULL: none) into `metadata`, zeroed by
 * the caller and released by him in any case. 0 or -1. */
DORA_MUST_CHECK
int dora__py_metadata_encode(struct dora__py_module *m, PyObject *dict,
                             struct dora_metadata *metadata);
/* A new dict: `timestamp`, and the parameters. */
PyObject *dora__py_metadata_decode(struct dora__py_module *m, int64_t sent_ns,
                                   const void *bytes, size_t size);

struct dora__py_node;

/* The dict for an event. Takes over its sample, even on failure. */
PyObject *dora__py_event(struct dora__py_node *self, struct dora_event *event);
PyObject *dora__py_error_event(const struct dora__py_module *m,
                               const char *text);
PyObject *dora__py_timeout_event(const struct dora__py_module *m);

/* --- node_type.c --------------------------------------------------------- */

struct dora__py_async;

/* A view that was handed out of a sample and outlives its send. */
struct dora__py_parked {
    PyObject *kept, *buffer; /* strong: the memoryview, or a weak reference to
                                it; its SampleBuffer */
};

struct dora__py_node {
    PyObject_HEAD struct dora__py_module *m; /* lives as long as our type */
    struct dora_node *node;
    PyObject *outputs;    /* dict: id -> number */
    PyObject *undeclared; /* set of ids warned about */
    PyObject *make_arrow; /* pyarrow.array, what values become; or NULL */
    /* By number: the dict an INPUT begins as, or NULL. */
    PyObject *_Atomic *inputs;
    size_t input_count;
    struct dora__py_parked *parked;
    size_t parked_count, parked_capacity;
    size_t promised;              /* places for views that are not parked yet */
    struct dora__py_async *async; /* from the first recv_async on */
    atomic_uint ends;             /* calls of next() after the end */
    PyObject *weak;               /* list of weak references */
};

int dora__py_node_setup(PyObject *module);
/* py_logging.c: lets records of the logging module go to the node's log, once
 * the script imports it. */
int dora__py_bridge_logging(PyObject *node);
/* A JSON text of the runtime as Python objects. */
PyObject *dora__py_json(const char *text);

/* --- py_receive.c -------------------------------------------------------- */

/* Never waits. 1: *ret_event is a new dict; 0: nothing now; -EPIPE: the stream
 * has ended; -1: exception. */
int dora__py_poll(struct dora__py_node *self, PyObject **ret_event);

PyObject *dora__py_next(PyObject *self, PyObject *const *args, Py_ssize_t count,
                        PyObject *names);
PyObject *dora__py_iternext(PyObject *self);
PyObject *dora__py_try_recv(PyObject *self, PyObject *ignored);
PyObject *dora__py_drain(PyObject *self, PyObject *ignored);
PyObject *dora__py_is_empty(PyObject *self, PyObject *ignored);

/* --- py_send.c ----------------------------------------------------------- */

/* Sends a loan, waiting for room as long as it takes. 0; -1: exception, and
 * the loan may be sent again. */
DORA_MUST_CHECK
int dora__py_send_loan(struct dora_loan *loan);

/* None, or NULL with an exception. */
PyObject *dora__py_send(struct dora__py_node *self, PyObject *id,
                        PyObject *data, PyObject *metadata);
PyObject *dora__py_send_output(PyObject *self, PyObject *const *args,
                               Py_ssize_t count, PyObject *names);
PyObject *dora__py_send_output_raw(PyObject *self, PyObject *const *args,
                                   Py_ssize_t count, PyObject *names);

/* --- py_service.c -------------------------------------------------------- */

PyObject *dora__py_send_service_request(PyObject *self, PyObject *const *args,
                                        Py_ssize_t count, PyObject *names);
PyObject *dora__py_send_service_response(PyObject *self, PyObject *const *args,
                                         Py_ssize_t count, PyObject *names);

/* --- py_operator.c ------------------------------------------------------- */

PyObject *dora__py_start_runtime(PyObject *module, PyObject *ignored);

/* --- py_log.c ------------------------------------------------------------ */

PyObject *dora__py_log(PyObject *self, PyObject *const *args, Py_ssize_t count,
                       PyObject *names);
PyObject *dora__py_log_error(PyObject *self, PyObject *message);
PyObject *dora__py_log_warn(PyObject *self, PyObject *message);
PyObject *dora__py_log_info(PyObject *self, PyObject *message);
PyObject *dora__py_log_debug(PyObject *self, PyObject *message);
PyObject *dora__py_log_trace(PyObject *self, PyObject *message);

/* --- receiver_type.c, py_async.c: recv_async ----------------------------- */

int dora__py_receiver_setup(PyObject *module);
PyObject *dora__py_recv_async(PyObject *self, PyObject *const *args,
                              Py_ssize_t count, PyObject *names);

/* A new future of the running loop, done once the node may have an event. */
PyObject *dora__py_async_future(struct dora__py_node *self);
/* Nobody waits for the future any more. */
void dora__py_async_forget(struct dora__py_node *self, PyObject *future);
/* Has the future's loop finish it after `delay_ns`: a new handle. */
PyObject *dora__py_async_later(PyObject *future, int64_t delay_ns);
int dora__py_async_traverse(struct dora__py_async *async, visitproc visit,
                            void *arg);
void dora__py_async_clear(struct dora__py_async *async);
/* True: a thread may be waiting inside the node, which must stay. */
bool dora__py_async_free(struct dora__py_async *async);

/* --- sample_buffer.c, sample_handler.c, sample_park.c -------------------- */

int dora__py_buffer_setup(PyObject *module);
/* Takes over the loan, even on failure. `output`: its id. */
PyObject *dora__py_buffer_new(const struct dora__py_module *m,
                              struct dora_loan *loan, PyObject *output);
struct dora_loan *dora__py_buffer_loan(PyObject *buffer);
/* No view is given from now on. With `strict` only if none is out: returns how
 * many are, and if any, has done nothing. */
Py_ssize_t dora__py_buffer_close(PyObject *buffer, bool strict);
/* The bytes are final: if they change later, the node is told
 * (DORA_CHECK_VIEWS). */
void dora__py_buffer_seal(PyObject *buffer);

int dora__py_handler_setup(PyObject *module);
/* Takes over the loan, even on failure. */
PyObject *dora__py_handler_new(struct dora__py_node *node,
                               struct dora_loan *loan, PyObject *output);

/* A place for a view that is about to be made. 0; -1 with an exception. */
int dora__py_park_reserve(struct dora__py_node *node);
/* Ends our use of the view (taken over). With a `buffer`, both are kept for as
 * long as anybody else refers to the view. */
void dora__py_park(struct dora__py_node *node, PyObject *view,
                   PyObject *buffer);
void dora__py_unpark(struct dora__py_node *node);
int dora__py_park_traverse(struct dora__py_node *node, visitproc visit,
                           void *arg);
void dora__py_park_clear(struct dora__py_node *node);

#endif
