/* kill_step.c - a process that is killed after the k-th instruction of what it
 * does: it prepares, stops itself (the window begins), does one thing and stops
 * itself again (the window ends). The test steps it through the window. */
#include "kill.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

static void
expect_stop(pid_t pid, int signal)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(WSTOPSIG(status), signal);
}

static void
be_victim(const struct scenario *scenario, struct victim *v)
{
    (void)alarm(300);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
        _exit(1);
    if (!scenario->unattached) {
        v->node = flow_attach(v->flow, v->number);
        if (dora__node_join(v->node, 0, NULL) < 0)
            _exit(2);
        scenario->prepare(v);
    }
    (void)raise(SIGSTOP);
    scenario->window(v);
    (void)raise(SIGSTOP);
    _exit(0);
}

pid_t
start_victim(const struct scenario *scenario, struct victim *v)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        be_victim(scenario, v);
    expect_stop(pid, SIGSTOP);
    return pid;
}

unsigned
step_victim(pid_t pid, unsigned count)
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

void
kill_victim(pid_t pid)
{
    int status;

    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

void
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

void
go_anywhere(void)
{
    cpu_set_t all;

    (void)memset(&all, 0xff, sizeof all);
    (void)sched_setaffinity(0, sizeof all, &all);
}
