/* executable.c - nodes that are programs of any kind, and what every kind needs
 * to find a program and to say what to execute.
 *
 * What it keeps true:
 *   1. A path is made absolute without resolving symbolic links: a venv's
 *      bin/python must stay the venv's.
 *   2. Relative means relative to the dataflow file, never to the shell that
 *      started the program.
 *   3. A directory is not a program, even if its name is right and it may be
 *      entered; nor does it hide one further on.
 *   4. A shell runs only where the person who starts the dataflow allows it: a
 *      file alone cannot ask for it. */
#include "kind.h"

#include <string.h>
#include <sys/stat.h>

#define SHELL "/bin/sh"
#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

const char *
dora__environment_get(const char *const *environment, const char *key)
{
    size_t size = strlen(key);

    for (; environment && *environment; environment++)
        if (!strncmp(*environment, key, size) && (*environment)[size] == '=')
            return *environment + size + 1;
    return NULL;
}

/* 0: can be executed; -EACCES: is a file; -ENOENT. */
static int
check_program(const char *path)
{
    struct stat status;

    if (stat(path, &status) < 0 || !S_ISREG(status.st_mode))
        return -ENOENT;
    return access(path, X_OK) < 0 ? -EACCES : 0;
}

/* directory/name, if it can be executed. */
static int
try_program(const char *directory, size_t size, const char *name,
            char **ret_path)
{
    DORA_AUTOFREE char *path =
        dora__format("%.*s/%s", (int)size, directory, name);
    int result;

    if (!path)
        return -ENOMEM;
    result = check_program(path);
    if (result == 0) {
        *ret_path = path;
        path = NULL;
    }
    return result;
}

static int
find_on_path(const char *name, const char *directory, const char *path,
             char **ret_path)
{
    int worst = -ENOENT;

    for (;;) {
        size_t size = strcspn(path, ":");
        int result = *path == '/' ? try_program(path, size, name, ret_path)
                                  : try_program(directory, strlen(directory),
                                                name, ret_path);

        if (result == 0 || result == -ENOMEM)
            return result;
        if (result == -EACCES)
            worst = -EACCES;
        if (!path[size])
            return worst;
        path += size + 1;
    }
}

int
dora__find_program(const char *name, const char *directory,
                   const char *const *environment, char **ret_path)
{
    const char *path = dora__environment_get(environment, "PATH");
    bool plain = !strchr(name, '/');
    int result;

    if (!*name)
        return -ENOENT;
    while (!strncmp(name, "./", 2) && name[2])
        name += 2;
    if (*name == '/')
        return try_program("", 0, name + 1, ret_path);
    result = try_program(directory, strlen(directory), name, ret_path);
    if (result != -ENOENT || !plain)
        return result;
    return find_on_path(name, directory, path ? path : DEFAULT_PATH, ret_path);
}

int
dora__launch_push(char ***list, const char *text)
{
    size_t count = 0;
    char **grown, *copy;

    while (*list && (*list)[count])
        count++;
    copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    grown = realloc(*list, (count + 2) * sizeof *grown);
    if (!grown) {
        free(copy);
        return -ENOMEM;
    }
    grown[count] = copy;
    grown[count + 1] = NULL;
    *list = grown;
    return 0;
}

static void
free_list(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

void
dora__launch_fini(struct dora__launch *launch)
{
    free(launch->program);
    free_list(launch->argv);
    free_list(launch->env);
    free(launch->interpreter);
    free(launch->reason);
    free(launch->first_reason);
    free(launch->library);
    free(launch->base);
    *launch = (struct dora__launch){0};
}

int
dora__launch_arguments(struct dora__launch *launch,
                       const struct dora__graph_node *node)
{
    for (size_t i = 0; i < node->arg_count; i++)
        if (dora__launch_push(&launch->argv, node->args[i]) < 0)
            return -ENOMEM;
    return 0;
}

static bool
claim(const struct dora__graph_node *node, const struct dora__site *site)
{
    (void)node;
    (void)site;
    return true;
}

static int
resolve_shell(const struct dora__graph_node *node,
              const struct dora__site *site, struct dora__launch *launch,
              struct dora_error *err)
{
    const char *words[] = {SHELL, "-c", node->args_text ? node->args_text : ""};

    if (!site->allow_shell)
        return dora__fail(err, EINVAL,
                          "node `%s`: `path: shell` runs only when it is "
                          "allowed: --allow-shell-nodes, or "
                          "DORA_ALLOW_SHELL_NODES=true in the environment",
                          node->id);
    for (size_t i = 0; i < DORA_COUNT(words); i++)
        if (dora__launch_push(&launch->argv, words[i]) < 0)
            return -ENOMEM;
    launch->program = strdup(SHELL);
    launch->reason = strdup("shell command, allowed for this run");
    return 0;
}

/* Such paths come here only where no kind for them was given. */
static bool
is_python(const char *path)
{
    size_t size = strlen(path);

    return size > 3 && !strcmp(path + size - 3, ".py");
}

static int
resolve_program(const struct dora__graph_node *node,
                const struct dora__site *site, struct dora__launch *launch,
                struct dora_error *err)
{
    int result = dora__find_program(node->path, site->directory,
                                    site->environment, &launch->program);

    if (result == -ENOENT)
        return dora__fail(err, ENOENT,
                          "node `%s`: could not find source path `%s`: no such "
                          "program in %s%s",
                          node->id, node->path, site->directory,
                          strchr(node->path, '/') ? "" : " or on PATH");
    if (result == -EACCES)
        return dora__fail(err, EACCES, "node `%s`: `%s` is not executable (%s)",
                          node->id, node->path,
                          is_python(node->path)
                              ? "to run scripts, give &dora_python in "
                                "dora_options.kinds"
                              : "chmod +x?");
    if (result < 0)
        return result;
    result = dora__launch_push(&launch->argv, launch->program);
    if (result < 0)
        return result;
    launch->reason = strdup("not a Python script: a process of its own");
    return dora__launch_arguments(launch, node);
}

static int
resolve(const struct dora__graph_node *node, const struct dora__site *site,
        struct dora__launch *ret_launch, struct dora_error *err)
{
    struct dora__launch launch = {.kind = "executable", .tier = "process"};
    int result;

    if (node->isolation == DORA__ISOLATION_INTERPRETER)
        return dora__fail(err, EINVAL,
                          "node `%s`: `isolation: interpreter` is for Python "
                          "scripts, and `%s` is none",
                          node->id, node->path);
    result = strcmp(node->path, "shell")
                 ? resolve_program(node, site, &launch, err)
                 : resolve_shell(node, site, &launch, err);
    if (result < 0)
        goto fail;
    launch.interpreter = launch.program ? strdup(launch.program) : NULL;
    if (!launch.interpreter || !launch.reason) {
        result = -ENOMEM;
        goto fail;
    }
    *ret_launch = launch;
    return 0;

fail:
    if (result == -ENOMEM)
        dora__error_set(err, "node `%s`: out of memory", node->id);
    dora__launch_fini(&launch);
    return result;
}

const struct dora_kind dora__executable = {
    .name = "executable",
    .claims = claim,
    .resolve = resolve,
};
