/* load.c - from a dataflow file to a struct dora_dataflow that could be
 * started: graph, plan, and for each node what would be executed. Opens
 * nothing but the file, and one descriptor to be woken by.
 *
 * Every complaint has gone to the problem sink when load returns; its error is
 * the first of them. */
#include "dataflow.h"
#include "host/file.h"
#include "plane/machine.h"
#include "source/clone.h"

#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>

extern char **environ;

#ifndef DORA_LIBEXEC
#define DORA_LIBEXEC "/usr/local/libexec/dora-run"
#endif

/* What a process that takes part needs at the very least: an interpreter
 * without any module takes 6 MB of its own. */
#define LEAST_PROCESS (UINT64_C(6) << 20)

/* --- complaints ---------------------------------------------------------- */

/* Tells the sink; the first error also goes into *err. */
static void
complain(const struct dora_dataflow *flow, bool warning, struct dora__mark mark,
         const char *text, struct dora_error *err)
{
    const struct dora_options *o = &flow->options;
    struct dora_problem problem = {.warning = warning,
                                   .file = flow->file,
                                   .line = mark.line,
                                   .column = mark.column,
                                   .text = text};

    if (o->problem != NULL)
        o->problem(o->problem_arg, &problem);
    if (err != NULL && err->text[0] == 0)
        dora__error_set(err, "%s:%u:%u: %s", flow->file, mark.line, mark.column,
                        text);
}

static void
warn_node(const struct dora_dataflow *flow, const struct dora__graph_node *node,
          const char *what)
{
    DORA_AUTOFREE char *text = dora__format("node `%s`: %s", node->id, what);

    if (text != NULL)
        complain(flow, true, node->mark, text, NULL);
}

/* What is understood but not acted upon. */
static void
warn_of_ignored(const struct dora_dataflow *flow,
                const struct dora__member *member)
{
    const struct dora__graph_node *node = member->node;

    if (node->health_check_timeout_ns > 0 &&
        (dora__member_inside(member) || !member->launch.attaches))
        warn_node(flow, node,
                  dora__member_inside(member)
                      ? "`health_check_timeout` has no effect inside the host: "
                        "only a process can be killed alone"
                      : "`health_check_timeout` has no effect on a program "
                        "that does not take part in the dataflow");
}

/* --- nodes --------------------------------------------------------------- */

static size_t
count_kinds(const struct dora_dataflow *flow)
{
    size_t count = 0;

    while (flow->options.kinds != NULL && flow->options.kinds[count] != NULL)
        count++;
    return count;
}

/* Asks the kinds in turn; `memories` has one for each. */
static int
resolve_by_kind(const struct dora_dataflow *flow,
                const struct dora__graph_node *node, struct dora__site site,
                void **memories, struct dora__launch *ret_launch,
                struct dora_error *err)
{
    const struct dora_kind *kind = &dora__executable;

    for (size_t i = 0; i < count_kinds(flow); i++)
        if (flow->options.kinds[i]->claims(node, &site)) {
            kind = flow->options.kinds[i];
            site.memory = node->git.url == NULL ? &memories[i] : NULL;
            break;
        }
    return kind->resolve(node, &site, ret_launch, err);
}

static void
forget(const struct dora_dataflow *flow, void **memories)
{
    for (size_t i = 0; memories != NULL && i < count_kinds(flow); i++)
        if (flow->options.kinds[i]->forget != NULL)
            flow->options.kinds[i]->forget(memories[i]);
    free(memories);
}

static int
resolve_callback(struct dora__launch *launch)
{
    launch->kind = "callback";
    launch->tier = "host";
    launch->interpreter = strdup("a function of the embedding program");
    launch->reason = strdup("path: callback");
    return launch->interpreter == NULL || launch->reason == NULL ? -ENOMEM : 0;
}

static int
resolve_dynamic(const struct dora__member *member, struct dora__launch *launch)
{
    launch->kind = "dynamic";
    launch->tier = "process";
    launch->interpreter = dora__format("whoever does `dora-run node --id %s "
                                       "SCRIPT.py`",
                                       member->node->id);
    launch->reason = strdup("`path: dynamic`: started by hand");
    return launch->interpreter == NULL || launch->reason == NULL ? -ENOMEM : 0;
}

/* Nobody knows before its files are there. */
static int
resolve_later(struct dora__launch *launch)
{
    launch->kind = "?";
    launch->tier = "?";
    launch->interpreter = strdup("?");
    launch->reason = strdup("known once its source is there");
    return launch->interpreter == NULL || launch->reason == NULL ? -ENOMEM : 0;
}

/* Finds the clone of a node that names one. */
static int
find_clone(const struct dora_dataflow *flow, struct dora__member *member)
{
    const struct dora__git *git = &member->node->git;
    DORA_AUTOFREE char *title = NULL;
    int code;

    if (git->url == NULL)
        return 0;
    code = dora__clone_find(flow->directory, git, &member->clone);
    if (code < 0 && code != -ENOENT)
        return code;
    member->to_fetch = code < 0;
    title = dora__git_title(git);
    if (title != NULL)
        member->source = member->to_fetch
                             ? dora__format("%s, to be fetched", title)
                             : dora__format("%s, in %s", title, member->clone);
    return member->source == NULL ? -ENOMEM : 0;
}

