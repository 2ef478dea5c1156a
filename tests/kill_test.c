/* kill_test.c - a participant may die after any instruction.
 *
 *     kill_test              at some instructions of each scenario
 *     kill_test all [NAME]   at every one (hours), or of one scenario;
 *                            of a very long one, at each that others can see
 *
 * The victim is single-stepped k instructions into its window (kill_step.c) and
 * killed; in half of the runs the survivors act while it hangs there. Then the
 * host deals with the death, with and without a restart, and everything is
 * looked at: the bytes and the order of what arrives, the counters of every
 * edge, and that every block comes back. All but the victim stands still or
 * does what it is told; what others do at any time is kill_running_test.c's. */
#include "kill.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <stdlib.h>

enum { SAMPLES = 7 }; /* kills of a scenario in the short form */

/* --- what holds whatever happened ----------------------------------------- */

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
    flow_assert_counts(&w->flow);
    survivors_let_go(w);
    for (uint32_t i = 0; i < NODES; i++)
        if (w->nodes[i] && i < w->flow.plan.node_count)
            survivor_drains(w, i);
    flow_assert_counts(&w->flow);
    check_nobody_holds(w);
    for (uint32_t i = 0; i < NODES; i++)
        if (w->nodes[i])
            check_whole_heap(w->nodes[i]);
}

/* --- a kill --- */

static void
open_world(struct world *w, const struct scenario *scenario)
{
    *w = (struct world){.scenario = scenario};
    for (uint32_t i = 0; i < NODES; i++)
        w->next[i] = 1;
    scenario->plan(&w->flow, scenario->flags);
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

static pid_t
begin(struct world *w)
{
    struct victim v = {
        .flow = &w->flow, .number = w->scenario->victim, .next = 1};
    pid_t pid = start_victim(w->scenario, &v);

    if (w->scenario->arrange)
        w->scenario->arrange(w);
    return pid;
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
    pid = begin(&w);
    stepped = step_victim(pid, run.k);
    if (run.meanwhile && scenario->meanwhile)
        scenario->meanwhile(&w);
    flow_assert_counts(&w.flow);
    kill_victim(pid);
    assert_int_equal(dora__plane_node_died(&w.flow.plane, scenario->victim,
                                           run.restart,
                                           run.restart ? NULL : "killed"),
                     0);
    flow_assert_counts(&w.flow);
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
    pid = begin(&w);
    for (unsigned k = 0; k <= places->size; k++) {
        if (k == 0 || memcmp(before, w.flow.plane.control, size) != 0) {
            memcpy(before, w.flow.plane.control, size);
            places->chosen[k] = true;
        }
        (void)step_victim(pid, 1);
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

int
main(int argc, char **argv)
{
    struct CMUnitTest tests[SCENARIOS];

    kill_all = argc > 1 && strcmp(argv[1], "all") == 0;
    if (argc > 2)
        cmocka_set_test_filter(argv[2]);
    if (!kill_all)
        (void)alarm(300);
    stay_here();
    for (size_t i = 0; i < SCENARIOS; i++)
        tests[i] = (struct CMUnitTest){
            .name = kill_scenarios[i].name,
            .test_func = test_kill,
            .initial_state = (void *)(uintptr_t)&kill_scenarios[i],
        };
    return cmocka_run_group_tests_name("kill", tests, NULL, NULL);
}
