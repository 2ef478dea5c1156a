/* plan.h - what will be made for a graph: memory, queues, limits. Arithmetic
 * only; opens nothing. Every size a user can influence has its limit here. */
#ifndef DORA_PLAN_H
#define DORA_PLAN_H

#include "graph.h"

enum {
    DORA__MAX_NODES = 4096,
    DORA__MAX_SUBSCRIBERS = 63, /* of one output: bits 1..63 of holders */
    DORA__MAX_QUEUE = 1 << 20,
    DORA__QUEUE_DEFAULT = 10,
    DORA__MIN_PERIOD_NS = 10000, /* of a timer: shorter ones are busy loops */
    DORA__MAX_OUTPUTS = 1 << 14,
    DORA__MAX_INPUTS = 1 << 16,      /* of a dataflow */
    DORA__MAX_CORE = (1 << 16) - 1,  /* number in `cpu_affinity` */
    DORA__MAX_ENV = 1024,            /* variables in one `env` */
    DORA__ALL_ENV_TEXT = 64 << 20,   /* bytes of all nodes' variables */
    DORA__RECORDS_DEFAULT = 1 << 16, /* of one output among few, ... */
    DORA__RECORDS_LEAST = 1 << 10,   /* ... and among many */
    DORA__MAX_RECORDS = 1 << 22,     /* of one output with long queues */
    DORA__SPARE_RECORDS = 1 << 20,   /* what outputs among few share */
    DORA__ALL_RECORDS = 1 << 24,     /* of a dataflow: 24 bits of an intent */
};

#define DORA__HEALTH_INTERVAL_NS INT64_C(5000000000) /* by default */

/* What the machine allows; read by the caller (machine.c), so that planning
 * stays pure. 0: unknown or unlimited. */
struct dora__machine {
    uint64_t page_size;
    uint64_t memory;        /* bytes usable: RAM and cgroup limits, less use */
    uint64_t address_space; /* RLIMIT_AS */
    uint64_t file_size;     /* RLIMIT_FSIZE */
};

struct dora__plan_node {
    uint32_t first_input, input_count; /* in the plan's arrays */
    uint32_t first_output, output_count;
    uint64_t heap_at, heap_range; /* place in the heaps file, page multiples */
    uint64_t heap_limit;          /* bytes of the range in use at most */
    uint64_t prefault;            /* bytes made resident before the barrier */
    bool heap_wait;
};

struct dora__plan_output {
    uint32_t node;
    uint32_t first_record, record_limit; /* numbers of records it may use */
    uint32_t subscriber_count;
};

/* What the host sends for nodes: their lines and records. Each is an output of
 * one more node, the plan's last, which has no program. */
struct dora__plan_echo {
    bool lines, records;   /* of what: printed lines, log records */
    uint32_t about;        /* whose; DORA__EVERYBODY */
    uint32_t consumer;     /* `dora/logs`: who hears, but never of itself */
    enum dora_level level; /* `dora/logs`: this and worse only; 0: all */
};
#define DORA__EVERYBODY UINT32_MAX

struct dora__plan_input {
    uint32_t node, number; /* consumer, and place in its list */
    enum dora__input_kind kind;
    uint32_t output; /* not TIMER: number in the plan's outputs */
    uint32_t bit;    /* not TIMER: 1..63 of the output's holders */
    bool echo;       /* DATA: the output is the host's, about: */
    uint32_t about;  /* this node */
    uint32_t twin;   /* its second edge, if its source has echoes; 0 */
    uint32_t bound;
    uint32_t ring_slots; /* power of two >= bound */
    bool two_rings; /* ordinary and protected: where messages may be dropped */
    bool backpressure;
    int64_t period_ns; /* TIMER */
    int64_t timeout_ns;
};

struct dora__plan {
    const struct dora__graph *graph; /* kept */
    struct dora__plan_node *nodes;
    struct dora__plan_output *outputs;
    /* One edge per input; then, up to edge_count, the second ones of inputs
     * that get what their source sends and what it prints. */
    struct dora__plan_input *inputs;
    uint32_t node_count, output_count, input_count, edge_count, record_count;
    /* Of the host's node, number graph->node_count, if there are echoes; its
     * outputs are in the order of the echoes. */
    struct dora__graph_node host;
    struct dora__plan_echo *echoes;
    uint32_t echo_count;
    uint64_t heaps_size; /* of the file that holds all heaps */
    uint64_t budget;     /* bytes all heaps together may back with memory */
    bool exit_when_nodes_finish;
};

/* 0; -EINVAL: the graph asks for what cannot be made (all complaints to the
 * context's sink, with places); -ENOMEM. Release with dora__plan_fini. */
DORA_MUST_CHECK
int dora__plan_make(const struct dora__graph *graph,
                    const struct dora__machine *machine,
                    const struct dora__graph_context *context,
                    struct dora__plan *ret_plan, struct dora_error *err);
void dora__plan_fini(struct dora__plan *plan);

/* What there is to say of a node of the plan. */
static inline const struct dora__graph_node *
dora__plan_node_of(const struct dora__plan *plan, uint32_t number)
{
    return number < plan->graph->node_count ? &plan->graph->nodes[number]
                                            : &plan->host;
}

#endif
