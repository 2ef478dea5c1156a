/* graph_module.c - nodes that stand for a file of nodes (`module: file.yml`).
 *
 * The tree of values is rewritten before a node is read: a module gives way to
 * the nodes of its file, under ids that begin with its own, so that nothing
 * behind this knows of modules. Values are never changed but copied, since
 * aliases share them. What is wrong inside a file is told where it stands
 * there. */
#include "graph_module.h"

#include <stdio.h>
#include <string.h>

/* "arm/pose", which a module hands out, and where it comes from. */
struct port {
    const char *name, *source;
};

struct expander {
    struct dora__reader *r;
    struct dora__value *nodes;
    size_t node_count, node_room;
    struct port *ports;
    size_t port_count, port_room;
    const char **modules; /* ids; of those that failed too */
    size_t module_count, module_room;
    bool full, failed;
};

/* --- what a module hands out ------------------------------------------- */

/* Room for one more, or NULL. */
static void *
grow(struct expander *e, void *items, size_t count, size_t *room, size_t size)
{
    void *grown;

    if (count < *room)
        return items;
    *room = *room > 0 ? 2 * *room : 16;
    grown = dora__chunks_take(&e->r->chunks, *room * size);
    if (grown == NULL)
        e->r->no_memory = true;
    else if (count > 0)
        memcpy(grown, items, count * size);
    return grown;
}

static void
add_port(struct expander *e, const char *name, const char *source)
{
    e->ports =
        grow(e, e->ports, e->port_count, &e->port_room, sizeof *e->ports);
    if (e->ports != NULL)
        e->ports[e->port_count++] = (struct port){name, source};
}

static const char *
find_port(const struct expander *e, const char *name)
{
    for (size_t i = 0; i < e->port_count; i++)
        if (strcmp(e->ports[i].name, name) == 0)
            return e->ports[i].source;
    return NULL;
}

/* Whether the map, or NULL, lists the output. */
static bool
sends(const struct dora__value *map, const char *name)
{
    const struct dora__value *list = NULL;

    if (map != NULL && map->type == DORA__MAP)
        list = dora__value_get(map, "outputs");
    for (size_t i = 0;
         list != NULL && list->type == DORA__LIST && i < list->item_count; i++)
        if (list->items[i].type == DORA__STRING &&
            strcmp(list->items[i].text, name) == 0)
            return true;
    return false;
}

static const char *
listed_output(const struct expander *e, const struct dora__value *node,
              const struct dora__value *block, const char *name)
{
    const struct dora__value *id = dora__value_get(block, "id");

    return id != NULL && id->type == DORA__STRING
               ? dora__module_text(e->r, "%s/%s/%s", node->text, id->text, name)
               : NULL;
}

/* "node/name" where the node sends it, itself or by its operator, or hands it
 * out as a module does; of an operator in a list "node/operator/name"; else
 * NULL. */
static const char *
find_output(const struct expander *e, const struct dora__value *node,
            const char *name)
{
    const struct dora__value *id = dora__value_get(node, "id");
    const struct dora__value *list = dora__value_get(node, "operators");
    const char *whole;

    if (id == NULL || id->type != DORA__STRING)
        return NULL;
    whole = dora__module_text(e->r, "%s/%s", id->text, name);
    if (dora__is_module(node))
        return find_port(e, whole);
    if (sends(node, name) || sends(dora__value_get(node, "operator"), name))
        return whole;
    for (size_t i = 0;
         list != NULL && list->type == DORA__LIST && i < list->item_count; i++)
        if (sends(&list->items[i], name))
            return listed_output(e, id, &list->items[i], name);
    return NULL;
}

static void
add_ports(struct expander *e, const struct dora__module *m,
          const struct dora__value *nodes)
{
    for (size_t i = 0; m->outputs != NULL && i < m->outputs->item_count; i++) {
        const struct dora__value *output = &m->outputs->items[i];
        const char *source = NULL;
        size_t count = 0;

        for (size_t k = 0; k < nodes->item_count; k++) {
            const char *found =
                nodes->items[k].type == DORA__MAP
                    ? find_output(e, &nodes->items[k], output->text)
                    : NULL;

            source = found != NULL ? found : source;
            count += found != NULL;
        }
        if (count != 1)
            dora__complain(e->r, output->mark,
                           "the module %s hands out %s: %s of its nodes has "
                           "that output, and just one should",
                           dora__show_text(m->name).text,
                           dora__show(output).text,
                           count == 0 ? "none" : "more than one");
        add_port(e, dora__module_text(e->r, "%s/%s", m->id, output->text),
                 count == 1 ? source : NULL);
    }
}

/* --- expansion --------------------------------------------------------- */

static void expand(struct expander *e, const struct dora__module *outer,
                   const struct dora__value *node);

