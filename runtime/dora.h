/* dora.h - run a dataflow of nodes inside a C program.
 *
 * A dataflow is a YAML file: nodes, and which output feeds which input. Nodes
 * run as processes (Python scripts, executables), as interpreters of their own
 * inside the embedding program, the host, or as its C functions. Payloads lie
 * in memory that the host owns and maps into every node: sending is a queue
 * push, whatever the size.
 *
 *     struct dora_error err;
 *     struct dora_options options = { .size = sizeof options };
 *     struct dora_dataflow *flow = NULL;
 *
 *     if (dora_dataflow_load_file("flow.yml", &options, &flow, &err) < 0 ||
 *         dora_dataflow_start(flow, &err) < 0 ||
 *         dora_dataflow_wait(flow, -1, &err) < 0)
 *         fprintf(stderr, "%s\n", err.text);
 *     dora_dataflow_free(flow);
 *
 * examples/embed.c is a whole host. In order below: the log; loading, starting
 * and ending a dataflow; what it is and does; being one of its nodes; metadata.
 *
 * Rules that hold for every function:
 *   - int results are 0 or a count, else a negative errno value. A `struct
 *     dora_error *`, where taken, may be NULL; on failure it holds one line for
 *     a person.
 *   - ret_ parameters are written on success only.
 *   - Pointers are *borrowed* (for the call, or while what is named lives),
 *     *kept* (must outlive what is named), or *new* (the caller frees it with
 *     what is named).
 *   - Text is UTF-8 and terminated, unless a size goes with it. Times are in
 *     nanoseconds, sizes in bytes, unless a name says otherwise.
 *   - The library never prints, exits, installs a signal handler, changes
 *     directory or environment, or waits for a process it did not create. All
 *     state is per dataflow. One exception: a Python node inside the host that
 *     does not stop in its grace is interrupted by SIGRTMAX - 3, for which a
 *     handler is then installed if nobody has one. */
#ifndef DORA_H
#define DORA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DORA_API __attribute__((visibility("default")))
#define DORA_VERSION "0.1.0"

/* One line of text: what went wrong, where (file:line:column or node), what
 * was expected, what to do. Always terminated. */
struct dora_error {
    char text[1024];
};

/* --- logging ----------------------------------------------------------- */

enum dora_level {
    DORA_LEVEL_ERROR = 1,
    DORA_LEVEL_WARN,
    DORA_LEVEL_INFO,
    DORA_LEVEL_DEBUG,
    DORA_LEVEL_TRACE,
    DORA_LEVEL_STDOUT, /* a raw line of a node's output: no level of its own */
};

enum dora_stream {
    DORA_STREAM_HOST,   /* the runtime speaks */
    DORA_STREAM_STDOUT, /* a node's standard output */
    DORA_STREAM_STDERR,
};

/* One line. Strings are borrowed for the call. */
struct dora_log_record {
    int64_t time_ns; /* CLOCK_REALTIME */
    enum dora_level level;
    enum dora_stream stream;
    const char *node;   /* NULL: the runtime itself */
    const char *target; /* the logger's name, or NULL */
    const char *text;   /* not terminated; any byte but newline */
    size_t text_size;
};

/* Called from the dataflow's supervisor thread, one record at a time. It must
 * not block for long: nodes' pipes are read by the same thread. */
typedef void (*dora_log_sink)(void *arg, const struct dora_log_record *record);

/* One complaint about a dataflow file. `line` and `column` count from 1; 0:
 * the file as a whole. Strings are borrowed for the call. */
struct dora_problem {
    bool warning; /* the dataflow can run all the same */
    const char *file;
    unsigned line, column;
    const char *text; /* one line, without the place */
};
typedef void (*dora_problem_sink)(void *arg,
                                  const struct dora_problem *problem);

/* --- dataflows --------------------------------------------------------- */

/* A way to run nodes given by `path:`. `dora_python` (libdora-python) is one;
 * paths that no kind claims are run as plain executables. */
struct dora_kind;
extern DORA_API const struct dora_kind dora_python;

/* The Pythons that nodes can run on, in order of preference, one per line:
 * "3.13.0<TAB>/usr/bin/python3.13<TAB>/usr/libexec/.../dora-python", and
 * "<TAB>inside" after the one that runs nodes inside the host. `libexec` is the
 * directory of the helper programs. New text, freed with free(). */
