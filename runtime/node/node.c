/* node.c - a node's life: attach, join, close, detach.
 *
 *     ABSENT -> ATTACHED   memory mapped         [dora__node_attach]
 *     ATTACHED -> READY    waits at the barrier  [dora__node_join]
 *     any -> CLOSED        no more sends         [dora__node_close]
 *     any -> ABSENT        died, will restart    [dora__plane_node_died]
 *     any -> CLOSED        died                  [dora__plane_node_died]
 *
 * 1. The memory stays mapped until the last sample and loan are gone, whatever
 *    happens to the node.
 * 2. A forked child is nobody. It must not send, pop or release: what it has is
 *    its parent's. A generation that the child's fork handler counts up makes
 *    every node of the process an orphan at once, without a list of nodes. */
#include "node_private.h"
#include "plane/terminal.h"

#include "plane/segment.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>

/* --- forks --------------------------------------------------------------- */

static _Atomic uint32_t fork_generation;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void
count_fork(void)
{
    atomic_fetch_add_explicit(&fork_generation, 1, memory_order_relaxed);
}

static void
watch_forks(void)
{
    (void)pthread_atfork(NULL, NULL, count_fork);
}

bool
dora__node_alive(const struct dora_node *node)
{
    return node->fork_generation ==
               atomic_load_explicit(&fork_generation, memory_order_relaxed) &&
           !atomic_load_explicit(&node->orphan, memory_order_relaxed);
}

void
dora__node_orphan(struct dora_node *node)
{
    atomic_store_explicit(&node->orphan, true, memory_order_relaxed);
}

/* --- attach -------------------------------------------------------------- */

static int
map_control(struct dora_node *node, const struct dora__attachment *attachment,
            struct dora_error *err)
{
    struct stat stat;
    void *memory;
    int failed;

    if (fstat(attachment->control_fd, &stat) < 0)
        return dora__fail(err, errno, "cannot attach to the dataflow: %s",
                          strerror(errno));
    if ((uint64_t)stat.st_size < sizeof(struct dora__control))
        return dora__fail(err, EPROTO, "this is not a dataflow's memory");
    failed = dora__segment_map(attachment->control_fd, 0, (size_t)stat.st_size,
                               DORA__RIGHTS_WRITE, &memory, err);
    if (failed < 0)
        return failed;
    node->control = memory;
    node->control_size = (size_t)stat.st_size;
    if (node->control->magic != DORA__MAGIC ||
        node->control->format != DORA__FORMAT ||
        node->control->size != node->control_size)
        return dora__fail(err, EPROTO,
                          "the dataflow's memory is of another version");
    if (attachment->node >= node->control->node_count)
        return dora__fail(err, EINVAL, "the dataflow has no node %u",
                          attachment->node);
    node->number = attachment->node;
    node->shared = dora__node_of(node->control, node->number);
    return 0;
}

static int
map_heaps(struct dora_node *node, const struct dora__attachment *attachment,
          struct dora_error *err)
{
    int failed = dora__window_map(attachment->heaps_ro_fd, 0,
                                  (size_t)node->control->heaps_size, false,
                                  &node->all_heaps, err);

    if (failed < 0)
        return failed;
    node->heaps = node->all_heaps.memory;
    node->own_at = node->shared->heap_at;
    node->own_size = (size_t)node->shared->heap_range;
    if (node->own_size == 0)
        return 0;
    failed = dora__window_map(attachment->heaps_fd, node->own_at,
                              node->own_size, true, &node->own_heap, err);
    node->own = node->own_heap.memory;
    return failed;
}

static int
keep_descriptors(struct dora_node *node,
                 const struct dora__attachment *attachment,
                 struct dora_error *err)
{
    node->control_fd = fcntl(attachment->control_fd, F_DUPFD_CLOEXEC, 3);
    node->heaps_fd = fcntl(attachment->heaps_fd, F_DUPFD_CLOEXEC, 3);
    node->doorbell_fd = fcntl(attachment->doorbell_fd, F_DUPFD_CLOEXEC, 3);
    if (node->control_fd < 0 || node->heaps_fd < 0 || node->doorbell_fd < 0)
        return dora__fail(err, errno, "cannot attach to the dataflow: %s",
                          strerror(errno));
    return 0;
}

