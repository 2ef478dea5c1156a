/* kind.h - a way to run nodes. dataflow.c asks each registered kind in turn
 * whether it claims a node; the first that does says what to execute. */
#ifndef DORA_KIND_H
#define DORA_KIND_H

#include "graph/graph.h"
#include "plane/plane.h"

/* Where things are, for resolving a node's program. */
struct dora__site {
    const char *libexec;   /* directory of the helper programs */
    const char *directory; /* of the node, absolute: where paths start */
    const char *base;      /* of the dataflow file, or NULL: the same */
    const char *python;    /* interpreter for nodes that name none, or NULL */
    const char *const *environment; /* "K=V"..., what nodes inherit */
    bool allow_shell;               /* `path: shell` may run */
    bool auto_inside; /* `isolation: auto` may choose the inside of the host */
    void **memory;    /* what the kind keeps from one node to the next, at first
                         NULL; or NULL: nothing is kept */
};

struct dora__guest_class;
struct dora__launch;

/* Finds the code that runs a node inside the host. *ret_class is kept for ever.
 * -ENOENT: it cannot be loaded. */
typedef int (*dora__guest_load)(const struct dora__launch *launch,
                                const struct dora__guest_class **ret_class,
                                struct dora_error *err);

/* What to execute for a node. New strings; dora__launch_fini. With `load` the
 * node is a guest of the host; the rest then says what to do should it have to
 * move to a process. */
struct dora__launch {
    const char *kind, *tier; /* static */
    dora__guest_load load;   /* NULL: a process */
    char *library, *base;    /* for load and the guest; or NULL */
    char *program;           /* absolute path to execute */
    char **argv;             /* NULL-terminated */
    char **env;        /* "K=V"..., NULL-terminated: added to the environment */
    char *interpreter; /* for a person: "Python 3.11.2 (/usr/bin/python3)" */
    char *reason;      /* why this tier and interpreter */
    char *first_reason; /* of one that moved: why it was a guest; or NULL */
    bool attaches;      /* gets the dataflow's descriptors */
};

/* --- guests: nodes inside the host, on a thread of their own ------------- */

struct dora__guest;

/* What a guest is given; all of it is copied, descriptors are duplicated. */
struct dora__guest_options {
    const char *id, *directory; /* to run in */
    const char *base, *program; /* of the launch */
    char *const *argv;          /* of the launch */
    char *const *env;           /* all of its environment, "K=V" */
    struct dora__attachment attachment;
    const uint32_t *cpus; /* to keep to */
    size_t cpu_count;     /* 0: any */
    int stdout_fd, stderr_fd;
    int guardian_fd; /* the socket on which programs are asked for */
    bool say_faults; /* of the options */
};

/* How it went. */
struct dora__guest_result {
    int status; /* as wait() would give it for a process */
    bool held;  /* something of it is still about: it is not to be treated as
                   dead */
    bool stays; /* threads of it still run: this process must end by _exit */
    char move[200]; /* not empty: it has done nothing yet and is to be run as a
                       process; why */
};

/* How hard a guest is asked to end; each is tried when those before it did not
 * help. */
enum dora__guest_press {
    DORA__PRESS_WAKE,      /* whatever sleeps in our code looks up */
    DORA__PRESS_ASK,       /* an exception at its next step */
    DORA__PRESS_INTERRUPT, /* the same another way */
    DORA__PRESS_BREAK,     /* an exception at its every step */
    DORA__PRESS_TELL,      /* says on its stderr where it is */
};

/* `version` and `layout` are looked at before anything else. */
struct dora__guest_class {
    unsigned version;         /* DORA__GUEST_VERSION */
    unsigned (*layout)(void); /* its dora_layout_version */
    int (*open)(const struct dora__guest_options *options,
                struct dora__guest **ret_guest, struct dora_error *err);
    /* On the guest's own thread, from its begin to its end. */
    void (*run)(struct dora__guest *guest, struct dora__guest_result *ret);
    /* Any thread, while it has not been freed; never blocks. */
    void (*press)(struct dora__guest *guest, enum dora__guest_press how);
    /* After run has returned, or instead of it. */
    void (*free)(struct dora__guest *guest);
};

enum { DORA__GUEST_VERSION = 2 };

struct dora_kind {
    const char *name;
    bool (*claims)(const struct dora__graph_node *node,
                   const struct dora__site *site);
    /* -EINVAL, -ENOENT: cannot be run here; *err names the node, says why and
     * what to do, without the place in the file. */
    int (*resolve)(const struct dora__graph_node *node,
                   const struct dora__site *site,
                   struct dora__launch *ret_launch, struct dora_error *err);
    void (*forget)(void *memory); /* frees it; NULL: there never is any */
    /* The interpreter that `build` lines of the node mean while what it
     * executes is not there yet: new. -EINVAL: *err says why there is none;
     * -ENOENT. NULL: no such thing. */
    int (*interpreter)(const struct dora__graph_node *node,
                       const struct dora__site *site, char **ret_path,
                       struct dora_error *err);
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
 * "control,heaps,heaps_ro,doorbell,node" decimal numbers; of a dynamic node the
 * connection to its host follows. The program that takes it removes it. */
#define DORA__ATTACH_VARIABLE "DORA_RUN_ATTACH"

/* dora-python takes the command line of the interpreter it stands in for,
 * unchanged: argv[0] is that interpreter's path (a venv's bin/python), absolute
 * and with its symbolic links; then "-u", the script (or "-c" and what it would
 * say), its arguments. */

#endif
