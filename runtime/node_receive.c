/* node_receive.c - what a node is told, and in which order.
 *
 * Stop, closed, failed, restarted are states the consumer looks at, not
 * messages: they cannot be lost, overtaken or squeezed out of a full queue.
 * Each input offers at most one event, with a time; the oldest offer is next:
 *
 *     a message          when it was sent
 *     INPUT_CLOSED       when it was closed, once its queue is empty; before
 *                        it, once per producer, NODE_FAILED
 *     NODE_RESTARTED     when that was, once what was sent before is taken
 *     a timer's tick     when it was due
 *
 * and apart from them STOP: MANUAL at once, then only what edges that never
 * lose anything had queued at that moment; ALL_INPUTS_CLOSED when nothing is
 * left to come.
 *
 *  1. FIFO per edge, oldest first across edges. A message whose sender stamped
 *     it early and pushed it late can still come after a younger one of
 *     another producer.
 *  2. The state of an edge is read before its rings: when it was closed before
 *     it was found empty, it is.
 *  3. Timers are arithmetic on the grid that began when the barrier opened: no
 *     thread, no burst, at most the queue's bound of old ticks.
 *
 * All of this runs under the receive lock. */
#include "node_private.h"

#include <stdlib.h>
#include <string.h>

enum what {
    NOTHING,
    MESSAGE,
    RECOVERED, /* first message after the input's timeout */
    TICK,
    TIMED_OUT,
    CLOSED,
    RESTARTED,
    STOP_MANUAL,
    STOP_ALL_CLOSED,
    END,
};

struct offer {
    enum what what;
    uint32_t in;
    int64_t time;
};

enum { TRIES = 4 }; /* for an undisturbed look across edges */

/* --- time
 * ------------------------------------------------------------------------ */

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
    return time;
}

static uint64_t
next_tick(const struct dora__edge *edge)
{
    return dora__position(atomic_load_explicit(&edge->head[DORA__ORDINARY],
                                               memory_order_relaxed));
}

/* --- offers
 * ---------------------------------------------------------------------- */

static void
offer_tick(struct dora_node *node, uint32_t number, int64_t now,
           struct offer *offer, int64_t *deadline)
{
    struct dora__edge *edge = node->ins[number].edge;
    uint64_t due = ticks_due(node, edge, now);
    uint64_t next = next_tick(edge);

    if (due <= next) {
        if (atomic_load_explicit(&node->control->opened, memory_order_relaxed))
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
    *offer = (struct offer){
        .what = TICK, .in = number, .time = tick_time(node, edge, next)};
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
    in->restarts_told = restarts;
    return false;
}

static void
offer_timeout(struct dora__in *in, uint32_t number, int64_t now,
              struct offer *offer, int64_t *deadline)
{
    int64_t due;

    if (in->edge->timeout_ns == 0 || in->last_time == 0 || in->broken)
        return;
    if (__builtin_add_overflow(in->last_time, in->edge->timeout_ns, &due))
        return;
    if (now < due)
        bring_forward(deadline, due);
    else
        *offer = (struct offer){.what = TIMED_OUT, .in = number, .time = due};
}

static void
offer_message(struct dora_node *node, uint32_t number, int64_t now,
              struct offer *offer, int64_t *deadline)
{
    struct dora__in *in = &node->ins[number];
    /* Before the look; pairs with the release of whoever closes. */
    uint32_t state =
        atomic_load_explicit(&in->edge->state, memory_order_acquire);

