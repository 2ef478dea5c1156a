/* preload.c - puts the `dora` module into an interpreter that is not ours.
 *
 * dora-stable has the loader load this library into the node's own python,
 * where it runs before main: it takes the attachment out of the environment, so
 * that what the script starts is no node, and adds `dora` to the built-in
 * modules, as dora-python has it. The command line, sys.path and all of the
 * interpreter stay what they are without us. The module itself is loaded when
 * it is imported.
 *
 * Knows no Python.h and refers to nothing of Python: a wrapper script around an
 * interpreter has this in its shell, too, where it does nothing. */
#include "load_stable.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ATTACHMENT "DORA_RUN_ATTACH"
#define DIRECTORY "DORA_RUN_STABLE"

typedef void *(*init_function)(void);

static char attachment[128]; /* empty: none */
static char directory[PATH_MAX];
static pid_t process; /* whose it is; -1: it was given out */

/* The init function of the module. */
static void *
import(void)
{
    bool mine = attachment[0] != '\0' && process == getpid();

    process = -1; /* it is given once, and not to a forked child */
    return load_stable(directory, mine ? attachment : NULL);
}

static void
close_on_exec(const char *text)
{
    char *end;

    for (int i = 0; *text != '\0'; i++, text = *end == ',' ? end + 1 : end) {
        long fd = strtol(text, &end, 10);

        if (end == text)
            return;
        if (i != 4) /* the number of the node */
            (void)fcntl((int)fd, F_SETFD, FD_CLOEXEC);
    }
}

static void
take_environment(void)
{
    const char *text = getenv(ATTACHMENT), *where = getenv(DIRECTORY);

    if (where != NULL)
        (void)snprintf(directory, sizeof directory, "%s", where);
    if (text != NULL && strlen(text) < sizeof attachment) {
        (void)snprintf(attachment, sizeof attachment, "%s", text);
        close_on_exec(text);
    }
    process = getpid();
    (void)unsetenv(ATTACHMENT);
    (void)unsetenv(DIRECTORY);
    (void)unsetenv("LD_PRELOAD");
}

__attribute__((constructor)) static void
preload(void)
{
    void *symbol = dlsym(RTLD_DEFAULT, "PyImport_AppendInittab");
    int (*append)(const char *, init_function);

    if (symbol == NULL)
        return; /* the interpreter is yet to come */
    take_environment();
    memcpy(&append, &symbol, sizeof append);
    (void)append("dora", import);
}
