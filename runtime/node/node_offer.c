/* node_offer.c - which event is next: a look at all inputs, oldest first.
 *
 *  1. FIFO per edge, oldest first across edges. A message whose sender stamped
 *     it early and pushed it late can still come after a younger one of
 *     another producer.
 *  2. The state of an edge is read before its rings: when it was closed before
 *     it was found empty, it is.
 *  3. Timers are arithmetic on the grid that began when the barrier opened: no
 *     thread, no burst, at most the queue's bound of old ticks.
 *  4. Looking changes nothing but the number of ticks that are too old.
 *
 * All of this runs under the receive lock, but for the glance and the count. */
#include "node_private.h"
#include "plane/terminal.h"

enum { TRIES = 4 }; /* for an undisturbed look across edges */

/* --- time ---------------------------------------------------------------- */

static void
bring_forward(int64_t *deadline, int64_t time)
{
    if (*deadline < 0 || time < *deadline)
        *deadline = time;
}

/* Ticks of the grid that are due at `now`. */
static uint64_t
ticks_due(const struct dora_node *node, const struct dora__edge *edge,
          int64_t now)
{
    int64_t started =
        atomic_load_explicit(&node->control->started_at, memory_order_relaxed);

    /* Pairs with the release of dora__plane_open. */
    if (!atomic_load_explicit(&node->control->opened, memory_order_acquire) ||
        now < started)
        return 0;
    return (uint64_t)((now - started) / edge->period_ns) + 1;
}

static int64_t
tick_time(const struct dora_node *node, const struct dora__edge *edge,
          uint64_t tick)
{
    int64_t time;

    if (__builtin_mul_overflow(tick, edge->period_ns, &time) ||
        __builtin_add_overflow(time,
                               atomic_load_explicit(&node->control->started_at,
                                                    memory_order_relaxed),
                               &time))
        return INT64_MAX;
    return dora__flow_moment(node->control, time);
}

/* --- offers -------------------------------------------------------------- */

static void
offer_tick(struct dora_node *node, uint32_t number, int64_t now,
           struct dora__offer *offer, int64_t *deadline)
{
    struct dora__edge *edge = node->ins[number].edge;
    uint64_t due = ticks_due(node, edge, dora__flow_time(node->control, now));
    uint64_t next = dora__next_tick(edge);

    if (due <= next) {
        if (atomic_load_explicit(&node->control->opened,
                                 memory_order_relaxed) &&
            !dora__flow_stands(node->control))
            bring_forward(deadline, tick_time(node, edge, next));
        return;
    }
    if (due - next > edge->bound) {
        uint64_t missed = due - next - edge->bound;

        atomic_store_explicit(
            &edge->dropped[DORA__ORDINARY],
            atomic_load_explicit(&edge->dropped[DORA__ORDINARY],
                                 memory_order_relaxed) +
                missed,
            memory_order_relaxed);
        next += missed;
        atomic_store_explicit(&edge->head[DORA__ORDINARY], next << 1,
                              memory_order_relaxed);
    }
    *offer = (struct dora__offer){
        .what = DORA__TICK, .in = number, .time = tick_time(node, edge, next)};
}

/* Whether all that was sent before the producer's death is taken. */
static bool
past_restart(const struct dora__in *in)
{
    for (unsigned ring = 0; ring < dora__edge_rings(in->edge); ring++)
        if ((int64_t)(dora__position(in->front.head[ring]) -
                      atomic_load_explicit(&in->edge->restart_at[ring],
                                           memory_order_relaxed)) < 0)
            return false;
    return true;
}

/* A restart that concerns this input and was not told for another one. */
static bool
restart_due(struct dora_node *node, struct dora__in *in)
{
    /* Pairs with the release of mark_restart; read after the look, since a
     * message of the new incarnation comes with it. */
    uint32_t restarts =
        atomic_load_explicit(&in->edge->restarts, memory_order_acquire);

    if (restarts == in->restarts_told || !past_restart(in))
        return false;
    if (node->sources[in->source].restarts_told != restarts)
        return true;
    dora__input_reopen(node, in, restarts);
    return false;
}

