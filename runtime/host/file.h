/* file.h - files as text, and the directory that one lies in. */
#ifndef DORA_FILE_H
#define DORA_FILE_H

#include "graph/graph.h"

/* A file's text, at most its first `limit` bytes, terminated, new. It does not
 * wait for what is no plain file. -ENOENT: it cannot be read. `ret_size` may be
 * NULL. */
DORA_MUST_CHECK
int dora__file_text(const char *path, size_t limit, char **ret_text,
                    size_t *ret_size);

/* The text of a dataflow file, new, terminated. Of one that is longer than a
 * document may be just as much as shows it: who reads that says so. */
DORA_MUST_CHECK
int dora__file_read(const char *path, char **ret_text, size_t *ret_size,
                    struct dora_error *err);

/* The files of that directory, and below it; as long as the text is there. */
struct dora__graph_files dora__files_below(const char *directory);

/* Where a file lies: absolute, new. NULL: errno says why. */
char *dora__file_directory(const char *file);
/* A directory (NULL and "": the current one): absolute, new. NULL: errno. */
char *dora__directory_absolute(const char *path);

#endif
