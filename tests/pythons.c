/* pythons.c - the world of pythons.h. */
#include "pythons.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

const char *built = "build";

const char *
below(struct world *world, const char *name)
{
    (void)snprintf(world->path, sizeof world->path, "%s/%s", world->root, name);
    return world->path;
}

void
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

void
make_link(struct world *world, const char *name, const char *target)
{
    char path[512];

    make_file(world, name, 0644, "");
    (void)snprintf(path, sizeof path, "%s", below(world, name));
    (void)unlink(path);
    assert_int_equal(symlink(below(world, target), path), 0);
}

void
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

static void
set_guardian(struct world *world)
{
    char path[256], *real;

    (void)snprintf(path, sizeof path, "%s/dora-guardian", built);
    real = realpath(path, NULL);
    assert_non_null(real);
    assert_int_equal(symlink(real, below(world, "libexec/dora-guardian")), 0);
    free(real);
}

int
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
    set_guardian(world);
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

int
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

struct dora__graph_node
node_of(const char *path, const char *python)
{
    return (struct dora__graph_node){
        .id = (char *)"plot", .path = (char *)path, .python = (char *)python};
}

int
resolve(struct world *world, const struct dora__graph_node *node)
{
    dora__launch_fini(&world->launch);
    world->err.text[0] = '\0';
    assert_true(dora_python.claims(node, &world->site));
    return dora_python.resolve(node, &world->site, &world->launch, &world->err);
}

void
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

void
assert_reason(struct world *world, const char *word)
{
    if (!strstr(world->launch.reason, word))
        fail_msg("no `%s` in: %s", word, world->launch.reason);
}

void
assert_refused(struct world *world, const struct dora__graph_node *node,
               const char *word)
{
    assert_true(resolve(world, node) < 0);
    if (!strstr(world->err.text, word) || !strstr(world->err.text, "`plot`"))
        fail_msg("no `%s` in: %s", word, world->err.text);
}

void
make_wrapper(struct world *world, const char *name, const char *base,
             const char *version)
{
    char text[1024];

    (void)snprintf(text, sizeof text,
                   "#!/bin/sh\nprintf '%%s\\n' '%s/%s' '%s/%s' %s\n",
                   world->root, base, world->root, base, version);
    make_file(world, name, 0755, text);
}
