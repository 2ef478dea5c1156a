/* guardian_start.c - see guardian_start.h.
 *
 * Between fork and exec the child has a copy of a program with one thread, so
 * it may do whatever it likes. What it could not do it says in a pipe, which
 * its program does not get. */
#include "guardian_start.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A spawn request, mapped and checked. All points into the mapping but
 * `strings`, one array that holds the three. */
struct launch {
    void *map;
    size_t size;
    const struct dora__spawn_header *header;
    const uint32_t *cpus, *places, *groups;
    char *directory;
    char **strings;
    char **programs, **argv, **env;
};

/* What a child says before it executes: one of these per complaint. */
struct complaint {
    uint32_t step;
    int32_t code;
};

/* --- reading a spawn request --------------------------------------------- */

/* The terminated string at *at, and moves on; NULL past the end. */
static char *
next_string(char **at, const char *end)
{
    char *text = *at;
    char *stop = text < end ? memchr(text, 0, (size_t)(end - text)) : NULL;

    if (stop == NULL)
        return NULL;
    *at = stop + 1;
    return text;
}

static bool
read_strings(struct launch *l, char *at, const char *end)
{
    const uint32_t counts[] = {l->header->program_count, l->header->arg_count,
                               l->header->env_count};
    char **lists[3], **next = l->strings;

    l->directory = next_string(&at, end);
    for (int list = 0; list < 3; list++) {
        lists[list] = next;
        for (uint32_t i = 0; i < counts[list]; i++)
            *next++ = next_string(&at, end);
        next++; /* NULL ends each */
    }
    l->programs = lists[0];
    l->argv = lists[1];
    l->env = lists[2];
    /* Strings lie one after the other: if the last is there, all are. */
    return at == end && l->directory != NULL;
}

static int
map_launch(int fd, struct launch *l)
{
    struct stat info;

    if (fstat(fd, &info) < 0)
        return errno;
    l->size = (size_t)info.st_size;
    if (l->size < sizeof *l->header)
        return EBADMSG;
    l->map = mmap(NULL, l->size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (l->map != MAP_FAILED)
        return 0;
    l->map = NULL;
    return errno;
}

static int
open_launch(int fd, struct launch *l)
{
    int code = map_launch(fd, l);
    const struct dora__spawn_header *h = l->map;
    size_t numbers, strings;
    char *text;

    if (code != 0)
        return code;
    numbers = (size_t)h->cpu_count + h->fd_count + h->group_count;
    strings = (size_t)h->program_count + h->arg_count + h->env_count;
    if (h->size != l->size || strings > l->size ||
        numbers > (l->size - sizeof *h) / sizeof(uint32_t))
        return EBADMSG;
    l->header = h;
    l->cpus = (const uint32_t *)(const void *)(h + 1);
    l->places = l->cpus + h->cpu_count;
    l->groups = l->places + h->fd_count;
    l->strings = calloc(strings + 3, sizeof *l->strings);
    if (l->strings == NULL)
        return ENOMEM;
    text = (char *)l->map + sizeof *h + numbers * sizeof(uint32_t);
    return read_strings(l, text, (char *)l->map + l->size) ? 0 : EBADMSG;
}

static void
close_launch(struct launch *l)
{
    free(l->strings);
    if (l->map != NULL)
        (void)munmap(l->map, l->size);
}

/* --- in the child -------------------------------------------------------- */

static void
complain(int pipe, uint32_t step, int code)
{
    struct complaint c = {.step = step, .code = code};

    while (write(pipe, &c, sizeof c) < 0 && errno == EINTR)
        continue;
}

static void
fail_child(int pipe, uint32_t step)
{
    complain(pipe, step, errno);
    _exit(127);
}

static void
set_signals(const struct dora__manner *m)
{
    struct sigaction action = {0};
    sigset_t blocked;

    sigemptyset(&blocked);
    for (int number = 1; number < NSIG; number++) {
        uint64_t bit = DORA__SIGNAL_BIT(number);

        action.sa_handler = (m->ignored & bit) != 0 ? SIG_IGN : SIG_DFL;
        (void)sigaction(number, &action, NULL); /* some cannot be: fine */
        if ((m->blocked & bit) != 0)
            sigaddset(&blocked, number);
    }
    (void)sigprocmask(SIG_SETMASK, &blocked, NULL);
}

/* Another number for the descriptor, not to be inherited. */
static bool
move(int *fd)
{
    *fd = fcntl(*fd, F_DUPFD_CLOEXEC, 3);
    return *fd >= 0;
}

/* Puts `fds` where they are to be; what has that place, of them or the pipe,
 * moves out of the way. Everything else closes itself when the program is
 * executed; an input that was not given is empty. */
static int
place_descriptors(const struct launch *l, int *fds, int *pipe)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (null < 0 || dup2(null, 0) < 0)
        return -1;
    for (uint32_t i = 0; i < l->header->fd_count; i++) {
        int place = (int)l->places[i];

        for (uint32_t k = i + 1; k < l->header->fd_count; k++)
            if (fds[k] == place && fds[i] != place && !move(&fds[k]))
                return -1;
        if (*pipe == place && !move(pipe))
            return -1;
        if (fds[i] == place ? fcntl(place, F_SETFD, 0) < 0
                            : dup2(fds[i], place) < 0)
            return -1;
    }
    return 0;
}

