/* guardian_keep.c - see guardian_keep.h.
 *
 * Each such process has a parent of its own, the keeper: a fork of the guardian
 * that knows of this one child.
 *   1. It leaves its child unreaped until the socket is shut down: so long the
 *      number means that process to whoever signals or opens it. When the
 *      keeper's own end of the socket is closed, it does no more.
 *   2. It does not outlive the guardian, nor its child it. It is no subreaper:
 *      what its child forgets becomes the guardian's. */
#include "guardian_keep.h"
#include "guardian_start.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static bool
tell(int link, const struct dora__report *report)
{
    ssize_t n;

    do
        n = send(link, report, sizeof *report, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n > 0;
}

/* Whether the process has ended. It stays as it is; the C library's waitid
 * knows no usage. */
static bool
has_ended(pid_t pid, struct dora__report *ret_report)
{
    siginfo_t info = {0};

    if (syscall(SYS_waitid, P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT,
                &ret_report->usage) < 0 ||
        info.si_pid != pid)
        return false;
    ret_report->type = DORA__REPORT_EXITED;
    ret_report->status = info.si_code == CLD_EXITED ? info.si_status << 8
                         : info.si_code == CLD_DUMPED
                             ? info.si_status | WCOREFLAG
                             : info.si_status;
    return true;
}

/* Until the other end of the link is shut down. */
static void
attend(int link, int signals, struct dora__report *report)
{
    struct pollfd polled[] = {{link, POLLIN, 0}, {signals, POLLIN, 0}};
    struct signalfd_siginfo info;

    while (polled[0].revents == 0) {
        if (poll(polled, 2, -1) < 0 || polled[1].revents == 0)
            continue;
        (void)!read(signals, &info, sizeof info);
        if (has_ended(report->pid, report)) {
            polled[1].fd = -1;
            if (!tell(link, report))
                return;
        }
    }
}

/* SIGCHLD is blocked, as in the guardian, whose descriptors are none of ours.
 */
static void
keep(int *fds, size_t count, pid_t guardian)
{
    struct dora__report report;
    sigset_t children;
    int link = fds[1], signals;

    (void)close(DORA__GUARDIAN_SOCKET);
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    signals = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
        getppid() != guardian)
        return;
    fds[1] = fds[0];
    dora__guardian_start(fds + 1, count - 1, &report);
    for (size_t i = 1; i < count; i++)
        (void)close(fds[i]);
    if (!tell(link, &report) || report.type == DORA__REPORT_FAILED)
        return;
    attend(link, signals, &report);
    (void)kill(report.pid, SIGKILL);
    while (waitpid(report.pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

void
dora__guardian_keep(int *fds, size_t count)
{
    struct dora__report failed = {.type = DORA__REPORT_FAILED,
                                  .step = DORA__STEP_FORK};
    pid_t guardian = getpid(), pid;

    if (count < 2)
        return;
    pid = fork();
    if (pid == 0) {
        keep(fds, count, guardian);
        _exit(0);
    }
    failed.code = errno;
    if (pid < 0)
        (void)tell(fds[1], &failed);
}
