/* guardian_client.h - the host's end of a dora-guardian: starting it, and
 * through it a dataflow's processes. Nothing here blocks but start and reap;
 * what would is -EAGAIN, to be tried again once the socket is writable. */
#ifndef DORA_GUARDIAN_CLIENT_H
#define DORA_GUARDIAN_CLIENT_H

#include "base.h"
#include "guardian_protocol.h"

#include <sys/types.h>

struct dora__guardian {
    int socket; /* -1: none, or closed */
    pid_t pid;  /* 0: none, or reaped */
};

#define DORA__GUARDIAN_NONE ((struct dora__guardian){.socket = -1})

/* Starts <libexec>/dora-guardian. */
DORA_MUST_CHECK
int dora__guardian_start(const char *libexec,
                         struct dora__guardian *ret_guardian,
                         struct dora_error *err);

/* A process to start. Everything is borrowed; the descriptors may be closed
 * afterwards. */
struct dora__spawn {
    char *const *programs; /* of which the first that is there is executed */
    const char *directory; /* to run in; may be "" */
    int directory_fd;      /* where paths start, if the manner says so */
    char *const *argv, *const *env;
    const uint32_t *cpus; /* none: any */
    size_t cpu_count;
    const int *fds; /* what it gets, and as which numbers; /dev/null is its 0 if
                       nothing else is */
    const uint32_t *places;
    size_t fd_count;
    const uint32_t *groups; /* if the manner says so */
    size_t group_count;
    struct dora__manner manner;
};

/* Signals that this process ignores, for a manner. */
uint64_t dora__signals_ignored(void);

/* Asks for a process; SPAWNED or FAILED will be reported under `node`. */
DORA_MUST_CHECK
int dora__guardian_spawn(const struct dora__guardian *guardian, uint32_t node,
                         const struct dora__spawn *spawn);
/* Asks for one of which nobody else hears: SPAWNED or FAILED, and later EXITED,
 * come by *ret_link. Closing that kills the process. */
DORA_MUST_CHECK
int dora__guardian_keep(int socket, const struct dora__spawn *spawn,
                        int *ret_link);
/* A signal to the node's process group, if it still runs. */
DORA_MUST_CHECK
int dora__guardian_signal(const struct dora__guardian *guardian, uint32_t node,
                          int number);

/* 1: *ret_report is filled. 0: the guardian has ended. -EAGAIN. */
DORA_MUST_CHECK
int dora__guardian_read(const struct dora__guardian *guardian,
                        struct dora__report *ret_report);

/* Tells the guardian to kill what is left and end; dora__guardian_read says 0
 * when it has. */
void dora__guardian_dismiss(struct dora__guardian *guardian);
/* Closes the socket and reaps the guardian, killing it if it takes longer than
 * five seconds. Takes one that was never started. */
void dora__guardian_reap(struct dora__guardian *guardian);

#endif
