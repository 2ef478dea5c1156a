/* scan_file.c - one file, from its first statement to the first that speaks
 * against it.
 *
 *   1. A module it imports is listed (modules.h), or lies beside the script and
 *      is named for being read too; any other speaks against it.
 *   2. So does a name that means the process wherever it is an attribute or
 *      imported, a name that makes code at run time, and whatever is not
 *      understood. */
#include "scan_file.h"

#include "host/file.h"
#include "modules.h"
#include "scan_beside.h"
#include "source.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_FILE = 4 << 20, MAX_SHOWN = 60, MAX_NAME = 200 };

struct reader {
    const char *path, *root;
    const char *text;
    struct dora__source source;
    struct dora__token now, before, earlier; /* the last three words */
    struct dora__scanned found;
    bool failed; /* no memory */
};

/* A module's name as an import has it: where it begins, and as one word. */
struct dotted {
    struct dora__token at;
    char text[MAX_NAME];
    size_t size;
};

static void
advance(struct reader *r)
{
    r->earlier = r->before;
    r->before = r->now;
    r->now = dora__source_next(&r->source);
}

static bool
is(const struct reader *r, const char *text)
{
    return dora__token_is(&r->now, text);
}

static bool
is_one_of(const char *const *words, const struct dora__token *token)
{
    for (; *words != NULL; words++)
        if (dora__token_is(token, *words))
            return true;
    return false;
}

static bool
is_over(const struct reader *r)
{
    return r->failed || r->found.why != NULL;
}

/* --- why not ----------------------------------------------------------------
 */

/* The line around `at`, cut to fit, for a person to read. */
static void
copy_line(const struct reader *r, const char *at, char line[MAX_SHOWN + 1])
{
    size_t size;

    while (at > r->text && at[-1] != '\n' && at[-1] != '\r')
        at--;
    at += strspn(at, " \t\f");
    size = strcspn(at, "\r\n");
    if (size > MAX_SHOWN)
        for (size = MAX_SHOWN; size > 0 && (at[size] & 0xc0) == 0x80;)
            size--;
    for (size_t i = 0; i < size; i++)
        line[i] = (unsigned char)at[i] < ' ' || at[i] == 0x7f ? ' ' : at[i];
    line[size] = '\0';
}

DORA_PRINTF(3, 4)
static void
refuse(struct reader *r, const struct dora__token *at, const char *format, ...)
{
    char line[MAX_SHOWN + 1], why[MAX_NAME + 100];
    va_list args;

    if (is_over(r))
        return;
    va_start(args, format);
    (void)vsnprintf(why, sizeof why, format, args);
    va_end(args);
    copy_line(r, at->text, line);
    r->found.why = dora__format("%u: %s%s(%s)", at->line, line,
                                *line != '\0' ? " " : "", why);
    r->failed = r->found.why == NULL;
}

/* --- modules beside the script ----------------------------------------------
 */

static void
add_beside(struct reader *r, char **path)
{
    struct dora__scanned *found = &r->found;
    char **grown =
        realloc(found->beside, (found->beside_count + 1) * sizeof *grown);

    if (grown == NULL) {
        r->failed = true;
        return;
    }
    found->beside = grown;
    grown[found->beside_count++] = *path;
    *path = NULL;
}

/* Looks for the module in *directory, which a package replaces by its own. */
static enum dora__beside
find_beside(struct reader *r, char **directory, const struct dora__token *name)
{
    DORA_AUTOFREE char *file = NULL;
    enum dora__beside what = DORA__NOT_BESIDE;

    if (dora__beside_find(directory, name->text, name->size, &what, &file) < 0)
        r->failed = true;
    if (what == DORA__BESIDE_COMPILED)
        refuse(r, &r->before, "%.*s is C code", (int)name->size, name->text);
    if (file != NULL)
        add_beside(r, &file);
    return what;
}

/* The same for each part of a name in turn. What a module that is no package
 * has below it are attributes. */
static enum dora__beside
follow(struct reader *r, char **directory, const struct dotted *name)
{
    const char *at = name->text, *end = name->text + name->size;
    enum dora__beside place = DORA__BESIDE_PACKAGE;

    while (at < end && place == DORA__BESIDE_PACKAGE && !is_over(r)) {
        struct dora__token part = name->at;

        part.text = at;
        part.size = strcspn(at, ".");
        place = find_beside(r, directory, &part);
        if (place == DORA__NOT_BESIDE && at != name->text)
            return DORA__BESIDE_MODULE;
        at += part.size + 1;
    }
    return place;
}

/* --- names ------------------------------------------------------------------
 */

static const char *const process_names[] = {
    "_exit",       "abort",        "chdir",     "chroot",    "execl",
    "execle",      "execlp",       "execlpe",   "execv",     "execve",
    "execvp",      "execvpe",      "fchdir",    "fork",      "forkpty",
    "kill",        "killpg",       "lockf",     "mkfifo",    "mknod",
    "openpty",     "pidfd_open",   "pipe",      "pipe2",     "popen",
    "posix_spawn", "posix_spawnp", "setgid",    "setns",     "setpgid",
    "setpriority", "setregid",     "setresgid", "setresuid", "setreuid",
    "setsid",      "setuid",       "spawnl",    "spawnle",   "spawnlp",
    "spawnlpe",    "spawnv",       "spawnve",   "spawnvp",   "spawnvpe",
    "system",      "tzset",        "unshare",   NULL};
