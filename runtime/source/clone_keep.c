/* clone_keep.c - which clones stay, and the end of the others.
 *
 *   1. A clone stays while a dataflow names it: COMMIT.of-HASH beside it is a
 *      mark, and in it the name of the dataflow's file, which lies beside out/.
 *      A file takes its marks back when it is built and names others.
 *   2. Marks are made and judged by whoever has the turn (clone_fetch.c), so
 *      that no clone can go between being found and being marked.
 *   3. A dataflow that runs has a lock on the clones of its nodes: they stay,
 *      whatever its file says by now. Locks end with their process. */
#include "clone.h"
#include "host/file.h"
#include "host/tool.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

enum { OPEN_FILES = 16, LONGEST_NAME = 4096 };

/* --- marks ---------------------------------------------------------------- */

static const char *
name_of(const char *file)
{
    const char *slash = strrchr(file, '/');

    return slash != NULL ? slash + 1 : file;
}

bool
dora__clone_is_kept(const char *directory, const char *file)
{
    DORA_AUTOFREE char *mark = dora__clone_mark(directory, name_of(file));

    return mark != NULL && access(mark, F_OK) == 0;
}

int
dora__clone_keep(const char *directory, const char *file)
{
    const char *name = name_of(file);
    DORA_AUTOFREE char *mark = dora__clone_mark(directory, name);
    DORA_AUTOCLOSE int fd = -1;

    if (mark == NULL)
        return -ENOMEM;
    fd = open(mark, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return -errno;
    return write(fd, name, strlen(name)) == (ssize_t)strlen(name) ? 0 : -EIO;
}

int
dora__clone_hold(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0)
        (void)flock(fd, LOCK_SH | LOCK_NB); /* where there are locks */
    return fd;
}

/* --- removing ------------------------------------------------------------- */

static int
remove_entry(const char *path, const struct stat *status, int flag,
             struct FTW *place)
{
    (void)status;
    (void)flag;
    (void)place;
    (void)remove(path);
    return 0;
}

void
dora__clone_remove(const char *path)
{
    (void)nftw(path, remove_entry, OPEN_FILES, FTW_DEPTH | FTW_PHYS);
}

struct sweep {
    const struct dora__fetch *fetch;
    const struct dora__graph *graph;
};

/* Whether a node of the file has the clone. */
static bool
is_named(const struct sweep *s, const char *directory)
{
    for (size_t i = 0; i < s->graph->node_count; i++) {
        DORA_AUTOFREE char *found = NULL;

        if (s->graph->nodes[i].git.url != NULL &&
            dora__clone_find(s->fetch->base, &s->graph->nodes[i].git, &found) ==
                0 &&
            strcmp(found, directory) == 0)
            return true;
    }
    return false;
}

/* Whether the mark still says that its dataflow names the clone. */
static bool
is_valid(const struct sweep *s, const char *mark, const char *directory)
{
    DORA_AUTOFREE char *name = NULL;
    DORA_AUTOFREE char *file = NULL;

    if (dora__file_text(mark, LONGEST_NAME, &name, NULL) < 0)
        return true;
    if (strcmp(name, name_of(s->fetch->graph->file)) == 0)
        return is_named(s, directory);
    file = dora__format("%s/%s", s->fetch->base, name);
    return file == NULL || access(file, F_OK) == 0;
}

/* Whether a dataflow names the clone; marks that are old go. */
static bool
is_marked(const struct sweep *s, const char *place, const char *commit)
{
    DORA_AUTOFREE char *directory = dora__format("%s/%s", place, commit);
    DIR *entries = directory == NULL ? NULL : opendir(place);
    const struct dirent *entry;
    size_t size = strlen(commit);
    bool marked = entries == NULL;

    while (entries != NULL && (entry = readdir(entries)) != NULL) {
        DORA_AUTOFREE char *mark = NULL;

        if (strncmp(entry->d_name, commit, size) != 0 ||
            entry->d_name[size] == '\0')
            continue;
        mark = dora__format("%s/%s", place, entry->d_name);
        if (mark == NULL || is_valid(s, mark, directory))
            marked = true;
        else
            (void)unlink(mark);
    }
    if (entries != NULL)
        (void)closedir(entries);
    return marked;
}

/* Under a name of no clone first: what is found is whole. */
static void
remove_clone(const struct sweep *s, const char *place, const char *commit)
{
    DORA_AUTOFREE char *path = dora__format("%s/%s", place, commit);
    DORA_AUTOFREE char *away =
        dora__format("%s/" DORA__CLONE_UNFINISHED "%d", place, (int)getpid());
    DORA_AUTOFREE char *text =
        dora__format("git: removes out/git/%s/%s, which no dataflow names",
                     name_of(place), commit);
    DORA_AUTOCLOSE int fd =
        path == NULL ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || away == NULL || text == NULL ||
        flock(fd, LOCK_EX | LOCK_NB) < 0 || rename(path, away) < 0)
        return;
    dora__tool_say(s->fetch->options, NULL, DORA_LEVEL_INFO, DORA_STREAM_HOST,
                   text, strlen(text));
    dora__clone_remove(away);
}

typedef void (*visit_entry)(const struct sweep *s, const char *place,
                            const char *name);

static void
visit(const struct sweep *s, const char *place, visit_entry visit_one)
{
    DIR *entries = opendir(place);
    const struct dirent *entry;

    while (entries != NULL && (entry = readdir(entries)) != NULL)
        visit_one(s, place, entry->d_name);
    if (entries != NULL)
        (void)closedir(entries);
}

static void
judge_clone(const struct sweep *s, const char *place, const char *name)
{
    if (dora__is_commit(name, strlen(name)) && !is_marked(s, place, name))
        remove_clone(s, place, name);
}

static void
visit_place(const struct sweep *s, const char *directory, const char *name)
{
    DORA_AUTOFREE char *place = dora__format("%s/%s", directory, name);

    if (name[0] != '.' && place != NULL)
        visit(s, place, judge_clone);
}

void
dora__clone_sweep(const struct dora__fetch *fetch,
                  const struct dora__graph *graph)
{
    const struct sweep s = {fetch, graph};
    DORA_AUTOFREE char *directory = dora__format("%s/out/git", fetch->base);
    DORA_AUTOFREE char *lock = dora__format("%s/out/git/.lock", fetch->base);
    DORA_AUTOCLOSE int turn =
        lock == NULL ? -1 : open(lock, O_RDWR | O_CLOEXEC);

    /* Who fetches now sees to it another time. */
    if (turn >= 0 && directory != NULL && flock(turn, LOCK_EX | LOCK_NB) == 0)
        visit(&s, directory, visit_place);
}
