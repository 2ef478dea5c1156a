/* print_screen.c - lines on the terminal, or wherever standard output goes.
 *
 * What it keeps true:
 *   1. Nobody waits for the terminal: text is put into a queue of at most
 *      QUEUE_LIMIT bytes. What does not fit is counted, and the count is said
 *      where the lines would have been.
 *   2. Lines of standard output and standard error keep their order among each
 *      other.
 *   3. Only the thread of the screen writes. When the reader of standard output
 *      has gone, the one who runs the dataflow is told, once.
 *
 * The queue is two buffers: one is filled while the other is written. A buffer
 * is text and the pieces it consists of, one for each change of direction, so
 * that a burst of lines is one write. Of a flood, a millisecond is: waking the
 * thread for each line would cost more than all else. */
#include "print.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

enum { QUEUE_LIMIT = 8 << 20, SAID_LIMIT = 4096 };
enum { PACE = 1000000 }; /* ns between two writes of a flood */

struct piece {
    int fd;
    size_t size;
};

struct buffer {
    struct dora__text text;
    struct piece *pieces;
    size_t count, capacity;
};

struct screen {
    enum dora_level level;
    int wake;
    pthread_t thread;

    pthread_mutex_t lock; /* for all below */
    pthread_cond_t work;  /* something to write, or the end */
    pthread_cond_t done;  /* something was written */
    struct buffer fill;
    char *logs;
    size_t skipped;
    uint64_t written; /* bytes, ever */
    bool held, closing, ended, gone;
    bool abandoned; /* nobody waits for the thread: the screen is its own */

    struct print_look look; /* of the sink's thread only */
};

/* --- the queue ------------------------------------------------------------ */

/* Appends to the buffer; false: no memory, and nothing is changed. */
static bool
buffer_add(struct buffer *buffer, int fd, const char *text, size_t size)
{
    struct piece *last = buffer->pieces + buffer->count;

    if (buffer->count && last[-1].fd == fd) {
        dora__text_add(&buffer->text, text, size);
        if (buffer->text.failed)
            return false;
        last[-1].size += size;
        return true;
    }
    if (buffer->count == buffer->capacity) {
        size_t capacity = buffer->capacity ? 2 * buffer->capacity : 16;

        last = realloc(buffer->pieces, capacity * sizeof *last);
        if (!last)
            return false;
        buffer->pieces = last;
        buffer->capacity = capacity;
        last += buffer->count;
    }
    dora__text_add(&buffer->text, text, size);
    if (buffer->text.failed)
        return false;
    *last = (struct piece){fd, size};
    buffer->count++;
    return true;
}

static void
buffer_clear(struct buffer *buffer)
{
    buffer->text.size = 0;
    buffer->text.failed = false;
    buffer->count = 0;
}

static void
buffer_fini(struct buffer *buffer)
{
    free(buffer->text.text);
    free(buffer->pieces);
}

/* Says what is missing, if something is, and there is room for that again. */
static void
admit_skipped(struct screen *screen)
{
    char text[SAID_LIMIT];
    int size;

    if (!screen->skipped)
        return;
    size =
        snprintf(text, sizeof text,
                 "dora-run: %zu lines not shown: the reader is too slow%s%s\n",
                 screen->skipped, screen->logs ? "; all of them are in " : "",
                 screen->logs ? screen->logs : "");
    if (size < (int)sizeof text &&
        buffer_add(&screen->fill, STDERR_FILENO, text, (size_t)size))
        screen->skipped = 0;
}

static void
enqueue(struct screen *screen, int fd, const char *text, size_t size)
{
    bool first;

    (void)pthread_mutex_lock(&screen->lock);
    first = !screen->fill.count;
    if (first)
        buffer_clear(&screen->fill);
    if (screen->fill.text.size + size > QUEUE_LIMIT ||
        screen->fill.text.failed) {
        screen->skipped++;
    } else {
        admit_skipped(screen);
        if (!buffer_add(&screen->fill, fd, text, size))
            screen->skipped++;
    }
    if (first)
        (void)pthread_cond_signal(&screen->work);
    (void)pthread_mutex_unlock(&screen->lock);
}

