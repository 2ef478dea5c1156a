/* guardian_test.c - a guardian started as a host starts it, and what becomes of
 * its processes. argv[1]: the directory of the helper programs. */
#include "guardian/guardian_client.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

static const char *libexec;

static struct dora__guardian
start(void)
{
    struct dora__guardian guardian;
    struct dora_error err;

    if (dora__guardian_start(libexec, &guardian, &err) < 0)
        fail_msg("%s", err.text);
    return guardian;
}

/* The next report; fails when the guardian ends first. */
static struct dora__report
next(const struct dora__guardian *guardian)
{
    struct pollfd polled = {guardian->socket, POLLIN, 0};
    struct dora__report report;
    int got;

    while ((got = dora__guardian_read(guardian, &report)) == -EAGAIN)
        (void)poll(&polled, 1, -1);
    assert_int_equal(got, 1);
    return report;
}

static char *sh[] = {(char *)(uintptr_t) "/bin/sh", NULL};
static char *variables[] = {(char *)(uintptr_t) "PATH=/usr/bin:/bin",
                            (char *)(uintptr_t) "WHO=node", NULL};
static const uint32_t streams[] = {1, 2};

/* /bin/sh with a script, its output going to `fd`. */
static int
spawn_shell(const struct dora__guardian *guardian, uint32_t node,
            const char *script, int fd)
{
    char *argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
                    (char *)(uintptr_t)script, NULL};
    const int fds[] = {fd, fd};
    struct dora__spawn spawn = {.programs = sh,
                                .directory = "/",
                                .argv = argv,
                                .env = variables,
                                .fds = fds,
                                .places = streams,
                                .fd_count = 2};

    return dora__guardian_spawn(guardian, node, &spawn);
}

/* Everything that comes out of the pipe until its end. */
static void
read_all(int fd, char *text, size_t size)
{
    size_t used = 0;
    ssize_t n;

    while ((n = read(fd, text + used, size - 1 - used)) > 0)
        used += (size_t)n;
    text[used] = 0;
}

static void
make_pipe(int ends[2])
{
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
}

static void
test_guardian_missing_is_named(void **state)
{
    struct dora__guardian guardian;
    struct dora_error err;

    (void)state;
    assert_int_equal(dora__guardian_start("/nowhere", &guardian, &err),
                     -ENOENT);
    assert_non_null(strstr(err.text, "/nowhere/dora-guardian"));
}

static void
test_guardian_process_gets_what_was_asked_and_nothing_else(void **state)
{
    static const char script[] =
        "echo $WHO; pwd; ls /proc/self/fd | tr '\\n' ' '; echo; "
        "readlink /proc/$$/fd/0; "
        "cut -d' ' -f5 /proc/$$/stat | grep -qx $$ && echo leader; "
        /* The highest are glibc's own. */
        "sed -nE 's/Sig(Ign|Blk):.*(.{7})$/\\1 \\2/p' /proc/self/status; exit "
        "3";
    struct dora__guardian guardian = start();
    struct dora__report report;
    char text[1024];
    int ends[2];

    (void)state;
    make_pipe(ends);
    assert_int_equal(spawn_shell(&guardian, 7, script, ends[1]), 0);
    (void)close(ends[1]);
    report = next(&guardian);
    assert_int_equal(report.type, DORA__REPORT_SPAWNED);
    assert_int_equal(report.node, 7);
    assert_true(report.pid > 0);
    read_all(ends[0], text, sizeof text);
    assert_string_equal(text,
                        "node\n/\n0 1 2 3 \n/dev/null\nleader\nBlk 0000000\n"
                        "Ign 0000000\n");
    report = next(&guardian);
    assert_int_equal(report.type, DORA__REPORT_EXITED);
    assert_int_equal(report.node, 7);
    assert_int_equal(WEXITSTATUS(report.status), 3);
    assert_true(report.usage.ru_utime.tv_usec + report.usage.ru_stime.tv_usec >
                0);
    (void)close(ends[0]);
    dora__guardian_reap(&guardian);
}

