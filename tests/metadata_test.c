/* metadata_test.c - pairs come back as they were put in; nothing else does. */
#include "node/metadata.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "fault.h"

#define KEY(text) (text), strlen(text)

static void
expect_next(const struct dora_metadata *m, size_t *at, const char *key,
            enum dora_meta_type type, struct dora_meta_pair *pair)
{
    assert_int_equal(dora_metadata_next(m->bytes, m->size, at, pair), 1);
    assert_int_equal(pair->key_size, strlen(key));
    assert_memory_equal(pair->key, key, strlen(key));
    assert_int_equal(pair->type, type);
}

static void
test_metadata_scalars_come_back(void **state)
{
    struct dora_metadata m = {.bytes = NULL};
    struct dora_meta_pair pair;
    size_t at = 0;

    (void)state;
    assert_int_equal(dora_metadata_bool(&m, KEY("yes"), true), 0);
    assert_int_equal(dora_metadata_bool(&m, KEY("no"), false), 0);
    assert_int_equal(dora_metadata_int(&m, KEY("low"), INT64_MIN), 0);
    assert_int_equal(dora_metadata_float(&m, KEY("tenth"), 0.1), 0);
    assert_int_equal(dora_metadata_string(&m, KEY("text"), "a\0b", 3), 0);
    assert_int_equal(dora_metadata_string(&m, KEY(""), NULL, 0), 0);
    assert_int_equal(dora_metadata_time(&m, KEY("then"), -1), 0);
    expect_next(&m, &at, "yes", DORA_META_BOOL, &pair);
    assert_true(pair.as.boolean);
    expect_next(&m, &at, "no", DORA_META_BOOL, &pair);
    assert_false(pair.as.boolean);
    expect_next(&m, &at, "low", DORA_META_INT, &pair);
    assert_true(pair.as.integer == INT64_MIN);
    expect_next(&m, &at, "tenth", DORA_META_FLOAT, &pair);
    assert_true(pair.as.number == 0.1);
    expect_next(&m, &at, "text", DORA_META_STRING, &pair);
    assert_int_equal(pair.count, 3);
    assert_memory_equal(pair.values, "a\0b", 3);
    expect_next(&m, &at, "", DORA_META_STRING, &pair);
    assert_int_equal(pair.count, 0);
    expect_next(&m, &at, "then", DORA_META_TIME, &pair);
    assert_int_equal(pair.as.integer, -1);
    assert_int_equal(dora_metadata_next(m.bytes, m.size, &at, &pair), 0);
    dora_metadata_fini(&m);
    assert_null(m.bytes);
}

static void
test_metadata_lists_come_back(void **state)
{
    static const uint8_t bools[] = {0, 1, 2, 0};
    static const uint8_t bools_read[] = {0, 1, 1, 0};
    static const int64_t ints[] = {1, -2, INT64_MAX};
    static const double floats[] = {0.5, -1e300};
    struct dora_metadata m = {.bytes = NULL};
    struct dora_meta_pair pair;
    size_t at = 0;

    (void)state;
    assert_int_equal(dora_metadata_bool_list(&m, KEY("bools"), bools, 4), 0);
    assert_int_equal(dora_metadata_int_list(&m, KEY("i"), ints, 3), 0);
    assert_int_equal(dora_metadata_int_list(&m, KEY("empty"), NULL, 0), 0);
    assert_int_equal(dora_metadata_float_list(&m, KEY("floats"), floats, 2), 0);
    expect_next(&m, &at, "bools", DORA_META_BOOL_LIST, &pair);
    assert_int_equal(pair.count, 4);
    assert_memory_equal(pair.values, bools_read, 4);
    expect_next(&m, &at, "i", DORA_META_INT_LIST, &pair);
    assert_int_equal(pair.count, 3);
    assert_int_equal(pair.values_size, sizeof ints);
    assert_memory_equal(pair.values, ints, sizeof ints);
    expect_next(&m, &at, "empty", DORA_META_INT_LIST, &pair);
    assert_int_equal(pair.count, 0);
    expect_next(&m, &at, "floats", DORA_META_FLOAT_LIST, &pair);
    assert_int_equal(pair.count, 2);
    assert_memory_equal(pair.values, floats, sizeof floats);
    assert_int_equal(dora_metadata_next(m.bytes, m.size, &at, &pair), 0);
    dora_metadata_fini(&m);
}

