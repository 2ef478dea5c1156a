/* print_screen_test.c - lines on their way out: who writes never waits, what is
 * lost is counted, order is kept. Standard output and error are pipes here. */
#include "command/print.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include <cmocka.h>

/* Standard output and error go to one pipe; cmocka's own is kept aside. */
struct stage {
    int output, error; /* as they were */
    int reader;        /* -1: closed */
    int wake;
    struct screen *screen;
};

static struct stage stage;

static int
setup(void **state)
{
    int ends[2];
    struct dora_error err;

    (void)state;
    (void)fflush(stdout);
    (void)fflush(stderr);
    if (pipe(ends) < 0)
        return -1;
    stage.output = dup(STDOUT_FILENO);
    stage.error = dup(STDERR_FILENO);
    stage.reader = ends[0];
    stage.wake = eventfd(0, EFD_NONBLOCK);
    (void)dup2(ends[1], STDOUT_FILENO);
    (void)dup2(ends[1], STDERR_FILENO);
    (void)close(ends[1]);
    return screen_open(DORA_LEVEL_STDOUT, stage.wake, &stage.screen, &err);
}

/* Gives cmocka its output back: nothing may be asserted before. */
static void
curtain(void)
{
    (void)dup2(stage.output, STDOUT_FILENO);
    (void)dup2(stage.error, STDERR_FILENO);
    (void)close(stage.output);
    (void)close(stage.error);
}

static void
say(const char *node, const char *text, size_t size)
{
    const struct dora_log_record record = {
        .time_ns = (int64_t)1000000000,
        .level = DORA_LEVEL_STDOUT,
        .stream = DORA_STREAM_STDOUT,
        .node = node,
        .text = text,
        .text_size = size,
    };

    screen_log(stage.screen, &record);
}

/* All that is in the pipe once its writers have gone. */
static char *
read_all(void)
{
    struct dora__text text = {0};
    char part[4096];
    ssize_t got;

    while ((got = read(stage.reader, part, sizeof part)) > 0)
        dora__text_add(&text, part, (size_t)got);
    (void)close(stage.reader);
    return text.text ? text.text : strdup("");
}

static void
test_print_screen_lines_keep_their_order(void **state)
{
    char *text;
    const char *at;

    (void)state;
    say("camera", "one", 3);
    screen_say(stage.screen, "two %d", 2);
    say("camera", "three", 5);
    screen_write(stage.screen, "four\n", 5);
    screen_close(stage.screen, (int64_t)10 * 1000000000);
    curtain();
    text = read_all();
    at = strstr(text, " stdout camera: one\ndora-run: two 2\n");
    assert_non_null(at);
    at = strstr(at, " stdout camera: three\nfour\n");
    assert_non_null(at);
    assert_int_equal(text[2], ':');
    assert_int_equal(text[5], ':');
    assert_null(strchr(text, '\033'));
    free(text);
}

static void
test_print_screen_any_byte_is_passed_on(void **state)
{
    char bytes[256];
    char *text;

    (void)state;
    for (int i = 0; i < 256; i++)
        bytes[i] = (char)(i == '\n' || i == 0 ? 'x' : i);
    say("n", bytes, sizeof bytes);
    screen_close(stage.screen, (int64_t)10 * 1000000000);
    curtain();
    text = read_all();
    assert_non_null(strstr(text, "n: x\001"));
    assert_memory_equal(strstr(text, "n: ") + 3, bytes, sizeof bytes);
    free(text);
}

/* Nobody reads: the one who writes goes on, and is told later what was lost. */
static void
test_print_screen_writer_never_waits(void **state)
{
    enum { LINES = 40, SIZE = 1 << 20 };
    char *line = malloc(SIZE), *text;
    int64_t began, longest = 0;
    unsigned long skipped = 0;
    size_t shown = 0;
    pid_t reader;
    int status_ends[2];

    (void)state;
    memset(line, 'a', SIZE);
    screen_set_logs(stage.screen, "/logs");
    for (int i = 0; i < LINES; i++) {
        began = dora__now();
        say("n", line, SIZE);
        if (dora__now() - began > longest)
            longest = dora__now() - began;
    }
    free(line);
    /* A child reads, since the screen is to be closed here meanwhile. */
    (void)pipe(status_ends);
    reader = fork();
    if (reader == 0) {
        (void)close(STDOUT_FILENO);
        (void)close(STDERR_FILENO);
        text = read_all();
        for (char *at = text; (at = strstr(at, " n: a")); at++)
            shown++;
        /* Said once for each time the queue was full. */
        for (char *at = text; (at = strstr(at, "dora-run: ")); at++)
            skipped += strtoul(at + strlen("dora-run: "), NULL, 10);
        status_ends[0] = strstr(text, "lines not shown") &&
                         strstr(text, "/logs") && shown + skipped == LINES &&
                         skipped > 0;
        (void)write(status_ends[1], &status_ends[0], sizeof(int));
        _exit(0);
    }
    screen_close(stage.screen, (int64_t)30 * 1000000000);
    curtain();
    (void)close(stage.reader);
    assert_int_equal(read(status_ends[0], &status_ends[1], sizeof(int)),
                     sizeof(int));
    assert_int_equal(status_ends[1], 1);
    assert_true(longest < (int64_t)2 * 1000000000);
}

static void
test_print_screen_closes_though_nobody_reads(void **state)
{
    enum { SIZE = 1 << 20 };
    char *line = malloc(SIZE);
    struct pollfd woken = {.fd = stage.wake, .events = POLLIN};
    int64_t began = dora__now(), took;

    (void)state;
    memset(line, 'a', SIZE);
    say("n", line, SIZE);
    free(line);
    screen_close(stage.screen, (int64_t)100 * 1000000);
    took = dora__now() - began;
    /* The thread that hangs in its write goes on when the pipe ends. */
    (void)close(stage.reader);
    (void)poll(&woken, 1, -1);
    curtain();
    assert_true(took < (int64_t)20 * 1000000000);
}

static void
test_print_screen_reader_that_goes_is_noticed(void **state)
{
    eventfd_t value = 0;
    bool gone;
    int result;

    (void)state;
    (void)close(stage.reader);
    say("n", "x", 1);
    screen_close(stage.screen, (int64_t)10 * 1000000000);
    result = eventfd_read(stage.wake, &value);
    gone = value == 1;
    curtain();
    assert_int_equal(result, 0);
    assert_true(gone);
}

#define ON_STAGE(test) cmocka_unit_test_setup(test, setup)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STAGE(test_print_screen_lines_keep_their_order),
        ON_STAGE(test_print_screen_any_byte_is_passed_on),
        ON_STAGE(test_print_screen_writer_never_waits),
        ON_STAGE(test_print_screen_closes_though_nobody_reads),
        ON_STAGE(test_print_screen_reader_that_goes_is_noticed),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    (void)alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
