/* bench.c - what a hop costs at best, and what it costs through libdora.
 *
 *     bench floor spin COUNT            two processes, one futex word each way
 *     bench floor paced COUNT PERIOD_NS
 *     bench node spin SIZE COUNT        two C nodes of a dataflow
 *     bench node paced SIZE COUNT PERIOD_NS
 *
 * Prints one line: p50 p99 p99.9 of one hop in ns, and hops per second. A
 * spinning hop is half of a round trip; a paced one is the way there alone,
 * into a side that sleeps. The floor has nothing but the word, the waiter flag
 * and the futex: no runtime can be faster by the same means. */
#include "base.h"

#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { SPIN_NS = 50000, WARM = 200 };

static struct {
    const char *what; /* floor or node */
    bool paced;
    size_t size, count;
    int64_t period;
} job;

static int64_t *samples; /* ns per hop */
static size_t sampled;
static int64_t begun, ended;

static void
pause_cpu(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

static void
sleep_until(int64_t when)
{
    struct timespec at = {.tv_sec = when / 1000000000,
                          .tv_nsec = when % 1000000000};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        continue;
}

static int
ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void
report(void)
{
    size_t n = sampled;
    double seconds = (double)(ended - begun) / 1e9;
    double hops = (double)n * (job.paced ? 1 : 2);

    if (n == 0) {
        fprintf(stderr, "bench: nothing was measured\n");
        exit(1);
    }
    qsort(samples, n, sizeof *samples, ascending);
    printf("%lld %lld %lld %.0f\n", (long long)samples[n / 2],
           (long long)samples[n * 99 / 100], (long long)samples[n * 999 / 1000],
           hops / seconds);
}

static void
take_sample(size_t turn, int64_t ns)
{
    if (turn == WARM)
        begun = dora__now();
    if (turn >= WARM && sampled < job.count)
        samples[sampled++] = ns;
    ended = dora__now();
}

/* --- floor: a word, a flag, a futex -----------------------------------------
 */

struct side {
    _Alignas(64) _Atomic uint32_t word; /* number of the message */
    _Atomic uint32_t waiting;
    int64_t sent;
};

struct table {
    struct side there, back;
};

static void
post(struct side *side, uint32_t number)
{
    /* seq_cst pairs with await: number then flag, flag then number. */
    atomic_store(&side->word, number);
    if (atomic_load(&side->waiting))
        (void)syscall(SYS_futex, &side->word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void
await(struct side *side, uint32_t number, bool spin)
{
    int64_t until = spin ? dora__now() + SPIN_NS : 0;
    uint32_t seen;

    for (;;) {
        for (int i = 0; spin && i < 100; i++) {
            if (atomic_load_explicit(&side->word, memory_order_acquire) ==
                number)
                return;
            pause_cpu();
        }
        if (spin && dora__now() < until)
            continue;
        atomic_store(&side->waiting, 1);
        while ((seen = atomic_load(&side->word)) != number)
            (void)syscall(SYS_futex, &side->word, FUTEX_WAIT, seen, NULL, NULL,
                          0);
        atomic_store_explicit(&side->waiting, 0, memory_order_relaxed);
        return;
    }
}

static void
floor_echo(struct table *t, uint32_t turns)
{
    for (uint32_t n = 1; n <= turns; n++) {
        await(&t->there, n, !job.paced);
        t->back.sent = dora__now() - t->there.sent;
        post(&t->back, n);
    }
    _exit(0);
}

static int
run_floor(void)
{
    struct table *t = mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint32_t turns = (uint32_t)(job.count + WARM);
    int64_t next;
    pid_t child;

    if (t == MAP_FAILED)
        return -errno;
    child = fork();
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        floor_echo(t, turns);
    }
    next = dora__now();
    for (uint32_t n = 1; n <= turns; n++) {
        int64_t sent;

        if (job.paced)
            sleep_until(next += job.period);
        sent = t->there.sent = dora__now();
        post(&t->there, n);
        await(&t->back, n, !job.paced);
        take_sample(n - 1, job.paced ? t->back.sent : (dora__now() - sent) / 2);
    }
    (void)waitpid(child, NULL, 0);
    return 0;
}

/* --- node: the same through a dataflow --------------------------------------
 */

static const char yaml[] = "nodes:\n"
                           "  - id: ping\n"
                           "    path: callback\n"
                           "    inputs: {back: pong/back}\n"
                           "    outputs: [there]\n"
                           "  - id: pong\n"
                           "    path: callback\n"
                           "    inputs: {there: ping/there}\n"
                           "    outputs: [back]\n";

static int
send_stamped(struct dora_node *node, int output, int64_t stamp)
{
    struct dora_loan *loan;
    int r = dora_node_loan(node, output, job.size, NULL, 0, &loan, NULL);

    if (r < 0)
        return r;
    memcpy(dora_loan_data(loan), &stamp, sizeof stamp);
    r = dora_loan_send(loan, -1, NULL);
    dora_loan_drop(loan);
    return r;
}

/* The next message's stamp; its memory is given back. -EPIPE at the end. */
static int
receive(struct dora_node *node, int64_t *ret_stamp)
{
    struct dora_event event;
    int r;

    do {
        r = dora_node_next(node, -1, &event);
        if (r < 0 && r != -EINTR)
            return r;
    } while (r <= 0 || event.type != DORA_EVENT_INPUT);
    memcpy(ret_stamp, event.data, sizeof *ret_stamp);
    dora_sample_unref(event.sample);
    return 0;
}

static int
ping(struct dora_node *node, void *arg)
{
    int output = dora_node_output(node, "there");
    int64_t next = dora__now(), sent, stamp;
    size_t turns = job.count + WARM;
    int r = 0;

    (void)arg;
    for (size_t n = 0; n < turns && r == 0; n++) {
        if (job.paced)
            sleep_until(next += job.period);
        sent = dora__now();
        r = send_stamped(node, output, sent);
        if (r == 0)
            r = receive(node, &stamp);
        if (r == 0)
            take_sample(n, job.paced ? stamp : (dora__now() - sent) / 2);
    }
    return r;
}

static int
pong(struct dora_node *node, void *arg)
{
    int output = dora_node_output(node, "back");
    int64_t stamp;
    int r = 0;

    (void)arg;
    while (r == 0) {
        r = receive(node, &stamp);
        if (r == 0)
            r = send_stamped(node, output, dora__now() - stamp);
    }
    return r == -EPIPE ? 0 : r;
}

static int
run_node(const char *libexec)
{
    struct dora_options options = {
        .size = sizeof options, .libexec = libexec, .no_files = true};
    struct dora_dataflow *flow = NULL;
    struct dora_error err = {""};
    int r;

    r = dora_dataflow_load_string(yaml, sizeof yaml - 1, "bench", &options,
                                  &flow, &err);
    if (r == 0)
        r = dora_dataflow_set_callback(flow, "ping", ping, NULL, &err);
    if (r == 0)
        r = dora_dataflow_set_callback(flow, "pong", pong, NULL, &err);
    if (r == 0)
        r = dora_dataflow_start(flow, &err);
    if (r == 0)
        r = dora_dataflow_wait(flow, -1, &err);
    if (r < 0)
        fprintf(stderr, "bench: %s\n", err.text);
    dora_dataflow_free(flow);
    return r;
}

static int
usage(void)
{
    fprintf(stderr, "usage: bench floor spin COUNT | floor paced COUNT PERIOD\n"
                    "       bench node spin SIZE COUNT"
                    " | node paced SIZE COUNT PERIOD\n");
    return 2;
}

int
main(int argc, char **argv)
{
    bool node;
    int at = 3;

    if (argc < 4)
        return usage();
    node = strcmp(argv[1], "node") == 0;
    job.paced = strcmp(argv[2], "paced") == 0;
    if (argc != 4 + node + job.paced)
        return usage();
    job.size = node ? strtoull(argv[at++], NULL, 10) : 8;
    job.count = strtoull(argv[at++], NULL, 10);
    job.period = job.paced ? strtoll(argv[at], NULL, 10) : 0;
    samples = calloc(job.count, sizeof *samples);
    if (!samples || job.size < 8)
        return usage();
    (void)prctl(PR_SET_TIMERSLACK, 1);
    if ((node ? run_node(getenv("DORA_LIBEXEC")) : run_floor()) < 0)
        return 1;
    report();
    return 0;
}
