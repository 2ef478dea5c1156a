/* clone_fetch.c - makes the clone that a node's `git` means (see clone.h), by
 * the git program.
 *
 *   1. A clone is made as .new-PID and gets its name when everything is on the
 *      disk. One dora-run at a time makes clones beside a dataflow; what an
 *      earlier one has left unfinished goes then.
 *   2. A commit that is there needs no network; which commit a branch or a tag
 *      is, is asked only where nobody knows, or again is wanted.
 *   3. What a file says is never an option: it is behind `--`, and was looked
 *      at by graph_git.c. */
#include "clone.h"
#include "git.h"
#include "host/journal.h"
#include "host/tool.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { WAIT_MS = 100 };

struct job {
    const struct dora__fetch *fetch;
    const struct dora__graph_node *node;
    struct dora_error *err;
    struct dora__git_program git;
    char *title, *place;
    char *fresh; /* the clone that is being made */
};

/* --- saying --------------------------------------------------------------- */

static void
say(const struct job *j, enum dora_level level, const char *verb,
    const char *rest)
{
    DORA_AUTOFREE char *text = dora__format("git: %s%s", verb, rest);

    if (text != NULL)
        dora__tool_say(j->fetch->options, j->node->id, level, DORA_STREAM_HOST,
                       text, strlen(text));
}

DORA_PRINTF(2, 3)
static int
fail(const struct job *j, const char *format, ...)
{
    const struct dora__mark mark = j->node->git.mark;
    struct dora_error what;
    va_list args;

    va_start(args, format);
    dora__error_vset(&what, format, args);
    va_end(args);
    return dora__fail(j->err, ECANCELED, "%s:%u:%u: node `%s`: git: %s",
                      dora__graph_file(j->fetch->graph, mark), mark.line,
                      mark.column, j->node->id, what.text);
}

/* A step of our own that did not work. */
static int
fail_step(const struct job *j, const char *step, int code)
{
    return fail(j, "%s: cannot %s: %s", j->title, step, strerror(-code));
}

/* --- git ------------------------------------------------------------------ */

#define GIT(j, directory, ...)            \
    dora__git_run(&(j)->git, (directory), \
                  (const char *const[]){__VA_ARGS__, NULL})

/* git has failed to do something. */
static int
fail_git(const struct job *j, int status, const char *what, const char *advice)
{
    if (status == -EINTR)
        return fail(j, "stopped, before it could %s %s", what, j->title);
    if (status < 0)
        return fail(j, "%s: %s", j->git.path, strerror(-status));
    return fail(j, "cannot %s %s: %s%s", what, j->title,
                j->git.last[0] != '\0' ? j->git.last : "git does not say why",
                advice);
}

#define ADVICE                                                               \
    "; is the address right, and is it within reach? Nobody is asked for a " \
    "password: keys and credential helpers of git are used"

/* --- files ---------------------------------------------------------------- */

/* What others have begun and cannot finish any more. */
static void
sweep(const struct job *j)
{
    DIR *entries = opendir(j->place);
    const struct dirent *entry;

    while (entries != NULL && (entry = readdir(entries)) != NULL)
        if (strncmp(entry->d_name, DORA__CLONE_UNFINISHED,
                    strlen(DORA__CLONE_UNFINISHED)) == 0) {
            DORA_AUTOFREE char *path =
                dora__format("%s/%s", j->place, entry->d_name);

            if (path != NULL)
                dora__clone_remove(path);
        }
    if (entries != NULL)
        (void)closedir(entries);
}

/* Another clone of the repository, whose objects need not come again; "" if
 * there is none. New. */
static char *
find_reference(const struct job *j)
{
    DIR *entries = opendir(j->place);
    const struct dirent *entry;
    char *found = NULL;

    while (entries != NULL && found == NULL &&
           (entry = readdir(entries)) != NULL)
        if (dora__is_commit(entry->d_name, strlen(entry->d_name)))
            found = dora__format("--reference-if-able=%s/%s", j->place,
                                 entry->d_name);
    if (entries != NULL)
        (void)closedir(entries);
    return found != NULL ? found : strdup("");
}

