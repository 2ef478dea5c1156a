/* restart.h - whether and when a node that ended is started again. Pure. */
#ifndef DORA_RESTART_H
#define DORA_RESTART_H

#include "graph/graph.h"

/* Zero to begin. */
struct dora__restarts {
    unsigned count;       /* since the window began */
    int64_t window_began; /* 0: with the first start */
    bool gave_up;         /* the last answer was no because of max_restarts */
};

/* The node was started. */
void dora__restarts_started(struct dora__restarts *restarts, int64_t now);
/* Whether to start it again after *ret_delay ns. */
bool dora__restarts_decide(struct dora__restarts *restarts,
                           const struct dora__graph_node *node, bool failed,
                           int64_t now, int64_t *ret_delay);

#endif
