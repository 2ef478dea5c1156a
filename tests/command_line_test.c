/* command_line_test.c - the command line of dora-run, right and wrong. */
#include "command/command.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { MOST = 8 };

/* Parses words up to NULL; *ret_command is to be released if it is right. */
static int
parse(const char *const *words, struct command *ret_command,
      struct dora_error *err)
{
    char *argv[MOST + 2] = {(char *)"dora-run"};
    int argc = 1;

    for (; words[argc - 1]; argc++)
        argv[argc] = (char *)words[argc - 1];
    return command_parse(argc, argv, ret_command, err);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static int
setup(void **state)
{
    (void)state;
    (void)unsetenv("DORA_LOG_LEVEL");
    (void)unsetenv("DORA_ALLOW_SHELL_NODES");
    return 0;
}

static void
test_command_line_durations(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"30", 30000},   {"10s", 10000},     {"500ms", 500},
        {"5m", 300000},  {"1h30m", 5400000}, {"1h30m10s", 5410000},
        {"0", 0},        {"0.25", 250},      {"1.5s", 1500},
        {"2h", 7200000}, {"1m500ms", 60500},
    };

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(cases); i++) {
        int64_t ns = -1;

        assert_int_equal(command_duration(cases[i].text, &ns), 0);
        assert_int_equal(ns, cases[i].ms * 1000000);
    }
}

static void
test_command_line_durations_that_are_none(void **state)
{
    static const char *const cases[] = {
        "",  "s",   "-1", "10x", "1h30", "10 s",         "1s2",
        ".", "1..", "ms", "1e3", "1hh",  "99999999999h", "+5",
    };
    int64_t ns = 7;

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(cases); i++)
        if (command_duration(cases[i], &ns) != -EINVAL)
            fail_msg("%s", cases[i]);
    assert_int_equal(ns, 7);
}

static void
test_command_line_file_alone_is_run(void **state)
{
    struct command command;

    (void)state;
    assert_int_equal(parse(WORDS("flow.yml"), &command, NULL), STATUS_OK);
    assert_int_equal(command.verb, VERB_RUN);
    assert_string_equal(command.file, "flow.yml");
    assert_int_equal(command.stop_after_ns, -1);
    assert_int_equal(command.log_level, DORA_LEVEL_STDOUT);
    assert_int_equal(command.exit_when_nodes_finish, 0);
    assert_false(command.allow_shell);
    assert_null(command.report);
    command_fini(&command);
}

static void
test_command_line_graces(void **state)
{
    struct command command;
    struct dora_error err;

    (void)state;
    assert_int_equal(parse(WORDS("flow.yml"), &command, NULL), STATUS_OK);
    assert_int_equal(command.grace_ns, 0); /* as usual */
    command_fini(&command);
    assert_int_equal(
        parse(WORDS("flow.yml", "--grace-duration", "1m"), &command, NULL),
        STATUS_OK);
    assert_int_equal(command.grace_ns, (int64_t)60 * 1000000000);
    command_fini(&command);
    assert_int_equal(
        parse(WORDS("flow.yml", "--grace-duration=0"), &command, NULL),
        STATUS_OK);
    assert_int_equal(command.grace_ns, 1); /* none */
    command_fini(&command);
    assert_int_equal(
        parse(WORDS("flow.yml", "--grace-duration", "long"), &command, &err),
        STATUS_USAGE);
    assert_string_equal(err.text, "--grace-duration: `long` is not a duration "
                                  "like 30, 500ms, 10s or 1h30m");
}

static void
test_command_line_options_stand_anywhere(void **state)
{
    struct command command;

    (void)state;
    assert_int_equal(
        parse(WORDS("--stop-after=1h", "check", "--env", "A=b=c", "flow.yml",
                    "--isolation", "n=process", "--env=B="),
              &command, NULL),
        STATUS_OK);
    assert_int_equal(command.verb, VERB_CHECK);
    assert_string_equal(command.file, "flow.yml");
    assert_int_equal(command.stop_after_ns, (int64_t)3600 * 1000000000);
    assert_string_equal(command.env[0], "A=b=c");
    assert_string_equal(command.env[1], "B=");
    assert_null(command.env[2]);
    assert_string_equal(command.isolation[0], "n=process");
    command_fini(&command);
}

