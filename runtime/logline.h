/* logline.h - a line of output that is a log record: one JSON object with at
 * least `level` and `timestamp`. What dora_node_log and the `dora` module
 * write. */
#ifndef DORA_LOGLINE_H
#define DORA_LOGLINE_H

#include "base.h"

struct dora__logline {
    enum dora_level level;
    int64_t time_ns;     /* CLOCK_REALTIME; 0: the timestamp is not RFC 3339 */
    const char *message; /* may hold newlines */
    size_t message_size;
    const char *target; /* terminated, or NULL */
    const char *fields; /* a JSON object as written, or NULL */
    size_t fields_size;
};

/* Whether the line is a record. Strings point into the line or into `scratch`,
 * which is overwritten; they hold until either changes. */
bool dora__logline_parse(const char *text, size_t size,
                         struct dora__text *scratch,
                         struct dora__logline *ret_line);

/* A line of a journal (journal.h) as what it was made of. Strings as above;
 * `node` is terminated. */
bool dora__logline_stored(const char *text, size_t size,
                          struct dora__text *scratch,
                          struct dora_log_record *ret_record);

/* "error" ... "trace", "stdout". */
const char *dora__level_name(enum dora_level level);

/* Appends time as RFC 3339, UTC, milliseconds. */
void dora__text_time(struct dora__text *out, int64_t time_ns);

#endif
