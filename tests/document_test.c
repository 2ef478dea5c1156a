/* document_test.c - YAML to typed values, their places, limits, and JSON. */
#include "graph/document.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct dora__document
load(const char *text)
{
    struct dora__document document;
    struct dora__mark mark;
    struct dora_error err;

    if (dora__document_load(text, strlen(text), &document, &mark, &err) < 0)
        fail_msg("%u:%u: %s", mark.line, mark.column, err.text);
    return document;
}

static void
refuses(const char *text, size_t size, const char *phrase)
{
    struct dora__document document;
    struct dora__mark mark = {0};
    struct dora_error err;

    assert_int_equal(dora__document_load(text, size, &document, &mark, &err),
                     -EINVAL);
    assert_true(mark.line > 0 && mark.column > 0);
    if (strstr(err.text, phrase) == NULL)
        fail_msg("\"%s\" is not in: %s", phrase, err.text);
}

static void
test_document_types_plain_scalars_by_the_core_schema(void **state)
{
    static const struct {
        const char *text;
        enum dora__value_type type;
    } cases[] = {
        {"~", DORA__NULL},
        {"null", DORA__NULL},
        {"Null", DORA__NULL},
        {"nUll", DORA__STRING},
        {"true", DORA__BOOL},
        {"FALSE", DORA__BOOL},
        {"yes", DORA__STRING},
        {"on", DORA__STRING},
        {"y", DORA__STRING},
        {"0", DORA__INT},
        {"-17", DORA__INT},
        {"+3", DORA__INT},
        {"007", DORA__INT},
        {"0x1F", DORA__INT},
        {"0o17", DORA__INT},
        {"0o8", DORA__STRING},
        {"-0x1", DORA__STRING},
        {"1_000", DORA__STRING},
        {"1:30", DORA__STRING},
        {"1.0", DORA__FLOAT},
        {".5", DORA__FLOAT},
        {"5.", DORA__FLOAT},
        {"-1e-3", DORA__FLOAT},
        {"1e", DORA__STRING},
        {".", DORA__STRING},
        {"1.2.3", DORA__STRING},
        {".inf", DORA__FLOAT},
        {"-.INF", DORA__FLOAT},
        {".nan", DORA__FLOAT},
        {"-.nan", DORA__STRING},
        {"nan", DORA__STRING},
        {"inf", DORA__STRING},
        {"infinity", DORA__STRING},
        {"0x", DORA__STRING},
        {"9223372036854775807", DORA__INT},
        {"9223372036854775808", DORA__FLOAT},
        {"-9223372036854775808", DORA__INT},
        {"-9223372036854775809", DORA__FLOAT},
        {"'1'", DORA__STRING},
        {"\"true\"", DORA__STRING},
        {"''", DORA__STRING},
        {"|\n  1\n", DORA__STRING},
        {"a b", DORA__STRING},
        {"2024-01-01", DORA__STRING},
    };

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(cases); i++) {
        struct dora__document document = load(cases[i].text);

        if (document.root.type != cases[i].type)
            fail_msg("%s has type %d", cases[i].text, document.root.type);
        dora__document_fini(&document);
    }
}

static void
test_document_values_are_what_was_written(void **state)
{
    struct dora__document document =
        load("[true, -42, 0xff, 0o17, 1.5e3, -.inf, -9223372036854775808, x]");
    const struct dora__value *items = document.root.items;

    (void)state;
    assert_int_equal(document.root.item_count, 8);
    assert_true(items[0].as.boolean);
    assert_int_equal(items[1].as.integer, -42);
    assert_int_equal(items[2].as.integer, 255);
    assert_int_equal(items[3].as.integer, 15);
    assert_true(items[4].as.number == 1500.0);
    assert_true(isinf(items[5].as.number) && items[5].as.number < 0);
    assert_true(items[6].as.integer == INT64_MIN);
    assert_string_equal(items[7].text, "x");
    assert_string_equal(items[1].text, "-42");
    dora__document_fini(&document);
}