DORA_API int dora_python_builds(const char *libexec, char **ret_text,
                                struct dora_error *err);

/* Version of the layout of shared memory: host and nodes must agree on it. */
DORA_API unsigned dora_layout_version(void);

/* Zeroed fields mean the default. Everything pointed to is kept until
 * dora_dataflow_free. `log` and `terminal` are called from the dataflow's own
 * thread, the others by who loads or builds. */
struct dora_options {
    size_t size; /* sizeof(struct dora_options): lets the struct grow */

    /* Ways to run nodes, NULL-terminated, asked in order; default: executables
     * only. */
    const struct dora_kind *const *kinds;
    const char *libexec;   /* directory of the helper programs; default: as
                              installed */
    const char *directory; /* base of relative paths of a dataflow given as a
                              string; default: the current directory */
    const char *python;    /* interpreter for Python nodes that name none */
    /* "node=tier", NULL-terminated: over what the file says. */
    const char *const *isolation;

    dora_log_sink log; /* default: lines go to the files of out/<id> only */
    void *log_arg;
    dora_problem_sink problem; /* gets every error and warning of the file */
    void *problem_arg;

    /* "K=V" for every node, NULL-terminated: over the file's `env`, under that
     * of a node. */
    const char *const *env;
    bool allow_shell; /* run `path: shell` nodes */
    bool no_files;    /* write no out/<id> */
    /* 0: as the file says; 1: yes; -1: no. */
    int exit_when_nodes_finish;

    /* A node's debugger wants the terminal (`take`), or is done with it.
     * Whether it may have it: then nobody else uses it. */
    bool (*terminal)(void *arg, bool take);
    void *terminal_arg;
    /* Once a Python runs in this process, catch SIGSEGV and its like: standard
     * error gets the name of the node that crashed, and where, before the
     * process dies of it. */
    bool say_faults;
    /* `isolation: auto`, which is the file's default, may run a Python node
     * inside this process; else only those do that ask by `isolation:
     * interpreter`. */
    bool auto_inside;

    /* dora_dataflow_stop to SIGTERM, or to an exception in nodes inside this
     * process; default: 10 s; -1: for ever. */
    int64_t stop_grace_ns;
    /* That to SIGKILL, or to giving up the node's thread; default: half of
     * stop_grace_ns; -1: for ever. */
    int64_t term_grace_ns;

    /* Asked about ten times a second while dora_build_file works: true ends
     * it, with -ECANCELED. */
    bool (*stop)(void *arg);
    void *stop_arg;
};

struct dora_dataflow;

/* Reads and checks a dataflow; starts nothing. `options` itself is borrowed;
 * NULL: all defaults. -EINVAL: the file is wrong; `problem` was told each
 * reason and *err holds the first. New, freed with dora_dataflow_free. */
DORA_API int dora_dataflow_load_file(const char *path,
                                     const struct dora_options *options,
                                     struct dora_dataflow **ret_flow,
                                     struct dora_error *err);
/* The same for text in memory (borrowed); `name` stands for the file in
 * messages. */
DORA_API int dora_dataflow_load_string(const char *text, size_t text_size,
                                       const char *name,
                                       const struct dora_options *options,
                                       struct dora_dataflow **ret_flow,
                                       struct dora_error *err);

/* How `build` is run. */
enum {
    DORA_BUILD_AGAIN = 1, /* also where nothing has changed since it succeeded;
                             branches and tags are looked up anew */
    DORA_BUILD_UV = 2,    /* `pip` is `uv pip` */
};

/* Makes the files of a dataflow ready, to be called before it is loaded: clones
 * what its nodes name by `git` and is not there yet, then runs their `build`
 * lines, one command after the other. `options` (borrowed, or NULL) are those
 * of the load; what git and the commands print goes to their `log`. Lines that
 * have succeeded run again when they, the node's clone, its interpreter or its
 * environment have changed; requirements that are met are not asked of pip.
 * -ECANCELED: git or a command failed. */
DORA_API int dora_build_file(const char *path,
                             const struct dora_options *options, unsigned flags,
                             struct dora_error *err);

struct dora_node;