static int
make_directory(const char *path)
{
    return mkdir(path, 0777) < 0 && errno != EEXIST ? -errno : 0;
}

static int
make_place(const struct job *j)
{
    DORA_AUTOFREE char *git_directory =
        dora__format("%s/out/git", j->fetch->base);
    int code = git_directory == NULL ? -ENOMEM
                                     : dora__journal_make_out(j->fetch->base);

    if (code == 0)
        code = make_directory(git_directory);
    if (code == 0)
        code = make_directory(j->place);
    return code < 0 ? fail_step(j, "make a place for it in out/git", code) : 0;
}

/* Until *ret_fd is closed no other dora-run fetches for this dataflow. */
static int
take_turn(const struct job *j, int *ret_fd)
{
    DORA_AUTOFREE char *path = dora__format("%s/out/git/.lock", j->fetch->base);
    DORA_AUTOCLOSE int fd = -1;
    bool said = false;

    if (path == NULL)
        return -ENOMEM;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return fail_step(j, "open out/git/.lock", -errno);
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return fail_step(j, "lock out/git/.lock", -errno);
        if (dora__tool_stopped(j->fetch->options))
            return fail_git(j, -EINTR, "fetch", "");
        if (!said)
            say(j, DORA_LEVEL_INFO, "waits for another dora-run that fetches ",
                "into out/git");
        said = true;
        (void)poll(NULL, 0, WAIT_MS);
    }
    *ret_fd = dora__take_fd(&fd);
    return 0;
}

/* --- which commit --------------------------------------------------------- */

/* Asks the repository what the branch or the tag is: in `found`. */
static int
ask_commit(struct job *j)
{
    static const char *const prefixes[] = {
        [DORA__GIT_DEFAULT] = "HEAD",
        [DORA__GIT_BRANCH] = "refs/heads/",
        [DORA__GIT_TAG] = "refs/tags/",
    };
    const struct dora__git *wish = &j->node->git;
    DORA_AUTOFREE char *name = dora__format(
        "%s%s", prefixes[wish->kind], wish->name != NULL ? wish->name : "");
    DORA_AUTOFREE char *peeled = NULL;
    int status;

    if (name != NULL)
        peeled = dora__format("%s^{}", name);
    if (peeled == NULL)
        return -ENOMEM;
    j->git.wanted = name;
    status = GIT(j, j->fetch->base, "ls-remote", "--", wish->url, name, peeled);
    j->git.wanted = NULL;
    if (status != 0) {
        int code = fail_git(j, status, "look up", ADVICE);

        return status > 0 ? -EHOSTUNREACH : code;
    }
    if (j->git.found[0] != '\0')
        return 0;
    return wish->kind == DORA__GIT_DEFAULT
               ? fail(j,
                      "%s is not there: the repository is empty, or names "
                      "none; give a `branch`",
                      j->title)
               : fail(j, "there is no %s: `git ls-remote` lists what there is",
                      j->title);
}

/* --- making a clone ------------------------------------------------------- */

/* Its history comes with it, for what asks git about versions. */
static int
copy_repository(struct job *j)
{
    const char *url = j->node->git.url;
    DORA_AUTOFREE char *reference = find_reference(j);
    int status;

    if (reference == NULL)
        return -ENOMEM;
    status = GIT(j, j->fetch->base, "clone", "--progress", "--no-checkout",
                 reference, *reference != '\0' ? "--dissociate" : "", "--", url,
                 j->fresh);
    if (status > 0 && *reference != '\0') { /* which may be damaged */
        dora__clone_remove(j->fresh);
        status = GIT(j, j->fetch->base, "clone", "--progress", "--no-checkout",
                     "--", url, j->fresh);
    }
    return status == 0 ? 0 : fail_git(j, status, "clone", ADVICE);
}

