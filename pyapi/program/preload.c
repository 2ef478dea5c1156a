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
typedef void *(*stable_function)(const char *attachment, const char *program);

static char attachment[128]; /* empty: none */
static char directory[PATH_MAX];
static pid_t process; /* whose it is; -1: it was given out */

static void *
refuse(const char *why)
{
    void *type = dlsym(RTLD_DEFAULT, "PyExc_ImportError");
    void *function = dlsym(RTLD_DEFAULT, "PyErr_SetString");
    void (*raise)(void *, const char *);

    memcpy(&raise, &function, sizeof raise);
    raise(*(void **)type, why);
    return NULL;
}

/* The init function of the module. */
static void *
import(void)
{
    char path[PATH_MAX + 32], program[PATH_MAX + 32];
    bool mine = attachment[0] != '\0' && process == getpid();
    void *library, *symbol;
    stable_function init;

    (void)snprintf(path, sizeof path, "%s/dora-stable.so", directory);
    (void)snprintf(program, sizeof program, "%s/dora-stable", directory);
    /* Its objects have another layout. Asked is only the interpreter that the
     * node names; a wrapper may be of another mind by now. */
    if (dlsym(RTLD_DEFAULT, "_Py_MergeZeroLocalRefcount") != NULL)
        return refuse("this Python is free-threaded, for which dora-run has to "
                      "be built");
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    symbol = library == NULL ? NULL : dlsym(library, "dora_stable_init");
    if (symbol == NULL)
        return refuse(dlerror());
    memcpy(&init, &symbol, sizeof init);
    process = -1; /* it is given once, and not to a forked child */
    return init(mine ? attachment : NULL, program);
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
