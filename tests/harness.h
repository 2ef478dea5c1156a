/* harness.h - running dataflows in tests as an embedder does.
 *
 * Nodes are C functions, shell scripts, and the test program itself, started
 * again as a process node (`path: self`): its argument says what it does. */
#ifndef DORA_TESTS_HARNESS_H
#define DORA_TESTS_HARNESS_H

#include "base.h"
#include "dora.h"
#include "facts.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)

/* Where the helper programs are. */
extern const char *libexec;

/* What the log sink was told; read after the run, or under the lock. */
struct log {
    pthread_mutex_t lock;
    pthread_cond_t grown;
    struct dora__text text; /* "node stream level text\n"... */
    size_t longest;
    size_t count;
};

struct run {
    struct dora_options options;
    struct dora_dataflow *flow;
    struct dora_error err;
    struct log log;
};

/* Each fails the test when it cannot do or find what it says. */
void await_log(struct log *log, const char *text);
void load(struct run *run, const char *text);
/* With the graces of a stop, as in struct dora_options. */
void load_graced(struct run *run, const char *text, int64_t stop, int64_t term);
void callback(struct run *run, const char *id, dora_node_body body, void *arg);
void start(struct run *run);
void expect_success(struct run *run);
void expect_failure(struct run *run, const char *text);
void expect_log(struct run *run, const char *text);
void expect_exit(struct run *run, size_t node, enum dora_exit exit, int code);
void unload(struct run *run);

/* --- bodies of callback nodes -------------------------------------------- */

/* dora_node_next, come what signals may. */
int next(struct dora_node *node, struct dora_event *event);
/* Sends 0, 1, ... on `out`: as many as *arg, a uint32_t, says. */
int source(struct dora_node *node, void *arg);

/* What a sink saw. */
struct seen {
    unsigned inputs, closed, stops, failures;
    char failure[256]; /* "node: how it ended" */
    bool ordered, ended;
};

/* Takes what a source sends; arg: struct seen. */
int sink(struct dora_node *node, void *arg);
/* Takes events until the stream ends. */
int until_end(struct dora_node *node, void *arg);

#define PAIR                                              \
    "nodes:\n"                                            \
    "  - id: a\n    path: callback\n    outputs: [out]\n" \
    "  - id: b\n    path: callback\n"                     \
    "    inputs: {in: {source: a/out, queue_size: 1000}}\n"

/* What a test program begins with. True: it was started as a node and has done
 * so; *ret_code is its exit code. */
bool harness_begin(int argc, char **argv, int *ret_code);

#endif
