/* graph_node.c - one entry of `nodes`: its id, its kind, and what its keys say
 * together.
 *
 * Kinds of dora 1.x that cannot be run yet are known by name: their files are
 * told so, once per node, instead of being called misspelt. */
#include "graph_read.h"

#include <stdio.h>
#include <string.h>

/* What a node can be: the key that makes it one. */
static const struct {
    const char *key, *title;
    unsigned kind;
} kinds[] = {
    {"path", "path", DORA__KIND_PATH},
    {"operator", "operator", DORA__KIND_OPERATOR},
    {"operators", "operator", DORA__KIND_OPERATOR},
    {"ros2", "ROS 2", DORA__KIND_ROS2},
    {"module", "module", DORA__KIND_MODULE},
    {"hub", "hub", DORA__KIND_HUB},
};

/* Number of the node's kind, or -1 after a complaint. */
static int
kind_of(struct dora__reader *r, const struct dora__value *value)
{
    const struct dora__value *second = NULL;
    int first = -1;

    for (size_t i = 0; i < DORA_COUNT(kinds); i++) {
        const struct dora__value *item = dora__value_get(value, kinds[i].key);

        if (item == NULL || item->type == DORA__NULL)
            continue;
        if (first < 0)
            first = (int)i;
        else if (second == NULL)
            second = item;
    }
    if (first < 0) {
        dora__complain(r, value->mark,
                       "%sa `path` is missing: what the node executes",
                       r->owner);
        return -1;
    }
    if (second != NULL) {
        dora__complain(r, second->key_mark,
                       "%s`%s` and `%s` exclude each other: a node has only "
                       "one of `path`, `operator`, `operators`, `ros2`, "
                       "`module` and `hub`",
                       r->owner, kinds[first].key, second->key);
        return -1;
    }
    return first;
}

/* A module is known where its file can be read; none is left to be run. */
static bool
is_known(const struct dora__reader *r, unsigned kind)
{
    return kind == DORA__KIND_PATH || kind == DORA__KIND_OPERATOR ||
           (kind == DORA__KIND_MODULE && r->context->files != NULL);
}

bool
dora__is_module(const struct dora__value *node)
{
    const struct dora__value *file = NULL;

    if (node->type == DORA__MAP)
        file = dora__value_get(node, "module");
    return file != NULL && file->type != DORA__NULL;
}

static void
refuse_kind(struct dora__reader *r, const struct dora__value *value, int kind)
{
    dora__complain(r, dora__value_get(value, kinds[kind].key)->key_mark,
                   "%s%s nodes (`%s`) are not supported by this version",
                   r->owner, kinds[kind].title, kinds[kind].key);
}

static void
complain_kind(struct dora__reader *r, const struct dora__value *item, int kind)
{
    bool movable = kinds[kind].kind == DORA__KIND_OPERATOR &&
                   dora__has_key(DORA__KIND_BLOCK, item->key);

    dora__complain(r, item->key_mark, "%s`%s` is not allowed on %s nodes%s",
                   r->owner, item->key, kinds[kind].title,
                   movable ? ": move it into the operator's block" : "");
}

static void
read_id(struct dora__reader *r, const struct dora__value *value,
        struct dora__graph_node *node)
{
    const struct dora__value *id = dora__value_get(value, "id");
    const char *text = NULL, *fault;

    node->mark = value->mark;
    (void)snprintf(r->owner, sizeof r->owner, "a node: ");
    if (id == NULL || id->type == DORA__NULL) {
        dora__complain(r, value->mark, "a node has no `id`");
        return;
    }
    node->mark = id->mark;
    if (!dora__read_text(r, id, &text))
        return;
    fault = dora__node_id_fault(text);
    if (fault != NULL)
        dora__complain(r, id->mark, "the node's id %s %s",
                       dora__show_text(text).text, fault);
    (void)snprintf(r->owner, sizeof r->owner,
                   "node %s: ", dora__show_text(text).text);
    node->id = dora__copy_text(r, text);
}

static int
by_id(const void *left, const void *right)
{
    const struct dora__graph_output *a = left, *b = right;

    return strcmp(a->id, b->id);
}

/* A set: sorted, each once. */
static void
sort_outputs(struct dora__graph_node *node)
{
    size_t kept = 0;

    if (node->output_count == 0)
        return;
    qsort(node->outputs, node->output_count, sizeof *node->outputs, by_id);
    for (size_t i = 1; i < node->output_count; i++)
        if (strcmp(node->outputs[kept].id, node->outputs[i].id) == 0)
            free(node->outputs[i].id);
        else
            node->outputs[++kept] = node->outputs[i];
    node->output_count = kept + 1;
}

static void
split_args(struct dora__reader *r, const struct dora__value *value,
           struct dora__graph_node *node)
{
    const char *fault = "";
    int rc;

