/* dora-guardian - the parent of a dataflow's processes.
 *
 * One per dataflow, started by the host before any of the dataflow's threads,
 * and one for each tool. What it keeps true:
 *   1. No descendant of it outlives the host: when its socket reaches the end,
 *      or the host's pidfd says that the host is gone, it kills every
 *      descendant in rounds until none is left. It is a subreaper, so whatever
 *      a node forked and forgot is, sooner or later, its own child.
 *   2. Nor does any outlive it. It is two: the one that serves the host has a
 *      watcher above it, a subreaper as well, which has nothing to do until
 *      the other is gone, or the host is. Either may be killed at any moment.
 *   3. Should both be, the processes that they started die with them: they ask
 *      for SIGKILL at the death of their parent (guardian_start.c). That
 *      request is tied to the thread that forked, therefore each has only one.
 *   4. Each end of a node is reported once, after the process is reaped.
 *
 * It is a program of its own, not a thread of the host: a subreaper host would
 * adopt and reap children of the application it is embedded in, and nothing in
 * a host that is killed could clean up after it.
 *
 * It sits in a process group of its own and ignores the signals a terminal or
 * a person sends: how a dataflow stops is for its host to decide. */
#include "guardian_keep.h"
#include "guardian_start.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    WATCHER_PATIENCE_MS = 1000, /* for the other one, told to end */
    PID_LIMIT = 4 << 20,        /* the kernel's own */
};

struct child {
    uint32_t node;
    pid_t pid;
};

struct guardian {
    struct child *children; /* started and not reaped */
    size_t child_count, child_capacity;
    int signals;   /* signalfd: SIGCHLD */
    int host;      /* pidfd of the host, or -1 */
    bool detached; /* the host is gone: nobody to report to */
};

/* --- talking ------------------------------------------------------------ */

static void
report(struct guardian *g, const struct dora__report *message)
{
    if (g->detached)
        return;
    while (send(DORA__GUARDIAN_SOCKET, message, sizeof *message, MSG_NOSIGNAL) <
           0) {
        if (errno == EINTR)
            continue;
        g->detached = true;
        return;
    }
}

/* --- starting ------------------------------------------------------------ */

static bool
reserve_child(struct guardian *g)
{
    size_t capacity = g->child_capacity * 2 + 16;
    struct child *children;

    if (g->child_count < g->child_capacity)
        return true;
    children = realloc(g->children, capacity * sizeof *children);
    if (children == NULL)
        return false;
    g->children = children;
    g->child_capacity = capacity;
    return true;
}

static void
spawn(struct guardian *g, uint32_t node, int *fds, size_t count)
{
    struct dora__report done = {
        .type = DORA__REPORT_FAILED, .step = DORA__STEP_FORK, .code = ENOMEM};

    if (reserve_child(g))
        dora__guardian_start(fds, count, &done);
    if (done.type == DORA__REPORT_SPAWNED)
        g->children[g->child_count++] = (struct child){node, done.pid};
    done.node = node;
    report(g, &done);
}

static void
signal_node(struct guardian *g, uint32_t node, int number)
{
    for (size_t i = 0; i < g->child_count; i++)
        if (g->children[i].node == node) {
            /* Not reaped yet, so the number is still its own. A stopped
             * process would not see the signal before it is continued. */
            pid_t pid = g->children[i].pid;

            if (kill(-pid, number) < 0)
                (void)kill(pid, number);
            if (kill(-pid, SIGCONT) < 0)
                (void)kill(pid, SIGCONT);
            return;
        }
}

/* False: the host has gone. */
static bool
serve(struct guardian *g)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int) * DORA__GUARDIAN_MAX_FDS)];
    } control;
    struct dora__request request;
    struct iovec vector = {&request, sizeof request};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    int fds[DORA__GUARDIAN_MAX_FDS];
    size_t count = 0;
    ssize_t n = recvmsg(DORA__GUARDIAN_SOCKET, &message, MSG_CMSG_CLOEXEC);
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);

    if (n < 0)
        return errno == EINTR || errno == EAGAIN;
    if (n != sizeof request)
        return false;
    if (c != NULL && c->cmsg_type == SCM_RIGHTS) {
        count = (c->cmsg_len - CMSG_LEN(0)) / sizeof *fds;
        memcpy(fds, CMSG_DATA(c), count * sizeof *fds);
    }
    if (request.type == DORA__REQUEST_SPAWN)
        spawn(g, request.node, fds, count);
    else if (request.type == DORA__REQUEST_KEEP)
        dora__guardian_keep(fds, count);
    else
        signal_node(g, request.node, request.signal);
    for (size_t i = 0; i < count; i++)
        (void)close(fds[i]);
    return true;
}

/* --- ends ---------------------------------------------------------------- */

static void
forget(struct guardian *g, pid_t pid, int status, const struct rusage *usage)
{
    for (size_t i = 0; i < g->child_count; i++) {
        if (g->children[i].pid != pid)
            continue;
        report(g, &(struct dora__report){
                      .type = DORA__REPORT_EXITED,
                      .node = g->children[i].node,
                      .pid = pid,
                      .status = status,
                      .usage = *usage,
                  });
        g->children[i] = g->children[--g->child_count];
        return;
    }
}

/* Reaps what has ended; others than nodes are orphans of theirs. False: there
 * is no child left at all. */
static bool
reap(struct guardian *g, int flags)
{
    struct rusage usage;
    int status;
    pid_t pid;

    for (;;) {
        pid = wait4(-1, &status, flags, &usage);
        if (pid > 0) {
            forget(g, pid, status, &usage);
            flags = WNOHANG;
        } else if (pid == 0 || errno != EINTR) {
            return pid == 0;
        }
    }
}

