/* graph_mermaid.c - a graph as Mermaid text.
 *
 * Nodes are numbered, for Mermaid gives some words a meaning that are good ids
 * for nodes; their names are quoted labels. Timers and logs are drawn once per
 * source, however many listen. */
#include "graph.h"
#include "graph_text.h"

#include <string.h>

/* Text inside a quoted label. */
static void
label(struct dora__text *out, const char *text)
{
    for (; *text != '\0'; text++)
        switch (*text) {
        case '"':
            dora__text_puts(out, "#quot;");
            break;
        case '#':
            dora__text_puts(out, "#35;");
            break;
        case '<':
            dora__text_puts(out, "#lt;");
            break;
        case '>':
            dora__text_puts(out, "#gt;");
            break;
        case '\n':
            dora__text_puts(out, "<br/>");
            break;
        default:
            dora__text_add(out, text, 1);
        }
}

static void
draw_node(const struct dora__graph_node *node, size_t number,
          struct dora__text *out)
{
    size_t fed = 0;

    for (size_t i = 0; i < node->input_count; i++)
        fed += node->inputs[i].kind == DORA__INPUT_DATA;
    dora__text_printf(out, "    n%zu%s\"", number,
                      fed == 0                  ? "[\\"
                      : node->output_count == 0 ? "[/"
                                                : "[");
    label(out, node->name != NULL ? node->name : node->id);
    if (node->description != NULL && *node->description != '\0') {
        dora__text_puts(out, "<br/><small>");
        label(out, node->description);
        dora__text_puts(out, "</small>");
    }
    dora__text_printf(out, "\"%s\n",
                      fed == 0                  ? "/]"
                      : node->output_count == 0 ? "\\]"
                                                : "]");
}

/* A timer or the logs: named after the first input that has the source. */
struct own_source {
    const char *source;
    size_t node, input; /* who listens */
};

static int
by_source(const void *left, const void *right)
{
    const struct own_source *a = left, *b = right;
    int order = strcmp(a->source, b->source);

    if (order != 0)
        return order;
    if (a->node != b->node)
        return a->node < b->node ? -1 : 1;
    return a->input < b->input ? -1 : a->input > b->input;
}

static void
draw_own_sources(const struct dora__graph *graph, struct own_source *sources,
                 size_t count, struct dora__text *out)
{
    size_t number = 0;

    qsort(sources, count, sizeof *sources, by_source);
    for (size_t i = 0; i < count; i++) {
        const struct own_source *source = &sources[i];
        const struct dora__graph_node *node = &graph->nodes[source->node];

        if (i == 0 || strcmp(source[-1].source, source->source) != 0) {
            dora__text_printf(out, "    t%zu([\"", ++number);
            label(out, source->source);
            dora__text_puts(out, "\"])\n");
        }
        dora__text_printf(out, "    t%zu -- \"", number);
        label(out, node->inputs[source->input].id);
        dora__text_printf(out, "\" --> n%zu\n", source->node);
    }
}

static void
draw_edge(const struct dora__graph *graph,
          const struct dora__graph_input *input, size_t to,
          struct dora__text *out)
{
    const char *output = graph->nodes[input->node].outputs[input->output].id;

    dora__text_printf(out, "    n%zu -- \"", input->node);
    label(out, output);
    if (strcmp(output, input->id) != 0) {
        dora__text_puts(out, " as ");
        label(out, input->id);
    }
    dora__text_printf(out, "\" %s n%zu\n",
                      input->policy == DORA__BACKPRESSURE ? "==>" : "-->", to);
}

void
dora__graph_mermaid(const struct dora__graph *graph, struct dora__text *out)
{
    struct own_source *sources;
    size_t inputs = 1, count = 0;

    for (size_t n = 0; n < graph->node_count; n++)
        inputs += graph->nodes[n].input_count;
    sources = calloc(inputs, sizeof *sources);
    if (sources == NULL) {
        out->failed = true;
        return;
    }
    dora__text_puts(out, "flowchart TB\n");
    for (size_t n = 0; n < graph->node_count; n++)
        draw_node(&graph->nodes[n], n, out);
    for (size_t n = 0; n < graph->node_count; n++) {
        const struct dora__graph_node *node = &graph->nodes[n];

        for (size_t i = 0; i < node->input_count; i++)
            if (node->inputs[i].kind == DORA__INPUT_DATA)
                draw_edge(graph, &node->inputs[i], n, out);
            else
                sources[count++] =
                    (struct own_source){node->inputs[i].source, n, i};
    }
    draw_own_sources(graph, sources, count, out);
    free(sources);
}
