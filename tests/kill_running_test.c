/* kill_running_test.c - a participant dies again and again, beside others that
 * run.
 *
 *     kill_running_test           some hundred times
 *     kill_running_test KILLS     so many times, with figures at the end
 *
 * Three survivors send and receive all the time (kill_survivor.c); a fourth
 * is stopped for ten seconds, again and again, with messages in its hands. The
 * kills are spread over all scenarios of kill_scenarios.c, those of a scenario
 * evenly over the instructions of its window. What is demanded and measured:
 *
 * 1. From the signal that kills to the moment when the shared books show
 *    nothing that the dead holds: neither loans of its own, nor messages that
 *    it had taken, nor the gate. What is only queued waits for its next life.
 * 2. In the end, when everybody has let go, no heap has a byte in use, as the
 *    owner's own books say after they were asked for all of it.
 * 3. What a survivor keeps stays its own while it keeps it, stopped or not. */
#include "kill_survivor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

static unsigned kills = 170;
static int64_t pause_ns = SECOND / 2; /* of the one that is stopped */
static bool talks;

#define RETRY (SECOND / 1000) /* as the host does */

static struct {
    int64_t *back_ns; /* of each kill */
    unsigned count;
    unsigned pauses; /* of full length */
    uint64_t leaked; /* bytes */
    uint64_t wrong;  /* bytes */
    uint64_t astray; /* messages */
    uint64_t robbed; /* messages taken from those who kept them */
} figures;

/* Five nodes, one of which is dead most of the time. */
struct field {
    struct flow flow;
    struct yard *yard;
    pid_t pids[PLACES];
    uint64_t taken[PLACES]; /* as seen by the last audit */
    int64_t audited_at;
    uint64_t lives;
    unsigned sizes[SCENARIOS]; /* instructions of the windows; 0: not here */
    int64_t stopped_at;        /* 0: it runs */
};

static void
rest(int64_t ns)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

/* --- all of the survivors --------------------------------------------------
 */

/* Of one that stands still: what it keeps is its. */
static void
check_kept(const struct field *field, uint32_t number)
{
    for (unsigned k = 0; k < KEPT; k++) {
        uint64_t at = atomic_load_explicit(&field->yard->posts[number].kept[k],
                                           memory_order_acquire);

        figures.robbed +=
            at != 0 && !node_holds(field->flow.plane.control, number, at - 1);
    }
}

static void
meet(struct field *field, enum command next)
{
    atomic_store_explicit(&field->yard->command, (int)next,
                          memory_order_release);
    (void)pthread_barrier_wait(&field->yard->meeting);
}

/* With everybody standing still. In a second each gets something. */
static void
audit(struct field *field)
{
    bool stale = dora__now() - field->audited_at > SECOND;

    meet(field, AUDIT);
    flow_assert_counts(&field->flow);
    for (uint32_t i = 0; i < PLACES; i++) {
        uint64_t taken = atomic_load_explicit(&field->yard->posts[i].taken,
                                              memory_order_relaxed);

        if (i == VICTIM)
            continue;
        check_kept(field, i);
        assert_true(taken > field->taken[i] || !stale);
        field->taken[i] = taken;
    }
    field->audited_at = dora__now();
    meet(field, RUN);
}

static void
go_on(struct field *field)
{
    if (field->stopped_at == 0)
        return;
    check_kept(field, STOPPED);
    figures.pauses += dora__now() - field->stopped_at >= pause_ns;
    field->stopped_at = 0;
    assert_int_equal(kill(field->pids[STOPPED], SIGCONT), 0);
}

static void
stop(struct field *field)
{
    int status;

    if (atomic_load_explicit(&field->yard->posts[STOPPED].taken,
                             memory_order_relaxed) <
        field->taken[STOPPED] + KEPT)
        return; /* it is to have its hands full */
    assert_int_equal(kill(field->pids[STOPPED], SIGSTOP), 0);
    assert_int_equal(waitpid(field->pids[STOPPED], &status, WUNTRACED),
                     field->pids[STOPPED]);
    assert_true(WIFSTOPPED(status));
    field->stopped_at = dora__now();
}