static bool
is_queued(const struct dora__edge *edge)
{
    for (unsigned ring = 0; ring < dora__edge_rings(edge); ring++)
        if (atomic_load_explicit(&edge->tail[ring], memory_order_relaxed) !=
            dora__position(
                atomic_load_explicit(&edge->head[ring], memory_order_relaxed)))
            return true;
    return false;
}

static void
offer_timeout(struct dora__control *control, const struct dora__in *in,
              uint32_t number, int64_t now, struct dora__offer *offer,
              int64_t *deadline)
{
    const struct dora__in *first = in->first;
    int64_t due, moment;

    if (in->edge->timeout_ns == 0 || first->last_time == 0 || first->broken ||
        is_queued(in->other->edge))
        return;
    if (__builtin_add_overflow(first->last_time, in->edge->timeout_ns, &due))
        return;
    moment = dora__flow_moment(control, due);
    if (dora__flow_time(control, now) >= due)
        *offer = (struct dora__offer){
            .what = DORA__TIMED_OUT, .in = number, .time = moment};
    else if (!dora__flow_stands(control))
        bring_forward(deadline, moment);
}

static void
offer_message(struct dora_node *node, uint32_t number, int64_t now,
              struct dora__offer *offer, int64_t *deadline)
{
    struct dora__in *in = &node->ins[number];
    /* Before the look; pairs with the release of whoever closes. */
    uint32_t state =
        atomic_load_explicit(&in->edge->state, memory_order_acquire);

    dora__edge_look(node->control, in->edge, &in->front);
    if (restart_due(node, in)) {
        *offer = (struct dora__offer){
            .what = DORA__RESTARTED,
            .in = number,
            .time = atomic_load_explicit(&in->edge->restart_time,
                                         memory_order_relaxed),
        };
    } else if (in->front.record != (uint32_t)DORA__NONE) {
        *offer = (struct dora__offer){
            .what = in->first->broken ? DORA__RECOVERED : DORA__MESSAGE,
            .in = number,
            .time = (int64_t)in->front.time};
    } else if (state == DORA__EDGE_OPEN) {
        offer_timeout(node->control, in, number, now, offer, deadline);
    } else if (!in->closed_told) {
        *offer = (struct dora__offer){
            .what = DORA__CLOSED,
            .in = number,
            .time = atomic_load_explicit(&in->edge->closed_time,
                                         memory_order_relaxed),
        };
    }
}

/* After STOP: only what was queued then, where nothing may be lost. */
static void
offer_backlog(struct dora_node *node, uint32_t number,
              struct dora__offer *offer)
{
    struct dora__in *in = &node->ins[number];

    if (!in->has_backlog)
        return;
    dora__edge_look(node->control, in->edge, &in->front);
    in->has_backlog = in->front.record != (uint32_t)DORA__NONE &&
                      (int64_t)(dora__position(in->front.head[in->front.ring]) -
                                in->backlog[in->front.ring]) < 0;
    if (in->has_backlog)
        *offer = (struct dora__offer){.what = DORA__MESSAGE,
                                      .in = number,
                                      .time = (int64_t)in->front.time};
}

static struct dora__offer
offer_of(struct dora_node *node, uint32_t number, int64_t now,
         int64_t *deadline)
{
    struct dora__offer offer = {.what = DORA__NOTHING};

    if (node->stop_told)
        offer_backlog(node, number, &offer);
    else if (node->ins[number].edge->kind == DORA__EDGE_TIMER)
        offer_tick(node, number, now, &offer, deadline);
    else
        offer_message(node, number, now, &offer, deadline);
    return offer;
}

/* --- choosing ------------------------------------------------------------ */

/* Whether the inputs not chosen still look as they did: only then is the choice
 * the oldest. */
static bool
undisturbed(const struct dora_node *node, uint32_t chosen)
{
    /* Pairs with the release of whoever moved a head. */
    dora__fence_acquire();
    for (uint32_t i = 0; i < node->in_count; i++) {
        const struct dora__in *in = &node->ins[i];

        if (i == chosen || in->edge->kind == DORA__EDGE_TIMER)
            continue;
        for (unsigned ring = 0; ring < dora__edge_rings(in->edge); ring++)
            if (!dora__front_holds(in->edge, &in->front, ring))
                return false;
    }
    return true;
}

