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

#include "host/file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_TABLE = 1 << 16 };

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
    result = dora__file_text(path, MAX_TABLE, &table.text, NULL);
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

const struct dora__python_build *
dora__python_build_of(const struct dora__python_table *table, const char *path)
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
        .build = dora__python_build_of(table, answer.base),
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
    build = dora__python_build_of(table, path);
    if (!build && dora__pyvenv_build(table, path, &build) == -ENOMEM)
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