/* The body of a node that is a C function: runs on a thread of its own, is
 * over when it returns. 0 is success; anything else a failure of the node.
 * Return soon after dora_node_next says -EPIPE. */
typedef int (*dora_node_body)(struct dora_node *node, void *arg);

/* Lets `body` be the node `id`, which the file declares with `path: callback`;
 * each of those needs one. Before start only. `arg` is kept until the node has
 * ended. -ENOENT: no such node; -EINVAL: its path is another. */
DORA_API int dora_dataflow_set_callback(struct dora_dataflow *flow,
                                        const char *id, dora_node_body body,
                                        void *arg, struct dora_error *err);

/* Creates memory and queues, starts all nodes, returns without waiting for
 * them. On failure nothing is left running. Once per dataflow: -EALREADY. */
DORA_API int dora_dataflow_start(struct dora_dataflow *flow,
                                 struct dora_error *err);

/* Asks every node to stop: at once by its event stream, by signals after the
 * graces. Any thread, any number of times, also from a signal handler, from the
 * body of a node or a log sink, before start and after the end. In a forked
 * child of who started the dataflow it has no effect, nor have kill and free;
 * nothing else on the dataflow may be called there. */
DORA_API void dora_dataflow_stop(struct dora_dataflow *flow);
/* The same without graces: processes are killed. */
DORA_API void dora_dataflow_kill(struct dora_dataflow *flow);

/* Waits until every node has ended, at most `timeout_ns` (-1: for ever).
 * 0: all succeeded. -ETIMEDOUT: still running. -ECANCELED: some node failed;
 * *err names the first one. -ECHILD: this is a fork of who started it. */
DORA_API int dora_dataflow_wait(struct dora_dataflow *flow, int64_t timeout_ns,
                                struct dora_error *err);

/* Kills what still runs and frees everything. NULL is allowed. */
DORA_API void dora_dataflow_free(struct dora_dataflow *flow);

/* --- being a `path: dynamic` node ---------------------------------------- */

/* Zeroed fields mean the default. */
struct dora_attach_options {
    size_t size; /* sizeof(struct dora_attach_options) */
    const struct dora_kind *const *kinds; /* NULL-terminated, asked in order */
    const char *libexec;                  /* directory of the helper programs */
    const char *python;                   /* interpreter of the script */
    const char *node;                     /* id of the node */
    const char *run; /* which dataflow: its file, a directory of such, or the id
                        of the run; default: the current directory */
    const char *const *argv; /* script and arguments, NULL-terminated */
};

/* Makes the script the dynamic node of a dataflow that another process runs,
 * as the same user: executes it in place of the calling program, with its
 * descriptors, directory and environment. Returns only on failure. */
DORA_API int dora_attach(const struct dora_attach_options *options,
                         struct dora_error *err);

/* --- what a dataflow is and does ---------------------------------------- */

/* The id of this run, as in out/<id>. Borrowed from the flow. */
DORA_API const char *dora_dataflow_id(const struct dora_dataflow *flow);
/* Absolute out/<id> directory, or NULL when none is written. Borrowed. */
DORA_API const char *
dora_dataflow_log_directory(const struct dora_dataflow *flow);

enum dora_node_phase {
    DORA_NODE_PLANNED,  /* not started */
    DORA_NODE_STARTING, /* runs, has not joined the dataflow yet */
    DORA_NODE_RUNNING,
    DORA_NODE_ENDED,
};

/* How a node ended. */
enum dora_exit {
    DORA_EXIT_NONE,        /* it has not */
    DORA_EXIT_SUCCESS,     /* code 0, or our own stop signal */
    DORA_EXIT_CODE,        /* another code: in exit_code */
    DORA_EXIT_SIGNAL,      /* a signal not of ours: in exit_code */
    DORA_EXIT_GRACE,       /* killed: did not stop in time */
    DORA_EXIT_NOT_STARTED, /* could not be executed, or was not reached */
    DORA_EXIT_CONSEQUENCE, /* gave up because the dataflow did not start */
    DORA_EXIT_HUNG,        /* killed: did nothing for health_check_timeout,
                              or did not join in startup_timeout */
    DORA_EXIT_ATTACHED,    /* `path: dynamic`: was attached exit_code times; how
                              those processes ended is their own affair */
    DORA_EXIT_LOST,        /* killed with dora-guardian, its parent */
};

