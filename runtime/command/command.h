/* command.h - what dora-run was asked to do, and the doing of it. */
#ifndef DORA_COMMAND_H
#define DORA_COMMAND_H

#include "base.h"

/* Exit statuses of the program; a third Ctrl-C aborts it (134). */
enum { STATUS_OK = 0, STATUS_FAILED = 1, STATUS_USAGE = 2 };

enum verb {
    VERB_RUN,
    VERB_CHECK,
    VERB_GRAPH,
    VERB_NODE,
    VERB_LOGS,
    VERB_BUILD,
    VERB_HELP,
    VERB_VERSION,
};

/* The command line, taken apart. Strings are those of argv but for `python` and
 * `libexec`, which are new. Release with command_fini. */
struct command {
    enum verb verb;
    const char *file;
    const char *node, *run;        /* of VERB_NODE and VERB_LOGS */
    bool follow;                   /* of VERB_LOGS */
    const char **script;           /* the same: with its arguments */
    const char *report;            /* NULL: none */
    int64_t stop_after_ns;         /* -1: never */
    int64_t grace_ns;              /* of a stop; 0: as usual */
    enum dora_level log_level;     /* what is shown */
    const char **isolation, **env; /* NULL-terminated, or NULL */
    char *python, *libexec;
    bool allow_shell, uv, no_build;
    int exit_when_nodes_finish;
};

/* STATUS_OK, or STATUS_USAGE with one line in *err. */
int command_parse(int argc, char **argv, struct command *ret_command,
                  struct dora_error *err);
void command_fini(struct command *command);

/* "30", "10s", "500ms", "5m", "1h30m" in ns; -EINVAL. */
int command_duration(const char *text, int64_t *ret_ns);

/* Options for the library, borrowing from `command`. */
struct dora_options command_options(const struct command *command);

/* The whole text of --help; the two lines printed when nothing is asked. */
extern const char command_help[];
extern const char command_usage[];

/* Loads the file and prints what is wrong with it. An exit status. */
int command_load(const struct command *command,
                 const struct dora_options *options,
                 struct dora_dataflow **ret_flow);

/* Each is one verb and returns the exit status. */
int command_run(const struct command *command);
int command_check(const struct command *command);
int command_graph(const struct command *command);
int command_node(const struct command *command);
int command_build(const struct command *command);
int command_logs(const struct command *command);
int command_version(const struct command *command);

/* The terminal, for the debuggers of nodes. `screen` is kept. */
struct screen;
struct terminal;

DORA_MUST_CHECK
int terminal_new(struct screen *screen, struct terminal **ret_terminal);
void terminal_free(struct terminal *terminal);
/* The library's `terminal`; arg is one. */
bool terminal_lend(void *terminal, bool take);

/* What is said while a dataflow runs: whom it waits for, and who loses
 * messages. Times are dora__now(). */
struct watch;

/* `flow` and `screen` are kept. */
DORA_MUST_CHECK
int watch_new(struct dora_dataflow *flow, struct screen *screen, int64_t now,
              struct watch **ret_watch);
void watch_free(struct watch *watch);
/* From now on the nodes are to end. */
void watch_stopping(struct watch *watch, int64_t now);
/* Looks if it is time to, and returns when it will be again. */
int64_t watch_look(struct watch *watch, int64_t now);

#endif
