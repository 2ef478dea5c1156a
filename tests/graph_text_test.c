/* graph_text_test.c - the small languages inside a dataflow's strings. */
#include "graph/graph_text.h"

#include <float.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

static void
test_graph_text_ids(void **state)
{
    static const char *const good[] = {"a", "A-b_c.9", "0", "doras", "a."};
    static const char *const bad[] = {"",    ".a",   "a/b",
                                      "a b", "dora", "\xC3\xA9"};
    static const char *const good_ports[] = {"a", "a/b", ".a", "dora", "a/b/c"};
    static const char *const bad_ports[] = {"", "/a", "a/", "a//b", "a\n"};

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(good); i++)
        assert_null(dora__node_id_fault(good[i]));
    for (size_t i = 0; i < DORA_COUNT(bad); i++)
        assert_non_null(dora__node_id_fault(bad[i]));
    for (size_t i = 0; i < DORA_COUNT(good_ports); i++)
        assert_null(dora__port_id_fault(good_ports[i]));
    for (size_t i = 0; i < DORA_COUNT(bad_ports); i++)
        assert_non_null(dora__port_id_fault(bad_ports[i]));
}

static void
test_graph_text_sizes(void **state)
{
    static const struct {
        const char *text;
        int rc;
        uint64_t size;
    } cases[] = {
        {"0", 0, 0},
        {"512", 0, 512},
        {"1B", 0, 1},
        {"1K", 0, 1024},
        {"1kb", 0, 1024},
        {"50MB", 0, 50 << 20},
        {"50 mB", 0, 50 << 20},
        {"1.5GB", 0, 3 << 29},
        {".5k", 0, 512},
        {"2.G", 0, UINT64_C(2) << 30},
        {"0.0000000000000000000000001GB", 0, 0},
        {"0.99999999999999999999999999999999k", 0, 1024},
        {"", -EINVAL, 0},
        {".", -EINVAL, 0},
        {"MB", -EINVAL, 0},
        {"1TB", -EINVAL, 0},
        {"1KiB", -EINVAL, 0},
        {"-1", -EINVAL, 0},
        {"1 2", -EINVAL, 0},
        {"1e3", -EINVAL, 0},
        {" 1", -EINVAL, 0},
        {"18446744073709551616", -ERANGE, 0},
        {"18446744073709551615", -ERANGE, 0},
        {"99999999999GB", -ERANGE, 0},
    };

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(cases); i++) {
        uint64_t size = 0;

        assert_int_equal(dora__parse_size(cases[i].text, &size), cases[i].rc);
        assert_int_equal(size, cases[i].size);
    }
}

static void
test_graph_text_seconds(void **state)
{
    int64_t ns;

    (void)state;
    assert_int_equal(dora__parse_seconds(0, &ns), 0);
    assert_int_equal(ns, 0);
    assert_int_equal(dora__parse_seconds(0.1, &ns), 0);
    assert_int_equal(ns, 100000000);
    assert_int_equal(dora__parse_seconds(1e-300, &ns), 0);
    assert_int_equal(ns, 1);
    assert_int_equal(dora__parse_seconds(1e18, &ns), 0);
    assert_true(ns == DORA__FOREVER_NS);
    assert_int_equal(dora__parse_seconds(-1e-9, &ns), -EINVAL);
    assert_int_equal(dora__parse_seconds(1.0 / 0.0, &ns), -ERANGE);
    assert_int_equal(dora__parse_seconds(0.0 / 0.0, &ns), -EINVAL);
}

static void
test_graph_text_words(void **state)
{
    static const struct {
        const char *text, *words[6];
    } cases[] = {
        {"", {NULL}},
        {" \t\n ", {NULL}},
        {"a b  c", {"a", "b", "c"}},
        {"'a b' \"c d\"", {"a b", "c d"}},
        {"a'b'\"c\"d", {"abcd"}},
        {"'' \"\"", {"", ""}},
        {"a\\ b", {"a b"}},
        {"'a\\b'", {"a\\b"}},
        {"\"a\\\"b\\\\c\\d\"", {"a\"b\\c\\d"}},
        {"\"\\$HOME\" $HOME *", {"$HOME", "$HOME", "*"}},
        {"a\\\nb \\\n c \"d\\\ne\"", {"ab", "c", "de"}},
        {"--color #fff", {"--color", "#fff"}},
        {"\xC3\xA9 \xE2\x82\xAC", {"\xC3\xA9", "\xE2\x82\xAC"}},
    };
    static const char *const bad[] = {"'", "\"", "a 'b", "a \"b\\\"", "\\"};
    const char *fault;
    char **words;
    size_t count;

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(cases); i++) {
        assert_int_equal(
            dora__split_words(cases[i].text, &words, &count, &fault), 0);
        for (size_t k = 0; k < count; k++)
            assert_string_equal(words[k], cases[i].words[k]);
        assert_null(words[count]);
        assert_null(cases[i].words[count]);
        dora__words_free(words);
    }
    for (size_t i = 0; i < DORA_COUNT(bad); i++)
        assert_int_equal(dora__split_words(bad[i], &words, &count, &fault),
                         -EINVAL);
    assert_null(dora__words_free(NULL));
}

