/* node_private.h - what the node_*.c share. Nothing here is visible to another
 * process.
 *
 * Two locks, taken one at a time, neither held while anything can block:
 *
 *   send     loans, books and heap, the gate; the output side
 *   receive  popping, samples, what has been told; the input side
 *
 * They are private and die with the process: no node's death can keep one. */
#ifndef DORA_NODE_PRIVATE_H
#define DORA_NODE_PRIVATE_H

#include "node.h"
#include "plane/heap.h"
#include "plane/layout.h"
#include "plane/ring.h"
#include "plane/window.h"

#include <pthread.h>
#include <sched.h>

/* A received value. Lives as long as its references; then its edge's bit is
 * cleared and the struct waits in the node's free list. */
struct dora_sample {
    _Atomic uint32_t references;
    uint32_t record; /* DORA__NONE: a private copy, or nothing */
    struct dora_node *node;
    uint32_t input;
    uint32_t metadata_size;
    enum dora_value value;
    const unsigned char *data, *metadata;
    size_t size;
    uint64_t at;                       /* of data, in the heaps file */
    struct dora_sample *newer, *older; /* held; `older` also the free list */
    unsigned char *copy; /* NULL, or room for what is copied out */
};

enum loan_state {
    LOAN_OPEN,
    LOAN_PARTLY, /* queued on some edges, `pending` are left */
    LOAN_SENT,
};

struct dora_loan {
    struct dora_node *node;
    struct dora_loan *next; /* free list */
    uint32_t output;        /* in the node's list */
    uint32_t record;        /* DORA__NONE: adrift */
    enum loan_state state;
    bool is_protected, flush;
    bool ends;        /* by itself, when sent */
    uint64_t pending; /* bits of edges */
    unsigned char *data;
    size_t size;
    void *adrift; /* NULL, or memory that is no node's: `data` */
};

/* A record's place in the producer's books. */
struct dora__entry {
    uint32_t next, previous; /* records of the output, DORA__NONE ends */
    uint64_t forwards;       /* of the record, when it was loaned */
    uint8_t list;            /* enum dora__list */
    bool named;              /* by a living record, in a scan */
};

enum dora__list {
    DORA__FREE,   /* nobody refers to it; no block */
    DORA__FLIGHT, /* loaned or sent, oldest first */
    DORA__HELD,   /* in flight for longer than its queues are */
    DORA__ROOTED, /* let go, but perhaps named as a root */
    DORA__LISTS,
};

struct dora__chain {
    uint32_t first, last, count;
};

/* One output, as its producer sees it. */
struct dora__out {
    struct dora__output *shared;
    struct dora__entry *entries; /* per usable record */
    uint32_t entry_count;
    uint32_t flight_limit; /* more than that cannot all be queued */
    struct dora__chain lists[DORA__LISTS];
    struct dora__seen seen[64];   /* per bit */
    const struct dora_loan *busy; /* blocks on this output */
    uint32_t queueing;            /* threads behind it */
};

/* One edge of an input, as its consumer sees it. */
struct dora__in {
    struct dora__edge *edge;
    struct dora__front front; /* of the last look */
    uint32_t source;          /* in the node's sources */
    uint32_t restarts_told;
    uint32_t held, held_limit; /* samples; above it small ones are copied */
    bool closed_told, has_backlog;
    uint64_t backlog[DORA__RINGS]; /* tails when STOP was told */
    /* Of an input with one edge all of these are the same. */
    struct dora__in *first, *other;
    /* The input's own, kept in its first edge's. */
    bool broken;
    uint32_t open;     /* edges that were not told to be closed */
    int64_t last_time; /* of the last message, for input_timeout; terminal.h */
};

/* A node that feeds inputs of this one. */
struct dora__source {
    uint32_t node;
    uint32_t restarts_told;
    bool failed_told;
    const char **inputs; /* ids */
    size_t input_count;
};

/* See node_host.c. */
struct dora__line {
    int fd; /* -1: none */
    pthread_t watch;
    _Atomic bool leaving;
};

