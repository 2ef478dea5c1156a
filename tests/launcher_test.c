/* launcher_test.c - which nodes are Python, and what is executed for them. */
#include "pythons.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void
test_launcher_claims_what_is_python(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *path;
        bool claimed;
    } cases[] = {
        {"node.py", true},
        {"missing.py", true},
        {"python", true},
        {"python3", true},
        {"python3.12", true},
        {"/usr/bin/python3.13t", true},
        {"./venv/bin/python", true},
        {"tool", true},
        {"pip-tool", true},
        {"env-tool", true},
        {"sh-tool", false},
        {"python-config", false},
        {"shell", false},
        {"dynamic", false},
        {".py", false},
        {"nobody", false},
        {"data", false},
    };

    make_file(world, "flow/tool", 0755, "#!/usr/bin/python3\n");
    make_file(world, "flow/pip-tool", 0755,
              "#!/bin/sh\n'''exec' \"/a b/python3\" \"$0\" \"$@\"\n' '''\n");
    make_file(world, "flow/env-tool", 0755, "#! /usr/bin/env -S python3 -u\n");
    make_file(world, "flow/sh-tool", 0755, "#!/bin/sh\npython3 x\n");
    make_file(world, "flow/python-config", 0755, "#!/bin/sh\n");
    make_file(world, "flow/data", 0644, "#!/usr/bin/python3\n");
    for (size_t i = 0; i < DORA_COUNT(cases); i++) {
        struct dora__graph_node node = node_of(cases[i].path, NULL);

        if (dora_python.claims(&node, &world->site) != cases[i].claimed)
            fail_msg("%s", cases[i].path);
    }
}

/* Says of the interpreter that it was called as what the real one would. */
static void
make_stable(struct world *world, const char *module)
{
    char text[1024];

    (void)snprintf(text, sizeof text,
                   "#!/bin/sh\nprintf '%%s\\n' '%s/other/python3' "
                   "'%s/other/python3' 3.12.4 '%s'\n",
                   world->root, world->root, module);
    make_file(world, "libexec/dora-stable", 0755, text);
}

static void
test_launcher_other_pythons_get_the_module_for_all(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("node.py", "../other/python3");

    make_stable(world, "yes");
    assert_runs(world, &node, "libexec/dora-stable", "other/python3");
    assert_reason(world, "module for any Python");
    make_stable(world, "it is free-threaded");
    assert_refused(world, &node, "cannot run nodes: it is free-threaded");
    /* Nobody asked for the one on PATH: it need not do. */
    node.python = NULL;
    set_variable(world, "PATH", below(world, "other"));
    assert_runs(world, &node, "libexec/one", "base1/python3.11");
    make_stable(world, "yes");
    assert_runs(world, &node, "libexec/dora-stable", "other/python3");
    /* And there may be no other build. */
    make_file(world, "libexec/pythons", 0644, "");
    assert_runs(world, &node, "libexec/dora-stable", "other/python3");
    set_variable(world, "PATH", "/nowhere");
    assert_refused(world, &node, "no python3 is on PATH");
}

static void
test_launcher_console_script_runs_on_its_own(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("tool", NULL);
    char text[512];

    (void)snprintf(text, sizeof text, "#!%s/base2/python3.13\n", world->root);
    make_file(world, "flow/tool", 0755, text);
    assert_runs(world, &node, "libexec/two", "base2/python3.13");
    assert_string_equal(world->launch.argv[2], below(world, "flow/tool"));
    assert_reason(world, "first line");
    make_file(world, "flow/tool", 0755, "#!/usr/bin/env python3\n");
    assert_runs(world, &node, "libexec/one", "base1/python3");
}

