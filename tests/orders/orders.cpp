/* orders.cpp - ring.h and bell.h under a checker of C11's memory model.
 *
 * Every atomic access is a point where another thread may go on, and a load
 * returns any value that the orders allow, old ones too. Payloads are plain
 * memory whose every access is checked to be ordered. A deadlock is a lost
 * wake-up. Schedules are drawn at random: silence is no proof, so orders.sh
 * weakens one order after the other and expects to hear of each. */
#include "ring.h"

/* Host side: the parts of plane_death.c that run beside the living. */
#define dora__now() INT64_C(0)

enum { RECORDS = 3, EDGES = 2, SLOTS = 2, MESSAGES = 3 };

/* One producer (node 0) with one output, up to two consumers (nodes 1, 2). */
struct arena {
    dora__control control;
    dora__shared_node nodes[EDGES + 1];
    dora__output output;
    dora__edge edges[EDGES];
    shared<uint32_t> slots[EDGES][DORA__RINGS * SLOTS];
    dora__record records[RECORDS];
    VAR_T(int) payload[RECORDS];
    int popped[EDGES];

    void
    place(unsigned edge_count, uint32_t bound, uint32_t flags)
    {
        char *base = (char *)&control;

        control.nodes_at = (char *)nodes - base;
        control.outputs_at = (char *)&output - base;
        control.edges_at = (char *)edges - base;
        control.records_at = (char *)records - base;
        output.first_record = 0;
        output.mask.store(edge_count == 2 ? 6 : 2, memory_order_relaxed);
        for (unsigned i = 0; i < EDGES; i++) {
            edges[i].bit = i + 1;
            edges[i].consumer = i + 1;
            edges[i].bound = bound;
            edges[i].slot_mask = SLOTS - 1;
            edges[i].flags = flags;
            edges[i].slots_at = (char *)slots[i] - base;
            popped[i] = 0;
            /* The low words wrap with the second message. */
            for (unsigned ring = 0; ring < DORA__RINGS; ring++) {
                edges[i].tail[ring].store(UINT32_MAX, memory_order_relaxed);
                edges[i].head[ring].store((uint64_t)UINT32_MAX << 1,
                                          memory_order_relaxed);
            }
        }
    }

    bool
    holds(unsigned edge, uint32_t record)
    {
        return records[record].holders.load(memory_order_relaxed) >>
                   edges[edge].bit &
               1;
    }
};

/* As the loan: a free record, or else wait for one to come back. */
static uint32_t
loan(arena &a, int message)
{
    for (;;) {
        for (uint32_t i = 0; i < RECORDS; i++)
            /* Pairs with dora__record_release. */
            if (a.records[i].holders.load(memory_order_acquire) == 0) {
                a.payload[i]($) = message;
                a.records[i].seq.store(message, memory_order_relaxed);
                a.records[i].time.store(message, memory_order_relaxed);
                a.records[i].holders.store(DORA__OWN_BIT, memory_order_release);
                return i;
            }
        rl::yield(1, $);
    }
}

static bool
has_room(arena &a, dora__edge &edge)
{
    dora__seen seen = {};

    return dora__edge_fill(&edge, &seen) < edge.bound;
}

/* As the send, from the gate to the release of the own bit. */
static void
send(arena &a, unsigned edge_count, uint32_t record, bool is_protected)
{
    dora__shared_node &me = a.nodes[0];
    static dora__seen fresh;

    dora__gate_enter(&me);
    for (unsigned i = 0; i < edge_count; i++) {
        dora__seen seen = fresh;

        while (dora__edge_push(&a.control, &me, &a.edges[i], &seen, record,
                               is_protected) == DORA__PUSH_FULL) {
            dora__gate_leave(&me);
            dora__bell_ring(&a.nodes[i + 1].bell);
            uint32_t word = dora__bell_arm(&me.bell);
            if (!has_room(a, a.edges[i]))
                (void)dora__bell_sleep(&me.bell, word, -1);
            dora__gate_enter(&me);
            seen = fresh;
        }
    }
    dora__gate_leave(&me);
    atomic_thread_fence(memory_order_seq_cst);
    for (unsigned i = 0; i < edge_count; i++)
        dora__bell_ring_fenced(&a.nodes[i + 1].bell);
    dora__record_release(&a.records[record], DORA__OWN_BIT);
}

