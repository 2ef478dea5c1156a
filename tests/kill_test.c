/* kill_test.c - a participant may die after any instruction.
 *
 *     kill_test              at some instructions of each scenario
 *     kill_test all [NAME]   at every one (half an hour), or of one scenario;
 *                            of a very long one, at each that others can see
 *
 * The victim is a process of its own that attaches a node, prepares, stops
 * itself (the window begins), does one thing and stops itself again (the window
 * ends). It is single-stepped k instructions into the window and killed; in
 * half of the runs the survivors act while it hangs there. Then the host deals
 * with the death, with and without a restart, and everything is looked at: the
 * bytes and the order of what arrives, the counters of every edge, and that
 * every block comes back. */
#include "kill.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

enum { SAMPLES = 7 }; /* kills of a scenario in the short form */

/* --- messages ------------------------------------------------------------- */

size_t
size_of_message(uint64_t number)
{
    return 8 + number * 37 % 300;
}

void
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

static void
make_metadata(struct dora_metadata *metadata, enum kind kind)
{
    *metadata = (struct dora_metadata){.bytes = NULL};
    if (kind == PROTECTED)
        (void)dora_metadata_string(metadata, "request_id", 10, "1", 1);
    if (kind == FLUSH)
        (void)dora_metadata_bool(metadata, "flush", 5, true);
}

struct dora_loan *
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

int
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

void
survivor_sends(struct world *w, uint32_t node, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(send_message(w->nodes[node], w->next[node]++, PLAIN),
                         0);
}

bool
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

void
survivor_drains(struct world *w, uint32_t node)
{
    struct dora_event event;

    while (survivor_takes(w, node, &event))
        dora_sample_unref(event.sample);
}

void
survivor_holds(struct world *w, uint32_t node)
{
    while (w->held_count < HELD &&
           survivor_takes(w, node, &w->held_events[w->held_count])) {
        w->held[w->held_count] = w->held_events[w->held_count].sample;
        w->held_count++;
    }
}

void
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
    flow_close(&w->flow, w->nodes);
}

/* From each kill to the return of all that the victim held, in ns. */
static struct {
    int64_t *ns;
    size_t count, capacity;
} returns;

