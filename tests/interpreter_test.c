/* interpreter_test.c - which interpreter a Python node gets, and which build of
 * dora-python belongs to it. The interpreters are made up: files that a table
 * names, links to them, and scripts that answer as a Python would. */
#include "../pyapi/interpreter.h"
#include "fault.h"
#include "kind.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* Below the root: libexec/ with the table, base1/ and base2/ whose python3 were
 * built for, other/python3 that was not, flow/ with the dataflow. */
struct world {
    char root[64], libexec[96], flow[96];
    char environment_text[4][256];
    const char *environment[5];
    struct dora__site site;
    struct dora__launch launch;
    struct dora_error err;
    char path[512]; /* of below() */
};

static const char *
below(struct world *world, const char *name)
{
    (void)snprintf(world->path, sizeof world->path, "%s/%s", world->root, name);
    return world->path;
}

/* Makes the directories of a path too. */
static void
make_file(struct world *world, const char *name, mode_t mode, const char *text)
{
    char path[512];
    FILE *file;

    (void)snprintf(path, sizeof path, "%s", below(world, name));
    for (char *at = path + strlen(world->root) + 1; (at = strchr(at, '/'));
         at++) {
        *at = '\0';
        (void)mkdir(path, 0755);
        *at = '/';
    }
    (void)unlink(path);
    file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs(text, file);
    (void)fclose(file);
    assert_int_equal(chmod(path, mode), 0);
}

/* `name` links to `target`, both below the root. */
static void
make_link(struct world *world, const char *name, const char *target)
{
    char path[512];

    make_file(world, name, 0644, "");
    (void)snprintf(path, sizeof path, "%s", below(world, name));
    (void)unlink(path);
    assert_int_equal(symlink(below(world, target), path), 0);
}

static void
set_variable(struct world *world, const char *name, const char *value)
{
    size_t i = 0;

    while (world->environment[i] &&
           strncmp(world->environment[i], name, strlen(name)) != 0)
        i++;
    assert_true(i < DORA_COUNT(world->environment_text));
    (void)snprintf(world->environment_text[i], 256, "%s=%s", name, value);
    world->environment[i] = world->environment_text[i];
}

static void
set_table(struct world *world)
{
    char text[1024];

    (void)snprintf(text, sizeof text,
                   "cp311-base1\t3.11.2\t%s/base1/python3.11\t%s/libexec/one\n"
                   "cp313-base2\t3.13.0\t%s/base2/python3.13\t%s/libexec/two\n",
                   world->root, world->root, world->root, world->root);
    make_file(world, "libexec/pythons", 0644, text);
}

static int
setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);

    (void)snprintf(world->root, sizeof world->root,
                   "/tmp/dora-interpreter-XXXXXX");
    assert_non_null(mkdtemp(world->root));
    (void)snprintf(world->libexec, sizeof world->libexec, "%s/libexec",
                   world->root);
    (void)snprintf(world->flow, sizeof world->flow, "%s/flow", world->root);
    set_table(world);
    make_file(world, "libexec/one", 0755, "");
    make_file(world, "libexec/two", 0755, "");
    make_file(world, "base1/python3.11", 0755, "\177ELF 1");
    make_link(world, "base1/python3", "base1/python3.11");
    make_file(world, "base2/python3.13", 0755, "\177ELF 2");
    make_file(world, "other/python3", 0755, "\177ELF 3");
    make_file(world, "flow/node.py", 0644, "");
    set_variable(world, "PATH", below(world, "base1"));
    world->site = (struct dora__site){
        .libexec = world->libexec,
        .directory = world->flow,
        .environment = world->environment,
    };
    *state = world;
    return 0;
}

static int
teardown(void **state)
{
    struct world *world = *state;
    char command[128];

    dora__launch_fini(&world->launch);
    (void)snprintf(command, sizeof command, "rm -r %s", world->root);
    assert_int_equal(system(command), 0);
    free(world);
    return 0;
}

static struct dora__graph_node
node_of(const char *path, const char *python)
{
    return (struct dora__graph_node){
        .id = (char *)"plot", .path = (char *)path, .python = (char *)python};
}

static int
resolve(struct world *world, const struct dora__graph_node *node)
{
    dora__launch_fini(&world->launch);
    world->err.text[0] = '\0';
    assert_true(dora_python.claims(node, &world->site));
    return dora_python.resolve(node, &world->site, &world->launch, &world->err);
}

