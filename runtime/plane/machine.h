/* machine.h - what this machine and process may use. */
#ifndef DORA_MACHINE_H
#define DORA_MACHINE_H

#include "graph/plan.h"

/* Asks the kernel now. What it does not tell is 0: unknown. */
void dora__machine_read(struct dora__machine *ret_machine);

/* The memory of a machine whose files lie below `root` ("": this one), in
 * bytes: what is available of its RAM, or less where a control group of this
 * process or an ancestor of it has less left. 0: unknown. */
uint64_t dora__machine_memory(const char *root);

#endif
