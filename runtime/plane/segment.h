/* segment.h - files without a name that processes share: created at their full
 * size, sealed against growing and shrinking, made usable piece by piece.
 *
 * Sparse pages cost nothing. Touching one that the system cannot supply kills
 * the process, so every page is asked for (dora__segment_back) before it is
 * written, and that can fail. */
#ifndef DORA_SEGMENT_H
#define DORA_SEGMENT_H

#include "base.h"

/* A new file of `size` bytes, nothing of it usable; close-on-exec. `name` is
 * what /proc shows. */
DORA_MUST_CHECK
int dora__segment_create(const char *name, uint64_t size, int *ret_fd,
                         struct dora_error *err);
/* A second descriptor of the file, for reading only where /proc can make one.
 */
DORA_MUST_CHECK
int dora__segment_reopen(int fd, int *ret_fd, struct dora_error *err);

/* Makes [at, at + size) usable: all of it, or (then negative errno) none of
 * what was not usable before is promised. */
DORA_MUST_CHECK
int dora__segment_back(int fd, uint64_t at, uint64_t size);
/* Gives [at, at + size) back to the system: zeros from now on. */
void dora__segment_punch(int fd, uint64_t at, uint64_t size);

enum dora__rights { DORA__RIGHTS_NONE, DORA__RIGHTS_READ, DORA__RIGHTS_WRITE };

/* Maps [at, at + size); `at` is a multiple of the page size. Left out of core
 * dumps. */
DORA_MUST_CHECK
int dora__segment_map(int fd, uint64_t at, size_t size,
                      enum dora__rights rights, void **ret_memory,
                      struct dora_error *err);
/* Takes NULL. */
void dora__segment_unmap(void *memory, size_t size);

/* Lets the pages of a mapping be there before they are first written or read.
 * They are backed already; failing is harmless. */
void dora__segment_populate(void *memory, size_t size);
void dora__segment_populate_read(const void *memory, size_t size);

#endif
