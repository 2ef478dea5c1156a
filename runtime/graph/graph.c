/* graph.c - a dataflow file as a whole: its own keys, its nodes, its graph.
 *
 * Reading goes on after an error wherever what follows does not depend on it,
 * so that one look shows all errors. What cannot be linked is left out of the
 * graph, which is dropped in the end if there was any error. */
#include "graph_module.h"

#include <string.h>

static const struct {
    const char *name, *gone; /* gone: why there is no such key any more */
} keys[] = {
    {"nodes", NULL},
    {"env", NULL},
    {"strict_types", NULL},
    {"type_rules", NULL},
    {"exit_when_nodes_finish", NULL},
    {"health_check_interval", NULL},
    {"debug", NULL},
    {"deploy", NULL},
    {"communication", "is gone since dora 1.0: remove it"},
    {"_unstable_deploy", "is gone since dora 1.0: remove it"},
    {"_unstable_debug", "is gone since dora 1.0: write `debug`"},
    {"publish_all_messages_to_zenoh", "is gone since dora 1.0: remove it"},
};

static void
check_key(struct dora__reader *r, const struct dora__value *value)
{
    struct dora__nearest near = dora__nearest(value->key);

    for (size_t i = 0; i < DORA_COUNT(keys); i++) {
        if (strcmp(value->key, keys[i].name) == 0) {
            if (keys[i].gone != NULL)
                dora__complain(r, value->key_mark, "`%s` %s", value->key,
                               keys[i].gone);
            return;
        }
        if (keys[i].gone == NULL && dora__may_suggest(r))
            dora__nearest_consider(&near, keys[i].name);
    }
    dora__complain(r, value->key_mark, "unknown key %s%s",
                   dora__show_text(value->key).text,
                   near.best != NULL
                       ? dora__show_nearest(&near).text
                       : ": a dataflow has `nodes`, `env`, `strict_types`, "
                         "`type_rules`, `exit_when_nodes_finish`, "
                         "`health_check_interval` and `debug`");
}

static void
check_debug(struct dora__reader *r, const struct dora__value *debug)
{
    static const char *const names[] = {"enable_debug_inspection", NULL};
    const struct dora__value *value;
    bool ignored;

    if (!dora__read_map(r, debug))
        return;
    dora__check_keys(r, debug, names, "`debug`");
    value = dora__value_get(debug, names[0]);
    if (value != NULL)
        (void)dora__read_bool(r, value, &ignored);
}

static void
check_type_rules(struct dora__reader *r, const struct dora__value *rules)
{
    static const char *const names[] = {"from", "to", NULL};

    if (!dora__read_list(r, rules))
        return;
    for (size_t i = 0; i < rules->item_count; i++) {
        const struct dora__value *rule = &rules->items[i];

        if (rule->type != DORA__MAP) {
            dora__complain(r, rule->mark,
                           "`type_rules`: a map with `from` and `to` was "
                           "expected, not %s",
                           dora__show(rule).text);
            continue;
        }
        dora__check_keys(r, rule, names, "`type_rules`");
        for (size_t k = 0; names[k] != NULL; k++) {
            const struct dora__value *urn = dora__value_get(rule, names[k]);
            const char *ignored;

            if (urn == NULL || urn->type == DORA__NULL)
                dora__complain(r, rule->mark, "`type_rules`: `%s` is missing",
                               names[k]);
            else
                (void)dora__read_text(r, urn, &ignored);
        }
    }
}

static void
check_strict_types(struct dora__reader *r, const struct dora__value *value)
{
    bool strict = false;

    if (dora__read_bool(r, value, &strict) && strict)
        dora__warn(r, value->key_mark,
                   "`strict_types` has no effect yet: types are not checked");
}

static void
read_settings(struct dora__reader *r, const struct dora__value *root)
{
    struct dora__graph *graph = r->graph;

    graph->health_check_interval_ns = DORA__HEALTH_INTERVAL_NS;
    for (size_t i = 0; i < root->item_count; i++) {
        const struct dora__value *value = &root->items[i];

        check_key(r, value);
        if (strcmp(value->key, "exit_when_nodes_finish") == 0)
            (void)dora__read_bool(r, value, &graph->exit_when_nodes_finish);
        else if (strcmp(value->key, "strict_types") == 0)
            check_strict_types(r, value);
        else if (strcmp(value->key, "type_rules") == 0)
            check_type_rules(r, value);
        else if (strcmp(value->key, "debug") == 0)
            check_debug(r, value);
        else if (strcmp(value->key, "deploy") == 0 && value->type != DORA__NULL)
            dora__complain(r, value->key_mark,
                           "dora-run does not support `deploy`: it runs all "
                           "nodes on this machine");
        else if (strcmp(value->key, "health_check_interval") == 0 &&
                 dora__read_seconds(r, value,
                                    &graph->health_check_interval_ns) &&
                 graph->health_check_interval_ns == 0)
            dora__complain(r, value->mark,
                           "`health_check_interval` must be above 0");
    }
}

/* The list of nodes, without modules; its type is DORA__NULL after a complaint.
 */