/* The commit's whole id in `found`, if the clone has it. */
static int
look_up(struct job *j, const char *commit)
{
    DORA_AUTOFREE char *name = dora__format("%s^{commit}", commit);
    int status;

    if (name == NULL)
        return -ENOMEM;
    status = GIT(j, j->fresh, "rev-parse", "--verify", "--quiet", name);
    return status < 0 ? fail_git(j, status, "look up", "") : 0;
}

/* A commit that no branch and no tag leads to has to be asked for by id. */
static int
find_commit(struct job *j, const char *commit)
{
    int code = look_up(j, commit), status;

    if (code < 0 || j->git.found[0] != '\0')
        return code;
    if (dora__is_commit(commit, strlen(commit))) {
        status =
            GIT(j, j->fresh, "fetch", "--progress", "--", "origin", commit);
        if (status < 0)
            return fail_git(j, status, "fetch", "");
        code = look_up(j, commit);
    }
    if (code == 0 && j->git.found[0] == '\0')
        return fail(j,
                    "there is no %s, or its beginning is that of several "
                    "commits",
                    j->title);
    return code;
}

static void
mention_submodules(const struct job *j)
{
    DORA_AUTOFREE char *path = dora__format("%s/.gitmodules", j->fresh);

    if (path != NULL && access(path, F_OK) == 0)
        say(j, DORA_LEVEL_WARN, "has submodules, which are not fetched: ",
            "`build: git submodule update --init` does that");
}

/* All of it on the disk before it is given its name. */
static int
name_clone(struct job *j, char **ret_directory)
{
    DORA_AUTOFREE char *path = dora__format("%s/%s", j->place, j->git.found);
    DORA_AUTOCLOSE int fd = open(j->fresh, O_RDONLY | O_CLOEXEC);

    if (path == NULL)
        return -ENOMEM;
    if (fd < 0 || syncfs(fd) < 0 || rename(j->fresh, path) < 0)
        return fail_step(j, "keep its clone", -errno);
    *ret_directory = path;
    path = NULL;
    return 0;
}

static int
make_clone(struct job *j, const char *commit, char **ret_directory)
{
    char id[DORA__COMMIT_MAX + 1];
    int code, status;

    say(j, DORA_LEVEL_INFO, "clones ", j->title);
    code = copy_repository(j);
    if (code == 0)
        code = find_commit(j, commit);
    if (code < 0)
        return code;
    memcpy(id, j->git.found, sizeof id);
    code = dora__clone_at(j->place, id, ret_directory);
    if (code != -ENOENT) /* by the rest of its id it is there */
        return code;
    status = GIT(j, j->fresh, "-c", "advice.detachedHead=false", "checkout",
                 "--quiet", "--detach", id, "--");
    if (status != 0)
        return fail_git(j, status, "check out", "");
    memcpy(j->git.found, id, sizeof id);
    mention_submodules(j);
    return name_clone(j, ret_directory);
}

/* --- all of it ------------------------------------------------------------ */

static int
note(const struct job *j, const char *directory)
{
    const struct dora__git *wish = &j->node->git;
    const char *commit = strrchr(directory, '/') + 1;
    DORA_AUTOFREE char *text = dora__format("%s is in out/git/%s", j->title,
                                            strrchr(j->place, '/') + 1);
    DORA_AUTOFREE char *rest = dora__format("/%s", commit);
    int code = 0;

    if (wish->kind != DORA__GIT_COMMIT || strcmp(wish->name, commit) != 0)
        code = dora__clone_note(j->place, wish, commit);
    if (text != NULL && rest != NULL)
        say(j, DORA_LEVEL_INFO, text, rest);
    return code < 0 ? fail_step(j, "note its commit", code) : 0;
}

static int
keep(const struct job *j, const char *directory)
{
    int code = dora__clone_keep(directory, j->fetch->graph->file);

    return code < 0 ? fail_step(j, "note who uses its clone", code) : 0;
}

