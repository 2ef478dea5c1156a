/* verdict.h - how the end of a node counts. Pure. */
#ifndef DORA_VERDICT_H
#define DORA_VERDICT_H

#include "base.h"

/* What is known of an ended process. */
struct dora__ending {
    int status;     /* as wait() gives it */
    bool signalled; /* we had asked it by a signal to stop */
    bool killed;    /* we had sent SIGKILL */
    bool hung;      /* and that for a timeout of health.c */
    bool given_up;  /* the barrier had failed, or stop came before it */
};

/* *ret_code: the exit code or signal number. */
enum dora_exit dora__verdict(const struct dora__ending *ending, int *ret_code);

/* Whether a run with a node that ended so has failed by it. */
bool dora__verdict_fails(enum dora_exit exit);

/* "exited with code 3": what comes after the node's name. `code` is an errno
 * for NOT_STARTED. */
void dora__verdict_text(enum dora_exit exit, int code, struct dora__text *out);

#endif
