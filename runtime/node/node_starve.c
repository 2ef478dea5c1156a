/* node_starve.c - a producer without memory: who holds it, and the wait.
 *
 * 1. Consumers ring when they see that a producer starves: `starved` is set
 *    before it looks for memory once more and goes to sleep.
 * 2. Memory that others than nodes have comes back without a bell: then it
 *    looks again from time to time.
 * 3. A wait that is long names the holders, one line for all threads. */
#include "node_private.h"

#include "plane/plane_holders.h"

/* A wait for memory that is worth a word, and the time between two. */
#define PATIENCE ((int64_t)1000000000)
#define SAY_AGAIN (10 * PATIENCE)
#define LOOK_AGAIN (PATIENCE / 10)

/* --- who holds it -------------------------------------------------------- */

static void
describe_shortage(struct dora_node *node, const struct dora__wish *wish,
                  struct dora__text *out)
{
    const struct dora__shared_node *shared = node->shared;
    const struct dora__out *output = &node->outs[wish->output];
    uint32_t messages;
    bool squeezed;
    size_t before;

    (void)pthread_mutex_lock(&node->send);
    messages = output->entry_count - output->lists[DORA__FREE].count;
    squeezed = node->squeezed;
    (void)pthread_mutex_unlock(&node->send);
    dora__text_printf(
        out,
        "no memory for %zu bytes on output '%s': %.1f of %.1f MB in use (all "
        "nodes: %.1f of %.1f MB), %u of %u messages; held by ",
        wish->size, dora__node_output_id(node, (size_t)wish->output),
        (double)atomic_load_explicit(&shared->used, memory_order_relaxed) / 1e6,
        (double)shared->heap_limit / 1e6,
        (double)dora__backed(node->control) / 1e6,
        (double)node->control->budget / 1e6, messages,
        output->shared->record_limit);
    before = out->size;
    dora__holders_line(node->control, node->number, out);
    if (out->size == before)
        dora__text_puts(out, "nobody");
    if (squeezed)
        dora__text_puts(out, "; the machine, or a control group of this "
                             "process, has hardly any memory left");
}

int
dora__starve_fail(struct dora_node *node, const struct dora__wish *wish,
                  struct dora_error *err)
{
    struct dora__text text = {0};
    int code;

    describe_shortage(node, wish, &text);
    code = dora__fail(err, ENOSPC, "%s",
                      text.failed ? "no memory for a message" : text.text);
    free(text.text);
    return code;
}

/* At most one line in SAY_AGAIN, however many threads wait. */
static bool
may_say(struct dora_node *node)
{
    int64_t now = dora__now();
    bool may;

    (void)pthread_mutex_lock(&node->send);
    may = node->starved_said == 0 || now - node->starved_said >= SAY_AGAIN;
    if (may)
        node->starved_said = now;
    (void)pthread_mutex_unlock(&node->send);
    return may;
}

static void
say_waiting(struct dora_node *node, const struct dora__wish *wish)
{
    struct dora__text text = {0};

    if (!may_say(node))
        return;
    dora__text_puts(&text, "waiting for memory: ");
    describe_shortage(node, wish, &text);
    if (!text.failed)
        dora_node_log(node, DORA_LEVEL_WARN, NULL, text.text);
    free(text.text);
}

/* --- waiting for memory -------------------------------------------------- */

void
dora__starve(struct dora_node *node, bool begin)
{
    (void)pthread_mutex_lock(&node->send);
    node->starving += begin ? 1 : UINT32_MAX;
    /* Pairs with the fence of a consumer's release, by dora__bell_arm's. */
    atomic_store_explicit(&node->shared->starved, node->starving > 0,
                          memory_order_seq_cst);
    (void)pthread_mutex_unlock(&node->send);
}

/* Until the bell rings, or a moment where others than nodes have the memory:
 * they ring no bell. */
static int
sleep_until_freed(struct dora_node *node, uint32_t word, int64_t deadline)
{
    int64_t again = dora__now() + LOOK_AGAIN;
    bool squeezed;
    int failed;

    (void)pthread_mutex_lock(&node->send);
    squeezed = node->squeezed;
    (void)pthread_mutex_unlock(&node->send);
    if (!squeezed || (deadline >= 0 && deadline < again))
        return dora__node_sleep(node, word, deadline);
    failed = dora__node_sleep(node, word, again);
    return failed == -ETIMEDOUT ? 0 : failed;
}

int
dora__starve_sleep(struct dora_node *node, const struct dora__wish *wish,
                   uint32_t word, int64_t begun, int64_t deadline)
{
    int64_t speak = begun + PATIENCE;
    int failed = -ETIMEDOUT;

    if (dora__now() < speak && (deadline < 0 || speak < deadline)) {
        failed = dora__node_sleep(node, word, speak);
        if (failed != -ETIMEDOUT)
            return failed;
    }
    if (deadline < 0 || speak < deadline)
        say_waiting(node, wish);
    return sleep_until_freed(node, word, deadline);
}
