/* child.c - `dora` for programs that a node starts with an interpreter: they
 * find it on PYTHONPATH (module/children.c), as children/dora.abi3.so beside
 * dora-stable.so. They are no nodes, which Node() tells them. */
#include "load_stable.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

__attribute__((visibility("default"))) void *PyInit_dora(void);

void *
PyInit_dora(void)
{
    char directory[PATH_MAX];
    Dl_info self;
    char *slash;

    if (dladdr(PyInit_dora, &self) == 0)
        return NULL;
    (void)snprintf(directory, sizeof directory, "%s", self.dli_fname);
    for (int i = 0; i < 2; i++) { /* the file, and `children` */
        slash = strrchr(directory, '/');
        if (slash != NULL)
            *slash = '\0';
    }
    return load_stable(directory, NULL);
}
