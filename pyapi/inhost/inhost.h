/* inhost.h - what the files of dora-inhost.so share: nodes as interpreters of
 * one CPython inside the host.
 *
 * Threads: each guest has its own, which makes its interpreter, runs the script
 * in it and ends it. Scripts may start more. The host's supervisor only
 * presses, and what needs a GIL for that is done by a helper thread. One more
 * thread belongs to CPython: the one that started it, kept asleep, so that no
 * node's thread is ever taken for the process's main thread. */
#ifndef DORA_INHOST_H
#define DORA_INHOST_H

#include "python.h"

#include "host/kind.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

struct dora__guest {
    /* Fixed by open. */
    char *id, *directory, *base, *program;
    char **argv, **env;
    int stdout_fd, stderr_fd, guardian_fd;
    cpu_set_t cpus; /* to keep to; none: any */
    bool say_faults;
    struct dora__attachment attachment; /* descriptors of our own; -1: gone */

    /* The guest's threads', with their GIL. */
    struct dora_node *node; /* from Node() to the end */
    unsigned long ident;    /* of the thread that runs the script */
    pid_t native_id;        /* the same as the kernel calls it */
    char refused[128];      /* module it needs and cannot have; or empty */
    char acted[128];        /* what it did that cannot be undone; or empty */
    bool registered;        /* Node() was called */
    bool left;              /* os._exit and the like */
    int status;             /* if it left */
    uint32_t noticed;       /* value of `pressed` that ended a sleep */
    bool stays;             /* the interpreter, and all of this */
    PyObject *globals;      /* of inhost.py, while the script runs, */
    PyThreadState *thread;  /* and its thread */
    void *alternate_stack;  /* of that thread's signal handlers */

    _Atomic uint32_t pressed; /* futex: changes with every press */
    atomic_bool asked;        /* an exception was asked for */
    atomic_bool queued;       /* one that has not been raised is */
    atomic_bool ending;       /* no exception is to be raised any more */
    atomic_bool telling;      /* where it is, is to be told */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    PyInterpreterState *state; /* the interpreter; fixed once it is there */

    /* Under the lock. */
    PyInterpreterState *interpreter; /* the same; NULL: not to be touched */
    bool helping;                    /* the helper thread has not ended */
    bool wanted;                     /* it has something to do, or does it: */
    enum dora__guest_press want;
};

/* --- inhost_python.c ------------------------------------------------------ */

/* Starts CPython, once per process, as the interpreter `base` would be; the
 * first caller decides whether faults are said. */
DORA_MUST_CHECK
int dora__inhost_start(const char *base, bool say_faults,
                       struct dora_error *err);
/* Makes an interpreter with a GIL of its own and attaches the thread to it.
 * NULL: *err says why. */
PyThreadState *dora__inhost_interpreter(struct dora_error *err);

/* --- inhost_arenas.c ------------------------------------------------------ */

/* Once, before CPython starts. */
void dora__inhost_arenas_watch(void);
/* Ends the interpreter that the thread is attached to, its last one; what
 * memory CPython would keep of it goes back to the system. */
void dora__inhost_end(PyThreadState *own);

/* --- inhost_script.c: attached to the guest's interpreter ----------------- */

/* Once, attached to the main interpreter, before any script. -1: it cannot. */
DORA_MUST_CHECK
int dora__inhost_compile(void);
/* Runs the script. The status it ends with, as of wait(). */
int dora__inhost_script(struct dora__guest *guest);
/* Calls a function of inhost.py, whose exception is dropped: its result as an
 * int, or -1. `argument` may be NULL. */
int dora__inhost_call(struct dora__guest *guest, const char *name,
                      PyObject *argument);

/* --- inhost_calls.c ------------------------------------------------------- */

/* A new dict: what the bootstrap may call and know. */
PyObject *dora__inhost_calls(struct dora__guest *guest);

/* --- inhost_programs.c: what programs.py may call ------------------------- */

/* (table, programs, argv, env, places, directory, default signals, blocked
 * ones, session, group, umask, uid, gid, groups): process id, step, errno. The
 * table gets its link by its id, unless `step` says what it failed at. */
PyObject *dora__inhost_start_program(struct dora__guest *guest, PyObject *args);
/* (links, milliseconds): which of them has something to say, or -1: none in
 * that time, or a signal came. */
PyObject *dora__inhost_await_links(PyObject *args);
/* (table, id, keep): status and usage of that process, which has ended; None:
 * it is not in the table. Takes it out of it unless it is to be kept. */
PyObject *dora__inhost_take_end(PyObject *args);

/* --- inhost_press.c ------------------------------------------------------- */

void dora__inhost_press(struct dora__guest *guest, enum dora__guest_press how);
/* Sleeps without the GIL until `deadline` (CLOCK_MONOTONIC ns) or a press. */
void dora__inhost_sleep(struct dora__guest *guest, int64_t deadline);
/* The script ends as by os._exit(): wherever it is, and its threads with it.
 * Attached; SystemExit is set. */
void dora__inhost_leave(struct dora__guest *guest);
/* Presses come too late from now on; lets the helper finish. Attached. */
void dora__inhost_close(struct dora__guest *guest);

/* --- inhost_fault.c --------------------------------------------------------
 */

/* A signal that is for nothing else. */
#define DORA__KICK (SIGRTMAX - 3)

/* Once, attached to the main interpreter. */
void dora__inhost_fault_start(bool say_faults);
/* On the thread that will run the script, in its interpreter, and when that has
 * ended. */
void dora__inhost_fault_enter(struct dora__guest *guest);
void dora__inhost_fault_leave(struct dora__guest *guest);
/* On that thread: prints where it is, if that is still to be told. */
void dora__inhost_fault_tell(struct dora__guest *guest);
/* Has it do so, and ends the system call that it is in. */
void dora__inhost_fault_kick(struct dora__guest *guest);

#endif
