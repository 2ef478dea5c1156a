/* clone.c - which clone a node means, told by files alone: no git, no network.
 *
 *   1. A whole commit id needs no other knowledge. What a name meant, or the
 *      beginning of an id, when it was last asked for, stands in a file of that
 *      name beside the clones.
 *   2. Names of repositories, branches and tags become names of files: what is
 *      not plain in them is written as %XX. No such file can be taken for a
 *      clone, whose name is hexadecimal digits. */
#include "clone.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum {
    NAME_SHOWN = 40,
    LONGEST_WRITTEN = 80, /* as %XX it still is a file's name */
};

/* FNV-1a: tells repositories of one name apart. */
static uint64_t
hash(const char *text)
{
    uint64_t value = UINT64_C(0xcbf29ce484222325);

    for (; *text != '\0'; text++)
        value = (value ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return value;
}

static bool
is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

/* The repository's name for a person who looks into out/git. */
static void
add_name(struct dora__text *t, const char *url)
{
    size_t size = strlen(url), start;

    while (size > 0 && url[size - 1] == '/')
        size--;
    if (size > 4 && strncmp(url + size - 4, ".git", 4) == 0)
        size -= 4;
    for (start = size; start > 0 && strchr("/:", url[start - 1]) == NULL;)
        start--;
    while (start < size && url[start] == '.')
        start++;
    for (size_t i = start; i < size && i < start + NAME_SHOWN; i++)
        if (is_plain(url[i]))
            dora__text_add(t, &url[i], 1);
}

char *
dora__clone_place(const char *base, const struct dora__git *git)
{
    struct dora__text t = {0};

    dora__text_printf(&t, "%s/out/git/", base);
    add_name(&t, git->url);
    dora__text_printf(&t, "-%016llx", (unsigned long long)hash(git->url));
    if (!t.failed)
        return t.text;
    free(t.text);
    return NULL;
}

/* The file that says which commit `git` means. */
static char *
note_path(const char *place, const struct dora__git *git)
{
    static const char *const kinds[] = {
        [DORA__GIT_DEFAULT] = "default",
        [DORA__GIT_BRANCH] = "branch-",
        [DORA__GIT_TAG] = "tag-",
        [DORA__GIT_COMMIT] = "rev-",
    };
    const char *name = git->name != NULL ? git->name : "";
    struct dora__text t = {0};

    dora__text_printf(&t, "%s/%s", place, kinds[git->kind]);
    if (strlen(name) > LONGEST_WRITTEN) {
        dora__text_printf(&t, "%%%016llx", (unsigned long long)hash(name));
        name = "";
    }
    for (; *name != '\0'; name++)
        if (is_plain(*name))
            dora__text_add(&t, name, 1);
        else
            dora__text_printf(&t, "%%%02X", (unsigned char)*name);
    if (!t.failed)
        return t.text;
    free(t.text);
    return NULL;
}

char *
dora__clone_mark(const char *directory, const char *file)
{
    return dora__format("%s.of-%016llx", directory,
                        (unsigned long long)hash(file));
}

bool
dora__is_commit(const char *text, size_t size)
{
    if (size != 40 && size != DORA__COMMIT_MAX)
        return false;
    for (size_t i = 0; i < size; i++)
        if (!(text[i] >= '0' && text[i] <= '9') &&
            !(text[i] >= 'a' && text[i] <= 'f'))
            return false;
    return true;
}

int
dora__clone_at(const char *place, const char *commit, char **ret_directory)
{
    char *path = dora__format("%s/%s", place, commit);
    struct stat status;

    if (path == NULL)
        return -ENOMEM;
    if (stat(path, &status) < 0 || !S_ISDIR(status.st_mode)) {
        free(path);
        return -ENOENT;
    }
    *ret_directory = path;
    return 0;
}

/* The clone that the note names. */
static int
follow_note(const char *place, const struct dora__git *git,
            char **ret_directory)
{
    DORA_AUTOFREE char *path = note_path(place, git);
    DORA_AUTOCLOSE int fd = -1;
    char commit[DORA__COMMIT_MAX + 2];
    ssize_t size;

    if (path == NULL)
        return -ENOMEM;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -ENOENT;
    size = read(fd, commit, sizeof commit);
    if (size < 1 || commit[size - 1] != '\n' ||
        !dora__is_commit(commit, (size_t)size - 1))
        return -ENOENT;
    commit[size - 1] = '\0';
    return dora__clone_at(place, commit, ret_directory);
}

int
dora__clone_find(const char *base, const struct dora__git *git,
                 char **ret_directory)
{
    DORA_AUTOFREE char *place = dora__clone_place(base, git);
    int code = -ENOENT;

    if (place == NULL)
        return -ENOMEM;
    if (git->kind == DORA__GIT_COMMIT &&
        dora__is_commit(git->name, strlen(git->name)))
        code = dora__clone_at(place, git->name, ret_directory);
    return code == -ENOENT ? follow_note(place, git, ret_directory) : code;
}

/* Under another name first: who reads it sees the old or the new one. */
int
dora__clone_note(const char *place, const struct dora__git *git,
                 const char *commit)
{
    DORA_AUTOFREE char *path = note_path(place, git);
    DORA_AUTOFREE char *fresh = dora__format("%s/.note", place);
    DORA_AUTOFREE char *line = dora__format("%s\n", commit);
    DORA_AUTOCLOSE int fd = -1;

    if (path == NULL || fresh == NULL || line == NULL)
        return -ENOMEM;
    fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return -errno;
    if (write(fd, line, strlen(line)) != (ssize_t)strlen(line))
        return -EIO;
    if (fsync(fd) < 0 || rename(fresh, path) < 0)
        return -errno;
    return 0;
}

/* --- for people ----------------------------------------------------------- */

static bool
same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool
dora__git_same(const struct dora__git *a, const struct dora__git *b)
{
    return a->kind == b->kind && same(a->url, b->url) && same(a->name, b->name);
}

/* Without the user of an http address, who may be a password. */
static void
add_url(struct dora__text *t, const char *url)
{
    const char *host = strstr(url, "://");
    const char *at = NULL;

    if (host != NULL && strncmp(url, "http", 4) == 0) {
        host += 3;
        for (const char *c = host; *c != '\0' && *c != '/'; c++)
            if (*c == '@')
                at = c;
    }
    if (at != NULL) {
        dora__text_add(t, url, (size_t)(host - url));
        url = at + 1;
    }
    dora__text_puts(t, url);
}

char *
dora__git_title(const struct dora__git *git)
{
    static const char *const kinds[] = {
        [DORA__GIT_DEFAULT] = "the default branch",
        [DORA__GIT_BRANCH] = "branch",
        [DORA__GIT_TAG] = "tag",
        [DORA__GIT_COMMIT] = "commit",
    };
    struct dora__text t = {0};

    dora__text_puts(&t, kinds[git->kind]);
    if (git->name != NULL)
        dora__text_printf(&t, " `%s`", git->name);
    dora__text_puts(&t, " of ");
    add_url(&t, git->url);
    if (!t.failed)
        return t.text;
    free(t.text);
    return NULL;
}
