/* scan_beside.c - see scan_beside.h. The order is that of CPython's finder:
 * package, C code, source, and last a directory without __init__.py. */
#include "scan_beside.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

static bool
is_kind(const char *path, mode_t kind)
{
    struct stat status;

    return stat(path, &status) == 0 && (status.st_mode & S_IFMT) == kind;
}

/* Whether `name` is there as C code, which goes before name.py. */
static bool
is_compiled(const char *directory, const char *name, size_t size)
{
    DIR *entries = opendir(directory);
    const struct dirent *entry;
    bool found = false;

    if (entries == NULL)
        return false;
    while (!found && (entry = readdir(entries)) != NULL) {
        const char *rest = entry->d_name + size;

        found = strncmp(entry->d_name, name, size) == 0 && *rest == '.' &&
                strcmp(strrchr(rest, '.'), ".so") == 0;
    }
    (void)closedir(entries);
    return found;
}

int
dora__beside_find(char **directory, const char *name, size_t size,
                  enum dora__beside *ret_what, char **ret_file)
{
    char *package = dora__format("%s/%.*s", *directory, (int)size, name);
    DORA_AUTOFREE char *init =
        package == NULL ? NULL : dora__format("%s/__init__.py", package);
    DORA_AUTOFREE char *module =
        package == NULL ? NULL : dora__format("%s.py", package);
    enum dora__beside what = DORA__NOT_BESIDE;

    *ret_file = NULL;
    if (init == NULL || module == NULL) {
        free(package);
        return -ENOMEM;
    }
    if (is_kind(init, S_IFREG)) {
        what = DORA__BESIDE_PACKAGE;
        *ret_file = init;
        init = NULL;
    } else if (is_compiled(*directory, name, size)) {
        what = DORA__BESIDE_COMPILED;
    } else if (is_kind(module, S_IFREG)) {
        what = DORA__BESIDE_MODULE;
        *ret_file = module;
        module = NULL;
    } else if (is_kind(package, S_IFDIR)) {
        what = DORA__BESIDE_PACKAGE;
    }
    if (what == DORA__BESIDE_PACKAGE) {
        free(*directory);
        *directory = package;
    } else {
        free(package);
    }
    *ret_what = what;
    return 0;
}
