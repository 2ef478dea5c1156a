/* plan_echo.h - the part of a plan about what the host sends for nodes: lines
 * that they print (`send_stdout_as`), records of their log (`send_logs_as`,
 * `dora/logs`). */
#ifndef DORA_PLAN_ECHO_H
#define DORA_PLAN_ECHO_H

#include "graph_read.h"
#include "plan.h"

size_t dora__echo_count(const struct dora__graph *graph);
/* Fills the plan's host and echoes, of which echo_count says how many. */
void dora__echo_plan(struct dora__reader *r, struct dora__plan *plan);
/* Whether what the node prints or logs goes out on its output, too. */
bool dora__echo_has(const struct dora__graph_node *node, const char *output);
/* The echo that feeds an input of node `consumer`: a `dora/logs` input, or one
 * whose source has it. */
uint32_t dora__echo_find(const struct dora__plan *plan, uint32_t consumer,
                         const struct dora__graph_input *input);
void dora__echo_fini(struct dora__plan *plan);

#endif