/* As of any node, and its parameters. False: it has no proper id. */
static bool
check_node(struct dora__reader *r, const struct dora__value *value)
{
    struct dora__graph_node node = {0};
    const struct dora__value *params = dora__value_get(value, "params");
    bool named;

    dora__read_node(r, value, &node);
    named = node.id != NULL;
    (void)snprintf(r->owner, sizeof r->owner,
                   "node %s: ", dora__show_text(named ? node.id : "").text);
    dora__graph_node_fini(&node);
    if (params == NULL || !dora__read_map(r, params))
        return named;
    for (size_t i = 0; i < params->item_count; i++) {
        const struct dora__value *param = &params->items[i];
        const char *ignored;

        (void)dora__read_text(r, param, &ignored);
        if (param
                ->key[strspn(param->key, "abcdefghijklmnopqrstuvwxyz_0123456789"
                                         "ABCDEFGHIJKLMNOPQRSTUVWXYZ")] != '\0')
            dora__complain(r, param->key_mark,
                           "%sa parameter's name has letters, digits and `_`, "
                           "not %s",
                           r->owner, dora__show_text(param->key).text);
        for (size_t k = 0; k < i; k++)
            if (strcasecmp(params->items[k].key, param->key) == 0)
                dora__complain(r, param->key_mark,
                               "%sthe parameter %s is there twice: their case "
                               "does not matter",
                               r->owner, dora__show_text(param->key).text);
    }
    return named;
}

static void
expand_module(struct expander *e, const struct dora__module *outer,
              const struct dora__value *node)
{
    struct dora__reader *r = e->r;
    struct dora__module m;
    struct dora__value inside;
    size_t errors = r->errors;
    bool named = check_node(r, node);

    if (named) {
        e->modules = grow(e, e->modules, e->module_count, &e->module_room,
                          sizeof *e->modules);
        if (e->modules != NULL)
            e->modules[e->module_count++] = dora__value_get(node, "id")->text;
    }
    if (r->errors == errors && !r->no_memory &&
        dora__module_open(r, outer, node, &m)) {
        inside = *m.nodes;
        inside.items = dora__chunks_take(&r->chunks, m.nodes->item_count *
                                                         sizeof *inside.items);
        r->no_memory |= inside.items == NULL;
        for (size_t i = 0; i < inside.item_count && !r->no_memory; i++) {
            inside.items[i] = dora__module_node(r, &m, &m.nodes->items[i]);
            expand(e, &m, &inside.items[i]);
        }
        if (!r->no_memory)
            add_ports(e, &m, &inside);
    }
    e->failed |= r->errors > errors;
    r->owner[0] = '\0';
}

static void
expand(struct expander *e, const struct dora__module *outer,
       const struct dora__value *node)
{
    if (e->full || e->r->no_memory)
        return;
    if (e->node_count + e->module_count > DORA__MAX_NODES) {
        dora__complain(e->r, node->mark,
                       "with the nodes of its modules the dataflow has more "
                       "than %d",
                       DORA__MAX_NODES);
        e->full = true;
    } else if (dora__is_module(node)) {
        expand_module(e, outer, node);
    } else {
        e->nodes =
            grow(e, e->nodes, e->node_count, &e->node_room, sizeof *e->nodes);
        if (e->nodes != NULL)
            e->nodes[e->node_count++] = *node;
    }
}

/* --- what takes from a module ------------------------------------------ */

static bool
is_of_module(const struct expander *e, const char *source)
{
    size_t size = strcspn(source, "/");

    for (size_t i = 0; i < e->module_count; i++)
        if (strlen(e->modules[i]) == size &&
            strncmp(e->modules[i], source, size) == 0)
            return true;
    return false;
}

static void
complain_output(const struct expander *e, const struct dora__value *source)
{
    struct dora__nearest near = dora__nearest(source->text);

    for (size_t i = 0; i < e->port_count; i++)
        dora__nearest_consider(&near, e->ports[i].name);
    dora__complain(e->r, source->mark,
                   "there is no %s: no module hands it out%s",
                   dora__show(source).text, dora__show_nearest(&near).text);
}

/* Sources that a module hands out, by where they come from. What a module that
 * failed would hand out is not missed. */
static struct dora__value
link_inputs(struct dora__reader *r, const struct dora__value *inputs, void *arg)
{
    const struct expander *e = arg;
    struct dora__value linked = *inputs;

    linked.items = dora__chunks_take(&r->chunks,
                                     inputs->item_count * sizeof *linked.items);
    linked.item_count = 0;
    r->no_memory |= linked.items == NULL;
    for (size_t i = 0; i < inputs->item_count && !r->no_memory; i++) {
        const struct dora__value *input = &inputs->items[i];
        const struct dora__value *source = dora__module_source(input);
        const char *found;
        struct dora__value whole;

        if (source == NULL || !is_of_module(e, source->text)) {
            linked.items[linked.item_count++] = *input;
            continue;
        }
        found = find_port(e, source->text);
        if (found != NULL) {
            whole = dora__module_string(source, found);
            linked.items[linked.item_count++] =
                dora__module_with_source(r, input, &whole);
        } else if (!e->failed) {
            complain_output(e, source);
        }
    }
    return linked;
}

static bool
has_module(const struct dora__value *list)
{
    for (size_t i = 0; i < list->item_count; i++)
        if (dora__is_module(&list->items[i]))
            return true;
    return false;
}

struct dora__value
dora__expand_modules(struct dora__reader *r, const struct dora__value *list)
{
    struct expander e = {.r = r};
    struct dora__value whole = *list;

    if (r->context->files == NULL || !has_module(list))
        return whole;
    for (size_t i = 0; i < list->item_count; i++)
        expand(&e, NULL, &list->items[i]);
    for (size_t i = 0; i < e.node_count && !r->no_memory; i++)
        if (e.nodes[i].type == DORA__MAP)
            e.nodes[i] = dora__module_inputs(r, &e.nodes[i], link_inputs, &e);
    whole.items = e.nodes;
    whole.item_count = r->no_memory ? 0 : e.node_count;
    return whole;
}
