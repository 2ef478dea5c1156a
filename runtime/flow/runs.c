/* runs.c - see runs.h. Nothing here is believed but what the door says: a
 * run.json may be years old, or its process number somebody else's by now. */
#include "runs.h"

#include "door.h"
#include "graph/document.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { RUN_SIZE = 64 << 10 };

/* The search. */
struct search {
    char *directory;
    const char *file; /* only runs of a file of that name; NULL: of any */
    struct dora__text found; /* what was found, for a person */
    size_t count;
    int fd; /* of the first */
};

static const char *
name_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

/* --- run.json ------------------------------------------------------------- */

static ssize_t
read_run(const char *directory, const char *id, char *text)
{
    DORA_AUTOFREE char *path =
        dora__format("%s/out/%s/run.json", directory, id);
    DORA_AUTOCLOSE int fd =
        path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);

    return fd < 0 ? -1 : read(fd, text, RUN_SIZE);
}

static const char *
text_of(const struct dora__document *run, const char *key)
{
    const struct dora__value *value =
        run->root.type == DORA__MAP ? dora__value_get(&run->root, key) : NULL;

    return value == NULL || value->text == NULL ? "" : value->text;
}

/* Takes the run in if it is one that is looked for. */
static void
add_run(struct search *search, const char *id, const struct dora__document *run)
{
    const char *file = text_of(run, "file");
    int fd;

    if (search->file != NULL && strcmp(name_of(file), search->file) != 0)
        return;
    fd = dora__door_find(id);
    if (fd < 0)
        return;
    dora__text_printf(&search->found, "%s%s (%s, process %s)",
                      search->count > 0 ? ", " : "", id, file,
                      text_of(run, "pid"));
    if (search->count++ == 0)
        search->fd = fd;
    else
        (void)close(fd);
}

static void
look_at(struct search *search, const char *id)
{
    DORA_AUTOFREE char *text = malloc(RUN_SIZE);
    ssize_t size = text == NULL ? -1 : read_run(search->directory, id, text);
    struct dora__document run;
    struct dora__mark mark;

    if (size < 0 ||
        dora__document_load(text, (size_t)size, &run, &mark, NULL) < 0)
        return;
    add_run(search, id, &run);
    dora__document_fini(&run);
}

/* --- places --------------------------------------------------------------- */

/* Splits the place; -ENOENT: no such file or directory. */
static int
go_to(struct search *search, const char *place)
{
    const char *name = name_of(place);
    struct stat status;

    if (stat(place, &status) < 0)
        return -ENOENT;
    if (S_ISDIR(status.st_mode)) {
        search->directory = strdup(place);
    } else {
        search->file = name;
        search->directory = name == place
                                ? strdup(".")
                                : strndup(place, (size_t)(name - place));
    }
    return search->directory == NULL ? -ENOMEM : 0;
}

static void
look_around(struct search *search)
{
    DORA_AUTOFREE char *out = dora__format("%s/out", search->directory);
    DIR *directory = out == NULL ? NULL : opendir(out);
    const struct dirent *entry;

    if (directory == NULL)
        return;
    while ((entry = readdir(directory)) != NULL)
        if (entry->d_name[0] != '.')
            look_at(search, entry->d_name);
    (void)closedir(directory);
}

/* One, or the reason why not. */
static int
decide(struct search *search, const char *place, struct dora_error *err)
{
    if (search->count == 1)
        return search->fd;
    if (search->count == 0)
        return dora__fail(err, ENOENT,
                          "no dataflow with dynamic nodes runs from %s; name "
                          "its file: --run FLOW.yml",
                          place);
    (void)close(search->fd);
    return dora__fail(err, EEXIST,
                      "several dataflows run from %s; choose one by --run ID: "
                      "%s",
                      place, search->found.failed ? "" : search->found.text);
}

int
dora__runs_find(const char *place, struct dora_error *err)
{
    struct search search = {.fd = -1};
    const char *where = place == NULL ? "." : place;
    int code = go_to(&search, where);

    if (code == -ENOENT && strchr(where, '/') == NULL) {
        code = dora__door_find(where);
        if (code >= 0)
            return code;
        return dora__fail(err, ENOENT,
                          "`%s` is neither a dataflow file, nor a directory, "
                          "nor the id of a run with dynamic nodes",
                          where);
    }
    if (code < 0)
        return dora__fail(err, -code, "%s: %s", where, strerror(-code));
    look_around(&search);
    code = decide(&search, place == NULL ? "this directory" : place, err);
    free(search.directory);
    free(search.found.text);
    return code;
}
