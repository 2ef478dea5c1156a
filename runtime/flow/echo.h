/* echo.h - what nodes print and log, as messages to other nodes
 * (`send_stdout_as`, `send_logs_as`, `dora/logs`). All from the supervisor's
 * thread. */
#ifndef DORA_ECHO_H
#define DORA_ECHO_H

#include "dataflow.h"

/* Becomes the node of the plan that the echoes are sent from, if there are any.
 */
DORA_MUST_CHECK
int dora__echo_open(struct dora_dataflow *flow, struct dora_error *err);
/* Ends it; what still waits is lost. */
void dora__echo_close(struct dora_dataflow *flow);

/* A line the member printed, without its newline. */
void dora__echo_line(struct dora_dataflow *flow, struct dora__member *member,
                     const char *text, size_t size);
/* A record of the member's log. */
void dora__echo_record(struct dora_dataflow *flow, struct dora__member *member,
                       const struct dora__journal_line *line);

/* Whether messages of the member wait for room. */
static inline bool
dora__echo_waits(const struct dora__member *member)
{
    return member->echo_first != NULL;
}

/* Sends what waited, as far as there is room now; where there is none the
 * doorbell will ring. To be called after anything that may have been published.
 * Whether anything went. */
bool dora__echo_retry(struct dora_dataflow *flow);

#endif