/* Strings are borrowed from the flow. */
struct dora_node_stats {
    const char *id;
    const char *kind;        /* "python", "operator", "executable", "callback",
                                "dynamic" */
    const char *tier;        /* "process", "interpreter" (a Python of its own
                                inside the host), "host" (a C function) */
    const char *interpreter; /* what runs it, for a person */
    const char *reason;      /* why this tier and interpreter */
    enum dora_node_phase phase;
    enum dora_exit exit;
    int exit_code;
    int pid; /* 0: none */
    unsigned restarts;
    int64_t user_ns, system_ns;
    int64_t voluntary_switches, involuntary_switches;
    uint64_t heap_used, heap_peak, heap_backed, heap_limit;
    uint64_t copied_bytes; /* payload bytes copied by the runtime */
    bool stays; /* threads of it still run in this process, and can no longer
                   be ended: leave it by _exit */
    const char *git; /* what it runs of which repository, and where, for a
                        person; NULL: it names none */
};

/* Per edge, at any instant: sent = delivered + dropped + queued. What a node
 * prints and what it sends on one output is counted together. */
struct dora_edge_stats {
    const char *from_node, *output; /* NULL for a timer */
    const char *to_node, *input;
    const char *source; /* as in the file: "camera/image", "dora/timer/..." */
    uint64_t sent, delivered, dropped, queued;
    uint64_t refused; /* never entered the queue: edge closed, or all it held
                         was protected */
    bool never_read;  /* the consumer never asked for events */
};

/* Node or edge number `index`. -ENOENT: there are no more. Any time after
 * load, from any thread, without stopping anybody. */
DORA_API int dora_dataflow_node_stats(struct dora_dataflow *flow, size_t index,
                                      struct dora_node_stats *ret_stats);
DORA_API int dora_dataflow_edge_stats(struct dora_dataflow *flow, size_t index,
                                      struct dora_edge_stats *ret_stats);

/* CLOCK_MONOTONIC ns at which all nodes had started and data began to flow; 0:
 * that has not happened. Any thread. */
DORA_API int64_t dora_dataflow_started(struct dora_dataflow *flow);

/* The graph as Mermaid text (a flowchart). New, freed with free(). */
DORA_API int dora_dataflow_mermaid(const struct dora_dataflow *flow,
                                   char **ret_text);

/* --- being a node ------------------------------------------------------- */

/* Every function on a node may be called from any thread. */

/* How the bytes of a message are to be read. */
enum dora_value {
    DORA_VALUE_NULL = 0,  /* no value: a timer tick */
    DORA_VALUE_BYTES = 1, /* unsigned bytes */
    DORA_VALUE_TEXT = 2,  /* one string, UTF-8: what nodes print and log */
    DORA_VALUE_ARROW = 3, /* an Arrow array of other items: dora_event_arrow */
};

enum dora_event_type {
    DORA_EVENT_INPUT = 1,
    DORA_EVENT_INPUT_CLOSED,
    DORA_EVENT_INPUT_RECOVERED,
    DORA_EVENT_NODE_RESTARTED,
    DORA_EVENT_NODE_FAILED,
    DORA_EVENT_STOP,
};

struct dora_sample;

/* Filled by dora_node_next. `id`, `error` and `inputs` are borrowed from the
 * node. If `sample` is not NULL the caller owns one reference; data and
 * metadata are valid (and read-only) as long as the sample is. */
struct dora_event {
    enum dora_event_type type;
    const char *id; /* input; failed or restarted node; STOP: its cause,
                       "MANUAL" or "ALL_INPUTS_CLOSED" */
    size_t input;   /* number of the input in the node's list, for INPUT* */
    struct dora_sample *sample; /* NULL unless INPUT with a value */
    enum dora_value value;
    const void *data; /* 64-byte aligned */
    size_t data_size;
    const void *metadata; /* see metadata functions */
    size_t metadata_size;
    int64_t sent_ns;           /* CLOCK_REALTIME of the send; INPUT only */
    const char *error;         /* NODE_FAILED: how it ended */
    const char *const *inputs; /* NODE_FAILED: ids of this node's inputs that
                                  the failed one fed, */
    size_t input_count;        /* and how many */
};

