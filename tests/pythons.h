/* pythons.h - a world of made-up interpreters to choose from: files that a
 * table names, links to them, and scripts that answer as a Python would. */
#ifndef DORA_TEST_PYTHONS_H
#define DORA_TEST_PYTHONS_H

#include "host/kind.h"

#include <sys/types.h>

/* Below the root: libexec/ with the table, base1/ and base2/ whose python3 were
 * built for, other/python3 that was not, flow/ with the dataflow. */
struct world {
    char root[64], libexec[96], flow[96];
    char environment_text[4][256];
    const char *environment[5];
    struct dora__site site;
    struct dora__launch launch;
    struct dora_error err;
    char path[512]; /* of below() */
};

/* Directory of dora-guardian. */
extern const char *built;

/* For cmocka: *state is a world. */
int setup(void **state);
int teardown(void **state);
#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* The path of `name` below the root; until the next call. */
const char *below(struct world *world, const char *name);
/* Makes the directories of a path too. */
void make_file(struct world *world, const char *name, mode_t mode,
               const char *text);
/* `name` links to `target`, both below the root. */
void make_link(struct world *world, const char *name, const char *target);
/* A script that answers as the interpreter `base` would. */
void make_wrapper(struct world *world, const char *name, const char *base,
                  const char *version);
void set_variable(struct world *world, const char *name, const char *value);

struct dora__graph_node node_of(const char *path, const char *python);
int resolve(struct world *world, const struct dora__graph_node *node);
/* The node runs on `program` (of libexec) as the interpreter `executable`. */
void assert_runs(struct world *world, const struct dora__graph_node *node,
                 const char *program, const char *executable);
void assert_reason(struct world *world, const char *word);
void assert_refused(struct world *world, const struct dora__graph_node *node,
                    const char *word);

#endif