struct dora_node {
    struct dora__control *control;
    struct dora__shared_node *shared;
    size_t control_size;
    int control_fd, heaps_fd, doorbell_fd;
    int log_fd; /* not ours */
    struct dora__line line;
    uint32_t number;
    uint32_t incarnation;
    uint32_t fork_generation;
    _Atomic bool orphan;
    _Atomic bool closed;
    _Atomic bool warm;      /* sources were, once */
    _Atomic uint32_t users; /* 1 while attached, 1 per sample and loan */
    struct dora__window all_heaps, own_heap; /* read-only; own range */
    const unsigned char *heaps;              /* where they are mapped */
    unsigned char *own;
    size_t own_size;
    uint64_t own_at;

    /* send */
    pthread_mutex_t send __attribute__((aligned(DORA__LINE)));
    struct dora__heap *heap;
    bool may_grow;
    bool squeezed;  /* the machine had too little when it was asked last */
    uint64_t spare; /* bytes to grow by before it is asked again */
    struct dora__out *outs;
    uint32_t out_count;
    struct dora_loan *free_loans;
    uint32_t rooted_count, loans_since_scan;
    uint64_t scan_cost;   /* records the last scan looked at */
    uint32_t starving;    /* threads that wait for memory */
    uint64_t adrift;      /* bytes of loans that are */
    int64_t starved_said; /* when the log was told of it; 0: never */
    int64_t trimmed_at;
    int64_t to_utc, to_utc_at; /* the clocks' distance, and when it was taken */

    /* receive */
    pthread_mutex_t receive __attribute__((aligned(DORA__LINE)));
    struct dora__in *ins; /* the inputs in order, then second edges */
    uint32_t in_count, data_count, open_count;
    bool has_others; /* timers or logs */
    bool needs_clock;
    struct dora__source *sources;
    uint32_t source_count;
    struct dora_sample *newest; /* held */
    struct dora_sample *free_samples;
    bool stop_told, ended;

    /* wait */
    _Atomic int short_promise; /* that the next wait is short */
    unsigned cores;
};

/* Wakes the host. */
void dora__node_ring_host(const struct dora_node *node);
/* Whether this process may still act for the node. */
bool dora__node_alive(const struct dora_node *node);

static inline void
dora__node_use(struct dora_node *node)
{
    atomic_fetch_add_explicit(&node->users, 1, memory_order_relaxed);
}
/* The last one unmaps. */
void dora__node_unuse(struct dora_node *node);

/* node_loan.c: the books of the producer. What takes a loan here fills the
 * caller's; it is not in any list. */
DORA_MUST_CHECK
int dora__loans_init(struct dora_node *node, struct dora_error *err);
void dora__loans_fini(struct dora_node *node);

/* What a loan is asked for with. */
struct dora__wish {
    int output;
    size_t size;
    const void *metadata;
    size_t metadata_size;
    uint32_t root; /* record + 1; 0: a block of its own */
    uint64_t at;   /* with a root: the bytes in the heaps file */
    int64_t timeout_ns;
};
DORA_MUST_CHECK
int dora__loan_begin(struct dora_node *node, const struct dora__wish *wish,
                     struct dora_loan *loan, struct dora_error *err);
/* Lets the record go. */
void dora__loan_end(struct dora_loan *loan);

/* node_starve.c: there is no memory for a wish. Without the send lock. */
/* From begin to end consumers ring the node's bell when they let go. */
void dora__starve(struct dora_node *node, bool begin);
/* In between, with the bell's word from before the last look for memory: sleeps
 * until another look is worth it. Who has waited for long since `begun` says
 * for whom. -ETIMEDOUT. */
DORA_MUST_CHECK
int dora__starve_sleep(struct dora_node *node, const struct dora__wish *wish,
                       uint32_t word, int64_t begun, int64_t deadline);
/* -ENOSPC, with a line that names the holders. */
DORA_MUST_CHECK
int dora__starve_fail(struct dora_node *node, const struct dora__wish *wish,
                      struct dora_error *err);

/* node_books.c, with the send lock. */
DORA_MUST_CHECK
int dora__books_init(struct dora_node *node);
void dora__books_fini(struct dora_node *node);
/* Takes back a record that was let go; `k` counts within the output. */
void dora__books_reclaim(struct dora_node *node, struct dora__out *out,
                         uint32_t k);
