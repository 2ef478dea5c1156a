/* plane.c - makes the shared memory of a dataflow from its plan, and what the
 * host says to all nodes at once: open, stop, fail.
 *
 *     WAITING -> RUNNING   the barrier opens         [dora__plane_open]
 *     WAITING -> FAILED    it never will             [dora__plane_fail]
 *     WAITING, RUNNING -> STOPPING                   [dora__plane_stop]
 *     RUNNING -> STOPPING  a node asks for it        [dora__node_stop_all]
 *     RUNNING -> OVER      all who keep it up ended  [dora__plane_over]
 *
 * 1. The control file has its final size from the beginning. All of it but the
 *    records is usable at once; of the records, each output's first chunk.
 * 2. A state is published before the bells are rung, and the host's ring wakes
 *    unconditionally: a stop cannot be lost, overtaken or squeezed out. */
#include "plane.h"

#include "bell.h"
#include "graph/plan.h"
#include "layout.h"
#include "segment.h"
#include "terminal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>

_Static_assert((int)DORA__INPUT_DATA == (int)DORA__EDGE_DATA &&
                   (int)DORA__INPUT_TIMER == (int)DORA__EDGE_TIMER &&
                   (int)DORA__INPUT_LOGS == (int)DORA__EDGE_LOGS,
               "edges are what the graph says");

static uint64_t
round_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

/* --- texts ------------------------------------------------------------------
 */

/* Written twice: first to nowhere, for the size. */
struct texts {
    char *control; /* NULL: only count */
    uint64_t at;
};

static uint64_t
put_text(struct texts *texts, const char *text)
{
    uint64_t at = texts->at;
    size_t size = text == NULL ? 1 : strlen(text) + 1;

    if (texts->control != NULL)
        memcpy(texts->control + at, text == NULL ? "" : text, size);
    texts->at += size;
    return at;
}

static void
name_input(struct dora__control *control, uint32_t number, uint64_t id,
           uint64_t source)
{
    struct dora__edge *edge = dora__edge_of(control, number);

    edge->id = id;
    edge->source = source;
    if (edge->twin != (uint32_t)DORA__NONE)
        name_input(control, edge->twin, id, source);
}

static void
put_node_texts(struct texts *texts, struct dora__control *control,
               const struct dora__plan *plan, uint32_t number)
{
    const struct dora__plan_node *planned = &plan->nodes[number];
    const struct dora__graph_node *node = dora__plan_node_of(plan, number);
    uint64_t id = put_text(texts, node->id);
    uint64_t config = put_text(texts, node->config);

    if (control != NULL) {
        dora__node_of(control, number)->id = id;
        dora__node_of(control, number)->config = config;
    }
    for (uint32_t i = 0; i < planned->output_count; i++) {
        id = put_text(texts, node->outputs[i].id);
        if (control != NULL)
            dora__output_of(control, planned->first_output + i)->id = id;
    }
    for (uint32_t i = 0; i < planned->input_count; i++) {
        id = put_text(texts, node->inputs[i].id);
        uint64_t source = put_text(texts, node->inputs[i].source);

        if (control != NULL)
            name_input(control, planned->first_input + i, id, source);
    }
}

/* Returns the place after the texts. */
static uint64_t
put_texts(struct dora__control *control, uint64_t at,
          const struct dora__plan *plan, const char *id)
{
    struct texts texts = {.control = (char *)control, .at = at};
    uint64_t flow_id = put_text(&texts, id);
    uint64_t descriptor = put_text(&texts, plan->graph->descriptor);

    if (control != NULL) {
        control->id = flow_id;
        control->descriptor = descriptor;
    }
    for (uint32_t node = 0; node < plan->node_count; node++)
        put_node_texts(&texts, control, plan, node);
    return texts.at;
}

/* --- places -----------------------------------------------------------------
 */

static uint64_t
ring_bytes(const struct dora__plan_input *input)
{
    if (input->kind == DORA__INPUT_TIMER)
        return 0;
    return round_up((uint64_t)input->ring_slots * sizeof(uint32_t) *
                        (input->two_rings ? 2 : 1),
                    DORA__LINE);
}