/* Parent of a process as /proc knows it, or -1. */
static pid_t
parent_of(pid_t pid)
{
    char path[64], line[512];
    const char *after_name;
    int parent = -1;
    int fd;
    ssize_t n;

    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    n = read(fd, line, sizeof line - 1);
    (void)close(fd);
    if (n <= 0)
        return -1;
    line[n] = 0;
    after_name = strrchr(line, ')'); /* names may hold anything */
    if (after_name == NULL || sscanf(after_name, ") %*c %d", &parent) != 1)
        return -1;
    return parent;
}

/* Kills every child that /proc knows. False: it knows nobody. */
static bool
kill_seen(void)
{
    DIR *proc = opendir("/proc");
    pid_t self = getpid();
    struct dirent *entry;
    bool readable = false;

    if (proc == NULL)
        return false;
    while ((entry = readdir(proc)) != NULL) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        pid_t parent = pid > 0 ? parent_of(pid) : -1;

        readable |= parent >= 0;
        if (parent == self)
            (void)kill(pid, SIGKILL);
    }
    (void)closedir(proc);
    return readable;
}

/* Of every number the kernel says whether it is a child's. */
static bool
kill_range(pid_t first, pid_t last)
{
    siginfo_t info;
    bool found = false;

    for (pid_t pid = first; pid <= last; pid++)
        if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
            found |= kill(pid, SIGKILL) == 0;
    return found;
}

/* The same without /proc. Descendants are younger than this process and older
 * than a new one, unless their numbers have begun anew more than once: then
 * they are sought among all, which takes a second. */
static void
kill_guessed(void)
{
    pid_t self = getpid(), newest = fork();
    bool found;

    if (newest == 0)
        _exit(0);
    while (newest > 0 && waitpid(newest, NULL, 0) < 0 && errno == EINTR)
        continue;
    if (newest > self)
        found = kill_range(self + 1, newest);
    else
        found = newest > 0 &&
                (kill_range(1, newest) | kill_range(self + 1, PID_LIMIT)) != 0;
    if (!found)
        (void)kill_range(1, PID_LIMIT);
}

/* Kills in rounds: the children of what was killed become ours and go next. */
static void
end_all(struct guardian *g)
{
    g->detached = true;
    while (reap(g, WNOHANG)) {
        if (!kill_seen())
            kill_guessed();
        (void)reap(g, 0);
    }
}

/* --- the program --------------------------------------------------------- */

/* A child of the host that holds a copy of its end of the socket would hide
 * the host's death; the pidfd does not lie. */
static int
open_host(pid_t host)
{
    int fd = (int)syscall(SYS_pidfd_open, host, 0);

    if (getppid() != host) /* it died before we looked */
        _exit(1);
    return fd;
}

static int
prepare(struct guardian *g, pid_t host)
{
    static const int ignored[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM,
                                  SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU,
                                  SIGUSR1, SIGUSR2, SIGALRM};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigset_t children;

    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        (void)sigaction(ignored[i], &ignore, NULL);
    (void)syscall(SYS_close_range, DORA__GUARDIAN_SOCKET + 1, ~0U, 0);
    if (fcntl(DORA__GUARDIAN_SOCKET, F_SETFD, FD_CLOEXEC) < 0)
        return -1;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    (void)sigprocmask(SIG_SETMASK, &children, NULL);
    g->signals = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
    g->host = open_host(host);
    return g->signals;
}

static void
drain_signals(const struct guardian *g)
{
    struct signalfd_siginfo info[8];

    while (read(g->signals, info, sizeof info) > 0)
        continue;
}

/* Serves the host as long as it is there. */
static void
serve_all(struct guardian *g)
{
    struct pollfd polled[] = {{DORA__GUARDIAN_SOCKET, POLLIN, 0},
                              {g->signals, POLLIN, 0},
                              {g->host, POLLIN, 0}};

    while (!g->detached) {
        if (poll(polled, 3, -1) < 0)
            continue;
        if (polled[2].revents != 0)
            break;
        if (polled[1].revents != 0) {
            drain_signals(g);
            (void)reap(g, WNOHANG);
        }
        if (polled[0].revents != 0 && !serve(g))
            break;
    }
    end_all(g);
}

static bool
has_ended(pid_t child)
{
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
           info.si_pid == child;
}

/* Waits for the end of the one that serves: its status. With the host it goes
 * at once, for it may be stopped; told to end it has its time. */
static int
watch(struct guardian *g, pid_t server)
{
    struct pollfd polled[] = {{DORA__GUARDIAN_SOCKET, POLLRDHUP, 0},
                              {g->signals, POLLIN, 0},
                              {g->host, POLLIN, 0}};
    int patience = -1, ready, status = 0;

    do {
        ready = poll(polled, 3, patience);
        drain_signals(g);
        if (polled[0].revents != 0) {
            polled[0].fd = -1;
            patience = WATCHER_PATIENCE_MS;
        }
    } while (ready != 0 && polled[2].revents == 0 && !has_ended(server));
    (void)kill(server, SIGKILL);
    while (waitpid(server, &status, 0) < 0 && errno == EINTR)
        continue;
    end_all(g);
    return status;
}

int
main(int argc, char **argv)
{
    struct guardian g = {.host = -1};
    pid_t server;

    if (argc != 2 || prepare(&g, (pid_t)strtol(argv[1], NULL, 10)) < 0)
        return 1;
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    server = fork(); /* should that fail there is only one */
    if (server > 0)
        return watch(&g, server) == 0 ? 0 : 1;
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1); /* not inherited */
    serve_all(&g);
    free(g.children);
    return 0;
}
