/* arrow_pack.c - an Arrow array of somebody else's as one block.
 *
 * The same walk is made twice: once to measure, once to write. Between the two
 * nothing is believed of the first but the size: should places in the array
 * change meanwhile, writing stops at the end of its room. */
#include "arrow.h"

#include <string.h>

/* --- the block ----------------------------------------------------------- */

struct pack {
    unsigned char *block; /* NULL: only measured */
    size_t buffers, buffers_end;
    size_t tree, tree_end;
    size_t fields;
    unsigned depth;
    struct dora_error *err;
};

static int
contradiction(struct pack *pack, const char *what)
{
    return dora__fail(pack->err, EINVAL, "invalid data: in the Arrow array %s",
                      what);
}

/* The next `size` bytes, from *at on; NULL while measuring. */
static int
take(struct pack *pack, size_t *at, size_t end, size_t align, size_t size,
     unsigned char **ret_bytes)
{
    size_t start = (*at + align - 1) & ~(align - 1);

    if (size > SIZE_MAX / 4 || start > SIZE_MAX / 4)
        return dora__fail(pack->err, EMSGSIZE,
                          "invalid data: an Arrow array of more bytes than "
                          "there are");
    *at = start + size;
    *ret_bytes = NULL;
    if (pack->block == NULL)
        return 0;
    if (*at > end)
        return contradiction(pack, "something has changed the places");
    *ret_bytes = pack->block + start;
    return 0;
}

static int
take_buffer(struct pack *pack, struct dora__arrow_packed *field, unsigned index,
            size_t size, unsigned char **ret_bytes)
{
    int r = take(pack, &pack->buffers, pack->buffers_end, 64, size, ret_bytes);

    if (r < 0)
        return r;
    field->buffers[index].at = pack->buffers - size;
    field->buffers[index].size = size;
    return 0;
}

static int
put_bytes(struct pack *pack, struct dora__arrow_packed *field, unsigned index,
          const unsigned char *bytes, size_t size)
{
    unsigned char *to;
    int r;

    if (size > 0 && bytes == NULL)
        return contradiction(pack, "a buffer is missing");
    r = take_buffer(pack, field, index, size, &to);
    if (r == 0 && to != NULL && size > 0)
        memcpy(to, bytes, size);
    return r;
}

/* --- bits ---------------------------------------------------------------- */

static inline unsigned
bit_of(const unsigned char *bits, size_t index)
{
    return bits[index / 8] >> (index % 8) & 1;
}

static size_t
count_bits(const unsigned char *bits, size_t start, size_t length)
{
    size_t count = 0, end = start + length;

    for (; start < end && start % 8 != 0; start++)
        count += bit_of(bits, start);
    for (; start + 8 <= end; start += 8)
        count += (unsigned)__builtin_popcount(bits[start / 8]);
    for (; start < end; start++)
        count += bit_of(bits, start);
    return count;
}

/* So that the first lands in the lowest bit; what is behind the last is 0. */
static void
copy_bits(unsigned char *to, const unsigned char *bits, size_t start,
          size_t length)
{
    size_t size = (length + 7) / 8;

    if (start % 8 == 0) {
        memcpy(to, bits + start / 8, size);
    } else {
        memset(to, 0, size);
        for (size_t i = 0; i < length; i++)
            to[i / 8] |= (unsigned char)(bit_of(bits, start + i) << (i % 8));
    }
    if (length % 8 != 0)
        to[size - 1] &= (unsigned char)((1U << (length % 8)) - 1);
}

static int
put_bits(struct pack *pack, struct dora__arrow_packed *field, unsigned index,
         const unsigned char *bits, size_t start, size_t length)
{
    unsigned char *to;
    int r;

    if (length > 0 && bits == NULL)
        return contradiction(pack, "a buffer is missing");
    r = take_buffer(pack, field, index, (length + 7) / 8, &to);
    if (r == 0 && to != NULL && length > 0)
        copy_bits(to, bits, start, length);
    return r;
}

/* --- one field ----------------------------------------------------------- */

/* Items [start, start + length) of the buffers, whatever their offset was. */
struct window {
    const struct ArrowSchema *schema;
    const struct ArrowArray *array;
    size_t start, length;
};

static const void *
buffer_of(const struct window *in, unsigned index)
{
    return in->array->n_buffers > index ? in->array->buffers[index] : NULL;
}

static int
put_validity(struct pack *pack, struct dora__arrow_packed *field,
             const struct window *in)
{
    const unsigned char *bits = buffer_of(in, 0);
    size_t there;

    if (bits == NULL || in->array->null_count == 0)
        return 0;
    there = count_bits(bits, in->start, in->length);
    if (there == in->length)
        return 0;
    field->null_count = (int64_t)(in->length - there);
    return put_bits(pack, field, 0, bits, in->start, in->length);
}

