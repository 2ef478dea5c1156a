/* kill_test.c - a participant may die after any instruction.
 *
 *     kill_test              at some instructions of each scenario
 *     kill_test all [NAME]   at every one (ten minutes), or of one scenario
 *
 * The victim is a process of its own that attaches a node, prepares, stops
 * itself (the window begins), does one thing and stops itself again (the window
 * ends). It is single-stepped k instructions into the window and killed; in
 * half of the runs the survivors act while it hangs there. Then the host deals
 * with the death, with and without a restart, and everything is looked at: the
 * bytes and the order of what arrives, the counters of every edge, and that
 * every block comes back. */
#include "flow.h"
#include "layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

enum {
    NODES = 3,
    HEAP = 1 << 20,
    SAMPLES = 7, /* kills of a scenario in the short form */
    HELD = 8,
};

struct world {
    const struct scenario *scenario;
    struct flow flow;
    struct dora_node *nodes[NODES];     /* NULL: the victim's */
    uint64_t next[NODES];               /* number of each node's next message */
    uint64_t first[NODES], last[NODES]; /* seen by each node since `mark` */
    uint64_t seen[NODES];
    struct dora_sample *held[HELD]; /* by survivors */
    struct dora_event held_events[HELD];
    size_t held_count;
};

/* A participant of the window, in the process of the victim. */
struct victim {
    struct flow *flow;
    uint32_t number;
    struct dora_node *node;
    struct dora_loan *loan;
    struct dora_event event;
    uint64_t next;
};

struct scenario {
    const char *name;
    uint32_t victim;
    bool unattached; /* the victim attaches in its window */
    bool coarse;     /* a long window: a thousand instructions do */
    void (*plan)(struct flow *flow);
    void (*before)(struct world *w); /* survivors, before the victim begins */
    void (*prepare)(struct victim *v);
    void (*arrange)(struct world *w); /* survivors, before the window */
    void (*window)(struct victim *v);
    void (*meanwhile)(struct world *w); /* survivors, at instruction k */
    void (*after)(struct world *w, bool restarted);
};

/* --- messages ------------------------------------------------------------- */

static size_t
size_of_message(uint64_t number)
{
    return 8 + number * 37 % 300;
}

static void
write_message(unsigned char *bytes, uint64_t number)
{
    memcpy(bytes, &number, sizeof number);
    for (size_t i = 8; i < size_of_message(number); i++)
        bytes[i] = (unsigned char)(number * 31 + i);
}

static uint64_t
read_message(const struct dora_event *event)
{
    const unsigned char *bytes = event->data;
    uint64_t number;

    assert_true(event->data_size >= sizeof number);
    memcpy(&number, bytes, sizeof number);
    assert_int_equal(event->data_size, size_of_message(number));
    for (size_t i = 8; i < event->data_size; i++)
        assert_int_equal(bytes[i], (unsigned char)(number * 31 + i));
    return number;
}

enum kind {
    PLAIN,
    PROTECTED,
    FLUSH,
};

static void
make_metadata(struct dora_metadata *metadata, enum kind kind)
{
    *metadata = (struct dora_metadata){.bytes = NULL};
    if (kind == PROTECTED)
        (void)dora_metadata_string(metadata, "request_id", 10, "1", 1);
    if (kind == FLUSH)
        (void)dora_metadata_bool(metadata, "flush", 5, true);
}

static struct dora_loan *
loan_message(struct dora_node *node, uint64_t number, enum kind kind)
{
    struct dora_metadata metadata;
    struct dora_loan *loan;

    make_metadata(&metadata, kind);
    if (dora_node_loan(node, 0, size_of_message(number), metadata.bytes,
                       metadata.size, &loan, NULL) < 0)
        return NULL;
    write_message(dora_loan_data(loan), number);
    dora_metadata_fini(&metadata);
    return loan;
}

static int
send_message(struct dora_node *node, uint64_t number, enum kind kind)
{
    struct dora_loan *loan = loan_message(node, number, kind);
    int r;

    if (!loan)
        return -ENOMEM;
    r = dora_loan_send(loan, 0, NULL);
    dora_loan_drop(loan);
    return r;
}