/* The next event. `timeout_ns` -1 waits for ever, 0 not at all.
 * 1: *ret_event is filled. 0: nothing within the timeout. -EINTR: a signal
 * handler ran; call again. -EPIPE: the stream has ended, now and for ever. */
DORA_API int dora_node_next(struct dora_node *node, int64_t timeout_ns,
                            struct dora_event *ret_event);
/* Sleeps until dora_node_next(node, 0, ...) may have something to say.
 * 0: it may; -ETIMEDOUT; -EINTR. */
DORA_API int dora_node_wait(struct dora_node *node, int64_t timeout_ns);
/* Number of messages queued on all inputs, now. */
DORA_API size_t dora_node_queued(struct dora_node *node);

/* One more reference to a received value; its bytes stay valid. The last unref
 * gives the memory back to its producer. Any thread. unref takes NULL. */
DORA_API struct dora_sample *dora_sample_ref(struct dora_sample *sample);
DORA_API void dora_sample_unref(struct dora_sample *sample);

/* Number of the output `id`, or -ENOENT. */
DORA_API int dora_node_output(struct dora_node *node, const char *id);

struct dora_loan;

/* Takes `size` writable bytes (64-byte aligned, not zeroed) from the node's
 * memory for a message on `output`, with encoded `metadata` (borrowed, may be
 * NULL). Without effect until sent. The new loan is ended with dora_loan_drop,
 * sent or not.
 * -ENOSPC: the node's memory is full; *err names who holds it. With `heap_full:
 * wait` it blocks instead until somebody gives memory back; then -ECANCELED:
 * stop was requested, and -EINTR: a signal handler ran. -ENOENT: no such
 * output. -EPIPE: the node has closed. -EMSGSIZE: more than the node's limit.
 * -EINVAL: metadata is not in the format. */
DORA_API int dora_node_loan(struct dora_node *node, int output, size_t size,
                            const void *metadata, size_t metadata_size,
                            struct dora_loan **ret_loan,
                            struct dora_error *err);
/* The writable bytes, borrowed from the loan. Not to be written after
 * dora_loan_send. */
DORA_API void *dora_loan_data(struct dora_loan *loan);
DORA_API size_t dora_loan_size(const struct dora_loan *loan);
/* Queues the message on every subscribed input, copying nothing. Blocks only
 * for inputs with `queue_policy: backpressure` that are full, at most
 * `timeout_ns` (-1: for ever). -EALREADY: it was sent before. -EPIPE: the node
 * has closed. -ECANCELED: stop was requested while it blocked; the inputs it
 * waited for go without. -ETIMEDOUT, -EINTR: the same so far; call
 * dora_loan_send again to go on where it was left. */
DORA_API int dora_loan_send(struct dora_loan *loan, int64_t timeout_ns,
                            struct dora_error *err);
/* The node no longer refers to the bytes: unsent they return to its memory,
 * sent they do once all receivers are done. NULL is allowed. */
DORA_API void dora_loan_drop(struct dora_loan *loan);

/* Loan, copy and send in one, without a timeout; fails as those do. Copies
 * nothing when nobody subscribes. */
DORA_API int dora_node_send(struct dora_node *node, int output,
                            const void *data, size_t size, const void *metadata,
                            size_t metadata_size, struct dora_error *err);
/* The same with bytes [offset, offset + size) of a received sample (borrowed):
 * they are passed on by reference, unless they are a copy already, as small
 * ones may be. The whole stays the value that it is, a part is bytes. -EINVAL:
 * outside of it. */
DORA_API int dora_node_forward(struct dora_node *node, int output,
                               struct dora_sample *sample, size_t offset,
                               size_t size, const void *metadata,
                               size_t metadata_size, struct dora_error *err);

/* As the Arrow C data interface has them; its header, or that of any Arrow
 * library, declares what is in them. */
struct ArrowSchema;
struct ArrowArray;

/* The value of an event that is DORA_VALUE_ARROW: in place and read-only. Both
 * results have a `release` of their own and keep the sample until then.
 * -EINVAL: the event has another value; -EBADMSG; -ENOMEM. */
DORA_API int dora_event_arrow(const struct dora_event *event,
                              struct ArrowSchema *ret_schema,
                              struct ArrowArray *ret_array);