static int64_t
place(const void *places, size_t width, size_t index)
{
    return width == 4 ? ((const int32_t *)places)[index]
                      : ((const int64_t *)places)[index];
}

/* Places [start, start + length] of a list or text, counted from the first.
 * False: they run backwards. */
static bool
copy_places(unsigned char *to, const void *places, size_t width, size_t start,
            size_t length)
{
    int64_t first = place(places, width, start), last = 0;

    for (size_t i = 0; i <= length; i++) {
        int64_t at = place(places, width, start + i) - first;

        if (at < last)
            return false;
        last = at;
        if (width == 4)
            ((int32_t *)(void *)to)[i] = (int32_t)at;
        else
            ((int64_t *)(void *)to)[i] = at;
    }
    return true;
}

/* What they point to is *ret_to behind *ret_from. */
static int
put_places(struct pack *pack, struct dora__arrow_packed *field,
           const struct window *in, size_t width, size_t *ret_from,
           size_t *ret_to)
{
    static const int64_t none[1];
    const void *places = in->length > 0 ? buffer_of(in, 1) : none;
    size_t start = in->length > 0 ? in->start : 0;
    int64_t from, to;
    unsigned char *out;
    int r = take_buffer(pack, field, 1, (in->length + 1) * width, &out);

    if (r < 0)
        return r;
    if (places == NULL)
        return contradiction(pack, "a buffer is missing");
    from = place(places, width, start);
    to = place(places, width, start + in->length);
    if (from < 0 || to < from ||
        (out != NULL && !copy_places(out, places, width, start, in->length)))
        return contradiction(pack, "places run backwards");
    *ret_from = (size_t)from;
    *ret_to = (size_t)to;
    return 0;
}

/* Its buffers; *ret_from and *ret_length: which items of the children go with
 * them. */
static int
put_buffers(struct pack *pack, struct dora__arrow_packed *field,
            const struct window *in, const struct dora__arrow_layout *layout,
            size_t *ret_from, size_t *ret_length)
{
    size_t from = in->start, to = in->start + in->length, width = layout->width;
    int r = layout->buffers > 0 ? put_validity(pack, field, in) : 0;

    if (r < 0)
        return r;
    switch (layout->kind) {
    case DORA__ARROW_NULL:
        field->null_count = field->length;
        break;
    case DORA__ARROW_BITS:
        r = put_bits(pack, field, 1, buffer_of(in, 1), in->start, in->length);
        break;
    case DORA__ARROW_FIXED: {
        const unsigned char *bytes = buffer_of(in, 1);

        if (width > 0 && in->length > SIZE_MAX / 4 / width)
            return contradiction(pack, "the length is no length");
        r = put_bytes(pack, field, 1,
                      bytes == NULL ? NULL : bytes + from * width,
                      in->length * width);
        break;
    }
    case DORA__ARROW_TEXT32:
    case DORA__ARROW_TEXT64: {
        const unsigned char *bytes = buffer_of(in, 2);

        r = put_places(pack, field, in, width, &from, &to);
        if (r == 0)
            r = put_bytes(pack, field, 2, bytes == NULL ? NULL : bytes + from,
                          to - from);
        break;
    }
    case DORA__ARROW_LIST32:
    case DORA__ARROW_LIST64:
        r = put_places(pack, field, in, width, &from, &to);
        break;
    case DORA__ARROW_LIST_FIXED:
        from *= width;
        to *= width;
        break;
    case DORA__ARROW_STRUCT:
        break;
    }
    *ret_from = from;
    *ret_length = to - from;
    return r;
}

size_t
dora__arrow_metadata_size(const char *metadata, size_t room)
{
    size_t at = sizeof(int32_t);
    int32_t count, size;

    if (room < sizeof count)
        return 0;
    memcpy(&count, metadata, sizeof count);
    for (int64_t i = 0; i < 2 * (int64_t)count; i++) {
        if (room - at < sizeof size)
            return 0;
        memcpy(&size, metadata + at, sizeof size);
        at += sizeof size;
        if (size < 0 || room - at < (size_t)size)
            return 0;
        at += (size_t)size;
    }
    return at;
}

static int
put_words(struct pack *pack, struct dora__arrow_packed *field,
          const struct ArrowSchema *schema)
{
    const char *name = schema->name != NULL ? schema->name : "";
    size_t format = strlen(schema->format) + 1, names = strlen(name) + 1;
    size_t extra = schema->metadata == NULL
                       ? 0
                       : dora__arrow_metadata_size(schema->metadata, SIZE_MAX);
    size_t padded = (sizeof *field + format + names + extra + 7) & ~(size_t)7;
    unsigned char *to;
    int r;

    if (padded > UINT32_MAX)
        return contradiction(pack, "the names are no names");
    r = take(pack, &pack->tree, pack->tree_end, 8, padded, &to);
    if (r < 0 || to == NULL)
        return r;
    field->format_size = (uint32_t)format;
    field->name_size = (uint32_t)names;
    field->metadata_size = (uint32_t)extra;
    memset(to, 0, padded);
    memcpy(to, field, sizeof *field);
    to += sizeof *field;
    memcpy(to, schema->format, format);
    memcpy(to + format, name, names);
    if (extra > 0)
        memcpy(to + format + names, schema->metadata, extra);
    return 0;
}

