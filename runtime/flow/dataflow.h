/* dataflow.h - the inside of a struct dora_dataflow, for the files of this room
 * that together run one. What each of them is for stands below, under its name;
 * who may touch what, at each part of the struct. */
#ifndef DORA_DATAFLOW_H
#define DORA_DATAFLOW_H

#include "callback.h"
#include "door.h"
#include "graph/graph.h"
#include "graph/plan.h"
#include "guardian/guardian_client.h"
#include "host/environment.h"
#include "host/journal.h"
#include "host/kind.h"
#include "host/output.h"
#include "plane/plane.h"
#include "restart.h"

#include <pthread.h>
#include <stdatomic.h>

#define DORA__SECOND INT64_C(1000000000)
#define DORA__NEVER INT64_MAX /* a deadline that is none */

/* The deadline so long after now; `delay` may be NEVER. */
static inline int64_t
dora__after(int64_t now, int64_t delay)
{
    return delay < DORA__NEVER - now ? now + delay : DORA__NEVER;
}

/* How long everything may take, all in one place, in ns. */
/* STOP to SIGTERM; half as long again to SIGKILL. */
#define DORA__STOP_GRACE (10 * DORA__SECOND)
/* dora_dataflow_kill to giving up the thread of a callback. */
#define DORA__ABANDON_GRACE (5 * DORA__SECOND)
/* Start to naming who has not joined. */
#define DORA__WAITING_NOTICE (2 * DORA__SECOND)
/* All inputs closed to being stopped. */
#define DORA__FINISH_GRACE (120 * DORA__SECOND)
/* The longest way of a line to its file. */
#define DORA__LOG_DELAY (DORA__SECOND / 10)
/* The shortest time between two looks at the pipes, while they are not full. */
#define DORA__OUTPUT_PACE (DORA__SECOND / 1000)
/* Between two ways of asking a guest to end, at most; see enum
 * dora__guest_press. */
#define DORA__PRESS_DELAY (DORA__SECOND / 4)
/* What a guest prints is held back until it has joined, at most so long: it may
 * turn out that it has to start anew as a process. */
#define DORA__HOLD_OUTPUT DORA__SECOND
/* Trying again where nothing says that it is worth it. */
#define DORA__RETRY_DELAY (DORA__SECOND / 1000)

/* Where a member stands; only the supervisor's thread moves it.
 *
 *   PLANNED -> ASKED -> ALIVE -> DEAD -> OVER
 *                \________________^ |
 *   PLANNED <---------- restart ----/
 *
 * A dynamic one is PLANNED while nobody is it, and ALIVE once somebody is. */
enum dora__stage {
    DORA__STAGE_PLANNED, /* to be started */
    DORA__STAGE_ASKED,   /* the guardian has been asked for its process */
    DORA__STAGE_ALIVE,
    DORA__STAGE_DEAD, /* proven dead; the plane has not finished with it */
    DORA__STAGE_OVER,
};

/* An end that was to be followed by a start. */
struct dora__past {
    enum dora_exit exit;
    int code;
    struct dora__text failure;
};

/* One node as its host sees it. */
struct dora__member {
    /* Fixed by load. */
    uint32_t number; /* in graph, plan and plane */
    const struct dora__graph_node *node;
    bool is_callback, is_dynamic;
    char *clone;   /* its directory; NULL: that of the file, or `to_fetch` */
    int clone_fd;  /* with it it is held; 0, -1: it is not */
    bool to_fetch; /* its clone is not there: nobody knows what it runs on */
    char *source;  /* which clone, for a person; or NULL */
    struct dora__launch launch; /* of a callback or a dynamic node: kind, tier,
                                   reason only */
    dora_node_body body;        /* fixed by start */
    void *body_arg;