    if (r->no_memory ||
        (node->path != NULL && strcmp(node->path, "shell") == 0))
        return;
    rc = dora__split_words(node->args_text, &node->args, &node->arg_count,
                           &fault);
    if (rc == -ENOMEM)
        r->no_memory = true;
    else if (rc < 0)
        dora__complain(r, dora__value_get(value, "args")->mark,
                       "%s`args` cannot be split: %s in %s", r->owner, fault,
                       dora__show_text(node->args_text).text);
}

static int
output_order(const void *key, const void *item)
{
    return strcmp(key, ((const struct dora__graph_output *)item)->id);
}

static int
input_order(const void *key, const void *item)
{
    return strcmp(key, ((const struct dora__graph_input *)item)->id);
}

/* Whether the node declares the output; if not, `near` has looked at all. */
static bool
has_output(struct dora__reader *r, const struct dora__graph_node *node,
           const char *id, struct dora__nearest *near)
{
    if (node->outputs_unread)
        return true;
    if (node->output_count > 0 &&
        bsearch(id, node->outputs, node->output_count, sizeof *node->outputs,
                output_order) != NULL)
        return true;
    for (size_t i = 0; i < node->output_count && dora__may_suggest(r); i++)
        dora__nearest_consider(near, node->outputs[i].id);
    return false;
}

static bool
has_input(struct dora__reader *r, const struct dora__graph_node *node,
          const char *id, struct dora__nearest *near)
{
    if (node->input_count > 0 &&
        bsearch(id, node->inputs, node->input_count, sizeof *node->inputs,
                input_order) != NULL)
        return true;
    for (size_t i = 0; i < node->input_count && dora__may_suggest(r); i++)
        dora__nearest_consider(near, node->inputs[i].id);
    return false;
}

/* Keys that speak of outputs or inputs must speak of declared ones; `value` is
 * what has them. */
static void
check_ports(struct dora__reader *r, const struct dora__value *value,
            const struct dora__graph_node *node)
{
    static const char *const sent[] = {"send_stdout_as", "send_logs_as"};
    static const char *const described[] = {
        "input_types", "output_types", "output_framing", "output_metadata"};

    for (size_t i = 0; i < DORA_COUNT(sent); i++) {
        const struct dora__value *id = dora__value_get(value, sent[i]);
        struct dora__nearest near = dora__nearest(id != NULL ? id->text : "");

        if (id != NULL && id->type == DORA__STRING &&
            !has_output(r, node, id->text, &near))
            dora__complain(r, id->mark,
                           "%s`%s` is %s, which is not among the "
                           "node's `outputs`%s",
                           r->owner, sent[i], dora__show(id).text,
                           dora__show_nearest(&near).text);
    }
    for (size_t i = 0; i < DORA_COUNT(described); i++) {
        const struct dora__value *map = dora__value_get(value, described[i]);

        for (size_t k = 0;
             map != NULL && map->type == DORA__MAP && k < map->item_count;
             k++) {
            const struct dora__value *item = &map->items[k];
            struct dora__nearest near = dora__nearest(item->key);

            if (!(i == 0 ? has_input : has_output)(r, node, item->key, &near))
                dora__warn(r, item->key_mark,
                           "%s`%s` describes %s, which the "
                           "node does not declare%s",
                           r->owner, described[i],
                           dora__show_text(item->key).text,
                           dora__show_nearest(&near).text);
        }
    }
}

static void
set_defaults(struct dora__reader *r, struct dora__graph_node *node)
{
    node->args_text = dora__copy_text(r, "");
    node->max_rotated_files = 5;
    node->startup_timeout_ns = -1;
    node->health_check_timeout_ns = -1;
    node->finish_grace_ns = -1;
}

void
dora__read_node(struct dora__reader *r, const struct dora__value *value,
                struct dora__graph_node *node)
{
    const struct dora__value *env, *ports = value;
    int kind;

    if (value->type != DORA__MAP) {
        dora__complain(r, value->mark,
                       "a node must be a map with `id` and `path`, not %s",
                       dora__show(value).text);
        return;
    }
    set_defaults(r, node);
    read_id(r, value, node);
    kind = kind_of(r, value);
    env = dora__value_get(value, "env");
    dora__read_env(r, env, node);
    if (kind >= 0 && kinds[kind].kind == DORA__KIND_OPERATOR)
        ports = dora__read_operator(r, dora__value_get(value, kinds[kind].key),
                                    node);
    for (size_t i = 0; i < value->item_count && !r->no_memory; i++) {
        const struct dora__value *item = &value->items[i];

        if (!dora__read_key(r, item, kind < 0 ? 0 : kinds[kind].kind, node))
            complain_kind(r, item, kind);
    }
    split_args(r, value, node);
    dora__read_git(r, value, &node->git);
    sort_outputs(node);
    if (kind >= 0 && !is_known(r, kinds[kind].kind))
        refuse_kind(r, value, kind);
    if (!r->no_memory && ports != NULL)
        check_ports(r, ports, node);
    if (!r->no_memory && ports != NULL)
        dora__write_config(r, ports, node);
    r->owner[0] = '\0';
}
