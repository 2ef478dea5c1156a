/* scan_file.h - what one Python file imports and names. */
#ifndef DORA_SCAN_FILE_H
#define DORA_SCAN_FILE_H

#include "base.h"

/* `why` is NULL while nothing in the file speaks against running inside the
 * host. Strings are new; release with dora__scanned_fini. */
struct dora__scanned {
    char *why;     /* "3: import numpy (...)", or "is too large" */
    char **beside; /* absolute paths of the files it imports */
    size_t beside_count;
};

/* Reads the file at `path`; the imports of the script it belongs to are looked
 * for below `root`. -ENOMEM. */
DORA_MUST_CHECK
int dora__scan_file(const char *path, const char *root,
                    struct dora__scanned *ret_scanned);
void dora__scanned_fini(struct dora__scanned *scanned);

#endif