    dora__edge_look(node->control, in->edge, &in->front);
    if (restart_due(node, in)) {
        *offer = (struct offer){
            .what = RESTARTED,
            .in = number,
            .time = atomic_load_explicit(&in->edge->restart_time,
                                         memory_order_relaxed),
        };
    } else if (in->front.record != (uint32_t)DORA__NONE) {
        *offer = (struct offer){.what = in->broken ? RECOVERED : MESSAGE,
                                .in = number,
                                .time = (int64_t)in->front.time};
    } else if (state == DORA__EDGE_OPEN) {
        offer_timeout(in, number, now, offer, deadline);
    } else if (!in->closed_told) {
        *offer = (struct offer){
            .what = CLOSED,
            .in = number,
            .time = atomic_load_explicit(&in->edge->closed_time,
                                         memory_order_relaxed),
        };
    }
}

/* After STOP: only what was queued then, where nothing may be lost. */
static void
offer_backlog(struct dora_node *node, uint32_t number, struct offer *offer)
{
    struct dora__in *in = &node->ins[number];

    if (!in->has_backlog)
        return;
    dora__edge_look(node->control, in->edge, &in->front);
    in->has_backlog = in->front.record != (uint32_t)DORA__NONE &&
                      (int64_t)(dora__position(in->front.head[in->front.ring]) -
                                in->backlog[in->front.ring]) < 0;
    if (in->has_backlog)
        *offer = (struct offer){
            .what = MESSAGE, .in = number, .time = (int64_t)in->front.time};
}

static struct offer
offer_of(struct dora_node *node, uint32_t number, int64_t now,
         int64_t *deadline)
{
    struct offer offer = {.what = NOTHING};

    if (node->stop_told)
        offer_backlog(node, number, &offer);
    else if (node->ins[number].edge->kind == DORA__EDGE_DATA)
        offer_message(node, number, now, &offer, deadline);
    else if (node->ins[number].edge->kind == DORA__EDGE_TIMER)
        offer_tick(node, number, now, &offer, deadline);
    return offer;
}

/* --- choosing
 * -------------------------------------------------------------------- */

/* Whether the inputs not chosen still look as they did: only then is the choice
 * the oldest. */
static bool
undisturbed(const struct dora_node *node, uint32_t chosen)
{
    /* Pairs with the release of whoever moved a head. */
    atomic_thread_fence(memory_order_acquire);
    for (uint32_t i = 0; i < node->in_count; i++) {
        const struct dora__in *in = &node->ins[i];

        if (i == chosen || in->edge->kind != DORA__EDGE_DATA)
            continue;
        for (unsigned ring = 0; ring < dora__edge_rings(in->edge); ring++)
            if (!dora__front_holds(in->edge, &in->front, ring))
                return false;
    }
    return true;
}

static struct offer
oldest(struct dora_node *node, int64_t *deadline)
{
    struct offer best;

    for (unsigned try = 0; try < TRIES; try++) {
        int64_t now = node->needs_clock ? dora__now() : 0;

        best.what = NOTHING;
        *deadline = -1;
        for (uint32_t i = 0; i < node->in_count; i++) {
            struct offer offer = offer_of(node, i, now, deadline);

            if (offer.what != NOTHING &&
                (best.what == NOTHING || offer.time < best.time))
                best = offer;
        }
        if (best.what == NOTHING || node->stop_told || node->in_count == 1 ||
            undisturbed(node, best.in))
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

static struct offer
choose(struct dora_node *node, int64_t *deadline)
{
    struct offer best = {.what = END};

    *deadline = -1;
    if (node->ended ||
        atomic_load_explicit(&node->closed, memory_order_relaxed))
        return best;
    if (!node->stop_told && dora__node_stopping(node)) {
        best.what = STOP_MANUAL;
        return best;
    }
    if (!node->stop_told && all_closed(node)) {
        best.what = STOP_ALL_CLOSED;
        return best;
    }
    best = oldest(node, deadline);
    if (best.what == NOTHING && node->stop_told)
        best.what = END;
    return best;
}

bool
dora__inputs_look(struct dora_node *node, int64_t *ret_deadline)
{
    struct offer offer;

    (void)pthread_mutex_lock(&node->receive);
    offer = choose(node, ret_deadline);
    (void)pthread_mutex_unlock(&node->receive);
    return offer.what != NOTHING;
}

bool
dora__inputs_glance(const struct dora_node *node)
{
    for (uint32_t i = 0; i < node->in_count; i++) {
        const struct dora__edge *edge = node->ins[i].edge;

        if (edge->kind != DORA__EDGE_DATA)
            continue;
        for (unsigned ring = 0; ring < dora__edge_rings(edge); ring++)
            if (atomic_load_explicit(&edge->tail[ring], memory_order_relaxed) !=
                dora__position(atomic_load_explicit(&edge->head[ring],
                                                    memory_order_relaxed)))
                return true;
    }
    return dora__node_stopping(node);
}

/* --- telling
 * --------------------------------------------------------------------- */

static void
count_shown(struct dora__edge *edge)
{
    atomic_store_explicit(
        &edge->shown,
        atomic_load_explicit(&edge->shown, memory_order_relaxed) + 1,
        memory_order_relaxed);
}

static void
begin_event(struct dora_node *node, enum dora_event_type type,
            const struct dora__in *in, struct dora_event *event)
{
    *event = (struct dora_event){.type = type};
    if (in == NULL)
        return;
    event->id = dora__text_at(node->control, in->edge->id);
    event->input = in->edge->number;
}

/* 1; 0: it was dropped meanwhile, choose again; -ENOMEM: it stays queued. */
static int
tell_message(struct dora_node *node, uint32_t number, struct dora_event *event)
{
    struct dora__in *in = &node->ins[number];
    struct dora_sample *sample = dora__sample_new(node);
    const struct dora__record *record =
        dora__record_of(node->control, in->front.record);

    if (sample == NULL)
        return -ENOMEM;
    if (!dora__front_pop(in->edge, &in->front)) {
        dora__sample_return(node, sample);
        return 0;
    }
    begin_event(node, DORA_EVENT_INPUT, in, event);
    in->last_time =
        (int64_t)atomic_load_explicit(&record->time, memory_order_relaxed);
    event->sent_ns = in->last_time + atomic_load_explicit(&record->to_utc,
                                                          memory_order_relaxed);
    event->value = atomic_load_explicit(&record->value, memory_order_relaxed);
    dora__sample_fill(node, sample, number, in->front.record);
    event->sample = sample;
    event->data = sample->data;
    event->data_size = sample->size;
    event->metadata = sample->metadata;
    event->metadata_size = sample->metadata_size;
    count_shown(in->edge);
    return 1;
}

static int
tell_tick(struct dora_node *node, uint32_t number, struct dora_event *event)
{
    struct dora__in *in = &node->ins[number];
    uint64_t tick = next_tick(in->edge);

    begin_event(node, DORA_EVENT_INPUT, in, event);
    event->value = DORA_VALUE_NULL;
    event->sent_ns = atomic_load_explicit(&node->control->started_utc,
                                          memory_order_relaxed) +
                     (int64_t)tick * in->edge->period_ns;
    atomic_store_explicit(&in->edge->head[DORA__ORDINARY], (tick + 1) << 1,
                          memory_order_relaxed);
    count_shown(in->edge);
    return 1;
}

static int
tell_failed(struct dora_node *node, struct dora__source *source,
            struct dora_event *event)
{
    source->failed_told = true;
    begin_event(node, DORA_EVENT_NODE_FAILED, NULL, event);
    event->id = dora__text_at(node->control,
                              dora__node_of(node->control, source->node)->id);
    event->error = dora__failure_of(node->control, source->node);
    event->inputs = source->inputs;
    event->input_count = source->input_count;
    return 1;
}

static int
tell_closed(struct dora_node *node, uint32_t number, struct dora_event *event)
{
    struct dora__in *in = &node->ins[number];
    struct dora__source *source = &node->sources[in->source];
    uint32_t state =
        atomic_load_explicit(&in->edge->state, memory_order_acquire);

    if ((state & DORA__EDGE_FAILED) && !source->failed_told)
        return tell_failed(node, source, event);
    in->closed_told = true;
    node->open_count--;
    if (in->broken) /* it was told when the input fell silent */
        return 0;
    begin_event(node, DORA_EVENT_INPUT_CLOSED, in, event);
    return 1;
}

static int
tell_restarted(struct dora_node *node, uint32_t number,
               struct dora_event *event)
{
    struct dora__in *in = &node->ins[number];
    struct dora__source *source = &node->sources[in->source];

    in->restarts_told =
        atomic_load_explicit(&in->edge->restarts, memory_order_relaxed);
    source->restarts_told = in->restarts_told;
    begin_event(node, DORA_EVENT_NODE_RESTARTED, NULL, event);
    event->id = dora__text_at(node->control,
                              dora__node_of(node->control, source->node)->id);
    return 1;
}

static int
tell_stop(struct dora_node *node, bool manual, struct dora_event *event)
{
    begin_event(node, DORA_EVENT_STOP, NULL, event);
    event->id = manual ? "MANUAL" : "ALL_INPUTS_CLOSED";
    node->stop_told = true;
    node->ended = !manual;
    for (uint32_t i = 0; i < node->in_count; i++) {
        struct dora__in *in = &node->ins[i];

        in->has_backlog = (in->edge->flags & DORA__EDGE_BACKPRESSURE) != 0;
        for (unsigned ring = 0; ring < DORA__RINGS; ring++)
            /* Pairs with the last store of dora__ring_put. */
            in->backlog[ring] = atomic_load_explicit(&in->edge->tail[ring],
                                                     memory_order_acquire);
    }
    return 1;
}

static int
tell(struct dora_node *node, const struct offer *offer,
     struct dora_event *event)
{
    struct dora__in *in = &node->ins[offer->in];

    switch (offer->what) {
    case MESSAGE:
        return tell_message(node, offer->in, event);
    case TICK:
        return tell_tick(node, offer->in, event);
    case RECOVERED:
    case TIMED_OUT:
        in->broken = offer->what == TIMED_OUT;
        begin_event(node,
                    in->broken ? DORA_EVENT_INPUT_CLOSED
                               : DORA_EVENT_INPUT_RECOVERED,
                    in, event);
        return 1;
    case CLOSED:
        return tell_closed(node, offer->in, event);
    case RESTARTED:
        return tell_restarted(node, offer->in, event);
    case STOP_MANUAL:
    case STOP_ALL_CLOSED:
        return tell_stop(node, offer->what == STOP_MANUAL, event);
    case NOTHING:
        break;
    case END:
        node->ended = true;
        return -EPIPE;
    }
    return 0;
}

int
dora__inputs_take(struct dora_node *node, struct dora_event *ret_event)
{
    struct offer offer;
    int64_t deadline;
    int told;

    if (!dora__node_alive(node))
        return -ECHILD;
    if (!atomic_load_explicit(&node->shared->asked, memory_order_relaxed))
        atomic_store_explicit(&node->shared->asked, 1, memory_order_relaxed);
    (void)pthread_mutex_lock(&node->receive);
    do {
        offer = choose(node, &deadline);
        told = tell(node, &offer, ret_event);
    } while (told == 0 && offer.what != NOTHING);
    (void)pthread_mutex_unlock(&node->receive);
    if (told == 1 && offer.what == MESSAGE &&
        (node->ins[offer.in].edge->flags & DORA__EDGE_BACKPRESSURE))
        dora__bell_ring(
            &dora__node_of(node->control, node->ins[offer.in].edge->producer)
                 ->bell);
    return told;
}

size_t
dora_node_queued(struct dora_node *node)
{
    int64_t now = node->needs_clock ? dora__now() : 0;
    size_t queued = 0;

    for (uint32_t i = 0; i < node->in_count; i++) {
        const struct dora__edge *edge = node->ins[i].edge;

        if (edge->kind == DORA__EDGE_TIMER) {
            uint64_t due = ticks_due(node, edge, now), next = next_tick(edge);
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

/* --- beginning
 * -------------------------------------------------------------------- */

static int
init_source(struct dora_node *node, struct dora__in *in)
{
    uint32_t number = 0;
    struct dora__source *source;
    const char **inputs;

    while (number < node->source_count &&
           node->sources[number].node != in->edge->producer)
        number++;
    source = &node->sources[number];
    if (number == node->source_count)
        node->source_count++;
    source->node = in->edge->producer;
    source->restarts_told = in->restarts_told;
    inputs =
        realloc(source->inputs, (source->input_count + 1) * sizeof *inputs);
    if (inputs == NULL)
        return -ENOMEM;
    inputs[source->input_count++] = dora__text_at(node->control, in->edge->id);
    source->inputs = inputs;
    in->source = number;
    return 0;
}

static uint32_t
held_limit(struct dora_node *node, const struct dora__edge *edge)
{
    const struct dora__output *output =
        dora__output_of(node->control, edge->output);
    uint32_t readers =
        output->subscriber_count > 0 ? output->subscriber_count : 1;

    return output->record_limit / 2 / readers;
}

static int
init_in(struct dora_node *node, struct dora__in *in, struct dora__edge *edge)
{
    in->edge = edge;
    switch (edge->kind) {
    case DORA__EDGE_TIMER:
        node->has_others = node->needs_clock = true;
        return 0;
    case DORA__EDGE_DATA:
        break;
    default:
        node->has_others = true;
        return 0;
    }
    node->data_count++;
    node->open_count++;
    if (edge->timeout_ns > 0)
        node->needs_clock = true;
    in->restarts_told =
        atomic_load_explicit(&edge->restarts, memory_order_acquire);
    in->held_limit = held_limit(node, edge);
    return init_source(node, in);
}

/* A restarted node joins the running grid: ticks it was not there for are
 * dropped when it first looks. */
int
dora__inputs_init(struct dora_node *node, struct dora_error *err)
{
    uint32_t count = node->shared->input_count;
    int failed = 0;

    node->ins = calloc(count + 1, sizeof *node->ins);
    node->sources = calloc(count + 1, sizeof *node->sources);
    if (node->ins == NULL || node->sources == NULL)
        failed = -ENOMEM;
    for (uint32_t i = 0; failed == 0 && i < count; i++)
        failed = init_in(
            node, &node->ins[i],
            dora__edge_of(node->control, node->shared->first_input + i));
    if (failed < 0)
        return dora__fail(err, -failed, "no memory for the inputs of '%s'",
                          dora_node_id(node));
    node->in_count = count;
    return 0;
}

void
dora__inputs_fini(struct dora_node *node)
{
    for (uint32_t i = 0; i < node->source_count; i++)
        free(node->sources[i].inputs);
    free(node->sources);
    free(node->ins);
}
