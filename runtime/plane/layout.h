/* layout.h - every structure that lies in shared memory, format 1.
 *
 * The control file, offsets from its beginning:
 *
 *     dora__control | nodes | outputs | edges | slots | failures | text |
 *     records (sparse: made usable a chunk at a time)
 *
 * Fixed widths, offsets and indices only, never pointers. Everything more than
 * one participant writes, or reads while it may be written, is atomic. Words of
 * the producer and words of the consumer lie on different cache lines, words
 * that hardly change on a third. Padding is zero.
 *
 * Who writes what, and in which order, is told in ring.h, bell.h, node_send.c,
 * node_receive.c and plane_death.c. */
#ifndef DORA_LAYOUT_H
#define DORA_LAYOUT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2,
               "shared words need lock-free atomics");
_Static_assert(sizeof(_Atomic uint64_t) == 8 && sizeof(_Atomic uint32_t) == 4,
               "shared words are as wide as they look");

/* Between a store of ours and a load of what others store. */
static inline void
dora__fence_full(void)
{
    atomic_thread_fence(memory_order_seq_cst);
}

/* Between relaxed loads and a second look. */
static inline void
dora__fence_acquire(void)
{
    atomic_thread_fence(memory_order_acquire);
}

#define DORA__MAGIC UINT64_C(0x31656e616c70616f) /* "oaplane1" */

enum {
    DORA__FORMAT = 1,
    DORA__LINE = 64,          /* bytes nobody shares by accident */
    DORA__NONE = (int)-1,     /* no node, output, record */
    DORA__FAILURE_SIZE = 512, /* a NODE_FAILED line */
    DORA__FIRST_RECORDS = 64, /* of an output, usable from the beginning */
    DORA__OWN_BIT = 1,        /* of holders: the producer refers to it */
};

/* A message, and the only owner of its bytes: the block is free when `holders`
 * is 0 and no living record names this one as its root. Index = number in the
 * dataflow; a record belongs to one output for good. */
struct dora__record {
    _Atomic uint64_t holders; /* bit 0: producer; bit i: the output's edge i */
    _Atomic uint64_t time;    /* CLOCK_MONOTONIC of the send; 0: not sent */
    _Atomic uint64_t seq;     /* number of the send on this output */
    _Atomic uint64_t at;      /* payload, in the heaps file */
    _Atomic uint64_t size;
    _Atomic int64_t to_utc; /* CLOCK_REALTIME - CLOCK_MONOTONIC at the send */
    _Atomic uint32_t metadata_size;
    _Atomic uint32_t root;  /* record that owns the payload + 1; 0: this one */
    _Atomic uint32_t value; /* enum dora_value */
    _Atomic uint32_t incarnation;
    /* Seldom read by consumers. */
    _Atomic uint64_t metadata_at;
    _Atomic uint64_t block_at, block_size; /* in the heaps file; 0: no block */
    _Atomic uint64_t forwards;             /* times it was named as a root */
    uint8_t zero[32];
};
_Static_assert(sizeof(struct dora__record) == 128, "format 1");
_Static_assert(offsetof(struct dora__record, at) == 24, "format 1");
_Static_assert(offsetof(struct dora__record, root) == 52, "format 1");
_Static_assert(offsetof(struct dora__record, metadata_at) == 64, "format 1");
_Static_assert(offsetof(struct dora__record, forwards) == 88, "format 1");

/* The state of an edge: a phase, and why it was closed. */
enum {
    DORA__EDGE_OPEN = 0,
    DORA__EDGE_CLOSED = 1,  /* the producer sends no more */
    DORA__EDGE_REMOVED = 2, /* the consumer reads no more */
    DORA__EDGE_PHASE = 3,   /* mask of the above */
    DORA__EDGE_FAILED = 4,  /* with CLOSED: the producer failed */
};

/* Kinds of an edge: what feeds the input. The graph's numbers. LOGS are
 * messages like DATA, but that they never close. */
enum { DORA__EDGE_DATA, DORA__EDGE_TIMER, DORA__EDGE_LOGS };

/* Flags of an edge. */
enum {
    DORA__EDGE_TWO_RINGS = 1,
    DORA__EDGE_BACKPRESSURE = 2,
    DORA__EDGE_LASTING = 4, /* only the host closes it: the producer may leave
                               and come again */
    DORA__EDGE_ECHO = 8,    /* the producer is the host */
};

/* Rings of an edge. */
enum { DORA__ORDINARY, DORA__PROTECTED, DORA__RINGS };

