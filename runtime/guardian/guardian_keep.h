/* guardian_keep.h - processes that a part of the host started and waits for by
 * itself, as it would for children of its own. */
#ifndef DORA_GUARDIAN_KEEP_H
#define DORA_GUARDIAN_KEEP_H

#include <stddef.h>

/* Starts one from the descriptors of a DORA__REQUEST_KEEP. What becomes of it
 * is said on the socket among them. */
void dora__guardian_keep(int *fds, size_t count);

#endif
