/* print.h - what a person sees of a run: the lines of its nodes while it runs,
 * how it ended, and the report.
 *
 * A screen never lets anybody wait: who writes to it puts the text into a
 * bounded queue, which a thread of its own drains. */
#ifndef DORA_PRINT_H
#define DORA_PRINT_H

#include "base.h"

/* --- a line --------------------------------------------------------------- */

/* How lines look, and the second of the last one as text. Zero to begin. */
struct print_look {
    bool colours;
    time_t second;
    char clock[16];
};

/* Appends it, with its newline. */
void print_line(struct print_look *look, const struct dora_log_record *record,
                struct dora__text *line);

/* --- while it runs -------------------------------------------------------- */

struct screen;

/* `level`: what is shown; `wake` (an eventfd, kept for ever) is written when
 * standard output is gone. */
DORA_MUST_CHECK
int screen_open(enum dora_level level, int wake, struct screen **ret_screen,
                struct dora_error *err);
/* Where all the text is, to be named when lines had to be skipped. */
void screen_set_logs(struct screen *screen, const char *directory);
/* A dora_log_sink; arg is the screen. */
void screen_log(void *screen, const struct dora_log_record *record);
/* A line of dora-run itself, on standard error, in order with the others. */
DORA_PRINTF(2, 3)
void screen_say(struct screen *screen, const char *format, ...);
/* Text as it is, on standard error. */
void screen_write(struct screen *screen, const char *text, size_t size);
/* Nothing is written until it is let go again, or closed: somebody else uses
 * the terminal. */
void screen_hold(struct screen *screen, bool hold);
/* Whether nobody reads standard output any more. */
bool screen_gone(struct screen *screen);
/* Waits until everything is written, as long as somebody takes it; `patience`
 * is for how long nothing may move. The end of the screen. */
void screen_close(struct screen *screen, int64_t patience_ns);

/* --- the last words of nodes ---------------------------------------------- */

/* What each node wrote to standard error at last. */
struct words;

DORA_MUST_CHECK
int words_new(struct words **ret_words);
void words_free(struct words *words);
void words_hear(struct words *words, const struct dora_log_record *record);
/* Appends what tells most, each line indented: from the last traceback on, else
 * the last few lines. Whether there was any. */
bool words_tail(const struct words *words, const char *node,
                struct dora__text *out);
/* What the runtime said last of the node's failure; NULL: nothing. Borrowed. */
const char *words_verdict(const struct words *words, const char *node);

/* --- how it ended --------------------------------------------------------- */

/* How a run went, besides what its dataflow knows. */
struct run {
    const char *file;
    const char *stopped_by; /* "SIGINT", "--stop-after", ...; NULL: nobody */
    int64_t started_ns;     /* CLOCK_REALTIME */
    int64_t duration_ns;
    int status;
};

/* "exited with code 3", for a node that has ended. */
void print_exit(const struct dora_node_stats *stats, struct dora__text *out);
/* The [ERROR] block: which nodes failed and their last words. */
void print_failure(struct dora_dataflow *flow, const struct words *words,
                   struct dora__text *out);
/* Duration, nodes, edges that lost something or were never read. */
void print_summary(struct dora_dataflow *flow, const struct run *run,
                   struct dora__text *out);
/* JSON, for --report. */
void print_report(struct dora_dataflow *flow, const struct run *run,
                  struct dora__text *out);
/* "1.25 s", "3 min 20 s" */
void print_duration(int64_t ns, struct dora__text *out);

/* --- complaints about a file ---------------------------------------------- */

/* Collects what a dora_problem_sink is told. Zero to begin. */
struct problems {
    struct problem *items;
    size_t count, errors;
    bool failed; /* memory ran out: some are missing */
};

void problems_add(void *problems, const struct dora_problem *problem);
/* All of them in order of their place, on standard error; on a terminal with
 * the line they speak of. */
void problems_print(struct problems *problems);
void problems_fini(struct problems *problems);

/* Whether colours are wanted on that descriptor. */
bool print_colours(int fd);

#endif