/* One input of one node, and the queue that feeds it. An input whose source
 * also sends what it prints has two: `number` and `id` are the same. Positions
 * run free and are never reset. head = position << 1 | parity of the drops.
 * Timers have no ring: head[0] >> 1 is the number of the next tick. */
struct dora__edge {
    uint32_t kind;               /* DORA__EDGE_DATA... */
    uint32_t producer, consumer; /* nodes; producer DORA__NONE: no node */
    uint32_t output;             /* DORA__NONE: no node */
    uint32_t bit;                /* of holders */
    uint32_t bound;
    uint32_t slot_mask; /* slots of one ring - 1 */
    uint32_t flags;
    uint64_t slots_at;  /* _Atomic uint32_t per slot; ring 1 follows ring 0 */
    int64_t period_ns;  /* TIMER */
    int64_t timeout_ns; /* input_timeout; 0: none */
    _Atomic uint32_t state;
    _Atomic uint32_t restarts; /* of the producer, as the host saw them */
    /* Written by the producer. */
    _Atomic uint64_t tail[DORA__RINGS];
    _Atomic uint64_t dropped[DORA__RINGS]; /* exact with the head's parity */
    _Atomic uint64_t refused;
    uint8_t zero1[24];
    /* Written by the consumer; head by droppers too. */
    _Atomic uint64_t head[DORA__RINGS];
    _Atomic uint64_t shown; /* handed to user code */
    _Atomic uint64_t lost;  /* taken, and never handed to user code */
    uint8_t zero2[32];
    /* Seldom. */
    _Atomic int64_t closed_time, restart_time; /* CLOCK_MONOTONIC */
    _Atomic uint64_t restart_at[DORA__RINGS];  /* positions */
    uint64_t id, source;                       /* texts */
    uint32_t number;                           /* in the consumer's list */
    uint32_t about; /* the node whose end closes it: the producer, unless that
                       is the host; DORA__NONE: no end does */
    uint32_t twin;  /* of an input's first edge: its second; DORA__NONE */
    uint8_t zero3[4];
};
_Static_assert(sizeof(struct dora__edge) == 256, "format 1");
_Static_assert(offsetof(struct dora__edge, state) == 56, "format 1");
_Static_assert(offsetof(struct dora__edge, tail) == 64, "format 1");
_Static_assert(offsetof(struct dora__edge, head) == 128, "format 1");
_Static_assert(offsetof(struct dora__edge, closed_time) == 192, "format 1");

/* One output of one node. */
struct dora__output {
    _Atomic uint64_t mask; /* bits that are live edges; H, under the gate */
    _Atomic uint64_t seq;  /* of the next send */
    uint32_t node;
    uint32_t first_record, record_limit;
    _Atomic uint32_t record_count; /* usable so far */
    uint32_t subscriber_count;
    uint8_t zero1[4];
    uint64_t id; /* text */
    uint8_t zero2[16];
    uint32_t edge[64]; /* of each bit */
};
_Static_assert(sizeof(struct dora__output) == 320, "format 1");
_Static_assert(offsetof(struct dora__output, edge) == 64, "format 1");

/* What may stand in a gate. */
enum { DORA__GATE_FREE, DORA__GATE_PRODUCER, DORA__GATE_HOST };

/* One node. The intent is one word, so that it is never half old:
 * kind:2 | ring:1 | bit:6 | record:24 | low 31 bits of tail or head. */
struct dora__shared_node {
    _Atomic uint32_t bell; /* see bell.h */
    _Atomic uint32_t core; /* the node was last seen on */
    uint8_t zero1[56];
    _Atomic uint32_t gate;
    uint32_t pad1;
    _Atomic uint64_t intent;
    uint64_t heap_range;    /* bytes from heap_at that are the node's */
    _Atomic uint32_t apart; /* dynamic: nothing is sent to it yet */
    uint8_t zero2[36];
    _Atomic uint32_t state;       /* enum dora__node_state */
    _Atomic uint32_t incarnation; /* 1: the first */
    _Atomic uint32_t asked;       /* for events: how often, never 0 again */
    _Atomic uint32_t asleep;
    _Atomic uint64_t used, peak, backed; /* bytes of its heap */
    _Atomic uint64_t copied_in, copied_out;
    _Atomic uint32_t joined;  /* this incarnation came to the barrier */
    _Atomic uint32_t unheard; /* sends that nobody subscribed to */
    uint32_t first_input, input_count;
    uint32_t first_output, output_count;
    uint64_t heap_at, heap_limit, prefault;
    uint32_t heap_wait;
    _Atomic uint32_t starved; /* waits for holders to let go */
    uint64_t id, config;      /* texts */
};
_Static_assert(sizeof(struct dora__shared_node) == 256, "format 1");
_Static_assert(offsetof(struct dora__shared_node, gate) == 64, "format 1");
_Static_assert(offsetof(struct dora__shared_node, state) == 128, "format 1");
_Static_assert(offsetof(struct dora__shared_node, heap_at) == 208, "format 1");

