/* plane.h - the shared memory of one dataflow, and what only its host may do
 * there. The layout is layout.h; the algorithm is told at the head of ring.h
 * (queues), bell.h (waking), node_books.c (records and their memory),
 * node_send.c, node_receive.c (events) and plane_death.c. Starts nothing; one
 * thread of the host at a time, but for the questions and dora__plane_stop.
 *
 * Two files without a name hold everything: `control` (plan, states, rings,
 * records) and `heaps` (payloads, one range per node). Nodes receive them as
 * descriptors; receivers map `heaps` from a descriptor opened read-only. */
#ifndef DORA_PLANE_H
#define DORA_PLANE_H

#include "base.h"

struct dora__control;
struct dora__plan;

struct dora__plane {
    int control_fd, heaps_fd, heaps_ro_fd;
    int doorbell_fd; /* eventfd a node writes when its state changed */
    struct dora__control *control; /* mapped */
    size_t control_size;
};

/* What a node needs to take part: borrowed descriptors and its number. */
struct dora__attachment {
    int control_fd, heaps_fd, heaps_ro_fd, doorbell_fd;
    uint32_t node;
};

/* Shared life of a node, as the node itself and the host see it. */
enum dora__node_state {
    DORA__NODE_ABSENT,   /* not attached */
    DORA__NODE_ATTACHED, /* mapped; Node() not called */
    DORA__NODE_READY,    /* waits at the barrier or is past it */
    DORA__NODE_CLOSED,   /* will neither send nor receive any more */
};

enum dora__flow_state {
    DORA__FLOW_WAITING, /* for all nodes at the barrier */
    DORA__FLOW_RUNNING,
    DORA__FLOW_STOPPING, /* STOP MANUAL */
    DORA__FLOW_FAILED,   /* a node ended before the barrier: others give up */
    DORA__FLOW_OVER,     /* all who keep it up have ended: dynamic nodes get
                            what is still queued for them, then STOP */
};

/* Creates both files for the plan; `id` is the dataflow's id. */
DORA_MUST_CHECK
int dora__plane_create(const struct dora__plan *plan, const char *id,
                       struct dora__plane *ret_plane, struct dora_error *err);
void dora__plane_fini(struct dora__plane *plane);

struct dora__attachment dora__plane_attachment(const struct dora__plane *plane,
                                               uint32_t node);

enum dora__node_state dora__plane_node_state(const struct dora__plane *plane,
                                             uint32_t node);
/* Whether this incarnation came to the barrier; stays true when it closes. */
bool dora__plane_node_joined(const struct dora__plane *plane, uint32_t node);
enum dora__flow_state dora__plane_state(const struct dora__plane *plane);

/* Opens the barrier: timers start now. Rings everybody. */
void dora__plane_open(struct dora__plane *plane);
/* STOP MANUAL to everybody. Async-signal-safe. */
void dora__plane_stop(struct dora__plane *plane);
/* The same for who is left when the dataflow has ended by itself. */
void dora__plane_over(struct dora__plane *plane);
/* The barrier will never open: constructors fail, naming `culprit`. */
void dora__plane_fail(struct dora__plane *plane, const char *culprit);

/* Whether consumers that make room on an edge of the host's are to write the
 * doorbell. After `true`, room that is not seen is room that will ring. */
void dora__plane_await_room(struct dora__plane *plane, bool wait);

/* What comes after a death. */
enum dora__death {
    DORA__DEATH_FINAL,
    DORA__DEATH_RESTART, /* its edges stay as they are for the next one */
    DORA__DEATH_LEAVE,   /* of a dynamic node: its outputs stay; nothing is
                            sent to it until it comes again */
};

/* The node is proven dead (its process has ended, or its thread is joined).
 * `failure` is NULL for a success, else one line for NODE_FAILED. 0: done.
 * -EAGAIN: a living producer was inside its gate; what is left is done by
 * calling again (same arguments), soon. */
DORA_MUST_CHECK
int dora__plane_node_died(struct dora__plane *plane, uint32_t node,
                          enum dora__death death, const char *failure);

/* A dynamic node has come: what is sent from now on is sent to it too.
 * -EAGAIN as above. */
DORA_MUST_CHECK
int dora__plane_admit(struct dora__plane *plane, uint32_t node);

/* Closes the node's outputs, whether it lives or never will; -EAGAIN as above.
 */
DORA_MUST_CHECK
int dora__plane_close_outputs(struct dora__plane *plane, uint32_t node,
                              const char *failure);

/* Counters of an edge (number in the plan), consistent with each other. */
struct dora__edge_counts {
    uint64_t sent, delivered, dropped, queued, refused, shown, lost;
};
void dora__plane_edge_counts(const struct dora__plane *plane, uint32_t input,
                             struct dora__edge_counts *ret_counts);

struct dora__heap_counts {
    uint64_t used, peak, backed, limit, copied;
    bool asked; /* the node ever asked for events */
};
void dora__plane_heap_counts(const struct dora__plane *plane, uint32_t node,
                             struct dora__heap_counts *ret_counts);

/* Whether a node does anything, for who thinks that it hangs. */
struct dora__pulse {
    bool waits;     /* some thread of it sleeps in the runtime */
    uint64_t beats; /* changes when it asks for events or sends */
};
void dora__plane_pulse(const struct dora__plane *plane, uint32_t node,
                       struct dora__pulse *ret_pulse);

/* "Who holds the memory of `node`": appends lines, oldest first. */
void dora__plane_holders(const struct dora__plane *plane, uint32_t node,
                         struct dora__text *out);

/* --- terminal.c ------------------------------------------------------------
 */

/* The turn of the debugger that has or wants the terminal; 0: none does. */
uint32_t dora__plane_debugger(const struct dora__plane *plane);
/* The answer: it has it, or there is none. */
void dora__plane_lend_terminal(struct dora__plane *plane, uint32_t turn,
                               bool have);
/* The node is dead. Whether its debugger had or wanted it. */
bool dora__plane_take_back_terminal(struct dora__plane *plane, uint32_t node);

/* The dataflow's time, which stands still while a debugger has the terminal. */
int64_t dora__plane_time(const struct dora__plane *plane);
/* When it will be `time`; INT64_MAX: it stands still. */
int64_t dora__plane_moment(const struct dora__plane *plane, int64_t time);

#endif
