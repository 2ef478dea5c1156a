/* ring.h - one edge's queue: positions of a single producer and a single
 * consumer, dropped from by the producer, and the gate and intent that let the
 * host tidy up after either died.
 *
 * 1. A record index between head and tail carries the edge's bit in its
 *    `holders`; so does one the consumer has taken and not yet released. No
 *    other one does, but for the one record an intent names.
 * 2. Who takes position h is decided by one CAS on the head: the consumer's
 *    adds a position, a dropper's also flips the parity in bit 0, so that after
 *    a producer's death the host can tell who won.
 * 3. dropped + (dropped ^ head & 1) is the exact number of drops, at any
 *    instant and after any death.
 * 4. Producer and host exclude each other by the gate. A producer that died in
 *    it leaves its intent: what the host must undo.
 * 5. Two rings where messages may be dropped: ordinary and protected, the bound
 *    holds for their sum; each is dropped from at its head only (removing from
 *    the middle would race with the consumer).
 *
 * A death is a prefix of a program's instructions, and reaping orders all its
 * stores before the host's loads; so the stores of a push and the intent need
 * only compiler order, given by dora__in_order. */
#ifndef DORA_RING_H
#define DORA_RING_H

#include "bell.h"
#include "layout.h"

#include <stdbool.h>

enum { DORA__INTENT_PUSH = 1, DORA__INTENT_DROP = 2 };

struct dora__intent {
    unsigned kind, ring, bit;
    uint32_t record;
    uint32_t position; /* low 31 bits of the tail (push) or head (drop) */
};

#define DORA__INTENT_POSITION UINT32_C(0x7fffffff)

static inline void
dora__in_order(void)
{
    atomic_signal_fence(memory_order_seq_cst);
}

static inline uint64_t
dora__intent_pack(unsigned kind, unsigned ring, uint32_t bit, uint32_t record,
                  uint64_t position)
{
    return (uint64_t)kind | (uint64_t)ring << 2 | (uint64_t)bit << 3 |
           (uint64_t)record << 9 | (position & DORA__INTENT_POSITION) << 33;
}

static inline struct dora__intent
dora__intent_unpack(uint64_t word)
{
    return (struct dora__intent){
        .kind = word & 3,
        .ring = word >> 2 & 1,
        .bit = word >> 3 & 63,
        .record = word >> 9 & 0xffffff,
        .position = (uint32_t)(word >> 33),
    };
}

static inline uint64_t
dora__position(uint64_t head)
{
    return head >> 1;
}

static inline uint64_t
dora__edge_bit(const struct dora__edge *edge)
{
    return dora__record_bit(edge->bit);
}

/* --- the gate ------------------------------------------------------------ */

/* The producer's. Not re-entrant; nothing inside may block. */
static inline void
dora__gate_enter(struct dora__shared_node *node)
{
    unsigned tries = 0;
    uint32_t found = DORA__GATE_FREE;

    /* Pairs with the release of dora__gate_leave_host. */
    while (!atomic_compare_exchange_strong_explicit(
        &node->gate, &found, DORA__GATE_PRODUCER, memory_order_acquire,
        memory_order_relaxed)) {
        if (++tries < 100)
            dora__pause();
        else
            (void)dora__futex_wait(&node->gate, DORA__GATE_HOST, -1);
        found = DORA__GATE_FREE;
    }
}

static inline void
dora__gate_leave(struct dora__shared_node *node)
{
    dora__in_order();
    atomic_store_explicit(&node->intent, 0, memory_order_relaxed);
    dora__in_order();
    /* Pairs with the acquire of dora__gate_try_host. */
    atomic_store_explicit(&node->gate, DORA__GATE_FREE, memory_order_release);
}

/* The host's: never waits for long, since the producer may be dead. */
static inline bool
dora__gate_try_host(struct dora__shared_node *node)
{
    for (unsigned tries = 0; tries < 1000; tries++) {
        uint32_t found = DORA__GATE_FREE;

        /* Pairs with the release of dora__gate_leave. */
        if (atomic_compare_exchange_strong_explicit(
                &node->gate, &found, DORA__GATE_HOST, memory_order_acquire,
                memory_order_relaxed))
            return true;
        dora__pause();
    }
    return false;
}

static inline void
dora__gate_leave_host(struct dora__shared_node *node)
{
    /* Pairs with the acquire of dora__gate_enter. */
    atomic_store_explicit(&node->gate, DORA__GATE_FREE, memory_order_release);
    dora__futex_wake(&node->gate);
}

/* --- pushing: the producer, inside its gate ---------------------------------
 */

/* Takes the oldest message of a ring back. False: the consumer took it first,
 * or the ring is empty; look again. */
static inline bool
dora__ring_drop(struct dora__control *control, struct dora__shared_node *node,
                struct dora__edge *edge, unsigned ring)
{
    /* Pairs with the consumer's CAS. */
    uint64_t head =
        atomic_load_explicit(&edge->head[ring], memory_order_acquire);
    uint64_t at = dora__position(head);