    /* The supervisor's. */
    enum dora__stage stage;
    struct dora__waiting *echo_first, *echo_last; /* see echo.c */
    size_t echo_size;                             /* bytes of them */
    bool echo_lost, muted;
    struct dora__callback *callback; /* the thread of one inside the host */
    struct dora_node *returned;      /* DEAD: of a callback that failed */
    const struct dora__guest_class *guest_class;
    struct dora__guest *guest; /* DEAD: to be freed */
    bool held;                 /* DEAD: not as far as its samples go */
    int64_t hold_until; /* ALIVE: its output is not read yet; NEVER: it is */
    int process_fd;     /* ALIVE: pidfd of a dynamic node's process, or -1 */
    struct dora__output outputs[2]; /* stdout, stderr; 0 of a dynamic node: the
                                       connection with it */
    struct dora__journal_file journal;
    struct dora__restarts restarts;
    int64_t not_before;        /* PLANNED: when to start it */
    struct dora__past past;    /* PLANNED again: how it has ended */
    int signal_due;            /* to be sent through the guardian; 0: none */
    bool signalled;            /* a stop signal was sent */
    bool killed;               /* SIGKILL was sent */
    bool straggles;            /* stopped because it outstayed its inputs */
    bool hung;                 /* killed for it; `failure` says so */
    uint64_t beats;            /* of its pulse, at the last look */
    int64_t idle_ns;           /* seen to do nothing; -1: not looked at yet */
    bool joined;               /* it is or was at the barrier or past it */
    bool will_restart;         /* DEAD: by the plane's leave */
    bool failed;               /* DEAD: as the plane is told */
    struct dora__text failure; /* DEAD: one line for NODE_FAILED */

    /* Under the dataflow's lock: what stats say. */
    enum dora_node_phase phase;
    enum dora_exit exit;
    int exit_code;
    int pid;
    unsigned restart_count;
    bool stays; /* threads of it run on after its end */
    int64_t user_ns, system_ns;
    int64_t voluntary_switches, involuntary_switches;
};

enum dora__asked { DORA__ASKED_NOTHING, DORA__ASKED_STOP, DORA__ASKED_KILL };

struct dora_dataflow {
    /* Fixed by load. */
    struct dora_options options;
    int64_t stop_grace_ns, term_grace_ns; /* NEVER: for ever */
    char *file;                           /* name in messages */
    char *directory; /* absolute: where relative paths start */
    char id[37];
    struct dora__graph graph;
    struct dora__plan plan;
    struct dora__member *members; /* one per node, by number */
    uint32_t member_count;
    int wake_fd; /* eventfd: `asked` or a callback's end is to be looked at */

    _Atomic int asked;   /* enum dora__asked; only grows */
    _Atomic pid_t owner; /* who started it, 0 before: its forks have no say */

    /* Made by start; the plane lives until free, for stats. */
    struct dora__plane plane;
    bool has_plane;
    struct dora_node *echo; /* sends what nodes print; NULL: nobody asked */
    struct dora__journal journal;
    struct dora_error complaint; /* of start, to be logged by the supervisor */
    pthread_t supervisor;
    bool has_supervisor;

    /* The supervisor's. */
    int epoll_fd;
    int outputs_fd;   /* an epoll of all pipes */
    int64_t heard_at; /* when they were last read */
    struct dora__guardian guardian;
    bool guardian_lost; /* it ended before it was told to */
    char *buffer;       /* for reading pipes */
    struct dora__text scratch;
    int64_t started;          /* CLOCK_MONOTONIC */
    struct dora__door door;   /* none without dynamic nodes */
    uint32_t left;            /* members that are not OVER */
    uint32_t in_flight;       /* ASKED */
    size_t echo_waiting;      /* messages of all members */
    size_t pipe_size;         /* of each output */
    bool opened;              /* the barrier */
    bool failed_barrier;      /* it never will */
    bool stopping;            /* on the ladder; nothing is started any more */
    bool stop_begun, killing; /* what has been done about `asked` */
    bool dirty;               /* journals hold unwritten lines */
    int64_t finish_grace_ns;  /* NEVER: off */
    int64_t term_at, press_at, kill_at, abandon_at; /* deadlines, or NEVER */
    unsigned presses; /* how often guests were pressed */
    int64_t flush_at, retry_at, listen_at;
    int64_t finish_at, notice_at; /* by the dataflow's time */
    uint64_t finish_progress; /* messages delivered when finish_at was set */
    bool has_terminal;        /* for the debugger of a node */
    int64_t health_at; /* the next look at who may hang; the dataflow's time */
    int64_t looked_at; /* the last one */