static void
test_document_values_know_their_place(void **state)
{
    struct dora__document document = load(
        "\xEF\xBB\xBF# first\na: 1\n\"\u00e9\": [x, {b: y}]\r\nc:\n  - d\n");
    const struct dora__value *a = dora__value_get(&document.root, "a");
    const struct dora__value *e = dora__value_get(&document.root, "\u00e9");
    const struct dora__value *c = dora__value_get(&document.root, "c");
    const struct dora__value *b = dora__value_get(&e->items[1], "b");

    (void)state;
    assert_int_equal(a->key_mark.line, 2);
    assert_int_equal(a->key_mark.column, 1);
    assert_int_equal(a->mark.column, 4);
    assert_int_equal(e->mark.line, 3);
    assert_int_equal(e->mark.column, 6);
    assert_int_equal(b->key_mark.column, 11);
    assert_int_equal(b->mark.column, 14);
    assert_int_equal(c->items[0].mark.line, 5);
    assert_int_equal(c->items[0].mark.column, 5);
    assert_null(dora__value_get(&document.root, "d"));
    assert_null(dora__value_get(a, "a"));
    dora__document_fini(&document);
}

static void
test_document_aliases_are_copies(void **state)
{
    struct dora__document document =
        load("a: &a {k: &k [1, 2]}\nb: *a\nc: *k\nd: &a 7\ne: *a\n");
    const struct dora__value *b = dora__value_get(&document.root, "b");
    const struct dora__value *c = dora__value_get(&document.root, "c");

    (void)state;
    assert_string_equal(b->key, "b");
    assert_int_equal(b->mark.line, 2);
    assert_int_equal(dora__value_get(b, "k")->item_count, 2);
    assert_int_equal(c->items[1].as.integer, 2);
    assert_int_equal(dora__value_get(&document.root, "e")->as.integer, 7);
    dora__document_fini(&document);
}

/* Ten levels of ten aliases each: 10^10 values in 300 bytes. */
static void
test_document_aliases_do_not_unfold_without_limit(void **state)
{
    struct dora__text text = {0};

    (void)state;
    dora__text_puts(&text, "- &a0 [x]\n");
    for (int i = 1; i < 10; i++) {
        dora__text_printf(&text, "- &a%d [", i);
        for (int k = 0; k < 10; k++)
            dora__text_printf(&text, "*a%d,", i - 1);
        dora__text_puts(&text, "]\n");
    }
    refuses(text.text, text.size, "its aliases written out");
    free(text.text);
}

static void
test_document_long_strings_do_not_unfold_without_limit(void **state)
{
    struct dora__text text = {0};

    (void)state;
    dora__text_puts(&text, "- &a ");
    for (int i = 0; i < 1 << 16; i++)
        dora__text_puts(&text, "0123456789abcdef");
    dora__text_puts(&text, "\n");
    for (int i = 0; i < 20; i++)
        dora__text_puts(&text, "- *a\n");
    refuses(text.text, text.size, "its aliases written out");
    free(text.text);
}

static void
nest(struct dora__text *text, int levels)
{
    *text = (struct dora__text){0};
    for (int i = 0; i < levels; i++)
        dora__text_puts(text, "[");
    for (int i = 0; i < levels; i++)
        dora__text_puts(text, "]");
}

static void
test_document_depth_has_a_limit(void **state)
{
    struct dora__document document;
    struct dora__text text;

    (void)state;
    nest(&text, DORA__MAX_DEPTH);
    document = load(text.text);
    dora__document_fini(&document);
    free(text.text);
    nest(&text, DORA__MAX_DEPTH + 1);
    refuses(text.text, text.size, "nested deeper than 64 levels");
    free(text.text);
}

static void
test_document_depth_by_aliases_has_the_same_limit(void **state)
{
    struct dora__text text = {0};

    (void)state;
    dora__text_puts(&text, "- &a0 [x]\n");
    for (int i = 1; i < DORA__MAX_DEPTH; i++)
        dora__text_printf(&text, "- &a%d [*a%d]\n", i, i - 1);
    refuses(text.text, text.size, "nested deeper than 64 levels by the alias");
    free(text.text);
}

