/* graph.h - what a dataflow file says: nodes, outputs, inputs, and their links,
 * by name and by number. Pure: reads no file but the text it is given, starts
 * nothing. Every complaint goes to the problem sink with its place; a graph is
 * returned only when there was no error. */
#ifndef DORA_GRAPH_H
#define DORA_GRAPH_H

#include "base.h"
#include "document.h"

#include <string.h>

enum dora__isolation {
    DORA__ISOLATION_AUTO,
    DORA__ISOLATION_INTERPRETER,
    DORA__ISOLATION_PROCESS,
};

enum dora__input_kind { DORA__INPUT_DATA, DORA__INPUT_TIMER, DORA__INPUT_LOGS };
enum dora__queue_policy { DORA__DROP_OLDEST, DORA__BACKPRESSURE };
enum dora__heap_full { DORA__HEAP_ERROR, DORA__HEAP_WAIT };
enum dora__restart {
    DORA__RESTART_NEVER,
    DORA__RESTART_ON_FAILURE,
    DORA__RESTART_ALWAYS
};

struct dora__graph_input {
    char *id;
    char *source; /* as written: "camera/image", "dora/timer/millis/10" */
    enum dora__input_kind kind;
    size_t node, output;       /* DATA: numbers of the source in the graph */
    int64_t period_ns;         /* TIMER */
    enum dora_level log_level; /* LOGS: 0 = all */
    char *log_node;            /* LOGS: NULL = all */
    uint32_t queue_size;       /* >= 1 */
    enum dora__queue_policy policy;
    int64_t timeout_ns; /* input_timeout; 0: none */
    struct dora__mark mark;
};

struct dora__graph_output {
    char *id;
    struct dora__mark mark;
};

struct dora__graph_env {
    char *key, *value;
};

/* Where a node's files come from. */
enum dora__git_kind {
    DORA__GIT_DEFAULT, /* the branch that the repository names */
    DORA__GIT_BRANCH,
    DORA__GIT_TAG,
    DORA__GIT_COMMIT, /* its id, or the beginning of it, in small letters */
};

struct dora__git {
    char *url;  /* as written; NULL: they lie beside the file */
    char *name; /* of the branch, tag or commit; or NULL */
    enum dora__git_kind kind;
    struct dora__mark mark; /* of the url */
};

/* Arrays are new, in the order given; inputs and outputs sorted by id. Times in
 * ns, sizes in bytes; 0 where the key is absent unless said. */
struct dora__graph_node {
    char *id, *name, *description;
    char *path; /* as written; "callback", "dynamic", "shell" are special */
    bool is_operator;  /* the path is the file of its class */
    char *operator_id; /* stands before an output's id in sources: of one in
                          `operators`; or NULL */
    char **args;       /* split by shell quoting, NULL-terminated */
    char *args_text;   /* as written, for `path: shell`; "" if absent */
    size_t arg_count;
    struct dora__graph_env *env; /* top level, then node; later wins */
    size_t env_count;
    struct dora__graph_input *inputs;
    size_t input_count;
    struct dora__graph_output *outputs;
    size_t output_count;
    bool outputs_unread; /* given, and no list: none is known */
    enum dora__isolation isolation;
    char *python; /* NULL: not given */
    char *build;
    struct dora__git git;
    char *send_stdout_as, *send_logs_as; /* output ids */
    enum dora_level min_log_level;       /* 0: none */
    uint64_t max_log_size;
    uint32_t max_rotated_files; /* 5 if absent */
    enum dora__restart restart_policy;
    uint32_t max_restarts;
    int64_t restart_delay_ns, max_restart_delay_ns, restart_window_ns;
    int64_t startup_timeout_ns, health_check_timeout_ns; /* -1: absent */
    int64_t finish_grace_ns;                             /* -1: absent */
    uint64_t pool_size;  /* shared_memory_pool_size: prefaulted; 0: absent */
    uint64_t heap_limit; /* 0: a share of memory */
    enum dora__heap_full heap_full;
    uint32_t *cpu_affinity;
    size_t cpu_count;
    char *config; /* JSON object: inputs, outputs, types... of node_config() */
    struct dora__mark mark; /* of the node's id */
    struct dora__mark path_mark;
};

/* Whether somebody else starts it, whenever they like. */
static inline bool
dora__graph_is_dynamic(const struct dora__graph_node *node)
{
    return strcmp(node->path, "dynamic") == 0;
}

struct dora__graph {
    char *file;     /* name in messages */
    char **modules; /* names in messages of marks' files 1.. */
    size_t module_count;
    struct dora__graph_node *nodes;
    size_t node_count;
    bool exit_when_nodes_finish;
    int64_t health_check_interval_ns;
    char *descriptor; /* JSON of the whole file */
};

/* The file that a place lies in. */
static inline const char *
dora__graph_file(const struct dora__graph *graph, struct dora__mark mark)
{
    return mark.file == 0 ? graph->file : graph->modules[mark.file - 1];
}

/* Other files, by their path from the directory of the dataflow's. */
struct dora__graph_files {
    /* As dora__file_read. */
    int (*read)(void *arg, const char *path, char **ret_text, size_t *ret_size,
                struct dora_error *err);
    bool (*has)(void *arg, const char *path);
    void *arg;
};

/* What the graph is read with. */
struct dora__graph_context {
    const char *file;
    const struct dora__graph_files *files; /* NULL: none may be read */
    dora_problem_sink problem;             /* may be NULL */
    void *problem_arg;
    const char *const *environment; /* "K=V"..., for $VAR in env values; NULL:
                                       none */
    const char *const *env; /* "K=V"..., between the file's env and a node's;
                               NULL: none */
};

/* Text to graph. 0, -EINVAL (*err: the first error), -ENOMEM. Release with
 * dora__graph_fini. */
DORA_MUST_CHECK
int dora__graph_load(const char *text, size_t size,
                     const struct dora__graph_context *context,
                     struct dora__graph *ret_graph, struct dora_error *err);
void dora__graph_fini(struct dora__graph *graph);

/* Number of the node, or -ENOENT. */
int dora__graph_find(const struct dora__graph *graph, const char *id);

/* Mermaid text of the graph appended to `out`. */
void dora__graph_mermaid(const struct dora__graph *graph,
                         struct dora__text *out);

#endif
