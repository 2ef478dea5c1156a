/* executable_test.c - finding programs, and what is executed for a node that
 * is one. */
#include "fault.h"
#include "host/kind.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* A directory with programs:
 *   here/tool, here/data and node.py (not executable), here/sub/tool, here/dir/
 *   bin/tool, bin/only, bin/dir (a program), bin/data */
struct place {
    char root[64], here[96];
    char path[256]; /* "PATH=..." */
    const char *environment[2];
    struct dora__site site;
};

static void
make_file(const char *root, const char *name, mode_t mode)
{
    char path[256];
    FILE *file;

    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs("#!/bin/sh\n", file);
    (void)fclose(file);
    assert_int_equal(chmod(path, mode), 0);
}

static void
make_directory(const char *root, const char *name)
{
    char path[256];

    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    assert_int_equal(mkdir(path, 0755), 0);
}

static int
setup(void **state)
{
    struct place *place = calloc(1, sizeof *place);

    (void)snprintf(place->root, sizeof place->root,
                   "/tmp/dora-executable-XXXXXX");
    assert_non_null(mkdtemp(place->root));
    make_directory(place->root, "here");
    make_directory(place->root, "here/sub");
    make_directory(place->root, "here/dir");
    make_directory(place->root, "bin");
    make_file(place->root, "here/tool", 0755);
    make_file(place->root, "here/data", 0644);
    make_file(place->root, "here/node.py", 0644);
    make_file(place->root, "here/sub/tool", 0755);
    make_file(place->root, "bin/tool", 0755);
    make_file(place->root, "bin/only", 0755);
    make_file(place->root, "bin/dir", 0755);
    make_file(place->root, "bin/data", 0755);
    (void)snprintf(place->here, sizeof place->here, "%s/here", place->root);
    (void)snprintf(place->path, sizeof place->path, "PATH=/none:%s/bin",
                   place->root);
    place->environment[0] = place->path;
    place->site = (struct dora__site){
        .libexec = "/none",
        .directory = place->here,
        .environment = place->environment,
    };
    *state = place;
    return 0;
}

static int
teardown(void **state)
{
    struct place *place = *state;
    char command[128];

    (void)snprintf(command, sizeof command, "rm -r %s", place->root);
    assert_int_equal(system(command), 0);
    free(place);
    return 0;
}

/* What `name` is found to be, below the root; or the error as text. */
static const char *
find(struct place *place, const char *name)
{
    static char found[256];
    char *path;
    int result =
        dora__find_program(name, place->here, place->environment, &path);

    if (result == -ENOENT)
        return "ENOENT";
    if (result == -EACCES)
        return "EACCES";
    assert_int_equal(result, 0);
    assert_int_equal(strncmp(path, place->root, strlen(place->root)), 0);
    (void)snprintf(found, sizeof found, "%s", path + strlen(place->root) + 1);
    free(path);
    return found;
}

static void
test_executable_beside_the_file_comes_first(void **state)
{
    assert_string_equal(find(*state, "tool"), "here/tool");
    assert_string_equal(find(*state, "./tool"), "here/tool");
    assert_string_equal(find(*state, "sub/tool"), "here/sub/tool");
    assert_string_equal(find(*state, "only"), "bin/only");
}

static void
test_executable_with_slash_is_not_on_path(void **state)
{
    assert_string_equal(find(*state, "./only"), "ENOENT");
    assert_string_equal(find(*state, "sub/only"), "ENOENT");
    assert_string_equal(find(*state, ""), "ENOENT");
    assert_string_equal(find(*state, "nobody"), "ENOENT");
}

static void
test_executable_directory_is_not_a_program(void **state)
{
    assert_string_equal(find(*state, "dir"), "bin/dir");
    assert_string_equal(find(*state, "./dir"), "ENOENT");
}

static void
test_executable_file_without_permission_is_said(void **state)
{
    assert_string_equal(find(*state, "data"), "EACCES");
    assert_string_equal(find(*state, "./data"), "EACCES");
}

static void
test_executable_absolute_path_keeps_links(void **state)
{
    struct place *place = *state;
    char target[256], link[256];
    char *found;

    (void)snprintf(target, sizeof target, "%s/bin/only", place->root);
    (void)snprintf(link, sizeof link, "%s/here/link", place->root);
    assert_int_equal(symlink(target, link), 0);
    assert_int_equal(dora__find_program(link, "/", NULL, &found), 0);
    assert_string_equal(found, link);
    free(found);
    assert_string_equal(find(place, "link"), "here/link");
}

static void
test_executable_without_path_looks_in_usual_places(void **state)
{
    char *found;

    (void)state;
    assert_int_equal(dora__find_program("sh", "/nowhere", NULL, &found), 0);
    assert_true(!strcmp(found, "/bin/sh") || !strcmp(found, "/usr/bin/sh"));
    free(found);
}