/* --- the thread ----------------------------------------------------------- */

static void
count_written(struct screen *screen, size_t size)
{
    (void)pthread_mutex_lock(&screen->lock);
    screen->written += size;
    (void)pthread_cond_signal(&screen->done);
    (void)pthread_mutex_unlock(&screen->lock);
}

/* Standard output takes no more. That ends the dataflow if it is for want of a
 * reader; a full disk is no reason to stop what runs. */
static void
lose_output(struct screen *screen, int error)
{
    if (error != -EPIPE && error != -EIO) {
        screen_say(screen, "standard output: %s: lines are no longer shown",
                   strerrordesc_np(-error));
        return;
    }
    (void)pthread_mutex_lock(&screen->lock);
    screen->gone = true;
    (void)pthread_mutex_unlock(&screen->lock);
    (void)eventfd_write(screen->wake, 1);
}

/* 0, or -errno: the descriptor takes no more. */
static int
write_all(struct screen *screen, int fd, const char *text, size_t size)
{
    while (size) {
        ssize_t got = write(fd, text, size);

        if (got < 0 && errno == EAGAIN) {
            struct pollfd ready = {.fd = fd, .events = POLLOUT};

            (void)poll(&ready, 1, -1);
        } else if (got < 0 && errno != EINTR) {
            return -errno;
        } else if (got > 0) {
            text += got;
            size -= (size_t)got;
            count_written(screen, (size_t)got);
        }
    }
    return 0;
}

static void
write_buffer(struct screen *screen, const struct buffer *buffer, bool *dead)
{
    const char *text = buffer->text.text;

    for (size_t i = 0; i < buffer->count; i++) {
        const struct piece *piece = &buffer->pieces[i];

        int result = dead[piece->fd]
                         ? 0
                         : write_all(screen, piece->fd, text, piece->size);

        if (result < 0) {
            dead[piece->fd] = true;
            if (piece->fd == STDOUT_FILENO)
                lose_output(screen, result);
        }
        text += piece->size;
    }
}

/* Lets lines gather when the last write was just now. */
static void
pace(int64_t *written_at)
{
    static const struct timespec some = {0, PACE};
    int64_t now = dora__now();

    if (now - *written_at < PACE)
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &some, NULL);
    *written_at = now;
}

static void
screen_free(struct screen *screen)
{
    (void)pthread_cond_destroy(&screen->work);
    (void)pthread_cond_destroy(&screen->done);
    (void)pthread_mutex_destroy(&screen->lock);
    buffer_fini(&screen->fill);
    free(screen->logs);
    free(screen);
}

static void *
drain(void *arg)
{
    struct screen *screen = arg;
    struct buffer out = {0};
    bool dead[STDERR_FILENO + 1] = {false}, abandoned;
    int64_t written_at = 0;

    (void)pthread_mutex_lock(&screen->lock);
    for (;;) {
        struct buffer filled;

        while ((!screen->fill.count || screen->held) && !screen->closing)
            (void)pthread_cond_wait(&screen->work, &screen->lock);
        if (!screen->fill.count)
            admit_skipped(screen);
        if (!screen->fill.count)
            break;
        filled = screen->fill;
        screen->fill = out;
        out = filled;
        (void)pthread_mutex_unlock(&screen->lock);
        write_buffer(screen, &out, dead);
        buffer_clear(&out);
        pace(&written_at);
        (void)pthread_mutex_lock(&screen->lock);
    }
    screen->ended = true;
    abandoned = screen->abandoned;
    (void)pthread_cond_signal(&screen->done);
    (void)pthread_mutex_unlock(&screen->lock);
    buffer_fini(&out);
    if (abandoned)
        screen_free(screen);
    return NULL;
}

/* --- what is shown -------------------------------------------------------- */

