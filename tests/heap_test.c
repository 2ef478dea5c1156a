/* heap_test.c - blocks never overlap, lie on backed units, and come back. */
#include "plane/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "fault.h"

enum { UNIT = DORA__HEAP_UNIT, MAX_BLOCKS = 600 };

/* --- the model: what the heap must be true to ---------------------------- */

struct model {
    struct dora__heap *heap;
    uint64_t limit, budget, backed;
    bool not_now; /* whoever asks is to ask again */
    bool *unit_backed;
    struct block {
        uint64_t at, size;
    } blocks[MAX_BLOCKS];
    size_t count;
    uint64_t used;
    uint64_t random;
    unsigned back_calls, unback_calls;
};

static uint64_t
next_random(struct model *m)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return m->random;
}

static void
switch_units(struct model *m, uint64_t at, uint64_t size, bool on)
{
    assert_int_equal(at % UNIT, 0);
    assert_true(size > 0 && size <= m->limit && at <= m->limit - size);
    assert_true(size % UNIT == 0 || at + size == m->limit);
    for (uint64_t i = at / UNIT; i * UNIT < at + size; i++) {
        assert_int_equal(m->unit_backed[i], !on);
        m->unit_backed[i] = on;
    }
    m->backed = on ? m->backed + size : m->backed - size;
}

static int
model_back(void *arg, uint64_t at, uint64_t size)
{
    struct model *m = arg;

    m->back_calls++;
    if (m->not_now)
        return -EAGAIN;
    if (m->backed + size > m->budget)
        return -EDQUOT;
    switch_units(m, at, size, true);
    return 0;
}

static void
model_unback(void *arg, uint64_t at, uint64_t size)
{
    struct model *m = arg;

    m->unback_calls++;
    for (size_t i = 0; i < m->count; i++)
        assert_true(m->blocks[i].at + m->blocks[i].size <= at ||
                    at + size <= m->blocks[i].at);
    switch_units(m, at, size, false);
}

static void
model_open(struct model *m)
{
    struct dora__heap_backer backer = {
        .back = model_back, .unback = model_unback, .arg = m};

    assert_int_equal(dora__heap_new(m->limit, &backer, &m->heap), 0);
}

static void
model_init(struct model *m, uint64_t limit, uint64_t budget)
{
    *m = (struct model){
        .limit = limit, .budget = budget, .random = 0x2545f4914f6cdd1d};
    m->unit_backed = calloc(limit / UNIT + 1, sizeof *m->unit_backed);
    assert_non_null(m->unit_backed);
    model_open(m);
}

static void
model_fini(struct model *m)
{
    m->heap = dora__heap_free(m->heap);
    free(m->unit_backed);
}

static void
model_compare(const struct model *m)
{
    struct dora__heap_usage usage = dora__heap_usage(m->heap);

    assert_true(dora__heap_check(m->heap));
    assert_int_equal(usage.used, m->used);
    assert_int_equal(usage.backed, m->backed);
    assert_true(usage.peak >= usage.used);
}

static int
model_take(struct model *m, uint64_t size)
{
    struct block *b = &m->blocks[m->count];
    int r = dora__heap_take(m->heap, size, &b->at);

    if (r < 0)
        return r;
    b->size = size ? (size + 63) / 64 * 64 : 64;
    assert_int_equal(b->at % 64, 0);
    assert_true(b->at <= m->limit && b->size <= m->limit - b->at);
    for (uint64_t i = b->at / UNIT; i * UNIT < b->at + b->size; i++)
        assert_true(m->unit_backed[i]);
    for (size_t i = 0; i < m->count; i++)
        assert_true(m->blocks[i].at + m->blocks[i].size <= b->at ||
                    b->at + b->size <= m->blocks[i].at);
    m->used += b->size;
    m->count++;
    return 0;
}

static void
model_give(struct model *m, size_t number)
{
    struct block *b = &m->blocks[number];

    dora__heap_give(m->heap, b->at);
    m->used -= b->size;
    *b = m->blocks[--m->count];
}

/* Longest run of bytes that no block touches. */
static uint64_t
model_longest_gap(const struct model *m)
{
    uint64_t at = 0, longest = 0;

    for (;;) {
        uint64_t next = m->limit, end = m->limit;

        for (size_t i = 0; i < m->count; i++)
            if (m->blocks[i].at >= at && m->blocks[i].at < next) {
                next = m->blocks[i].at;
                end = next + m->blocks[i].size;
            }
        if (next - at > longest)
            longest = next - at;
        if (next == m->limit)
            return longest;
        at = end;
    }
}

