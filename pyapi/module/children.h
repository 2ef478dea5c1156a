/* children.h - lets multiprocessing start this program in place of the
 * interpreter it stands in for. */
#ifndef DORA_CHILDREN_H
#define DORA_CHILDREN_H

#include "stable.h"

#include <stdbool.h>

/* The interpreter to stand in for, when multiprocessing in another such program
 * started this one as `program`; else NULL. */
const char *dora__py_child_of(const char *program);

/* From now on, in the current interpreter: `program` (NULL: this one) is to be
 * started. 0; -1 with an exception. */
int dora__py_adopt_children(const char *program);

#endif
