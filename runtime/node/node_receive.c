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
 * Which offer is the oldest is found in node_offer.c.
 *
 * All of this runs under the receive lock. */
#include "node_private.h"
#include "plane/terminal.h"

#include <stdlib.h>
#include <string.h>

/* --- telling ------------------------------------------------------------- */

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
    int64_t sent;

    if (sample == NULL)
        return -ENOMEM;
    if (!dora__front_pop(in->edge, &in->front)) {
        dora__sample_return(node, sample);
        return 0;
    }
    begin_event(node, DORA_EVENT_INPUT, in, event);
    sent = (int64_t)atomic_load_explicit(&record->time, memory_order_relaxed);
    in->first->last_time = dora__flow_time(node->control, sent);
    event->sent_ns =
        sent + atomic_load_explicit(&record->to_utc, memory_order_relaxed);
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
    uint64_t tick = dora__next_tick(in->edge);

    begin_event(node, DORA_EVENT_INPUT, in, event);
    event->value = DORA_VALUE_NULL;
    event->sent_ns = dora__flow_moment(
        node->control, atomic_load_explicit(&node->control->started_utc,
                                            memory_order_relaxed) +
                           (int64_t)tick * in->edge->period_ns);
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
    if (--in->first->open > 0)
        return 0;
    if (in->first->broken) /* it was told when the input fell silent */
        return 0;
    begin_event(node, DORA_EVENT_INPUT_CLOSED, in, event);
    return 1;
}

/* The producer is back, at most after it was told to be gone. */
void
dora__input_reopen(struct dora_node *node, struct dora__in *in,
                   uint32_t restarts)
{
    in->restarts_told = restarts;
    if (in->closed_told &&
        atomic_load_explicit(&in->edge->state, memory_order_acquire) ==
            DORA__EDGE_OPEN) {
        in->closed_told = false;
        in->first->open++;
        node->open_count++;
    }
}

static int
tell_restarted(struct dora_node *node, uint32_t number,
               struct dora_event *event)
{
    struct dora__in *in = &node->ins[number];
    struct dora__source *source = &node->sources[in->source];

    dora__input_reopen(
        node, in,
        atomic_load_explicit(&in->edge->restarts, memory_order_relaxed));
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
tell(struct dora_node *node, const struct dora__offer *offer,
     struct dora_event *event)
{
    struct dora__in *in = &node->ins[offer->in];

    switch (offer->what) {
    case DORA__MESSAGE:
        return tell_message(node, offer->in, event);
    case DORA__TICK:
        return tell_tick(node, offer->in, event);
    case DORA__RECOVERED:
    case DORA__TIMED_OUT:
        in->first->broken = offer->what == DORA__TIMED_OUT;
        begin_event(node,
                    in->first->broken ? DORA_EVENT_INPUT_CLOSED
                                      : DORA_EVENT_INPUT_RECOVERED,
                    in, event);
        return 1;
    case DORA__CLOSED:
        return tell_closed(node, offer->in, event);
    case DORA__RESTARTED:
        return tell_restarted(node, offer->in, event);
    case DORA__STOP_MANUAL:
    case DORA__STOP_ALL_CLOSED:
        return tell_stop(node, offer->what == DORA__STOP_MANUAL, event);
    case DORA__NOTHING:
        break;
    case DORA__END:
        node->ended = true;
        return -EPIPE;
    }
    return 0;
}

/* The host sleeps on its descriptors, not on a bell. */
static void
tell_of_room(struct dora_node *node, const struct dora__edge *edge)
{
    dora__bell_ring(&dora__node_of(node->control, edge->producer)->bell);
    /* After the fence of the ring; pairs with that of
     * dora__plane_await_room. */
    if ((edge->flags & DORA__EDGE_ECHO) &&
        atomic_load_explicit(&node->control->echo_waits, memory_order_relaxed))
        dora__node_ring_host(node);
}

/* How often it asked: wraps to 1, since 0 says that it never did. */
static void
count_question(struct dora_node *node)
{
    uint32_t next =
        atomic_load_explicit(&node->shared->asked, memory_order_relaxed) + 1;

    atomic_store_explicit(&node->shared->asked, next != 0 ? next : 1,
                          memory_order_relaxed);
}

int
dora__inputs_take(struct dora_node *node, struct dora_event *ret_event)
{
    struct dora__offer offer;
    int64_t deadline;
    int told;

    if (!dora__node_alive(node))
        return -ECHILD;
    (void)pthread_mutex_lock(&node->receive);
    count_question(node);
    do {
        offer = dora__inputs_choose(node, &deadline);
        told = tell(node, &offer, ret_event);
    } while (told == 0 && offer.what != DORA__NOTHING);
    (void)pthread_mutex_unlock(&node->receive);
    if (told == 1 && offer.what == DORA__MESSAGE &&
        (node->ins[offer.in].edge->flags & DORA__EDGE_BACKPRESSURE))
        tell_of_room(node, node->ins[offer.in].edge);
    return told;
}

/* --- beginning ----------------------------------------------------------- */

static int
add_input(struct dora__source *source, const char *id)
{
    const char **inputs =
        realloc(source->inputs, (source->input_count + 1) * sizeof *inputs);

    if (inputs == NULL)
        return -ENOMEM;
    inputs[source->input_count++] = id;
    source->inputs = inputs;
    return 0;
}

static int
init_source(struct dora_node *node, struct dora__in *in)
{
    uint32_t number = 0;
    struct dora__source *source;

    while (number < node->source_count &&
           node->sources[number].node != in->edge->about)
        number++;
    source = &node->sources[number];
    if (number == node->source_count)
        node->source_count++;
    source->node = in->edge->about;
    source->restarts_told = in->restarts_told;
    in->source = number;
    if (in->first != in) /* told of once */
        return 0;
    return add_input(source, dora__text_at(node->control, in->edge->id));
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
init_in(struct dora_node *node, struct dora__in *in, struct dora__in *first,
        struct dora__edge *edge)
{
    in->edge = edge;
    in->first = in->other = first;
    first->other = in;
    node->has_others |= edge->kind != DORA__EDGE_DATA;
    node->needs_clock |= edge->kind == DORA__EDGE_TIMER || edge->timeout_ns > 0;
    if (edge->kind == DORA__EDGE_TIMER)
        return 0;
    in->held_limit = held_limit(node, edge);
    if (edge->kind == DORA__EDGE_LOGS)
        return 0;
    node->data_count++;
    node->open_count++;
    first->open++;
    in->restarts_told =
        atomic_load_explicit(&edge->restarts, memory_order_acquire);
    return init_source(node, in);
}

/* A restarted node joins the running grid: ticks it was not there for are
 * dropped when it first looks. */
int
dora__inputs_init(struct dora_node *node, struct dora_error *err)
{
    uint32_t inputs = node->shared->input_count, count = inputs;
    int failed = 0;

    node->ins = calloc(2 * (size_t)inputs + 1, sizeof *node->ins);
    node->sources = calloc(inputs + 1, sizeof *node->sources);
    if (node->ins == NULL || node->sources == NULL)
        failed = -ENOMEM;
    for (uint32_t i = 0; failed == 0 && i < inputs; i++) {
        struct dora__in *first = &node->ins[i];
        struct dora__edge *edge =
            dora__edge_of(node->control, node->shared->first_input + i);
        struct dora__edge *twin = dora__edge_twin(node->control, edge);

        failed = init_in(node, first, first, edge);
        if (failed == 0 && twin != NULL)
            failed = init_in(node, &node->ins[count++], first, twin);
    }
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
