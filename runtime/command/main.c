/* main.c - dora-run, the program: asks libdora for what the command line says.
 *
 * Uses nothing of the library but dora.h, and registers one kind of node. The
 * rest of the program is command_*.c (what it does) and print_*.c (what is
 * seen of it). */
#include "command.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>

/* Gives standard files that whoever started this program has closed their
 * numbers back: else the shared memory gets one, and what is meant to be
 * printed is written into it. What cannot be had is not missed until then. */
static void
occupy_standard_files(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) == -1)
            (void)open("/dev/null", O_RDWR); /* the least that is free: fd */
    }
}

/* This program's file: new, or NULL. Without /proc it is what was executed. */
static char *
own_file(void)
{
    char program[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
    const char *executed;

    if (size >= 0) {
        program[size] = '\0';
        return strdup(program);
    }
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): the kernel's way to say it */
    executed = (const char *)getauxval(AT_EXECFN);
    return executed ? realpath(executed, NULL) : NULL;
}

/* The helper programs lie beside this one where it was built, and in
 * ../libexec/dora-run where it was installed, wherever that is. */
static char *
find_libexec(void)
{
    static const char *const places[] = {"", "/../libexec/dora-run"};
    DORA_AUTOFREE char *program = own_file();
    char *slash = program ? strrchr(program, '/') : NULL;

    if (!slash)
        return NULL;
    *slash = '\0';
    for (size_t i = 0; i < DORA_COUNT(places); i++) {
        DORA_AUTOFREE char *guardian =
            dora__format("%s%s/dora-guardian", program, places[i]);

        if (guardian && access(guardian, X_OK) == 0) {
            *strrchr(guardian, '/') = '\0';
            return realpath(guardian, NULL);
        }
    }
    return NULL;
}

static int
run(const struct command *command)
{
    switch (command->verb) {
    case VERB_RUN:
        return command_run(command);
    case VERB_CHECK:
        return command_check(command);
    case VERB_GRAPH:
        return command_graph(command);
    case VERB_BUILD:
        return command_build(command);
    case VERB_LOGS:
        return command_logs(command);
    case VERB_NODE:
        return command_node(command);
    case VERB_VERSION:
        return command_version(command);
    case VERB_HELP:
        (void)fputs(command_help, stdout);
        return STATUS_OK;
    }
    return STATUS_USAGE;
}

int
main(int argc, char **argv)
{
    struct command command;
    struct dora_error err;
    int status;

    occupy_standard_files();
    if (argc < 2) {
        (void)fputs(command_usage, stderr);
        return STATUS_USAGE;
    }
    if (command_parse(argc, argv, &command, &err)) {
        (void)fprintf(stderr, "dora-run: %s\n", err.text);
        return STATUS_USAGE;
    }
    command.libexec = find_libexec();
    status = run(&command);
    command_fini(&command);
    if (fflush(stdout) != 0 && status == STATUS_OK)
        status = STATUS_FAILED;
    return status;
}