static void
note_return(int64_t ns)
{
    if (returns.count == returns.capacity) {
        returns.capacity = returns.capacity * 2 + 1024;
        returns.ns = realloc(returns.ns, returns.capacity * sizeof *returns.ns);
        assert_non_null(returns.ns);
    }
    returns.ns[returns.count++] = ns;
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
    int64_t begun;
    pid_t pid;

    open_world(&w, scenario);
    pid = start_victim(&w);
    if (scenario->arrange)
        scenario->arrange(&w);
    stepped = step(pid, run.k);
    if (run.meanwhile && scenario->meanwhile)
        scenario->meanwhile(&w);
    check_counts(&w);
    begun = dora__now();
    kill_victim(pid);
    assert_int_equal(dora__plane_node_died(&w.flow.plane, scenario->victim,
                                           run.restart,
                                           run.restart ? NULL : "killed"),
                     0);
    note_return(dora__now() - begun);
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

/* --- where ---------------------------------------------------------------- */

/* Instructions to kill at: bool per instruction of a window. */
struct places {
    bool *chosen;
    unsigned size; /* of the window */
};

static void
choose_every(struct places *places, unsigned first, unsigned stride)
{
    for (unsigned k = first; k <= places->size; k += stride)
        places->chosen[k] = true;
}

/* Those that change what others can see. The dead leave nothing but that: to
 * die after an instruction that only changes memory of one's own is to die
 * after the one before. */
static void
choose_changes(const struct scenario *scenario, struct places *places)
{
    struct world w;
    unsigned char *before;
    size_t size;
    pid_t pid;

    open_world(&w, scenario);
    size = w.flow.plane.control_size;
    before = malloc(size);
    assert_non_null(before);
    pid = start_victim(&w);
    if (scenario->arrange)
        scenario->arrange(&w);
    for (unsigned k = 0; k <= places->size; k++) {
        if (k == 0 || memcmp(before, w.flow.plane.control, size) != 0) {
            memcpy(before, w.flow.plane.control, size);
            places->chosen[k] = true;
        }
        (void)step(pid, 1);
    }
    kill_victim(pid);
    assert_int_equal(
        dora__plane_node_died(&w.flow.plane, scenario->victim, false, "killed"),
        0);
    free(before);
    close_world(&w);
}

/* --- all of it ------------------------------------------------------------ */

static bool kill_all;

static void
kill_at(const struct scenario *scenario, const struct places *places,
        unsigned how, unsigned *kills)
{
    for (unsigned k = 0; k <= places->size; k++) {
        struct run run = {.k = k, .meanwhile = how & 1, .restart = how & 2};

        if (!places->chosen[k])
            continue;
        (void)fprintf(stderr, "\r%s: instruction %u of %u%s%s ", scenario->name,
                      k, places->size, run.meanwhile ? ", survivors act" : "",
                      run.restart ? ", restart" : "");
        (void)kill_once(scenario, run);
        ++*kills;
    }
}

static void
kill_everywhere(const struct scenario *scenario)
{
    struct places places = {
        .size = kill_once(scenario, (struct run){.k = UINT32_MAX})};
    unsigned size = places.size;
    unsigned stride = size / (scenario->coarse ? 2 : SAMPLES) + 1;
    unsigned kills = 0;

    if (kill_all)
        stride = scenario->coarse ? size / 250 + 1 : 1;
    assert_true(size > 10);
    for (unsigned how = 0; how < 4; how++) {
        /* Without `meanwhile`, half of the ways are the others again. */
        if (how & 1 && !scenario->meanwhile)
            continue;
        places.chosen = calloc(size + 1, sizeof *places.chosen);
        assert_non_null(places.chosen);
        /* Other instructions for each way. */
        choose_every(&places, how * stride / 4, stride);
        if (kill_all && scenario->coarse)
            choose_changes(scenario, &places);
        kill_at(scenario, &places, how, &kills);
        free(places.chosen);
    }
    (void)fprintf(stderr, "\r%s: %u instructions, %u kills%*s\n",
                  scenario->name, size, kills, 40, "");
}

static void
test_kill(void **state)
{
    kill_everywhere(*state);
}

static int
by_size(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

static double
milliseconds(size_t part, size_t of)
{
    return (double)returns.ns[(returns.count - 1) * part / of] / 1e6;
}

/* What is lost, wrong or taken back from the living fails a scenario. */
static void
print_figures(int failed)
{
    if (returns.count == 0)
        return;
    qsort(returns.ns, returns.count, sizeof *returns.ns, by_size);
    (void)printf("%zu kills in C: blocks back after %.2f ms (p50), %.2f ms "
                 "(p99), %.2f ms (most); ",
                 returns.count, milliseconds(50, 100), milliseconds(99, 100),
                 milliseconds(1, 1));
    if (failed == 0)
        (void)printf("0 lost, 0 wrong, 0 false reclaims\n");
    else
        (void)printf("%d scenarios FAILED\n", failed);
    free(returns.ns);
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
    struct CMUnitTest tests[SCENARIOS];
    int failed;

    kill_all = argc > 1 && strcmp(argv[1], "all") == 0;
    if (argc > 2)
        cmocka_set_test_filter(argv[2]);
    if (!kill_all)
        (void)alarm(120);
    stay_here();
    for (size_t i = 0; i < SCENARIOS; i++)
        tests[i] = (struct CMUnitTest){
            .name = kill_scenarios[i].name,
            .test_func = test_kill,
            .initial_state = (void *)(uintptr_t)&kill_scenarios[i],
        };
    failed = cmocka_run_group_tests_name("kill", tests, NULL, NULL);
    print_figures(failed);
    return failed;
}