void
screen_log(void *arg, const struct dora_log_record *record)
{
    struct screen *screen = arg;
    struct dora__text line = {0};

    if (record->level > screen->level)
        return;
    print_line(&screen->look, record, &line);
    if (!line.failed)
        enqueue(screen, record->node ? STDOUT_FILENO : STDERR_FILENO, line.text,
                line.size);
    free(line.text);
}

void
screen_write(struct screen *screen, const char *text, size_t size)
{
    enqueue(screen, STDERR_FILENO, text, size);
}

void
screen_say(struct screen *screen, const char *format, ...)
{
    char text[SAID_LIMIT];
    int size = snprintf(text, sizeof text, "dora-run: ");
    int limit = (int)sizeof text - 1, more;
    va_list args;

    va_start(args, format);
    more = vsnprintf(text + size, (size_t)(limit - size), format, args);
    va_end(args);
    if (more < 0)
        return;
    size = more < limit - size ? size + more : limit - 1;
    text[size++] = '\n';
    enqueue(screen, STDERR_FILENO, text, (size_t)size);
}

/* --- beginning and end ---------------------------------------------------- */

bool
print_colours(int fd)
{
    const char *none = getenv("NO_COLOR"), *term = getenv("TERM");

    return isatty(fd) && !(none && *none) && term && strcmp(term, "dumb") != 0;
}

int
screen_open(enum dora_level level, int wake, struct screen **ret_screen,
            struct dora_error *err)
{
    struct screen *screen = calloc(1, sizeof *screen);
    pthread_condattr_t monotonic;
    int result;

    if (!screen)
        return dora__fail(err, ENOMEM, "out of memory");
    screen->level = level;
    screen->look.colours = print_colours(STDOUT_FILENO);
    screen->wake = wake;
    (void)pthread_mutex_init(&screen->lock, NULL);
    (void)pthread_cond_init(&screen->work, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&screen->done, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    result = pthread_create(&screen->thread, NULL, drain, screen);
    if (result) {
        free(screen);
        return dora__fail(err, result, "cannot start a thread: %s",
                          strerrordesc_np(result));
    }
    *ret_screen = screen;
    return 0;
}

void
screen_set_logs(struct screen *screen, const char *directory)
{
    (void)pthread_mutex_lock(&screen->lock);
    free(screen->logs);
    screen->logs = directory ? strdup(directory) : NULL;
    (void)pthread_mutex_unlock(&screen->lock);
}

void
screen_hold(struct screen *screen, bool hold)
{
    (void)pthread_mutex_lock(&screen->lock);
    screen->held = hold;
    (void)pthread_cond_signal(&screen->work);
    (void)pthread_mutex_unlock(&screen->lock);
}

bool
screen_gone(struct screen *screen)
{
    bool gone;

    (void)pthread_mutex_lock(&screen->lock);
    gone = screen->gone;
    (void)pthread_mutex_unlock(&screen->lock);
    return gone;
}

/* Whether all was written before nothing moved for so long. */
static bool
wait_drained(struct screen *screen, int64_t patience_ns)
{
    uint64_t seen = screen->written;
    int64_t deadline = dora__now() + patience_ns;

    while (!screen->ended) {
        struct timespec until = {
            .tv_sec = (time_t)(deadline / 1000000000),
            .tv_nsec = (long)(deadline % 1000000000),
        };

        if (pthread_cond_timedwait(&screen->done, &screen->lock, &until) ==
                ETIMEDOUT &&
            screen->written == seen)
            return false;
        if (screen->written != seen) {
            seen = screen->written;
            deadline = dora__now() + patience_ns;
        }
    }
    return true;
}

void
screen_close(struct screen *screen, int64_t patience_ns)
{
    bool drained;

    (void)pthread_mutex_lock(&screen->lock);
    screen->closing = true;
    (void)pthread_cond_signal(&screen->work);
    drained = wait_drained(screen, patience_ns);
    if (!drained) {
        /* It hangs in a write that may never return. */
        screen->abandoned = true;
        (void)pthread_detach(screen->thread);
    }
    (void)pthread_mutex_unlock(&screen->lock);
    if (!drained)
        return;
    (void)pthread_join(screen->thread, NULL);
    screen_free(screen);
}
