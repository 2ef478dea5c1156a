/* journal.c - see journal.h. A line is written whole or not at all, and files
 * turn over between lines: who reads them sees JSON on every line. */
#include "journal.h"
#include "logline.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { PENDING_LIMIT = 256 << 10 }; /* bytes gathered before a write */

/* --- the directory ------------------------------------------------------- */

static int
write_all(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, text, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        text += n;
        size -= (size_t)n;
    }
    return 0;
}

static int
make_directory(const char *path)
{
    return mkdir(path, 0777) < 0 && errno != EEXIST ? -errno : 0;
}

/* A new file with that text; `keep`: an existing one stays as it is. */
static int
put_file(const char *path, bool keep, const char *text, size_t size)
{
    int mode = O_WRONLY | O_CREAT | O_CLOEXEC | (keep ? O_EXCL : O_TRUNC);
    DORA_AUTOCLOSE int fd = open(path, mode, 0666);

    if (fd < 0)
        return keep && errno == EEXIST ? 0 : -errno;
    return write_all(fd, text, size);
}

static int
ignore_out(const char *base)
{
    DORA_AUTOFREE char *path = dora__format("%s/out/.gitignore", base);

    return path == NULL ? -ENOMEM : put_file(path, true, "*\n", 2);
}

int
dora__journal_make_out(const char *base)
{
    DORA_AUTOFREE char *out = dora__format("%s/out", base);
    int code = out == NULL ? -ENOMEM : make_directory(out);

    return code < 0 ? code : ignore_out(base);
}

static int
write_run(const char *directory, const struct dora__journal_run *run)
{
    DORA_AUTOFREE char *path = dora__format("%s/run.json", directory);
    struct dora__text t = {0};
    int code;

    dora__text_puts(&t, "{\"id\":");
    dora__text_json(&t, run->id, strlen(run->id));
    dora__text_puts(&t, ",\"file\":");
    dora__text_json(&t, run->file, strlen(run->file));
    dora__text_printf(&t, ",\"pid\":%d,\"started\":\"", (int)getpid());
    dora__text_time(&t, run->started_ns);
    dora__text_printf(&t,
                      "\",\"layout\":%u,\"control_fd\":%d,"
                      "\"version\":\"" DORA_VERSION "\"}\n",
                      run->layout, run->control_fd);
    code = path == NULL || t.failed ? -ENOMEM
                                    : put_file(path, false, t.text, t.size);
    free(t.text);
    return code;
}

int
dora__journal_open(const char *base, const struct dora__journal_run *run,
                   struct dora__journal *ret_journal, struct dora_error *err)
{
    DORA_AUTOFREE char *directory = dora__format("%s/out/%s", base, run->id);
    int code = directory == NULL ? -ENOMEM : dora__journal_make_out(base);

    if (code == 0)
        code = make_directory(directory);
    if (code == 0)
        code = write_run(directory, run);
    if (code < 0)
        return dora__fail(err, -code, "cannot write logs to %s/out: %s", base,
                          strerror(-code));
    ret_journal->directory = directory;
    directory = NULL;
    return 0;
}

void
dora__journal_fini(struct dora__journal *journal)
{
    free(journal->directory);
    journal->directory = NULL;
}

/* --- one node's log ------------------------------------------------------ */

int
dora__journal_file_open(const struct dora__journal *journal, const char *node,
                        uint64_t limit, unsigned rotated,
                        struct dora__journal_file *ret_file,
                        struct dora_error *err)
{
    DORA_AUTOFREE char *path =
        dora__format("%s/log_%s.jsonl", journal->directory, node);
    int fd;

    if (path == NULL)
        return dora__fail(err, ENOMEM, "out of memory");
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0)
        return dora__fail(err, errno, "cannot write %s: %s", path,
                          strerror(errno));
    *ret_file = (struct dora__journal_file){
        .fd = fd, .path = path, .limit = limit, .rotated = rotated};
    path = NULL;
    return 0;
}

static const char *
stream_name(enum dora_stream stream)
{
    return stream == DORA_STREAM_STDOUT   ? "stdout"
           : stream == DORA_STREAM_STDERR ? "stderr"
                                          : "host";
}

bool
dora__journal_add(struct dora__journal_file *file,
                  const struct dora__journal_line *line)
{
    struct dora__text *t = &file->pending;
    size_t before = t->size;

    if (file->fd < 0)
        return false;
    dora__text_puts(t, "{\"ts\":\"");
    dora__text_time(t, line->time_ns);
    dora__text_puts(t, "\",\"level\":\"");
    dora__text_puts(t, dora__level_name(line->level));
    dora__text_puts(t, "\",\"node\":");
    dora__text_json(t, line->node, strlen(line->node));
    dora__text_puts(t, ",\"stream\":\"");
    dora__text_puts(t, stream_name(line->stream));
    dora__text_puts(t, "\",\"msg\":");
    dora__text_json(t, line->text, line->text_size);
    dora__text_puts(t, ",\"target\":");
    if (line->target != NULL)
        dora__text_json(t, line->target, strlen(line->target));
    else
        dora__text_puts(t, "null");
    dora__text_puts(t, ",\"fields\":");
    if (line->fields != NULL)
        dora__text_add(t, line->fields, line->fields_size);
    else
        dora__text_puts(t, "null");
    dora__text_puts(t, "}\n");
    if (t->failed) { /* this line is lost, not those before it */
        t->size = before;
        t->failed = false;
    }
    return t->size >= PENDING_LIMIT;
}

/* log_x.jsonl becomes log_x.1.jsonl, that log_x.2.jsonl, and so on. */
static int
turn_over(struct dora__journal_file *file)
{
    size_t stem = strlen(file->path) - strlen(".jsonl");
    int fd;

    for (unsigned i = file->rotated; i > 0; i--) {
        DORA_AUTOFREE char *to =
            dora__format("%.*s.%u.jsonl", (int)stem, file->path, i);
        DORA_AUTOFREE char *from =
            i > 1 ? dora__format("%.*s.%u.jsonl", (int)stem, file->path, i - 1)
                  : strdup(file->path);

        if (to != NULL && from != NULL)
            (void)rename(from, to); /* not there yet: nothing to move */
    }
    fd = open(file->path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC,
              0666);
    if (fd < 0)
        return -errno;
    (void)close(file->fd);
    file->fd = fd;
    file->size = 0;
    return 0;
}

int
dora__journal_flush(struct dora__journal_file *file)
{
    const char *at = file->pending.text;
    size_t left = file->pending.size;
    int code = 0;

    while (left > 0 && code == 0) {
        size_t some = left;

        if (file->limit > 0) { /* one line at a time decides */
            some = (size_t)((char *)memchr(at, '\n', left) - at) + 1;
            if (file->size > 0 && file->size + some > file->limit)
                code = turn_over(file);
        }
        if (code == 0)
            code = write_all(file->fd, at, some);
        file->size += some;
        at += some;
        left -= some;
    }
    file->pending.size = 0;
    return code;
}

void
dora__journal_file_close(struct dora__journal_file *file)
{
    if (file->fd >= 0) {
        (void)dora__journal_flush(file);
        (void)close(file->fd);
    }
    free(file->path);
    free(file->pending.text);
    *file = DORA__JOURNAL_FILE_NONE;
}
