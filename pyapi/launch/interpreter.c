/* interpreter.c - from an interpreter's path to the dora-python of its build.
 *
 * What it keeps true:
 *   1. A standard library is only ever used with the libpython it was built
 *      with: an interpreter is matched by the file it is, never by "3.11".
 *   2. The path a person named is what the node sees as sys.executable, links
 *      unresolved: that is how CPython finds a venv.
 *   3. Nothing is run where files answer: a venv's bin/python is a link to its
 *      base (or pyvenv.cfg names it), a pyenv shim is decided by pyenv's files.
 *      Only a wrapper that explains itself nowhere is asked, and an
 *      interpreter of no build: whether the module that is for all runs in it
 *      is known when it has. */
#include "interpreter.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_TABLE = 1 << 16, MAX_CONFIG = 1 << 14, MAX_SHEBANG = 1024 };

/* The beginning of a file as text, new. -ENOENT: it cannot be read. */
static int
read_text(const char *path, size_t limit, char **ret_text)
{
    DORA_AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    DORA_AUTOFREE char *text = NULL;
    size_t size = 0;

    if (fd < 0)
        return -ENOENT;
    text = malloc(limit + 1);
    if (!text)
        return -ENOMEM;
    while (size < limit) {
        ssize_t got = read(fd, text + size, limit - size);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -ENOENT;
        if (got == 0)
            break;
        size += (size_t)got;
    }
    text[size] = '\0';
    *ret_text = text;
    text = NULL;
    return 0;
}

/* --- the table ------------------------------------------------------------ */

static int
parse_line(char *line, struct dora__python_build *build)
{
    const char **fields[] = {&build->tag, &build->version, &build->base,
                             &build->program};

    for (size_t i = 0; i < DORA_COUNT(fields); i++) {
        *fields[i] = strsep(&line, "\t");
        if (!*fields[i] || !**fields[i])
            return -EINVAL;
    }
    return line ? -EINVAL : 0;
}

static int
parse_table(struct dora__python_table *table, const char *libexec,
            struct dora_error *err)
{
    char *rest = table->text, *line;
    unsigned number = 0;

    while ((line = strsep(&rest, "\n"))) {
        struct dora__python_build *grown;

        number++;
        if (!*line)
            continue;
        grown = realloc(table->builds, (table->count + 1) * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        table->builds = grown;
        if (parse_line(line, &grown[table->count]) < 0)
            return dora__fail(err, EINVAL,
                              "%s/pythons:%u: expected tag, version, "
                              "interpreter and program, separated by tabs",
                              libexec, number);
        table->count++;
    }
    if (!table->count && !table->stable)
        return dora__fail(err, ENOENT,
                          "%s/pythons lists no Python: dora-run was built "
                          "without one; see `python3 configure.py`",
                          libexec);
    return 0;
}

int
dora__python_table_load(const char *libexec,
                        struct dora__python_table *ret_table,
                        struct dora_error *err)
{
    struct dora__python_table table = {0};
    DORA_AUTOFREE char *path = dora__format("%s/pythons", libexec);
    int result;

    table.stable = dora__format("%s/dora-stable", libexec);
    if (!path || !table.stable) {
        dora__python_table_fini(&table);
        return -ENOMEM;
    }
    if (access(table.stable, X_OK) < 0) {
        free(table.stable);
        table.stable = NULL;
    }
    result = read_text(path, MAX_TABLE, &table.text);
    if (result < 0)
        dora__python_table_fini(&table);
    if (result == -ENOMEM)
        return result;
    if (result < 0)
        return dora__fail(err, ENOENT,
                          "%s: cannot be read: it lists the Pythons that "
                          "dora-run was built for; see `python3 configure.py`",
                          path);
    result = parse_table(&table, libexec, err);
    if (result < 0) {
        dora__python_table_fini(&table);
        return result;
    }
    *ret_table = table;
    return 0;
}

void
dora__python_table_fini(struct dora__python_table *table)
{
    free(table->builds);
    free(table->stable);
    free(table->text);
    *table = (struct dora__python_table){0};
}

/* The build whose interpreter is the file at `path`, whatever its name. */
static const struct dora__python_build *
find_build(const struct dora__python_table *table, const char *path)
{
    struct stat wanted, status;

    if (stat(path, &wanted) < 0)
        return NULL;
    for (size_t i = 0; i < table->count; i++)
        if (stat(table->builds[i].base, &status) == 0 &&
            status.st_dev == wanted.st_dev && status.st_ino == wanted.st_ino)
            return &table->builds[i];
    return NULL;
}

/* --- virtual environments ------------------------------------------------- */

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

