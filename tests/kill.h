/* kill.h - what kill_test.c does at each instruction, and the scenarios it does
 * it in (kill_scenarios.c). */
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
};

struct scenario {
    const char *name;
    uint32_t victim;
    bool unattached; /* the victim attaches in its window */
    bool coarse;     /* a very long window: not every instruction */
    void (*plan)(struct flow *flow);
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

/* Messages are numbered; number and every byte are checked where they are
 * taken. */
size_t size_of_message(uint64_t number);
void write_message(unsigned char *bytes, uint64_t number);
/* A loan, written and not yet sent; NULL: there is no room. */
struct dora_loan *loan_message(struct dora_node *node, uint64_t number,
                               enum kind kind);
int send_message(struct dora_node *node, uint64_t number, enum kind kind);

void survivor_sends(struct world *w, uint32_t node, unsigned count);
/* The next message, if there is one; news are passed over. */
bool survivor_takes(struct world *w, uint32_t node, struct dora_event *event);
void survivor_drains(struct world *w, uint32_t node);
void survivor_holds(struct world *w, uint32_t node);
/* What is held is what it was, whoever died. */
void survivors_let_go(struct world *w);

#endif