static void
test_command_line_two_dashes_end_options(void **state)
{
    struct command command;

    (void)state;
    assert_int_equal(parse(WORDS("--", "--help"), &command, NULL), STATUS_OK);
    assert_string_equal(command.file, "--help");
    command_fini(&command);
}

static void
test_command_line_exit_when_nodes_finish_has_three_values(void **state)
{
    static const struct {
        const char *word;
        int choice;
    } cases[] = {
        {"--exit-when-nodes-finish", 1},
        {"--exit-when-nodes-finish=true", 1},
        {"--exit-when-nodes-finish=false", -1},
    };

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(cases); i++) {
        struct command command;

        assert_int_equal(parse(WORDS(cases[i].word, "f.yml"), &command, NULL),
                         STATUS_OK);
        assert_int_equal(command.exit_when_nodes_finish, cases[i].choice);
        assert_string_equal(command.file, "f.yml");
        command_fini(&command);
    }
}

static void
test_command_line_python_is_relative_to_the_shell(void **state)
{
    struct command command;
    char directory[512], expected[600];

    (void)state;
    assert_non_null(getcwd(directory, sizeof directory));
    (void)snprintf(expected, sizeof expected, "%s/venv/bin/python", directory);
    assert_int_equal(
        parse(WORDS("f.yml", "--python", "venv/bin/python"), &command, NULL),
        STATUS_OK);
    assert_string_equal(command.python, expected);
    command_fini(&command);
    assert_int_equal(
        parse(WORDS("f.yml", "--python", "python3.12"), &command, NULL),
        STATUS_OK);
    assert_string_equal(command.python, "python3.12");
    command_fini(&command);
}

static void
test_command_line_environment_gives_defaults(void **state)
{
    struct command command;

    (void)state;
    (void)setenv("DORA_LOG_LEVEL", "warn", 1);
    (void)setenv("DORA_ALLOW_SHELL_NODES", "true", 1);
    assert_int_equal(parse(WORDS("f.yml"), &command, NULL), STATUS_OK);
    assert_int_equal(command.log_level, DORA_LEVEL_WARN);
    assert_true(command.allow_shell);
    command_fini(&command);
    assert_int_equal(
        parse(WORDS("f.yml", "--log-level", "trace"), &command, NULL),
        STATUS_OK);
    assert_int_equal(command.log_level, DORA_LEVEL_TRACE);
    command_fini(&command);
}

static void
test_command_line_help_and_version_need_no_file(void **state)
{
    static const struct {
        const char *word;
        enum verb verb;
    } cases[] = {
        {"--help", VERB_HELP},
        {"-h", VERB_HELP},
        {"--version", VERB_VERSION},
        {"-V", VERB_VERSION},
    };

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(cases); i++) {
        struct command command;

        assert_int_equal(parse(WORDS(cases[i].word), &command, NULL),
                         STATUS_OK);
        assert_int_equal(command.verb, cases[i].verb);
        command_fini(&command);
    }
}