/* --- survivors ------------------------------------------------------------ */

static void
survivor_sends(struct world *w, uint32_t node, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(send_message(w->nodes[node], w->next[node]++, PLAIN),
                         0);
}

/* The next message, if there is one; news are passed over. */
static bool
survivor_takes(struct world *w, uint32_t node, struct dora_event *event)
{
    uint64_t number;
    int r;

    do {
        r = dora_node_next(w->nodes[node], 0, event);
        if (r != 1)
            return false;
    } while (event->type != DORA_EVENT_INPUT);
    number = read_message(event);
    if (!w->seen[node]++)
        w->first[node] = number;
    else
        assert_true(number > w->last[node]);
    w->last[node] = number;
    return true;
}

static void
survivor_drains(struct world *w, uint32_t node)
{
    struct dora_event event;

    while (survivor_takes(w, node, &event))
        dora_sample_unref(event.sample);
}

static void
survivor_holds(struct world *w, uint32_t node)
{
    while (w->held_count < HELD &&
           survivor_takes(w, node, &w->held_events[w->held_count])) {
        w->held[w->held_count] = w->held_events[w->held_count].sample;
        w->held_count++;
    }
}

/* What is held is what it was, whoever died. */
static void
survivors_let_go(struct world *w)
{
    while (w->held_count) {
        (void)read_message(&w->held_events[--w->held_count]);
        dora_sample_unref(w->held[w->held_count]);
    }
}

/* --- what holds whatever happened ----------------------------------------- */

static void
check_counts(struct world *w)
{
    for (uint32_t i = 0; i < w->flow.plan.input_count; i++) {
        struct dora__edge_counts c = flow_counts(&w->flow, i);

        assert_int_equal(c.sent, c.delivered + c.dropped + c.queued);
        assert_true(c.shown + c.lost <= c.delivered);
        assert_true(c.queued <= w->flow.inputs[i].bound);
    }
}

static void
check_nobody_holds(struct world *w)
{
    struct dora__control *control = w->flow.plane.control;

    for (uint32_t i = 0; i < control->output_count; i++) {
        struct dora__output *output = dora__output_of(control, i);
        uint32_t count =
            atomic_load_explicit(&output->record_count, memory_order_acquire);

        for (uint32_t k = 0; k < count; k++)
            assert_int_equal(
                atomic_load(&dora__record_of(control, output->first_record + k)
                                 ->holders),
                0);
    }
    for (uint32_t i = 0; i < control->node_count; i++) {
        assert_int_equal(atomic_load(&dora__node_of(control, i)->gate), 0);
        assert_int_equal(atomic_load(&dora__node_of(control, i)->intent), 0);
    }
}

/* The whole heap can be loaned at once: no block was lost. */
static void
check_whole_heap(struct dora_node *node)
{
    struct dora_loan *loan = NULL;
    struct dora_error err;

    if (dora__node_output_count(node) == 0)
        return;
    if (dora_node_loan(node, 0, HEAP, NULL, 0, &loan, &err) < 0)
        fail_msg("%s", err.text);
    dora_loan_drop(loan);
}

static void
check_rest(struct world *w)
{
    check_counts(w);
    survivors_let_go(w);
    for (uint32_t i = 0; i < NODES; i++)
        if (w->nodes[i] && i < w->flow.plan.node_count)
            survivor_drains(w, i);
    check_counts(w);
    check_nobody_holds(w);
    for (uint32_t i = 0; i < NODES; i++)
        if (w->nodes[i])
            check_whole_heap(w->nodes[i]);
}

/* --- the stepping --------------------------------------------------------- */

static void
expect_stop(pid_t pid, int signal)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(WSTOPSIG(status), signal);
}