/* Begin of the control file. */
struct dora__control {
    uint64_t magic;
    uint32_t format;
    uint32_t flags; /* DORA__FLOW_* */
    uint64_t size;  /* of the file */
    uint64_t heaps_size, budget;
    uint32_t node_count, output_count, edge_count, record_count;
    uint64_t nodes_at, outputs_at, edges_at, records_at, failures_at;
    uint64_t id, descriptor; /* texts */
    uint8_t zero1[8];
    _Atomic int64_t paused_ns; /* by all debuggers that have gone on */
    _Atomic uint32_t state;    /* enum dora__flow_state */
    _Atomic uint32_t opened;   /* the barrier was */
    _Atomic int64_t started_at, started_utc;
    _Atomic uint32_t active;     /* nodes attached and not closed */
    _Atomic uint32_t sleepers;   /* of them, in a wait: about */
    _Atomic uint32_t echo_waits; /* the host, for room on an edge */
    _Atomic uint32_t
        debugger;          /* whose turn it is, see terminal.c; 0: nobody's */
    _Atomic int64_t clock; /* see terminal.h */
    _Atomic uint32_t terminal;        /* the host's answer to `debugger` */
    _Atomic uint32_t turns;           /* of debuggers, so far */
    _Atomic int64_t resumed_at;       /* when the last of them went on */
    char culprit[DORA__FAILURE_SIZE]; /* written once, before FAILED */
};
_Static_assert(offsetof(struct dora__control, state) == 128, "format 1");
_Static_assert(sizeof(struct dora__control) == 704, "format 1");

/* Flags of a control file. */
enum { DORA__EXIT_WHEN_NODES_FINISH = 1 };

/* --- finding one's way --------------------------------------------------- */

static inline void *
dora__at(struct dora__control *control, uint64_t at)
{
    return (unsigned char *)control + at;
}

static inline struct dora__shared_node *
dora__node_of(struct dora__control *control, uint32_t node)
{
    return (struct dora__shared_node *)dora__at(control, control->nodes_at) +
           node;
}

static inline struct dora__output *
dora__output_of(struct dora__control *control, uint32_t output)
{
    return (struct dora__output *)dora__at(control, control->outputs_at) +
           output;
}

static inline struct dora__edge *
dora__edge_of(struct dora__control *control, uint32_t edge)
{
    return (struct dora__edge *)dora__at(control, control->edges_at) + edge;
}

/* The other edge of its input, once; NULL. */
static inline struct dora__edge *
dora__edge_twin(struct dora__control *control, const struct dora__edge *edge)
{
    return edge->twin != (uint32_t)DORA__NONE
               ? dora__edge_of(control, edge->twin)
               : NULL;
}

static inline struct dora__record *
dora__record_of(struct dora__control *control, uint32_t record)
{
    return (struct dora__record *)dora__at(control, control->records_at) +
           record;
}

static inline _Atomic uint32_t *
dora__slots_of(struct dora__control *control, const struct dora__edge *edge,
               unsigned ring)
{
    return (_Atomic uint32_t *)dora__at(control, edge->slots_at) +
           (size_t)ring * (edge->slot_mask + (size_t)1);
}

/* Of an output's `holders` and `mask`. */
static inline uint64_t
dora__record_bit(uint32_t bit)
{
    return UINT64_C(1) << bit;
}

static inline char *
dora__failure_of(struct dora__control *control, uint32_t node)
{
    return (char *)dora__at(control, control->failures_at) +
           (size_t)node * DORA__FAILURE_SIZE;
}

static inline const char *
dora__text_at(const struct dora__control *control, uint64_t at)
{
    return (const char *)control + at;
}

/* Bytes that all heaps together have backed. A sum over the nodes: a total of
 * its own would be wrong for good after a death between two additions. */
static inline uint64_t
dora__backed(struct dora__control *control)
{
    uint64_t sum = 0;

    for (uint32_t node = 0; node < control->node_count; node++)
        sum += atomic_load_explicit(&dora__node_of(control, node)->backed,
                                    memory_order_relaxed);
    return sum;
}

static inline unsigned
dora__edge_rings(const struct dora__edge *edge)
{
    return edge->flags & DORA__EDGE_TWO_RINGS ? 2 : 1;
}

#endif