/* ABSENT -> ATTACHED; then this process owns the node. */
static int
claim(struct dora_node *node, struct dora_error *err)
{
    uint32_t found = DORA__NODE_ABSENT;

    /* Pairs with the release of dora__plane_node_died. */
    if (!atomic_compare_exchange_strong_explicit(
            &node->shared->state, &found, DORA__NODE_ATTACHED,
            memory_order_acq_rel, memory_order_relaxed))
        return dora__fail(err, EBUSY,
                          "node '%s' is already part of the dataflow",
                          dora_node_id(node));
    node->incarnation = atomic_fetch_add_explicit(&node->shared->incarnation, 1,
                                                  memory_order_relaxed) +
                        1;
    atomic_fetch_add_explicit(&node->control->active, 1, memory_order_relaxed);
    return 0;
}

static void
unclaim(struct dora_node *node)
{
    atomic_fetch_sub_explicit(&node->shared->incarnation, 1,
                              memory_order_relaxed);
    atomic_fetch_sub_explicit(&node->control->active, 1, memory_order_relaxed);
    atomic_store_explicit(&node->shared->state, DORA__NODE_ABSENT,
                          memory_order_release);
}

static unsigned
count_cores(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof set, &set) == 0
               ? (unsigned)CPU_COUNT(&set)
               : 1;
}

static void
destroy(struct dora_node *node)
{
    dora__line_fini(node);
    dora__inputs_fini(node);
    dora__samples_fini(node);
    dora__loans_fini(node);
    dora__window_unmap(&node->own_heap);
    dora__window_unmap(&node->all_heaps);
    dora__segment_unmap(node->control, node->control_size);
    dora__close_fd(&node->control_fd);
    dora__close_fd(&node->heaps_fd);
    dora__close_fd(&node->doorbell_fd);
    (void)pthread_mutex_destroy(&node->send);
    (void)pthread_mutex_destroy(&node->receive);
    free(node);
}

int
dora__node_attach(const struct dora__attachment *attachment,
                  struct dora_node **ret_node, struct dora_error *err)
{
    struct dora_node *node =
        aligned_alloc(_Alignof(struct dora_node), sizeof *node);
    int failed;

    if (node == NULL)
        return dora__fail(err, ENOMEM, "no memory for a node");
    memset(node, 0, sizeof *node);
    node->control_fd = node->heaps_fd = node->doorbell_fd = -1;
    node->log_fd = STDOUT_FILENO;
    node->line.fd = -1;
    atomic_init(&node->users, 1);
    (void)pthread_mutex_init(&node->send, NULL);
    (void)pthread_mutex_init(&node->receive, NULL);
    (void)pthread_once(&fork_once, watch_forks);
    node->fork_generation =
        atomic_load_explicit(&fork_generation, memory_order_relaxed);
    node->cores = count_cores();
    failed = map_control(node, attachment, err);
    if (failed == 0)
        failed = map_heaps(node, attachment, err);
    if (failed == 0)
        failed = keep_descriptors(node, attachment, err);
    if (failed == 0)
        failed = dora__inputs_init(node, err);
    if (failed == 0)
        failed = claim(node, err);
    if (failed == 0) {
        failed = dora__loans_init(node, err);
        if (failed < 0)
            unclaim(node);
    }
    if (failed < 0) {
        destroy(node);
        return failed;
    }
    *ret_node = node;
    return 0;
}

/* --- join ---------------------------------------------------------------- */

void
dora__node_ring_host(const struct dora_node *node)
{
    const uint64_t one = 1;
    ssize_t written = write(node->doorbell_fd, &one, sizeof one);

    (void)written; /* a full counter is a ring as well */
}

/* 1: the barrier is open; 0: wait. */
static int
barrier(const struct dora_node *node, struct dora_error *err)
{
    struct dora__control *control = node->control;

    /* Pair with the releases of dora__plane_open and dora__plane_admit. */
    if (atomic_load_explicit(&control->opened, memory_order_acquire) &&
        !atomic_load_explicit(&node->shared->apart, memory_order_acquire))
        return 1;
    switch (atomic_load_explicit(&control->state, memory_order_acquire)) {
    case DORA__FLOW_FAILED:
        return dora__fail(err, ECANCELED,
                          "subscribe failed: node `%s` ended before it joined "
                          "the dataflow by calling Node(); see its lines in "
                          "the log",
                          control->culprit);
    case DORA__FLOW_STOPPING:
        return dora__fail(err, ECANCELED,
                          "the dataflow was stopped before it started");
    case DORA__FLOW_OVER:
        return dora__fail(err, ECANCELED, "the dataflow has ended");
    default:
        return 0;
    }
}

