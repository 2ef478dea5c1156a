/* scan.c - a script and all modules beside it that it reaches.
 *
 * Each file is read once, however many scripts reach it. Where a file lies
 * decides together with where its script does what its imports mean: a file is
 * another one below another root. One beside the script that is called like a
 * standard module might be imported in its stead by any other: that means no.
 *
 * It is no wall: a script that wants to hide something can. What is loaded
 * inside the host is looked at again when it is (inhost.py). */
#include "scan.h"

#include "modules.h"
#include "scan_file.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { MAX_FILES = 1000 };

struct file {
    char *path, *root;
    struct dora__scanned found;
    size_t *imports; /* numbers, one for each of found.beside */
    bool read;
    size_t search; /* number of the last search that came by */
    bool judged;   /* as a script: */
    char *verdict; /* NULL: it may */
};

struct dora__scan {
    char *directory;
    struct file *files;
    size_t count, searches;
};

struct dora__scan *
dora__scan_new(const char *directory)
{
    struct dora__scan *scan = calloc(1, sizeof *scan);

    if (scan == NULL)
        return NULL;
    scan->directory = strdup(directory);
    if (scan->directory != NULL)
        return scan;
    free(scan);
    return NULL;
}

void
dora__scan_free(struct dora__scan *scan)
{
    if (scan == NULL)
        return;
    for (size_t i = 0; i < scan->count; i++) {
        free(scan->files[i].path);
        free(scan->files[i].root);
        free(scan->files[i].imports);
        free(scan->files[i].verdict);
        dora__scanned_fini(&scan->files[i].found);
    }
    free(scan->files);
    free(scan->directory);
    free(scan);
}

/* Its number, known or new; -ENOMEM. */
static ssize_t
add_file(struct dora__scan *scan, const char *path, const char *root)
{
    struct file *grown;

    for (size_t i = 0; i < scan->count; i++)
        if (strcmp(scan->files[i].path, path) == 0 &&
            strcmp(scan->files[i].root, root) == 0)
            return (ssize_t)i;
    grown = realloc(scan->files, (scan->count + 1) * sizeof *grown);
    if (grown == NULL)
        return -ENOMEM;
    scan->files = grown;
    grown += scan->count;
    *grown = (struct file){.path = strdup(path), .root = strdup(root)};
    if (grown->path != NULL && grown->root != NULL)
        return (ssize_t)scan->count++;
    free(grown->path);
    free(grown->root);
    return -ENOMEM;
}

static int
read_file(struct dora__scan *scan, size_t number)
{
    struct file *file = &scan->files[number];
    int code = dora__scan_file(file->path, file->root, &file->found);
    size_t count = file->found.beside_count;
    size_t *imports = calloc(count + 1, sizeof *imports);

    if (code < 0 || imports == NULL) {
        free(imports);
        return -ENOMEM;
    }
    file->imports = imports;
    for (size_t i = 0; i < count; i++) {
        ssize_t other;

        file = &scan->files[number]; /* they may have moved */
        other = add_file(scan, file->found.beside[i], file->root);
        if (other < 0)
            return -ENOMEM;
        imports[i] = (size_t)other;
    }
    scan->files[number].read = true;
    return 0;
}

/* --- standard modules hidden by files beside the script
 * ----------------------- */

static bool
is_package(const char *root, const char *name)
{
    char init[PATH_MAX];

    (void)snprintf(init, sizeof init, "%s/%s/__init__.py", root, name);
    return access(init, F_OK) == 0;
}

static bool
hides(const char *root, const char *name)
{
    size_t size = strcspn(name, ".");
    const char *why;

    if (name[size] != '\0' && strcmp(strrchr(name, '.'), ".py") != 0 &&
        strcmp(strrchr(name, '.'), ".so") != 0)
        return false;
    return dora__module_find(name, size, &why, &size) != DORA__MODULE_UNKNOWN &&
           (strchr(name, '.') != NULL || is_package(root, name));
}

