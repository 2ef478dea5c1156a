/* graph_read.h - reading a graph from a document: what the graph_*.c files
 * share. Complaints go to the sink; a reader goes on after each, so that a file
 * tells all its errors at once. */
#ifndef DORA_GRAPH_READ_H
#define DORA_GRAPH_READ_H

#include "chunks.h"
#include "graph.h"
#include "graph_text.h"
#include "nearest.h"
#include "plan.h" /* the limits */

struct dora__env {
    struct dora__graph_env *items;
    size_t count;
};

/* A module's file that has been read. */
struct dora__opened {
    struct dora__document document;
    struct dora__opened *next;
};

struct dora__reader {
    const struct dora__graph_context *context;
    struct dora_error *err;
    struct dora__graph *graph;
    struct dora__chunk *chunks;  /* what is made while reading */
    struct dora__opened *opened; /* in the chunks */
    char owner[256]; /* of the keys being read: "node `x`: ", or "" */
    struct dora__env shared_env;
    size_t env_bytes;        /* of all nodes */
    size_t errors, problems; /* problems: warnings too */
    bool no_memory; /* an allocation failed: what was read is not whole */
};

DORA_PRINTF(3, 4)
void dora__complain(struct dora__reader *r, struct dora__mark mark,
                    const char *format, ...);
DORA_PRINTF(3, 4)
void dora__warn(struct dora__reader *r, struct dora__mark mark,
                const char *format, ...);
/* Whether another suggestion is worth its time: after many problems none is. */
bool dora__may_suggest(const struct dora__reader *r);

/* Text that fits a message: cut, in quotes for a person. */
struct dora__shown {
    char text[112];
};
struct dora__shown dora__show_text(const char *text);
struct dora__shown dora__show(const struct dora__value *value);
/* "; did you mean `best`?", or nothing. */
struct dora__shown dora__show_nearest(const struct dora__nearest *near);

/* Memory that remembers its failure in the reader. */
char *dora__copy_text(struct dora__reader *r, const char *text);
void *dora__new_array(struct dora__reader *r, size_t count, size_t size);

/* A value of the wanted form, else a complaint that names the owner and key. A
 * null value counts as absent: false without a complaint. */
bool dora__read_text(struct dora__reader *r, const struct dora__value *value,
                     const char **ret_text);
bool dora__read_bool(struct dora__reader *r, const struct dora__value *value,
                     bool *ret_value);
bool dora__read_count(struct dora__reader *r, const struct dora__value *value,
                      uint32_t least, uint32_t most, uint32_t *ret_value);
bool dora__read_seconds(struct dora__reader *r, const struct dora__value *value,
                        int64_t *ret_ns);
bool dora__read_size(struct dora__reader *r, const struct dora__value *value,
                     uint64_t *ret_size);
/* One of the words (NULL-terminated): its number. */
bool dora__read_word(struct dora__reader *r, const struct dora__value *value,
                     const char *const *words, unsigned *ret_number);
bool dora__read_list(struct dora__reader *r, const struct dora__value *value);
bool dora__read_map(struct dora__reader *r, const struct dora__value *value);
/* Complains of each key of the map that is not among the names
 * (NULL-terminated). */
void dora__check_keys(struct dora__reader *r, const struct dora__value *map,
                      const char *const *names, const char *what);

/* graph_env.c */

/* Reads the variables that all nodes get into the reader: the file's, then the
 * caller's. `value` may be NULL. */
void dora__read_shared_env(struct dora__reader *r,
                           const struct dora__value *value);
/* The node's variables over the shared ones, and what DORA_ISOLATION says. */
void dora__read_env(struct dora__reader *r, const struct dora__value *value,
                    struct dora__graph_node *node);
void dora__env_fini(struct dora__env *env);

/* graph_git.c */

/* `git` and its like of the node that `value` is. */
void dora__read_git(struct dora__reader *r, const struct dora__value *value,
                    struct dora__git *git);

/* graph_input.c */

void dora__read_inputs(struct dora__reader *r, const struct dora__value *value,
                       struct dora__graph_node *node);
/* "dora/timer/secs/1", as a runtime writes it that knows only the period. */
void dora__write_source(const struct dora__graph_input *input,
                        struct dora__text *out);

/* graph_key.c */

enum {
    DORA__KIND_PATH = 1 << 0,
    DORA__KIND_OPERATOR = 1 << 1,
    DORA__KIND_ROS2 = 1 << 2,
    DORA__KIND_MODULE = 1 << 3,
    DORA__KIND_HUB = 1 << 4,
    DORA__KIND_ALL = (1 << 5) - 1,
    DORA__KIND_BLOCK = 1 << 5, /* what an operator's block says of the node */
};

/* Reads one key of a node of that kind (0: not known). False: nodes of the kind
 * have no such key. */
bool dora__read_key(struct dora__reader *r, const struct dora__value *value,
                    unsigned kind, struct dora__graph_node *node);
bool dora__has_key(unsigned kind, const char *name);
/* What a node executes, under whichever key. False after a complaint. */
bool dora__read_path(struct dora__reader *r, const struct dora__value *value,
                     struct dora__graph_node *node);

/* graph_module.c */

/* The list of nodes with those that stand for modules replaced by the nodes of
 * their files; what could not be read is left out. It is valid as long as the
 * reader's chunks and opened documents. */
struct dora__value dora__expand_modules(struct dora__reader *r,
                                        const struct dora__value *list);

/* graph_node.c */

void dora__read_node(struct dora__reader *r, const struct dora__value *value,
                     struct dora__graph_node *node);
void dora__graph_node_fini(struct dora__graph_node *node);
/* Whether the node is one for which a module's file stands. */
bool dora__is_module(const struct dora__value *node);

/* graph_operator.c */

/* Reads `operator` or `operators` of a node: the block, which has the node's
 * inputs and outputs; NULL after a complaint. */
const struct dora__value *dora__read_operator(struct dora__reader *r,
                                              const struct dora__value *value,
                                              struct dora__graph_node *node);

/* graph_config.c */

/* JSON of what the node may ask about itself; `value` is the node, or its
 * operator's block. */
void dora__write_config(struct dora__reader *r, const struct dora__value *value,
                        struct dora__graph_node *node);

/* graph_link.c */

/* Finds the source of every input; looks for what cannot work. */
void dora__link(struct dora__reader *r);

#endif