static void
close(arena &a, unsigned edge_count)
{
    for (unsigned i = 0; i < edge_count; i++) {
        a.edges[i].state.store(DORA__EDGE_CLOSED, memory_order_release);
        dora__bell_ring(&a.nodes[i + 1].bell);
    }
}

/* Waits for a message and takes it. False: closed and empty. */
static bool
pop(arena &a, unsigned number, dora__front *front)
{
    dora__edge &edge = a.edges[number];
    dora__shared_node &me = a.nodes[edge.consumer];
    bool armed = false;
    uint32_t word = 0;

    for (;;) {
        uint32_t state = edge.state.load(memory_order_acquire);

        dora__edge_look(&a.control, &edge, front);
        if (front->record != (uint32_t)DORA__NONE) {
            if (dora__front_pop(&edge, front))
                return true;
        } else if (state != DORA__EDGE_OPEN) {
            return false;
        } else if (!armed) {
            word = dora__bell_arm(&me.bell);
            armed = true;
        } else {
            (void)dora__bell_sleep(&me.bell, word, -1);
            armed = false;
        }
    }
}

/* Takes up to `most` messages; every one is younger than the one before. */
static void
consume(arena &a, unsigned number, int most)
{
    dora__front front;
    int last = 0;

    while (a.popped[number] < most && pop(a, number, &front)) {
        if (a.edges[number].flags & DORA__EDGE_BACKPRESSURE)
            dora__bell_ring(&a.nodes[0].bell);
        int message = a.payload[front.record]($);

        a.popped[number]++;
        RL_ASSERT(message > last);
        RL_ASSERT(a.holds(number, front.record));
        last = message;
        dora__record_release(&a.records[front.record],
                             dora__edge_bit(&a.edges[number]));
    }
}

static int
exact_drops(dora__edge &edge)
{
    int drops = 0;

    for (unsigned ring = 0; ring < DORA__RINGS; ring++) {
        uint64_t dropped = edge.dropped[ring].load(memory_order_relaxed);

        drops +=
            (int)(dropped +
                  ((dropped ^ edge.head[ring].load(memory_order_relaxed)) & 1));
    }
    return drops;
}

static void
check_rest(arena &a, unsigned edge_count)
{
    for (unsigned i = 0; i < edge_count; i++)
        RL_ASSERT(a.popped[i] + exact_drops(a.edges[i]) +
                      (int)a.edges[i].refused.load(memory_order_relaxed) ==
                  MESSAGES);
    for (unsigned i = 0; i < RECORDS; i++)
        RL_ASSERT(a.records[i].holders.load(memory_order_relaxed) == 0);
}

/* The producer drops the oldest; the consumer sleeps when there is nothing. */
struct drop_oldest : rl::test_suite<drop_oldest, 2> {
    arena a;

    void
    before()
    {
        a.place(1, 1, 0);
    }
    void
    thread(unsigned index)
    {
        if (index == 1) {
            consume(a, 0, MESSAGES);
            return;
        }
        for (int i = 1; i <= MESSAGES; i++)
            send(a, 1, loan(a, i), false);
        close(a, 1);
    }
    void
    after()
    {
        check_rest(a, 1);
    }
};

/* Messages go through ordinary and protected rings in turn. */
struct two_rings : rl::test_suite<two_rings, 2> {
    arena a;

    void
    before()
    {
        a.place(1, 2, DORA__EDGE_TWO_RINGS);
    }
    void
    thread(unsigned index)
    {
        if (index == 1) {
            consume(a, 0, MESSAGES);
            return;
        }
        for (int i = 1; i <= MESSAGES; i++)
            send(a, 1, loan(a, i), i % 2);
        close(a, 1);
    }
    void
    after()
    {
        check_rest(a, 1);
    }
};

/* Producer and consumer sleep in turn; nothing is lost. */
struct backpressure : rl::test_suite<backpressure, 2> {
    arena a;

    void
    before()
    {
        a.place(1, 1, DORA__EDGE_BACKPRESSURE);
    }
    void
    thread(unsigned index)
    {
        if (index == 1) {
            consume(a, 0, MESSAGES);
            return;
        }
        for (int i = 1; i <= MESSAGES; i++)
            send(a, 1, loan(a, i), false);
        close(a, 1);
    }
    void
    after()
    {
        RL_ASSERT(a.popped[0] == MESSAGES);
        check_rest(a, 1);
    }
};

