/* graph_link.c - which output feeds which input, and what cannot work.
 *
 * Names are looked up in an index sorted once, so that a large file costs
 * n log n. A cycle of inputs that make their producers wait can come to rest
 * with everybody waiting for everybody: such a cycle is an error that names
 * it. Each is found where a search that follows only those edges comes back to
 * a node it has not left; the search keeps its own stack, for files may be
 * deeper than ours. */
#include "graph_read.h"

#include <stdio.h>
#include <string.h>

struct linker {
    struct dora__reader *r;
    const struct dora__graph_node **by_id; /* those that have an id */
    size_t count;
};

static size_t
number_of(const struct linker *l, const struct dora__graph_node *node)
{
    return (size_t)(node - l->r->graph->nodes);
}

static int
order(const void *left, const void *right)
{
    const struct dora__graph_node *a =
        *(const struct dora__graph_node *const *)left;
    const struct dora__graph_node *b =
        *(const struct dora__graph_node *const *)right;
    int names = strcmp(a->id, b->id);

    return names != 0 ? names : a < b ? -1 : a > b;
}

/* Where the nodes of that id begin in the index, or NULL. */
static const struct dora__graph_node **
find_node(const struct linker *l, const char *id)
{
    size_t low = 0, high = l->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(l->by_id[middle]->id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < l->count && strcmp(l->by_id[low]->id, id) == 0 ? &l->by_id[low]
                                                                : NULL;
}

static bool
make_index(struct linker *l)
{
    const struct dora__graph *graph = l->r->graph;

    l->by_id = dora__new_array(l->r, graph->node_count, sizeof(*l->by_id));
    if (l->by_id == NULL)
        return false;
    for (size_t i = 0; i < graph->node_count; i++)
        if (graph->nodes[i].id != NULL)
            l->by_id[l->count++] = &graph->nodes[i];
    qsort(l->by_id, l->count, sizeof *l->by_id, order);
    for (size_t i = 1; i < l->count; i++)
        if (strcmp(l->by_id[i - 1]->id, l->by_id[i]->id) == 0)
            dora__complain(l->r, l->by_id[i]->mark,
                           "the node id %s is taken (line %u): each node needs "
                           "a unique `id`",
                           dora__show_text(l->by_id[i]->id).text,
                           l->by_id[i - 1]->mark.line);
    return true;
}

static struct dora__shown
nearest_node(const struct linker *l, const char *id)
{
    struct dora__nearest near = dora__nearest(id);

    for (size_t i = 0; i < l->count && dora__may_suggest(l->r); i++)
        dora__nearest_consider(&near, l->by_id[i]->id);
    return dora__show_nearest(&near);
}

static int
output_order(const void *key, const void *item)
{
    const struct dora__graph_output *output = item;

    return strcmp(key, output->id);
}

/* What the node itself calls the output of a source. NULL: nothing; it is an
 * operator, which the source does not name. */
static const char *
own_name(const struct dora__graph_node *node, const char *output)
{
    const char *id = node->operator_id;
    size_t size = id != NULL ? strlen(id) : 0;

    if (id == NULL)
        return output;
    return strncmp(output, id, size) == 0 && output[size] == '/'
               ? output + size + 1
               : NULL;
}

/* What to write instead of the output of that name, or why there is nothing. */
static struct dora__shown
hint_at(const struct linker *l, const struct dora__graph_node *source,
        const char *name)
{
    /* Of one in `operator` what precedes a slash may be meant for its id. */
    const char *slash = source->is_operator ? strchr(name, '/') : NULL;
    struct dora__nearest near = dora__nearest(slash != NULL ? slash + 1 : name);

    if (source->output_count == 0)
        return (struct dora__shown){" (it declares no `outputs`)"};
    for (size_t i = 0; i < source->output_count && dora__may_suggest(l->r); i++)
        dora__nearest_consider(&near, source->outputs[i].id);
    return dora__show_nearest(&near);
}

static void
complain_output(const struct linker *l, const struct dora__graph_node *node,
                const struct dora__graph_input *input,
                const struct dora__graph_node *source, const char *output)
{
    const char *name = own_name(source, output);

    if (name == NULL) {
        dora__complain(
            l->r, input->mark,
            "node %s, input %s: the operator of node %s is %s: its outputs are "
            "NODE/OPERATOR/OUTPUT, not %s",
            dora__show_text(node->id).text, dora__show_text(input->id).text,
            dora__show_text(source->id).text,
            dora__show_text(source->operator_id).text,
            dora__show_text(output).text);
        return;
    }
    dora__complain(
        l->r, input->mark, "node %s, input %s: node %s has no output %s%s",
        dora__show_text(node->id).text, dora__show_text(input->id).text,
        dora__show_text(source->id).text, dora__show_text(output).text,
        hint_at(l, source, name).text);
}

/* Sets the input's source among the nodes from `at` on that share an id (more
 * than one is an error that was told). */
static bool
find_output(const struct linker *l, const struct dora__graph_node **at,
            const char *id, struct dora__graph_input *input)
{
    for (const struct dora__graph_node **end = l->by_id + l->count;
         at < end && strcmp((*at)->id, input->source) == 0; at++) {
        const struct dora__graph_output *output = NULL;
        const char *name = own_name(*at, id);

        if (name != NULL && (*at)->output_count > 0)
            output = bsearch(name, (*at)->outputs, (*at)->output_count,
                             sizeof *output, output_order);
        if (output == NULL)
            continue;
        input->node = number_of(l, *at);
        input->output = (size_t)(output - (*at)->outputs);
        return true;
    }
    return false;
}

/* The source's text is cut at its first slash for the time of the search. A
 * node without a path, or whose outputs are no list, was refused: nothing is
 * known of its outputs. */
static void
link_input(struct linker *l, const struct dora__graph_node *node,
           struct dora__graph_input *input)
{
    const struct dora__graph_node **source;
    char *slash = strchr(input->source, '/');
    bool found = false;

    *slash = '\0';
    source = find_node(l, input->source);
    if (source == NULL)
        dora__complain(
            l->r, input->mark, "node %s, input %s: there is no node %s%s",
            dora__show_text(node->id).text, dora__show_text(input->id).text,
            dora__show_text(input->source).text,
            nearest_node(l, input->source).text);
    else
        found = find_output(l, source, slash + 1, input);
    if (source != NULL && !found && (*source)->path != NULL &&
        !(*source)->outputs_unread)
        complain_output(l, node, input, *source, slash + 1);
    *slash = '/';
    if (!found) {
        free(input->source);
        input->source = NULL;
    }
}

static void
check_log_node(struct linker *l, const struct dora__graph_node *node,
               const struct dora__graph_input *input)
{
    if (input->log_node != NULL && find_node(l, input->log_node) == NULL)
        dora__warn(l->r, input->mark,
                   "node %s, input %s: there is no node %s, whose logs it asks "
                   "for%s",
                   dora__show_text(node->id).text,
                   dora__show_text(input->id).text,
                   dora__show_text(input->log_node).text,
                   nearest_node(l, input->log_node).text);
}

static void
link_inputs(struct linker *l)
{
    struct dora__graph *graph = l->r->graph;

    for (size_t n = 0; n < graph->node_count; n++) {
        struct dora__graph_node *node = &graph->nodes[n];

        for (size_t i = 0; i < node->input_count && node->id != NULL; i++) {
            struct dora__graph_input *input = &node->inputs[i];

            if (input->source != NULL && input->kind == DORA__INPUT_DATA)
                link_input(l, node, input);
            else if (input->source != NULL && input->kind == DORA__INPUT_LOGS)
                check_log_node(l, node, input);
        }
    }
}

static bool
blocks(const struct dora__graph_input *input)
{
    return input->source != NULL && input->kind == DORA__INPUT_DATA &&
           input->policy == DORA__BACKPRESSURE;
}

/* A node on the way of the search, and which of its inputs is looked at. */
struct step {
    size_t node, input;
};

/* "`a` -> `b` -> `a`" from the way, which runs against the edges. */
static void
complain_cycle(struct dora__reader *r, const struct step *way, size_t from,
               size_t to)
{
    const struct dora__graph_node *nodes = r->graph->nodes;
    struct dora__text text = {0};

    for (size_t i = to + 1; i-- > from;)
        dora__text_printf(&text, "%s -> ",
                          dora__show_text(nodes[way[i].node].id).text);
    dora__text_puts(&text, dora__show_text(nodes[way[to].node].id).text);
    if (text.failed)
        r->no_memory = true;
    else
        dora__complain(r, nodes[way[to].node].inputs[way[to].input].mark,
                       "a cycle of `backpressure` inputs can block for ever, "
                       "each waiting for the next: %s",
                       text.text);
    free(text.text);
}

static void
find_cycles_from(struct dora__reader *r, size_t start, struct step *way,
                 size_t *place)
{
    struct dora__graph_node *nodes = r->graph->nodes;
    size_t length = 0;

    way[length++] = (struct step){start, 0};
    place[start] = 1;
    while (length > 0 && !r->no_memory) {
        struct step *top = &way[length - 1];
        const struct dora__graph_node *node = &nodes[top->node];
        const struct dora__graph_input *input;

        if (top->input == node->input_count) {
            place[top->node] = SIZE_MAX;
            length--;
            if (length > 0)
                way[length - 1].input++;
            continue;
        }
        input = &node->inputs[top->input];
        if (blocks(input) && place[input->node] == 0) {
            place[input->node] = length + 1;
            way[length++] = (struct step){input->node, 0};
            continue;
        }
        if (blocks(input) && place[input->node] != SIZE_MAX)
            complain_cycle(r, way, place[input->node] - 1, length - 1);
        top->input++;
    }
}

static void
find_cycles(struct dora__reader *r)
{
    size_t count = r->graph->node_count;
    struct step *way = dora__new_array(r, count, sizeof *way);
    /* 0: not seen; SIZE_MAX: left for good; else place on the way, from 1 */
    size_t *place = dora__new_array(r, count, sizeof *place);

    for (size_t i = 0; i < count && way != NULL && place != NULL; i++)
        if (place[i] == 0 && r->graph->nodes[i].id != NULL)
            find_cycles_from(r, i, way, place);
    free(way);
    free(place);
}

void
dora__link(struct dora__reader *r)
{
    struct linker l = {.r = r};

    if (make_index(&l)) {
        link_inputs(&l);
        find_cycles(r);
    }
    free(l.by_id);
}
