/* graph_load.h - loading a graph in a test: problems are kept as lines. */
#ifndef DORA_GRAPH_LOAD_H
#define DORA_GRAPH_LOAD_H

#include "graph/graph.h"

/* What the sink was told, as "line:column: text" lines. */
struct told {
    unsigned errors, warnings;
    struct dora__text lines; /* free lines.text */
};

/* With HOME=/home/me and EMPTY= in the environment, `env` as given by the
 * caller of a dataflow. */
DORA_MUST_CHECK
int load_told(const char *text, const char *const *env, struct told *ret_told,
              struct dora__graph *ret_graph);

/* A file without errors and with that many warnings; else the test fails. */
struct dora__graph load_good(const char *text, unsigned warnings);

#endif