/* Log-uniform, 1 to `largest`. */
static uint64_t
random_size(struct model *m, uint64_t largest)
{
    unsigned bits = 64 - (unsigned)__builtin_clzll(largest);
    uint64_t size = next_random(m) >> (63 - next_random(m) % bits);

    return size % largest + 1;
}

/* --- tests --------------------------------------------------------------- */

static void
test_heap_blocks_fit_any_size(void **state)
{
    static const uint64_t sizes[] = {
        0,       1,        63,       64,      65,         4095,      4096,
        4097,    65535,    65536,    65537,   8388607,    8388608,   8388609,
        1 << 26, 67108863, 67108865, 1 << 30, 1073741823, 1073741825};
    struct model m;

    (void)state;
    model_init(&m, UINT64_C(4) << 30, UINT64_MAX);
    for (size_t i = 0; i < DORA_COUNT(sizes); i++) {
        assert_int_equal(model_take(&m, sizes[i]), 0);
        model_compare(&m);
    }
    assert_int_equal(dora__heap_usage(m.heap).peak, m.used);
    while (m.count)
        model_give(&m, m.count / 2);
    model_compare(&m);
    assert_int_equal(model_take(&m, m.limit + 1), -ENOSPC);
    assert_int_equal(model_take(&m, UINT64_MAX), -ENOSPC);
    assert_int_equal(model_take(&m, m.limit), 0);
    assert_int_equal(model_take(&m, 1), -ENOSPC);
    model_fini(&m);
}

static void
test_heap_refuses_bad_limits(void **state)
{
    static const uint64_t limits[] = {0, 1, 4097, UINT64_MAX - 63,
                                      UINT64_C(1) << 63};
    struct dora__heap_backer backer = {.back = model_back,
                                       .unback = model_unback};
    struct dora__heap *heap = NULL;

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(limits); i++)
        assert_int_equal(dora__heap_new(limits[i], &backer, &heap), -EINVAL);
    assert_null(heap);
    assert_null(dora__heap_free(NULL));
}

static void
random_step(struct model *m, uint64_t largest)
{
    uint64_t dice = next_random(m) % 1000;

    if (dice < 2) {
        uint64_t keep = random_size(m, m->limit), before = m->backed;
        uint64_t trimmed = dora__heap_trim(m->heap, keep);

        assert_int_equal(trimmed, before - m->backed);
        assert_true(!trimmed || m->backed >= keep);
    } else if (m->count && (dice < 480 || m->count == MAX_BLOCKS)) {
        model_give(m, next_random(m) % m->count);
    } else {
        uint64_t size = random_size(m, largest);
        int r = model_take(m, size);

        if (r == -ENOSPC)
            assert_true(model_longest_gap(m) < size);
        else if (r < 0)
            assert_int_equal(r, -EDQUOT);
    }
}

static void
random_walk(uint64_t limit, uint64_t budget, uint64_t largest, unsigned steps)
{
    struct model m;

    model_init(&m, limit, budget);
    for (unsigned i = 0; i < steps; i++) {
        random_step(&m, largest);
        if (i % 16 == 0)
            model_compare(&m);
    }
    while (m.count)
        model_give(&m, m.count - 1);
    model_compare(&m);
    assert_int_equal(model_take(&m, limit < budget ? limit : UNIT), 0);
    model_fini(&m);
}

static void
test_heap_random_operations_agree_with_model(void **state)
{
    (void)state;
    random_walk(64 << 20, UINT64_MAX, 4 << 20, 60000);
    random_walk((8 << 20) + 4096, UINT64_MAX, 100 << 10, 60000);
    random_walk(1 << 20, UINT64_MAX, 5000, 60000);
}

static void
test_heap_survives_a_small_budget(void **state)
{
    (void)state;
    random_walk(64 << 20, 20 << 20, 4 << 20, 60000);
    random_walk((8 << 20) + 64, 3 << 20, 100 << 10, 60000);
}

/* A block just given back is still in the caches: it goes out first. */
static void
test_heap_reuses_warm_blocks_last_in_first_out(void **state)
{
    static const uint64_t sizes[] = {64, 4096, 100000, 1 << 20, 6220800};
    struct model m;

    (void)state;
    model_init(&m, UINT64_C(1) << 30, UINT64_MAX);
    for (size_t i = 0; i < DORA_COUNT(sizes); i++) {
        uint64_t at;
        unsigned calls;

        assert_int_equal(model_take(&m, sizes[i]), 0);
        assert_int_equal(model_take(&m, sizes[i]), 0);
        at = m.blocks[m.count - 1].at;
        model_give(&m, m.count - 1);
        calls = m.back_calls;
        assert_int_equal(model_take(&m, sizes[i]), 0);
        assert_int_equal(m.blocks[m.count - 1].at, at);
        assert_int_equal(m.back_calls, calls);
    }
    model_fini(&m);
}