/* Each comes in the place of another. */
static void
test_guardian_descriptors_arrive_in_their_places(void **state)
{
    static const uint32_t places[] = {1, 5, 6, 4, 3, 60};
    char *argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
                    (char *)(uintptr_t) "cat <&5; cat <&6; cat <&4; cat <&3; "
                                        "ls /proc/$$/fd",
                    NULL};
    struct dora__guardian guardian = start();
    int ends[2], given[5][2], fds[6];
    struct dora__spawn spawn = {.programs = sh,
                                .directory = "/",
                                .argv = argv,
                                .env = variables,
                                .fds = fds,
                                .places = places,
                                .fd_count = 6};
    char text[128];

    (void)state;
    make_pipe(ends);
    fds[0] = ends[1];
    for (int i = 0; i < 5; i++) {
        char digit = (char)('a' + i);

        make_pipe(given[i]);
        assert_int_equal(write(given[i][1], &digit, 1), 1);
        (void)close(given[i][1]);
        fds[i + 1] = given[i][0];
    }
    assert_int_equal(dora__guardian_spawn(&guardian, 0, &spawn), 0);
    (void)close(ends[1]);
    read_all(ends[0], text, sizeof text);
    assert_string_equal(text, "abcd0\n1\n2\n3\n4\n5\n6\n60\n");
    for (int i = 0; i < 5; i++)
        (void)close(given[i][0]);
    (void)close(ends[0]);
    dora__guardian_reap(&guardian);
}

static void
expect_failure(const struct dora__guardian *guardian, const char *program,
               const char *directory, uint32_t step, int code)
{
    char *none[] = {NULL};
    char *programs[] = {(char *)(uintptr_t)program, NULL};
    struct dora__spawn spawn = {.programs = programs,
                                .directory = directory,
                                .argv = none,
                                .env = none};
    struct dora__report report;

    assert_int_equal(dora__guardian_spawn(guardian, 3, &spawn), 0);
    report = next(guardian);
    assert_int_equal(report.type, DORA__REPORT_FAILED);
    assert_int_equal(report.node, 3);
    assert_int_equal(report.step, step);
    assert_int_equal(report.code, code);
}

static void
test_guardian_failed_starts_say_where_and_why(void **state)
{
    struct dora__guardian guardian = start();

    (void)state;
    expect_failure(&guardian, "/nowhere", "/", DORA__STEP_EXECUTE, ENOENT);
    expect_failure(&guardian, "/etc/passwd", "/", DORA__STEP_EXECUTE, EACCES);
    expect_failure(&guardian, "/bin/sh", "/nowhere", DORA__STEP_DIRECTORY,
                   ENOENT);
    dora__guardian_reap(&guardian);
}

static void
test_guardian_large_requests_pass(void **state)
{
    struct dora__guardian guardian = start();
    struct dora__text script = {0};
    struct dora__report report;

    (void)state;
    /* One argument may have 128 KiB; a packet of this size could not be sent
     * beside others. */
    dora__text_puts(&script, "exit 5 #");
    while (script.size < 100000)
        dora__text_puts(&script, "0123456789");
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(spawn_shell(&guardian, i, script.text, STDOUT_FILENO),
                         0);
    for (int exited = 0; exited < 10;) {
        report = next(&guardian);
        assert_int_not_equal(report.type, DORA__REPORT_FAILED);
        if (report.type != DORA__REPORT_EXITED)
            continue;
        assert_int_equal(WEXITSTATUS(report.status), 5);
        exited++;
    }
    free(script.text);
    dora__guardian_reap(&guardian);
}