/* Where everything lies; `control` is only a sheet of paper here. */
static void
place(const struct dora__plan *plan, const char *id,
      struct dora__control *control, uint64_t *ret_slots_at,
      uint64_t *ret_texts_at)
{
    uint64_t at = round_up(sizeof *control, DORA__LINE);
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

    control->magic = DORA__MAGIC;
    control->format = DORA__FORMAT;
    control->flags =
        plan->exit_when_nodes_finish ? DORA__EXIT_WHEN_NODES_FINISH : 0;
    control->heaps_size = plan->heaps_size > page ? plan->heaps_size : page;
    control->budget = plan->budget;
    control->node_count = plan->node_count;
    control->output_count = plan->output_count;
    control->edge_count = plan->edge_count;
    control->record_count = plan->record_count;
    control->nodes_at = at;
    at += (uint64_t)plan->node_count * sizeof(struct dora__shared_node);
    control->outputs_at = at;
    at += (uint64_t)plan->output_count * sizeof(struct dora__output);
    control->edges_at = at;
    at += (uint64_t)plan->edge_count * sizeof(struct dora__edge);
    *ret_slots_at = at;
    for (uint32_t i = 0; i < plan->edge_count; i++)
        at += ring_bytes(&plan->inputs[i]);
    control->failures_at = at;
    at += (uint64_t)plan->node_count * DORA__FAILURE_SIZE;
    *ret_texts_at = at;
    control->records_at = round_up(put_texts(NULL, at, plan, id), page);
    control->size =
        round_up(control->records_at +
                     (uint64_t)plan->record_count * sizeof(struct dora__record),
                 page);
}

static void
fill_nodes(struct dora__control *control, const struct dora__plan *plan)
{
    for (uint32_t i = 0; i < plan->node_count; i++) {
        const struct dora__plan_node *from = &plan->nodes[i];
        struct dora__shared_node *to = dora__node_of(control, i);

        to->first_input = from->first_input;
        to->input_count = from->input_count;
        to->first_output = from->first_output;
        to->output_count = from->output_count;
        to->heap_at = from->heap_at;
        to->heap_range = from->heap_range;
        to->heap_limit = from->heap_limit;
        to->prefault = from->prefault;
        to->heap_wait = from->heap_wait;
        atomic_init(&to->apart,
                    dora__graph_is_dynamic(dora__plan_node_of(plan, i)));
    }
}

static uint32_t
first_records(const struct dora__plan_output *output)
{
    return output->record_limit < DORA__FIRST_RECORDS ? output->record_limit
                                                      : DORA__FIRST_RECORDS;
}

static void
fill_outputs(struct dora__control *control, const struct dora__plan *plan)
{
    for (uint32_t i = 0; i < plan->output_count; i++) {
        const struct dora__plan_output *from = &plan->outputs[i];
        struct dora__output *to = dora__output_of(control, i);

        to->node = from->node;
        to->first_record = from->first_record;
        to->record_limit = from->record_limit;
        to->subscriber_count = from->subscriber_count;
        atomic_init(&to->record_count, first_records(from));
        for (unsigned bit = 0; bit < DORA_COUNT(to->edge); bit++)
            to->edge[bit] = (uint32_t)DORA__NONE;
    }
}

static void
fill_edge(struct dora__control *control, const struct dora__plan *plan,
          uint32_t number, uint64_t slots_at)
{
    const struct dora__plan_input *from = &plan->inputs[number];
    struct dora__edge *to = dora__edge_of(control, number);

    to->kind = from->kind;
    to->producer = (uint32_t)DORA__NONE;
    to->output = (uint32_t)DORA__NONE;
    to->about = (uint32_t)DORA__NONE;
    to->twin = from->twin != 0 ? from->twin : (uint32_t)DORA__NONE;
    to->consumer = from->node;
    to->number = from->number;
    to->bound = from->bound;
    to->period_ns = from->period_ns;
    to->timeout_ns = from->timeout_ns;
    if (from->kind == DORA__INPUT_TIMER)
        return;

    struct dora__output *output = dora__output_of(control, from->output);

    to->output = from->output;
    to->producer = output->node;
    to->bit = from->bit;
    to->slot_mask = from->ring_slots - 1;
    to->slots_at = slots_at;
    if (from->kind == DORA__INPUT_DATA)
        to->about = from->echo ? from->about : to->producer;
    to->flags =
        (from->two_rings ? DORA__EDGE_TWO_RINGS : 0) |
        (from->backpressure ? DORA__EDGE_BACKPRESSURE : 0) |
        (from->echo || from->kind == DORA__INPUT_LOGS ? DORA__EDGE_ECHO : 0);
    if (dora__graph_is_dynamic(dora__plan_node_of(plan, to->producer)))
        to->flags |= DORA__EDGE_LASTING;
    output->edge[from->bit] = number;
    if (dora__graph_is_dynamic(&plan->graph->nodes[to->consumer]))
        return; /* from its coming on; see dora__plane_admit */
    atomic_init(&output->mask,
                atomic_load_explicit(&output->mask, memory_order_relaxed) |
                    dora__record_bit(from->bit));
}