static void
test_document_size_has_a_limit(void **state)
{
    char *text = malloc(DORA__MAX_DOCUMENT + 1);

    (void)state;
    memset(text, '#', DORA__MAX_DOCUMENT + 1);
    refuses(text, DORA__MAX_DOCUMENT + 1, "bytes; at most");
    free(text);
}

static void
test_document_anchors_have_a_limit(void **state)
{
    struct dora__text text = {0};

    (void)state;
    for (int i = 0; i <= DORA__MAX_ANCHORS; i++)
        dora__text_printf(&text, "- &a%d x\n", i);
    refuses(text.text, text.size, "more than 1024 anchors");
    free(text.text);
}

static void
test_document_many_keys_are_fast(void **state)
{
    struct dora__text text = {0};
    struct dora__document document;

    (void)state;
    for (int i = 0; i < 100000; i++)
        dora__text_printf(&text, "key%d: %d\n", i, i);
    document = load(text.text);
    assert_int_equal(document.root.item_count, 100000);
    dora__document_fini(&document);
    dora__text_puts(&text, "key5: x\n");
    refuses(text.text, text.size, "`key5` is given twice (first in line 6)");
    free(text.text);
}

static void
test_document_json(void **state)
{
    static const struct {
        const char *yaml, *json;
    } cases[] = {
        {"", "null"},
        {"{a: 1, b: [true, null, x], 'c': {}}",
         "{\"a\":1,\"b\":[true,null,\"x\"],\"c\":{}}"},
        {"[+1, 007, 0x10, 1., .5, -.5, +0.50, 1e5, -0.0, 00.1, 1.e3]",
         "[1,7,16,1,0.5,-0.5,0.50,1e5,-0.0,0.1,1e3]"},
        {"[.inf, -.inf, .nan, 1e999]", "[null,null,null,null]"},
        {"18446744073709551616", "18446744073709551616"},
        {"'say \"hi\"'", "\"say \\\"hi\\\"\""},
        {"1: one", "{\"1\":\"one\"}"},
    };

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(cases); i++) {
        struct dora__document document = load(cases[i].yaml);
        struct dora__text json = {0};

        dora__value_json(&document.root, &json);
        assert_string_equal(json.text, cases[i].json);
        free(json.text);
        dora__document_fini(&document);
    }
}

static void
test_document_numbers_ignore_the_locale(void **state)
{
    /* Whichever of them is installed: all write a comma. */
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8",
                                        "de_DE.utf8", "it_IT.UTF-8"};
    struct dora__document document;

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(names); i++)
        if (setlocale(LC_ALL, names[i]) != NULL)
            break;
    document = load("[1.5, 1,5]");
    assert_int_equal(document.root.item_count, 3);
    assert_true(document.root.items[0].as.number == 1.5);
    dora__document_fini(&document);
    (void)setlocale(LC_ALL, "C");
    assert_true(dora__number("1.7976931348623157e308") == DBL_MAX);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_document_types_plain_scalars_by_the_core_schema),
        cmocka_unit_test(test_document_values_are_what_was_written),
        cmocka_unit_test(test_document_values_know_their_place),
        cmocka_unit_test(test_document_aliases_are_copies),
        cmocka_unit_test(test_document_aliases_do_not_unfold_without_limit),
        cmocka_unit_test(
            test_document_long_strings_do_not_unfold_without_limit),
        cmocka_unit_test(test_document_depth_has_a_limit),
        cmocka_unit_test(test_document_depth_by_aliases_has_the_same_limit),
        cmocka_unit_test(test_document_size_has_a_limit),
        cmocka_unit_test(test_document_anchors_have_a_limit),
        cmocka_unit_test(test_document_many_keys_are_fast),
        cmocka_unit_test(test_document_json),
        cmocka_unit_test(test_document_numbers_ignore_the_locale),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
