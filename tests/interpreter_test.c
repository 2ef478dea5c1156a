/* interpreter_test.c - which interpreter a Python node gets, and which build of
 * dora-python belongs to it. */
#include "../pyapi/launch/interpreter.h"
#include "fault.h"
#include "pythons.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* --- which one ------------------------------------------------------------ */

static void
test_interpreter_default_is_python3_on_path(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("node.py", NULL);

    assert_runs(world, &node, "libexec/one", "base1/python3");
    assert_reason(world, "python3 on PATH");
    assert_string_equal(world->launch.argv[2], below(world, "flow/node.py"));
    assert_null(world->launch.argv[3]);
    assert_string_equal(strchr(world->launch.env[0], '=') + 1,
                        below(world, "libexec/children"));
    assert_true(world->launch.attaches);
    assert_string_equal(world->launch.kind, "python");
    assert_string_equal(world->launch.tier, "process");
}

static void
test_interpreter_default_gives_way_to_a_built_one(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("node.py", NULL);

    set_variable(world, "PATH", below(world, "other"));
    assert_runs(world, &node, "libexec/one", "base1/python3.11");
    assert_reason(world, "first Python dora-run was built for");
    assert_reason(world, below(world, "other/python3"));
    set_variable(world, "PATH", "/nowhere");
    assert_runs(world, &node, "libexec/one", "base1/python3.11");
    assert_reason(world, "no python3 is on PATH");
}

static void
test_interpreter_active_environment_keeps_its_links(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("node.py", NULL);
    char prefix[512];

    make_link(world, "venv/bin/python", "base2/python3.13");
    make_link(world, "conda/bin/python", "base1/python3.11");
    (void)snprintf(prefix, sizeof prefix, "%s", below(world, "conda"));
    set_variable(world, "CONDA_PREFIX", prefix);
    assert_runs(world, &node, "libexec/one", "conda/bin/python");
    assert_reason(world, "$CONDA_PREFIX");
    (void)snprintf(prefix, sizeof prefix, "%s", below(world, "venv"));
    set_variable(world, "VIRTUAL_ENV", prefix);
    assert_runs(world, &node, "libexec/two", "venv/bin/python");
    assert_reason(world, "$VIRTUAL_ENV");
}

static void
test_interpreter_environment_that_is_gone_is_passed_over(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("node.py", NULL);

    set_variable(world, "VIRTUAL_ENV", "/nowhere/venv");
    assert_runs(world, &node, "libexec/one", "base1/python3");
}

static void
test_interpreter_environment_of_copies_is_known_by_its_config(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("node.py", "../venv");
    static const char *const configs[] = {
        "home = %s/base2\nversion = 3.13.0\nexecutable = %s/base2/python3.13\n",
        "HOME=%s/base2\n", /* its python3.13 is found by the name below */
        "version = 3.13.7\nbase-executable =  %s/base2/python3.13\r\n",
    };

    for (size_t i = 0; i < DORA_COUNT(configs); i++) {
        char text[512];

        (void)snprintf(text, sizeof text, configs[i], world->root, world->root);
        make_file(world, "venv/pyvenv.cfg", 0644, text);
        make_file(world, "venv/bin/python3.13", 0755, "\177ELF copy");
        make_link(world, "venv/bin/python", "venv/bin/python3.13");
        node.python = (char *)"../venv/bin/python3.13";
        assert_runs(world, &node, "libexec/two", "flow/../venv/bin/python3.13");
    }
    assert_reason(world, "`python` of the node");
}

/* A directory may hold one that there is a build of, and others: those are
 * asked what they are. */
static void
test_interpreter_environment_is_of_its_own_python(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("node.py", "../venv");
    char home[128];
    static const char *const configs[] = {
        "home = %s/base1\nexecutable = %s/base1/python3.12\n",
        "home = %s/base1\nversion = 3.12.9\n",
        "home = %s/base1\nversion_info = 3.12.9.final.0\n",
    };

    make_file(world, "base1/python3.12", 0755, "\177ELF 4");
    for (size_t i = 0; i < DORA_COUNT(configs); i++) {
        char text[512];

        (void)snprintf(text, sizeof text, configs[i], world->root, world->root);
        make_file(world, "venv/pyvenv.cfg", 0644, text);
        make_file(world, "venv/bin/python", 0755, "\177ELF copy");
        assert_refused(world, &node, "does not run as a Python 3");
    }
    make_link(world, "venv/bin/python", "base1/python3.12");
    (void)snprintf(home, sizeof home, "home = %s/base1\n", world->root);
    make_file(world, "venv/pyvenv.cfg", 0644, home);
    assert_refused(world, &node, "does not run as a Python 3");
}