static struct dora__offer
oldest(struct dora_node *node, int64_t *deadline)
{
    struct dora__offer best;

    for (unsigned try = 0; try < TRIES; try++) {
        int64_t now = node->needs_clock ? dora__now() : 0;

        best.what = DORA__NOTHING;
        *deadline = -1;
        for (uint32_t i = 0; i < node->in_count; i++) {
            struct dora__offer offer = offer_of(node, i, now, deadline);

            if (offer.what != DORA__NOTHING &&
                (best.what == DORA__NOTHING || offer.time < best.time))
                best = offer;
        }
        if (best.what == DORA__NOTHING || node->stop_told ||
            node->in_count == 1 || undisturbed(node, best.in))
            break;
    }
    return best;
}

static bool
all_closed(const struct dora_node *node)
{
    return node->data_count > 0 && node->open_count == 0 &&
           (!node->has_others ||
            (node->control->flags & DORA__EXIT_WHEN_NODES_FINISH));
}

/* The dataflow has ended by itself. */
static bool
is_over(const struct dora_node *node)
{
    return atomic_load_explicit(&node->control->state, memory_order_acquire) ==
           DORA__FLOW_OVER;
}

/* Whether an input has something to tell that was there before the end. */
static bool
has_remains(const struct dora_node *node)
{
    for (uint32_t i = 0; i < node->in_count; i++) {
        const struct dora__in *in = &node->ins[i];

        if (in->edge->kind == DORA__EDGE_TIMER)
            continue;
        if (is_queued(in->edge) ||
            ((atomic_load_explicit(&in->edge->state, memory_order_acquire) &
              DORA__EDGE_PHASE) == DORA__EDGE_CLOSED &&
             !in->closed_told))
            return true;
    }
    return false;
}

struct dora__offer
dora__inputs_choose(struct dora_node *node, int64_t *deadline)
{
    struct dora__offer best = {.what = DORA__END};
    bool over;

    *deadline = -1;
    if (node->ended ||
        atomic_load_explicit(&node->closed, memory_order_relaxed))
        return best;
    over = is_over(node);
    if (!node->stop_told && dora__node_stopping(node) && !over) {
        best.what = DORA__STOP_MANUAL;
        return best;
    }
    if (!node->stop_told && all_closed(node)) {
        best.what = DORA__STOP_ALL_CLOSED;
        return best;
    }
    if (!node->stop_told && over && !has_remains(node)) {
        best.what = DORA__STOP_MANUAL;
        return best;
    }
    best = oldest(node, deadline);
    if (best.what == DORA__NOTHING && node->stop_told)
        best.what = DORA__END;
    return best;
}

struct dora__offer
dora__inputs_look(struct dora_node *node, int64_t *ret_deadline)
{
    struct dora__offer offer;

    (void)pthread_mutex_lock(&node->receive);
    offer = dora__inputs_choose(node, ret_deadline);
    (void)pthread_mutex_unlock(&node->receive);
    return offer;
}

bool
dora__inputs_glance(const struct dora_node *node)
{
    for (uint32_t i = 0; i < node->in_count; i++)
        if (node->ins[i].edge->kind != DORA__EDGE_TIMER &&
            is_queued(node->ins[i].edge))
            return true;
    return dora__node_stopping(node);
}

size_t
dora_node_queued(struct dora_node *node)
{
    int64_t now = node->needs_clock ? dora__now() : 0;
    size_t queued = 0;

    for (uint32_t i = 0; i < node->in_count; i++) {
        const struct dora__edge *edge = node->ins[i].edge;

        if (edge->kind == DORA__EDGE_TIMER) {
            uint64_t due = ticks_due(node, edge,
                                     dora__flow_time(node->control, now)),
                     next = dora__next_tick(edge);
            uint64_t waiting = due > next ? due - next : 0;

            queued += waiting < edge->bound ? waiting : edge->bound;
            continue;
        }
        for (unsigned ring = 0; ring < dora__edge_rings(edge); ring++) {
            /* The head first: it never overtakes a tail read later. */
            uint64_t head = dora__position(
                atomic_load_explicit(&edge->head[ring], memory_order_acquire));

            queued +=
                atomic_load_explicit(&edge->tail[ring], memory_order_relaxed) -
                head;
        }
    }
    return queued;
}