/* A loan's share of that work, and all of it. */
void dora__books_reclaim_some(struct dora_node *node, struct dora__out *out);
void dora__books_reclaim_all(struct dora_node *node);
/* Sees to it that the output has a free record; -ENOSPC. */
DORA_MUST_CHECK
int dora__books_provide(struct dora_node *node, struct dora__out *out);
/* Takes the one provided: it is in flight from now on. */
uint32_t dora__books_enter(struct dora_node *node, struct dora__out *out);

/* node_heap.c, with the send lock. Blocks are places in the heaps file, but
 * dora__block_take's are places in the node's own range. */
DORA_MUST_CHECK
int dora__blocks_init(struct dora_node *node);
/* After the claims of what an earlier incarnation left. */
void dora__blocks_settle(struct dora_node *node);
void dora__blocks_fini(struct dora_node *node);
DORA_MUST_CHECK
int dora__block_take(struct dora_node *node, uint64_t size, bool at_once,
                     uint64_t *ret_at);
void dora__block_give(struct dora_node *node, uint64_t at);
DORA_MUST_CHECK
int dora__block_claim(struct dora_node *node, uint64_t at, uint64_t size);
/* Memory that was not needed for a second goes back. */
void dora__blocks_trim(struct dora_node *node);

/* node_receive.c */
DORA_MUST_CHECK
int dora__inputs_init(struct dora_node *node, struct dora_error *err);
void dora__inputs_fini(struct dora_node *node);
/* The next event, if there is one now: 1; 0: none; -EPIPE, -ENOMEM, -ECHILD. */
int dora__inputs_take(struct dora_node *node, struct dora_event *ret_event);
/* With the receive lock: what was sent before the producer's restart is taken,
 * and that it restarted is told. */
void dora__input_reopen(struct dora_node *node, struct dora__in *in,
                        uint32_t restarts);

/* What may be told next. */
enum dora__what {
    DORA__NOTHING,
    DORA__MESSAGE,
    DORA__RECOVERED, /* first message after the input's timeout */
    DORA__TICK,
    DORA__TIMED_OUT,
    DORA__CLOSED,
    DORA__RESTARTED,
    DORA__STOP_MANUAL,
    DORA__STOP_ALL_CLOSED,
    DORA__END,
};

struct dora__offer {
    enum dora__what what;
    uint32_t in;
    int64_t time;
};

/* node_offer.c: the next event, with the receive lock; if there is none, in
 * *ret_deadline when there will be one without anybody's doing (-1: never). */
struct dora__offer dora__inputs_choose(struct dora_node *node,
                                       int64_t *ret_deadline);
/* The same, takes the lock. */
struct dora__offer dora__inputs_look(struct dora_node *node,
                                     int64_t *ret_deadline);
/* A cheap guess at that, without lock or clock. */
bool dora__inputs_glance(const struct dora_node *node);
/* Number of the tick that is told next. */
static inline uint64_t
dora__next_tick(const struct dora__edge *edge)
{
    return dora__position(atomic_load_explicit(&edge->head[DORA__ORDINARY],
                                               memory_order_relaxed));
}

/* node_sample.c, with the receive lock: a sample for a taken record of input
 * `in`, with one reference. NULL: no memory. */
struct dora_sample *dora__sample_new(struct dora_node *node);
void dora__sample_fill(struct dora_node *node, struct dora_sample *sample,
                       uint32_t in, uint32_t record);
/* One that was never filled. */
void dora__sample_return(struct dora_node *node, struct dora_sample *sample);
void dora__samples_fini(struct dora_node *node);

/* node_host.c: hangs up, if there was a line. */
void dora__line_fini(struct dora_node *node);

/* node_wait.c: sleeps on the node's bell, armed with `word`, until `deadline`
 * (-1: for ever). 0, -ETIMEDOUT, -EINTR. */
int dora__node_sleep(struct dora_node *node, uint32_t word, int64_t deadline);
/* Which core this thread runs on. */
static inline uint32_t
dora__core(void)
{
    return (uint32_t)sched_getcpu();
}
/* Lets consumers see on which core the node is at work. */
static inline void
dora__node_show_core(struct dora_node *node)
{
    uint32_t core = dora__core();

    if (atomic_load_explicit(&node->shared->core, memory_order_relaxed) != core)
        atomic_store_explicit(&node->shared->core, core, memory_order_relaxed);
}
/* `timeout_ns` from now, as a deadline; -1 stays. */
int64_t dora__deadline(int64_t timeout_ns);

#endif