static void
test_interpreter_named_by_the_node_wins(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("node.py", "../venv");
    char prefix[512];

    make_link(world, "active/bin/python", "base1/python3.11");
    (void)snprintf(prefix, sizeof prefix, "%s", below(world, "active"));
    set_variable(world, "VIRTUAL_ENV", prefix);
    world->site.python = "/nowhere/python";
    make_link(world, "venv/bin/python", "base2/python3.13");
    assert_runs(world, &node, "libexec/two", "flow/../venv/bin/python");
    assert_reason(world, "`python` of the node");
}

static void
test_interpreter_of_the_run_beats_the_active_one(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("node.py", NULL);
    char prefix[512], python[512];

    make_link(world, "active/bin/python", "base1/python3.11");
    (void)snprintf(prefix, sizeof prefix, "%s", below(world, "active"));
    set_variable(world, "VIRTUAL_ENV", prefix);
    (void)snprintf(python, sizeof python, "%s",
                   below(world, "base2/python3.13"));
    world->site.python = python;
    assert_runs(world, &node, "libexec/two", "base2/python3.13");
    assert_reason(world, "--python");
}

static void
test_interpreter_asked_for_without_build_is_refused(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("node.py", "../other/python3");
    struct dora__graph_node plain = node_of("node.py", NULL);
    char prefix[512];

    make_wrapper(world, "other/python3", "other/real", "3.9.18");
    assert_refused(world, &node, "Python 3.9.18");
    assert_non_null(strstr(world->err.text, "3.11.2"));
    assert_non_null(strstr(world->err.text, "3.13.0"));
    assert_non_null(strstr(world->err.text, "configure.py --python"));
    make_link(world, "venv/bin/python", "other/python3");
    (void)snprintf(prefix, sizeof prefix, "%s", below(world, "venv"));
    set_variable(world, "VIRTUAL_ENV", prefix);
    assert_refused(world, &plain, "$VIRTUAL_ENV");
}

static void
test_interpreter_that_is_none_is_refused(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("node.py", "../no/python");

    assert_refused(world, &node, "does not exist");
    node.python = (char *)"node.py";
    assert_refused(world, &node, "is not executable");
    make_file(world, "other/python3", 0755, "#!/bin/sh\nexit 1\n");
    node.python = (char *)"../other/python3";
    assert_refused(world, &node, "does not run as a Python 3");
    make_file(world, "other/python3", 0755, "#!/bin/sh\necho hello\n");
    assert_refused(world, &node, "does not run as a Python 3");
}

static void
test_interpreter_wrapper_is_asked(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("node.py", "../wrap/python3");

    make_wrapper(world, "wrap/python3", "base2/python3.13", "3.13.0");
    assert_runs(world, &node, "libexec/two", "base2/python3.13");
}

static void
test_interpreter_pyenv_shim_is_read_and_not_run(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("node.py", NULL);

    make_file(world, "pyenv/shims/python3", 0755, "#!/bin/sh\nexit 1\n");
    make_link(world, "pyenv/versions/3.13.0/bin/python3", "base2/python3.13");
    make_link(world, "pyenv/versions/3.11.2/bin/python3", "base1/python3.11");
    set_variable(world, "PATH", below(world, "pyenv/shims"));
    make_file(world, "pyenv/version", 0644, "3.13.0\n");
    assert_runs(world, &node, "libexec/two",
                "pyenv/versions/3.13.0/bin/python3");
    make_file(world, ".python-version", 0644, "# here\n3.11.2\n");
    assert_runs(world, &node, "libexec/one",
                "pyenv/versions/3.11.2/bin/python3");
    assert_reason(world, "which is pyenv's");
    assert_reason(world, below(world, ".python-version says 3.11.2"));
    set_variable(world, "PYENV_VERSION", "3.13.0:3.11.2");
    assert_runs(world, &node, "libexec/two",
                "pyenv/versions/3.13.0/bin/python3");
    assert_reason(world, "$PYENV_VERSION says 3.13.0");
    /* The newest, in its own directory or in one of conda's environments. */
    make_link(world, "pyenv/versions/3.13.10/bin/python3", "base2/python3.13");
    make_link(world, "pyenv/versions/3.13.9t/bin/python3", "other/python3");
    make_link(world, "pyenv/versions/mini-3/envs/a/bin/python3",
              "base1/python3.11");
    set_variable(world, "PYENV_VERSION", "3.13");
    assert_runs(world, &node, "libexec/two",
                "pyenv/versions/3.13.10/bin/python3");
    set_variable(world, "PYENV_VERSION", "mini-3/envs/a");
    assert_runs(world, &node, "libexec/one",
                "pyenv/versions/mini-3/envs/a/bin/python3");
    /* Not plainly said: the shim is asked. Of the variable, which pyenv sets
     * for what it starts, nobody insists on it; of the file they do. */
    set_variable(world, "PYENV_VERSION", "3.12");
    assert_runs(world, &node, "libexec/one", "base1/python3.11");
    assert_reason(world, "$PYENV_VERSION says 3.12");
    set_variable(world, "PYENV_VERSION", "");
    make_file(world, ".python-version", 0644, "3.12\n");
    assert_refused(world, &node, ".python-version says 3.12");
    make_wrapper(world, "pyenv/shims/python3", "base2/python3.13", "3.13.0");
    assert_runs(world, &node, "libexec/two", "base2/python3.13");
}