static void
mind_the_stopped(struct field *field)
{
    if (field->stopped_at == 0) {
        stop(field);
    } else if (dora__now() - field->stopped_at < pause_ns) {
        check_kept(field, STOPPED);
    } else {
        go_on(field);
        audit(field);
    }
}

/* --- a kill ----------------------------------------------------------------
 */

static void
bury(struct field *field)
{
    struct dora__control *control = field->flow.plane.control;
    struct dora__shared_node *dead = dora__node_of(control, VICTIM);
    int64_t until = dora__now() + SECOND;
    uint64_t bytes;

    while (dora__plane_node_died(&field->flow.plane, VICTIM,
                                 DORA__DEATH_RESTART, NULL) < 0) {
        assert_true(dora__now() < until);
        rest(RETRY);
    }
    do
        bytes = bytes_of_the_dead(control, VICTIM);
    while (bytes > 0 && dora__now() < until);
    figures.leaked += bytes;
    assert_int_equal(atomic_load(&dead->gate), DORA__GATE_FREE);
    assert_int_equal(atomic_load(&dead->intent), 0);
}

static pid_t
begin(struct field *field, const struct scenario *scenario)
{
    struct victim v = {
        .flow = &field->flow,
        .number = VICTIM,
        .next = first_number(VICTIM, field->lives++),
        .patience = 10 * SECOND,
    };

    (void)alarm(300);
    return start_victim(scenario, &v);
}

/* The instructions of a window in which nobody is in the way. */
static unsigned
measure(struct field *field, const struct scenario *scenario)
{
    pid_t pid = begin(field, scenario);
    unsigned size;

    meet(field, AUDIT);
    size = step_victim(pid, UINT32_MAX);
    kill_victim(pid);
    bury(field);
    meet(field, RUN);
    return size;
}

static void
kill_after(struct field *field, const struct scenario *scenario,
           unsigned instructions)
{
    pid_t pid = begin(field, scenario);
    int64_t begun;

    (void)step_victim(pid, instructions);
    begun = dora__now();
    kill_victim(pid);
    bury(field);
    figures.back_ns[figures.count++] = dora__now() - begun;
    mind_the_stopped(field);
    if (talks && figures.count % 100 == 0)
        (void)fprintf(stderr, "\r%u of %u kills of a C node ", figures.count,
                      kills);
}

/* Where it takes long, fewer. */
static unsigned
weight(const struct scenario *scenario)
{
    return scenario->coarse ? 1 : 8;
}

/* How many of all the kills are for the first scenarios. */
static unsigned
share_of_first(size_t count)
{
    unsigned part = 0, sum = 0;

    for (size_t i = 0; i < SCENARIOS; i++) {
        part += i < count ? weight(&kill_scenarios[i]) : 0;
        sum += weight(&kill_scenarios[i]);
    }
    return (unsigned)((uint64_t)kills * part / sum);
}

static void
kill_in(struct field *field, size_t number)
{
    const struct scenario *scenario = &kill_scenarios[number];
    unsigned share = share_of_first(number + 1) - share_of_first(number);

    for (unsigned i = 0; i < share; i++)
        kill_after(field, scenario,
                   (unsigned)((uint64_t)field->sizes[number] * i / share));
}

/* --- a field ---------------------------------------------------------------
 */

