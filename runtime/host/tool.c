/* tool.c - see tool.h.
 *
 *   1. A tool reads nothing, and knows nothing of our signals.
 *   2. It is over when it has exited: what it leaves behind may hold its output
 *      open for as long as it likes.
 *   3. Asked to stop it has a moment to clean up. It does not outlive us: its
 *      death at ours is asked for by dora-guardian, which then becomes it. */
#include "tool.h"
#include "graph/graph_text.h"
#include "guardian/guardian_protocol.h"
#include "kind.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

enum {
    READ_SIZE = 16 << 10,
    TICK_MS = 100, /* between two questions whether to stop */
    EXIT_MS = 5,   /* its output has ended: it is about to */
};

#define STOP_GRACE ((int64_t)2 * 1000000000)

bool
dora__tool_stopped(const struct dora_options *options)
{
    return options->stop != NULL && options->stop(options->stop_arg);
}

void
dora__tool_say(const struct dora_options *options, const char *node,
               enum dora_level level, enum dora_stream stream, const char *text,
               size_t size)
{
    struct dora_log_record record = {
        .time_ns = dora__clock(CLOCK_REALTIME),
        .level = level,
        .stream = stream,
        .node = node,
        .text = text,
        .text_size = size,
    };

    if (options->log != NULL)
        options->log(options->log_arg, &record);
}

/* --- starting ------------------------------------------------------------- */

static int
set_signals(posix_spawnattr_t *how, bool alone)
{
    sigset_t none, defaults;
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;

    (void)sigemptyset(&none);
    (void)sigemptyset(&defaults);
    (void)sigaddset(&defaults, SIGPIPE);
    (void)posix_spawnattr_setsigmask(how, &none);
    (void)posix_spawnattr_setsigdefault(how, &defaults);
    return posix_spawnattr_setflags(
        how, alone ? (short)(flags | POSIX_SPAWN_SETSID) : flags);
}

static int
set_files(posix_spawn_file_actions_t *files, const char *directory, int output)
{
    int code =
        posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDONLY, 0);

    if (code == 0)
        code = posix_spawn_file_actions_adddup2(files, output, 1);
    if (code == 0)
        code = posix_spawn_file_actions_adddup2(files, output, 2);
    if (code == 0)
        code = posix_spawn_file_actions_addchdir_np(files, directory);
    return code;
}

/* The same command, executed by dora-guardian: new. NULL: there is none, so it
 * has to do without. */
static char **
tie(const struct dora__tool *tool, const char *program, char **argv)
{
    const char *libexec = tool->options->libexec;
    DORA_AUTOFREE char *found =
        libexec != NULL ? dora__format("%s/dora-guardian", libexec) : NULL;
    DORA_AUTOFREE char *guardian = found != NULL ? realpath(found, NULL) : NULL;
    char pid[16], **words = NULL;
    const char *const way[] = {guardian, DORA__GUARDIAN_TIE, pid, program};
    int code = guardian != NULL ? 0 : -ENOENT;

    (void)snprintf(pid, sizeof pid, "%d", (int)getpid());
    for (size_t i = 0; i < DORA_COUNT(way) && code == 0; i++)
        code = dora__launch_push(&words, way[i]);
    for (; *argv != NULL && code == 0; argv++)
        code = dora__launch_push(&words, *argv);
    return code < 0 ? dora__words_free(words) : words;
}

static int
spawn(const struct dora__tool *tool, const char *program, char **argv,
      int output, pid_t *ret_pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    char **tied;
    int code = posix_spawn_file_actions_init(&files);

    if (code != 0)
        return -code;
    tied = tie(tool, program, argv);
    code = posix_spawnattr_init(&how);
    if (code == 0) {
        code = set_signals(&how, tool->alone);
        if (code == 0)
            code = set_files(&files, tool->directory, output);
        if (code == 0)
            code = posix_spawn(ret_pid, tied != NULL ? tied[0] : program,
                               &files, &how, tied != NULL ? tied : argv,
                               tool->environment);
        (void)posix_spawnattr_destroy(&how);
    }
    (void)dora__words_free(tied);
    (void)posix_spawn_file_actions_destroy(&files);
    return -code;
}