static void
test_interpreter_pyenv_choice_for_all_places_gives_way(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("node.py", NULL);

    make_file(world, "pyenv/shims/python3", 0755, "#!/bin/sh\nexit 1\n");
    make_file(world, "pyenv/version", 0644, "3.9.18\n");
    set_variable(world, "PATH", below(world, "pyenv/shims"));
    assert_runs(world, &node, "libexec/one", "base1/python3.11");
    assert_reason(world, "first Python dora-run was built for");
}

static void
test_interpreter_version_file_counts_without_pyenv(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("node.py", NULL);
    static const char *const versions[] = {"3.13", "3.13.0", "# new\n 3.13\n"};
    static const char *const others[] = {"3.9", "3.1", "3.13.1", "pypy3.10"};

    for (size_t i = 0; i < DORA_COUNT(versions); i++) {
        make_file(world, ".python-version", 0644, versions[i]);
        assert_runs(world, &node, "libexec/two", "base2/python3.13");
        assert_reason(world, below(world, ".python-version says 3.13"));
    }
    /* Nobody here would obey it: what a shell would run runs. */
    for (size_t i = 0; i < DORA_COUNT(others); i++) {
        make_file(world, "flow/.python-version", 0644, others[i]);
        assert_runs(world, &node, "libexec/one", "base1/python3");
        assert_reason(world, "which is not here");
    }
    make_link(world, "base1/python3.13", "base2/python3.13");
    make_file(world, "flow/.python-version", 0644, "3.13");
    assert_runs(world, &node, "libexec/two", "base1/python3.13");
    make_file(world, "flow/.python-version", 0644, "\n");
    assert_runs(world, &node, "libexec/one", "base1/python3");
}

static void
test_interpreter_of_the_project_is_beside_it(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("node.py", NULL);

    make_file(world, ".python-version", 0644, "3.11");
    make_link(world, ".venv/bin/python", "base2/python3.13");
    assert_runs(world, &node, "libexec/one", "base1/python3.11");
    make_file(world, "pyproject.toml", 0644, "");
    assert_runs(world, &node, "libexec/two", ".venv/bin/python");
    assert_reason(world, "the project's environment");
    make_link(world, "flow/.venv/bin/python", "base1/python3");
    assert_runs(world, &node, "libexec/one", "flow/.venv/bin/python");
    /* Without its interpreter it is none. */
    make_link(world, "flow/.venv/bin/python", "nowhere");
    assert_runs(world, &node, "libexec/two", ".venv/bin/python");
}

static void
test_interpreter_of_the_project_gives_way_to_the_active(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("node.py", NULL);
    char prefix[512];

    make_link(world, "flow/.venv/bin/python", "base2/python3.13");
    make_link(world, "conda/bin/python", "base1/python3.11");
    (void)snprintf(prefix, sizeof prefix, "%s", below(world, "conda"));
    set_variable(world, "CONDA_PREFIX", prefix);
    assert_runs(world, &node, "libexec/one", "conda/bin/python");
    /* Unless it is the one that is always active. */
    set_variable(world, "CONDA_DEFAULT_ENV", "base");
    assert_runs(world, &node, "libexec/two", "flow/.venv/bin/python");
    make_link(world, "flow/.venv/bin/python", "nowhere");
    assert_runs(world, &node, "libexec/one", "conda/bin/python");
    assert_reason(world, "$CONDA_PREFIX");
}

