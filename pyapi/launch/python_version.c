/* python_version.c - the version that somebody has asked for where a dataflow
 * is: in a `.python-version` there or above, as pyenv, uv and others read it;
 * of pyenv also in a variable, or once for all places. */
#include "host/kind.h"
#include "interpreter.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

/* First word of the first line that says something; false: no such file. */
static bool
read_version(const char *path, char *word, int limit)
{
    FILE *file = fopen(path, "re");
    char line[256];

    *word = '\0';
    if (!file)
        return false;
    while (!*word && fgets(line, sizeof line, file)) {
        const char *at = line + strspn(line, " \t");

        if (*at != '#')
            (void)snprintf(word, (size_t)limit, "%.*s",
                           (int)strcspn(at, " \t\r\n:"), at);
    }
    (void)fclose(file);
    return true;
}

/* The nearest `.python-version` decides, even if it says nothing. */
static int
find_file(const char *directory, struct dora__python_pin *pin)
{
    for (int size = (int)strlen(directory);;) {
        char *path = dora__format("%.*s/.python-version", size, directory);

        if (!path)
            return -ENOMEM;
        if (read_version(path, pin->version, sizeof pin->version)) {
            pin->source = path;
            return 0;
        }
        free(path);
        while (size > 0 && directory[size - 1] != '/')
            size--;
        if (size-- == 0)
            return -ENOENT;
    }
}

int
dora__python_pin(const struct dora__python_place *place, bool pyenv,
                 struct dora__python_pin *ret_pin)
{
    const char *named =
        dora__environment_get(place->environment, "PYENV_VERSION");
    struct dora__python_pin pin = {0};
    int result = 0;

    if (pyenv && named && *named) {
        (void)snprintf(pin.version, sizeof pin.version, "%.*s",
                       (int)strcspn(named, ":"), named);
        pin.inherited = true;
        pin.source = strdup("$PYENV_VERSION");
        if (!pin.source)
            return -ENOMEM;
    } else {
        result = find_file(place->directory, &pin);
    }
    if (result == 0 && !*pin.version) {
        free(pin.source);
        result = -ENOENT;
    }
    if (result == 0)
        *ret_pin = pin;
    return result;
}

/* --- pyenv ---------------------------------------------------------------- */

/* Size of the root's path, when `path` is among the shims there; 0: it is none.
 */
static int
root_size(const char *path)
{
    static const char shims[] = "/shims";
    const char *name = strrchr(path, '/');
    ptrdiff_t size = name ? name - path - (ptrdiff_t)(sizeof shims - 1) : 0;

    return size > 0 && !strncmp(path + size, shims, sizeof shims - 1)
               ? (int)size
               : 0;
}

bool
dora__pyenv_shim(const char *path)
{
    return root_size(path) > 0;
}

/* As pyenv chooses; `source` is NULL for its choice for all places. */
static int
choose_version(const char *path, int root,
               const struct dora__python_place *place,
               struct dora__python_pin *pin)
{
    DORA_AUTOFREE char *global = dora__format("%.*s/version", root, path);
    int result = global ? dora__python_pin(place, true, pin) : -ENOMEM;

    if (result != -ENOENT)
        return result;
    pin->source = NULL;
    (void)read_version(global, pin->version, sizeof pin->version);
    return *pin->version ? 0 : -ENOENT;
}

/* "3.12" stands for the newest 3.12.x that is there. */
static void
complete_version(const char *versions, struct dora__python_pin *pin)
{
    size_t size = strlen(pin->version);
    char newest[sizeof pin->version] = "";
    DIR *directory = opendir(versions);
    struct dirent *entry;

    if (!directory)
        return;
    while ((entry = readdir(directory))) {
        const char *name = entry->d_name, *rest = name + size;
        size_t length = strlen(name);

        if (!strncmp(name, pin->version, size) && *rest == '.' &&
            !rest[strspn(rest, "0123456789.")] && length < sizeof newest &&
            strverscmp(name, newest) > 0)
            memcpy(newest, name, length + 1);
    }
    (void)closedir(directory);
    if (*newest)
        memcpy(pin->version, newest, sizeof newest);
}

/* The directory of the version, which exists; -ENOENT. */
static int
find_version(const char *path, int root, struct dora__python_pin *pin,
             char **ret_place)
{
    DORA_AUTOFREE char *versions = dora__format("%.*s/versions", root, path);

    if (!versions)
        return -ENOMEM;
    for (int i = 0; i < 2; i++) {
        char *place = dora__format("%s/%s", versions, pin->version);

        if (!place)
            return -ENOMEM;
        if (access(place, F_OK) == 0) {
            *ret_place = place;
            return 0;
        }
        free(place);
        complete_version(versions, pin);
    }
    return -ENOENT;
}

int
dora__pyenv_program(const char *path, const struct dora__python_place *place,
                    char **ret_program)
{
    int root = root_size(path), result;
    DORA_AUTOFREE char *version = NULL;
    struct dora__python_pin pin;
    char *program;

    if (root == 0)
        return -ENOENT;
    result = choose_version(path, root, place, &pin);
    if (result < 0)
        return result;
    free(pin.source);
    /* Of conda's, environments too: "miniconda3-24.1/envs/vision". */
    if (strstr(pin.version, "..") || !strcmp(pin.version, "system"))
        return -ENOENT;
    result = find_version(path, root, &pin, &version);
    if (result < 0)
        return result;
    program = dora__format("%s/bin%s", version, strrchr(path, '/'));
    if (!program)
        return -ENOMEM;
    if (access(program, X_OK) < 0) {
        free(program);
        return -ENOENT;
    }
    *ret_program = program;
    return 0;
}