static void
fill(struct dora__control *control, const struct dora__plan *plan,
     uint64_t slots_at)
{
    fill_nodes(control, plan);
    fill_outputs(control, plan);
    for (uint32_t i = 0; i < plan->edge_count; i++) {
        fill_edge(control, plan, i, slots_at);
        slots_at += ring_bytes(&plan->inputs[i]);
    }
}

/* --- making it ----------------------------------------------------------- */

static int
back_control(int fd, const struct dora__control *control,
             const struct dora__plan *plan)
{
    int failed = dora__segment_back(fd, 0, control->records_at);

    for (uint32_t i = 0; failed == 0 && i < plan->output_count; i++)
        failed = dora__segment_back(
            fd,
            control->records_at + plan->outputs[i].first_record *
                                      (uint64_t)sizeof(struct dora__record),
            first_records(&plan->outputs[i]) *
                (uint64_t)sizeof(struct dora__record));
    return failed;
}

static int
make_control(const struct dora__plan *plan, const char *id,
             struct dora__plane *plane, struct dora_error *err)
{
    struct dora__control sheet = {0};
    uint64_t slots_at, texts_at;
    void *memory;
    int failed;

    place(plan, id, &sheet, &slots_at, &texts_at);
    failed = dora__segment_create("dora-control", sheet.size,
                                  &plane->control_fd, err);
    if (failed < 0)
        return failed;
    failed = back_control(plane->control_fd, &sheet, plan);
    if (failed < 0)
        return dora__fail(err, -failed,
                          "no memory for the queues of the dataflow: %s",
                          strerror(-failed));
    failed = dora__segment_map(plane->control_fd, 0, sheet.size,
                               DORA__RIGHTS_WRITE, &memory, err);
    if (failed < 0)
        return failed;
    plane->control = memory;
    plane->control_size = sheet.size;
    memcpy(plane->control, &sheet, sizeof sheet);
    fill(plane->control, plan, slots_at);
    (void)put_texts(plane->control, texts_at, plan, id);
    return 0;
}

int
dora__plane_create(const struct dora__plan *plan, const char *id,
                   struct dora__plane *ret_plane, struct dora_error *err)
{
    struct dora__plane plane = {
        .control_fd = -1, .heaps_fd = -1, .heaps_ro_fd = -1, .doorbell_fd = -1};
    int failed = make_control(plan, id, &plane, err);

    if (failed == 0)
        failed = dora__segment_create("dora-heaps", plane.control->heaps_size,
                                      &plane.heaps_fd, err);
    if (failed == 0)
        failed = dora__segment_reopen(plane.heaps_fd, &plane.heaps_ro_fd, err);
    if (failed == 0) {
        plane.doorbell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (plane.doorbell_fd < 0)
            failed = dora__fail(err, errno, "cannot create an eventfd: %s",
                                strerror(errno));
    }
    if (failed < 0) {
        dora__plane_fini(&plane);
        return failed;
    }
    *ret_plane = plane;
    return 0;
}

void
dora__plane_fini(struct dora__plane *plane)
{
    dora__segment_unmap(plane->control, plane->control_size);
    plane->control = NULL;
    dora__close_fd(&plane->control_fd);
    dora__close_fd(&plane->heaps_fd);
    dora__close_fd(&plane->heaps_ro_fd);
    dora__close_fd(&plane->doorbell_fd);
    plane->control_fd = plane->heaps_fd = -1;
    plane->heaps_ro_fd = plane->doorbell_fd = -1;
}

