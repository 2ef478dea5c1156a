/* node_arrow.c - Arrow arrays for nodes that are C functions. */
#include "arrow.h"
#include "node.h"

static void
release_sample(void *sample)
{
    dora_sample_unref(sample);
}

int
dora_event_arrow(const struct dora_event *event, struct ArrowSchema *ret_schema,
                 struct ArrowArray *ret_array)
{
    const struct dora__arrow_field *root;
    struct ArrowSchema schema;
    struct dora__arrow *arrow;
    int result;

    if (event->type != DORA_EVENT_INPUT || event->value != DORA_VALUE_ARROW)
        return -EINVAL;
    result = dora__arrow_open(event->data, event->data_size, event->sample,
                              release_sample, &arrow);
    if (result < 0)
        return result;
    (void)dora_sample_ref(event->sample); /* the one that goes with `arrow` */
    root = dora__arrow_root(arrow);
    result = dora__arrow_export_schema(arrow, root, &schema);
    if (result == 0) {
        result =
            dora__arrow_export_array(arrow, root, 0, root->length, ret_array);
        if (result == 0)
            *ret_schema = schema;
        else
            schema.release(&schema);
    }
    dora__arrow_unref(arrow);
    return result;
}

static int
send_packed(struct dora_loan *loan, const struct ArrowSchema *schema,
            const struct ArrowArray *array, const struct dora__arrow_size *size,
            struct dora_error *err)
{
    int result =
        dora__arrow_pack(schema, array, size, dora_loan_data(loan), err);

    if (result < 0)
        return result;
    dora__loan_filled(loan, size->whole);
    dora__loan_set_value(loan, DORA_VALUE_ARROW);
    do
        result = dora_loan_send(loan, -1, err);
    while (result == -EINTR);
    return result;
}

int
dora_node_send_arrow(struct dora_node *node, int output,
                     const struct ArrowSchema *schema,
                     const struct ArrowArray *array, const void *metadata,
                     size_t metadata_size, struct dora_error *err)
{
    struct dora__arrow_size size;
    struct dora_loan *loan;
    int result;

    if (dora__arrow_is_bytes(schema, array))
        return dora_node_send(node, output, dora__arrow_bytes(array),
                              (size_t)array->length, metadata, metadata_size,
                              err);
    result = dora__arrow_measure(schema, array, &size, err);
    if (result < 0)
        return result;
    do
        result = dora_node_loan(node, output, size.whole, metadata,
                                metadata_size, &loan, err);
    while (result == -EINTR);
    if (result < 0)
        return result;
    result = send_packed(loan, schema, array, &size, err);
    dora_loan_drop(loan);
    return result;
}
