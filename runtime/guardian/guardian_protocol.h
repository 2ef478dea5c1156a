/* guardian_protocol.h - what a host and its dora-guardian say to each other
 * over their SOCK_SEQPACKET pair: one struct per packet, no replies owed. Both
 * ends are of one build, so nothing here is versioned. */
#ifndef DORA_GUARDIAN_PROTOCOL_H
#define DORA_GUARDIAN_PROTOCOL_H

#include <stdint.h>
#include <sys/resource.h>

enum {
    DORA__GUARDIAN_SOCKET = 3,    /* the guardian finds its end here */
    DORA__GUARDIAN_MAX_FDS = 253, /* as many as a packet may carry */
};

enum dora__request_type {
    /* Start a process. Descriptors: a sealed memfd holding a
     * dora__spawn_header and what follows it; the directory, if it says so;
     * then `fd_count` that the process gets. */
    DORA__REQUEST_SPAWN = 1,
    /* Start a process for a part of the host that waits for it by itself. A
     * socket follows the memfd: what would be reported is said there, and once
     * its other end is shut down, the process is killed if it has not ended.
     * Until then its number stays its own. */
    DORA__REQUEST_KEEP,
    /* Send a signal to the process group of a node that still runs, or to the
     * node if it leads none. */
    DORA__REQUEST_SIGNAL,
};

struct dora__request {
    uint32_t type;
    uint32_t node;
    int32_t signal;
    uint32_t zero;
};

enum dora__manner_flag {
    DORA__MANNER_SESSION = 1 << 0,   /* the leader of a new one */
    DORA__MANNER_DIRECTORY = 1 << 1, /* a descriptor says where paths start */
    DORA__MANNER_UMASK = 1 << 2,
    DORA__MANNER_UID = 1 << 3,
    DORA__MANNER_GID = 1 << 4,
    DORA__MANNER_GROUPS = 1 << 5,
};

#define DORA__SIGNAL_BIT(number) (UINT64_C(1) << ((number)-1))

/* How a process is to be. All zero: the leader of a process group, to which
 * all signals mean what they mean by default. */
struct dora__manner {
    uint64_t ignored, blocked; /* signals: DORA__SIGNAL_BIT */
    uint32_t flags;
    int32_t group; /* to be in, if that is possible; 0: its own */
    uint32_t umask, uid, gid;
    uint32_t zero;
};

/* Followed by `cpu_count` numbers of processors, `fd_count` numbers that
 * descriptors get, `group_count` groups, 32 bits each; then terminated strings:
 * directory, `program_count` programs of which the first that is there is
 * executed, `arg_count` arguments, `env_count` variables. */
struct dora__spawn_header {
    uint32_t cpu_count, fd_count, group_count;
    uint32_t program_count, arg_count, env_count;
    uint32_t size; /* of everything, this header included */
    uint32_t zero;
    struct dora__manner manner;
};

/* Where starting a process failed. */
enum dora__spawn_step {
    DORA__STEP_NONE,
    DORA__STEP_MESSAGE, /* the request could not be read */
    DORA__STEP_FORK,
    DORA__STEP_PREPARE, /* descriptors, groups, user, death signal */
    DORA__STEP_DIRECTORY,
    DORA__STEP_AFFINITY, /* never fatal */
    DORA__STEP_EXECUTE,
};

enum dora__report_type {
    DORA__REPORT_SPAWNED = 1,
    DORA__REPORT_FAILED, /* no process: `step` and `code`, an errno */
    DORA__REPORT_EXITED,
};

struct dora__report {
    uint32_t type;
    uint32_t node;
    int32_t pid;    /* also of one that FAILED after it was there; or 0 */
    int32_t status; /* EXITED: as wait() gives it */
    uint32_t step;  /* FAILED: where; SPAWNED: AFFINITY if that was refused */
    int32_t code;
    struct rusage usage; /* EXITED: with its waited-for children */
};

#endif
