/* graph_operator.c - a node that is an operator: a class in a Python file whose
 * object is handed the node's events.
 *
 * Its block says of the operator what other nodes say of themselves, and is
 * read by the same table into the node. What comes after the graph sees a
 * script like any other; only the text of sources names an operator of
 * `operators` between node and output, which linking takes off. */
#include "graph_read.h"

#include <string.h>

/* Of a block or a map in it: NULL if it is absent. */
static const struct dora__value *
given(const struct dora__value *map, const char *key)
{
    const struct dora__value *value = dora__value_get(map, key);

    return value == NULL || value->type == DORA__NULL ? NULL : value;
}

/* What `python: {source: FILE}` says is the file, or NULL after a complaint. */
static const struct dora__value *
read_source_map(struct dora__reader *r, const struct dora__value *map)
{
    const struct dora__value *source = given(map, "source");

    for (size_t i = 0; i < map->item_count; i++) {
        const struct dora__value *item = &map->items[i];

        if (strcmp(item->key, "conda_env") == 0 && item->type != DORA__NULL)
            dora__complain(r, item->key_mark,
                           "%s`conda_env` is not supported by this version: "
                           "give the node itself `python: ENVIRONMENT/bin/"
                           "python`, or activate the environment",
                           r->owner);
        else if (strcmp(item->key, "conda_env") != 0 &&
                 strcmp(item->key, "source") != 0)
            dora__warn(r, item->key_mark, "%sthe unknown key %s is ignored",
                       r->owner, dora__show_text(item->key).text);
    }
    if (source == NULL)
        dora__complain(r, map->mark,
                       "%s`python` has no `source`: the file that defines the "
                       "class `Operator`",
                       r->owner);
    return source;
}

static bool
is_script(const char *path)
{
    size_t size = strlen(path);

    return size > 3 && strcmp(path + size - 3, ".py") == 0;
}

static void
read_python(struct dora__reader *r, const struct dora__value *value,
            struct dora__graph_node *node)
{
    if (value->type == DORA__MAP)
        value = read_source_map(r, value);
    if (value == NULL || !dora__read_path(r, value, node) || r->no_memory ||
        is_script(node->path))
        return;
    dora__complain(r, value->mark,
                   "%s`%s` must name a file that ends in .py, not %s", r->owner,
                   value->key, dora__show(value).text);
}

/* What the operator is: dora 1.x has other forms of it. */
static void
read_source(struct dora__reader *r, const struct dora__value *block,
            struct dora__graph_node *node)
{
    static const char *const refused[] = {"shared-library", "wasm"};
    const struct dora__value *python = given(block, "python");

    for (size_t i = 0; i < DORA_COUNT(refused); i++) {
        const struct dora__value *value = given(block, refused[i]);

        if (value == NULL)
            continue;
        dora__complain(r, value->key_mark,
                       "%s`%s` operators are not supported: only those in "
                       "`python`; a compiled program is a node by `path`",
                       r->owner, refused[i]);
        return;
    }
    if (python == NULL)
        dora__complain(r, block->mark,
                       "%sthe operator has no `python`: the file that defines "
                       "the class `Operator`",
                       r->owner);
    else
        read_python(r, python, node);
}

static void
read_id(struct dora__reader *r, const struct dora__value *block, bool listed,
        struct dora__graph_node *node)
{
    const struct dora__value *id = given(block, "id");
    const char *text, *fault;

    if (id == NULL && listed) {
        node->outputs_unread = true; /* nobody can name them */
        dora__complain(r, block->mark,
                       "%san operator in `operators` needs an `id`: sources "
                       "name its outputs as NODE/OPERATOR/OUTPUT",
                       r->owner);
    }
    if (id == NULL || !dora__read_text(r, id, &text))
        return;
    fault = dora__port_id_fault(text);
    if (fault != NULL)
        dora__complain(r, id->mark, "%sthe operator's id %s %s", r->owner,
                       dora__show_text(text).text, fault);
    if (listed)
        node->operator_id = dora__copy_text(r, text);
}

/* The one that is listed, or NULL after a complaint. */
static const struct dora__value *
only_one(struct dora__reader *r, const struct dora__value *list)
{
    if (!dora__read_list(r, list))
        return NULL;
    if (list->item_count == 1)
        return &list->items[0];
    if (list->item_count == 0)
        dora__complain(r, list->mark, "%s`operators` lists no operator",
                       r->owner);
    else
        dora__complain(r, list->items[1].mark,
                       "%sseveral Python operators in one node are not "
                       "supported, nor are they by dora 1.x: give this one a "
                       "node of its own",
                       r->owner);
    return NULL;
}

const struct dora__value *
dora__read_operator(struct dora__reader *r, const struct dora__value *value,
                    struct dora__graph_node *node)
{
    bool listed = strcmp(value->key, "operators") == 0;
    const struct dora__value *block = listed ? only_one(r, value) : value;

    if (block == NULL)
        return NULL;
    if (block->type != DORA__MAP) {
        dora__complain(r, block->mark,
                       "%san operator must be a map with `python`, not %s",
                       r->owner, dora__show(block).text);
        return NULL;
    }
    node->is_operator = true;
    read_id(r, block, listed, node);
    read_source(r, block, node);
    for (size_t i = 0; i < block->item_count && !r->no_memory; i++) {
        const struct dora__value *item = &block->items[i];

        if (!dora__read_key(r, item, DORA__KIND_BLOCK, node))
            dora__warn(r, item->key_mark,
                       "%s`%s` has no effect in the operator's block%s",
                       r->owner, item->key,
                       dora__has_key(DORA__KIND_OPERATOR, item->key)
                           ? ": it is the node's"
                           : "");
    }
    return block;
}
