/* kill.h - what victims do when they are killed (kill_scenarios.c), where
 * (kill_step.c), beside whom (kill_world.c), and what they and the survivors
 * say to each other (kill_message.c). */
#ifndef KILL_H
#define KILL_H

#include "flow.h"
#include "plane/layout.h"

enum {
    NODES = 3,
    HEAP = 1 << 20,
    HELD = 8,
    SCENARIOS = 18,
};

struct world {
    const struct scenario *scenario;
    struct flow flow;
    struct dora_node *nodes[NODES];     /* NULL: the victim's */
    uint64_t next[NODES];               /* number of each node's next message */
    uint64_t first[NODES], last[NODES]; /* seen by each node since `mark` */
    uint64_t seen[NODES];
    struct dora_sample *held[HELD]; /* by survivors */
    struct dora_event held_events[HELD];
    size_t held_count;
};

/* A participant of the window, in the process of the victim. */
struct victim {
    struct flow *flow;
    uint32_t number;
    struct dora_node *node;
    struct dora_loan *loan;
    struct dora_event event;
    uint64_t next;
    int64_t patience; /* how long it waits for survivors that run, in ns */
};

struct scenario {
    const char *name;
    uint32_t victim;
    bool unattached; /* the victim attaches in its window */
    bool coarse;     /* a very long window: not every instruction */
    unsigned flags;  /* of the victim's edges */
    void (*plan)(struct flow *flow, unsigned flags);
    void (*before)(struct world *w); /* survivors, before the victim begins */
    void (*prepare)(struct victim *v);
    void (*arrange)(struct world *w); /* survivors, before the window */
    void (*window)(struct victim *v);
    void (*meanwhile)(struct world *w); /* survivors, at instruction k */
    void (*after)(struct world *w, bool restarted);
};

enum kind {
    PLAIN,
    PROTECTED,
    FLUSH,
};

extern const struct scenario kill_scenarios[SCENARIOS];

/* Messages are numbered, and the number says all of their bytes. */
size_t size_of_message(uint64_t number);
void write_message(unsigned char *bytes, uint64_t number);
/* How many of the bytes are wrong. */
size_t read_message(const struct dora_event *event, uint64_t *ret_number);
/* A loan, written and not yet sent; NULL: there is no room. */
struct dora_loan *loan_message(struct dora_node *node, int output,
                               uint64_t number, enum kind kind);
int send_message(struct dora_node *node, int output, uint64_t number,
                 enum kind kind, int64_t timeout_ns);

/* Up to its window; then up to `count` instructions: the number done before the
 * window ended. */
pid_t start_victim(const struct scenario *scenario, struct victim *v);
unsigned step_victim(pid_t pid, unsigned count);
void kill_victim(pid_t pid);
/* Two processes in turn are quickest on one core. */
void stay_here(void);
void go_anywhere(void);

void survivor_sends(struct world *w, uint32_t node, unsigned count);
/* The next message, if there is one; news are passed over. */
bool survivor_takes(struct world *w, uint32_t node, struct dora_event *event);
void survivor_drains(struct world *w, uint32_t node);
void survivor_holds(struct world *w, uint32_t node);
/* What is held is what it was, whoever died. */
void survivors_let_go(struct world *w);

#endif
