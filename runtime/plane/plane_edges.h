/* plane_edges.h - what consumers are told of a node that has ended. An edge is
 * about a node if that node sends over it, or the host in its name. */
#ifndef DORA_PLANE_EDGES_H
#define DORA_PLANE_EDGES_H

#include "layout.h"
#include "plane.h"

/* All edges about the node are closed; `failure` as in dora__plane_node_died.
 */
void dora__plane_tell_end(struct dora__control *control, uint32_t number,
                          const char *failure);
/* It comes back, as its next incarnation. */
void dora__plane_tell_restart(struct dora__control *control, uint32_t number);

#endif