struct dora__attachment
dora__plane_attachment(const struct dora__plane *plane, uint32_t node)
{
    return (struct dora__attachment){
        .control_fd = plane->control_fd,
        .heaps_fd = plane->heaps_fd,
        .heaps_ro_fd = plane->heaps_ro_fd,
        .doorbell_fd = plane->doorbell_fd,
        .node = node,
    };
}

/* --- states -------------------------------------------------------------- */

enum dora__node_state
dora__plane_node_state(const struct dora__plane *plane, uint32_t node)
{
    return atomic_load_explicit(&dora__node_of(plane->control, node)->state,
                                memory_order_acquire);
}

bool
dora__plane_node_joined(const struct dora__plane *plane, uint32_t node)
{
    return atomic_load_explicit(&dora__node_of(plane->control, node)->joined,
                                memory_order_acquire) != 0;
}

enum dora__flow_state
dora__plane_state(const struct dora__plane *plane)
{
    return atomic_load_explicit(&plane->control->state, memory_order_acquire);
}

static void
ring_everybody(struct dora__control *control)
{
    for (uint32_t node = 0; node < control->node_count; node++)
        dora__bell_ring_always(&dora__node_of(control, node)->bell);
}

/* WAITING -> `state`. */
static bool
leave_waiting(struct dora__control *control, uint32_t state)
{
    uint32_t found = DORA__FLOW_WAITING;

    /* Pairs with the acquire loads of the nodes: what was written before. */
    return atomic_compare_exchange_strong_explicit(&control->state, &found,
                                                   state, memory_order_seq_cst,
                                                   memory_order_relaxed);
}

void
dora__plane_open(struct dora__plane *plane)
{
    struct dora__control *control = plane->control;
    int64_t now;

    if (dora__plane_state(plane) != DORA__FLOW_WAITING)
        return;
    now = dora__flow_time(control, dora__now());
    atomic_store_explicit(&control->started_at, now, memory_order_relaxed);
    atomic_store_explicit(&control->started_utc, now + dora__utc_offset(),
                          memory_order_relaxed);
    if (leave_waiting(control, DORA__FLOW_RUNNING))
        /* Pairs with the acquire load of dora__node_join. */
        atomic_store_explicit(&control->opened, 1, memory_order_release);
    ring_everybody(control);
}

void
dora__plane_stop(struct dora__plane *plane)
{
    struct dora__control *control = plane->control;
    uint32_t found = DORA__FLOW_RUNNING;

    if (!leave_waiting(control, DORA__FLOW_STOPPING))
        (void)atomic_compare_exchange_strong_explicit(
            &control->state, &found, DORA__FLOW_STOPPING, memory_order_seq_cst,
            memory_order_relaxed);
    ring_everybody(control);
}

void
dora__plane_over(struct dora__plane *plane)
{
    uint32_t found = DORA__FLOW_RUNNING;

    (void)atomic_compare_exchange_strong_explicit(
        &plane->control->state, &found, DORA__FLOW_OVER, memory_order_seq_cst,
        memory_order_relaxed);
    ring_everybody(plane->control);
}

void
dora__plane_fail(struct dora__plane *plane, const char *culprit)
{
    struct dora__control *control = plane->control;
    struct dora_error line;

    if (dora__plane_state(plane) != DORA__FLOW_WAITING)
        return;
    dora__error_set(&line, "%.*s", DORA__FAILURE_SIZE - 1, culprit);
    memcpy(control->culprit, line.text, DORA__FAILURE_SIZE - 1);
    (void)leave_waiting(control, DORA__FLOW_FAILED);
    ring_everybody(control);
}

void
dora__plane_await_room(struct dora__plane *plane, bool wait)
{
    atomic_store_explicit(&plane->control->echo_waits, wait,
                          memory_order_relaxed);
    /* Pairs with the fence in tell_of_room. */
    dora__fence_full();
}

unsigned
dora_layout_version(void)
{
    return DORA__FORMAT;
}
