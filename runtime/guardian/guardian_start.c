/* guardian_start.c - see guardian_start.h.
 *
 * Between fork and exec the child has a copy of a program with one thread, so
 * it may do whatever it likes. What it could not do it says in a pipe, which
 * its program does not get. */
#include "guardian_start.h"

#include <errno.h>
#include <fcntl.h>
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

/* A spawn request, mapped and checked. Strings point into the mapping. */
struct launch {
    void *map;
    size_t size;
    const struct dora__spawn_header *header;
    const uint32_t *cpus;
    char *program, *directory;
    char **argv, **env; /* one array of pointers holds both */
};

/* What a child says before it executes: one of these per complaint. */
struct complaint {
    uint32_t step;
    int32_t code;
};

enum { FIRST_SAFE_FD = 3 + DORA__GUARDIAN_MAX_FDS };

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
    uint32_t args = l->header->arg_count, envs = l->header->env_count;

    l->program = next_string(&at, end);
    l->directory = next_string(&at, end);
    for (uint32_t i = 0; i < args; i++)
        l->argv[i] = next_string(&at, end);
    for (uint32_t i = 0; i < envs; i++)
        l->env[i] = next_string(&at, end);
    /* Strings lie one after the other: if the last is there, all are. */
    return at == end && l->directory != NULL;
}

static int
open_launch(int fd, struct launch *l)
{
    struct stat info;
    char *bytes;
    size_t counts, at;

    if (fstat(fd, &info) < 0)
        return errno;
    l->size = (size_t)info.st_size;
    if (l->size < sizeof *l->header)
        return EBADMSG;
    l->map = mmap(NULL, l->size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (l->map == MAP_FAILED) {
        l->map = NULL;
        return errno;
    }
    bytes = l->map;
    l->header = l->map;
    at = sizeof *l->header + (size_t)l->header->cpu_count * sizeof(uint32_t);
    counts = (size_t)l->header->arg_count + l->header->env_count;
    if (l->header->size != l->size || at > l->size || counts > l->size)
        return EBADMSG;
    l->cpus = (const uint32_t *)(const void *)(bytes + sizeof *l->header);
    l->argv = calloc(counts + 2, sizeof *l->argv);
    if (l->argv == NULL)
        return ENOMEM;
    l->env = l->argv + l->header->arg_count + 1;
    return read_strings(l, bytes + at, bytes + l->size) ? 0 : EBADMSG;
}

static void
close_launch(struct launch *l)
{
    free(l->argv);
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
default_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (int number = 1; number < NSIG; number++)
        (void)sigaction(number, &action, NULL); /* some cannot be: fine */
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Descriptors 0, 1, 2 and the given ones from 3 up; nothing else. They are
 * first moved out of the way of each other. */
static int
place_descriptors(int *fds, size_t count)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (null < 0 || dup2(null, 0) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, FIRST_SAFE_FD + 1);
        if (fds[i] < 0)
            return -1;
    }
    for (size_t i = 0; i < count; i++)
        if (dup2(fds[i], (int)i + 1) < 0)
            return -1;
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

/* `fds`: stdout, stderr, and what becomes 3, 4, ... The complaint pipe moves
 * above them all and closes itself when the program is executed. */
static void
run_child(const struct launch *l, int *fds, size_t count, int pipe,
          pid_t guardian)
{
    int last = (int)count + 1;
    int moved = fcntl(pipe, F_DUPFD_CLOEXEC, FIRST_SAFE_FD);

    if (moved < 0)
        fail_child(pipe, DORA__STEP_PREPARE);
    pipe = moved;
    if (setpgid(0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        fail_child(pipe, DORA__STEP_PREPARE);
    if (getppid() != guardian)
        _exit(127);
    default_signals();
    if (place_descriptors(fds, count) < 0)
        fail_child(pipe, DORA__STEP_PREPARE);
    /* Everything of ours is close-on-exec as well, so an old kernel without
     * close_range leaks nothing. */
    (void)syscall(SYS_close_range, last, pipe - 1, 0);
    (void)syscall(SYS_close_range, pipe + 1, ~0U, 0);
    if (chdir(l->directory) < 0)
        fail_child(pipe, DORA__STEP_DIRECTORY);
    set_affinity(l, pipe);
    execve(l->program, l->argv, l->env);
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
start(const struct launch *l, int *fds, size_t count,
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
        run_child(l, fds, count, ends[1], guardian);
    code = errno;
    (void)close(ends[1]);
    if (pid < 0) {
        (void)close(ends[0]);
        fail(report, DORA__STEP_FORK, code);
        return;
    }
    step = hear_child(ends[0], &code, &report->step, &report->code);
    (void)close(ends[0]);
    if (step != DORA__STEP_NONE) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            continue;
        fail(report, step, code);
        return;
    }
    report->pid = pid;
}

void
dora__guardian_start(int *fds, size_t count, struct dora__report *ret_report)
{
    struct launch launch = {0};
    int code = count < 3 ? EBADMSG : open_launch(fds[0], &launch);

    *ret_report = (struct dora__report){.type = DORA__REPORT_SPAWNED};
    if (code != 0)
        fail(ret_report, DORA__STEP_MESSAGE, code);
    else
        start(&launch, fds + 1, count - 1, ret_report);
    close_launch(&launch);
}