/* One line says what is wrong, and what was probably meant. */
static void
test_command_line_mistakes_are_explained(void **state)
{
    static const struct {
        const char *words[5]; /* until NULL */
        const char *text;
    } cases[] = {
        {{"--stop-atfer", "3", "f.yml"}, "did you mean `--stop-after`?"},
        {{"f.yml", "--loglevel=info"}, "did you mean `--log-level`?"},
        {{"f.yml", "--versoin"}, "did you mean `--version`?"},
        {{"f.yml", "--frobnicate"}, "no option `--frobnicate`; see --help"},
        {{"chek", "f.yml"}, "no command `chek`; did you mean `check`?"},
        {{"grahp", "f.yml"}, "did you mean `graph`?"},
        {{"start", "f.yml"}, "no command `start`: `dora-run FILE` runs"},
        {{"up"}, "no command `up`: nothing has to be up"},
        {{"validate", "f.yml"}, "`dora-run check FILE` does that"},
        {{"node.py"}, "`node.py` is a script: give the dataflow"},
        {{"run", "node.py"}, "`node.py` is a script: give the dataflow"},
        {{"a.yml", "b.yml"}, "`b.yml` is too many"},
        {{"check", "a.yml", "b.yml"}, "`b.yml` is too many"},
        {{"check"}, "no dataflow file given"},
        {{"--allow-shell-nodes"}, "no dataflow file given"},
        {{"f.yml", "--stop-after"}, "--stop-after needs a duration"},
        {{"f.yml", "--stop-after", "soon"}, "`soon` is not a duration"},
        {{"f.yml", "--stop-after="}, "`` is not a duration"},
        {{"f.yml", "--log-level", "loud"}, "`loud` is not one of error"},
        {{"f.yml", "--isolation", "n"}, "`n` is not NODE=TIER"},
        {{"f.yml", "--isolation", "n=x"}, "`n=x` is not NODE=TIER"},
        {{"f.yml", "--isolation", "=auto"}, "`=auto` is not NODE=TIER"},
        {{"f.yml", "--env", "A"}, "`A` is not NAME=VALUE"},
        {{"f.yml", "--env", "=b"}, "`=b` is not NAME=VALUE"},
        {{"f.yml", "--allow-shell-nodes=1"}, "takes no value"},
        {{"f.yml", "--exit-when-nodes-finish=maybe"}, "not true or false"},
        {{"f.yml", "--report="}, "`` is not a file to write"},
        {{"f.yml", "-x"}, "no option `-x`"},
        {{"node", "s.py"}, "node needs --id NODE"},
        {{"node", "--id", "a"}, "node needs the script"},
        {{"f.yml", "--id", "a"}, "--id is for `dora-run node`"},
        {{"check", "f.yml", "--run", "a"}, "--run is for `dora-run node`"},
    };

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(cases); i++) {
        struct command command;
        struct dora_error err;

        assert_int_equal(parse(cases[i].words, &command, &err), STATUS_USAGE);
        if (!strstr(err.text, cases[i].text))
            fail_msg("no `%s` in: %s", cases[i].text, err.text);
        assert_null(strchr(err.text, '\n'));
    }
}

/* After the script everything is the script's. */
static void
test_command_line_node_takes_a_script(void **state)
{
    struct command command;
    struct dora_error err;

    (void)state;
    assert_int_equal(parse(WORDS("node", "--id", "a", "--run=f.yml", "s.py",
                                 "--id", "--", "-x"),
                           &command, &err),
                     STATUS_OK);
    assert_int_equal(command.verb, VERB_NODE);
    assert_string_equal(command.node, "a");
    assert_string_equal(command.run, "f.yml");
    assert_string_equal(command.script[0], "s.py");
    assert_string_equal(command.script[1], "--id");
    assert_string_equal(command.script[2], "--");
    assert_string_equal(command.script[3], "-x");
    assert_null(command.script[4]);
    command_fini(&command);
}

/* Every option there is, is in the help. */
static void
test_command_line_help_names_every_option(void **state)
{
    static const char *const names[] = {
        "--stop-after", "--exit-when-nodes-finish",
        "--report",     "--log-level",
        "--python",     "--isolation",
        "--env",        "--allow-shell-nodes",
        "--id",         "--run",
        "--help",       "--version",
    };

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(names); i++)
        assert_non_null(strstr(command_help, names[i]));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_line_durations),
        cmocka_unit_test(test_command_line_durations_that_are_none),
        cmocka_unit_test_setup(test_command_line_file_alone_is_run, setup),
        cmocka_unit_test_setup(test_command_line_options_stand_anywhere, setup),
        cmocka_unit_test_setup(test_command_line_graces, setup),
        cmocka_unit_test_setup(test_command_line_two_dashes_end_options, setup),
        cmocka_unit_test_setup(
            test_command_line_exit_when_nodes_finish_has_three_values, setup),
        cmocka_unit_test_setup(
            test_command_line_python_is_relative_to_the_shell, setup),
        cmocka_unit_test_setup(test_command_line_environment_gives_defaults,
                               setup),
        cmocka_unit_test_setup(test_command_line_help_and_version_need_no_file,
                               setup),
        cmocka_unit_test_setup(test_command_line_mistakes_are_explained, setup),
        cmocka_unit_test_setup(test_command_line_node_takes_a_script, setup),
        cmocka_unit_test(test_command_line_help_names_every_option),
    };

    (void)alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