static void
test_metadata_string_lists_come_back(void **state)
{
    static const char *const words[] = {"one", "", "three and more"};
    struct dora_metadata m = {.bytes = NULL};
    struct dora_meta_pair pair;
    size_t at = 0, in = 0, size;
    const char *text;

    (void)state;
    assert_int_equal(dora_metadata_list_string(&m, "x", 1), -EINVAL);
    assert_int_equal(dora_metadata_string_list(&m, KEY("none"), 0), 0);
    assert_int_equal(dora_metadata_list_string(&m, "x", 1), -EINVAL);
    assert_int_equal(dora_metadata_string_list(&m, KEY("words"), 3), 0);
    for (size_t i = 0; i < 3; i++) {
        /* Not to be sent yet. */
        assert_int_equal(dora__metadata_flags(m.bytes, m.size), -EBADMSG);
        assert_int_equal(dora_metadata_list_string(&m, KEY(words[i])), 0);
    }
    assert_int_equal(dora_metadata_list_string(&m, "x", 1), -EINVAL);
    assert_int_equal(dora_metadata_int(&m, KEY("after"), 7), 0);
    assert_int_equal(dora_metadata_list_string(&m, "x", 1), -EINVAL);
    expect_next(&m, &at, "none", DORA_META_STRING_LIST, &pair);
    assert_int_equal(pair.count, 0);
    expect_next(&m, &at, "words", DORA_META_STRING_LIST, &pair);
    assert_int_equal(pair.count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(dora_metadata_next_string(
                             pair.values, pair.values_size, &in, &text, &size),
                         1);
        assert_int_equal(size, strlen(words[i]));
        assert_memory_equal(text, words[i], size);
    }
    assert_int_equal(dora_metadata_next_string(pair.values, pair.values_size,
                                               &in, &text, &size),
                     0);
    expect_next(&m, &at, "after", DORA_META_INT, &pair);
    dora_metadata_fini(&m);
}

static void
test_metadata_flags_tell_what_queues_ask(void **state)
{
    static const char *const protected[] = {"request_id", "goal_id",
                                            "goal_status"};
    struct dora_metadata m = {.bytes = NULL};

    (void)state;
    assert_int_equal(dora__metadata_flags(NULL, 0), 0);
    assert_int_equal(dora_metadata_string(&m, KEY("request"), "x", 1), 0);
    assert_int_equal(dora_metadata_int(&m, KEY("flush"), 1), 0);
    assert_int_equal(dora_metadata_bool(&m, KEY("flush"), false), 0);
    assert_int_equal(dora_metadata_bool(&m, KEY("flush!"), true), 0);
    assert_int_equal(dora__metadata_flags(m.bytes, m.size), 0);
    assert_int_equal(dora_metadata_bool(&m, KEY("flush"), true), 0);
    assert_int_equal(dora__metadata_flags(m.bytes, m.size),
                     DORA__METADATA_FLUSH);
    dora_metadata_fini(&m);
    for (size_t i = 0; i < DORA_COUNT(protected); i++) {
        assert_int_equal(dora_metadata_int(&m, KEY(protected[i]), 0), 0);
        assert_int_equal(dora__metadata_flags(m.bytes, m.size),
                         DORA__METADATA_PROTECTED);
        assert_int_equal(dora_metadata_bool(&m, KEY("flush"), true), 0);
        assert_int_equal(dora__metadata_flags(m.bytes, m.size),
                         DORA__METADATA_PROTECTED | DORA__METADATA_FLUSH);
        dora_metadata_fini(&m);
    }
}

static int
flags_of_string(const char *text, size_t size)
{
    struct dora_metadata m = {.bytes = NULL};
    int value, key, element;

    assert_int_equal(dora_metadata_string(&m, KEY("k"), text, size), 0);
    value = dora__metadata_flags(m.bytes, m.size);
    dora_metadata_fini(&m);
    assert_int_equal(dora_metadata_bool(&m, text, size, true), 0);
    key = dora__metadata_flags(m.bytes, m.size);
    dora_metadata_fini(&m);
    assert_int_equal(dora_metadata_string_list(&m, KEY("k"), 1), 0);
    assert_int_equal(dora_metadata_list_string(&m, text, size), 0);
    element = dora__metadata_flags(m.bytes, m.size);
    dora_metadata_fini(&m);
    assert_int_equal(value, key);
    assert_int_equal(value, element);
    return value;
}

static void
test_metadata_texts_are_utf8(void **state)
{
    static const char *const good[] = {"",
                                       "plain",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "gr\xc3\xbc\xc3\x9f",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc3",
                                      "\xc3(",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xe2\x82",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "ok\xfe"};

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(good); i++)
        assert_int_equal(flags_of_string(KEY(good[i])), 0);
    for (size_t i = 0; i < DORA_COUNT(bad); i++)
        assert_int_equal(flags_of_string(KEY(bad[i])), -EBADMSG);
}

