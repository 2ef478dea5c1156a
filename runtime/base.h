/* base.h - words every module of the runtime uses: errors, cleanup, time.
 *
 * Failures are negative errno values. Where a person needs to know more, the
 * last parameter is a `struct dora_error *` and the place that knows the fact
 * writes the line:
 *
 *     return dora__fail(err, EINVAL, "%s:%u: ...", file, line);
 *
 * Nothing is added on the way up. */
#ifndef DORA_BASE_H
#define DORA_BASE_H

#include "dora.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define DORA_PRINTF(text, first) __attribute__((format(printf, text, first)))
#define DORA_MUST_CHECK __attribute__((warn_unused_result))

#define DORA_COUNT(array) (sizeof(array) / sizeof *(array))

/* Writes the text, cut to fit on a UTF-8 boundary, control characters other
 * than tab replaced by '?'. `err` may be NULL. */
DORA_PRINTF(2, 3)
void dora__error_set(struct dora_error *err, const char *format, ...);
DORA_PRINTF(2, 0)
void dora__error_vset(struct dora_error *err, const char *format, va_list args);

/* A macro, so that the compiler sees the negative constant. */
#define dora__fail(err, code, ...) \
    (dora__error_set((err), __VA_ARGS__), -(code))

static inline void
dora__free_pointer(void *pointer)
{
    free(*(void **)pointer);
}

static inline void
dora__close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

/* Locals that release themselves; take with DORA_TAKE / DORA_TAKE_FD. */
#define DORA_AUTOFREE __attribute__((cleanup(dora__free_pointer)))
#define DORA_AUTOCLOSE __attribute__((cleanup(dora__close_fd)))

static inline int
dora__take_fd(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}

/* CLOCK_MONOTONIC and CLOCK_REALTIME in ns. */
static inline int64_t
dora__clock(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline int64_t
dora__now(void)
{
    return dora__clock(CLOCK_MONOTONIC);
}

/* CLOCK_REALTIME - CLOCK_MONOTONIC, now. Of a few readings the one in which the
 * least time passed between the two clocks, lest a switch in between counts. */
static inline int64_t
dora__utc_offset(void)
{
    int64_t least = INT64_MAX, offset = 0;

    for (unsigned i = 0; i < 4 && least > 500; i++) {
        int64_t before = dora__now();
        int64_t utc = dora__clock(CLOCK_REALTIME);
        int64_t passed = dora__now() - before;

        if (passed < least) {
            least = passed;
            offset = utc - before - passed / 2;
        }
    }
    return offset;
}

/* printf into new memory (free with free); NULL when there is none. */
DORA_PRINTF(1, 2) char *dora__format(const char *format, ...);

/* A UUID of version 7: milliseconds since 1970, then chance. */
void dora__uuid(char ret_id[static 37]);

/* Growing text: zero to begin, append, then free `text`. After a failed
 * append `failed` stays set and further appends do nothing, so that one check
 * at the end is enough. */
struct dora__text {
    char *text; /* terminated once something was appended */
    size_t size, capacity;
    bool failed;
};
void dora__text_add(struct dora__text *t, const char *text, size_t size);
void dora__text_puts(struct dora__text *t, const char *text);
DORA_PRINTF(2, 3)
void dora__text_printf(struct dora__text *t, const char *format, ...);
/* The same bytes as UTF-8: what is none becomes U+FFFD. */
void dora__text_utf8(struct dora__text *t, const char *text, size_t size);
/* A JSON string literal, quotes included; invalid UTF-8 becomes U+FFFD. */
void dora__text_json(struct dora__text *t, const char *text, size_t size);

#endif
