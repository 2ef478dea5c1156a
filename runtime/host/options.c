/* options.c - see options.h. */
#include "options.h"

#include <string.h>

#ifndef DORA_LIBEXEC
#define DORA_LIBEXEC "/usr/local/libexec/dora-run"
#endif

const char *
dora__libexec(const char *given)
{
    return given != NULL ? given : DORA_LIBEXEC;
}

struct dora_options
dora__options_read(const struct dora_options *given)
{
    struct dora_options known = {0};

    if (given != NULL)
        memcpy(&known, given,
               given->size < sizeof known ? given->size : sizeof known);
    known.libexec = dora__libexec(known.libexec);
    return known;
}
