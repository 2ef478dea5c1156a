/* callback.c - see callback.h.
 *
 * A body that never returns can be given up but not ended: its thread, its
 * mapping of the memory and this struct stay then, and nothing of the dataflow
 * is touched by it any more. `lock` decides between the two ends, "returned"
 * and "abandoned"; whoever comes second frees. */
#include "callback.h"
#include "node/node.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/* Python recurses on it; pages that are not touched cost nothing. */
enum { STACK_SIZE = 16 << 20 };

struct dora__callback {
    struct dora__callback_options options;
    pthread_t thread;
    pthread_mutex_t lock;
    _Atomic bool returned; /* written under lock */
    bool abandoned;
    int outputs[2]; /* of an abandoned one; -1 */
    struct dora__callback_result result;
};

static void
destroy(struct dora__callback *c)
{
    (void)pthread_mutex_destroy(&c->lock);
    dora__close_fd(&c->outputs[0]);
    dora__close_fd(&c->outputs[1]);
    free(c);
}

static void
take_usage(struct dora__callback_result *result)
{
    struct rusage usage;

    if (getrusage(RUSAGE_THREAD, &usage) < 0)
        return;
    result->user_ns =
        ((int64_t)usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec) *
        1000;
    result->system_ns =
        ((int64_t)usage.ru_stime.tv_sec * 1000000 + usage.ru_stime.tv_usec) *
        1000;
    result->voluntary_switches = usage.ru_nvcsw;
    result->involuntary_switches = usage.ru_nivcsw;
}

static int
attend(struct dora__callback *c, struct dora_node *node)
{
    struct dora__callback_result *result = &c->result;
    int code;

    dora__node_set_log(node, c->options.log_fd);
    do
        code = dora__node_join(node, -1, &result->error);
    while (code == -EINTR || code == -ETIMEDOUT);
    if (code < 0)
        return code;
    result->joined = true;
    return c->options.body(node, c->options.arg);
}

/* What nobody will collect. */
static void
release(struct dora__callback *c)
{
    if (c->options.guest != NULL)
        c->options.guest_class->free(c->options.guest);
    else
        dora__node_detach(c->result.node);
}

static void
finish(struct dora__callback *c)
{
    uint64_t one = 1;
    bool abandoned;

    (void)pthread_mutex_lock(&c->lock);
    abandoned = c->abandoned;
    /* Pairs with dora__callback_returned. */
    atomic_store_explicit(&c->returned, true, memory_order_release);
    if (!abandoned)
        (void)!write(c->options.wake_fd, &one, sizeof one);
    (void)pthread_mutex_unlock(&c->lock);
    if (abandoned) {
        release(c);
        destroy(c);
    }
}

static void
run_body(struct dora__callback *c)
{
    struct dora_node *node = NULL;
    int code =
        dora__node_attach(&c->options.attachment, &node, &c->result.error);

    if (code == 0)
        code = attend(c, node);
    c->result.held = node != NULL && dora__node_held(node);
    if (code == 0 || !c->result.joined)
        dora__node_detach(node); /* closes its outputs: a success */
    else
        c->result.node = node;
    (void)close(c->options.log_fd);
    c->result.code = code;
}

static void *
run(void *arg)
{
    struct dora__callback *c = arg;

    if (c->options.guest != NULL)
        c->options.guest_class->run(c->options.guest, &c->result.guest);
    else
        run_body(c);
    take_usage(&c->result);
    finish(c);
    return NULL;
}

/* The application's signals are for its own threads; a fault is for the one
 * that made it. */
static int
make_thread(struct dora__callback *c)
{
    static const int faults[] = {SIGSEGV, SIGBUS,  SIGFPE,
                                 SIGILL,  SIGTRAP, SIGABRT};
    sigset_t blocked, before;
    pthread_attr_t attributes;
    char name[16];
    int code;

    (void)snprintf(name, sizeof name, "%s", c->options.name);
    sigfillset(&blocked);
    for (size_t i = 0; i < DORA_COUNT(faults); i++)
        sigdelset(&blocked, faults[i]);
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
    (void)pthread_sigmask(SIG_SETMASK, &blocked, &before);
    code = pthread_create(&c->thread, &attributes, run, c);
    if (code == 0)
        (void)pthread_setname_np(c->thread, name);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    return code;
}

int
dora__callback_start(const struct dora__callback_options *options,
                     struct dora__callback **ret_callback)
{
    struct dora__callback *c = calloc(1, sizeof *c);
    int code;

    if (c == NULL)
        return -ENOMEM;
    c->options = *options;
    c->outputs[0] = c->outputs[1] = -1;
    (void)pthread_mutex_init(&c->lock, NULL);
    code = make_thread(c);
    if (code != 0) {
        destroy(c);
        return -code;
    }
    *ret_callback = c;
    return 0;
}

bool
dora__callback_returned(const struct dora__callback *c)
{
    /* Pairs with finish. */
    return atomic_load_explicit(&c->returned, memory_order_acquire);
}

void
dora__callback_collect(struct dora__callback *c,
                       struct dora__callback_result *ret_result)
{
    (void)pthread_join(c->thread, NULL);
    *ret_result = c->result;
    ret_result->left = c->options.guest;
    destroy(c);
}

void
dora__callback_abandon(struct dora__callback *c, const int outputs[static 2])
{
    bool returned;

    (void)pthread_detach(c->thread);
    (void)pthread_mutex_lock(&c->lock);
    c->abandoned = true;
    c->outputs[0] = outputs[0];
    c->outputs[1] = outputs[1];
    returned = atomic_load_explicit(&c->returned, memory_order_relaxed);
    (void)pthread_mutex_unlock(&c->lock);
    if (returned) {
        release(c);
        destroy(c);
    }
}

void
dora__callback_press(struct dora__callback *c, enum dora__guest_press how)
{
    c->options.guest_class->press(c->options.guest, how);
}