static void
be_victim(struct world *w)
{
    struct victim v = {
        .flow = &w->flow, .number = w->scenario->victim, .next = 1};

    (void)alarm(60);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
        _exit(1);
    if (!w->scenario->unattached) {
        v.node = flow_attach(&w->flow, w->scenario->victim);
        if (dora__node_join(v.node, 0, NULL) < 0)
            _exit(2);
        w->scenario->prepare(&v);
    }
    (void)raise(SIGSTOP);
    w->scenario->window(&v);
    (void)raise(SIGSTOP);
    _exit(0);
}

static pid_t
start_victim(struct world *w)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        be_victim(w);
    expect_stop(pid, SIGSTOP);
    return pid;
}

/* Up to `count` instructions; the number done before the window ended. */
static unsigned
step(pid_t pid, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        int status;

        assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSTOPPED(status));
        if (WSTOPSIG(status) == SIGSTOP)
            return i;
        assert_int_equal(WSTOPSIG(status), SIGTRAP);
    }
    return count;
}

static void
kill_victim(pid_t pid)
{
    int status;

    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

static void
open_world(struct world *w, const struct scenario *scenario)
{
    *w = (struct world){.scenario = scenario};
    for (uint32_t i = 0; i < NODES; i++)
        w->next[i] = 1;
    scenario->plan(&w->flow);
    flow_make(&w->flow);
    for (uint32_t i = 0; i < w->flow.plan.node_count; i++)
        if (i != scenario->victim)
            w->nodes[i] = flow_attach(&w->flow, i);
    dora__plane_open(&w->flow.plane);
    for (uint32_t i = 0; i < w->flow.plan.node_count; i++)
        if (i != scenario->victim)
            assert_int_equal(dora__node_join(w->nodes[i], 0, NULL), 0);
    if (scenario->before)
        scenario->before(w);
}

static void
close_world(struct world *w)
{
    for (uint32_t i = 0; i < NODES; i++)
        dora__node_detach(w->nodes[i]);
    flow_end(&w->flow);
}

struct run {
    unsigned k;
    bool meanwhile, restart;
};

/* Kills at one instruction. The number of instructions of the window, if that
 * was its end, else 0. */
static unsigned
kill_once(const struct scenario *scenario, struct run run)
{
    struct world w;
    unsigned stepped;
    pid_t pid;

    open_world(&w, scenario);
    pid = start_victim(&w);
    if (scenario->arrange)
        scenario->arrange(&w);
    stepped = step(pid, run.k);
    if (run.meanwhile && scenario->meanwhile)
        scenario->meanwhile(&w);
    check_counts(&w);
    kill_victim(pid);
    assert_int_equal(dora__plane_node_died(&w.flow.plane, scenario->victim,
                                           run.restart,
                                           run.restart ? NULL : "killed"),
                     0);
    check_counts(&w);
    if (run.restart) {
        w.nodes[scenario->victim] = flow_attach(&w.flow, scenario->victim);
        assert_int_equal(dora__node_join(w.nodes[scenario->victim], 0, NULL),
                         0);
    }
    scenario->after(&w, run.restart);
    check_rest(&w);
    close_world(&w);
    return stepped < run.k ? stepped : 0;
}

static bool kill_all;

static void
kill_everywhere(const struct scenario *scenario)
{
    unsigned size = kill_once(scenario, (struct run){.k = UINT32_MAX});
    unsigned stride = size / (scenario->coarse ? 2 : SAMPLES) + 1;
    unsigned kills = 0;

    if (kill_all)
        stride = scenario->coarse ? size / 1000 + 1 : 1;

    assert_true(size > 10);
    for (unsigned how = 0; how < 4; how++)
        /* Other instructions for each way. */
        for (unsigned k = how * stride / 4; k <= size; k += stride) {
            struct run run = {.k = k, .meanwhile = how & 1, .restart = how & 2};

            (void)fprintf(stderr, "\r%s: instruction %u of %u%s%s ",
                          scenario->name, k, size,
                          run.meanwhile ? ", survivors act" : "",
                          run.restart ? ", restart" : "");
            (void)kill_once(scenario, run);
            kills++;
        }
    (void)fprintf(stderr, "\r%s: %u instructions, %u kills%*s\n",
                  scenario->name, size, kills, 40, "");
}

/* --- scenarios: a producer ------------------------------------------------ */

static void
plan_pair(struct flow *flow, unsigned flags)
{
    flow_begin(flow, 2, HEAP);
    flow_output(flow, 0, "out", 64);
    flow_input(flow, 1, "in", 0, 3, flags);
}

static void
plan_plain(struct flow *flow)
{
    plan_pair(flow, 0);
}

static void
plan_two_rings(struct flow *flow)
{
    plan_pair(flow, FLOW_TWO_RINGS);
}

static void
plan_backpressure(struct flow *flow)
{
    plan_pair(flow, FLOW_BACKPRESSURE);
}

static void
plan_fan_out(struct flow *flow)
{
    flow_begin(flow, 3, HEAP);
    flow_output(flow, 0, "out", 64);
    flow_input(flow, 1, "in", 0, 2, FLOW_TWO_RINGS);
    flow_input(flow, 2, "in", 0, 8, FLOW_BACKPRESSURE);
}

static void
victim_sends(struct victim *v, unsigned count, enum kind kind)
{
    for (unsigned i = 0; i < count; i++)
        if (send_message(v->node, v->next++, kind) < 0)
            _exit(3);
}

static void
prepare_full(struct victim *v)
{
    victim_sends(v, 5, PLAIN);
    v->loan = loan_message(v->node, v->next, PLAIN);
}

static void
prepare_some(struct victim *v)
{
    victim_sends(v, 2, PLAIN);
    v->loan = loan_message(v->node, v->next, PLAIN);
}

static void
prepare_protected(struct victim *v)
{
    victim_sends(v, 2, PROTECTED);
    victim_sends(v, 1, PLAIN);
    v->loan = loan_message(v->node, v->next, PROTECTED);
}

static void
prepare_all_protected(struct victim *v)
{
    victim_sends(v, 3, PROTECTED);
    v->loan = loan_message(v->node, v->next, PROTECTED);
}

static void
prepare_flush(struct victim *v)
{
    victim_sends(v, 1, PROTECTED);
    victim_sends(v, 2, PLAIN);
    v->loan = loan_message(v->node, v->next, FLUSH);
}

static void
window_send(struct victim *v)
{
    (void)dora_loan_send(v->loan, 0, NULL);
}

static void
window_send_and_drop(struct victim *v)
{
    (void)dora_loan_send(v->loan, 0, NULL);
    dora_loan_drop(v->loan);
}

static void
prepare_five(struct victim *v)
{
    victim_sends(v, 5, PLAIN);
}

static void
window_copy(struct victim *v)
{
    unsigned char bytes[512];

    write_message(bytes, v->next);
    (void)dora_node_send(v->node, 0, bytes, size_of_message(v->next), NULL, 0,
                         NULL);
}

static void
window_loan_and_drop(struct victim *v)
{
    dora_loan_drop(loan_message(v->node, v->next, PLAIN));
}

static void
window_close(struct victim *v)
{
    dora_loan_drop(v->loan);
    dora__node_close(v->node);
}

static void
consumer_drains(struct world *w)
{
    survivor_drains(w, 1);
}

static void
consumer_holds(struct world *w)
{
    survivor_holds(w, 1);
}

static void
consumers_drain(struct world *w)
{
    survivor_drains(w, 1);
    survivor_drains(w, 2);
}

/* A new producer goes on where the old one ended. */
static void
producer_again(struct world *w)
{
    w->next[0] = 100;
    survivor_sends(w, 0, 2);
}

/* The last message of the old producer that arrived, `n` or `n + 1` were
 * sent. */
static void
check_last_sent(struct world *w, uint32_t consumer, uint64_t n)
{
    survivor_drains(w, consumer);
    assert_true(w->last[consumer] == n || w->last[consumer] == n + 1);
}

static void
after_full(struct world *w, bool restarted)
{
    check_last_sent(w, 1, 5);
    assert_true(w->seen[1] >= 2);
    assert_true(w->first[1] >= 3);
    assert_int_equal(w->last[1] - w->first[1] + 1, w->seen[1]);
    if (restarted)
        producer_again(w);
}

/* A consumer that was told the end reads no more. */
static void
after_closing(struct world *w, bool restarted)
{
    (void)restarted;
    check_last_sent(w, 1, 2);
    assert_int_equal(w->first[1], 1);
    assert_int_equal(w->last[1], w->seen[1]);
}

static void
after_some(struct world *w, bool restarted)
{
    after_closing(w, restarted);
    if (restarted)
        producer_again(w);
}

/* Messages 1 and 2 were protected. */
static void
after_protected(struct world *w, bool restarted)
{
    survivor_drains(w, 1);
    assert_int_equal(w->first[1], 1);
    assert_true(w->seen[1] >= 2 && w->last[1] <= 4);
    if (restarted)
        producer_again(w);
}

static void
after_all_protected(struct world *w, bool restarted)
{
    check_last_sent(w, 1, 3);
    assert_true(w->first[1] <= 2);
    assert_int_equal(w->last[1] - w->first[1] + 1, w->seen[1]);
    if (restarted)
        producer_again(w);
}

static void
after_flush(struct world *w, bool restarted)
{
    survivor_drains(w, 1);
    assert_int_equal(w->first[1], 1);
    assert_true(w->last[1] <= 4);
    if (restarted)
        producer_again(w);
}

/* Per edge the message was sent or not; what came before was. */
static void
after_fan_out(struct world *w, bool restarted)
{
    check_last_sent(w, 1, 5);
    check_last_sent(w, 2, 5);
    assert_int_equal(w->first[2], 1);
    assert_int_equal(w->seen[2], w->last[2]);
    if (restarted)
        producer_again(w);
}

/* --- scenarios: a consumer ------------------------------------------------ */

static void
producer_sends_three(struct world *w)
{
    survivor_sends(w, 0, 3);
}

static void
producer_sends_one(struct world *w)
{
    survivor_sends(w, 0, 1);
}

static void
prepare_nothing(struct victim *v)
{
    (void)v;
}

static void
prepare_holding(struct victim *v)
{
    if (dora_node_next(v->node, 0, &v->event) != 1)
        _exit(3);
}

static void
window_take(struct victim *v)
{
    (void)dora_node_next(v->node, 0, &v->event);
}

static void
window_release(struct victim *v)
{
    dora_sample_unref(v->event.sample);
}

static void
window_take_and_release(struct victim *v)
{
    (void)dora_node_next(v->node, 0, &v->event);
    dora_sample_unref(v->event.sample);
}

/* What the dead had not taken waits for the next one, in order and without a
 * hole up to the last; without a next one it is dropped. */
static void
after_consumer(struct world *w, bool restarted)
{
    struct dora__edge_counts counts = flow_counts(&w->flow, 0);

    assert_int_equal(counts.delivered, counts.shown + counts.lost);
    assert_true(counts.delivered <= 1);
    if (!restarted) {
        assert_int_equal(counts.queued, 0);
        survivor_sends(w, 0, 3);
        return;
    }
    survivor_drains(w, 1);
    assert_int_equal(w->last[1], w->next[0] - 1);
    assert_int_equal(w->last[1] - w->first[1] + 1, w->seen[1]);
    assert_int_equal(w->seen[1], counts.queued);
    survivor_sends(w, 0, 2);
    survivor_drains(w, 1);
    assert_int_equal(w->last[1], w->next[0] - 1);
}

/* Room that the dead made is room. */
static void
after_backpressure_consumer(struct world *w, bool restarted)
{
    int r = send_message(w->nodes[0], w->next[0], PLAIN);

    assert_true(r == 0 || (restarted && r == -ETIMEDOUT));
    w->next[0] += r == 0;
    if (restarted)
        survivor_drains(w, 1);
}

/* --- scenarios: forwarding ------------------------------------------------ */

/* 0 sends to 1, which forwards to 2. */
static void
plan_chain(struct flow *flow)
{
    flow_begin(flow, 3, HEAP);
    flow_output(flow, 0, "out", 64);
    flow_output(flow, 1, "out", 64);
    flow_input(flow, 1, "in", 0, 4, 0);
    flow_input(flow, 2, "in", 1, 4, 0);
}

static void
window_forward(struct victim *v)
{
    (void)dora_node_forward(v->node, 0, v->event.sample, 0, v->event.data_size,
                            NULL, 0, NULL);
    dora_sample_unref(v->event.sample);
}

/* The sink keeps what it has, the source goes on writing. */
static void
chain_works_on(struct world *w)
{
    if (w->nodes[2])
        survivor_holds(w, 2);
    survivor_sends(w, 0, 6);
}

static void
after_forwarder(struct world *w, bool restarted)
{
    survivor_holds(w, 2);
    survivor_sends(w, 0, 6);
    survivors_let_go(w);
    assert_true(w->seen[2] <= 1);
    if (w->seen[2])
        assert_int_equal(w->last[2], 1);
    if (restarted) {
        survivor_drains(w, 1);
        assert_int_equal(w->last[1], w->next[0] - 1);
    }
}

static void
forward_one(struct world *w)
{
    struct dora_event event;

    assert_true(survivor_takes(w, 1, &event));
    assert_int_equal(dora_node_forward(w->nodes[1], 0, event.sample, 0,
                                       event.data_size, NULL, 0, NULL),
                     0);
    dora_sample_unref(event.sample);
}

/* The source dies while others read its messages through another's record. */
static void
prepare_source(struct victim *v)
{
    victim_sends(v, 4, PLAIN);
}

static void
forward_two(struct world *w)
{
    forward_one(w);
    forward_one(w);
    survivor_holds(w, 2);
    assert_int_equal(w->held_count, 2);
}

static void
window_send_more(struct victim *v)
{
    victim_sends(v, 1, PLAIN);
}

static void
after_source(struct world *w, bool restarted)
{
    forward_one(w);
    if (restarted) {
        w->next[0] = 100;
        survivor_sends(w, 0, 20);
    }
    survivor_holds(w, 2);
    survivors_let_go(w);
}

/* --- scenarios: all of a node's life -------------------------------------- */

static void
window_join(struct victim *v)
{
    v->node = flow_attach(v->flow, v->number);
    if (dora__node_join(v->node, 0, NULL) < 0)
        _exit(2);
}

static void
window_leave(struct victim *v)
{
    dora__node_detach(v->node);
}

static void
after_joining_producer(struct world *w, bool restarted)
{
    survivor_drains(w, 1);
    assert_int_equal(w->seen[1], 0);
    if (restarted)
        producer_again(w);
}

/* --- the table ------------------------------------------------------------ */

static const struct scenario scenarios[] = {
    {
        .name = "send, oldest dropped",
        .plan = plan_plain,
        .prepare = prepare_full,
        .window = window_send,
        .meanwhile = consumer_drains,
        .after = after_full,
    },
    {
        .name = "send, oldest dropped, reader keeps",
        .plan = plan_plain,
        .prepare = prepare_full,
        .window = window_send_and_drop,
        .meanwhile = consumer_holds,
        .after = after_full,
    },
    {
        .name = "send by copy",
        .plan = plan_plain,
        .prepare = prepare_five,
        .window = window_copy,
        .meanwhile = consumer_drains,
        .after = after_full,
    },
    {
        .name = "send, backpressure",
        .plan = plan_backpressure,
        .prepare = prepare_some,
        .window = window_send_and_drop,
        .meanwhile = consumer_drains,
        .after = after_some,
    },
    {
        .name = "send, protected displaces ordinary",
        .plan = plan_two_rings,
        .prepare = prepare_protected,
        .window = window_send,
        .meanwhile = consumer_drains,
        .after = after_protected,
    },
    {
        .name = "send, protected displaces protected",
        .plan = plan_two_rings,
        .prepare = prepare_all_protected,
        .window = window_send,
        .meanwhile = consumer_holds,
        .after = after_all_protected,
    },
    {
        .name = "send, flush",
        .plan = plan_two_rings,
        .prepare = prepare_flush,
        .window = window_send,
        .meanwhile = consumer_drains,
        .after = after_flush,
    },
    {
        .name = "send, two readers",
        .plan = plan_fan_out,
        .prepare = prepare_full,
        .window = window_send_and_drop,
        .meanwhile = consumers_drain,
        .after = after_fan_out,
    },
    {
        .name = "loan and drop",
        .plan = plan_plain,
        .prepare = prepare_five,
        .window = window_loan_and_drop,
        .meanwhile = consumer_drains,
        .after = after_full,
    },
    {
        .name = "close",
        .plan = plan_plain,
        .prepare = prepare_some,
        .window = window_close,
        .meanwhile = consumer_drains,
        .after = after_closing,
    },
    {
        .name = "take",
        .victim = 1,
        .plan = plan_plain,
        .before = producer_sends_three,
        .prepare = prepare_nothing,
        .window = window_take,
        .meanwhile = producer_sends_three,
        .after = after_consumer,
    },
    {
        .name = "take, two rings",
        .victim = 1,
        .plan = plan_two_rings,
        .before = producer_sends_three,
        .prepare = prepare_nothing,
        .window = window_take_and_release,
        .meanwhile = producer_sends_three,
        .after = after_consumer,
    },
    {
        .name = "release",
        .victim = 1,
        .plan = plan_plain,
        .before = producer_sends_three,
        .prepare = prepare_holding,
        .window = window_release,
        .meanwhile = producer_sends_three,
        .after = after_consumer,
    },
    {
        .name = "take, backpressure",
        .victim = 1,
        .plan = plan_backpressure,
        .before = producer_sends_three,
        .prepare = prepare_nothing,
        .window = window_take_and_release,
        .after = after_backpressure_consumer,
    },
    {
        .name = "forward",
        .victim = 1,
        .plan = plan_chain,
        .before = producer_sends_one,
        .prepare = prepare_holding,
        .window = window_forward,
        .meanwhile = chain_works_on,
        .after = after_forwarder,
    },
    {
        .name = "send what others forward",
        .plan = plan_chain,
        .coarse = true,
        .prepare = prepare_source,
        .arrange = forward_two,
        .window = window_send_more,
        .after = after_source,
    },
    {
        .name = "attach and join",
        .plan = plan_plain,
        .unattached = true,
        .coarse = true,
        .window = window_join,
        .after = after_joining_producer,
    },
    {
        .name = "detach",
        .plan = plan_plain,
        .prepare = prepare_some,
        .window = window_leave,
        .meanwhile = consumer_drains,
        .coarse = true,
        .after = after_closing,
    },
};

static void
test_kill(void **state)
{
    kill_everywhere(*state);
}

/* Two processes in turn are quickest on one core. */
static void
stay_here(void)
{
    cpu_set_t here;
    int cpu = sched_getcpu();

    if (cpu < 0)
        return;
    CPU_ZERO(&here);
    CPU_SET((unsigned)cpu, &here);
    (void)sched_setaffinity(0, sizeof here, &here);
}

int
main(int argc, char **argv)
{
    struct CMUnitTest tests[DORA_COUNT(scenarios)];

    kill_all = argc > 1 && strcmp(argv[1], "all") == 0;
    if (argc > 2)
        cmocka_set_test_filter(argv[2]);
    if (!kill_all)
        (void)alarm(120);
    stay_here();
    for (size_t i = 0; i < DORA_COUNT(scenarios); i++)
        tests[i] = (struct CMUnitTest){
            .name = scenarios[i].name,
            .test_func = test_kill,
            .initial_state = (void *)(uintptr_t)&scenarios[i],
        };
    return cmocka_run_group_tests_name("kill", tests, NULL, NULL);
}
