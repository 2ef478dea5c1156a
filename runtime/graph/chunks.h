/* chunks.h - memory for many small things that are freed together.
 *
 *     struct dora__chunk *chunks = NULL;
 *     char *name = dora__chunks_text(&chunks, text, size);
 *     ...
 *     dora__chunks_free(chunks);
 */
#ifndef DORA_CHUNKS_H
#define DORA_CHUNKS_H

#include "base.h"

struct dora__chunk;

/* Room for `size` bytes, aligned for anything, not zeroed; it stays where it is
 * until all are freed. NULL: no memory. */
void *dora__chunks_take(struct dora__chunk **chunks, size_t size);
/* A copy of the text, terminated. */
char *dora__chunks_text(struct dora__chunk **chunks, const void *text,
                        size_t size);
void dora__chunks_free(struct dora__chunk *chunks);

#endif
