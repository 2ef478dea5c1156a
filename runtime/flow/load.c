/* load.c - from a dataflow file to a struct dora_dataflow that could be
 * started: graph, members (resolve.c), plan. Opens nothing but the file, and
 * one descriptor to be woken by.
 *
 * Every complaint has gone to the problem sink when load returns; its error is
 * the first of them. */
#include "dataflow.h"

#include "host/file.h"
#include "host/options.h"
#include "plane/machine.h"

#include <string.h>
#include <sys/eventfd.h>

extern char **environ;

/* --- options ------------------------------------------------------------- */

/* "node=tier" into the graph. */
static int
set_isolation(struct dora_dataflow *flow, const char *text,
              struct dora_error *err)
{
    static const char *const tiers[] = {
        [DORA__ISOLATION_AUTO] = "auto",
        [DORA__ISOLATION_INTERPRETER] = "interpreter",
        [DORA__ISOLATION_PROCESS] = "process",
    };
    const char *equals = strchr(text, '=');
    DORA_AUTOFREE char *id = NULL;
    int number;

    if (equals == NULL)
        return dora__fail(err, EINVAL, "isolation `%s`: expected NODE=TIER",
                          text);
    id = strndup(text, (size_t)(equals - text));
    if (id == NULL)
        return dora__fail(err, ENOMEM, "out of memory");
    number = dora__graph_find(&flow->graph, id);
    if (number < 0)
        return dora__fail(err, EINVAL, "isolation `%s`: %s has no node `%s`",
                          text, flow->file, id);
    for (size_t i = 0; i < DORA_COUNT(tiers); i++)
        if (strcmp(equals + 1, tiers[i]) == 0) {
            flow->graph.nodes[number].isolation = (enum dora__isolation)i;
            return 0;
        }
    return dora__fail(err, EINVAL,
                      "isolation `%s`: a tier is auto, interpreter or process",
                      text);
}

static int64_t
grace_of(int64_t option, int64_t usual)
{
    return option < 0 ? DORA__NEVER : option > 0 ? option : usual;
}

static int
apply_options(struct dora_dataflow *flow, struct dora_error *err)
{
    const struct dora_options *o = &flow->options;
    int code = 0;

    for (const char *const *i = o->isolation;
         i != NULL && *i != NULL && code == 0; i++)
        code = set_isolation(flow, *i, err);
    flow->stop_grace_ns = grace_of(o->stop_grace_ns, DORA__STOP_GRACE);
    flow->term_grace_ns = grace_of(o->term_grace_ns, flow->stop_grace_ns / 2);
    if (o->exit_when_nodes_finish != 0)
        flow->graph.exit_when_nodes_finish = o->exit_when_nodes_finish > 0;
    return code;
}

/* How long nodes may outstay their inputs where they do not say themselves. */
static void
read_grace(struct dora_dataflow *flow)
{
    const char *text = dora__environment_get((const char *const *)environ,
                                             "DORA_FINISH_DRAIN_GRACE_SECS");
    char *end;
    double seconds;

    flow->finish_grace_ns = DORA__FINISH_GRACE;
    if (text == NULL)
        return;
    if (strcmp(text, "off") == 0) {
        flow->finish_grace_ns = INT64_MAX;
        return;
    }
    seconds = strtod(text, &end);
    if (end != text && *end == 0 && seconds >= 0 && seconds < 1e9)
        flow->finish_grace_ns = (int64_t)(seconds * DORA__SECOND);
}

/* --- building ------------------------------------------------------------ */

static int
build(struct dora_dataflow *flow, const char *text, size_t size,
      struct dora_error *err)
{
    const struct dora__graph_files files = dora__files_below(flow->directory);
    struct dora__graph_context context = {
        .file = flow->file,
        .files = &files,
        .problem = flow->options.problem,
        .problem_arg = flow->options.problem_arg,
        .environment = (const char *const *)environ,
        .env = flow->options.env,
    };
    struct dora__machine machine;
    int code = dora__graph_load(text, size, &context, &flow->graph, err);
    int planned;

