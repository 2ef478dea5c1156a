/* output_test.c - pipes into lines: nothing lost, nothing invented. */
#include "host/output.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

/* Lines as they came, each ended by '|'. */
struct lines {
    struct dora__text text;
    size_t count, longest;
};

static void
take(void *arg, const char *text, size_t size)
{
    struct lines *lines = arg;

    dora__text_add(&lines->text, text, size);
    dora__text_puts(&lines->text, "|");
    lines->count++;
    if (size > lines->longest)
        lines->longest = size;
}

static void
expect(struct lines *lines, const char *text, size_t size)
{
    assert_int_equal(lines->text.size, size);
    assert_memory_equal(lines->text.text, text, size);
    free(lines->text.text);
    *lines = (struct lines){0};
}

static void
write_exactly(int fd, const char *text, size_t size)
{
    assert_int_equal(write(fd, text, size), size);
}

static void
test_output_any_split_gives_the_same_lines(void **state)
{
    static const char text[] = "one\n\ntwo \xe2\x82\xac\n\0nul\xff\nlast";
    static const char whole[] = "one||two \xe2\x82\xac|\0nul\xff|last|";
    const size_t size = sizeof text - 1;

    (void)state;
    for (size_t first = 0; first <= size; first++)
        for (size_t second = first; second <= size; second++) {
            struct dora__output o = DORA__OUTPUT_NONE;
            struct lines lines = {0};

            dora__output_feed(&o, text, first, take, &lines);
            dora__output_feed(&o, text + first, second - first, take, &lines);
            dora__output_feed(&o, text + second, size - second, take, &lines);
            dora__output_flush(&o, take, &lines);
            expect(&lines, whole, sizeof whole - 1);
            dora__output_close(&o);
        }
}

static void
test_output_long_line_is_cut_and_marked(void **state)
{
    const size_t size = DORA__LINE_LIMIT + 12345;
    char *text = malloc(size + 7);
    struct dora__output o = DORA__OUTPUT_NONE;
    struct lines lines = {0};
    const char *end;

    (void)state;
    assert_non_null(text);
    memset(text, 'x', size);
    memcpy(text + size, "\nshort\n", 7);
    for (size_t at = 0; at < size + 7; at += 4096)
        dora__output_feed(&o, text + at,
                          size + 7 - at < 4096 ? size + 7 - at : 4096, take,
                          &lines);
    dora__output_feed(&o, text, size + 7, take, &lines);
    assert_int_equal(lines.count, 4);
    assert_int_equal(lines.longest, DORA__LINE_LIMIT + strlen(DORA__LINE_CUT));
    end = lines.text.text + lines.longest - strlen(DORA__LINE_CUT);
    assert_memory_equal(end, DORA__LINE_CUT "|short|x",
                        strlen(DORA__LINE_CUT) + 8);
    dora__output_close(&o);
    free(lines.text.text);
    free(text);
}

static void
test_output_line_of_exactly_the_limit_is_whole(void **state)
{
    char *text = malloc(DORA__LINE_LIMIT);
    struct dora__output o = DORA__OUTPUT_NONE;
    struct lines lines = {0};

    (void)state;
    assert_non_null(text);
    memset(text, 'y', DORA__LINE_LIMIT);
    dora__output_feed(&o, text, DORA__LINE_LIMIT, take, &lines);
    dora__output_flush(&o, take, &lines);
    assert_int_equal(lines.count, 1);
    assert_int_equal(lines.longest, DORA__LINE_LIMIT);
    dora__output_close(&o);
    free(lines.text.text);
    free(text);
}

static void
test_output_pipe_ends_with_the_last_line(void **state)
{
    struct dora__output o;
    struct lines lines = {0};
    char buffer[4];
    int fd, n;

    (void)state;
    assert_int_equal(dora__output_open(&o, DORA__PIPE_MOST, &fd), 0);
    assert_int_equal(dora__output_read(&o, buffer, sizeof buffer, take, &lines),
                     -EAGAIN);
    write_exactly(fd, "hello\nworld", 11);
    (void)close(fd);
    while ((n = dora__output_read(&o, buffer, sizeof buffer, take, &lines)) > 0)
        assert_true(n <= 4);
    assert_int_equal(n, 0);
    expect(&lines, "hello|world|", 12);
    dora__output_close(&o);
    assert_int_equal(o.fd, -1);
}

/* The writer is dead, something else holds the pipe open. */
static void
test_output_drain_takes_all_there_is_and_no_more(void **state)
{
    struct dora__output o;
    struct lines lines = {0};
    char buffer[3];
    int fd;

    (void)state;
    assert_int_equal(dora__output_open(&o, 0, &fd), 0);
    write_exactly(fd, "a\nbc", 4);
    dora__output_drain(&o, buffer, sizeof buffer, take, &lines);
    expect(&lines, "a|bc|", 5);
    dora__output_drain(&o, buffer, sizeof buffer, take, &lines);
    assert_int_equal(lines.count, 0);
    write_exactly(fd, "later\n", 6);
    dora__output_drain(&o, buffer, sizeof buffer, take, &lines);
    expect(&lines, "later|", 6);
    (void)close(fd);
    dora__output_close(&o);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_any_split_gives_the_same_lines),
        cmocka_unit_test(test_output_long_line_is_cut_and_marked),
        cmocka_unit_test(test_output_line_of_exactly_the_limit_is_whole),
        cmocka_unit_test(test_output_pipe_ends_with_the_last_line),
        cmocka_unit_test(test_output_drain_takes_all_there_is_and_no_more),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