    /* Under the lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool started_once, finished;
    int64_t started_at; /* when the barrier opened; 0: it has not */
    struct dora_error first_failure; /* empty text: none */
};

/* --- flowlog.c ----------------------------------------------------------- */

/* A line of the member's output, from the supervisor's thread. */
void dora__flow_line(struct dora_dataflow *flow, struct dora__member *member,
                     enum dora_stream stream, const char *text, size_t size);
/* A line of the runtime's own, about a member or (NULL) the whole. */
DORA_PRINTF(4, 5)
void dora__flow_say(struct dora_dataflow *flow, enum dora_level level,
                    struct dora__member *member, const char *format, ...);
/* Writes what the journals hold. */
void dora__flow_flush(struct dora_dataflow *flow);

/* --- member.c, member_end.c: all from the supervisor's thread ------------ */

/* Starts the member: asks the guardian, or makes a thread. -EAGAIN: later. */
DORA_MUST_CHECK
int dora__member_start(struct dora_dataflow *flow, struct dora__member *member);
/* Makes the pipe for one of its outputs, to be watched unless `quiet`. */
DORA_MUST_CHECK
int dora__member_open_output(struct dora_dataflow *flow,
                             struct dora__member *member, int stream,
                             bool quiet, int *ret_fd);
/* What the node is told, over what it inherits. */
DORA_MUST_CHECK
int dora__member_environment(const struct dora_dataflow *flow,
                             const struct dora__member *member,
                             struct dora__environment *environment);
/* It has ended: `status` as of wait(). */
void dora__member_ended(struct dora_dataflow *flow, struct dora__member *member,
                        int status);
void dora__member_add_usage(struct dora_dataflow *flow,
                            struct dora__member *member, int64_t user_ns,
                            int64_t system_ns, int64_t voluntary,
                            int64_t involuntary);
/* Whether it runs on a thread of this process. */
static inline bool
dora__member_inside(const struct dora__member *member)
{
    return member->is_callback || member->launch.load != NULL;
}
void dora__member_spawned(struct dora_dataflow *flow,
                          struct dora__member *member,
                          const struct dora__report *report);
/* The process was never executed. */
void dora__member_not_started(struct dora_dataflow *flow,
                              struct dora__member *member, int code,
                              const char *why);
void dora__member_exited(struct dora_dataflow *flow,
                         struct dora__member *member,
                         const struct dora__report *report);
/* A callback's body has returned, or its thread is given up. */
void dora__member_returned(struct dora_dataflow *flow,
                           struct dora__member *member);
void dora__member_abandon(struct dora_dataflow *flow,
                          struct dora__member *member);
/* Tells the plane of a death. -EAGAIN: later. */
DORA_MUST_CHECK
int dora__member_bury(struct dora_dataflow *flow, struct dora__member *member);
/* Where it runs. */
const char *dora__member_directory(const struct dora_dataflow *flow,
                                   const struct dora__member *member);
/* Whether the barrier waits for it. */
bool dora__member_gates(const struct dora__member *member);
/* Whether all nodes that feed it have closed, and nothing else keeps it. */
bool dora__member_unfed(const struct dora_dataflow *flow,
                        const struct dora__member *member);
/* Reads what lies in its pipes now, to the last unfinished line. */
void dora__member_drain(struct dora_dataflow *flow,
                        struct dora__member *member);
/* What is read of a pipe at a time. Who has filled it waits for the lines of
 * one such part to be dealt with: some milliseconds, however short they are. */
enum { DORA__READ_SIZE = 16 << 10 };
/* Reads a pipe once; closes it at its end. Whether there may be more in it. */
bool dora__member_read(struct dora_dataflow *flow, struct dora__member *member,
                       int stream);
void dora__member_set_phase(struct dora_dataflow *flow,
                            struct dora__member *member,
                            enum dora_node_phase phase);

/* --- guest.c: all from the supervisor's thread --------------------------- */