static int put_field(struct pack *pack, const struct ArrowSchema *schema,
                     const struct ArrowArray *array, size_t start,
                     size_t length);

static int
put_children(struct pack *pack, const struct window *in, size_t from,
             size_t length)
{
    int r = 0;

    for (int64_t i = 0; r == 0 && i < in->schema->n_children; i++)
        r = put_field(pack, in->schema->children[i], in->array->children[i],
                      from, length);
    return r;
}

static int
check_children(struct pack *pack, const struct window *in,
               const struct dora__arrow_layout *layout)
{
    int64_t count = in->schema->n_children;
    bool list = layout->kind == DORA__ARROW_LIST32 ||
                layout->kind == DORA__ARROW_LIST64 ||
                layout->kind == DORA__ARROW_LIST_FIXED;

    if (count != in->array->n_children || (list && count != 1) ||
        (!list && layout->kind != DORA__ARROW_STRUCT && count != 0) ||
        count > INT32_MAX ||
        (in->schema->dictionary == NULL) != (in->array->dictionary == NULL))
        return contradiction(pack, "the number of children is not that of its "
                                   "type");
    return 0;
}

static int
put_window(struct pack *pack, const struct window *in)
{
    struct dora__arrow_layout layout;
    struct dora__arrow_packed field = {
        .length = (int64_t)in->length,
        .flags = in->schema->flags,
        .child_count = (uint32_t)in->schema->n_children,
        .has_dictionary = in->schema->dictionary != NULL,
    };
    size_t from = 0, length = 0;
    int r = dora__arrow_layout(in->schema->format, &layout);

    if (r < 0)
        return dora__fail(pack->err, ENOTSUP,
                          "invalid data type: an Arrow array of format '%s'; "
                          "cast it to another, or send its bytes",
                          in->schema->format);
    r = check_children(pack, in, &layout);
    if (r == 0)
        r = put_buffers(pack, &field, in, &layout, &from, &length);
    if (r == 0)
        r = put_words(pack, &field, in->schema);
    if (r == 0)
        r = put_children(pack, in, from, length);
    if (r == 0 && in->schema->dictionary != NULL)
        r = put_field(pack, in->schema->dictionary, in->array->dictionary, 0,
                      (size_t)in->array->dictionary->length);
    return r;
}

/* Items [start, start + length) of an array, counted from its own offset. */
static int
put_field(struct pack *pack, const struct ArrowSchema *schema,
          const struct ArrowArray *array, size_t start, size_t length)
{
    struct window in = {schema, array, start + (size_t)array->offset, length};
    int r;

    if (array->offset < 0 || array->length < 0 ||
        start + length > (size_t)array->length)
        return contradiction(pack, "the length is not that of its parent");
    if (++pack->depth > DORA__ARROW_DEPTH)
        return dora__fail(pack->err, EMSGSIZE,
                          "invalid data: an Arrow array of more than %d "
                          "levels",
                          DORA__ARROW_DEPTH);
    pack->fields++;
    r = put_window(pack, &in);
    pack->depth--;
    return r;
}

/* --- whole --------------------------------------------------------------- */

int
dora__arrow_measure(const struct ArrowSchema *schema,
                    const struct ArrowArray *array,
                    struct dora__arrow_size *ret_size, struct dora_error *err)
{
    struct pack pack = {.err = err};
    int r = put_field(&pack, schema, array, 0, (size_t)array->length);

    if (r < 0)
        return r;
    ret_size->buffers = (pack.buffers + 7) & ~(size_t)7;
    ret_size->tree = ret_size->buffers + pack.tree;
    ret_size->whole = ret_size->tree + sizeof(struct dora__arrow_trailer);
    return 0;
}

int
dora__arrow_pack(const struct ArrowSchema *schema,
                 const struct ArrowArray *array,
                 const struct dora__arrow_size *size, void *block,
                 struct dora_error *err)
{
    struct pack pack = {
        .block = block,
        .buffers_end = size->buffers,
        .tree = size->buffers,
        .tree_end = size->tree,
        .err = err,
    };
    struct dora__arrow_trailer trailer = {.tree_at = size->buffers};
    int r = put_field(&pack, schema, array, 0, (size_t)array->length);

    if (r < 0)
        return r;
    trailer.field_count = pack.fields;
    memcpy((unsigned char *)block + size->tree, &trailer, sizeof trailer);
    return 0;
}