/* --- attending ------------------------------------------------------------ */

static void
ignore(void *arg, const char *text, size_t size)
{
    (void)arg;
    (void)text;
    (void)size;
}

/* The sink of its output's lines. */
static dora__line_sink
ear(const struct dora__tool *tool)
{
    return tool->hear != NULL ? tool->hear : ignore;
}

static void
hear_bytes(const struct dora__tool *tool, struct dora__output *output,
           char *bytes, size_t size)
{
    for (size_t i = 0; i < size && tool->rewrites; i++)
        if (bytes[i] == '\r')
            bytes[i] = '\n';
    dora__output_feed(output, bytes, size, ear(tool), tool->hear_arg);
}

/* Hears some of what there is. -EAGAIN: nothing; 0: it has ended. */
static int
hear_some(const struct dora__tool *tool, struct dora__output *output,
          char *buffer)
{
    ssize_t n = read(output->fd, buffer, READ_SIZE);

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return -EAGAIN;
    if (n > 0) {
        hear_bytes(tool, output, buffer, (size_t)n);
        return 1;
    }
    dora__output_flush(output, ear(tool), tool->hear_arg);
    dora__output_close(output);
    return 0;
}

/* Hears what there is, waiting for it at most a tick. */
static void
listen_once(const struct dora__tool *tool, struct dora__output *output,
            char *buffer)
{
    struct pollfd ready = {.fd = output->fd, .events = POLLIN};

    if (output->fd < 0)
        (void)poll(NULL, 0, EXIT_MS);
    else if (poll(&ready, 1, TICK_MS) > 0)
        (void)hear_some(tool, output, buffer);
}

/* Hears what lies in the pipe, and no more: others may go on writing. */
static void
listen_last(const struct dora__tool *tool, struct dora__output *output,
            char *buffer)
{
    int left = 0;

    if (output->fd < 0)
        return;
    (void)ioctl(output->fd, FIONREAD, &left);
    for (; left > 0 && hear_some(tool, output, buffer) > 0; left -= READ_SIZE)
        continue;
    dora__output_flush(output, ear(tool), tool->hear_arg);
}

static bool
has_exited(pid_t pid)
{
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
           info.si_pid == pid;
}

/* Until it has exited. Whether it was stopped. */
static bool
attend(const struct dora__tool *tool, pid_t pid, struct dora__output *output,
       char *buffer)
{
    pid_t target = tool->alone ? -pid : pid;
    int64_t kill_at = INT64_MAX;
    bool stopped = false;

    while (!has_exited(pid)) {
        listen_once(tool, output, buffer);
        if (!stopped && dora__tool_stopped(tool->options)) {
            stopped = true;
            kill_at = dora__now() + STOP_GRACE;
            (void)kill(target, SIGTERM);
        } else if (stopped && dora__now() >= kill_at) {
            (void)kill(target, SIGKILL);
        }
    }
    if (stopped)
        (void)kill(target, SIGKILL);
    listen_last(tool, output, buffer);
    return stopped;
}

int
dora__tool_run(const struct dora__tool *tool, char **argv)
{
    struct dora__output output = DORA__OUTPUT_NONE;
    DORA_AUTOFREE char *buffer = malloc(READ_SIZE);
    DORA_AUTOFREE char *program = NULL;
    DORA_AUTOCLOSE int writing = -1;
    bool stopped;
    pid_t pid = 0;
    int status = 0;
    int code = buffer == NULL ? -ENOMEM
               : dora__tool_stopped(tool->options)
                   ? -EINTR
                   : dora__find_program(argv[0], tool->directory,
                                        (const char *const *)tool->environment,
                                        &program);

    if (code == 0)
        code = dora__output_open(&output, 0, &writing);
    if (code == 0)
        code = spawn(tool, program, argv, writing, &pid);
    if (code == 0) {
        (void)close(dora__take_fd(&writing));
        stopped = attend(tool, pid, &output, buffer);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            continue;
        /* The terminal may have told it first. */
        if (stopped || (status != 0 && dora__tool_stopped(tool->options)))
            code = -EINTR;
    }
    dora__output_close(&output);
    return code < 0 ? code : status;
}