    if (at == atomic_load_explicit(&edge->tail[ring], memory_order_relaxed))
        return false;

    uint32_t record = atomic_load_explicit(
        &dora__slots_of(control, edge, ring)[at & edge->slot_mask],
        memory_order_relaxed);

    atomic_store_explicit(
        &node->intent,
        dora__intent_pack(DORA__INTENT_DROP, ring, edge->bit, record, head),
        memory_order_relaxed);
    dora__in_order();
    /* Release: continues the order of the positions before (pop, acquire). */
    if (!atomic_compare_exchange_strong_explicit(
            &edge->head[ring], &head, (head + 2) ^ 1, memory_order_acq_rel,
            memory_order_relaxed))
        return false;
    dora__in_order();
    /* Relaxed: an RMW continues the releases of others on this word. */
    atomic_fetch_and_explicit(&dora__record_of(control, record)->holders,
                              ~dora__edge_bit(edge), memory_order_relaxed);
    dora__in_order();
    atomic_store_explicit(
        &edge->dropped[ring],
        atomic_load_explicit(&edge->dropped[ring], memory_order_relaxed) + 1,
        memory_order_relaxed);
    dora__in_order();
    return true;
}

/* Appends; there is room. */
static inline void
dora__ring_put(struct dora__control *control, struct dora__shared_node *node,
               struct dora__edge *edge, unsigned ring, uint32_t record)
{
    uint64_t tail =
        atomic_load_explicit(&edge->tail[ring], memory_order_relaxed);

    atomic_store_explicit(
        &node->intent,
        dora__intent_pack(DORA__INTENT_PUSH, ring, edge->bit, record, tail),
        memory_order_relaxed);
    dora__in_order();
    atomic_fetch_or_explicit(&dora__record_of(control, record)->holders,
                             dora__edge_bit(edge), memory_order_relaxed);
    dora__in_order();
    atomic_store_explicit(
        &dora__slots_of(control, edge, ring)[tail & edge->slot_mask], record,
        memory_order_relaxed);
    dora__in_order();
    /* Pairs with the consumer's load of the tail: fields and payload too. */
    atomic_store_explicit(&edge->tail[ring], tail + 1, memory_order_release);
    dora__in_order();
}

/* What a producer remembers of the heads: they only grow, so an old one errs
 * on the safe side and saves fetching the consumer's line. */
struct dora__seen {
    uint64_t position[DORA__RINGS];
};

/* Messages in both rings, at most: exact when it reaches the bound. */
static inline uint64_t
dora__edge_fill(const struct dora__edge *edge, struct dora__seen *seen)
{
    unsigned rings = dora__edge_rings(edge);
    uint64_t fill = 0;

    for (unsigned ring = 0; ring < rings; ring++)
        fill += atomic_load_explicit(&edge->tail[ring], memory_order_relaxed) -
                seen->position[ring];
    if (fill < edge->bound)
        return fill;

    fill = 0;
    for (unsigned ring = 0; ring < rings; ring++) {
        /* Pairs with the consumer's CAS: its read of a slot is over before the
         * slot is written again. */
        seen->position[ring] = dora__position(
            atomic_load_explicit(&edge->head[ring], memory_order_acquire));
        fill += atomic_load_explicit(&edge->tail[ring], memory_order_relaxed) -
                seen->position[ring];
    }
    return fill;
}

enum dora__pushed { DORA__PUSHED, DORA__PUSH_REFUSED, DORA__PUSH_FULL };

static inline void
dora__edge_refuse(struct dora__edge *edge)
{
    atomic_store_explicit(
        &edge->refused,
        atomic_load_explicit(&edge->refused, memory_order_relaxed) + 1,
        memory_order_relaxed);
}

/* Queues the record on an edge: makes room where messages may be dropped
 * (oldest ordinary first; an ordinary newcomer never displaces a protected
 * one), reports FULL where they may not. */
static inline enum dora__pushed
dora__edge_push(struct dora__control *control, struct dora__shared_node *node,
                struct dora__edge *edge, struct dora__seen *seen,
                uint32_t record, bool is_protected)
{
    unsigned ring = is_protected && dora__edge_rings(edge) == 2
                        ? DORA__PROTECTED
                        : DORA__ORDINARY;

    while (dora__edge_fill(edge, seen) >= edge->bound) {
        if (edge->flags & DORA__EDGE_BACKPRESSURE)
            return DORA__PUSH_FULL;
        if (seen->position[DORA__ORDINARY] !=
            atomic_load_explicit(&edge->tail[DORA__ORDINARY],
                                 memory_order_relaxed)) {
            (void)dora__ring_drop(control, node, edge, DORA__ORDINARY);
        } else if (ring == DORA__ORDINARY) {
            dora__edge_refuse(edge);
            return DORA__PUSH_REFUSED;
        } else {
            (void)dora__ring_drop(control, node, edge, DORA__PROTECTED);
        }
    }
    dora__ring_put(control, node, edge, ring, record);
    return DORA__PUSHED;
}