static void
test_interpreter_of_a_base_environment_gives_way(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("node.py", NULL);
    char prefix[512];

    make_link(world, "conda/bin/python", "other/python3");
    (void)snprintf(prefix, sizeof prefix, "%s", below(world, "conda"));
    set_variable(world, "CONDA_PREFIX", prefix);
    set_variable(world, "CONDA_DEFAULT_ENV", "work");
    assert_refused(world, &node, "$CONDA_PREFIX");
    set_variable(world, "CONDA_DEFAULT_ENV", "base");
    assert_runs(world, &node, "libexec/one", "base1/python3.11");
    assert_reason(world, "not active environment ($CONDA_PREFIX)");
}

static void
test_interpreter_of_the_project_is_not_a_strangers(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("node.py", NULL);

    if (geteuid() != 0)
        skip();
    make_file(world, "pyproject.toml", 0644, "");
    make_link(world, ".venv/bin/python", "base2/python3.13");
    assert_int_equal(chown(below(world, ".venv"), 65534, 65534), 0);
    assert_runs(world, &node, "libexec/one", "base1/python3");
    /* Root runs what belongs to somebody, who may have an environment. */
    assert_int_equal(chown(below(world, "flow"), 65534, 65534), 0);
    assert_runs(world, &node, "libexec/two", ".venv/bin/python");
}

static void
test_interpreter_shebang_is_read_in_all_its_forms(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *text, *interpreter; /* NULL: none */
    } cases[] = {
        {"#!/usr/bin/python3\n", "/usr/bin/python3"},
        {"#!  /usr/bin/python3.12 -s\n", "/usr/bin/python3.12"},
        {"#!/usr/bin/env python3\n", "python3"},
        {"#!/usr/bin/env -S A=1 python -u\r\n", "python"},
        {"#!/bin/sh\n'''exec' /v/bin/python \"$0\" \"$@\"\n", "/v/bin/python"},
        {"#!/bin/sh\n'''exec' \"/a b/python\" \"$0\"\n", "/a b/python"},
        {"#!/bin/sh\n\"exec\" \"/v/python\" \"$0\"\n", "/v/python"},
        {"#!/bin/sh\necho python3\n", NULL},
        {"#!/usr/bin/perl\n", NULL},
        {"#!/usr/bin/env\n", NULL},
        {"#!\n", NULL},
        {"\177ELF", NULL},
        {"", NULL},
    };

    for (size_t i = 0; i < DORA_COUNT(cases); i++) {
        char *interpreter = NULL;
        int result;

        make_file(world, "script", 0755, cases[i].text);
        result = dora__python_shebang(below(world, "script"), &interpreter);
        assert_int_equal(result, cases[i].interpreter ? 0 : -ENOENT);
        if (result == 0)
            assert_string_equal(interpreter, cases[i].interpreter);
        free(interpreter);
    }
}

/* --- the table ------------------------------------------------------------ */

static void
test_interpreter_table_that_is_wrong_is_said(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("node.py", NULL);

    make_file(world, "libexec/pythons", 0644, "a\tb\tc\n");
    assert_int_equal(resolve(world, &node), -EINVAL);
    assert_non_null(strstr(world->err.text, "pythons:1: expected"));
    make_file(world, "libexec/pythons", 0644, "\n");
    assert_int_equal(resolve(world, &node), -ENOENT);
    assert_non_null(strstr(world->err.text, "lists no Python"));
    assert_int_equal(unlink(below(world, "libexec/pythons")), 0);
    assert_int_equal(resolve(world, &node), -ENOENT);
    assert_non_null(strstr(world->err.text, "cannot be read"));
}

static void
test_interpreter_without_its_program_is_said(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("node.py", NULL);

    assert_int_equal(unlink(below(world, "libexec/one")), 0);
    assert_refused(world, &node, "cannot be executed");
}

static void
test_interpreter_builds_are_listed(void **state)
{
    struct world *world = *state;
    char *text;
    char expected[1024];

    (void)snprintf(expected, sizeof expected,
                   "3.11.2\t%s/base1/python3.11\t%s/libexec/one\n"
                   "3.13.0\t%s/base2/python3.13\t%s/libexec/two\n",
                   world->root, world->root, world->root, world->root);
    assert_int_equal(dora_python_builds(world->libexec, &text, &world->err), 0);
    assert_string_equal(text, expected);
    free(text);
    make_file(world, "libexec/dora-inhost.so", 0644, "");
    assert_int_equal(dora_python_builds(world->libexec, &text, &world->err), 0);
    assert_non_null(strstr(text, "libexec/two\tinside\n"));
    assert_null(strstr(text, "libexec/one\tinside"));
    free(text);
    assert_int_equal(dora_python_builds("/nowhere", &text, &world->err),
                     -ENOENT);
}