/* A camera that loops never grows beyond what it holds at once. */
static void
test_heap_steady_load_backs_nothing_more(void **state)
{
    struct model m;
    uint64_t backed;

    (void)state;
    model_init(&m, UINT64_C(1) << 30, UINT64_MAX);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(model_take(&m, 6220800 + i * 100), 0);
    backed = m.backed;
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t size = m.blocks[0].size;

        model_give(&m, 0);
        assert_int_equal(model_take(&m, size), 0);
    }
    assert_int_equal(m.backed, backed);
    assert_int_equal(m.unback_calls, 0);
    model_fini(&m);
}

static void
test_heap_trim_follows_the_load(void **state)
{
    struct model m;

    (void)state;
    model_init(&m, UINT64_C(1) << 30, UINT64_MAX);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(model_take(&m, 8 << 20), 0);
    while (m.count > 2)
        model_give(&m, m.count - 1);
    /* The space was in use since the last trim: it stays for this time. */
    assert_int_equal(dora__heap_trim(m.heap, 0), 0);
    assert_int_equal(dora__heap_trim(m.heap, 32 << 20), 32 << 20);
    assert_int_equal(m.backed, 32 << 20);
    model_give(&m, 0);
    assert_int_equal(dora__heap_trim(m.heap, 0), 16 << 20);
    assert_int_equal(m.backed, 16 << 20);
    assert_int_equal(dora__heap_trim(m.heap, 0), 8 << 20);
    model_compare(&m);
    model_fini(&m);
}

/* Idle space that does not fit is traded for space that does. */
static void
test_heap_idle_space_does_not_eat_the_budget(void **state)
{
    struct model m;

    (void)state;
    model_init(&m, 64 << 20, 16 << 20);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(model_take(&m, 1 << 20), 0);
    for (size_t i = m.count; i-- > 0;)
        if (m.blocks[i].at / (1 << 20) % 4 != 3)
            model_give(&m, i);
    /* 12 MB are free, in gaps of 3 MB. */
    assert_int_equal(model_take(&m, 11 << 20), 0);
    assert_true(m.unback_calls > 0);
    model_compare(&m);
    assert_int_equal(model_take(&m, 8 << 20), -EDQUOT);
    model_compare(&m);
    model_fini(&m);
}

/* A backer that wants to be asked again costs nothing that is warm. */
static void
test_heap_keeps_idle_space_when_asked_to_come_again(void **state)
{
    struct model m;

    (void)state;
    model_init(&m, 64 << 20, 16 << 20);
    assert_int_equal(model_take(&m, 4 << 20), 0);
    model_give(&m, 0);
    m.not_now = true;
    assert_int_equal(model_take(&m, 8 << 20), -EAGAIN);
    assert_int_equal(m.unback_calls, 0);
    m.not_now = false;
    assert_int_equal(model_take(&m, 8 << 20), 0);
    assert_int_equal(m.unback_calls, 0);
    model_compare(&m);
    model_fini(&m);
}

/* Neighbours of any warmth and quick blocks together serve what none could. */
static void
test_heap_joins_neighbours_before_it_fails(void **state)
{
    struct model m;

    (void)state;
    model_init(&m, 1 << 20, UINT64_MAX);
    for (unsigned i = 0; i < 128; i++)
        assert_int_equal(model_take(&m, 4096), 0);
    while (m.count)
        model_give(&m, m.count - 1);
    assert_int_equal(model_take(&m, 1 << 20), 0);
    model_compare(&m);
    model_fini(&m);
}

static void
rebuild(struct model *m)
{
    bool *left = m->unit_backed;

    m->heap = dora__heap_free(m->heap);
    m->unit_backed = calloc(m->limit / UNIT + 1, sizeof *m->unit_backed);
    assert_non_null(m->unit_backed);
    m->backed = 0;
    model_open(m);
    for (size_t i = 0; i < m->count; i++) {
        uint64_t at = m->blocks[i].at, end = at + m->blocks[i].size;

        assert_int_equal(dora__heap_claim(m->heap, at, end - at), 0);
        assert_int_equal(dora__heap_claim(m->heap, at, 1), -EINVAL);
        assert_int_equal(dora__heap_claim(m->heap, end - 64, 1), -EINVAL);
        for (uint64_t u = at / UNIT; u * UNIT < end; u++) {
            uint64_t rest = m->limit - u * UNIT;

            assert_true(left[u]);
            if (!m->unit_backed[u])
                m->backed += rest < UNIT ? rest : UNIT;
            m->unit_backed[u] = true;
        }
    }
    free(left);
}