static int
resolve(struct dora_dataflow *flow, struct dora__member *member,
        const struct dora__site *site, void **memories, struct dora_error *err)
{
    const struct dora__graph_node *node = member->node;
    struct dora__site there = *site;

    member->is_callback = strcmp(node->path, "callback") == 0;
    if (member->is_callback)
        return resolve_callback(&member->launch);
    member->is_dynamic = dora__graph_is_dynamic(node);
    if (member->is_dynamic)
        return resolve_dynamic(member, &member->launch);
    if (member->to_fetch)
        return resolve_later(&member->launch);
    if (member->clone != NULL)
        there.directory = member->clone;
    return resolve_by_kind(flow, node, there, memories, &member->launch, err);
}

/* One node. What it complains of goes to *err if that is still empty. */
static int
make_member(struct dora_dataflow *flow, uint32_t number,
            const struct dora__site *site, void **memories,
            struct dora_error *err)
{
    struct dora__member *member = &flow->members[number];
    struct dora__graph_node *node = &flow->graph.nodes[number];
    struct dora_error problem = {""};
    int code;

    member->number = number;
    member->node = node;
    member->process_fd = -1;
    member->outputs[0] = member->outputs[1] = DORA__OUTPUT_NONE;
    member->journal = DORA__JOURNAL_FILE_NONE;
    code = find_clone(flow, member);
    if (code < 0)
        dora__error_set(&problem, "node `%s`: its clone: %s", node->id,
                        strerror(-code));
    else
        code = resolve(flow, member, site, memories, &problem);
    if (code < 0) {
        complain(flow, false, node->path_mark, problem.text, err);
        return code;
    }
    node->isolation = member->launch.load != NULL ? DORA__ISOLATION_INTERPRETER
                                                  : DORA__ISOLATION_PROCESS;
    warn_of_ignored(flow, member);
    return 0;
}

static int
make_members(struct dora_dataflow *flow, struct dora_error *err)
{
    const struct dora_options *o = &flow->options;
    const struct dora__site site = {
        .libexec = o->libexec,
        .directory = flow->directory,
        .base = flow->directory,
        .python = o->python,
        .environment = (const char *const *)environ,
        .allow_shell = o->allow_shell,
        .auto_inside = o->auto_inside,
    };
    void **memories = calloc(count_kinds(flow) + 1, sizeof *memories);
    int result = 0;

    flow->members = calloc(flow->graph.node_count + 1, sizeof *flow->members);
    if (flow->members == NULL || memories == NULL) {
        free(memories);
        return dora__fail(err, ENOMEM, "out of memory");
    }
    flow->member_count = (uint32_t)flow->graph.node_count;
    for (uint32_t i = 0; i < flow->member_count; i++) {
        int code = make_member(flow, i, &site, memories, err);

        if (code < 0)
            result = code == -ENOMEM ? -ENOMEM : -EINVAL;
    }
    forget(flow, memories);
    return result;
}

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

/* A UUID of version 7: time in ms, then chance. */
static void
make_id(char id[static 37])
{
    uint64_t ms = (uint64_t)dora__clock(CLOCK_REALTIME) / 1000000;
    unsigned char r[10];

    while (getrandom(r, sizeof r, 0) < 0 && errno == EINTR)
        continue;
    (void)snprintf(
        id, 37, "%08x-%04x-7%01x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
        (unsigned)(ms >> 16), (unsigned)(ms & 0xffff), r[0] & 0xf, r[1],
        (r[2] & 0x3f) | 0x80, r[3], r[4], r[5], r[6], r[7], r[8], r[9]);
}

/* Better said now than by the kernel, which picks one of them to kill. */
static int
check_memory(const struct dora_dataflow *flow, uint64_t memory,
             struct dora_error *err)
{
    uint64_t needed = 0;

    if (memory == 0) /* unknown */
        return 0;
    for (uint32_t i = 0; i < flow->member_count; i++) {
        const struct dora__member *member = &flow->members[i];
        DORA_AUTOFREE char *text = NULL;

        if (!member->launch.attaches || dora__member_inside(member))
            continue;
        needed += LEAST_PROCESS;
        if (needed <= memory)
            continue;
        text = dora__format("node `%s`: with it the nodes' processes take at "
                            "least %.0f MB of memory; %.1f MB are left here",
                            member->node->id, (double)needed / 1e6,
                            (double)memory / 1e6);
        complain(flow, false, member->node->mark,
                 text != NULL ? text : "not enough memory", err);
        return -ENOMEM;
    }
    return 0;
}

static int
build(struct dora_dataflow *flow, const char *text, size_t size,
      struct dora_error *err)
{
    struct dora__graph_context context = {
        .file = flow->file,
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
    code = make_members(flow, err);
    if (code == -ENOMEM)
        return code;
    dora__machine_read(&machine);
    planned = dora__plan_make(&flow->graph, &machine, &context, &flow->plan,
                              code < 0 ? NULL : err);
    if (code < 0 || planned < 0)
        return code < 0 ? code : planned;
    return check_memory(flow, machine.memory, err);
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
    if (options != NULL)
        memcpy(&flow->options, options,
               options->size < sizeof *options ? options->size
                                               : sizeof *options);
    if (flow->options.libexec == NULL)
        flow->options.libexec = DORA_LIBEXEC;
    flow->guardian = DORA__GUARDIAN_NONE;
    flow->door = DORA__DOOR_NONE;
    flow->wake_fd = -1;
    make_id(flow->id);
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