static void
test_metadata_has_a_limit(void **state)
{
    struct dora_metadata m = {.bytes = NULL};
    size_t most = DORA__MAX_METADATA - 12 - 1;
    char *text = calloc(1, (size_t)DORA__MAX_METADATA + 1);

    (void)state;
    assert_non_null(text);
    assert_int_equal(dora_metadata_string(&m, "k", 1, text, most + 1), -E2BIG);
    assert_int_equal(dora_metadata_string(&m, "k", 1, text, SIZE_MAX), -E2BIG);
    assert_int_equal(dora_metadata_int_list(&m, "k", 1, NULL, SIZE_MAX / 8),
                     -E2BIG);
    assert_int_equal(dora_metadata_float_list(&m, "k", 1, NULL, SIZE_MAX / 8),
                     -E2BIG);
    assert_int_equal(dora_metadata_string_list(&m, "k", 1, SIZE_MAX), -E2BIG);
    assert_int_equal(m.size, 0);
    assert_int_equal(dora_metadata_string(&m, "k", 1, text, most), 0);
    assert_int_equal(m.size, DORA__MAX_METADATA);
    assert_int_equal(dora__metadata_flags(m.bytes, m.size), 0);
    assert_int_equal(dora_metadata_bool(&m, "", 0, true), -E2BIG);
    assert_int_equal(m.size, DORA__MAX_METADATA);
    dora_metadata_fini(&m);
    assert_int_equal(dora_metadata_string_list(&m, "k", 1, 1), 0);
    assert_int_equal(dora_metadata_list_string(&m, text, most), -E2BIG);
    assert_int_equal(dora_metadata_list_string(&m, text, SIZE_MAX), -E2BIG);
    assert_int_equal(dora_metadata_list_string(&m, text, 5), 0);
    assert_int_equal(dora__metadata_flags(m.bytes, m.size), 0);
    dora_metadata_fini(&m);
    assert_int_equal(dora__metadata_flags(text, DORA__MAX_METADATA + 1),
                     -EBADMSG);
    free(text);
}

/* One pair of every type. */
static void
fill(struct dora_metadata *m)
{
    static const int64_t ints[] = {1, 2};
    static const double floats[] = {1, 2};
    static const uint8_t bools[] = {0, 1};

    assert_int_equal(dora_metadata_bool(m, KEY("flush"), true), 0);
    assert_int_equal(dora_metadata_int(m, KEY("goal_id"), 5), 0);
    assert_int_equal(dora_metadata_float(m, KEY("f"), 5), 0);
    assert_int_equal(dora_metadata_string(m, KEY("s"), "text", 4), 0);
    assert_int_equal(dora_metadata_time(m, KEY("t"), 5), 0);
    assert_int_equal(dora_metadata_bool_list(m, KEY("bl"), bools, 2), 0);
    assert_int_equal(dora_metadata_int_list(m, KEY("il"), ints, 2), 0);
    assert_int_equal(dora_metadata_float_list(m, KEY("fl"), floats, 2), 0);
    assert_int_equal(dora_metadata_string_list(m, KEY("sl"), 2), 0);
    assert_int_equal(dora_metadata_list_string(m, "a", 1), 0);
    assert_int_equal(dora_metadata_list_string(m, "bc", 2), 0);
}

/* A copy without a byte to spare, so that a sanitizer sees a read beyond. */
static int
flags_of_copy(const unsigned char *bytes, size_t size)
{
    unsigned char *copy = malloc(size ? size : 1);
    int r;

    assert_non_null(copy);
    memcpy(copy, bytes, size);
    r = dora__metadata_flags(copy, size);
    free(copy);
    return r;
}

/* Cut anywhere but between two pairs it is refused. */
static void
test_metadata_cut_blocks_are_refused(void **state)
{
    struct dora_metadata m = {.bytes = NULL};
    struct dora_meta_pair pair;
    size_t whole = 0, cut = 1;

    (void)state;
    fill(&m);
    while (dora_metadata_next(m.bytes, m.size, &whole, &pair) == 1) {
        for (; cut < whole; cut++)
            assert_int_equal(flags_of_copy(m.bytes, cut), -EBADMSG);
        assert_true(flags_of_copy(m.bytes, cut++) >= 0);
    }
    assert_int_equal(whole, m.size);
    dora_metadata_fini(&m);
}