static void
set_affinity(const struct launch *l, int pipe)
{
    cpu_set_t set;

    if (l->header->cpu_count == 0)
        return;
    CPU_ZERO(&set);
    for (uint32_t i = 0; i < l->header->cpu_count; i++)
        if (l->cpus[i] < CPU_SETSIZE)
            CPU_SET(l->cpus[i], &set);
    if (sched_setaffinity(0, sizeof set, &set) < 0)
        complain(pipe, DORA__STEP_AFFINITY, errno);
}

static int
enter_group(const struct dora__manner *m)
{
    int code = setpgid(0, m->group);

    if (m->group != 0)
        code = 0; /* it may have gone with its last process */
    return code == 0 && (m->flags & DORA__MANNER_SESSION) != 0 && setsid() < 0
               ? -1
               : code;
}

static int
become_user(const struct launch *l)
{
    const struct dora__manner *m = &l->header->manner;

    if ((m->flags & DORA__MANNER_GROUPS) != 0 &&
        setgroups(l->header->group_count, l->groups) < 0)
        return -1;
    if ((m->flags & DORA__MANNER_GID) != 0 && setregid(m->gid, m->gid) < 0)
        return -1;
    return (m->flags & DORA__MANNER_UID) != 0 ? setreuid(m->uid, m->uid) : 0;
}

/* As a search of PATH does it: the first reason that is not absence counts. */
static void
execute(const struct launch *l)
{
    int reason = ENOENT;

    for (char **program = l->programs; *program != NULL; program++) {
        (void)execve(*program, l->argv, l->env);
        if (reason == ENOENT || reason == ENOTDIR)
            reason = errno;
    }
    errno = reason;
}

/* `directory`: where paths start, or -1. The complaint pipe closes itself when
 * the program is executed. Who changes the user loses the death signal. */
static void
run_child(const struct launch *l, int directory, int *fds, int pipe,
          pid_t guardian)
{
    const struct dora__manner *m = &l->header->manner;

    if (enter_group(m) < 0)
        fail_child(pipe, DORA__STEP_PREPARE);
    set_signals(m);
    if ((directory >= 0 && fchdir(directory) < 0) ||
        (l->directory[0] != 0 && chdir(l->directory) < 0))
        fail_child(pipe, DORA__STEP_DIRECTORY);
    if ((m->flags & DORA__MANNER_UMASK) != 0)
        (void)umask(m->umask);
    if (place_descriptors(l, fds, &pipe) < 0)
        fail_child(pipe, DORA__STEP_PREPARE);
    set_affinity(l, pipe);
    if (become_user(l) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        fail_child(pipe, DORA__STEP_PREPARE);
    if (getppid() != guardian)
        _exit(127);
    execute(l);
    fail_child(pipe, DORA__STEP_EXECUTE);
}

/* --- in the guardian ------------------------------------------------------ */

/* Waits until the child executes or gives up: the pipe's other end goes with
 * either. 0, or the fatal step; *code is an errno and *warning a step. */
static uint32_t
hear_child(int pipe, int *code, uint32_t *warning, int *warning_code)
{
    struct complaint c;
    ssize_t n;

    while ((n = read(pipe, &c, sizeof c)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n != sizeof c)
            break;
        if (c.step != DORA__STEP_AFFINITY) {
            *code = c.code;
            return c.step;
        }
        *warning = c.step;
        *warning_code = c.code;
    }
    return DORA__STEP_NONE;
}

static void
fail(struct dora__report *report, uint32_t step, int code)
{
    report->type = DORA__REPORT_FAILED;
    report->step = step;
    report->code = code;
}

static void
start(const struct launch *l, int directory, int *fds,
      struct dora__report *report)
{
    pid_t guardian = getpid(), pid;
    int ends[2], code;
    uint32_t step;

    if (pipe2(ends, O_CLOEXEC) < 0) {
        fail(report, DORA__STEP_FORK, errno);
        return;
    }
    pid = fork();
    if (pid == 0)
        run_child(l, directory, fds, ends[1], guardian);
    code = errno;
    (void)close(ends[1]);
    if (pid < 0) {
        (void)close(ends[0]);
        fail(report, DORA__STEP_FORK, code);
        return;
    }
    report->pid = pid;
    step = hear_child(ends[0], &code, &report->step, &report->code);
    (void)close(ends[0]);
    if (step != DORA__STEP_NONE) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            continue;
        fail(report, step, code);
    }
}

void
dora__guardian_start(int *fds, size_t count, struct dora__report *ret_report)
{
    struct launch launch = {0};
    int code = count < 1 ? EBADMSG : open_launch(fds[0], &launch);
    bool has_directory = code == 0 && (launch.header->manner.flags &
                                       DORA__MANNER_DIRECTORY) != 0;
    size_t given = has_directory ? 2 : 1;

    *ret_report = (struct dora__report){.type = DORA__REPORT_SPAWNED};
    if (code == 0 && count != given + launch.header->fd_count)
        code = EBADMSG;
    if (code != 0)
        fail(ret_report, DORA__STEP_MESSAGE, code);
    else
        start(&launch, has_directory ? fds[1] : -1, fds + given, ret_report);
    close_launch(&launch);
}