/* Whether a producer feeds the input, and none before it. */
static bool
feeds_first(const struct dora_node *node, uint32_t input)
{
    uint32_t producer = node->ins[input].edge->producer;

    for (uint32_t i = 0; i < input; i++)
        if (node->ins[i].edge->producer == producer)
            return false;
    return producer != (uint32_t)DORA__NONE;
}

/* What producers keep warm is read without a page fault from the first message
 * on. They have backed it before they came to the barrier. */
static void
warm_up(struct dora_node *node)
{
    if (atomic_exchange_explicit(&node->warm, true, memory_order_relaxed))
        return;
    for (uint32_t i = 0; i < node->in_count; i++) {
        if (!feeds_first(node, i))
            continue;

        const struct dora__shared_node *source =
            dora__node_of(node->control, node->ins[i].edge->producer);
        uint64_t backed =
            atomic_load_explicit(&source->backed, memory_order_relaxed);

        uint64_t size = source->prefault < backed ? source->prefault : backed;

        if (size == 0)
            continue;
        dora__window_open(&node->all_heaps, source->heap_at, size);
        dora__segment_populate_read(node->heaps + source->heap_at, size);
    }
}

int
dora__node_join(struct dora_node *node, int64_t timeout_ns,
                struct dora_error *err)
{
    int64_t deadline = dora__deadline(timeout_ns);
    uint32_t found = DORA__NODE_ATTACHED;

    if (!dora__node_alive(node))
        return dora__fail(err, ECHILD,
                          "a forked child cannot use its parent's node");
    if (atomic_load_explicit(&node->closed, memory_order_relaxed))
        return dora__fail(err, EPIPE, "the node is closed");
    /* Outlives READY, which CLOSED follows. Pairs with the acquire of
     * dora__plane_node_joined. */
    atomic_store_explicit(&node->shared->joined, 1, memory_order_release);
    if (atomic_compare_exchange_strong_explicit(
            &node->shared->state, &found, DORA__NODE_READY,
            memory_order_release, memory_order_relaxed))
        dora__node_ring_host(node);
    for (;;) {
        uint32_t word = dora__bell_arm(&node->shared->bell);
        int open = barrier(node, err);

        if (open < 0)
            return open;
        if (open > 0)
            break;
        open = dora__bell_sleep(&node->shared->bell, word, deadline);
        if (open < 0)
            return dora__fail(err, -open, "the dataflow has not started yet");
    }
    warm_up(node);
    return 0;
}

/* --- close and detach ---------------------------------------------------- */

static void
close_edges(struct dora_node *node, const struct dora__output *output)
{
    int64_t now = dora__now();

    for (unsigned bit = 1; bit < DORA_COUNT(output->edge); bit++) {
        struct dora__edge *edge;

        if (output->edge[bit] == (uint32_t)DORA__NONE)
            continue;
        edge = dora__edge_of(node->control, output->edge[bit]);
        if ((edge->flags & DORA__EDGE_LASTING) ||
            atomic_load_explicit(&edge->state, memory_order_relaxed) !=
                DORA__EDGE_OPEN)
            continue;
        atomic_store_explicit(&edge->closed_time, now, memory_order_relaxed);
        /* After the last tail; pairs with the consumer's load before its
         * look. */
        atomic_store_explicit(&edge->state, DORA__EDGE_CLOSED,
                              memory_order_release);
    }
}

static void
ring_consumers(struct dora_node *node, const struct dora__output *output)
{
    for (unsigned bit = 1; bit < DORA_COUNT(output->edge); bit++)
        if (output->edge[bit] != (uint32_t)DORA__NONE)
            dora__bell_ring(
                &dora__node_of(
                     node->control,
                     dora__edge_of(node->control, output->edge[bit])->consumer)
                     ->bell);
}

