/* file.h - a dataflow's file: its text, and the directory that it lies in. */
#ifndef DORA_FILE_H
#define DORA_FILE_H

#include "base.h"

/* The text of a dataflow file, new. Of one that is longer than a document may
 * be just as much as shows it: who reads the document says so. */
DORA_MUST_CHECK
int dora__file_read(const char *path, char **ret_text, size_t *ret_size,
                    struct dora_error *err);

/* Where a file lies: absolute, new. NULL: errno says why. */
char *dora__file_directory(const char *file);
/* A directory (NULL and "": the current one): absolute, new. NULL: errno. */
char *dora__directory_absolute(const char *path);

#endif
