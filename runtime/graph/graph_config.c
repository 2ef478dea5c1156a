/* graph_config.c - node_config(): what a node may ask about itself, as JSON.
 *
 * An input is a string where only its source was said, else a map, as nodes
 * written for dora 1.x expect. Keys are those of dora 1.x; absent ones that
 * map ids are empty maps. */
#include "graph_read.h"

#include <string.h>

static void
write_input(const struct dora__graph_input *input, struct dora__text *out)
{
    bool plain = input->queue_size == DORA__QUEUE_DEFAULT &&
                 input->policy == DORA__DROP_OLDEST && input->timeout_ns == 0;
    struct dora__text source = {0};

    if (input->source != NULL)
        dora__write_source(input, &source);
    dora__text_json(out, input->id, strlen(input->id));
    dora__text_puts(out, plain ? ":" : ":{\"source\":");
    dora__text_json(out, source.text != NULL ? source.text : "", source.size);
    if (!plain)
        dora__text_printf(out, ",\"queue_size\":%u", input->queue_size);
    if (input->policy == DORA__BACKPRESSURE)
        dora__text_puts(out, ",\"queue_policy\":\"backpressure\"");
    if (input->timeout_ns > 0) {
        dora__text_puts(out, ",\"input_timeout\":");
        dora__text_double(out, (double)input->timeout_ns / 1e9);
    }
    if (!plain)
        dora__text_puts(out, "}");
    out->failed |= source.failed;
    free(source.text);
}

static void
write_given(const struct dora__value *node, const char *key, const char *absent,
            struct dora__text *out)
{
    const struct dora__value *value = dora__value_get(node, key);

    if ((value == NULL || value->type == DORA__NULL) && absent == NULL)
        return;
    dora__text_printf(out, ",\"%s\":", key);
    if (value == NULL || value->type == DORA__NULL)
        dora__text_puts(out, absent);
    else
        dora__value_json(value, out);
}

void
dora__write_config(struct dora__reader *r, const struct dora__value *value,
                   struct dora__graph_node *node)
{
    struct dora__text out = {0};

    dora__text_puts(&out, "{\"inputs\":{");
    for (size_t i = 0; i < node->input_count; i++) {
        dora__text_puts(&out, i > 0 ? "," : "");
        write_input(&node->inputs[i], &out);
    }
    dora__text_puts(&out, "},\"outputs\":[");
    for (size_t i = 0; i < node->output_count; i++) {
        const char *id = node->outputs[i].id;

        dora__text_puts(&out, i > 0 ? "," : "");
        dora__text_json(&out, id, strlen(id));
    }
    dora__text_puts(&out, "]");
    write_given(value, "input_types", "{}", &out);
    write_given(value, "output_types", "{}", &out);
    write_given(value, "output_framing", "{}", &out);
    write_given(value, "output_metadata", NULL, &out);
    write_given(value, "pattern", NULL, &out);
    dora__text_puts(&out, "}");
    if (out.failed) {
        r->no_memory = true;
        free(out.text);
        return;
    }
    node->config = out.text;
}