static void
test_graph_text_variables(void **state)
{
    static const char *const environment[] = {"HOME=/home/me",
                                              "EMPTY=", "A_1=x=y", NULL};
    static const struct {
        const char *text, *expanded;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"$HOME/x", "/home/me/x"},
        {"${HOME}x$A_1", "/home/mexx=y"},
        {"${NONE:-a b}", "a b"},
        {"${NONE:-}", ""},
        {"${EMPTY:-z}$EMPTY", "z"},
        {"$$HOME $$$HOME", "$HOME $/home/me"},
        {"100$ $5 $", "100$ $5 $"},
        {"~ `x` $(y)", "~ `x` $(y)"},
    };
    struct dora__text out;
    const char *name;
    size_t size;

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(cases); i++) {
        out = (struct dora__text){0};
        assert_int_equal(
            dora__expand(cases[i].text, environment, &out, &name, &size), 0);
        dora__text_add(&out, "", 0);
        assert_string_equal(out.text, cases[i].expanded);
        free(out.text);
    }
    out = (struct dora__text){0};
    assert_int_equal(dora__expand("a$HOM/", environment, &out, &name, &size),
                     -ENOENT);
    assert_int_equal(size, 3);
    assert_memory_equal(name, "HOM", 3);
    assert_int_equal(dora__expand("$HOME", NULL, &out, &name, &size), -ENOENT);
    assert_int_equal(dora__expand("${", environment, &out, &name, &size),
                     -EINVAL);
    assert_int_equal(dora__expand("${1}", environment, &out, &name, &size),
                     -EINVAL);
    assert_int_equal(dora__expand("${HOME:-x", environment, &out, &name, &size),
                     -EINVAL);
    free(out.text);
}

static void
test_graph_text_expansion_has_a_limit(void **state)
{
    char value[1024 + 3] = "A=", text[2 * 1024 + 1];
    const char *const environment[] = {value, NULL};
    struct dora__text out = {0};
    const char *name;
    size_t size;

    (void)state;
    memset(value + 2, 'x', 1024);
    for (size_t i = 0; i < 1024; i++)
        memcpy(text + 2 * i, "$A", 2);
    text[2 * 1024] = '\0';
    assert_int_equal(dora__expand(text, environment, &out, &name, &size),
                     -E2BIG);
    assert_true(out.size < 256 << 10);
    free(out.text);
}

static void
test_graph_text_shortest_doubles(void **state)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0, "0"},
        {1, "1"},
        {-1.5, "-1.5"},
        {0.1, "0.1"},
        {1e21, "1000000000000000000000"},
        {1e-7, "0.0000001"},
        {123456.789, "123456.789"},
        {100, "100"},
        {0.3, "0.3"},
        {0.1 + 0.2, "0.30000000000000004"},
        {9007199254740993.0, "9007199254740992"},
        {1.0 / 0.0, "inf"},
        {-1.0 / 0.0, "-inf"},
    };

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(cases); i++) {
        struct dora__text out = {0};

        dora__text_double(&out, cases[i].value);
        assert_string_equal(out.text, cases[i].text);
        free(out.text);
    }

    static const double extremes[] = {DBL_MAX, DBL_MIN, 5e-324, 1.0 / 3};

    for (size_t i = 0; i < DORA_COUNT(extremes); i++) {
        struct dora__text out = {0};

        dora__text_double(&out, extremes[i]);
        assert_true(strtod(out.text, NULL) == extremes[i]);
        assert_null(strpbrk(out.text, "eE"));
        free(out.text);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_graph_text_ids),
        cmocka_unit_test(test_graph_text_sizes),
        cmocka_unit_test(test_graph_text_seconds),
        cmocka_unit_test(test_graph_text_words),
        cmocka_unit_test(test_graph_text_variables),
        cmocka_unit_test(test_graph_text_expansion_has_a_limit),
        cmocka_unit_test(test_graph_text_shortest_doubles),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
