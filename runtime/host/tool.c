/* tool.c - see tool.h.
 *
 *   1. A tool reads nothing, and knows nothing of our signals.
 *   2. It is over when it has exited. What it leaves behind is ended then, and
 *      so is all of it when we are: it has a guardian of its own.
 *   3. Asked to stop it has a moment to clean up. */
#include "tool.h"
#include "guardian/guardian_client.h"
#include "kind.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    READ_SIZE = 16 << 10,
    TICK_MS = 100, /* between two questions whether to stop */
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

static void
complain(const struct dora__tool *tool, const char *text)
{
    dora__tool_say(tool->options, NULL, DORA_LEVEL_ERROR, DORA_STREAM_HOST,
                   text, strlen(text));
}

static int
spawn(const struct dora__tool *tool, char *program, char **argv, int output,
      struct dora__guardian *guardian)
{
    static const uint32_t places[] = {1, 2};
    const int fds[] = {output, output};
    char *const programs[] = {program, NULL};
    const struct dora__spawn how = {
        .programs = programs,
        .directory = tool->directory,
        .argv = argv,
        .env = tool->environment,
        .fds = fds,
        .places = places,
        .fd_count = DORA_COUNT(fds),
        .manner = {.ignored =
                       dora__signals_ignored() & ~DORA__SIGNAL_BIT(SIGPIPE),
                   .flags = tool->alone ? DORA__MANNER_SESSION : 0,
                   .group = getpgrp()},
    };
    struct dora_error err = {""};
    int code = dora__guardian_start(tool->options->libexec, guardian, &err);

    if (code == 0)
        return dora__guardian_spawn(guardian, 0, &how);
    complain(tool, err.text);
    return code == -ENOENT ? -EIO : code; /* the tool is there */
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

/* Hears what there is of it and of the guardian, waiting at most a tick. 1:
 * *ret_report is filled. */
static int
listen_once(const struct dora__tool *tool, struct dora__output *output,
            char *buffer, const struct dora__guardian *guardian,
            struct dora__report *ret_report)
{
    struct pollfd ready[] = {{output->fd, POLLIN, 0},
                             {guardian->socket, POLLIN, 0}};
    int got;

    if (poll(ready, DORA_COUNT(ready), TICK_MS) <= 0)
        return -EAGAIN;
    if (ready[0].revents != 0)
        (void)hear_some(tool, output, buffer);
    got = ready[1].revents != 0 ? dora__guardian_read(guardian, ret_report)
                                : -EAGAIN;
    return got == 0 ? -EIO : got;
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

static void
signal_tool(const struct dora__guardian *guardian, int number)
{
    (void)!dora__guardian_signal(guardian, 0, number);
}

/* Until it has exited: *ret_report says how, or that it was not started.
 * -EINTR: it was stopped. */
static int
attend(const struct dora__tool *tool, const struct dora__guardian *guardian,
       struct dora__output *output, char *buffer,
       struct dora__report *ret_report)
{
    int64_t kill_at = INT64_MAX;
    bool stopped = false;
    int got;

    do {
        got = listen_once(tool, output, buffer, guardian, ret_report);
        if (!stopped && dora__tool_stopped(tool->options)) {
            stopped = true;
            kill_at = dora__now() + STOP_GRACE;
            signal_tool(guardian, SIGTERM);
        } else if (dora__now() >= kill_at) {
            signal_tool(guardian, SIGKILL);
        }
    } while (got == -EAGAIN ||
             (got == 1 && ret_report->type == DORA__REPORT_SPAWNED));
    listen_last(tool, output, buffer);
    if (got == -EIO)
        complain(tool, "dora-guardian, which ran it, was killed");
    if (got < 0)
        return got;
    if (ret_report->type == DORA__REPORT_FAILED)
        return ret_report->code == 0 ? -EIO : -ret_report->code;
    /* The terminal may have told it first. */
    if (stopped ||
        (ret_report->status != 0 && dora__tool_stopped(tool->options)))
        return -EINTR;
    return 0;
}

int
dora__tool_run(const struct dora__tool *tool, char **argv)
{
    struct dora__guardian guardian = DORA__GUARDIAN_NONE;
    struct dora__output output = DORA__OUTPUT_NONE;
    struct dora__report report = {0};
    DORA_AUTOFREE char *buffer = malloc(READ_SIZE);
    DORA_AUTOFREE char *program = NULL;
    DORA_AUTOCLOSE int writing = -1;
    int code = buffer == NULL ? -ENOMEM
               : dora__tool_stopped(tool->options)
                   ? -EINTR
                   : dora__find_program(argv[0], tool->directory,
                                        (const char *const *)tool->environment,
                                        &program);

    if (code == 0)
        code = dora__output_open(&output, 0, &writing);
    if (code == 0)
        code = spawn(tool, program, argv, writing, &guardian);
    if (code == 0) {
        (void)close(dora__take_fd(&writing));
        code = attend(tool, &guardian, &output, buffer, &report);
    }
    dora__guardian_reap(&guardian);
    dora__output_close(&output);
    return code < 0 ? code : report.status;
}