/* Takes all ordinary messages of an edge back. */
static inline void
dora__edge_flush(struct dora__control *control, struct dora__shared_node *node,
                 struct dora__edge *edge)
{
    while (
        dora__position(atomic_load_explicit(&edge->head[DORA__ORDINARY],
                                            memory_order_acquire)) !=
        atomic_load_explicit(&edge->tail[DORA__ORDINARY], memory_order_relaxed))
        (void)dora__ring_drop(control, node, edge, DORA__ORDINARY);
}

/* --- popping: the consumer --------------------------------------------------
 */

/* The oldest message of an edge as it looked at one instant. */
struct dora__front {
    uint64_t head[DORA__RINGS], tail[DORA__RINGS];
    uint64_t time;
    uint32_t record; /* DORA__NONE: both rings were empty */
    unsigned ring;
};

static inline uint32_t
dora__front_slot(struct dora__control *control, const struct dora__edge *edge,
                 const struct dora__front *front, unsigned ring)
{
    return atomic_load_explicit(
        &dora__slots_of(
            control, edge,
            ring)[dora__position(front->head[ring]) & edge->slot_mask],
        memory_order_relaxed);
}

/* Whether a ring still looks as it did: the same head, and still empty if it
 * was. Comes after an acquire fence that follows the reads it vouches for. */
static inline bool
dora__front_holds(const struct dora__edge *edge,
                  const struct dora__front *front, unsigned ring)
{
    if (atomic_load_explicit(&edge->head[ring], memory_order_acquire) !=
        front->head[ring])
        return false;
    return dora__position(front->head[ring]) != front->tail[ring] ||
           atomic_load_explicit(&edge->tail[ring], memory_order_acquire) ==
               front->tail[ring];
}

/* Looks at both rings. The send time may be a later message's if the front was
 * dropped meanwhile: dora__front_pop finds that out for the one popped,
 * dora__front_holds for the others. */
static inline void
dora__edge_look(struct dora__control *control, const struct dora__edge *edge,
                struct dora__front *ret_front)
{
    unsigned rings = dora__edge_rings(edge);
    uint64_t seq[DORA__RINGS] = {UINT64_MAX, UINT64_MAX};
    uint32_t record[DORA__RINGS] = {(uint32_t)DORA__NONE, (uint32_t)DORA__NONE};

again:
    ret_front->head[1] = ret_front->tail[1] = 0;
    for (unsigned ring = 0; ring < rings; ring++) {
        /* Pairs with dora__ring_drop's CAS, */
        ret_front->head[ring] =
            atomic_load_explicit(&edge->head[ring], memory_order_acquire);
        /* and with the last store of dora__ring_put. */
        ret_front->tail[ring] =
            atomic_load_explicit(&edge->tail[ring], memory_order_acquire);
        if (ret_front->tail[ring] == dora__position(ret_front->head[ring])) {
            record[ring] = (uint32_t)DORA__NONE;
            seq[ring] = UINT64_MAX;
            continue;
        }
        record[ring] = dora__front_slot(control, edge, ret_front, ring);
        seq[ring] = atomic_load_explicit(
            &dora__record_of(control, record[ring])->seq, memory_order_relaxed);
    }
    ret_front->ring = seq[1] < seq[0] ? 1 : 0;
    ret_front->record = record[ret_front->ring];
    if (ret_front->record == (uint32_t)DORA__NONE)
        return;
    ret_front->time =
        atomic_load_explicit(&dora__record_of(control, ret_front->record)->time,
                             memory_order_relaxed);
    if (rings == 2) {
        /* Pairs with the release of whoever moved the head. */
        dora__fence_acquire();
        if (!dora__front_holds(edge, ret_front, 1 - ret_front->ring))
            goto again;
    }
}

/* Takes the front. True: the record is the consumer's through the edge's bit,
 * its fields and payload are those that were sent. False: it was dropped. */
static inline bool
dora__front_pop(struct dora__edge *edge, const struct dora__front *front)
{
    uint64_t head = front->head[front->ring];

    /* Release keeps the read of the slot before it: pairs with the acquire
     * loads of dora__edge_fill and dora__ring_drop. */
    return atomic_compare_exchange_strong_explicit(
        &edge->head[front->ring], &head, head + 2, memory_order_acq_rel,
        memory_order_relaxed);
}

/* The consumer is done with a record: neither it nor its payload may be
 * touched after. Pairs with the acquire load of a reclaim. */
static inline void
dora__record_release(struct dora__record *record, uint64_t bit)
{
    atomic_fetch_and_explicit(&record->holders, ~bit, memory_order_release);
}

#endif
