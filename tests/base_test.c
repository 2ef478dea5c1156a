/* base_test.c - error lines and growing text. */
#include "base.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void
test_base_fail_is_negative_and_keeps_errno(void **state)
{
    struct dora_error err;

    (void)state;
    errno = ENOENT;
    assert_int_equal(dora__fail(&err, errno, "%s: gone", "x.py"), -ENOENT);
    assert_string_equal(err.text, "x.py: gone");
    assert_int_equal(errno, ENOENT);
    assert_int_equal(dora__fail(NULL, EINVAL, "nobody reads this"), -EINVAL);
}

static void
test_base_error_may_quote_itself(void **state)
{
    struct dora_error err;

    (void)state;
    dora__error_set(&err, "inner");
    dora__error_set(&err, "outer: %s", err.text);
    assert_string_equal(err.text, "outer: inner");
}

static void
test_base_error_is_one_printable_line(void **state)
{
    struct dora_error err;

    (void)state;
    dora__error_set(&err, "%s", "a\nb\tc\033[31m\x7F\u00e9");
    assert_string_equal(err.text, "a?b\tc?[31m?\u00e9");
}

static void
test_base_error_is_cut_between_characters(void **state)
{
    static const char *const marks[] = {"x", "\u00e9", "\u20ac", "\U0001F600"};
    struct dora_error err;
    char text[2048];

    (void)state;
    for (size_t m = 0; m < DORA_COUNT(marks); m++) {
        size_t step = strlen(marks[m]);

        for (size_t lead = 0; lead < 4; lead++) {
            size_t size = lead, kept;

            memset(text, 'a', lead);
            for (; size + step < sizeof text; size += step)
                memcpy(text + size, marks[m], step);
            text[size] = '\0';
            dora__error_set(&err, "%s", text);
            kept = strlen(err.text);
            assert_int_equal((kept - lead) % step, 0);
            assert_true(kept >= sizeof err.text - step);
            assert_true(kept < sizeof err.text);
            assert_memory_equal(err.text, text, kept);
        }
    }
}

static void
test_base_format_makes_new_text(void **state)
{
    char *text = dora__format("%s-%d", "camera", 7);

    (void)state;
    assert_string_equal(text, "camera-7");
    free(text);
}

static void
test_base_text_grows_and_stays_terminated(void **state)
{
    struct dora__text t = {0};
    size_t expected = 0;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        dora__text_puts(&t, "ab");
        dora__text_add(&t, "c\0d", 3);
        dora__text_printf(&t, "%03d", i);
        expected += 8;
        assert_int_equal(t.size, expected);
        assert_int_equal(t.text[t.size], '\0');
    }
    assert_memory_equal(t.text + t.size - 8, "abc\0d999", 8);
    assert_false(t.failed);
    free(t.text);
}

static void
test_base_text_of_impossible_size_fails_for_good(void **state)
{
    struct dora__text t = {0};

    (void)state;
    dora__text_puts(&t, "kept");
    dora__text_add(&t, "", SIZE_MAX / 2);
    assert_true(t.failed);
    dora__text_puts(&t, "more");
    dora__text_printf(&t, "%d", 1);
    assert_string_equal(t.text, "kept");
    free(t.text);
}

static void
test_base_json_escapes(void **state)
{
    static const struct {
        const char *text, *json;
    } cases[] = {
        {"", "\"\""},
        {"plain", "\"plain\""},
        {"a\"b\\c/", "\"a\\\"b\\\\c/\""},
        {"\n\r\t\b\x01\x1f\x7f", "\"\\n\\r\\t\\u0008\\u0001\\u001f\x7f\""},
        {"\u00e9\u20ac\U0001F600", "\"\u00e9\u20ac\U0001F600\""},
        {"\x80 \xC0\x80 \xE0\x80\x80 \xC3",
         "\"\uFFFD \uFFFD\uFFFD \uFFFD\uFFFD\uFFFD \uFFFD\""},
        {"\xED\xA0\x80", "\"\uFFFD\uFFFD\uFFFD\""},
        {"\xF4\x90\x80\x80", "\"\uFFFD\uFFFD\uFFFD\uFFFD\""},
        {"\xF0\x8F\xBF\xBF", "\"\uFFFD\uFFFD\uFFFD\uFFFD\""},
        {"\xE2\x82", "\"\uFFFD\uFFFD\""},
    };

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(cases); i++) {
        struct dora__text t = {0};

        dora__text_json(&t, cases[i].text, strlen(cases[i].text));
        assert_string_equal(t.text, cases[i].json);
        free(t.text);
    }

    struct dora__text t = {0};

    dora__text_json(&t, "a\0b", 3);
    assert_string_equal(t.text, "\"a\\u0000b\"");
    free(t.text);
}

static void
test_base_descriptors_close_unless_taken(void **state)
{
    int kept, lost_number;

    (void)state;
    {
        DORA_AUTOCLOSE int lost = dup(STDOUT_FILENO);
        DORA_AUTOCLOSE int moved = dup(STDOUT_FILENO);

        assert_true(lost >= 0 && moved >= 0);
        lost_number = lost;
        kept = dora__take_fd(&moved);
        assert_int_equal(moved, -1);
    }
    assert_int_equal(dup2(kept, kept), kept);
    assert_int_equal(dup2(lost_number, lost_number), -1);
    assert_int_equal(errno, EBADF);
    close(kept);
}

static void
test_base_clock_runs_forward(void **state)
{
    int64_t before = dora__now();

    (void)state;
    assert_true(before > 0);
    assert_true(dora__now() >= before);
    assert_true(dora__clock(CLOCK_REALTIME) > INT64_C(1600000000000000000));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base_fail_is_negative_and_keeps_errno),
        cmocka_unit_test(test_base_error_may_quote_itself),
        cmocka_unit_test(test_base_error_is_one_printable_line),
        cmocka_unit_test(test_base_error_is_cut_between_characters),
        cmocka_unit_test(test_base_format_makes_new_text),
        cmocka_unit_test(test_base_text_grows_and_stays_terminated),
        cmocka_unit_test(test_base_text_of_impossible_size_fails_for_good),
        cmocka_unit_test(test_base_json_escapes),
        cmocka_unit_test(test_base_descriptors_close_unless_taken),
        cmocka_unit_test(test_base_clock_runs_forward),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