static void
test_interpreter_survives_want_of_memory(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("node.py", "../venv/bin/python");
    unsigned n;

    make_file(world, "venv/pyvenv.cfg", 0644, "home = /nowhere\n");
    make_wrapper(world, "venv/bin/python", "base2/python3.13", "3.13.0");
    for (n = 1;; n++) {
        int result;

        fault_arm(FAULT_MEMORY, n);
        result = dora_python.resolve(&node, &world->site, &world->launch,
                                     &world->err);
        if (!fault_disarm()) {
            assert_int_equal(result, 0);
            break;
        }
        assert_int_equal(result, -ENOMEM);
    }
    assert_true(n > 20);
}

/* Past all that is asked for, to what is there. */
static void
test_interpreter_choice_survives_want_of_memory(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("node.py", NULL);
    unsigned n;

    make_file(world, "flow/.python-version", 0644, "3.13");
    for (n = 1;; n++) {
        int result;

        fault_arm(FAULT_MEMORY, n);
        result = dora_python.resolve(&node, &world->site, &world->launch,
                                     &world->err);
        if (!fault_disarm()) {
            assert_int_equal(result, 0);
            break;
        }
        assert_int_equal(result, -ENOMEM);
    }
    assert_reason(world, "says 3.13");
    assert_true(n > 20);
}

/* A wrapper that starts a daemon. */
static void
test_interpreter_that_is_asked_leaves_nothing(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("node.py", "../wrapper");
    char text[512];
    FILE *file;
    int pid = 0;

    (void)snprintf(text, sizeof text,
                   "#!/bin/sh\nenv -i setsid sleep 100 >/dev/null &\n"
                   "echo $! > %s/pid\nprintf '%%s\\n' %s/base2/python3.13 "
                   "%s/base2/python3.13 3.13.0 yes\n",
                   world->root, world->root, world->root);
    make_file(world, "wrapper", 0755, text);
    assert_runs(world, &node, "libexec/two", "base2/python3.13");
    file = fopen(below(world, "pid"), "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%d", &pid), 1);
    (void)fclose(file);
    assert_int_equal(kill(pid, 0), -1);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(test_interpreter_default_is_python3_on_path),
        IN_WORLD(test_interpreter_default_gives_way_to_a_built_one),
        IN_WORLD(test_interpreter_active_environment_keeps_its_links),
        IN_WORLD(test_interpreter_environment_that_is_gone_is_passed_over),
        IN_WORLD(test_interpreter_environment_of_copies_is_known_by_its_config),
        IN_WORLD(test_interpreter_environment_is_of_its_own_python),
        IN_WORLD(test_interpreter_named_by_the_node_wins),
        IN_WORLD(test_interpreter_of_the_run_beats_the_active_one),
        IN_WORLD(test_interpreter_asked_for_without_build_is_refused),
        IN_WORLD(test_interpreter_that_is_none_is_refused),
        IN_WORLD(test_interpreter_wrapper_is_asked),
        IN_WORLD(test_interpreter_pyenv_shim_is_read_and_not_run),
        IN_WORLD(test_interpreter_pyenv_choice_for_all_places_gives_way),
        IN_WORLD(test_interpreter_version_file_counts_without_pyenv),
        IN_WORLD(test_interpreter_of_the_project_is_beside_it),
        IN_WORLD(test_interpreter_of_the_project_gives_way_to_the_active),
        IN_WORLD(test_interpreter_of_a_base_environment_gives_way),
        IN_WORLD(test_interpreter_of_the_project_is_not_a_strangers),
        IN_WORLD(test_interpreter_shebang_is_read_in_all_its_forms),
        IN_WORLD(test_interpreter_table_that_is_wrong_is_said),
        IN_WORLD(test_interpreter_without_its_program_is_said),
        IN_WORLD(test_interpreter_builds_are_listed),
        IN_WORLD(test_interpreter_survives_want_of_memory),
        IN_WORLD(test_interpreter_choice_survives_want_of_memory),
        IN_WORLD(test_interpreter_that_is_asked_leaves_nothing),
    };

    (void)alarm(300);
    built = argc > 1 ? argv[1] : built;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