    if (code < 0)
        return code;
    code = apply_options(flow, err);
    if (code < 0)
        return code;
    code = dora__flow_resolve(flow, err);
    if (code == -ENOMEM)
        return code;
    dora__machine_read(&machine);
    planned = dora__plan_make(&flow->graph, &machine, &context, &flow->plan,
                              code < 0 ? NULL : err);
    if (code < 0 || planned < 0)
        return code < 0 ? code : planned;
    return dora__flow_fits(flow, machine.memory, err);
}

/* Takes `file` and `directory`, which may be NULL for want of memory. */
static struct dora_dataflow *
make_flow(const struct dora_options *options, char *file, char *directory)
{
    struct dora_dataflow *flow = calloc(1, sizeof *flow);
    pthread_condattr_t clock;

    if (flow == NULL || file == NULL || directory == NULL) {
        free(flow);
        free(file);
        free(directory);
        return NULL;
    }
    flow->file = file;
    flow->directory = directory;
    flow->options = dora__options_read(options);
    flow->guardian = DORA__GUARDIAN_NONE;
    flow->door = DORA__DOOR_NONE;
    flow->wake_fd = -1;
    dora__uuid(flow->id);
    read_grace(flow);
    (void)pthread_mutex_init(&flow->lock, NULL);
    (void)pthread_condattr_init(&clock);
    (void)pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&flow->changed, &clock);
    (void)pthread_condattr_destroy(&clock);
    return flow;
}

void
dora__flow_unload(struct dora_dataflow *flow)
{
    for (uint32_t i = 0; i < flow->member_count; i++) {
        dora__launch_fini(&flow->members[i].launch);
        free(flow->members[i].failure.text);
        free(flow->members[i].past.failure.text);
        free(flow->members[i].clone);
        if (flow->members[i].clone_fd > 0)
            (void)close(flow->members[i].clone_fd);
        free(flow->members[i].source);
    }
    free(flow->members);
    dora__plan_fini(&flow->plan);
    dora__graph_fini(&flow->graph);
    if (flow->wake_fd >= 0)
        (void)close(flow->wake_fd);
    (void)pthread_cond_destroy(&flow->changed);
    (void)pthread_mutex_destroy(&flow->lock);
    free(flow->file);
    free(flow->directory);
    free(flow);
}

static int
load(const char *text, size_t size, struct dora_dataflow *flow,
     struct dora_dataflow **ret_flow, struct dora_error *err)
{
    struct dora_error first = {""};
    int code;

    if (flow == NULL)
        return dora__fail(err, ENOMEM, "out of memory");
    flow->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    code = flow->wake_fd < 0
               ? dora__fail(&first, errno, "cannot make an eventfd: %s",
                            strerror(errno))
               : build(flow, text, size, &first);
    if (code < 0) {
        if (err != NULL)
            *err = first;
        dora__flow_unload(flow);
        return code;
    }
    *ret_flow = flow;
    return 0;
}

int
dora_dataflow_load_file(const char *path, const struct dora_options *options,
                        struct dora_dataflow **ret_flow, struct dora_error *err)
{
    DORA_AUTOFREE char *text = NULL;
    char *directory;
    size_t size = 0;
    int code;

    if (path == NULL || ret_flow == NULL)
        return dora__fail(err, EINVAL, "no file was named");
    code = dora__file_read(path, &text, &size, err);
    if (code < 0)
        return code;
    directory = dora__file_directory(path);
    if (directory == NULL)
        return dora__fail(err, errno, "%s: %s", path, strerror(errno));
    return load(text, size, make_flow(options, strdup(path), directory),
                ret_flow, err);
}

int
dora_dataflow_load_string(const char *text, size_t text_size, const char *name,
                          const struct dora_options *options,
                          struct dora_dataflow **ret_flow,
                          struct dora_error *err)
{
    const char *base = options != NULL ? options->directory : NULL;
    char *directory;

    if ((text == NULL && text_size > 0) || ret_flow == NULL)
        return dora__fail(err, EINVAL, "no text was given");
    directory = dora__directory_absolute(base);
    if (directory == NULL)
        return dora__fail(err, errno, "%s: %s", base != NULL ? base : ".",
                          strerror(errno));
    return load(
        text, text_size,
        make_flow(options, strdup(name != NULL ? name : "dataflow"), directory),
        ret_flow, err);
}