static struct yard *
open_yard(void)
{
    struct yard *yard = mmap(NULL, sizeof *yard, PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_barrierattr_t shared;

    assert_true(yard != MAP_FAILED);
    (void)pthread_barrierattr_init(&shared);
    (void)pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    assert_int_equal(pthread_barrier_init(&yard->meeting, &shared, PLACES), 0);
    (void)pthread_barrierattr_destroy(&shared);
    return yard;
}

static void
open_field(struct field *field, unsigned flags)
{
    *field = (struct field){.yard = open_yard(), .audited_at = dora__now()};
    plan_field(&field->flow, flags);
    flow_make(&field->flow);
    dora__plane_open(&field->flow.plane);
    for (uint32_t i = 0; i < PLACES; i++) {
        if (i == VICTIM)
            continue;
        field->pids[i] = fork();
        assert_true(field->pids[i] >= 0);
        if (field->pids[i] == 0)
            survive(&field->flow, field->yard, i);
    }
    stay_here();
    for (size_t i = 0; i < SCENARIOS; i++)
        if (kill_scenarios[i].flags == flags)
            field->sizes[i] = measure(field, &kill_scenarios[i]);
}

/* The victim's part in the end: its last life is an honest one. */
static void
end_victim(struct field *field)
{
    struct dora_node *node = flow_attach(&field->flow, VICTIM);
    struct dora_event event;
    struct dora_loan *loan;

    assert_int_equal(dora__node_join(node, 0, NULL), 0);
    while (dora_node_next(node, 0, &event) == 1)
        dora_sample_unref(event.sample);
    meet(field, LET_GO);
    if (dora_node_loan(node, 0, HEAP, NULL, 0, &loan, NULL) == 0)
        dora_loan_drop(loan);
    meet(field, LET_GO);
    for (uint32_t i = 0; i < PLACES; i++) {
        struct dora__heap_counts heap;

        dora__plane_heap_counts(&field->flow.plane, i, &heap);
        figures.leaked += heap.used;
    }
    dora__node_detach(node);
}

static void
close_field(struct field *field)
{
    int status;

    go_on(field);
    audit(field);
    meet(field, LET_GO);
    end_victim(field);
    for (uint32_t i = 0; i < PLACES; i++) {
        figures.wrong += atomic_load(&field->yard->posts[i].wrong);
        figures.astray += atomic_load(&field->yard->posts[i].astray);
        if (i == VICTIM)
            continue;
        assert_int_equal(waitpid(field->pids[i], &status, 0), field->pids[i]);
        assert_int_equal(status, 0);
    }
    flow_end(&field->flow);
    (void)munmap(field->yard, sizeof *field->yard);
}

/* --- all of it -------------------------------------------------------------
 */

static void
test_kill_running_survivors_see_nothing_of_it(void **state)
{
    static const unsigned flags[] = {0, FLOW_TWO_RINGS, FLOW_BACKPRESSURE};

    (void)state;
    figures.back_ns = calloc(kills, sizeof *figures.back_ns);
    assert_non_null(figures.back_ns);
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        struct field field;

        open_field(&field, flags[i]);
        for (size_t k = 0; k < SCENARIOS; k++)
            if (field.sizes[k] > 0)
                kill_in(&field, k);
        close_field(&field);
    }
    assert_int_equal(figures.count, kills);
    assert_true(figures.pauses > 0);
}

static void
test_kill_running_nothing_is_lost_wrong_or_robbed(void **state)
{
    (void)state;
    assert_int_equal(figures.leaked, 0);
    assert_int_equal(figures.wrong, 0);
    assert_int_equal(figures.astray, 0);
    assert_int_equal(figures.robbed, 0);
}

static int
by_size(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

static double
milliseconds(unsigned part, unsigned of)
{
    return (double)figures.back_ns[(size_t)(figures.count - 1) * part / of] /
           1e6;
}

/* One line of JSON, for tests/kill.py. */
static void
print_figures(void)
{
    qsort(figures.back_ns, figures.count, sizeof *figures.back_ns, by_size);
    (void)printf(
        "\nfigures {\"kills\": %u, \"p50_ms\": %.3f, \"p99_ms\": %.3f, "
        "\"max_ms\": %.3f, \"leaked\": %llu, \"wrong\": %llu, "
        "\"false_reclaims\": %llu, \"pauses\": %u}\n",
        figures.count, milliseconds(1, 2), milliseconds(99, 100),
        milliseconds(1, 1), (unsigned long long)figures.leaked,
        (unsigned long long)figures.wrong, (unsigned long long)figures.robbed,
        figures.pauses);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kill_running_survivors_see_nothing_of_it),
        cmocka_unit_test(test_kill_running_nothing_is_lost_wrong_or_robbed),
    };
    int failed;

    if (argc > 1) {
        kills = (unsigned)strtoul(argv[1], NULL, 10);
        pause_ns = 10 * SECOND;
        talks = true;
    }
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (talks && figures.count > 0)
        print_figures();
    free(figures.back_ns);
    return failed;
}