/* Copies an array (borrowed) into a loan and sends it; bytes without nulls
 * arrive as DORA_VALUE_BYTES. -ENOTSUP: a type with unions, views or run-ends.
 * -EINVAL: the array contradicts itself. Else as dora_node_send. */
DORA_API int dora_node_send_arrow(struct dora_node *node, int output,
                                  const struct ArrowSchema *schema,
                                  const struct ArrowArray *array,
                                  const void *metadata, size_t metadata_size,
                                  struct dora_error *err);

/* A record in the node's log; `text` may have several lines. `target`, the
 * logger's name, may be NULL. */
DORA_API void dora_node_log(struct dora_node *node, enum dora_level level,
                            const char *target, const char *text);

/* The node's id in the file. Borrowed from the node. */
DORA_API const char *dora_node_id(const struct dora_node *node);

/* --- metadata ----------------------------------------------------------- */

/* Parameters of a message: keys with typed values, encoded as one block of
 * bytes that is position-independent and may be stored or sent on. */

enum dora_meta_type {
    DORA_META_BOOL = 1,
    DORA_META_INT,
    DORA_META_FLOAT,
    DORA_META_STRING,
    DORA_META_TIME, /* int64: microseconds since 1970, UTC */
    DORA_META_BOOL_LIST,
    DORA_META_INT_LIST,
    DORA_META_FLOAT_LIST,
    DORA_META_STRING_LIST,
};

/* A growing block. Zero it to begin; free `bytes` with dora_metadata_fini. */
struct dora_metadata {
    unsigned char *bytes;
    size_t size, capacity;
};

/* Append a pair. `key` and strings are UTF-8, <pointer, length>, borrowed.
 * Lists take `count` elements; string lists are appended as an empty list that
 * the next `count` dora_metadata_list_string calls fill. -ENOMEM, or -E2BIG
 * beyond 16 MiB; the block is as before then. */
DORA_API int dora_metadata_bool(struct dora_metadata *m, const char *key,
                                size_t key_size, bool value);
DORA_API int dora_metadata_int(struct dora_metadata *m, const char *key,
                               size_t key_size, int64_t value);
DORA_API int dora_metadata_float(struct dora_metadata *m, const char *key,
                                 size_t key_size, double value);
DORA_API int dora_metadata_string(struct dora_metadata *m, const char *key,
                                  size_t key_size, const char *text,
                                  size_t text_size);
DORA_API int dora_metadata_time(struct dora_metadata *m, const char *key,
                                size_t key_size, int64_t microseconds);
DORA_API int dora_metadata_bool_list(struct dora_metadata *m, const char *key,
                                     size_t key_size, const uint8_t *values,
                                     size_t count);
DORA_API int dora_metadata_int_list(struct dora_metadata *m, const char *key,
                                    size_t key_size, const int64_t *values,
                                    size_t count);
DORA_API int dora_metadata_float_list(struct dora_metadata *m, const char *key,
                                      size_t key_size, const double *values,
                                      size_t count);
DORA_API int dora_metadata_string_list(struct dora_metadata *m, const char *key,
                                       size_t key_size, size_t count);
DORA_API int dora_metadata_list_string(struct dora_metadata *m,
                                       const char *text, size_t text_size);
DORA_API void dora_metadata_fini(struct dora_metadata *m);

/* One pair, pointing into the block it was read from. Numbers of lists are
 * unaligned: use memcpy. */
struct dora_meta_pair {
    const char *key;
    size_t key_size;
    enum dora_meta_type type;
    union {
        bool boolean;
        int64_t integer; /* INT, TIME */
        double number;
    } as;
    const void *values; /* STRING: its bytes; lists: their elements; a string
                           list is walked with dora_metadata_next_string */
    size_t count;       /* STRING: bytes; lists: elements */
    size_t values_size; /* bytes of `values` */
};

/* Reads the pair at *at (0 to begin) and moves on. 1: a pair; 0: the end;
 * -EBADMSG: not in the format. Never reads outside the block. */
DORA_API int dora_metadata_next(const void *bytes, size_t size, size_t *at,
                                struct dora_meta_pair *ret_pair);
/* The same within a STRING_LIST pair's `values`. */
DORA_API int dora_metadata_next_string(const void *values, size_t values_size,
                                       size_t *at, const char **ret_text,
                                       size_t *ret_size);

#ifdef __cplusplus
}
#endif
#endif