/* Those who wait for room here need not wait any more. */
static void
ring_producers(struct dora_node *node)
{
    for (uint32_t i = 0; i < node->in_count; i++)
        if (node->ins[i].edge->producer != (uint32_t)DORA__NONE)
            dora__bell_ring(
                &dora__node_of(node->control, node->ins[i].edge->producer)
                     ->bell);
}

void
dora__node_close(struct dora_node *node)
{
    if (!dora__node_alive(node))
        return;
    (void)pthread_mutex_lock(&node->send);
    if (atomic_exchange_explicit(&node->closed, true, memory_order_relaxed)) {
        (void)pthread_mutex_unlock(&node->send);
        return;
    }
    dora__gate_enter(node->shared);
    for (uint32_t i = 0; i < node->out_count; i++)
        close_edges(node, node->outs[i].shared);
    dora__gate_leave(node->shared);
    (void)pthread_mutex_unlock(&node->send);
    atomic_store_explicit(&node->shared->state, DORA__NODE_CLOSED,
                          memory_order_release);
    atomic_fetch_sub_explicit(&node->control->active, 1, memory_order_relaxed);
    for (uint32_t i = 0; i < node->out_count; i++)
        ring_consumers(node, node->outs[i].shared);
    ring_producers(node);
    dora__bell_ring(&node->shared->bell);
    dora__node_ring_host(node);
}

void
dora__node_unuse(struct dora_node *node)
{
    /* Release what was done with it; acquire all of it before it goes. */
    if (atomic_fetch_sub_explicit(&node->users, 1, memory_order_acq_rel) == 1)
        destroy(node);
}

void
dora__node_detach(struct dora_node *node)
{
    if (node == NULL)
        return;
    dora__node_close(node);
    dora__node_unuse(node);
}

bool
dora__node_held(const struct dora_node *node)
{
    return atomic_load_explicit(&node->users, memory_order_relaxed) > 1;
}

/* --- questions ----------------------------------------------------------- */

const char *
dora_node_id(const struct dora_node *node)
{
    return dora__text_at(node->control, node->shared->id);
}

const char *
dora__node_config(const struct dora_node *node)
{
    return dora__text_at(node->control, node->shared->config);
}

const char *
dora__node_descriptor(const struct dora_node *node)
{
    return dora__text_at(node->control, node->control->descriptor);
}

const char *
dora__node_dataflow_id(const struct dora_node *node)
{
    return dora__text_at(node->control, node->control->id);
}

unsigned
dora__node_restart_count(const struct dora_node *node)
{
    return node->incarnation - 1;
}

size_t
dora__node_input_count(const struct dora_node *node)
{
    return node->shared->input_count;
}

size_t
dora__node_output_count(const struct dora_node *node)
{
    return node->out_count;
}

const char *
dora__node_output_id(const struct dora_node *node, size_t output)
{
    return dora__text_at(node->control, node->outs[output].shared->id);
}

int
dora_node_output(struct dora_node *node, const char *id)
{
    for (uint32_t i = 0; i < node->out_count; i++)
        if (strcmp(dora__node_output_id(node, i), id) == 0)
            return (int)i;
    return -ENOENT;
}

bool
dora__node_heard(struct dora_node *node, int output)
{
    if (output < 0 || (uint32_t)output >= node->out_count)
        return false;
    if (atomic_load_explicit(&node->outs[output].shared->mask,
                             memory_order_relaxed) != 0)
        return true;
    atomic_fetch_add_explicit(&node->shared->unheard, 1, memory_order_relaxed);
    return false;
}

int
dora__node_take_terminal(struct dora_node *node, int64_t timeout_ns)
{
    if (dora__node_stopping(node))
        return -ECANCELED;
    return dora__terminal_take(node->control, node->number, node->doorbell_fd,
                               dora__deadline(timeout_ns));
}

void
dora__node_return_terminal(struct dora_node *node)
{
    if (dora__terminal_return(node->control, node->number))
        dora__node_ring_host(node);
}

bool
dora__node_stopping(const struct dora_node *node)
{
    uint32_t state =
        atomic_load_explicit(&node->control->state, memory_order_acquire);

    return state == DORA__FLOW_STOPPING || state == DORA__FLOW_FAILED ||
           state == DORA__FLOW_OVER;
}
