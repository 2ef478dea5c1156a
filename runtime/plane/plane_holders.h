/* plane_holders.h - who holds a node's memory, on one line. */
#ifndef DORA_PLANE_HOLDERS_H
#define DORA_PLANE_HOLDERS_H

#include "base.h"

struct dora__control;

/* Appends "A/b 3 messages (12.0 MB, oldest 2.1 s), ...", oldest first. */
void dora__holders_line(struct dora__control *control, uint32_t node,
                        struct dora__text *out);

#endif