/* Any byte changed in any way: refused or read, never beyond the end. */
static void
test_metadata_damaged_blocks_do_no_harm(void **state)
{
    static const unsigned char values[] = {0, 1, 2, 8, 12, 0x7f, 0x80, 0xff};
    struct dora_metadata m = {.bytes = NULL};
    size_t refused = 0;

    (void)state;
    fill(&m);
    for (size_t i = 0; i < m.size; i++)
        for (size_t k = 0; k < DORA_COUNT(values); k++) {
            unsigned char was = m.bytes[i];

            m.bytes[i] = values[k];
            refused += flags_of_copy(m.bytes, m.size) == -EBADMSG;
            m.bytes[i] = was;
        }
    assert_true(refused > m.size);
    assert_int_equal(dora__metadata_flags(m.bytes, m.size),
                     DORA__METADATA_PROTECTED | DORA__METADATA_FLUSH);
    dora_metadata_fini(&m);
}

static void
test_metadata_malformed_pairs_are_refused(void **state)
{
    static const struct {
        const char *what;
        unsigned char bytes[32];
        size_t size;
    } cases[] = {
        {"type 0", {0, 0, 0, 0, 0, 0, 0, 0, 0}, 12},
        {"type 10", {0, 0, 0, 0, 0, 0, 0, 0, 10}, 12},
        {"padding", {0, 0, 0, 0, 0, 0, 0, 0, 4, 1}, 12},
        {"bool of 2", {0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2}, 13},
        {"bool of no byte", {0, 0, 0, 0, 0, 0, 0, 0, 1}, 12},
        {"int of 7 bytes", {0, 0, 0, 0, 7, 0, 0, 0, 2}, 19},
        {"float of 9 bytes", {0, 0, 0, 0, 9, 0, 0, 0, 3}, 21},
        {"time of no byte", {0, 0, 0, 0, 0, 0, 0, 0, 5}, 12},
        {"key beyond the end", {1, 0, 0, 0, 0, 0, 0, 0, 4}, 12},
        {"value beyond the end", {0, 0, 0, 0, 1, 0, 0, 0, 4}, 12},
        {"sizes that wrap", {255, 255, 255, 255, 255, 255, 255, 255, 4}, 12},
        {"int list of 9 bytes", {0, 0, 0, 0, 9, 0, 0, 0, 7}, 21},
        {"bool list with a 3", {0, 0, 0, 0, 2, 0, 0, 0, 6, 0, 0, 0, 1, 3}, 14},
        {"string list without its head", {0, 0, 0, 0, 4, 0, 0, 0, 9}, 16},
        {"string list with too few",
         {0, 0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0, 1},
         20},
        {"string list with too many",
         {0, 0, 0, 0, 12, 0, 0, 0, 9, 0, 0, 0, 0},
         24},
        {"string list with one missing",
         {0, 0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1},
         20},
        {"string beyond its list",
         {0, 0, 0, 0, 12, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1},
         24},
    };

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(cases); i++)
        if (flags_of_copy(cases[i].bytes, cases[i].size) != -EBADMSG)
            fail_msg("accepted: %s", cases[i].what);
}

static void
test_metadata_is_as_before_when_memory_ends(void **state)
{
    struct dora_metadata m = {.bytes = NULL};
    char text[200] = "x";
    size_t size;

    (void)state;
    fault_arm(FAULT_MEMORY, 1);
    assert_int_equal(dora_metadata_int(&m, KEY("k"), 1), -ENOMEM);
    assert_true(fault_disarm());
    assert_int_equal(m.size, 0);
    assert_int_equal(dora_metadata_string_list(&m, KEY("k"), 2), 0);
    assert_int_equal(dora_metadata_list_string(&m, text, sizeof text), 0);
    size = m.size;
    fault_arm(FAULT_MEMORY, 1);
    assert_int_equal(dora_metadata_list_string(&m, text, sizeof text), -ENOMEM);
    assert_true(fault_disarm());
    assert_int_equal(m.size, size);
    assert_int_equal(dora_metadata_list_string(&m, "y", 1), 0);
    assert_int_equal(dora__metadata_flags(m.bytes, m.size), 0);
    dora_metadata_fini(&m);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metadata_scalars_come_back),
        cmocka_unit_test(test_metadata_lists_come_back),
        cmocka_unit_test(test_metadata_string_lists_come_back),
        cmocka_unit_test(test_metadata_flags_tell_what_queues_ask),
        cmocka_unit_test(test_metadata_texts_are_utf8),
        cmocka_unit_test(test_metadata_has_a_limit),
        cmocka_unit_test(test_metadata_cut_blocks_are_refused),
        cmocka_unit_test(test_metadata_damaged_blocks_do_no_harm),
        cmocka_unit_test(test_metadata_malformed_pairs_are_refused),
        cmocka_unit_test(test_metadata_is_as_before_when_memory_ends),
    };

    (void)alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
