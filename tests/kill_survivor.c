/* kill_survivor.c - see kill_survivor.h.
 *
 *     SOURCE.out ──► VICTIM.in            SOURCE.rest ══► SINK.rest
 *                └─► STOPPED.in           (waits: nothing may be missing)
 *     VICTIM.out ──► SINK.in              SINK.out ──► RELAY.other
 *                ├─► RELAY.in             RELAY.out ──► SOURCE.in
 *                └─► STOPPED.other        (all it gets, by reference)
 */
#include "kill_survivor.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>

enum { SOURCE_OUT, SOURCE_REST, VICTIM_OUT, SINK_OUT, RELAY_OUT }; /* outputs */
enum { REST = 1 }; /* of the sink's inputs, and of the source's outputs */

#define PACE (SECOND / 2000) /* between two sends */
/* What the victim gets comes in spells: who is stepped for 20 ms through the
 * taking of a message that a sender drops every 0.5 ms would never have one. */
#define SPELL (SECOND / 32)

struct survivor {
    struct yard *yard;
    struct post *post;
    uint32_t number;
    struct dora_node *node;
    struct dora_event kept[KEPT];
    unsigned turns;           /* of what is kept */
    uint64_t last[2][PLACES]; /* of each input, of each sender */
    uint64_t next[2];         /* of each output */
    int64_t due;
};

void
plan_field(struct flow *flow, unsigned flags)
{
    flow_begin(flow, PLACES, HEAP);
    flow_output(flow, SOURCE, "out", 256);
    flow_output(flow, SOURCE, "rest", 256);
    flow_output(flow, VICTIM, "out", 256);
    flow_output(flow, SINK, "out", 256);
    flow_output(flow, RELAY, "out", 256);
    flow_input(flow, SOURCE, "in", RELAY_OUT, 4, 0);
    flow_input(flow, VICTIM, "in", SOURCE_OUT, 3, flags);
    flow_input(flow, SINK, "in", VICTIM_OUT, 3, flags);
    flow_input(flow, SINK, "rest", SOURCE_REST, 8, FLOW_BACKPRESSURE);
    flow_input(flow, RELAY, "in", VICTIM_OUT, 3, 0);
    flow_input(flow, RELAY, "other", SINK_OUT, 4, 0);
    flow_input(flow, STOPPED, "in", SOURCE_OUT, 1, 0);
    flow_input(flow, STOPPED, "other", VICTIM_OUT, 1, 0);
}

static void
count(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

/* --- taking and keeping --------------------------------------------------- */

/* Looks at its bytes; again when it goes. */
static uint64_t
look_at(struct survivor *s, const struct dora_event *event)
{
    uint64_t number;

    count(&s->post->wrong, read_message(event, &number));
    return number;
}

static void
check_order(struct survivor *s, size_t input, uint64_t number)
{
    uint64_t *last = &s->last[input][(number >> 56) % PLACES];
    bool waited_for = s->number == SINK && input == REST;

    if (number <= *last || (waited_for && *last != 0 && number != *last + 1))
        count(&s->post->astray, 1);
    *last = number;
}

static void
let_go(struct survivor *s, unsigned at)
{
    if (atomic_load_explicit(&s->post->kept[at], memory_order_relaxed) == 0)
        return;
    (void)look_at(s, &s->kept[at]);
    atomic_store_explicit(&s->post->kept[at], 0, memory_order_release);
    dora_sample_unref(s->kept[at].sample);
}

static void
keep(struct survivor *s, const struct dora_event *event)
{
    unsigned at = s->turns++ % KEPT;

    let_go(s, at);
    s->kept[at] = *event;
    atomic_store_explicit(&s->post->kept[at],
                          dora__sample_offset(event->sample) + 1,
                          memory_order_release);
}

/* The next message; news are passed over. */
static bool
hear(struct survivor *s, int64_t timeout, struct dora_event *event)
{
    int r;

    do
        r = dora_node_next(s->node, timeout, event);
    while (r == 1 && event->type != DORA_EVENT_INPUT);
    if (r == -EPIPE)
        _exit(5); /* some input of everybody's is open */
    if (r != 1)
        return false;
    check_order(s, event->input, look_at(s, event));
    count(&s->post->taken, 1);
    return true;
}

/* --- sending ---------------------------------------------------------------
 */

static void
check_sent(struct survivor *s, int result)
{
    if (result < 0 && result != -ETIMEDOUT)
        count(&s->post->astray, 1);
}

static void
speak(struct survivor *s)
{
    if (s->number != SOURCE && s->number != SINK)
        return;
    /* Those who did not have to be waited for have it. */
    if (s->number == SINK || dora__now() / SPELL % 2)
        check_sent(s, send_message(s->node, 0, s->next[0]++, PLAIN, 0));
    if (s->number == SOURCE) {
        int r = send_message(s->node, REST, s->next[REST], PLAIN, 0);

        check_sent(s, r);
        s->next[REST] += r == 0;
    }
}

/* --- life ------------------------------------------------------------------
 */

static void
turn(struct survivor *s)
{
    struct dora_event event;
    int64_t now = dora__now();

    if (hear(s, s->due > now ? s->due - now : 0, &event)) {
        if (s->number == RELAY)
            check_sent(s, dora_node_forward(s->node, 0, event.sample, 0,
                                            event.data_size, NULL, 0, NULL));
        keep(s, &event);
    }
    if (dora__now() >= s->due) {
        speak(s);
        s->due = dora__now() + PACE;
    }
}

static void
meet(struct survivor *s)
{
    (void)pthread_barrier_wait(&s->yard->meeting);
}

static void
end(struct survivor *s)
{
    struct dora_event event;
    struct dora_loan *loan;

    meet(s);
    for (unsigned at = 0; at < KEPT; at++)
        let_go(s, at);
    while (hear(s, 0, &event))
        dora_sample_unref(event.sample);
    meet(s);
    if (s->number != STOPPED &&
        dora_node_loan(s->node, 0, HEAP, NULL, 0, &loan, NULL) == 0)
        dora_loan_drop(loan);
    meet(s);
    dora__node_detach(s->node);
    _exit(0);
}

_Noreturn void
survive(struct flow *flow, struct yard *yard, uint32_t number)
{
    struct survivor s = {
        .yard = yard,
        .post = &yard->posts[number],
        .number = number,
        .next = {first_number(number, 0), first_number(number, 0)}};

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)alarm(0);
    go_anywhere();
    s.node = flow_attach(flow, number);
    if (dora__node_join(s.node, -1, NULL) < 0)
        _exit(2);
    for (;;) {
        switch (atomic_load_explicit(&yard->command, memory_order_acquire)) {
        case RUN:
            turn(&s);
            break;
        case AUDIT:
            meet(&s);
            meet(&s);
            break;
        default:
            end(&s);
        }
    }
}
