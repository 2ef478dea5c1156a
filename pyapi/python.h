/* python.h - the `dora` module as a program that hosts Python sees it: add
 * PyInit_dora to the inittab, and seat the node in each interpreter. */
#ifndef DORA_PYTHON_H
#define DORA_PYTHON_H

#include <Python.h>

#include "node.h"

PyMODINIT_FUNC PyInit_dora(void);

/* Makes `node` (taken over) the one that Node() becomes in the current
 * interpreter. Once per interpreter, by a thread attached to it; 0, or -1 with
 * an exception (the node is then still the caller's). */
DORA_MUST_CHECK
int dora__py_seat(struct dora_node *node);

/* What Node() takes: the node, once; it is the taker's then. Otherwise NULL
 * with a RuntimeError saying why there is none. */
struct dora_node *dora__py_seat_take(void);
/* Node() failed: the node may be taken again. */
void dora__py_seat_return(struct dora_node *node);
/* The taken node is about to be detached. */
void dora__py_seat_leave(struct dora_node *node);

#endif
