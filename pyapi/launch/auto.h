/* auto.h - `isolation: auto`: whether a node runs inside the host without being
 * asked. Decided from files alone, and never by trying. */
#ifndef DORA_AUTO_H
#define DORA_AUTO_H

#include "host/kind.h"
#include "interpreter.h"
#include "scan.h"

/* What is known of a node by then. */
struct dora__auto {
    const struct dora__graph_node *node;
    const struct dora__site *site;
    const char *script;                    /* NULL: no .py file */
    const struct dora__python *python;     /* that it would run on */
    const struct dora__python_build *host; /* of nodes inside; NULL: none */
    struct dora__scan *scan;
};

/* 1: inside; 0: a process. *ret_reason says why: new text. -ENOMEM. */
DORA_MUST_CHECK
int dora__auto_inside(const struct dora__auto *a, char **ret_reason);

#endif
