/* guardian_start.h - a spawn request, from its bytes to the program that it
 * names: what of dora-guardian has no memory. */
#ifndef DORA_GUARDIAN_START_H
#define DORA_GUARDIAN_START_H

#include "guardian_protocol.h"

#include <stddef.h>

/* Starts a process from the descriptors of a request, in a process group of its
 * own. Returns when it executes its program or cannot: *ret_report says which,
 * for no node yet. The caller has one thread; when that ends, so does the
 * process. */
void dora__guardian_start(int *fds, size_t count,
                          struct dora__report *ret_report);

#endif
