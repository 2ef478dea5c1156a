/* inhost_load.h - Python nodes inside the host, as the launcher sees them. */
#ifndef DORA_INHOST_LOAD_H
#define DORA_INHOST_LOAD_H

#include "host/kind.h"
#include "interpreter.h"

/* The build that runs nodes inside the host: the newest that can and has its
 * dora-inhost.so. Borrowed from the table; NULL: none. -ENOMEM. */
DORA_MUST_CHECK
int dora__inhost_build(const struct dora__python_table *table,
                       const struct dora__python_build **ret_build);
/* New string: the build's dora-inhost.so, there or not. NULL: no memory. */
char *dora__inhost_library(const struct dora__python_build *build);

/* A dora__guest_load. */
DORA_MUST_CHECK
int dora__inhost_load(const struct dora__launch *launch,
                      const struct dora__guest_class **ret_class,
                      struct dora_error *err);

#endif
