/* print_words_test.c - which of a node's last words are shown. */
#include "command/print.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int
setup(void **state)
{
    struct words *words;

    if (words_new(&words) < 0)
        return -1;
    *state = words;
    return 0;
}

static int
teardown(void **state)
{
    words_free(*state);
    return 0;
}

static void
say(struct words *words, const char *node, enum dora_stream stream,
    enum dora_level level, const char *text)
{
    const struct dora_log_record record = {
        .level = level,
        .stream = stream,
        .node = node,
        .text = text,
        .text_size = strlen(text),
    };

    words_hear(words, &record);
}

/* Each line of the text, as written to standard error. */
static void
complain(struct words *words, const char *text)
{
    char *copy = strdup(text), *rest = copy, *line;

    while ((line = strsep(&rest, "\n")))
        say(words, "n", DORA_STREAM_STDERR, DORA_LEVEL_STDOUT, line);
    free(copy);
}

static void
assert_tail(const struct words *words, const char *expected)
{
    struct dora__text tail = {0};

    assert_true(words_tail(words, "n", &tail));
    assert_string_equal(tail.text, expected);
    free(tail.text);
}

static void
test_print_words_of_other_streams_do_not_count(void **state)
{
    struct words *words = *state;
    struct dora__text tail = {0};

    say(words, "n", DORA_STREAM_STDOUT, DORA_LEVEL_STDOUT, "output");
    say(words, "m", DORA_STREAM_STDERR, DORA_LEVEL_STDOUT, "of another");
    say(words, "n", DORA_STREAM_HOST, DORA_LEVEL_INFO, "started");
    say(words, NULL, DORA_STREAM_HOST, DORA_LEVEL_ERROR, "of nobody");
    assert_false(words_tail(words, "n", &tail));
    assert_null(words_verdict(words, "n"));
}

static void
test_print_words_of_the_runtime_are_its_verdict(void **state)
{
    struct words *words = *state;
    struct dora__text tail = {0};

    say(words, "n", DORA_STREAM_HOST, DORA_LEVEL_ERROR, "giving up");
    say(words, "n", DORA_STREAM_HOST, DORA_LEVEL_ERROR, "exited with code 3");
    assert_string_equal(words_verdict(words, "n"), "exited with code 3");
    assert_null(words_verdict(words, "m"));
    assert_false(words_tail(words, "n", &tail));
}

static void
test_print_words_are_the_last_ten_lines(void **state)
{
    struct words *words = *state;

    complain(words, "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12");
    assert_tail(words, "    3\n    4\n    5\n    6\n    7\n    8\n    9\n"
                       "    10\n    11\n    12\n");
}

static void
test_print_words_begin_at_the_last_traceback(void **state)
{
    struct words *words = *state;

    complain(words, "Traceback (most recent call last):\nOldError: x\nnoise\n"
                    "Traceback (most recent call last):\n"
                    "  File \"a.py\", line 1, in <module>\n"
                    "ValueError: no\nlast line");
    assert_tail(words, "    Traceback (most recent call last):\n"
                       "      File \"a.py\", line 1, in <module>\n"
                       "    ValueError: no\n    last line\n");
}

static void
test_print_words_keep_chained_tracebacks_together(void **state)
{
    struct words *words = *state;

    complain(words,
             "noise\nTraceback (most recent call last):\n  a\nKeyError: 1\n\n"
             "During handling of the above exception, another exception "
             "occurred:\n\nTraceback (most recent call last):\n  b\nE: 2");
    assert_tail(words,
                "    Traceback (most recent call last):\n      a\n"
                "    KeyError: 1\n    \n"
                "    During handling of the above exception, another exception "
                "occurred:\n    \n    Traceback (most recent call last):\n"
                "      b\n    E: 2\n");
}

static void
test_print_words_begin_at_a_later_error(void **state)
{
    struct words *words = *state;

    complain(words, "Traceback (most recent call last):\n  a\nKeyError: 1\n"
                    "going on\nError: disk full\nbye");
    assert_tail(words, "    Error: disk full\n    bye\n");
}

static void
test_print_words_of_an_exception_called_error_stay_whole(void **state)
{
    struct words *words = *state;

    complain(words, "Traceback (most recent call last):\n  a\nError: mine");
    assert_tail(words, "    Traceback (most recent call last):\n      a\n"
                       "    Error: mine\n");
}

static void
test_print_words_begin_at_a_panic(void **state)
{
    struct words *words = *state;

    complain(words, "1\n2\nthread 'main' panicked at src/main.rs:1:\nnote");
    assert_tail(words,
                "    thread 'main' panicked at src/main.rs:1:\n    note\n");
}

static void
test_print_words_are_bounded(void **state)
{
    struct words *words = *state;
    struct dora__text tail = {0};
    char *longest = malloc(1 << 20);
    size_t lines = 0;

    say(words, "n", DORA_STREAM_STDERR, DORA_LEVEL_STDOUT,
        "Traceback (most recent call last):");
    for (size_t i = 0; i < 499; i++)
        say(words, "n", DORA_STREAM_STDERR, DORA_LEVEL_STDOUT, "  x");
    assert_true(words_tail(words, "n", &tail));
    for (const char *at = tail.text; (at = strchr(at, '\n')); at++)
        lines++;
    assert_int_equal(lines, 500);
    free(tail.text);

    memset(longest, 'a', (1 << 20) - 1);
    longest[(1 << 20) - 1] = '\0';
    say(words, "n", DORA_STREAM_STDERR, DORA_LEVEL_STDOUT, longest);
    free(longest);
    tail = (struct dora__text){0};
    assert_true(words_tail(words, "n", &tail)); /* the traceback is out */
    assert_true(tail.size < 4096);
    assert_non_null(strstr(tail.text, "a [cut]\n"));
    free(tail.text);
}

#define WITH_WORDS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORDS(test_print_words_of_other_streams_do_not_count),
        WITH_WORDS(test_print_words_of_the_runtime_are_its_verdict),
        WITH_WORDS(test_print_words_are_the_last_ten_lines),
        WITH_WORDS(test_print_words_begin_at_the_last_traceback),
        WITH_WORDS(test_print_words_keep_chained_tracebacks_together),
        WITH_WORDS(test_print_words_begin_at_a_later_error),
        WITH_WORDS(test_print_words_of_an_exception_called_error_stay_whole),
        WITH_WORDS(test_print_words_begin_at_a_panic),
        WITH_WORDS(test_print_words_are_bounded),
    };

    (void)alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
