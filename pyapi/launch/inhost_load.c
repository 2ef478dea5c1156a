/* inhost_load.c - nodes inside the host: which of the builds of Python can run
 * them there, and loading what does. Knows no Python.h.
 *
 * dora-inhost.so is linked with one build's libpython. It is loaded when the
 * first node needs it, with its symbols visible to all: the extension modules
 * of that Python look for libpython's among them. It stays for good, as Python
 * does. */
#include "inhost_load.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/* The first one whose interpreters do not share a lock, and whose extension
 * modules are made for that. */
enum { OLDEST_MAJOR = 3, OLDEST_MINOR = 13 };

char *
dora__inhost_library(const struct dora__python_build *build)
{
    const char *slash = strrchr(build->program, '/');

    return dora__format("%.*s/dora-inhost.so",
                        slash == NULL ? 1 : (int)(slash - build->program),
                        slash == NULL ? "." : build->program);
}

/* False: it runs none. */
static bool
read_version(const struct dora__python_build *build, int version[static 3])
{
    return !dora__python_free_threaded(build->version) &&
           sscanf(build->version, "%d.%d.%d", &version[0], &version[1],
                  &version[2]) == 3 &&
           (version[0] > OLDEST_MAJOR ||
            (version[0] == OLDEST_MAJOR && version[1] >= OLDEST_MINOR));
}

static bool
is_newer(const int a[static 3], const int b[static 3])
{
    for (int i = 0; i < 3; i++)
        if (a[i] != b[i])
            return a[i] > b[i];
    return false;
}

int
dora__inhost_build(const struct dora__python_table *table,
                   const struct dora__python_build **ret_build)
{
    const struct dora__python_build *best = NULL;
    int newest[3] = {0}, version[3];

    for (size_t i = 0; i < table->count; i++) {
        DORA_AUTOFREE char *library = NULL;

        if (!read_version(&table->builds[i], version) ||
            !is_newer(version, newest))
            continue;
        library = dora__inhost_library(&table->builds[i]);
        if (library == NULL)
            return -ENOMEM;
        if (access(library, R_OK) < 0)
            continue;
        memcpy(newest, version, sizeof newest);
        best = &table->builds[i];
    }
    *ret_build = best;
    return 0;
}

int
dora__inhost_load(const struct dora__launch *launch,
                  const struct dora__guest_class **ret_class,
                  struct dora_error *err)
{
    void *library = dlopen(launch->library, RTLD_NOW | RTLD_GLOBAL);
    const struct dora__guest_class *class;

    if (library == NULL)
        return dora__fail(err, ENOENT, "cannot load %s: %s", launch->library,
                          dlerror());
    class = dlsym(library, "dora_inhost");
    if (class == NULL)
        return dora__fail(err, ENOENT, "%s runs no nodes", launch->library);
    *ret_class = class;
    return 0;
}