        result = path ? read_text(path, MAX_CONFIG, ret_text) : -ENOMEM;
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
    *ret_build = find_build(table, base);
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
    *ret_build = find_build(table, base);
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

/* Of an environment whose interpreter is a copy. That of others is a link to
 * what it is, and pyvenv.cfg knows no better. */
static int
find_by_config(const struct dora__python_table *table, const char *path,
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

/* --- first lines of scripts ----------------------------------------------- */

bool
dora__python_named(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;

    if (strncmp(name, "python", 6))
        return false;
    name += 6 + strspn(name + 6, "0123456789.");
    return !*name || !strcmp(name, "t") || !strcmp(name, "d");
}

/* The word at *at, quotes taken off, cut out of the text; NULL: none. */
static char *
take_word(char **at)
{
    char *word = *at + strspn(*at, " \t");
    char quote = *word == '"' || *word == '\'' ? *word : '\0';
    size_t size;

    if (quote)
        word++;
    size = quote ? strcspn(word, (char[]){quote, '\n', 0})
                 : strcspn(word, " \t\r\n");
    if (!size)
        return NULL;
    *at = word + size + (word[size] && word[size] != '\n');
    word[size] = '\0';
    return word;
}

/* "/usr/bin/env -S python3 -u": the program it looks up. */
static char *
env_program(char **at)
{
    char *word;

    do
        word = take_word(at);
    while (word && (*word == '-' || strchr(word, '=')));
    return word;
}

/* What installers write where the path is too long for, or has spaces: the
 * second line is `'''exec' "/path/python" "$0" "$@"` to a shell. */
static char *
trampoline_program(char *line)
{
    if (!strncmp(line, "'''exec'", 8))
        line += 8;
    else if (!strncmp(line, "\"exec\"", 6))
        line += 6;
    else
        return NULL;
    return take_word(&line);
}

int
dora__python_shebang(const char *path, char **ret_interpreter)
{
    DORA_AUTOFREE char *text = NULL;
    char *second, *at, *word, *name, *copy;
    int result = read_text(path, MAX_SHEBANG, &text);

    if (result < 0)
        return result;
    if (strncmp(text, "#!", 2))
        return -ENOENT;
    second = strchr(text, '\n');
    if (second)
        *second++ = '\0';
    at = text + 2;
    word = take_word(&at);
    if (!word)
        return -ENOENT;
    name = strrchr(word, '/') ? strrchr(word, '/') + 1 : word;
    if (!strcmp(name, "env"))
        word = env_program(&at);
    else if (!strcmp(name, "sh") && second)
        word = trampoline_program(second);
    if (!word || !dora__python_named(word))
        return -ENOENT;
    copy = strdup(word);
    if (!copy)
        return -ENOMEM;
    *ret_interpreter = copy;
    return 0;
}

/* --- finding out ---------------------------------------------------------- */

/* Asks an interpreter that the program for those of no build does not start
 * what it is without that. */
static int
ask_plainly(const char *path, const char *stable,
            const struct dora__python_place *place,
            struct dora__python_answer *ret_answer)
{
    bool proc = access("/proc/self/fd", F_OK) == 0;
    int result = dora__python_ask(path, NULL, place, ret_answer);

    if (result < 0)
        return result;
    free(ret_answer->module);
    ret_answer->module = dora__format(
        "%s does not start it%s", stable,
        proc || !strpbrk(stable, " :")
            ? ""
            : ": without /proc, its path may have no space and no colon");
    if (ret_answer->module)
        return 0;
    free(ret_answer->executable);
    free(ret_answer->base);
    free(ret_answer->version);
    return -ENOMEM;
}

static int
identify_by_asking(const struct dora__python_table *table, const char *path,
                   const struct dora__python_place *place,
                   struct dora__python *ret_python)
{
    struct dora__python_answer answer;
    int result = dora__python_ask(path, table->stable, place, &answer);

    if (result == -ENOENT && table->stable)
        result = ask_plainly(path, table->stable, place, &answer);
    if (result < 0)
        return result;
    *ret_python = (struct dora__python){
        .executable = answer.executable,
        .version = answer.version,
        .build = find_build(table, answer.base),
    };
    ret_python->stable =
        !ret_python->build && table->stable && !strcmp(answer.module, "yes");
    if (table->stable && !ret_python->stable && *answer.module)
        ret_python->obstacle = answer.module;
    else
        free(answer.module);
    free(answer.base);
    return 0;
}

/* A wrapper tells nothing but by being run. */
static bool
is_script(const char *path)
{
    DORA_AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char start[2];

    return fd >= 0 && read(fd, start, 2) == 2 && !memcmp(start, "#!", 2);
}

int
dora__python_identify(const struct dora__python_table *table, const char *path,
                      const struct dora__python_place *place, bool thorough,
                      struct dora__python *ret_python)
{
    DORA_AUTOFREE char *program = NULL;
    const struct dora__python_build *build = NULL;
    int result = dora__pyenv_program(path, place, &program);

    if (result == -ENOMEM)
        return result;
    if (result == 0)
        path = program;
    build = find_build(table, path);
    if (!build && find_by_config(table, path, &build) == -ENOMEM)
        return -ENOMEM;
    if (!build && (thorough || table->stable || is_script(path)))
        return identify_by_asking(table, path, place, ret_python);
    *ret_python = (struct dora__python){
        .executable = strdup(path),
        .version = build ? strdup(build->version) : NULL,
        .build = build,
    };
    if (ret_python->executable && (!build || ret_python->version))
        return 0;
    dora__python_fini(ret_python);
    return -ENOMEM;
}

void
dora__python_fini(struct dora__python *python)
{
    free(python->executable);
    free(python->version);
    free(python->obstacle);
    *python = (struct dora__python){0};
}
