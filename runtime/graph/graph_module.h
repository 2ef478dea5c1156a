/* graph_module.h - nodes that stand for a file of nodes: what the files
 * graph_module*.c share. Everything made here lives in the reader's chunks. */
#ifndef DORA_GRAPH_MODULE_H
#define DORA_GRAPH_MODULE_H

#include "graph_read.h"

/* A file in the place of a node. */
struct dora__module {
    const struct dora__module *outer; /* that the node is in; NULL: none */
    const struct dora__value *node;   /* its sources are those of the outer */
    const char *id;                   /* the node's, whole: "arm.left" */
    const char *file, *directory; /* below the dataflow's: "a/b.yml", "a/" */
    const char *name;             /* what it calls itself */
    const char *build;            /* or NULL */
    const struct dora__value *inputs, *inputs_optional, *outputs; /* or NULL */
    const struct dora__value *nodes;                              /* a list */
    unsigned depth;                                               /* from 1 */
};

/* graph_module_value.c */

/* A text in the reader's chunks; "" and r->no_memory if there is no memory. */
DORA_PRINTF(2, 3)
const char *dora__module_text(struct dora__reader *r, const char *format, ...);
/* The map with that item in the place of the one of its key, or after all. */
struct dora__value dora__module_set(struct dora__reader *r,
                                    const struct dora__value *map,
                                    const struct dora__value *item);
/* A string with the place and key of `like`. */
struct dora__value dora__module_string(const struct dora__value *like,
                                       const char *text);

/* What becomes of a map in a node. */
typedef struct dora__value dora__module_change(struct dora__reader *r,
                                               const struct dora__value *map,
                                               void *arg);
/* The node with every block of an operator in it changed, */
struct dora__value dora__module_blocks(struct dora__reader *r,
                                       const struct dora__value *node,
                                       dora__module_change *change, void *arg);
/* or every map of inputs, its operators' too. */
struct dora__value dora__module_inputs(struct dora__reader *r,
                                       const struct dora__value *node,
                                       dora__module_change *change, void *arg);
/* Where an input comes from: itself, or its `source`. NULL: nowhere. */
const struct dora__value *dora__module_source(const struct dora__value *input);
/* The input with another source. */
struct dora__value dora__module_with_source(struct dora__reader *r,
                                            const struct dora__value *input,
                                            const struct dora__value *source);

/* graph_module_file.c */

/* Reads what the node stands for. False after a complaint, or where there is no
 * memory. */
bool dora__module_open(struct dora__reader *r, const struct dora__module *outer,
                       const struct dora__value *node,
                       struct dora__module *ret_module);
/* Whether a list of the file has that name. */
bool dora__module_lists(const struct dora__value *list, const char *name);

/* graph_module_node.c */

/* What a node of the module is in the dataflow. */
struct dora__value dora__module_node(struct dora__reader *r,
                                     const struct dora__module *module,
                                     const struct dora__value *node);

#endif