static void
test_executable_environment_takes_whole_names(void **state)
{
    const char *environment[] = {"HOMEPAGE=x", "HOME=/root", "EMPTY=", NULL};

    (void)state;
    assert_string_equal(dora__environment_get(environment, "HOME"), "/root");
    assert_string_equal(dora__environment_get(environment, "EMPTY"), "");
    assert_null(dora__environment_get(environment, "HOM"));
    assert_null(dora__environment_get(NULL, "HOME"));
}

/* --- nodes ---------------------------------------------------------------- */

static char *arguments[] = {(char *)"-v", (char *)"two words", NULL};

static struct dora__graph_node
node_of(const char *path)
{
    return (struct dora__graph_node){
        .id = (char *)"camera",
        .path = (char *)path,
        .args = arguments,
        .args_text = (char *)"-v 'two words'",
        .arg_count = 2,
    };
}

static void
test_executable_node_gets_its_arguments(void **state)
{
    struct place *place = *state;
    struct dora__graph_node node = node_of("tool");
    struct dora__launch launch;
    struct dora_error err;
    char program[256];

    (void)snprintf(program, sizeof program, "%s/tool", place->here);
    assert_true(dora__executable.claims(&node, &place->site));
    assert_int_equal(
        dora__executable.resolve(&node, &place->site, &launch, &err), 0);
    assert_string_equal(launch.program, program);
    assert_string_equal(launch.argv[0], program);
    assert_string_equal(launch.argv[1], "-v");
    assert_string_equal(launch.argv[2], "two words");
    assert_null(launch.argv[3]);
    assert_string_equal(launch.kind, "executable");
    assert_string_equal(launch.tier, "process");
    assert_false(launch.attaches);
    dora__launch_fini(&launch);
}

static void
test_executable_shell_needs_permission(void **state)
{
    struct place *place = *state;
    struct dora__graph_node node = node_of("shell");
    struct dora__launch launch;
    struct dora_error err;

    assert_int_equal(
        dora__executable.resolve(&node, &place->site, &launch, &err), -EINVAL);
    assert_non_null(strstr(err.text, "camera"));
    assert_non_null(strstr(err.text, "--allow-shell-nodes"));
    place->site.allow_shell = true;
    assert_int_equal(
        dora__executable.resolve(&node, &place->site, &launch, &err), 0);
    assert_string_equal(launch.argv[0], "/bin/sh");
    assert_string_equal(launch.argv[1], "-c");
    assert_string_equal(launch.argv[2], "-v 'two words'");
    assert_null(launch.argv[3]);
    dora__launch_fini(&launch);
}

static void
test_executable_node_that_cannot_run_says_why(void **state)
{
    struct place *place = *state;
    static const struct {
        const char *path, *word;
        int result;
    } cases[] = {
        {"nobody", "could not find source path `nobody`", -ENOENT},
        {"./only", "could not find source path `./only`", -ENOENT},
        {"data", "`data` is not executable (chmod +x?)", -EACCES},
        {"node.py", "to run scripts, give &dora_python in", -EACCES},
    };

    for (size_t i = 0; i < DORA_COUNT(cases); i++) {
        struct dora__graph_node node = node_of(cases[i].path);
        struct dora__launch launch;
        struct dora_error err;

        assert_int_equal(
            dora__executable.resolve(&node, &place->site, &launch, &err),
            cases[i].result);
        assert_non_null(strstr(err.text, cases[i].word));
        assert_non_null(strstr(err.text, "`camera`"));
    }
}

static void
test_executable_cannot_be_an_interpreter(void **state)
{
    struct place *place = *state;
    struct dora__graph_node node = node_of("tool");
    struct dora__launch launch;
    struct dora_error err;

    node.isolation = DORA__ISOLATION_INTERPRETER;
    assert_int_equal(
        dora__executable.resolve(&node, &place->site, &launch, &err), -EINVAL);
    assert_non_null(strstr(err.text, "isolation: interpreter"));
}

static void
test_executable_survives_want_of_memory(void **state)
{
    struct place *place = *state;
    struct dora__graph_node node = node_of("tool");
    struct dora__launch launch;
    struct dora_error err;
    unsigned n;

    for (n = 1;; n++) {
        int result;

        fault_arm(FAULT_MEMORY, n);
        result = dora__executable.resolve(&node, &place->site, &launch, &err);
        if (!fault_disarm()) {
            assert_int_equal(result, 0);
            break;
        }
        assert_int_equal(result, -ENOMEM);
    }
    assert_true(n > 5);
    dora__launch_fini(&launch);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_executable_beside_the_file_comes_first, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_executable_with_slash_is_not_on_path, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_executable_directory_is_not_a_program, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_executable_file_without_permission_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_executable_absolute_path_keeps_links, setup, teardown),
        cmocka_unit_test(test_executable_without_path_looks_in_usual_places),
        cmocka_unit_test(test_executable_environment_takes_whole_names),
        cmocka_unit_test_setup_teardown(test_executable_node_gets_its_arguments,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_executable_shell_needs_permission,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_executable_node_that_cannot_run_says_why, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_executable_cannot_be_an_interpreter, setup, teardown),
        cmocka_unit_test_setup_teardown(test_executable_survives_want_of_memory,
                                        setup, teardown),
    };

    (void)alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