static void
test_launcher_console_script_of_pyenv_is_known_behind_its_shim(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("tool", NULL);
    const char *behind = "pyenv/versions/3.13.0/bin/tool";
    char text[512];

    make_file(world, "pyenv/shims/tool", 0755, "#!/bin/sh\nexit 1\n");
    (void)snprintf(text, sizeof text, "#!%s/base2/python3.13\n", world->root);
    make_file(world, behind, 0755, text);
    make_file(world, "pyenv/version", 0644, "3.13.0\n");
    set_variable(world, "PATH", below(world, "pyenv/shims"));
    assert_true(dora_python.claims(&node, &world->site));
    assert_runs(world, &node, "libexec/two", "base2/python3.13");
    assert_string_equal(world->launch.argv[2], below(world, behind));
    make_file(world, behind, 0755, "#!/bin/sh\n");
    assert_false(dora_python.claims(&node, &world->site));
}

static void
test_launcher_as_path_takes_its_arguments(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("python", NULL);
    char *args[] = {(char *)"-m", (char *)"pkg.mod", (char *)"a b", NULL};

    assert_refused(world, &node, "needs `args`");
    node.args = args;
    node.arg_count = 3;
    assert_runs(world, &node, "libexec/one", "base1/python3");
    assert_string_equal(world->launch.argv[2], "-m");
    assert_string_equal(world->launch.argv[3], "pkg.mod");
    assert_string_equal(world->launch.argv[4], "a b");
    assert_null(world->launch.argv[5]);
    node.python = (char *)"../base2/python3.13";
    assert_runs(world, &node, "libexec/two", "flow/../base2/python3.13");
    node.path = (char *)"../base2/python3.13";
    assert_refused(world, &node, "both `path` and `python`");
    node.python = NULL;
    assert_runs(world, &node, "libexec/two", "flow/../base2/python3.13");
    assert_reason(world, "`path` of the node");
}

static void
test_launcher_script_that_is_missing_is_said(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("gone.py", NULL);

    assert_refused(world, &node, "could not find source path `gone.py`");
    node.build = (char *)"make gone.py";
    assert_runs(world, &node, "libexec/one", "base1/python3");
    node = node_of("dir.py", NULL);
    make_file(world, "flow/dir.py/x", 0644, "");
    assert_refused(world, &node, "not a file that can be read");
}

static void
test_launcher_host_takes_nodes_of_its_own_python(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("node.py", NULL);

    node.isolation = DORA__ISOLATION_INTERPRETER;
    assert_refused(world, &node, "needs a dora-run that was built for");
    make_file(world, "libexec/dora-inhost.so", 0644, "");
    assert_runs(world, &node, "libexec/two", "base2/python3.13");
    assert_reason(world, "isolation: interpreter");
    assert_string_equal(world->launch.tier, "interpreter");
    assert_string_equal(world->launch.library,
                        below(world, "libexec/dora-inhost.so"));
    node.python = (char *)"../base1/python3";
    assert_refused(world, &node, "leave one of the two away");
    node = node_of("python", NULL);
    node.isolation = DORA__ISOLATION_INTERPRETER;
    node.args = (char *[]){(char *)"x", NULL};
    node.arg_count = 1;
    assert_refused(world, &node, "ends in .py");
    node.isolation = DORA__ISOLATION_PROCESS;
    assert_runs(world, &node, "libexec/one", "base1/python3");
    assert_reason(world, "isolation: process");
    assert_string_equal(world->launch.tier, "process");
}

static void
test_launcher_auto_chooses_by_the_node(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("node.py", NULL);
    struct dora__graph_env env = {(char *)"LC_ALL", (char *)"C"};

    make_file(world, "libexec/dora-inhost.so", 0644, "");
    set_variable(world, "PATH", below(world, "base2"));
    make_link(world, "base2/python3", "base2/python3.13");
    assert_runs(world, &node, "libexec/two", "base2/python3");
    assert_reason(world, "auto: this program runs nodes inside only if");
    world->site.auto_inside = true;
    assert_runs(world, &node, "libexec/two", "base2/python3");
    assert_string_equal(world->launch.tier, "interpreter");
    assert_reason(world, "auto: it keeps to modules");
    node.restart_policy = DORA__RESTART_ALWAYS;
    assert_runs(world, &node, "libexec/two", "base2/python3");
    assert_string_equal(world->launch.tier, "process");
    assert_reason(world, "auto: a node with `restart_policy`");
    node = node_of("node.py", "../base2/python3.13");
    assert_runs(world, &node, "libexec/two", "flow/../base2/python3.13");
    assert_reason(world, "auto: a node with `python`");
    node = node_of("node.py", NULL);
    node.env = &env;
    node.env_count = 1;
    assert_runs(world, &node, "libexec/two", "base2/python3");
    assert_reason(world, "auto: LC_ALL in its `env` would hold");
    node = node_of("node.py", NULL);
    make_file(world, "flow/node.py", 0644, "\nimport numpy\n");
    assert_runs(world, &node, "libexec/two", "base2/python3");
    assert_string_equal(world->launch.tier, "process");
    assert_reason(world, "auto: node.py:2: import numpy");
    make_file(world, "flow/node.py", 0644, "");
    world->site.python = below(world, "base1/python3");
    assert_runs(world, &node, "libexec/one", "base1/python3");
    assert_reason(
        world, "auto: its Python is 3.11.2, the one inside dora-run is 3.13");
}