static void
expect_cold(void *arg, uint64_t at, uint64_t size)
{
    struct model *m = arg;

    for (uint64_t i = at / UNIT; i * UNIT < at + size; i++) {
        assert_false(m->unit_backed[i]);
        m->unit_backed[i] = true;
    }
    m->backed += size;
}

static void
test_heap_is_rebuilt_from_claims(void **state)
{
    struct model m;

    (void)state;
    model_init(&m, (32 << 20) + 4096, UINT64_MAX);
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < 2000; i++)
            random_step(&m, 1 << 20);
        rebuild(&m);
        model_compare(&m);
    }
    assert_int_equal(dora__heap_claim(m.heap, m.limit, 0), -EINVAL);
    assert_int_equal(dora__heap_claim(m.heap, 32, 64), -EINVAL);
    assert_int_equal(dora__heap_claim(m.heap, 64, UINT64_MAX - 63), -EINVAL);
    dora__heap_visit_cold(m.heap, expect_cold, &m);
    assert_int_equal(m.backed, m.limit);
    model_fini(&m);
}

/* 500 events of 1 B to 32 MB released in any order. Address space is cheap:
 * over a range of four times the budget, the largest size is found whenever
 * twice its bytes are free. */
static void
test_heap_does_not_fragment(void **state)
{
    enum { LARGEST = 32 << 20, EVENTS = 500 };
    struct model m;

    (void)state;
    model_init(&m, UINT64_C(4) << 30, UINT64_C(1) << 30);
    for (unsigned i = 0; i < 60000; i++) {
        uint64_t size = random_size(&m, LARGEST);

        while (m.count == EVENTS || m.used + 2 * (uint64_t)LARGEST > m.budget)
            model_give(&m, next_random(&m) % m.count);
        assert_int_equal(model_take(&m, LARGEST), 0);
        model_give(&m, m.count - 1);
        assert_int_equal(model_take(&m, size), 0);
        if (i % 64 == 0)
            model_compare(&m);
    }
    model_fini(&m);
}

/* Whatever allocation fails, nothing is lost and giving back works. */
static void
test_heap_keeps_its_blocks_when_memory_ends(void **state)
{
    bool failed = true;

    (void)state;
    for (unsigned n = 1; failed; n++) {
        struct model m;

        model_init(&m, 64 << 20, UINT64_MAX);
        fault_arm(FAULT_MEMORY, n);
        for (unsigned i = 0; i < 400; i++) {
            int r = model_take(&m, random_size(&m, 64 << 10));

            assert_true(r == 0 || r == -ENOMEM);
            if (i % 3 == 0 && m.count)
                model_give(&m, next_random(&m) % m.count);
        }
        failed = fault_disarm();
        model_compare(&m);
        while (m.count)
            model_give(&m, 0);
        assert_int_equal(model_take(&m, 64 << 20), 0);
        model_fini(&m);
    }
}

static void
test_heap_new_reports_no_memory(void **state)
{
    struct dora__heap_backer backer = {.back = model_back,
                                       .unback = model_unback};
    struct dora__heap *heap = NULL;
    unsigned n = 1;

    (void)state;
    for (;; n++) {
        int r;

        fault_arm(FAULT_MEMORY, n);
        r = dora__heap_new(1 << 20, &backer, &heap);
        if (!fault_disarm())
            break;
        assert_int_equal(r, -ENOMEM);
        assert_null(heap);
    }
    assert_true(n > 1);
    assert_non_null(heap);
    dora__heap_free(heap);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heap_blocks_fit_any_size),
        cmocka_unit_test(test_heap_refuses_bad_limits),
        cmocka_unit_test(test_heap_random_operations_agree_with_model),
        cmocka_unit_test(test_heap_survives_a_small_budget),
        cmocka_unit_test(test_heap_reuses_warm_blocks_last_in_first_out),
        cmocka_unit_test(test_heap_steady_load_backs_nothing_more),
        cmocka_unit_test(test_heap_trim_follows_the_load),
        cmocka_unit_test(test_heap_idle_space_does_not_eat_the_budget),
        cmocka_unit_test(test_heap_keeps_idle_space_when_asked_to_come_again),
        cmocka_unit_test(test_heap_joins_neighbours_before_it_fails),
        cmocka_unit_test(test_heap_is_rebuilt_from_claims),
        cmocka_unit_test(test_heap_does_not_fragment),
        cmocka_unit_test(test_heap_keeps_its_blocks_when_memory_ends),
        cmocka_unit_test(test_heap_new_reports_no_memory),
    };

    (void)alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
