/* plan_heaps.h - the part of a plan about memory for messages. */
#ifndef DORA_PLAN_HEAPS_H
#define DORA_PLAN_HEAPS_H

#include "graph_read.h"
#include "plan.h"

/* Places and limits of all heaps, and the budget. Nodes are numbered, and know
 * how many outputs they have. */
void dora__plan_heaps(struct dora__reader *r,
                      const struct dora__machine *machine,
                      struct dora__plan *plan);

#endif
