/* callback.h - a node on a thread of its own: a C function, or a guest of the
 * host (kind.h). */
#ifndef DORA_CALLBACK_H
#define DORA_CALLBACK_H

#include "host/kind.h"
#include "plane/plane.h"

struct dora__callback;

/* What a callback needs. The descriptors of the attachment and `wake_fd` must
 * stay open until it has returned; `log_fd` is taken by a start that succeeds.
 */
struct dora__callback_options {
    struct dora__attachment attachment;
    dora_node_body body;
    void *arg;
    int wake_fd;      /* eventfd written when the body has returned */
    int log_fd;       /* where dora_node_log writes */
    const char *name; /* of the thread; borrowed for the start */

    /* Instead of attachment, body and log_fd; taken by a start that succeeds.
     */
    const struct dora__guest_class *guest_class;
    struct dora__guest *guest;
};

/* How it went. */
struct dora__callback_result {
    bool joined; /* the body was called */
    bool held;   /* samples it received are still about: it is not to be
                    treated as dead */
    struct dora_node *node; /* of one that failed: to be detached once its
                               consumers were told; else NULL */
    int code;               /* what it returned; not joined: a negative errno */
    struct dora_error error;         /* not joined: why */
    struct dora__guest_result guest; /* of a guest, and nothing above */
    struct dora__guest *left;        /* the guest itself: to be freed */
    int64_t user_ns, system_ns;
    int64_t voluntary_switches, involuntary_switches;
};

/* Starts the thread: attach, join the dataflow, body, detach. The new callback
 * is ended by collect or abandon. -EAGAIN, -ENOMEM. */
DORA_MUST_CHECK
int dora__callback_start(const struct dora__callback_options *options,
                         struct dora__callback **ret_callback);
bool dora__callback_returned(const struct dora__callback *callback);
/* Joins the thread of one that returned, and frees it. */
void dora__callback_collect(struct dora__callback *callback,
                            struct dora__callback_result *ret_result);
/* Leaves the thread alone: it frees itself should it ever return. Takes
 * `outputs`, the reading ends of what it writes to; -1: none. */
void dora__callback_abandon(struct dora__callback *callback,
                            const int outputs[static 2]);
/* Asks a guest to end, that has not been collected. */
void dora__callback_press(struct dora__callback *callback,
                          enum dora__guest_press how);

#endif
