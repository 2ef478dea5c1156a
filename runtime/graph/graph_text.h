/* graph_text.h - the small languages inside the strings of a dataflow file:
 * ids, sizes, seconds, shell words, $VARIABLES, and near misses. */
#ifndef DORA_GRAPH_TEXT_H
#define DORA_GRAPH_TEXT_H

#include "base.h"

/* Longer periods and durations are as good as for ever. */
#define DORA__FOREVER_NS (INT64_C(100) * 365 * 24 * 3600 * 1000000000)

/* Where dora__expand gives up: no process is started with a longer string. */
#define DORA__MAX_EXPANDED (128 << 10)

/* What is wrong with an id, as the rest of a sentence; NULL: nothing. */
const char *dora__node_id_fault(const char *id);
const char *dora__port_id_fault(const char *id); /* of an input or output */

/* "512", "1.5 MB": units B K KB M MB G GB of 1024, in either case. 0, -EINVAL
 * (not a size), -ERANGE. */
DORA_MUST_CHECK
int dora__parse_size(const char *text, uint64_t *ret_size);

/* Rounded to ns, but never to 0 from more; at most DORA__FOREVER_NS. -EINVAL:
 * negative or not a number; -ERANGE: not to be expressed in 64 bits. */
DORA_MUST_CHECK
int dora__parse_seconds(double seconds, int64_t *ret_ns);

/* Splits by the quoting rules of a POSIX shell, and nothing else of it: no
 * expansion, no comments. *ret_words is new, NULL-terminated; free with
 * dora__words_free. -EINVAL: *ret_fault says why (static). */
DORA_MUST_CHECK
int dora__split_words(const char *text, char ***ret_words, size_t *ret_count,
                      const char **ret_fault);
char **dora__words_free(char **words);

/* Appends `text` with $NAME, ${NAME} and ${NAME:-default} replaced from
 * `environment` ("K=V"..., may be NULL) and $$ by one $. 0; -ENOENT: *ret_name
 * <pointer, length> is not defined; -EINVAL: a ${ is malformed; -E2BIG: longer
 * than the kernel takes. */
DORA_MUST_CHECK
int dora__expand(const char *text, const char *const *environment,
                 struct dora__text *out, const char **ret_name,
                 size_t *ret_name_size);

/* The shortest decimal that reads back the same, without an exponent. */
void dora__text_double(struct dora__text *out, double value);

#endif
