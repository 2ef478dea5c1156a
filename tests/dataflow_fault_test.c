/* dataflow_fault_test.c - the n-th call of everything that takes a resource
 * fails, for all n, from load to the end of a run: the run succeeds, or says in
 * one line what is wrong; nothing hangs, crashes or is left behind. argv[1]:
 * the directory of the helper programs. */
#include "fault.h"
#include "harness.h"

#include <sched.h>

static const char text[] = "nodes:\n"
                           "  - {id: a, path: callback, outputs: [out]}\n"
                           "  - {id: b, path: callback, inputs: {in: a/out}}\n"
                           "  - {id: c, path: shell, args: echo hello}\n";

/* 0, or the first negative result; err says what it means. */
static int
run_once(struct dora_error *err)
{
    static const uint32_t count = 10;
    struct dora_options options = {.size = sizeof options,
                                   .libexec = libexec,
                                   .directory = "/tmp",
                                   .allow_shell = true,
                                   .no_files = true};
    struct dora_dataflow *flow = NULL;
    struct seen seen = {0};
    int code;

    code = dora_dataflow_load_string(text, sizeof text - 1, NULL, &options,
                                     &flow, err);
    if (code == 0)
        code = dora_dataflow_set_callback(flow, "a", source,
                                          (void *)(uintptr_t)&count, err);
    if (code == 0)
        code = dora_dataflow_set_callback(flow, "b", sink, &seen, err);
    if (code == 0)
        code = dora_dataflow_start(flow, err);
    if (code == 0)
        code = dora_dataflow_wait(flow, -1, err);
    dora_dataflow_free(flow);
    return code;
}

static void
fail_each(enum fault kind)
{
    struct dora_error err;
    unsigned fds, threads;

    (void)run_once(&err);
    fds = entries("/proc/self/fd");
    threads = entries("/proc/self/task");
    for (unsigned n = 1;; n++) {
        bool failed;
        int code;

        err.text[0] = 0;
        fault_arm(kind, n);
        code = run_once(&err);
        failed = fault_disarm();
        if (code < 0 && err.text[0] == 0)
            fail_msg("call %u: %s, but no text", n, strerror(-code));
        assert_int_equal(entries("/proc/self/fd"), fds);
        /* A joined thread is still listed for a moment. */
        while (entries("/proc/self/task") > threads)
            (void)sched_yield();
        if (!failed) {
            if (code < 0)
                fail_msg("no call failed, but %s", err.text);
            break;
        }
    }
}

#define FAIL_EACH(name, kind)                            \
    static void test_dataflow_fault_##name(void **state) \
    {                                                    \
        (void)state;                                     \
        fail_each(kind);                                 \
    }

FAIL_EACH(memory, FAULT_MEMORY)
FAIL_EACH(mmap, FAULT_MMAP)
FAIL_EACH(memfd, FAULT_MEMFD)
FAIL_EACH(fallocate, FAULT_FALLOCATE)
FAIL_EACH(descriptors, FAULT_FD)
FAIL_EACH(threads, FAULT_THREAD)

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dataflow_fault_mmap),
        cmocka_unit_test(test_dataflow_fault_memfd),
        cmocka_unit_test(test_dataflow_fault_fallocate),
        cmocka_unit_test(test_dataflow_fault_descriptors),
        cmocka_unit_test(test_dataflow_fault_threads),
        cmocka_unit_test(test_dataflow_fault_memory),
    };
    int code;

    if (harness_begin(argc, argv, &code))
        return code;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