/* The node runs on `program` (of libexec) as the interpreter `executable`. */
static void
assert_runs(struct world *world, const struct dora__graph_node *node,
            const char *program, const char *executable)
{
    if (resolve(world, node) < 0)
        fail_msg("%s", world->err.text);
    assert_string_equal(world->launch.program, below(world, program));
    assert_string_equal(world->launch.argv[0], below(world, executable));
    assert_string_equal(world->launch.argv[1], "-u");
    assert_non_null(strstr(world->launch.interpreter, world->path));
}

static void
assert_reason(struct world *world, const char *word)
{
    if (!strstr(world->launch.reason, word))
        fail_msg("no `%s` in: %s", word, world->launch.reason);
}

static void
assert_refused(struct world *world, const struct dora__graph_node *node,
               const char *word)
{
    assert_true(resolve(world, node) < 0);
    if (!strstr(world->err.text, word) || !strstr(world->err.text, "`plot`"))
        fail_msg("no `%s` in: %s", word, world->err.text);
}

/* A script that answers as the interpreter `base` would. */
static void
make_wrapper(struct world *world, const char *name, const char *base,
             const char *version)
{
    char text[1024];

    (void)snprintf(text, sizeof text,
                   "#!/bin/sh\nprintf '%%s\\n' '%s/%s' '%s/%s' %s\n",
                   world->root, base, world->root, base, version);
    make_file(world, name, 0755, text);
}

/* --- which one
 * ------------------------------------------------------------------- */

static void
test_interpreter_default_is_python3_on_path(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("node.py", NULL);

    assert_runs(world, &node, "libexec/one", "base1/python3");
    assert_reason(world, "python3 on PATH");
    assert_string_equal(world->launch.argv[2], below(world, "flow/node.py"));
    assert_null(world->launch.argv[3]);
    assert_string_equal(world->launch.env[0], "PYTHONUNBUFFERED=1");
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
        "version = 3\nbase-executable =  %s/base2/python3.13\r\n",
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
    set_variable(world, "PYENV_VERSION", "3.13.0:3.11.2");
    assert_runs(world, &node, "libexec/two",
                "pyenv/versions/3.13.0/bin/python3");
    /* Not plainly said: the shim is asked, and nobody insists on it. */
    set_variable(world, "PYENV_VERSION", "3.12");
    assert_runs(world, &node, "libexec/one", "base1/python3.11");
}

/* --- which nodes
 * ----------------------------------------------------------------- */

static void
test_interpreter_claims_what_is_python(void **state)
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

static void
test_interpreter_console_script_runs_on_its_own(void **state)
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
test_interpreter_as_path_takes_its_arguments(void **state)
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
test_interpreter_script_that_is_missing_is_said(void **state)
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
test_interpreter_in_host_tier_is_refused(void **state)
{
    struct world *world = *state;
    struct dora__graph_node node = node_of("node.py", NULL);

    node.isolation = DORA__ISOLATION_INTERPRETER;
    assert_refused(world, &node, "isolation: interpreter");
    node.isolation = DORA__ISOLATION_PROCESS;
    assert_runs(world, &node, "libexec/one", "base1/python3");
    assert_reason(world, "isolation: process");
}

/* --- the table
 * --------------------------------------------------------------------- */

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

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(test_interpreter_default_is_python3_on_path),
        IN_WORLD(test_interpreter_default_gives_way_to_a_built_one),
        IN_WORLD(test_interpreter_active_environment_keeps_its_links),
        IN_WORLD(test_interpreter_environment_that_is_gone_is_passed_over),
        IN_WORLD(test_interpreter_environment_of_copies_is_known_by_its_config),
        IN_WORLD(test_interpreter_named_by_the_node_wins),
        IN_WORLD(test_interpreter_of_the_run_beats_the_active_one),
        IN_WORLD(test_interpreter_asked_for_without_build_is_refused),
        IN_WORLD(test_interpreter_that_is_none_is_refused),
        IN_WORLD(test_interpreter_wrapper_is_asked),
        IN_WORLD(test_interpreter_pyenv_shim_is_read_and_not_run),
        IN_WORLD(test_interpreter_claims_what_is_python),
        IN_WORLD(test_interpreter_shebang_is_read_in_all_its_forms),
        IN_WORLD(test_interpreter_console_script_runs_on_its_own),
        IN_WORLD(test_interpreter_as_path_takes_its_arguments),
        IN_WORLD(test_interpreter_script_that_is_missing_is_said),
        IN_WORLD(test_interpreter_in_host_tier_is_refused),
        IN_WORLD(test_interpreter_table_that_is_wrong_is_said),
        IN_WORLD(test_interpreter_without_its_program_is_said),
        IN_WORLD(test_interpreter_builds_are_listed),
        IN_WORLD(test_interpreter_survives_want_of_memory),
    };

    (void)alarm(120);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