/* Both kinds of 3.13, the free-threaded one newer and asked about first. */
static void
add_free_threaded(struct world *world)
{
    char text[1024];

    (void)snprintf(
        text, sizeof text,
        "cp313t-base3\t3.13.1t\t%s/base3/python3.13t\t%s/libexec/t/p\n"
        "cp313-base2\t3.13.0\t%s/base2/python3.13\t%s/libexec/two\n",
        world->root, world->root, world->root, world->root);
    make_file(world, "libexec/pythons", 0644, text);
    make_file(world, "libexec/t/p", 0755, "");
    make_file(world, "libexec/t/dora-inhost.so", 0644, "");
    make_file(world, "libexec/dora-inhost.so", 0644, "");
    make_file(world, "base3/python3.13t", 0755, "\177ELF 3");
}

static void
test_launcher_free_threaded_is_another_version(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("node.py", NULL);

    add_free_threaded(world);
    set_variable(world, "PATH", below(world, "nowhere"));
    make_file(world, "flow/.python-version", 0644, "3.13");
    assert_runs(world, &node, "libexec/two", "base2/python3.13");
    make_file(world, "flow/.python-version", 0644, "3.13t");
    assert_runs(world, &node, "libexec/t/p", "base3/python3.13t");
    assert_non_null(strstr(world->launch.interpreter, "Python 3.13.1t ("));
    make_file(world, "flow/.python-version", 0644, "3.13.1t");
    assert_runs(world, &node, "libexec/t/p", "base3/python3.13t");
}

static void
test_launcher_free_threaded_gets_a_process(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("node.py", NULL);

    add_free_threaded(world);
    world->site.auto_inside = true;
    world->site.python = strdup(below(world, "base3/python3.13t"));
    assert_runs(world, &node, "libexec/t/p", "base3/python3.13t");
    assert_string_equal(world->launch.tier, "process");
    assert_reason(world, "auto: a node of a free-threaded Python gets a");
    node.isolation = DORA__ISOLATION_INTERPRETER;
    assert_refused(world, &node, "is not for a free-threaded Python");
    free((char *)(uintptr_t)world->site.python);
    world->site.python = NULL; /* nobody asks: the one inside will do */
    assert_runs(world, &node, "libexec/two", "base2/python3.13");
    assert_string_equal(world->launch.tier, "interpreter");
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(test_launcher_claims_what_is_python),
        IN_WORLD(test_launcher_other_pythons_get_the_module_for_all),
        IN_WORLD(test_launcher_console_script_runs_on_its_own),
        IN_WORLD(
            test_launcher_console_script_of_pyenv_is_known_behind_its_shim),
        IN_WORLD(test_launcher_as_path_takes_its_arguments),
        IN_WORLD(test_launcher_script_that_is_missing_is_said),
        IN_WORLD(test_launcher_host_takes_nodes_of_its_own_python),
        IN_WORLD(test_launcher_auto_chooses_by_the_node),
        IN_WORLD(test_launcher_free_threaded_is_another_version),
        IN_WORLD(test_launcher_free_threaded_gets_a_process),
    };

    (void)alarm(300);
    built = argc > 1 ? argv[1] : built;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