static void
test_guardian_signals_reach_the_whole_group(void **state)
{
    struct dora__guardian guardian = start();
    struct dora__report report;
    char text[64];
    int ends[2];

    (void)state;
    make_pipe(ends);
    /* The pipe ends only when the background process is gone as well. */
    assert_int_equal(spawn_shell(&guardian, 1,
                                 "sleep 100 & echo up; kill -STOP $$; wait",
                                 ends[1]),
                     0);
    (void)close(ends[1]);
    assert_int_equal(next(&guardian).type, DORA__REPORT_SPAWNED);
    assert_int_equal(read(ends[0], text, sizeof text), 3);
    assert_int_equal(dora__guardian_signal(&guardian, 9, SIGTERM), 0);
    assert_int_equal(dora__guardian_signal(&guardian, 1, SIGTERM), 0);
    report = next(&guardian);
    assert_int_equal(report.type, DORA__REPORT_EXITED);
    assert_int_equal(report.node, 1);
    assert_int_equal(WTERMSIG(report.status), SIGTERM);
    read_all(ends[0], text, sizeof text);
    (void)close(ends[0]);
    dora__guardian_reap(&guardian);
}

/* Processes that try to escape, a pipe that ends when all of them are gone. */
static const char escape[] =
    "sleep 100 & setsid sleep 100 & (setsid sh -c 'sleep 100 & sleep 100') & "
    "(trap '' TERM HUP INT; (sleep 100 & sleep 100) & exec sleep 100) & "
    "echo up; exit 0";

static void
expect_end_within(int fd, int64_t limit_ns)
{
    int64_t before = dora__now();
    char text[64];

    read_all(fd, text, sizeof text);
    assert_true(dora__now() - before < limit_ns);
}

static void
test_guardian_dismissed_leaves_nothing(void **state)
{
    struct dora__guardian guardian = start();
    char text[64];
    int ends[2];

    (void)state;
    make_pipe(ends);
    assert_int_equal(spawn_shell(&guardian, 1, escape, ends[1]), 0);
    (void)close(ends[1]);
    assert_int_equal(next(&guardian).type, DORA__REPORT_SPAWNED);
    assert_int_equal(next(&guardian).type, DORA__REPORT_EXITED);
    assert_int_equal(read(ends[0], text, sizeof text), 3);
    dora__guardian_reap(&guardian);
    assert_int_equal(guardian.pid, 0);
    expect_end_within(ends[0], INT64_C(1000000000));
    (void)close(ends[0]);
}

/* The host, killed in the middle; a fork of it that keeps its descriptors must
 * not matter. */
static void
test_guardian_outlives_no_killed_host(void **state)
{
    char text[64];
    int ends[2];
    pid_t host;

    (void)state;
    make_pipe(ends);
    host = fork();
    if (host == 0) {
        struct dora__guardian guardian = start();

        (void)spawn_shell(&guardian, 1, "trap '' TERM; echo up; sleep 100",
                          ends[1]);
        (void)spawn_shell(&guardian, 2, escape, ends[1]);
        if (fork() == 0) { /* holds the socket, but not the pipe */
            (void)close(ends[0]);
            (void)close(ends[1]);
            (void)prctl(PR_SET_PDEATHSIG, 0);
            (void)sleep(5);
            _exit(0);
        }
        (void)pause();
        _exit(1);
    }
    (void)close(ends[1]);
    assert_true(read(ends[0], text, sizeof text) > 0);
    assert_int_equal(kill(host, SIGKILL), 0);
    assert_int_equal(waitpid(host, NULL, 0), host);
    expect_end_within(ends[0], INT64_C(1000000000));
    (void)close(ends[0]);
}

/* Its end is heard: nothing that holds the pipe is left then, if all is well.
 */
static void
expect_end(const struct dora__guardian *guardian)
{
    struct pollfd polled = {guardian->socket, POLLIN, 0};
    struct dora__report report;

    while (dora__guardian_read(guardian, &report) != 0)
        (void)poll(&polled, 1, -1);
}

/* The process that serves, which a node has as its parent: the node prints that
 * and goes on, as do others, in the pipe. */
