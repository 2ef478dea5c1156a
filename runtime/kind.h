/* kind.h - a way to run nodes. dataflow.c asks each registered kind in turn
 * whether it claims a node; the first that does says what to execute. */
#ifndef DORA_KIND_H
#define DORA_KIND_H

#include "graph.h"

/* Where things are, for resolving a node's program. */
struct dora__site {
    const char *libexec;   /* directory of the helper programs */
    const char *directory; /* of the dataflow file, absolute */
    const char *python;    /* interpreter for nodes that name none, or NULL */
    const char *const *environment; /* "K=V"..., what nodes inherit */
    bool allow_shell;               /* `path: shell` may run */
};

/* What to execute for a process node. New strings; dora__launch_fini. */
struct dora__launch {
    const char *kind, *tier; /* static */
    char *program;           /* absolute path to execute */
    char **argv;             /* NULL-terminated */
    char **env;        /* "K=V"..., NULL-terminated: added to the environment */
    char *interpreter; /* for a person: "Python 3.11.2 (/usr/bin/python3)" */
    char *reason;      /* why this tier and interpreter */
    bool attaches;     /* gets the dataflow's descriptors */
};

struct dora_kind {
    const char *name;
    bool (*claims)(const struct dora__graph_node *node,
                   const struct dora__site *site);
    /* -EINVAL, -ENOENT: cannot be run here; *err names the node, says why and
     * what to do, without the place in the file. */
    int (*resolve)(const struct dora__graph_node *node,
                   const struct dora__site *site,
                   struct dora__launch *ret_launch, struct dora_error *err);
};

void dora__launch_fini(struct dora__launch *launch);

/* For kinds: append a copy of `text` to a NULL-terminated list (NULL: empty),
 * or all of the node's `args` to argv. -ENOMEM. */
DORA_MUST_CHECK
int dora__launch_push(char ***list, const char *text);
DORA_MUST_CHECK
int dora__launch_arguments(struct dora__launch *launch,
                           const struct dora__graph_node *node);

/* Paths that no kind claims: executables, `shell`. */
extern const struct dora_kind dora__executable;

/* Absolute path of a program named `name`: relative to `directory` if it has a
 * slash or exists there, else on the PATH of `environment`. Symbolic links are
 * not resolved. New string in *ret_path; -ENOENT, -EACCES (not executable). */
DORA_MUST_CHECK
int dora__find_program(const char *name, const char *directory,
                       const char *const *environment, char **ret_path);
/* Value of a variable in "K=V"..., or NULL. */
const char *dora__environment_get(const char *const *environment,
                                  const char *key);

/* The attachment travels to a process node in this variable, as
 * "control,heaps,heaps_ro,doorbell,node" decimal numbers. The program that
 * takes it removes it. */
#define DORA__ATTACH_VARIABLE "DORA_RUN_ATTACH"

/* dora-python takes the command line of the interpreter it stands in for,
 * unchanged: argv[0] is that interpreter's path (a venv's bin/python), absolute
 * and with its symbolic links; then "-u", the script, its arguments. */

#endif
