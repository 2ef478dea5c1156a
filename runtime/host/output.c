/* output.c - see output.h.
 *
 *   1. Every byte that was written before the writer's death comes out, in
 *      order, whatever it is; only newlines are taken away, and what is beyond
 *      the limit of a line.
 *   2. A line is given out once it is known to be whole: at its newline, at
 *      the end of the pipe, at the writer's death.
 *   3. The writer waits only while the pipe is full, so the pipe is large.
 *
 * Whole lines are given out where they were read; only the unfinished end of a
 * read is copied. */
#include "output.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

int
dora__output_open(struct dora__output *output, size_t pipe_size,
                  int *ret_write_fd)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0) {
        int code = -errno;

        (void)close(ends[0]);
        (void)close(ends[1]);
        return code;
    }
    /* A larger pipe is a favour that a user's quota may refuse. */
    if (pipe_size > DORA__PIPE_LEAST)
        (void)fcntl(ends[0], F_SETPIPE_SZ, (int)pipe_size);
    *output = (struct dora__output){.fd = ends[0]};
    *ret_write_fd = ends[1];
    return 0;
}

/* Room for `size` more bytes and the mark of a cut. */
static bool
reserve(struct dora__output *o, size_t size)
{
    size_t needed = o->size + size + sizeof DORA__LINE_CUT;
    size_t capacity = o->capacity < 256 ? 256 : o->capacity;
    char *larger;

    if (needed <= o->capacity)
        return true;
    while (capacity < needed)
        capacity *= 2;
    larger = realloc(o->partial, capacity);
    if (larger == NULL)
        return false;
    o->partial = larger;
    o->capacity = capacity;
    return true;
}

/* Appends to the unfinished line as much as fits. */
static void
keep(struct dora__output *o, const char *bytes, size_t size)
{
    size_t room = DORA__LINE_LIMIT - o->size;
    size_t kept = size < room ? size : room;

    if (o->cut)
        return;
    if (!reserve(o, kept)) {
        o->cut = true; /* no memory: like a line too long */
        return;
    }
    memcpy(o->partial + o->size, bytes, kept);
    o->size += kept;
    o->cut = kept < size;
}

/* The unfinished line is whole. */
static void
finish(struct dora__output *o, dora__line_sink sink, void *arg)
{
    static const char cut[] = DORA__LINE_CUT;

    if (o->cut && reserve(o, 0)) {
        memcpy(o->partial + o->size, cut, sizeof cut - 1);
        o->size += sizeof cut - 1;
    }
    sink(arg, o->size > 0 ? o->partial : "", o->size);
    o->size = 0;
    o->cut = false;
    if (o->capacity > DORA__PIPE_LEAST) { /* one long line: not for ever */
        free(o->partial);
        o->partial = NULL;
        o->capacity = 0;
    }
}

void
dora__output_feed(struct dora__output *o, const char *bytes, size_t size,
                  dora__line_sink sink, void *arg)
{
    const char *end = bytes + size;

    while (bytes < end) {
        const char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
        const char *stop = newline != NULL ? newline : end;
        size_t length = (size_t)(stop - bytes);

        if (newline != NULL && o->size == 0 && !o->cut &&
            length <= DORA__LINE_LIMIT) {
            sink(arg, bytes, length);
        } else {
            keep(o, bytes, length);
            if (newline != NULL)
                finish(o, sink, arg);
        }
        bytes = stop + 1;
    }
}

void
dora__output_flush(struct dora__output *o, dora__line_sink sink, void *arg)
{
    if (o->size > 0 || o->cut)
        finish(o, sink, arg);
}

int
dora__output_read(struct dora__output *o, char *buffer, size_t size,
                  dora__line_sink sink, void *arg)
{
    ssize_t n;

    do
        n = read(o->fd, buffer, size);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return -EAGAIN;
    if (n <= 0) {
        dora__output_flush(o, sink, arg);
        return 0;
    }
    dora__output_feed(o, buffer, (size_t)n, sink, arg);
    return (int)n;
}

void
dora__output_drain(struct dora__output *o, char *buffer, size_t size,
                   dora__line_sink sink, void *arg)
{
    int left = 0;

    if (o->fd >= 0)
        (void)ioctl(o->fd, FIONREAD, &left);
    while (left > 0) {
        size_t some = (size_t)left < size ? (size_t)left : size;
        int n = dora__output_read(o, buffer, some, sink, arg);

        if (n <= 0)
            break;
        left -= n;
    }
    dora__output_flush(o, sink, arg);
}

void
dora__output_close(struct dora__output *o)
{
    if (o->fd >= 0)
        (void)close(o->fd);
    free(o->partial);
    *o = DORA__OUTPUT_NONE;
}