static pid_t
start_family(const struct dora__guardian *guardian, int ends[2])
{
    char text[64] = "";

    make_pipe(ends);
    assert_int_equal(spawn_shell(guardian, 1,
                                 "(env -i setsid sh -c 'sleep 100 & sleep 100 "
                                 "&' &); echo $PPID; exec sleep 100",
                                 ends[1]),
                     0);
    (void)close(ends[1]);
    assert_int_equal(next(guardian).type, DORA__REPORT_SPAWNED);
    assert_true(read(ends[0], text, sizeof text - 1) > 1);
    return (pid_t)strtol(text, NULL, 10);
}

static void
test_guardian_death_takes_all_along(void **state)
{
    struct dora__guardian guardian = start();
    char text[64];
    int ends[2];
    pid_t server = start_family(&guardian, ends);

    (void)state;
    assert_int_not_equal(server, guardian.pid);
    assert_int_equal(kill(server, SIGKILL), 0);
    expect_end(&guardian);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(read(ends[0], text, sizeof text), 0); /* not EAGAIN */
    dora__guardian_reap(&guardian);
    (void)close(ends[0]);
}

static void
test_guardian_works_without_its_watcher(void **state)
{
    struct dora__guardian guardian = start();
    char text[64];
    int ends[2];

    (void)state;
    (void)start_family(&guardian, ends);
    assert_int_equal(kill(guardian.pid, SIGKILL), 0);
    assert_int_equal(spawn_shell(&guardian, 2, "exit", STDOUT_FILENO), 0);
    assert_int_equal(next(&guardian).type, DORA__REPORT_SPAWNED);
    assert_int_equal(next(&guardian).type, DORA__REPORT_EXITED);
    dora__guardian_reap(&guardian);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(read(ends[0], text, sizeof text), 0);
    (void)close(ends[0]);
}

static void
test_guardian_that_is_stopped_is_ended(void **state)
{
    struct dora__guardian guardian = start();
    char text[64];
    int ends[2];
    pid_t server = start_family(&guardian, ends);

    (void)state;
    assert_int_equal(kill(server, SIGSTOP), 0);
    dora__guardian_reap(&guardian);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(read(ends[0], text, sizeof text), 0);
    (void)close(ends[0]);
}

/* Nobody is left to see to what a node has started; the nodes go. */
static void
test_guardian_death_as_a_whole_takes_its_nodes_along(void **state)
{
    struct dora__guardian guardian = start();
    char text[64] = "";
    int ends[2];

    (void)state;
    make_pipe(ends);
    assert_int_equal(
        spawn_shell(&guardian, 1, "echo $PPID; exec sleep 100", ends[1]), 0);
    (void)close(ends[1]);
    assert_true(read(ends[0], text, sizeof text - 1) > 1);
    assert_int_equal(kill(guardian.pid, SIGKILL), 0);
    assert_int_equal(kill((pid_t)strtol(text, NULL, 10), SIGKILL), 0);
    expect_end_within(ends[0], INT64_C(1000000000));
    expect_end(&guardian);
    dora__guardian_reap(&guardian);
    (void)close(ends[0]);
}

/* --- kept processes ------------------------------------------------------- */

static int
keep_shell(const struct dora__guardian *guardian, const char *script, int fd)
{
    char *argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
                    (char *)(uintptr_t)script, NULL};
    char *programs[] = {(char *)(uintptr_t) "/nowhere/sh", sh[0], NULL};
    const int fds[] = {fd, fd};
    struct dora__spawn spawn = {.programs = programs,
                                .directory = "",
                                .directory_fd = open("/tmp", O_PATH),
                                .argv = argv,
                                .env = variables,
                                .fds = fds,
                                .places = streams,
                                .fd_count = 2,
                                .manner = {.flags = DORA__MANNER_DIRECTORY}};
    int link;

    assert_int_equal(dora__guardian_keep(guardian->socket, &spawn, &link), 0);
    (void)close(spawn.directory_fd);
    return link;
}

static struct dora__report
hear(int link)
{
    struct dora__report report;

    assert_int_equal(recv(link, &report, sizeof report, 0), sizeof report);
    return report;
}