static const char *const path_names[] = {"path", "meta_path", "path_hooks",
                                         "path_importer_cache", NULL};
static const char *const code_names[] = {
    "exec", "eval", "__import__", "__builtins__", "__loader__", NULL};

/* A name that is imported, or an attribute; `of_sys`: sys's. */
static void
check_member(struct reader *r, const struct dora__token *name, bool of_sys)
{
    if (is_one_of(process_names, name))
        refuse(r, name, "it acts on the process, or can wait for ever");
    else if (of_sys && is_one_of(path_names, name))
        refuse(r, name, "it changes where modules come from");
}

/* Any other name than those of an import. */
static void
check_name(struct reader *r)
{
    if (dora__token_is(&r->before, "."))
        check_member(r, &r->now, dora__token_is(&r->earlier, "sys"));
    else if (is_one_of(code_names, &r->now) &&
             !dora__token_is(&r->before, "def"))
        refuse(r, &r->now, "it runs what cannot be seen here");
}

/* --- imports ----------------------------------------------------------------
 */

static void
read_dotted(struct reader *r, struct dotted *ret_name)
{
    *ret_name = (struct dotted){.at = r->now};
    while (r->now.word == DORA__WORD_NAME) {
        if (ret_name->size + r->now.size + 2 > MAX_NAME) {
            refuse(r, &r->now, "the name is too long");
            return;
        }
        memcpy(ret_name->text + ret_name->size, r->now.text, r->now.size);
        ret_name->size += r->now.size;
        advance(r);
        if (!is(r, "."))
            return;
        ret_name->text[ret_name->size++] = '.';
        advance(r);
    }
    refuse(r, &r->now, "this line is not understood");
}

static bool
is_named(const struct dotted *name, const char *text)
{
    return name->size == strlen(text) &&
           memcmp(name->text, text, name->size) == 0;
}

static bool
is_dora(const struct dotted *name)
{
    return strncmp(name->text, "dora", 4) == 0 &&
           (name->text[4] == '\0' || name->text[4] == '.');
}

/* A standard module, which is to be listed. */
static void
check_standard(struct reader *r, const struct dotted *name)
{
    const char *why = "";
    size_t size = 0;

    switch (dora__module_find(name->text, name->size, &why, &size)) {
    case DORA__MODULE_SOUND:
        return;
    case DORA__MODULE_UNFIT:
        refuse(r, &name->at, "%.*s", (int)size, why);
        return;
    default:
        refuse(r, &name->at, "%s is not known to work inside", name->text);
    }
}

/* import a.b [as c], ... */
static void
read_import(struct reader *r)
{
    struct dotted name;

    do {
        DORA_AUTOFREE char *directory = strdup(r->root);

        advance(r);
        read_dotted(r, &name);
        if (directory == NULL)
            r->failed = true;
        if (is_over(r))
            return;
        if (!is_dora(&name) && follow(r, &directory, &name) == DORA__NOT_BESIDE)
            check_standard(r, &name);
        if (!is(r, "as"))
            continue;
        if (is_named(&name, "sys"))
            refuse(r, &name.at, "it gives sys another name");
        advance(r);
        advance(r);
    } while (is(r, ",") && !is_over(r));
}

/* One of the names that a module's import lists. */
static void
import_member(struct reader *r, const struct dotted *from,
              enum dora__beside place, const char *directory)
{
    struct dotted whole = *from;
    const char *why;
    size_t size;
    DORA_AUTOFREE char *below = strdup(directory);

    if (below == NULL) {
        r->failed = true;
    } else if (place == DORA__BESIDE_PACKAGE && is(r, "*")) {
        refuse(r, &r->now, "it takes all that a package has");
    } else if (place == DORA__BESIDE_PACKAGE) {
        (void)find_beside(r, &below, &r->now);
    } else if (place == DORA__NOT_BESIDE && !is_dora(from)) {
        if (is(r, "*") && (is_named(from, "os") || is_named(from, "sys")))
            refuse(r, &r->now, "it takes all that the process has");
        check_member(r, &r->now, is_named(from, "sys"));
        if (whole.size + r->now.size + 2 > MAX_NAME)
            return;
        whole.text[whole.size++] = '.';
        memcpy(whole.text + whole.size, r->now.text, r->now.size);
        whole.size += r->now.size;
        if (dora__module_find(whole.text, whole.size, &why, &size) ==
            DORA__MODULE_UNFIT)
            check_standard(r, &whole);
    }
}

