/* logline_test.c - which lines are records, and what they say. */
#include "logline.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

static bool
parse(const char *text, struct dora__text *scratch, struct dora__logline *line)
{
    /* Exactly as long as it is, so that a sanitizer sees a read beyond. */
    size_t size = strlen(text);
    char *copy = malloc(size + (size == 0));
    bool is;

    assert_non_null(copy);
    memcpy(copy, text, size);
    is = dora__logline_parse(copy, size, scratch, line);
    if (is && line->fields != NULL) /* points into the copy */
        line->fields = text + (line->fields - copy);
    free(copy);
    return is;
}

static void
test_logline_record_is_read(void **state)
{
    struct dora__text scratch = {0};
    struct dora__logline line;

    (void)state;
    assert_true(parse("{\"timestamp\": \"2026-11-22T11:15:10.25Z\", "
                      "\"level\":\"warn\",\"node_id\":\"n\",\"line\":7,"
                      "\"message\":\"caf\\u00e9 \\\"x\\\" \\ud83d\\ude00\\n2\","
                      "\"target\":\"a.b\",\"fields\":{\"k\":[1,-2.5e3,null]}} ",
                      &scratch, &line));
    assert_int_equal(line.level, DORA_LEVEL_WARN);
    assert_int_equal(line.time_ns, INT64_C(1795346110250000000));
    assert_int_equal(line.message_size,
                     strlen("caf\u00e9 \"x\" \U0001F600\n2"));
    assert_memory_equal(line.message, "caf\u00e9 \"x\" \U0001F600\n2",
                        line.message_size);
    assert_string_equal(line.target, "a.b");
    assert_int_equal(line.fields_size, strlen("{\"k\":[1,-2.5e3,null]}"));
    assert_memory_equal(line.fields, "{\"k\":[1,-2.5e3,null]}",
                        line.fields_size);
    free(scratch.text);
}

static void
test_logline_parts_may_be_missing(void **state)
{
    struct dora__text scratch = {0};
    struct dora__logline line;
    static const char text[] = "{\"level\":\"INFO\",\"timestamp\":\"soon\"}";

    (void)state;
    assert_true(dora__logline_parse(text, sizeof text - 1, &scratch, &line));
    assert_int_equal(line.level, DORA_LEVEL_INFO);
    assert_int_equal(line.time_ns, 0);
    assert_null(line.target);
    assert_null(line.fields);
    assert_int_equal(line.message_size, sizeof text - 1);
    free(scratch.text);
}

static void
test_logline_anything_else_is_text(void **state)
{
    static const char *const texts[] = {
        "",
        "{",
        "{}",
        "hello",
        "{\"level\":\"info\"}",
        "{\"timestamp\":\"2026-11-22T11:15:10Z\"}",
        "{\"level\":\"loud\",\"timestamp\":\"t\"}",
        "{\"level\":3,\"timestamp\":\"t\"}",
        "{\"level\":\"info\",\"timestamp\":\"t\"",
        "{\"level\":\"info\",\"timestamp\":\"t\",}",
        "{\"level\":\"info\",\"timestamp\":\"t\"} x",
        "{\"level\":\"info\",\"timestamp\":\"t\",\"a\":tru}",
        "{\"level\":\"info\",\"timestamp\":\"t\",\"a\":}",
        "{\"level\":\"info\",\"timestamp\":\"t\",\"a\":-}",
        "{\"level\":\"info\",\"timestamp\":\"t\",\"a\":\"\\u12\"}",
        "{\"level\":\"info\",\"timestamp\":\"t\",\"a\":\"\\x\"}",
        "{\"level\":\"info\",\"timestamp\":\"t\",\"a\":\"\xff\"}",
        "{\"level\":\"info\",\"timestamp\":\"t\",\"a\":\"\xed\xa0\x80\"}",
        "{'level':'info','timestamp':'t'}",
        "{\"level\":\"info\",\"timestamp\":\"t\\",
    };
    struct dora__text scratch = {0};
    struct dora__logline line;

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(texts); i++)
        if (parse(texts[i], &scratch, &line))
            fail_msg("taken for a record: %s", texts[i]);
    free(scratch.text);
}

static void
test_logline_depth_is_limited(void **state)
{
    struct dora__text text = {0}, scratch = {0};
    struct dora__logline line;

    (void)state;
    dora__text_puts(&text, "{\"level\":\"info\",\"timestamp\":\"t\",\"a\":");
    for (int i = 0; i < 100000; i++)
        dora__text_puts(&text, "[");
    assert_false(dora__logline_parse(text.text, text.size, &scratch, &line));
    free(text.text);
    free(scratch.text);
}

/* Every prefix, and every byte changed: no crash, no read beyond the end. */
static void
test_logline_survives_damage(void **state)
{
    static const char text[] =
        "{\"timestamp\":\"2026-11-22T11:15:10.25+01:30\","
        "\"level\":\"warn\",\"message\":\"\\u00e9\\ud83d"
        "\\ude00\",\"fields\":{\"k\":[1,true]}}";
    struct dora__text scratch = {0};
    struct dora__logline line;
    char damaged[sizeof text];

    (void)state;
    for (size_t i = 0; i < sizeof text - 1; i++)
        for (int c = 1; c < 256; c++) {
            memcpy(damaged, text, sizeof text);
            damaged[i] = (char)c;
            (void)parse(damaged, &scratch, &line);
            damaged[i] = 0;
            assert_false(parse(damaged, &scratch, &line));
        }
    assert_true(parse(text, &scratch, &line));
    assert_int_equal(line.time_ns,
                     INT64_C(1795346110250000000) - INT64_C(5400) * 1000000000);
    free(scratch.text);
}

static void
test_logline_of_a_journal_is_read_back(void **state)
{
    static const char text[] =
        "{\"ts\":\"2026-11-22T14:43:02.487Z\",\"level\":\"stdout\","
        "\"node\":\"a\",\"stream\":\"stderr\",\"msg\":\"x\\ny\","
        "\"target\":null,\"fields\":null}";
    struct dora__text scratch = {0};
    struct dora_log_record record;
    struct dora__logline line;

    (void)state;
    assert_true(dora__logline_stored(text, sizeof text - 1, &scratch, &record));
    assert_int_equal(record.level, DORA_LEVEL_STDOUT);
    assert_int_equal(record.stream, DORA_STREAM_STDERR);
    assert_string_equal(record.node, "a");
    assert_null(record.target);
    assert_int_equal(record.text_size, 3);
    assert_memory_equal(record.text, "x\ny", 3);
    assert_int_equal(record.time_ns / 1000000 % 1000, 487);
    assert_false(dora__logline_stored(text, 30, &scratch, &record));
    /* What a node prints is no record for having such keys. */
    assert_false(dora__logline_parse(text, sizeof text - 1, &scratch, &line));
    free(scratch.text);
}

static void
test_logline_times_are_written_as_rfc_3339(void **state)
{
    struct dora__text text = {0};

    (void)state;
    dora__text_time(&text, INT64_C(1795346110250999999));
    assert_string_equal(text.text, "2026-11-22T11:15:10.250Z");
    free(text.text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logline_record_is_read),
        cmocka_unit_test(test_logline_parts_may_be_missing),
        cmocka_unit_test(test_logline_anything_else_is_text),
        cmocka_unit_test(test_logline_depth_is_limited),
        cmocka_unit_test(test_logline_survives_damage),
        cmocka_unit_test(test_logline_of_a_journal_is_read_back),
        cmocka_unit_test(test_logline_times_are_written_as_rfc_3339),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