static void
test_guardian_keeps_what_has_ended(void **state)
{
    struct dora__guardian guardian = start();
    struct dora__report report;
    char text[64] = "";
    int ends[2], link;

    (void)state;
    make_pipe(ends);
    link = keep_shell(&guardian, "pwd; exit 9", ends[1]);
    (void)close(ends[1]);
    report = hear(link);
    assert_int_equal(report.type, DORA__REPORT_SPAWNED);
    read_all(ends[0], text, sizeof text);
    assert_string_equal(text, "/tmp\n");
    assert_int_equal(hear(link).status, 9 << 8);
    assert_int_equal(kill(report.pid, 0), 0);
    assert_int_equal(shutdown(link, SHUT_WR), 0);
    assert_int_equal(recv(link, text, sizeof text, 0), 0);
    assert_int_equal(kill(report.pid, 0), -1);
    (void)close(link);
    (void)close(ends[0]);
    dora__guardian_reap(&guardian);
}

/* What it has started is the guardian's, and goes with that. */
static void
test_guardian_kills_what_nobody_waits_for(void **state)
{
    struct dora__guardian guardian = start();
    char text[64] = "";
    int ends[2], link;
    pid_t pid;

    (void)state;
    make_pipe(ends);
    link = keep_shell(&guardian,
                      "env -i setsid sleep 100 & echo $!; exec sleep 100",
                      ends[1]);
    (void)close(ends[1]);
    assert_int_equal(hear(link).type, DORA__REPORT_SPAWNED);
    assert_true(read(ends[0], text, sizeof text - 1) > 1);
    pid = (pid_t)strtol(text, NULL, 10);
    assert_int_equal(shutdown(link, SHUT_WR), 0);
    assert_int_equal(recv(link, text, sizeof text, 0), 0);
    assert_int_equal(kill(pid, 0), 0);
    dora__guardian_reap(&guardian);
    assert_int_equal(read(ends[0], text, sizeof text), 0);
    (void)close(link);
    (void)close(ends[0]);
}

static void
test_guardian_ignores_a_terminals_signals(void **state)
{
    struct dora__guardian guardian = start();
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

    (void)state;
    assert_int_equal(getpgid(guardian.pid), guardian.pid);
    /* Up and past its first lines once it answers. */
    assert_int_equal(spawn_shell(&guardian, 1, "exit", STDOUT_FILENO), 0);
    assert_int_equal(next(&guardian).type, DORA__REPORT_SPAWNED);
    assert_int_equal(next(&guardian).type, DORA__REPORT_EXITED);
    for (size_t i = 0; i < DORA_COUNT(numbers); i++)
        assert_int_equal(kill(guardian.pid, numbers[i]), 0);
    assert_int_equal(spawn_shell(&guardian, 2, "exit", STDOUT_FILENO), 0);
    assert_int_equal(next(&guardian).node, 2);
    dora__guardian_reap(&guardian);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guardian_missing_is_named),
        cmocka_unit_test(
            test_guardian_process_gets_what_was_asked_and_nothing_else),
        cmocka_unit_test(test_guardian_descriptors_arrive_in_their_places),
        cmocka_unit_test(test_guardian_failed_starts_say_where_and_why),
        cmocka_unit_test(test_guardian_large_requests_pass),
        cmocka_unit_test(test_guardian_signals_reach_the_whole_group),
        cmocka_unit_test(test_guardian_dismissed_leaves_nothing),
        cmocka_unit_test(test_guardian_outlives_no_killed_host),
        cmocka_unit_test(test_guardian_death_takes_all_along),
        cmocka_unit_test(test_guardian_works_without_its_watcher),
        cmocka_unit_test(test_guardian_that_is_stopped_is_ended),
        cmocka_unit_test(test_guardian_death_as_a_whole_takes_its_nodes_along),
        cmocka_unit_test(test_guardian_keeps_what_has_ended),
        cmocka_unit_test(test_guardian_kills_what_nobody_waits_for),
        cmocka_unit_test(test_guardian_ignores_a_terminals_signals),
    };

    libexec = argc > 1 ? argv[1] : "build";
    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
