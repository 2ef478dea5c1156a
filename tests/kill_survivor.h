/* kill_survivor.h - the neighbours of a victim: processes that send and receive
 * all the time, look at every byte of what they get, and keep the last messages
 * for a while, whoever sent them has died or not. */
#ifndef KILL_SURVIVOR_H
#define KILL_SURVIVOR_H

#include "kill.h"

#include <pthread.h>

/* Nodes. STOPPED only listens; it is what the test stops. */
enum { SOURCE, VICTIM, SINK, RELAY, STOPPED, PLACES };

enum { KEPT = 6 };

#define SECOND INT64_C(1000000000)

enum command {
    RUN,
    AUDIT,  /* stand still between two meetings */
    LET_GO, /* send no more, meet; keep nothing, meet; use all of the own
               heap, meet; end */
};

/* What a survivor says of itself. */
struct post {
    _Atomic uint64_t taken;  /* messages */
    _Atomic uint64_t wrong;  /* bytes */
    _Atomic uint64_t astray; /* messages out of order, or missing where none
                                may be; sends that failed */
    /* Of what it keeps: where it is in the heaps file, + 1; 0: nothing. Said
     * after it has it, and taken back before it lets it go. */
    _Atomic uint64_t kept[KEPT];
};

/* Shared by all processes of the test. */
struct yard {
    pthread_barrier_t meeting; /* of the survivors and the host */
    _Atomic int command;
    struct post posts[PLACES];
};

/* Every node feeds the victim or is fed by it, or both; `flags` are those of
 * the victim's own edges. */
void plan_field(struct flow *flow, unsigned flags);

/* What a dead node holds: loans of its own, messages that it had taken. One on
 * its way into its queue counts for a moment. */
uint64_t bytes_of_the_dead(struct dora__control *control, uint32_t node);
/* Whether a message in that place is still held for the node. */
bool node_holds(struct dora__control *control, uint32_t node, uint64_t at);

/* The life of a survivor, in a process of its own. */
_Noreturn void survive(struct flow *flow, struct yard *yard, uint32_t number);

/* Numbers of one sender: they grow. */
static inline uint64_t
first_number(uint32_t sender, uint64_t life)
{
    return (uint64_t)sender << 56 | life << 24 | 1;
}

#endif
