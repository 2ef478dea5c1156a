/* journal.h - what a run leaves behind: out/<id>/ beside its dataflow file,
 * with log_<node>.jsonl per node and run.json, which says who runs it. */
#ifndef DORA_JOURNAL_H
#define DORA_JOURNAL_H

#include "base.h"

struct dora__journal {
    char *directory; /* absolute, out/<id>; NULL: none is written */
};

/* What run.json says. Borrowed. */
struct dora__journal_run {
    const char *id;
    const char *file;
    int64_t started_ns; /* CLOCK_REALTIME */
    unsigned layout;    /* version of the shared memory */
    int control_fd;     /* /proc/<pid>/fd/<this> is the dataflow's control */
};

/* Makes `base`/out, which version control is told to ignore. */
DORA_MUST_CHECK
int dora__journal_make_out(const char *base);
/* Makes `base`/out/<id>, out/.gitignore and run.json. */
int dora__journal_open(const char *base, const struct dora__journal_run *run,
                       struct dora__journal *ret_journal,
                       struct dora_error *err);
void dora__journal_fini(struct dora__journal *journal);

/* The log of one node. Lines are gathered and written by flush. */
struct dora__journal_file {
    int fd; /* -1: none */
    char *path;
    struct dora__text pending;
    uint64_t size;    /* of the file */
    uint64_t limit;   /* 0: no rotation */
    unsigned rotated; /* files kept besides */
};

#define DORA__JOURNAL_FILE_NONE ((struct dora__journal_file){.fd = -1})

/* One line; strings are borrowed. */
struct dora__journal_line {
    int64_t time_ns;
    enum dora_level level;
    enum dora_stream stream;
    const char *node;
    const char *text;
    size_t text_size;
    const char *target; /* NULL: null */
    const char *fields; /* JSON; NULL: null */
    size_t fields_size;
};

DORA_MUST_CHECK
int dora__journal_file_open(const struct dora__journal *journal,
                            const char *node, uint64_t limit, unsigned rotated,
                            struct dora__journal_file *ret_file,
                            struct dora_error *err);
/* Whether enough was gathered that it should be flushed now. */
bool dora__journal_add(struct dora__journal_file *file,
                       const struct dora__journal_line *line);
/* 0, or why what was gathered is lost. */
int dora__journal_flush(struct dora__journal_file *file);
/* Flushes. */
void dora__journal_file_close(struct dora__journal_file *file);

#endif
