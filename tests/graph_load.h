/* graph_load.h - loading a graph in a test: problems are kept as lines. */
#ifndef DORA_GRAPH_LOAD_H
#define DORA_GRAPH_LOAD_H

#include "graph/graph.h"

/* What the sink was told, as "line:column: text" lines, after "name:" where
 * that is another file. */
struct told {
    unsigned errors, warnings;
    struct dora__text lines; /* free lines.text */
};

/* What lies beside a dataflow; the last has no path. */
struct beside {
    const char *path, *text;
};

struct dora__graph_files files_of(const struct beside *files);

/* As load_told, with those files. */
DORA_MUST_CHECK
int load_beside(const char *text, const struct beside *files,
                struct told *ret_told, struct dora__graph *ret_graph);

/* With HOME=/home/me and EMPTY= in the environment, `env` as given by the
 * caller of a dataflow. */
DORA_MUST_CHECK
int load_told(const char *text, const char *const *env, struct told *ret_told,
              struct dora__graph *ret_graph);

/* A file without errors and with that many warnings; else the test fails. */
struct dora__graph load_good(const char *text, unsigned warnings);

#endif