/* ... import a [as b], c */
static void
read_members(struct reader *r, const struct dotted *from,
             enum dora__beside place, const char *directory)
{
    advance(r);
    if (is(r, "("))
        advance(r);
    while ((r->now.word == DORA__WORD_NAME || is(r, "*")) && !is_over(r)) {
        import_member(r, from, place, directory);
        advance(r);
        if (is(r, "as")) {
            advance(r);
            advance(r);
        }
        if (is(r, ","))
            advance(r);
    }
}

/* Where a relative import begins: the file's directory, or above. */
static char *
ascend(const struct reader *r, unsigned dots)
{
    char *directory = strdup(r->path), *slash;

    for (; directory != NULL && dots > 0; dots--) {
        slash = strrchr(directory, '/');
        if (slash != NULL)
            *slash = '\0';
    }
    return directory;
}

/* from [.]a.b import ... */
static void
read_from(struct reader *r)
{
    DORA_AUTOFREE char *directory = NULL;
    struct dotted name = {.at = r->now};
    enum dora__beside place = DORA__NOT_BESIDE;
    unsigned dots = 0;

    for (advance(r); is(r, "."); advance(r))
        dots++;
    if (!is(r, "import"))
        read_dotted(r, &name);
    if (!is(r, "import"))
        refuse(r, &r->now, "this line is not understood");
    directory = dots == 0 ? strdup(r->root) : ascend(r, dots);
    if (directory == NULL)
        r->failed = true;
    if (is_over(r))
        return;
    if (!is_dora(&name))
        place = follow(r, &directory, &name);
    if (place == DORA__NOT_BESIDE && dots > 0)
        refuse(r, &name.at, "no such module is found");
    if (place == DORA__NOT_BESIDE && !is_dora(&name))
        check_standard(r, &name);
    if (!is_over(r))
        read_members(r, &name, place, directory);
}

/* --- statements -------------------------------------------------------------
 */

static bool
begins_statement(const struct reader *r)
{
    const struct dora__token *before =
        dora__token_is(&r->before, "lazy") ? &r->earlier : &r->before;

    return before->text == NULL || before->word == DORA__WORD_LINE ||
           (dora__token_is(before, ":") && r->source.depth == 0);
}

static void
read_statements(struct reader *r)
{
    advance(r);
    while (r->now.word != DORA__WORD_END && !is_over(r)) {
        if (r->now.word == DORA__WORD_BAD)
            refuse(r, &r->now, "this line is not understood");
        else if (is(r, "from") && begins_statement(r))
            read_from(r);
        else if (is(r, "import"))
            read_import(r);
        else {
            if (r->now.word == DORA__WORD_NAME)
                check_name(r);
            advance(r);
        }
    }
}

/* --- the file ---------------------------------------------------------------
 */

/* New text. -ENOENT: it cannot be read. */
static int
read_text(const char *path, char **ret_text, size_t *ret_size)
{
    struct stat status;

    if (stat(path, &status) < 0 || !S_ISREG(status.st_mode) ||
        status.st_size > MAX_FILE)
        return -ENOENT;
    return dora__file_text(path, (size_t)status.st_size, ret_text, ret_size);
}

/* Whether the file says, in its first two lines, that its bytes mean something
 * else than they do in ASCII. */
static bool
is_foreign(const char *text)
{
    static const char *const plain[] = {
        "utf-8", "utf8", "ascii", "us-ascii", "latin-1", "iso-8859-1", NULL};
    const char *line = text, *at;

    for (int i = 0; i < 2; i++) {
        size_t size = strcspn(line, "\r\n");

        at = memmem(line, size, "coding", 6);
        if (*line == '#' && at != NULL && (at[6] == ':' || at[6] == '=')) {
            struct dora__token name = {.text = at + 7};

            name.text += strspn(name.text, " \t");
            name.size = strspn(name.text, "abcdefghijklmnopqrstuvwxyz"
                                          "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789-_.");
            return !is_one_of(plain, &name);
        }
        line += size;
        line += strspn(line, "\r\n");
    }
    return false;
}

static int
say(char **why, const char *text)
{
    *why = strdup(text);
    return *why == NULL ? -ENOMEM : 0;
}

int
dora__scan_file(const char *path, const char *root,
                struct dora__scanned *ret_scanned)
{
    struct reader r = {.path = path, .root = root};
    DORA_AUTOFREE char *text = NULL;
    size_t size = 0;
    int code = read_text(path, &text, &size);

    if (code == -ENOMEM)
        return code;
    if (code < 0) {
        *ret_scanned = r.found;
        return say(&ret_scanned->why, "it cannot be read");
    }
    if (is_foreign(text)) {
        *ret_scanned = r.found;
        return say(&ret_scanned->why, "its encoding is not UTF-8");
    }
    r.text = text;
    dora__source_init(&r.source, text, size);
    read_statements(&r);
    if (r.failed) {
        dora__scanned_fini(&r.found);
        return -ENOMEM;
    }
    *ret_scanned = r.found;
    return 0;
}

void
dora__scanned_fini(struct dora__scanned *scanned)
{
    for (size_t i = 0; i < scanned->beside_count; i++)
        free(scanned->beside[i]);
    free(scanned->beside);
    free(scanned->why);
    *scanned = (struct dora__scanned){0};
}
