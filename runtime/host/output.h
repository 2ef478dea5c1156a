/* output.h - a pipe that a node writes to, as lines. */
#ifndef DORA_OUTPUT_H
#define DORA_OUTPUT_H

#include "base.h"

enum {
    DORA__LINE_LIMIT = 1 << 20, /* bytes; the rest of a longer line is cut */
    DORA__PIPE_LEAST = 1 << 16, /* what the kernel gives */
    DORA__PIPE_MOST = 1 << 20,
};

#define DORA__LINE_CUT "[truncated]" /* ends a line that was cut */

/* `text` has no newline, may hold any other byte; borrowed for the call. */
typedef void (*dora__line_sink)(void *arg, const char *text, size_t size);

struct dora__output {
    int fd;        /* reading end, non-blocking; -1: closed */
    char *partial; /* a line whose end has not come yet */
    size_t size, capacity;
    bool cut; /* the rest of this line is dropped */
};

#define DORA__OUTPUT_NONE ((struct dora__output){.fd = -1})

/* Makes a pipe of about `pipe_size` bytes; the writing end is the caller's. */
DORA_MUST_CHECK
int dora__output_open(struct dora__output *output, size_t pipe_size,
                      int *ret_write_fd);

/* Reads once, through the caller's buffer. The number of bytes; 0: the end,
 * and the last line was given out even without a newline. -EAGAIN. */
DORA_MUST_CHECK
int dora__output_read(struct dora__output *output, char *buffer, size_t size,
                      dora__line_sink sink, void *arg);
/* Reads what lies in the pipe now, no more however much is added, and gives
 * out the last line: what a dead writer wrote is complete then. */
void dora__output_drain(struct dora__output *output, char *buffer, size_t size,
                        dora__line_sink sink, void *arg);
/* What was read, as lines. */
void dora__output_feed(struct dora__output *output, const char *bytes,
                       size_t size, dora__line_sink sink, void *arg);
/* Gives out the unfinished line, if there is one. */
void dora__output_flush(struct dora__output *output, dora__line_sink sink,
                        void *arg);
void dora__output_close(struct dora__output *output);

#endif