/* The first file that hides one: new text; "" if none does. */
static char *
find_hiding(const char *root)
{
    DIR *entries = opendir(*root == '\0' ? "/" : root);
    const struct dirent *entry = NULL;
    char *name;

    while (entries != NULL && (entry = readdir(entries)) != NULL)
        if (hides(root, entry->d_name))
            break;
    name = strdup(entry == NULL ? "" : entry->d_name);
    if (entries != NULL)
        (void)closedir(entries);
    return name;
}

/* --- the search
 * --------------------------------------------------------------- */

/* Goes through all files that the first one reaches, as numbers in `queue`, to
 * the first that may not: its number; -ENOENT: all may; -ENOMEM. */
static ssize_t
search(struct dora__scan *scan, size_t first, size_t queue[static MAX_FILES])
{
    size_t count = 1, mark = ++scan->searches;

    queue[0] = first;
    scan->files[first].search = mark;
    for (size_t i = 0; i < count; i++) {
        struct file *file = &scan->files[queue[i]];

        if (!file->read && read_file(scan, queue[i]) < 0)
            return -ENOMEM;
        file = &scan->files[queue[i]];
        if (file->found.why != NULL || count == MAX_FILES)
            return (ssize_t)queue[i];
        for (size_t k = 0; k < file->found.beside_count; k++) {
            struct file *other = &scan->files[file->imports[k]];

            if (other->search == mark || count == MAX_FILES)
                continue;
            other->search = mark;
            queue[count++] = file->imports[k];
        }
    }
    return -ENOENT;
}

/* The path as a person would write it. */
static const char *
shown(const struct dora__scan *scan, const char *path)
{
    size_t size = strlen(scan->directory);

    return strncmp(path, scan->directory, size) == 0 && path[size] == '/'
               ? path + size + 1
               : path;
}

/* Why the script may not, where a search of what it reaches ended. */
static int
judge(struct dora__scan *scan, size_t script, ssize_t end)
{
    const struct file *file = &scan->files[end < 0 ? 0 : end];
    char **verdict = &scan->files[script].verdict;

    scan->files[script].judged = end >= 0 || end == -ENOENT;
    if (end < 0)
        return end == -ENOENT ? 0 : -ENOMEM;
    *verdict =
        file->found.why == NULL
            ? dora__format("it reaches more than %d files", MAX_FILES)
            : dora__format("%s:%s", shown(scan, file->path), file->found.why);
    return *verdict == NULL ? -ENOMEM : 0;
}

static int
judge_script(struct dora__scan *scan, size_t script)
{
    struct file *file = &scan->files[script];
    DORA_AUTOFREE char *hiding = find_hiding(file->root);
    DORA_AUTOFREE size_t *queue = calloc(MAX_FILES, sizeof *queue);

    if (hiding == NULL || queue == NULL)
        return -ENOMEM;
    if (*hiding == '\0')
        return judge(scan, script, search(scan, script, queue));
    file->judged = true;
    file->verdict = dora__format("%s beside it is called like a standard "
                                 "module",
                                 hiding);
    return file->verdict == NULL ? -ENOMEM : 0;
}

int
dora__scan_script(struct dora__scan *scan, const char *script,
                  const char **ret_why)
{
    DORA_AUTOFREE char *path = realpath(script, NULL);
    DORA_AUTOFREE char *root = NULL;
    ssize_t number = -ENOMEM;
    int code = 0;

    if (path == NULL) {
        *ret_why = "it cannot be read";
        return errno == ENOMEM ? -ENOMEM : 0;
    }
    root = strndup(path, (size_t)(strrchr(path, '/') - path));
    if (root != NULL)
        number = add_file(scan, path, root);
    if (number < 0)
        return -ENOMEM;
    if (!scan->files[number].judged)
        code = judge_script(scan, (size_t)number);
    if (code < 0)
        return code;
    if (scan->files[number].verdict == NULL)
        return 1;
    *ret_why = scan->files[number].verdict;
    return 0;
}
