/* options.h - what an embedder left to us to choose. */
#ifndef DORA_OPTIONS_H
#define DORA_OPTIONS_H

#include "base.h"

/* The directory of the helper programs, where `given` (or NULL) is asked for.
 * `given`, or static. */
const char *dora__libexec(const char *given);

/* Options as this library knows them, whatever size the embedder's have (NULL:
 * none); strings are borrowed from those. */
struct dora_options dora__options_read(const struct dora_options *given);

#endif
