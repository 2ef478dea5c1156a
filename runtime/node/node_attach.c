/* node_attach.c - a process becomes a node, and stops being it.
 *
 * 1. The memory stays mapped until the last sample and loan are gone, whatever
 *    happens to the node.
 * 2. A forked child is nobody. It must not send, pop or release: what it has is
 *    its parent's. A generation that the child's fork handler counts up makes
 *    every node of the process an orphan at once, without a list of nodes.
 * 3. One process at a time is a node: who finds it ABSENT. */
#include "node_private.h"

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

/* --- detach -------------------------------------------------------------- */

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
