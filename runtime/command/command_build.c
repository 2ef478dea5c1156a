/* command_build.c - dora-run build. A signal ends it, after what it has begun
 * is cleaned up. */
#include "command.h"
#include "print.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

static atomic_int stopped_by; /* a signal; 0: none */

static void
on_signal(int number)
{
    atomic_store_explicit(&stopped_by, number, memory_order_relaxed);
}

static void
catch_signals(void)
{
    static const int stops[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct sigaction before;

    for (size_t i = 0; i < DORA_COUNT(stops); i++) /* nohup(1) means it */
        if (sigaction(stops[i], NULL, &before) == 0 &&
            before.sa_handler != SIG_IGN)
            (void)sigaction(stops[i], &action, NULL);
}

static bool
is_stopped(void *arg)
{
    (void)arg;
    return atomic_load_explicit(&stopped_by, memory_order_relaxed) != 0;
}

static void
show_line(void *arg, const struct dora_log_record *record)
{
    struct dora__text line = {0};

    print_line(arg, record, &line);
    if (!line.failed)
        (void)fwrite(line.text, 1, line.size, stdout);
    (void)fflush(stdout);
    free(line.text);
}

int
command_build(const struct command *command)
{
    struct print_look look = {.colours = print_colours(1)};
    struct dora_options options = command_options(command);
    struct dora_error err;

    catch_signals();
    options.log = show_line;
    options.log_arg = &look;
    options.stop = is_stopped;
    if (dora_build_file(command->file, &options,
                        DORA_BUILD_AGAIN | (command->uv ? DORA_BUILD_UV : 0),
                        &err) == 0)
        return STATUS_OK;
    (void)fprintf(stderr, "dora-run: %s\n", err.text);
    return STATUS_FAILED;
}
