/* interpreter.h - which interpreter a path means, and which of the builds of
 * dora-python belongs to it. Knows no Python.h; reads files, and runs an
 * interpreter only when they do not answer. */
#ifndef DORA_INTERPRETER_H
#define DORA_INTERPRETER_H

#include "base.h"

#include <string.h>

/* One line of <libexec>/pythons. Strings are borrowed from the table. */
struct dora__python_build {
    const char *tag, *version; /* "3.14.4t": free-threaded */
    const char *base;    /* real path of the interpreter it was built for */
    const char *program; /* its dora-python */
};

struct dora__python_table {
    struct dora__python_build *builds; /* the preferred one first */
    size_t count;
    char *stable; /* the program for interpreters of no build; NULL: none */
    char *text;   /* private */
};

/* -ENOENT: nothing was built (*err says what to do); -EINVAL: not such a
 * table. */
DORA_MUST_CHECK
int dora__python_table_load(const char *libexec,
                            struct dora__python_table *ret_table,
                            struct dora_error *err);
void dora__python_table_fini(struct dora__python_table *table);
/* The build whose interpreter is the file at `path`, whatever its name. NULL:
 * it is of none. */
const struct dora__python_build *
dora__python_build_of(const struct dora__python_table *table, const char *path);
/* The same by the pyvenv.cfg of the environment it is a copy in. Where that
 * names an interpreter which is there, it decides, though it may be of no
 * build. -ENOENT: it is in none, or that says nothing. */
DORA_MUST_CHECK
int dora__pyvenv_build(const struct dora__python_table *table, const char *path,
                       const struct dora__python_build **ret_build);

/* Whether that is the version of a Python without the lock that others have. */
static inline bool
dora__python_free_threaded(const char *version)
{
    size_t size = strlen(version);

    return size > 0 && version[size - 1] == 't';
}

/* What was found out about an interpreter. Release with dora__python_fini. */
struct dora__python {
    char *executable; /* absolute, links not resolved: sys.executable to be */
    char *version;    /* "3.9.18", "3.14.4t", or NULL: not known */
    const struct dora__python_build *build; /* NULL: none belongs to it */
    bool stable;    /* without a build: the program for those runs it */
    char *obstacle; /* why not, where that is known; or NULL */
};

/* Where an interpreter that has to be asked would run. */
struct dora__python_place {
    const char *libexec; /* directory of the helper programs */
    const char *directory;
    const char *const *environment;
};

/* Looks behind the executable `path` (absolute). An interpreter without a build
 * is asked whether the program for those runs it; with `thorough`, at least for
 * its version, for the error message.
 * -ENOENT: it does not run as a Python. */
DORA_MUST_CHECK
int dora__python_identify(const struct dora__python_table *table,
                          const char *path,
                          const struct dora__python_place *place, bool thorough,
                          struct dora__python *ret_python);
void dora__python_fini(struct dora__python *python);

/* The interpreter that the program text at `path` names in its first lines:
 * "/venv/bin/python", or "python3" for "env python3". New string; -ENOENT: it
 * names no Python. */
DORA_MUST_CHECK
int dora__python_shebang(const char *path, char **ret_interpreter);

/* Whether a program is called like a Python: "python", "python3.12". */
bool dora__python_named(const char *path);

/* What an interpreter says of itself: new strings. */
struct dora__python_answer {
    char *executable, *base, *version;
    char *module; /* "yes": it imports dora; else why not */
};
/* Runs it with a time limit, by the program `stable` unless that is NULL.
 * -ENOENT: it does not answer as a Python. */
DORA_MUST_CHECK
int dora__python_ask(const char *path, const char *stable,
                     const struct dora__python_place *place,
                     struct dora__python_answer *ret_answer);

/* A version that is asked for where the dataflow is. */
struct dora__python_pin {
    char version[64]; /* not empty: "3.12", "3.11.2", "pypy3.10-7.3" */
    char *source;     /* who asks: the path of a `.python-version`; new */
    bool inherited;   /* from pyenv, that says it to all it has started */
};
/* With `pyenv`, its variable comes first. -ENOENT: nobody asks. */
DORA_MUST_CHECK
int dora__python_pin(const struct dora__python_place *place, bool pyenv,
                     struct dora__python_pin *ret_pin);

/* Whether a program only stands for the one that pyenv chooses. */
bool dora__pyenv_shim(const char *path);
/* What the pyenv shim at `path` would run in that place, when its files say so
 * plainly. New string; -ENOENT: not a shim, or it has to be asked. */
DORA_MUST_CHECK
int dora__pyenv_program(const char *path,
                        const struct dora__python_place *place,
                        char **ret_program);

#endif
