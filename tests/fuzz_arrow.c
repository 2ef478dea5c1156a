/* fuzz_arrow.c - any bytes as a block: refused, or an array of which every item
 * can be read, and which can be sent on and gives an array again. */
#include "node/arrow.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINE = 64, ITEMS = 4096 };

static uint64_t seen; /* what was read is used */

static void
read_bytes(const void *bytes, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        seen += ((const unsigned char *)bytes)[i];
}

static void
read_item(const struct dora__arrow_field *field, int64_t index)
{
    size_t width = field->layout.width, at = (size_t)index;
    int64_t from, to;

    seen += dora__arrow_valid(field, index);
    switch (field->layout.kind) {
    case DORA__ARROW_NULL:
    case DORA__ARROW_STRUCT:
        return;
    case DORA__ARROW_BITS:
        read_bytes(field->buffers[1], at / 8, at / 8 + 1);
        return;
    case DORA__ARROW_FIXED:
        read_bytes(field->buffers[1], at * width, (at + 1) * width);
        return;
    case DORA__ARROW_TEXT32:
    case DORA__ARROW_TEXT64:
        dora__arrow_places(field, index, &from, &to);
        read_bytes(field->buffers[2], (size_t)from, (size_t)to);
        return;
    case DORA__ARROW_LIST32:
    case DORA__ARROW_LIST64:
    case DORA__ARROW_LIST_FIXED:
        dora__arrow_places(field, index, &from, &to);
        if (from > to || to > field->children->length)
            abort();
        return;
    }
}

static void
read_field(const struct dora__arrow_field *field)
{
    for (int64_t i = 0; i < field->length && i < ITEMS; i++)
        read_item(field, i);
    if (field->length > 0)
        read_item(field, field->length - 1);
    for (const struct dora__arrow_field *child = field->children; child != NULL;
         child = child->next)
        read_field(child);
    if (field->dictionary != NULL)
        read_field(field->dictionary);
}

/* Of exactly that size, so that a step too far is one too many. */
static void *
new_block(size_t size)
{
    void *block;

    if (posix_memalign(&block, LINE, size) != 0)
        abort();
    memset(block, 0, size);
    return block;
}

static struct dora__arrow *
open_block(void *block, size_t size)
{
    struct dora__arrow *arrow;

    if (dora__arrow_open(block, size, block, free, &arrow) == 0)
        return arrow;
    free(block);
    return NULL;
}

static void
send_on(struct dora__arrow *arrow)
{
    const struct dora__arrow_field *root = dora__arrow_root(arrow);
    struct dora_error err = {0};
    struct dora__arrow_size size;
    struct ArrowSchema schema;
    struct ArrowArray array;
    void *block = NULL;

    if (dora__arrow_export_schema(arrow, root, &schema) < 0 ||
        dora__arrow_export_array(arrow, root, 0, root->length, &array) < 0)
        abort();
    if (dora__arrow_measure(&schema, &array, &size, &err) == 0) {
        block = new_block(size.whole);
        if (dora__arrow_pack(&schema, &array, &size, block, &err) < 0)
            abort();
    }
    schema.release(&schema);
    array.release(&array);
    arrow = block == NULL ? NULL : open_block(block, size.whole);
    if (block != NULL && arrow == NULL)
        abort();
    dora__arrow_unref(arrow);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void *block = new_block(size);
    struct dora__arrow *arrow;

    if (size > 0)
        memcpy(block, data, size);
    arrow = open_block(block, size);
    if (arrow == NULL)
        return 0;
    read_field(dora__arrow_root(arrow));
    send_on(arrow);
    dora__arrow_unref(arrow);
    return 0;
}