/* Loads what runs the member and makes its thread. *err: why not. */
DORA_MUST_CHECK
int dora__guest_start(struct dora_dataflow *flow, struct dora__member *member);
void dora__guest_returned(struct dora_dataflow *flow,
                          struct dora__member *member,
                          const struct dora__callback_result *result);
/* Reads its output from now on, if it is time to. */
void dora__guest_listen(struct dora_dataflow *flow, struct dora__member *member,
                        int64_t now);
/* Presses all guests that run. */
void dora__guests_press(struct dora_dataflow *flow, enum dora__guest_press how);

/* --- dynamic.c: all from the supervisor's thread -------------------------- */

/* Moves the dynamic members; answers who wants to be one. */
void dora__dynamic_look(struct dora_dataflow *flow);

/* --- debug.c: supervisor only ----------------------------------------------
 */

/* What nodes want of the terminal. */
void dora__debug_look(struct dora_dataflow *flow);
/* The member is dead. */
void dora__debug_bury(struct dora_dataflow *flow, uint32_t member);

/* --- supervisor.c -------------------------------------------------------- */

/* What an event is about. */
enum dora__source {
    DORA__SOURCE_WAKE,
    DORA__SOURCE_DOORBELL,
    DORA__SOURCE_GUARDIAN,
    DORA__SOURCE_DOOR, /* somebody came, or a process that did has ended */
};

/* Starts the thread that runs the dataflow to its end. */
DORA_MUST_CHECK
int dora__supervisor_start(struct dora_dataflow *flow, struct dora_error *err);
/* Watches a descriptor until it is closed. */
DORA_MUST_CHECK
int dora__supervisor_watch(struct dora_dataflow *flow, int fd,
                           enum dora__source source);
/* Watches a pipe of the member for reading. */
DORA_MUST_CHECK
int dora__supervisor_listen(struct dora_dataflow *flow, int fd,
                            const struct dora__member *member, int stream);
/* Watches it no more; it stays open. */
void dora__supervisor_ignore(struct dora_dataflow *flow, int fd);

/* --- barrier.c ----------------------------------------------------------- */

/* Notes who has joined; opens the barrier with the last of them. */
void dora__barrier_watch(struct dora_dataflow *flow);
/* Says whom it waits for, while it does. */
void dora__barrier_name(struct dora_dataflow *flow);

/* --- reports.c ----------------------------------------------------------- */

/* Deals with what the guardian has reported. */
void dora__reports_hear(struct dora_dataflow *flow);

/* --- ladder.c ------------------------------------------------------------ */

/* Stop, then the graces; or without them. */
void dora__ladder_stop(struct dora_dataflow *flow);
void dora__ladder_kill(struct dora_dataflow *flow);
/* The barrier will never open; `culprit` is why. */
void dora__ladder_barrier_failed(struct dora_dataflow *flow,
                                 struct dora__member *culprit);
/* Takes the steps that are due. */
void dora__ladder_climb(struct dora_dataflow *flow, int64_t now);

/* --- finish.c ------------------------------------------------------------ */

/* Sets finish_at while nothing but an end can happen. */
void dora__finish_watch(struct dora_dataflow *flow);
/* finish_at has come. */
void dora__finish_end(struct dora_dataflow *flow);

/* --- health.c ------------------------------------------------------------ */

/* Looks who hangs, and sets health_at while anybody is to be looked at. */
void dora__health_look(struct dora_dataflow *flow);

/* It is at the barrier or past it: its time to start is over. */
void dora__health_joined(struct dora__member *member);

/* --- resolve.c ----------------------------------------------------------- */

/* Makes the members, one for each node of the graph. Complaints go to the
 * options' sink, the first also to *err. */
DORA_MUST_CHECK
int dora__flow_resolve(struct dora_dataflow *flow, struct dora_error *err);
/* Whether processes for all members fit into so much memory (0: unknown). */
DORA_MUST_CHECK
int dora__flow_fits(const struct dora_dataflow *flow, uint64_t memory,
                    struct dora_error *err);

/* --- load.c -------------------------------------------------------------- */

/* Releases what load made. */
void dora__flow_unload(struct dora_dataflow *flow);

#endif
