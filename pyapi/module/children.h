/* children.h - lets processes that a node starts import dora: multiprocessing
 * starts this program in place of the interpreter it stands in for. */
#ifndef DORA_CHILDREN_H
#define DORA_CHILDREN_H

#include "stable.h"

#include <stdbool.h>

/* The interpreter to stand in for, when multiprocessing in another such program
 * started this one as `program`; else NULL. */
const char *dora__py_child_of(const char *program);

/* From now on, in the current interpreter: `program` (NULL: this one) is what
 * multiprocessing starts, and programs find the module. 0; -1 with an
 * exception. */
int dora__py_adopt_children(const char *program);

#endif