/* The repository cannot be asked whether what it was at is the latest. */
static int
stay(const struct job *j, const char *directory)
{
    DORA_AUTOFREE char *text =
        dora__format(", cannot be asked for (%s): it stays at %s", j->git.last,
                     strrchr(directory, '/') + 1);

    if (text == NULL)
        return -ENOMEM;
    say(j, DORA_LEVEL_WARN, j->title, text);
    return keep(j, directory);
}

/* -EHOSTUNREACH: the repository does not say which commit it is, and *err why.
 */
static int
obtain(struct job *j, char **ret_directory)
{
    const struct dora__git *wish = &j->node->git;
    char commit[DORA__COMMIT_MAX + 1] = "";
    int code;

    if (wish->kind != DORA__GIT_COMMIT) {
        code = ask_commit(j);
        if (code < 0)
            return code;
        memcpy(commit, j->git.found, sizeof commit);
        code = dora__clone_at(j->place, commit, ret_directory);
        if (code != -ENOENT)
            return code;
    }
    j->fresh = dora__format("%s/" DORA__CLONE_UNFINISHED "%d", j->place,
                            (int)getpid());
    if (j->fresh == NULL)
        return -ENOMEM;
    code =
        make_clone(j, commit[0] != '\0' ? commit : wish->name, ret_directory);
    dora__clone_remove(j->fresh); /* there only if it is not good */
    return code;
}

/* With the turn taken: another dora-run may have fetched it meanwhile. */
static int
fetch_in_turn(struct job *j)
{
    const struct dora__fetch *f = j->fetch;
    DORA_AUTOFREE char *before = NULL;
    DORA_AUTOFREE char *directory = NULL;
    int code = dora__clone_find(f->base, &j->node->git, &before);

    if (code == 0 && !(f->again && j->node->git.kind != DORA__GIT_COMMIT))
        return keep(j, before);
    if (code < 0 && code != -ENOENT)
        return code;
    sweep(j);
    code = dora__git_open(&j->git, f->environment);
    if (code == -ENOENT)
        return fail(j, "there is no program `git` on PATH: install the package "
                       "`git`, or clone the repository yourself and give the "
                       "`path` in the clone");
    if (code == 0)
        code = obtain(j, &directory);
    if (code == -EHOSTUNREACH)
        return before != NULL ? stay(j, before) : -ECANCELED;
    if (code == 0)
        code = note(j, directory);
    return code < 0 ? code : keep(j, directory);
}

static int
fetch_clone(struct job *j)
{
    DORA_AUTOCLOSE int turn = -1;
    int code;

    j->title = dora__git_title(&j->node->git);
    j->place = dora__clone_place(j->fetch->base, &j->node->git);
    if (j->title == NULL || j->place == NULL)
        return -ENOMEM;
    code = make_place(j);
    if (code == 0)
        code = take_turn(j, &turn);
    return code < 0 ? code : fetch_in_turn(j);
}

/* Though its clone is there. Where nothing can be written it stays as it is. */
static bool
has_more_to_do(const struct dora__fetch *fetch,
               const struct dora__graph_node *node, const char *directory)
{
    if (fetch->again && node->git.kind != DORA__GIT_COMMIT)
        return true;
    return !dora__clone_is_kept(directory, fetch->graph->file) &&
           access(directory, W_OK) == 0;
}

int
dora__clone_fetch(const struct dora__fetch *fetch,
                  const struct dora__graph_node *node, struct dora_error *err)
{
    struct job j = {
        .fetch = fetch,
        .node = node,
        .err = err,
        .git = {.options = fetch->options, .node = node->id},
    };
    DORA_AUTOFREE char *directory = NULL;
    int code = dora__clone_find(fetch->base, &node->git, &directory);

    if (code == -ENOENT ||
        (code == 0 && has_more_to_do(fetch, node, directory)))
        code = fetch_clone(&j);
    dora__git_close(&j.git);
    free(j.title);
    free(j.place);
    free(j.fresh);
    return code == -ENOMEM ? dora__fail(err, ENOMEM, "out of memory") : code;
}
