/* node_host.c - a node whose process was not started by its host: a line to the
 * host tells when the dataflow is over.
 *
 * When the host is killed, its other nodes are killed with it; this one lives
 * on, perhaps in a wait that nobody would end. So a thread of its own sleeps
 * until the line's other end closes, which the kernel does for a dead host too,
 * and then says stop where every wait looks. It costs nothing until then.
 *
 * A forked child has neither the thread nor a say: it only closes its copy. */
#include "node_private.h"

#include "plane/bell.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

/* The host had no time to say more. */
static void
stop(struct dora_node *node)
{
    _Atomic uint32_t *state = &node->control->state;
    uint32_t found = DORA__FLOW_WAITING;

    if (!atomic_compare_exchange_strong_explicit(
            state, &found, DORA__FLOW_STOPPING, memory_order_seq_cst,
            memory_order_relaxed) &&
        found == DORA__FLOW_RUNNING)
        (void)atomic_compare_exchange_strong_explicit(
            state, &found, DORA__FLOW_STOPPING, memory_order_seq_cst,
            memory_order_relaxed);
    dora__bell_ring_always(&node->shared->bell);
}

static void *
watch(void *arg)
{
    struct dora_node *node = arg;
    struct pollfd line = {.fd = node->line.fd, .events = POLLRDHUP};

    while (poll(&line, 1, -1) < 0 && errno == EINTR)
        continue;
    if (!atomic_load_explicit(&node->line.leaving, memory_order_relaxed))
        stop(node);
    return NULL;
}

int
dora__node_set_host(struct dora_node *node, int fd, struct dora_error *err)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    int code;

    node->line.fd = fd;
    node->log_fd = fd;
    (void)sigfillset(&all);
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setstacksize(&attributes,
                                    (size_t)16 * PTHREAD_STACK_MIN);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    code = pthread_create(&node->line.watch, &attributes, watch, node);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    if (code == 0)
        return 0;
    dora__close_fd(&node->line.fd);
    node->line.fd = -1;
    node->log_fd = STDOUT_FILENO;
    return dora__fail(err, code, "cannot watch the dataflow's host: %s",
                      strerror(code));
}

bool
dora__node_is_dynamic(const struct dora_node *node)
{
    return node->line.fd >= 0;
}

void
dora__line_fini(struct dora_node *node)
{
    if (node->line.fd < 0)
        return;
    if (dora__node_alive(node)) {
        atomic_store_explicit(&node->line.leaving, true, memory_order_relaxed);
        (void)shutdown(node->line.fd, SHUT_RDWR); /* wakes the thread */
        (void)pthread_join(node->line.watch, NULL);
    }
    (void)close(node->line.fd);
}