/* Two readers of the same records: memory is written again only when both
 * are done. */
struct fan_out : rl::test_suite<fan_out, 3> {
    arena a;

    void
    before()
    {
        a.place(2, 1, 0);
    }
    void
    thread(unsigned index)
    {
        if (index > 0) {
            consume(a, index - 1, MESSAGES);
            return;
        }
        for (int i = 1; i <= MESSAGES; i++)
            send(a, 2, loan(a, i), false);
        close(a, 2);
    }
    void
    after()
    {
        check_rest(a, 2);
    }
};

/* Drains an edge as the host does, under the producer's gate. */
static void
host_drains(arena &a, unsigned number)
{
    dora__shared_node &producer = a.nodes[0];
    dora__edge &edge = a.edges[number];

    while (!dora__gate_try_host(&producer))
        rl::yield(1, $);
    a.output.mask.store(0, memory_order_release);
    for (;;) {
        uint64_t head = edge.head[0].load(memory_order_acquire);
        uint64_t at = dora__position(head);

        if (at == edge.tail[0].load(memory_order_relaxed))
            break;
        uint32_t record =
            a.slots[number][at & edge.slot_mask].load(memory_order_relaxed);
        if (!edge.head[0].compare_exchange_strong(head, (head + 2) ^ 1,
                                                  memory_order_acq_rel,
                                                  memory_order_relaxed))
            continue;
        dora__record_release(&a.records[record], dora__edge_bit(&edge));
        edge.dropped[0].store(edge.dropped[0].load(memory_order_relaxed) + 1,
                              memory_order_relaxed);
    }
    dora__gate_leave_host(&producer);
}

/* The host takes an edge away from a producer that goes on sending. */
struct removal : rl::test_suite<removal, 3> {
    arena a;
    int sent;

    void
    before()
    {
        a.place(1, 1, 0);
        sent = 0;
    }
    void
    thread(unsigned index)
    {
        if (index == 1) {
            consume(a, 0, 1);
        } else if (index == 2) {
            host_drains(a, 0);
            close(a, 1);
        } else {
            for (int i = 1; i <= MESSAGES; i++)
                send_masked(loan(a, i));
        }
    }
    void
    send_masked(uint32_t record)
    {
        dora__seen seen = {};

        dora__gate_enter(&a.nodes[0]);
        if (a.output.mask.load(memory_order_relaxed) & 2) {
            (void)dora__edge_push(&a.control, &a.nodes[0], &a.edges[0], &seen,
                                  record, false);
            sent++;
        }
        dora__gate_leave(&a.nodes[0]);
        dora__bell_ring(&a.nodes[1].bell);
        dora__record_release(&a.records[record], DORA__OWN_BIT);
    }
    void
    after()
    {
        RL_ASSERT(a.popped[0] + exact_drops(a.edges[0]) == sent);
        for (unsigned i = 0; i < RECORDS; i++)
            RL_ASSERT(a.records[i].holders.load(memory_order_relaxed) == 0);
    }
};

template <typename suite>
static bool
run(const char *name, rl::test_params params)
{
    bool passed;

    params.execution_depth_limit = 20000;
    params.output_stream = params.progress_stream = &std::cerr;
    passed = rl::simulate<suite>(params);
    std::cout << name << ": "
              << (passed ? "ok" : rl::test_result_str(params.test_result))
              << " (" << params.stop_iteration << " schedules)" << std::endl;
    return passed;
}

/* orders [DRAWS [WEAKENING]] */
int
main(int argc, char **argv)
{
    rl::test_params draw, switches;

    orders_weakening = argc > 2 ? atoi(argv[2]) : 0;
    draw.iteration_count = argc > 1 ? strtoul(argv[1], NULL, 10) : 20000;
    draw.search_type = rl::sched_random;
    /* What takes a long pause of one thread is never drawn: all schedules with
     * at most two switches, though without old values. */
    switches.search_type = rl::sched_bound;
    switches.context_bound = 2;
    return run<drop_oldest>("drop oldest", draw) &&
                   run<two_rings>("two rings", draw) &&
                   run<backpressure>("backpressure", draw) &&
                   run<fan_out>("fan out", draw) &&
                   run<removal>("removal", draw) &&
                   run<two_rings>("two rings, two switches", switches)
               ? 0
               : 1;
}
