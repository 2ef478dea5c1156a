/* python.h - the `dora` module as a program that hosts Python sees it: add
 * PyInit_dora to the inittab, and seat the node in each interpreter. */
#ifndef DORA_PYTHON_H
#define DORA_PYTHON_H

#include <Python.h>

#include "node/node.h"

PyMODINIT_FUNC PyInit_dora(void);

/* Makes `node` (taken over) the one that Node() becomes in the current
 * interpreter. Once per interpreter, by a thread attached to it; 0, or -1 with
 * an exception (the node is then still the caller's). */
DORA_MUST_CHECK
int dora__py_seat(struct dora_node *node);

/* The same for a node that is there only when Node() is called: `attach` makes
 * it then, or sets an exception. */
typedef struct dora_node *(*dora__py_attach)(void *arg);
DORA_MUST_CHECK
int dora__py_seat_later(const char *id, dora__py_attach attach, void *arg);
/* The interpreter is about to end. The node, as far as the script has not let
 * go of it, is the caller's from now on, to be detached when no Python code can
 * run any more; NULL: there is none. */
struct dora_node *dora__py_seat_clear(void);

/* What Node() takes: the node, once; it is the taker's then. Otherwise NULL
 * with a RuntimeError saying why there is none. */
struct dora_node *dora__py_seat_take(void);
/* The node, made if that is still to be done, without taking it; borrowed.
 * NULL: there is none, or an exception says why not. */
struct dora_node *dora__py_seat_look(void);
/* Node() failed: the node may be taken again. */
void dora__py_seat_return(struct dora_node *node);
/* The script lets go of the node it took. True: it is to be detached. */
bool dora__py_seat_leave(struct dora_node *node);

/* Makes pdb, and so breakpoint(), a debugger on the terminal, in the current
 * interpreter. 0, or -1 with an exception. */
DORA_MUST_CHECK
int dora__py_debug_install(void);

/* Calls `mend` with the standard library's `module`: now, or when it has been
 * imported. 0, or -1 with an exception. */
DORA_MUST_CHECK
int dora__py_mend(const char *module, PyObject *mend);

#endif
