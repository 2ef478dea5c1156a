/* plane_remains.h - the memory of a node that will not come back. */
#ifndef DORA_PLANE_REMAINS_H
#define DORA_PLANE_REMAINS_H

#include "plane.h"

/* Returns all of the dead node's heap that nobody can read any more. */
void dora__plane_return_heap(const struct dora__plane *plane, uint32_t node);

#endif
