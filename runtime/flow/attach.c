/* attach.c - dora_attach: this process becomes a dynamic node of a dataflow
 * that another one runs.
 *
 * It is settled what would be executed before the host is asked: who is let in
 * and then ends is told to the whole dataflow. The process that asks is the one
 * that becomes the node, so what the host knows of it stays true. */
#include "door.h"
#include "graph/graph.h"
#include "host/environment.h"
#include "host/kind.h"
#include "host/options.h"
#include "plane/layout.h"
#include "plane/segment.h"
#include "runs.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

extern char **environ;

/* --- what to execute ------------------------------------------------------ */

static const struct dora_kind *
kind_of(const struct dora_attach_options *options,
        const struct dora__graph_node *node, const struct dora__site *site)
{
    const struct dora_kind *const *kinds = options->kinds;

    for (; kinds != NULL && *kinds != NULL; kinds++)
        if ((*kinds)->claims(node, site))
            return *kinds;
    return &dora__executable;
}

static int
resolve(const struct dora_attach_options *options, const char *directory,
        struct dora__launch *ret_launch, struct dora_error *err)
{
    size_t count = 0;
    struct dora__graph_node node = {
        .id = (char *)(uintptr_t)options->node,
        .path = (char *)(uintptr_t)options->argv[0],
        .args = (char **)(uintptr_t)(options->argv + 1),
        .args_text = (char *)"",
        .isolation = DORA__ISOLATION_PROCESS,
    };
    struct dora__site site = {
        .libexec = dora__libexec(options->libexec),
        .directory = directory,
        .python = options->python,
        .environment = (const char *const *)environ,
    };
    int code;

    while (options->argv[count] != NULL)
        count++;
    node.arg_count = count - 1;
    code =
        kind_of(options, &node, &site)->resolve(&node, &site, ret_launch, err);
    if (code == 0 && !ret_launch->attaches) {
        dora__launch_fini(ret_launch);
        return dora__fail(err, EINVAL,
                          "`%s` is not a Python script: nothing else can be "
                          "attached",
                          options->argv[0]);
    }
    return code;
}

/* --- what it is told ------------------------------------------------------ */

/* Its presence is how programs detect that they run in a dataflow. */
static char *
node_config(struct dora__control *control, uint32_t number)
{
    const struct dora__shared_node *node = dora__node_of(control, number);
    const char *id = dora__text_at(control, node->id);
    struct dora__text t = {0};

    dora__text_printf(&t, "{\"dataflow_id\":\"%s\",\"node_id\":",
                      dora__text_at(control, control->id));
    dora__text_json(&t, id, strlen(id));
    dora__text_printf(&t, ",\"run_config\":%s,\"dynamic\":true}",
                      dora__text_at(control, node->config));
    if (!t.failed)
        return t.text;
    free(t.text);
    return NULL;
}

static int
describe(const struct dora__attachment *attachment, char **ret_config,
         struct dora_error *err)
{
    struct stat status;
    void *memory;
    int code;

    if (fstat(attachment->control_fd, &status) < 0)
        return dora__fail(err, errno, "cannot attach: %s", strerror(errno));
    code = dora__segment_map(attachment->control_fd, 0, (size_t)status.st_size,
                             DORA__RIGHTS_READ, &memory, err);
    if (code < 0)
        return code;
    *ret_config = node_config(memory, attachment->node);
    dora__segment_unmap(memory, (size_t)status.st_size);
    return *ret_config == NULL ? dora__fail(err, ENOMEM, "out of memory") : 0;
}

static int
fill_environment(const struct dora__launch *launch,
                 const struct dora__attachment *a, int line,
                 struct dora__environment *e, struct dora_error *err)
{
    DORA_AUTOFREE char *config = NULL;
    char text[96];
    int code = describe(a, &config, err);

    if (code < 0)
        return code;
    dora__environment_inherit(e, (const char *const *)environ);
    for (char **v = launch->env; v != NULL && *v != NULL; v++)
        dora__environment_put(e, *v);
    dora__environment_set(e, "DORA_NODE_CONFIG", config);
    (void)snprintf(text, sizeof text, "%d,%d,%d,%d,%u,%d", a->control_fd,
                   a->heaps_fd, a->heaps_ro_fd, a->doorbell_fd, a->node, line);
    dora__environment_set(e, DORA__ATTACH_VARIABLE, text);
    return e->failed ? dora__fail(err, ENOMEM, "out of memory") : 0;
}

/* --- becoming it ---------------------------------------------------------- */

static int
execute(const struct dora__launch *launch, const struct dora__attachment *a,
        int line, struct dora_error *err)
{
    const int kept[] = {a->control_fd, a->heaps_fd, a->heaps_ro_fd,
                        a->doorbell_fd, line};
    struct dora__environment environment = {0};
    int code = fill_environment(launch, a, line, &environment, err);

    if (code < 0) {
        dora__environment_fini(&environment);
        return code;
    }
    for (size_t i = 0; i < DORA_COUNT(kept); i++)
        (void)fcntl(kept[i], F_SETFD, 0);
    (void)execve(launch->program, launch->argv, environment.vars);
    code = errno;
    dora__environment_fini(&environment);
    for (size_t i = 0; i < DORA_COUNT(kept); i++)
        (void)fcntl(kept[i], F_SETFD, FD_CLOEXEC);
    return dora__fail(err, code, "cannot execute %s: %s", launch->program,
                      strerror(code));
}

static int
become(const struct dora_attach_options *options,
       const struct dora__launch *launch, struct dora_error *err)
{
    struct dora__attachment a;
    DORA_AUTOCLOSE int line = dora__runs_find(options->run, err);
    int code;

    if (line < 0)
        return line;
    code = dora__door_knock(line, options->node, &a, err);
    if (code < 0)
        return code;
    code = execute(launch, &a, line, err);
    (void)close(a.control_fd);
    (void)close(a.heaps_fd);
    (void)close(a.heaps_ro_fd);
    (void)close(a.doorbell_fd);
    return code;
}

int
dora_attach(const struct dora_attach_options *options, struct dora_error *err)
{
    DORA_AUTOFREE char *directory = realpath(".", NULL);
    struct dora__launch launch = {0};
    int code;

    if (options == NULL || options->size != sizeof *options ||
        options->node == NULL || options->argv == NULL ||
        options->argv[0] == NULL)
        return dora__fail(err, EINVAL, "node and script needed");
    if (directory == NULL)
        return dora__fail(err, errno, "no current directory: %s",
                          strerror(errno));
    code = resolve(options, directory, &launch, err);
    if (code < 0)
        return code;
    code = become(options, &launch, err);
    dora__launch_fini(&launch);
    return code;
}
