/* guardian_protocol.h - what a host and its dora-guardian say to each other
 * over their SOCK_SEQPACKET pair: one struct per packet, no replies owed. Both
 * ends are of one build, so nothing here is versioned. */
#ifndef DORA_GUARDIAN_PROTOCOL_H
#define DORA_GUARDIAN_PROTOCOL_H

#include <stdint.h>

enum {
    DORA__GUARDIAN_SOCKET = 3, /* the guardian finds its end here */
    DORA__GUARDIAN_MAX_FDS = 8,
};

/* First argument of the program when it is to be something else: see
 * guardian.c. */
#define DORA__GUARDIAN_TIE "tie"

enum dora__request_type {
    /* Start a process. Descriptors: a sealed memfd holding a
     * dora__spawn_header and what follows it; stdout; stderr; then any
     * number that the process gets as 3, 4, ... */
    DORA__REQUEST_SPAWN = 1,
    /* Send a signal to the process group of a node that still runs. */
    DORA__REQUEST_SIGNAL,
};

struct dora__request {
    uint32_t type;
    uint32_t node;
    int32_t signal;
    uint32_t zero;
};

/* Followed by `cpu_count` uint32_t, then terminated strings: program,
 * directory, `arg_count` arguments, `env_count` variables. */
struct dora__spawn_header {
    uint32_t arg_count, env_count, cpu_count;
    uint32_t size; /* of everything, this header included */
};

/* Where starting a process failed. */
enum dora__spawn_step {
    DORA__STEP_NONE,
    DORA__STEP_MESSAGE, /* the request could not be read */
    DORA__STEP_FORK,
    DORA__STEP_PREPARE, /* descriptors, group, death signal */
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
    int32_t pid;
    int32_t status; /* EXITED: as wait() gives it */
    uint32_t step;  /* FAILED: where; SPAWNED: AFFINITY if that was refused */
    int32_t code;
    int64_t user_ns, system_ns; /* EXITED: with its waited-for children */
    int64_t voluntary_switches, involuntary_switches;
};

#endif
