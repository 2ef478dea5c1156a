/* node.h - taking part in a dataflow as one of its nodes: private half of the
 * "being a node" part of dora.h. One struct dora_node per node, on whatever
 * thread or process it lives; several in one process are strangers to each
 * other. */
#ifndef DORA_NODE_H
#define DORA_NODE_H

#include "plane/plane.h"

/* Maps the memory named by the attachment (descriptors are duplicated) and
 * becomes its node. The new node is freed with dora__node_detach. */
DORA_MUST_CHECK
int dora__node_attach(const struct dora__attachment *attachment,
                      struct dora_node **ret_node, struct dora_error *err);
/* Joins the dataflow and waits until the barrier opens. -ETIMEDOUT and -EINTR:
 * call again. -ECANCELED: another node failed first (*err names it), or stop.
 * Idempotent. */
DORA_MUST_CHECK
int dora__node_join(struct dora_node *node, int64_t timeout_ns,
                    struct dora_error *err);
/* It never waits for events, and takes no core from those who spin for them. */
void dora__node_rest(struct dora_node *node);
/* No more sends: closes the outputs. Received samples and loans stay valid. */
void dora__node_close(struct dora_node *node);
/* Closes, and unmaps once the last sample and loan are gone. Takes NULL. */
void dora__node_detach(struct dora_node *node);

/* Where dora_node_log writes: standard output unless set (a process node's is
 * read by its host); the descriptor is borrowed until the node is detached. A
 * line is one JSON object with `timestamp` (RFC 3339), `level` ("error" ...
 * "trace"), `node_id`, `message` and, if given, `target`, written by one
 * write(2) at a time so that lines of several threads do not mix. */
void dora__node_set_log(struct dora_node *node, int fd);
/* The node's host is not the parent of its process: `fd` (taken over) is the
 * connection to it. The log goes there; when its other end closes, the dataflow
 * has ended for this node, whatever became of the host. */
DORA_MUST_CHECK
int dora__node_set_host(struct dora_node *node, int fd, struct dora_error *err);
/* Whether it has such a line. */
bool dora__node_is_dynamic(const struct dora_node *node);
/* dora_node_log with `fields`, a JSON object of strings (NULL: none), as a
 * further member of the line. */
void dora__node_log_fields(struct dora_node *node, enum dora_level level,
                           const char *target, const char *text,
                           const char *fields);

/* Whether samples or loans of it are still about: it may have closed, but the
 * bytes they show must stay. */
bool dora__node_held(const struct dora_node *node);

/* A forked child inherits the mapping but is nobody: from now on every function
 * fails with -ECHILD or does nothing. Async-signal-safe. */
void dora__node_orphan(struct dora_node *node);

/* JSON texts; borrowed from the node. */
const char *dora__node_config(const struct dora_node *node);
const char *dora__node_descriptor(const struct dora_node *node);
const char *dora__node_dataflow_id(const struct dora_node *node);
unsigned dora__node_restart_count(const struct dora_node *node);
size_t dora__node_input_count(const struct dora_node *node);
size_t dora__node_output_count(const struct dora_node *node);
const char *dora__node_output_id(const struct dora_node *node, size_t output);
/* Whether anybody subscribes to the output now: who would send asks this, and
 * counts as alive if nobody does. */
bool dora__node_heard(struct dora_node *node, int output);

/* dora_node_loan that waits for memory (`heap_full: wait`) at most
 * `timeout_ns`, then -ETIMEDOUT. With 0 that is also the answer where a large
 * payload needs fresh memory, which takes the system as long as writing it. */
DORA_MUST_CHECK
int dora__node_loan(struct dora_node *node, int output, size_t size,
                    const void *metadata, size_t metadata_size,
                    int64_t timeout_ns, struct dora_loan **ret_loan,
                    struct dora_error *err);
/* A loan that refers to bytes [offset, offset + size) of a sample: what
 * dora_node_forward sends. Its data is read-only. -EINVAL: outside the sample.
 * -ENOTSUP: the sample is a private copy; send its bytes instead. */
DORA_MUST_CHECK
int dora__node_loan_slice(struct dora_node *node, int output,
                          struct dora_sample *sample, size_t offset,
                          size_t size, const void *metadata,
                          size_t metadata_size, int64_t timeout_ns,
                          struct dora_loan **ret_loan, struct dora_error *err);

/* A loan of memory of the process's own, for a caller who was refused one by
 * -ECANCELED and has to give out writable bytes all the same: sending it does
 * nothing. -ECANCELED: he keeps as many as he may have messages. -ENOMEM. */
DORA_MUST_CHECK
int dora__node_loan_adrift(struct dora_node *node, int output, size_t size,
                           struct dora_loan **ret_loan, struct dora_error *err);

/* How the bytes are to be read, unless as bytes; before it is sent. */
void dora__loan_set_value(struct dora_loan *loan, enum dora_value value);
/* Copies into the bytes of a loan, and counts it as copied. */
void dora__loan_fill(struct dora_loan *loan, const void *data, size_t size);
/* So many bytes of it the caller has copied. */
void dora__loan_filled(struct dora_loan *loan, size_t size);

/* The held sample that contains [data, data + size), or NULL: how a slice of a
 * received value is sent on by reference. Adds a reference. */
struct dora_sample *dora__node_find_sample(struct dora_node *node,
                                           const void *data, size_t size);
/* First byte of a sample's value, as in the event that brought it. */
const void *dora__sample_data(const struct dora_sample *sample);
/* Where in the heaps file a loan's or sample's bytes lie. */
uint64_t dora__loan_offset(const struct dora_loan *loan);
uint64_t dora__sample_offset(const struct dora_sample *sample);
/* The two halves of dora_node_wait, for who holds a lock that others need while
 * it sleeps. The first waits some tens of microseconds at most, and only while
 * that is likely to be enough; true: there may be an event. The second sleeps:
 * 0, -ETIMEDOUT, -EINTR. */
struct dora__wait {
    int64_t deadline; /* CLOCK_MONOTONIC; -1: none */
    bool judged;      /* false at first */
};
bool dora__node_spin(struct dora_node *node, struct dora__wait *wait);
int dora__node_doze(struct dora_node *node, struct dora__wait *wait);
/* Whether stop has been requested (the stream may still hold events). */
bool dora__node_stopping(const struct dora_node *node);
/* STOP MANUAL to all nodes, this one too, as if a person had asked for it. */
void dora__node_stop_all(struct dora_node *node);
/* The terminal for a debugger, see terminal.h; at most `timeout_ns`. 0;
 * -ENOTTY: there is none; -ETIMEDOUT, -EINTR: call again; -ECANCELED: the
 * dataflow stops. */
DORA_MUST_CHECK
int dora__node_take_terminal(struct dora_node *node, int64_t timeout_ns);
void dora__node_return_terminal(struct dora_node *node);

#endif
