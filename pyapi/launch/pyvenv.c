/* pyvenv.c - the build that a virtual environment's interpreter belongs to,
 * where that is a copy. In most it is a link to what it is, and pyvenv.cfg
 * knows no better.
 *
 * The file names the interpreter it was made with, or only the directory of
 * that, which may hold several Pythons: then its version has the last word. */
#include "interpreter.h"

#include "host/file.h"

#include <string.h>

enum { MAX_CONFIG = 1 << 14 };

/* The value in "key = value" lines, cut out of `text`; NULL: none. */
static const char *
config_value(char *text, const char *key)
{
    size_t size = strlen(key);

    for (char *line = text; line && *line;) {
        char *end = strchr(line, '\n'), *at = line + strspn(line, " \t");

        if (!strncasecmp(at, key, size)) {
            at += size + strspn(at + size, " \t");
            if (*at == '=') {
                at += 1 + strspn(at + 1, " \t");
                at[strcspn(at, "\r\n")] = '\0';
                return at;
            }
        }
        line = end ? end + 1 : NULL;
    }
    return NULL;
}

/* pyvenv.cfg beside the interpreter or one directory up, as CPython looks. */
static int
read_config(const char *executable, char **ret_text)
{
    static const char *const places[] = {"", "../"};
    int size = (int)(strrchr(executable, '/') - executable);
    int result = -ENOENT;

    for (size_t i = 0; i < DORA_COUNT(places) && result == -ENOENT; i++) {
        DORA_AUTOFREE char *path =
            dora__format("%.*s/%spyvenv.cfg", size, executable, places[i]);

        result =
            path ? dora__file_text(path, MAX_CONFIG, ret_text, NULL) : -ENOMEM;
    }
    return result;
}

/* A value of the pyvenv.cfg of an interpreter, new. */
static int
find_value(const char *executable, const char *key, char **ret_value)
{
    DORA_AUTOFREE char *text = NULL;
    const char *value;
    int result = read_config(executable, &text);

    if (result < 0)
        return result;
    value = config_value(text, key);
    if (!value)
        return -ENOENT;
    *ret_value = strdup(value);
    return *ret_value ? 0 : -ENOMEM;
}

/* By the file that pyvenv.cfg names. Where that is there it decides, though it
 * may be of no build: *ret_build is NULL then. */
static int
find_by_name(const struct dora__python_table *table, const char *executable,
             const char *key, const struct dora__python_build **ret_build)
{
    DORA_AUTOFREE char *base = NULL;
    int result = find_value(executable, key, &base);

    if (result < 0)
        return result;
    *ret_build = dora__python_build_of(table, base);
    return access(base, F_OK) < 0 ? -ENOENT : 0;
}

/* "3.13.0" and "3.13.2.final.0": an older interpreter's environment goes on
 * when that has been updated. */
static bool
same_series(const char *version, const char *other)
{
    size_t size = strcspn(version, ".");

    size += version[size] ? 1 + strcspn(version + size + 1, ".") : 0;
    return !strncmp(version, other, size) &&
           (!other[size] || other[size] == '.');
}

/* By the directory that pyvenv.cfg names, which may hold several Pythons. */
static int
find_by_home(const struct dora__python_table *table, const char *executable,
             const char *name, const struct dora__python_build **ret_build)
{
    static const char *const keys[] = {"version_info", "version"};
    DORA_AUTOFREE char *home = NULL, *base = NULL;
    int result = find_value(executable, "home", &home);

    if (result < 0)
        return result;
    base = dora__format("%s/%s", home, name);
    if (!base)
        return -ENOMEM;
    *ret_build = dora__python_build_of(table, base);
    for (size_t i = 0; i < DORA_COUNT(keys) && *ret_build; i++) {
        DORA_AUTOFREE char *version = NULL;

        result = find_value(executable, keys[i], &version);
        if (result == -ENOMEM)
            return result;
        if (result == 0 && !same_series((*ret_build)->version, version))
            *ret_build = NULL;
    }
    return *ret_build ? 0 : -ENOENT;
}

int
dora__pyvenv_build(const struct dora__python_table *table, const char *path,
                   const struct dora__python_build **ret_build)
{
    static const char *const keys[] = {"executable", "base-executable"};
    DORA_AUTOFREE char *executable = realpath(path, NULL);
    const char *const names[] = {
        executable ? strrchr(executable, '/') + 1 : NULL, "python3", "python"};
    int result = -ENOENT;

    if (!executable)
        return errno == ENOMEM ? -ENOMEM : -ENOENT;
    for (size_t i = 0; i < DORA_COUNT(keys) && result == -ENOENT; i++)
        result = find_by_name(table, executable, keys[i], ret_build);
    for (size_t i = 0; i < DORA_COUNT(names) && result == -ENOENT; i++)
        result = find_by_home(table, executable, names[i], ret_build);
    return result;
}
