/* resolve.c - what each node of a graph would be executed as: its kind, tier
 * and program, its clone if it names one.
 *
 *   1. Every kind of the embedder is asked in turn whether a node is its own;
 *      what no kind claims is an executable. Kinds remember from node to node
 *      what they found, for as long as one file is loaded.
 *   2. A node whose clone is still to be fetched resolves to "?": nobody knows
 *      before its files are there.
 *   3. All nodes are looked at, however many are wrong: a person mends a file
 *      in one go. */
#include "dataflow.h"

#include "source/clone.h"

#include <string.h>

extern char **environ;

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
    const char *file = dora__graph_file(&flow->graph, mark);
    struct dora_problem problem = {.warning = warning,
                                   .file = file,
                                   .line = mark.line,
                                   .column = mark.column,
                                   .text = text};

    if (o->problem != NULL)
        o->problem(o->problem_arg, &problem);
    if (err != NULL && err->text[0] == 0)
        dora__error_set(err, "%s:%u:%u: %s", file, mark.line, mark.column,
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
    bool inside = dora__member_inside(member);

    if (!inside && member->launch.attaches)
        return;
    if (node->startup_timeout_ns > 0)
        warn_node(flow, node,
                  inside ? "`startup_timeout` has no effect inside the host: "
                           "only a process can be killed alone"
                         : "`startup_timeout` has no effect on a program that "
                           "does not take part in the dataflow");
    if (node->health_check_timeout_ns > 0)
        warn_node(flow, node,
                  inside ? "`health_check_timeout` has no effect inside the "
                           "host: only a process can be killed alone"
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

/* What no kind was asked about. Takes `interpreter`, NULL for want of memory.
 */
static int
describe(struct dora__launch *launch, const char *kind, const char *tier,
         char *interpreter, const char *reason)
{
    launch->kind = kind;
    launch->tier = tier;
    launch->interpreter = interpreter;
    launch->reason = strdup(reason);
    return interpreter == NULL || launch->reason == NULL ? -ENOMEM : 0;
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
    if (!member->to_fetch)
        member->clone_fd = dora__clone_hold(member->clone);
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
        return describe(&member->launch, "callback", "host",
                        strdup("a function of the embedding program"),
                        "path: callback");
    member->is_dynamic = dora__graph_is_dynamic(node);
    if (member->is_dynamic)
        return describe(&member->launch, "dynamic", "process",
                        dora__format("whoever does `dora-run node --id %s "
                                     "SCRIPT.py`",
                                     node->id),
                        "`path: dynamic`: started by hand");
    if (member->to_fetch)
        return describe(&member->launch, "?", "?", strdup("?"),
                        "known once its source is there");
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

int
dora__flow_resolve(struct dora_dataflow *flow, struct dora_error *err)
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

/* --- room ---------------------------------------------------------------- */

/* Better said now than by the kernel, which picks one of them to kill. */
int
dora__flow_fits(const struct dora_dataflow *flow, uint64_t memory,
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