static struct dora__value
find_nodes(struct dora__reader *r, const struct dora__value *root)
{
    const struct dora__value *list = dora__value_get(root, "nodes");
    const struct dora__value none = {.type = DORA__NULL};

    if (list == NULL) {
        dora__complain(r, root->mark,
                       "`nodes` is missing: the list of what to run");
        return none;
    }
    if (list->type == DORA__NULL)
        dora__complain(r, list->mark,
                       "`nodes` must be a list of nodes, not nothing; an empty "
                       "list is []");
    if (!dora__read_list(r, list))
        return none;
    if (list->item_count > DORA__MAX_NODES) {
        dora__complain(r, list->items[DORA__MAX_NODES].mark,
                       "this is node %d of %zu; at most %d can run",
                       DORA__MAX_NODES + 1, list->item_count, DORA__MAX_NODES);
        return none;
    }
    return dora__expand_modules(r, list);
}

static void
read_nodes(struct dora__reader *r, const struct dora__value *list)
{
    struct dora__graph *graph = r->graph;

    graph->nodes = dora__new_array(r, list->item_count, sizeof *graph->nodes);
    for (size_t i = 0; i < list->item_count && !r->no_memory; i++)
        dora__read_node(r, &list->items[i], &graph->nodes[graph->node_count++]);
}

static void
write_descriptor(struct dora__reader *r, const struct dora__value *root)
{
    struct dora__text out = {0};

    dora__value_json(root, &out);
    r->graph->descriptor = out.text;
    if (out.failed)
        r->no_memory = true;
}

static void
read_root(struct dora__reader *r, const struct dora__value *root)
{
    struct dora__value nodes, whole;

    if (root->type != DORA__MAP) {
        dora__complain(r, root->mark,
                       root->type == DORA__NULL
                           ? "the file is empty: a dataflow has a list of "
                             "`nodes`"
                           : "a dataflow is a map with a list of `nodes`, not "
                             "%s",
                       dora__show(root).text);
        return;
    }
    read_settings(r, root);
    dora__read_shared_env(r, dora__value_get(root, "env"));
    nodes = find_nodes(r, root);
    if (!r->no_memory)
        read_nodes(r, &nodes);
    if (!r->no_memory)
        dora__link(r);
    if (!r->no_memory && r->errors == 0) {
        whole = dora__module_set(r, root, &nodes);
        write_descriptor(r, &whole);
    }
}

int
dora__graph_load(const char *text, size_t size,
                 const struct dora__graph_context *context,
                 struct dora__graph *ret_graph, struct dora_error *err)
{
    struct dora__graph graph = {0};
    struct dora__reader r = {.context = context, .err = err, .graph = &graph};
    struct dora__document document;
    struct dora_error line;
    struct dora__mark mark;
    int rc = dora__document_load(text, size, &document, &mark, &line);

    if (rc == -EINVAL)
        dora__complain(&r, mark, "%s", line.text);
    if (rc < 0 && rc != -EINVAL)
        return dora__fail(err, -rc, "%s: %s", context->file, line.text);
    if (rc < 0)
        return rc;
    graph.file = dora__copy_text(&r, context->file);
    if (!r.no_memory)
        read_root(&r, &document.root);
    for (struct dora__opened *o = r.opened; o != NULL; o = o->next)
        dora__document_fini(&o->document);
    dora__chunks_free(r.chunks);
    dora__document_fini(&document);
    dora__env_fini(&r.shared_env);
    if (r.no_memory || r.errors > 0) {
        dora__graph_fini(&graph);
        if (!r.no_memory)
            return -EINVAL;
        return dora__fail(err, ENOMEM, "%s: out of memory", context->file);
    }
    *ret_graph = graph;
    return 0;
}

static void
fini_input(struct dora__graph_input *input)
{
    free(input->id);
    free(input->source);
    free(input->log_node);
}

void
dora__graph_node_fini(struct dora__graph_node *node)
{
    free(node->id);
    free(node->name);
    free(node->description);
    free(node->path);
    free(node->operator_id);
    dora__words_free(node->args);
    free(node->args_text);
    dora__env_fini(&(struct dora__env){node->env, node->env_count});
    for (size_t i = 0; i < node->input_count; i++)
        fini_input(&node->inputs[i]);
    free(node->inputs);
    for (size_t i = 0; i < node->output_count; i++)
        free(node->outputs[i].id);
    free(node->outputs);
    free(node->python);
    free(node->build);
    free(node->git.url);
    free(node->git.name);
    free(node->send_stdout_as);
    free(node->send_logs_as);
    free(node->cpu_affinity);
    free(node->config);
}

void
dora__graph_fini(struct dora__graph *graph)
{
    for (size_t i = 0; i < graph->node_count; i++)
        dora__graph_node_fini(&graph->nodes[i]);
    free(graph->nodes);
    for (size_t i = 0; i < graph->module_count; i++)
        free(graph->modules[i]);
    free(graph->modules);
    free(graph->file);
    free(graph->descriptor);
    *graph = (struct dora__graph){0};
}

int
dora__graph_find(const struct dora__graph *graph, const char *id)
{
    for (size_t i = 0; i < graph->node_count; i++)
        if (strcmp(graph->nodes[i].id, id) == 0)
            return (int)i;
    return -ENOENT;
}
