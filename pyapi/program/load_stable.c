/* load_stable.c - see load_stable.h. */
#include "load_stable.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

typedef void *(*stable_function)(const char *attachment, const char *program);

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

void *
load_stable(const char *directory, const char *attachment)
{
    char path[PATH_MAX + 32], program[PATH_MAX + 32];
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
    return init(attachment, program);
}
