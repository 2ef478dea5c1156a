/* tool_test.c - running a program to its end. argv[1]: the directory of the
 * helper programs. */
#include "host/tool.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

/* What was heard, and when `wants_stop` begins to say so. */
struct heard {
    struct dora__text lines;
    const char *stop_after; /* a line; NULL: never */
};

static const char *libexec;

static void
hear(void *arg, const char *text, size_t size)
{
    struct heard *heard = arg;

    dora__text_printf(&heard->lines, "%.*s|", (int)size, text);
}

static bool
wants_stop(void *arg)
{
    const struct heard *heard = arg;

    return heard->stop_after != NULL && heard->lines.text != NULL &&
           strstr(heard->lines.text, heard->stop_after) != NULL;
}

static int
run(struct heard *heard, bool alone, const char *script)
{
    static char path[] = "PATH=/usr/bin:/bin";
    static char *environment[] = {path, NULL};
    char *argv[] = {(char *)"sh", (char *)"-c", (char *)(uintptr_t)script,
                    NULL};
    const struct dora_options options = {
        .size = sizeof options,
        .libexec = libexec,
        .stop = wants_stop,
        .stop_arg = heard,
    };
    const struct dora__tool tool = {
        .options = &options,
        .directory = "/",
        .environment = environment,
        .alone = alone,
        .rewrites = alone,
        .hear = hear,
        .hear_arg = heard,
    };

    return dora__tool_run(&tool, argv);
}

static void
test_tool_says_what_it_prints_and_how_it_ends(void **state)
{
    struct heard heard = {0};
    int status = run(&heard, false, "pwd; echo two >&2; printf end; exit 3");

    (void)state;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 3);
    assert_string_equal(heard.lines.text, "/|two|end|");
    free(heard.lines.text);
}

/* Each line is there before the next one is written. */
static void
test_tool_hears_progress_as_it_comes(void **state)
{
    struct heard heard = {.stop_after = "|50%|"};

    (void)state;
    assert_int_equal(run(&heard, true,
                         "printf '1%%\\r'; printf '50%%\\r'; "
                         "sleep 100; printf '99%%\\n'"),
                     -EINTR);
    assert_string_equal(heard.lines.text, "1%|50%|");
    free(heard.lines.text);
}

static void
test_tool_keeps_nothing_back_of_a_full_pipe(void **state)
{
    struct heard heard = {0};

    (void)state;
    assert_int_equal(run(&heard, false,
                         "i=0; while [ $i -lt 30000 ]; do "
                         "echo 1234567; i=$((i+1)); done"),
                     0);
    assert_int_equal(heard.lines.size, 30000 * 8);
    free(heard.lines.text);
}

/* What it leaves behind holds its output, in a session of its own and without
 * its environment, and is gone then. */
static void
test_tool_is_over_when_it_has_exited(void **state)
{
    struct heard heard = {0};
    pid_t pid;

    (void)state;
    assert_int_equal(
        run(&heard, false, "env -i setsid sleep 100 & echo $!; exit 7"),
        7 << 8);
    pid = (pid_t)strtol(heard.lines.text, NULL, 10);
    assert_int_equal(kill(pid, 0), -1);
    free(heard.lines.text);
}

static void
test_tool_reads_nothing_and_has_no_terminal(void **state)
{
    struct heard heard = {0};

    (void)state;
    assert_int_equal(run(&heard, true,
                         "read x || echo none; read stat </proc/$$/stat; "
                         "set -- $stat; [ $$ = $6 ]"),
                     0);
    assert_string_equal(heard.lines.text, "none|");
    free(heard.lines.text);
}

/* With what it has started, however deaf that is. */
static void
test_tool_is_stopped(void **state)
{
    struct heard heard = {.stop_after = "now"};
    pid_t pid;

    (void)state;
    assert_int_equal(
        run(&heard, true,
            "trap '' TERM; sleep 100 & echo $!; trap 'echo end; exit' TERM; "
            "echo now; wait"),
        -EINTR);
    assert_non_null(strstr(heard.lines.text, "|now|end|"));
    pid = (pid_t)strtol(heard.lines.text, NULL, 10);
    assert_int_equal(kill(pid, 0), -1);
    free(heard.lines.text);
}

static void
test_tool_does_not_begin_once_stopped(void **state)
{
    struct heard heard = {.stop_after = "x"};

    (void)state;
    dora__text_puts(&heard.lines, "x");
    assert_int_equal(run(&heard, false, "echo begun"), -EINTR);
    assert_string_equal(heard.lines.text, "x");
    free(heard.lines.text);
}

/* We are killed: it goes too, and what it has started. */
static void
test_tool_does_not_outlive_us(void **state)
{
    struct heard heard = {0};
    char byte;
    int ends[2];
    pid_t pid;

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0) {
        DORA_AUTOFREE char *script = dora__format(
            "exec 9> /proc/%d/fd/%d; (env -i setsid sleep 100 &); echo >&9; "
            "exec sleep 100",
            (int)getpid(), ends[1]);

        _exit(run(&heard, true, script));
    }
    (void)close(ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(read(ends[0], &byte, 1), 0); /* nobody holds it any more */
    (void)close(ends[0]);
}

static void
test_tool_that_is_not_there(void **state)
{
    static char *environment[] = {NULL};
    const struct dora_options options = {.size = sizeof options,
                                         .libexec = libexec};
    const struct dora__tool tool = {
        .options = &options, .directory = "/", .environment = environment};
    char *argv[] = {(char *)"no-such-program", NULL};

    (void)state;
    assert_int_equal(dora__tool_run(&tool, argv), -ENOENT);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tool_says_what_it_prints_and_how_it_ends),
        cmocka_unit_test(test_tool_hears_progress_as_it_comes),
        cmocka_unit_test(test_tool_keeps_nothing_back_of_a_full_pipe),
        cmocka_unit_test(test_tool_is_over_when_it_has_exited),
        cmocka_unit_test(test_tool_reads_nothing_and_has_no_terminal),
        cmocka_unit_test(test_tool_is_stopped),
        cmocka_unit_test(test_tool_does_not_begin_once_stopped),
        cmocka_unit_test(test_tool_does_not_outlive_us),
        cmocka_unit_test(test_tool_that_is_not_there),
    };

    libexec = argc > 1 ? argv[1] : "build";
    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
