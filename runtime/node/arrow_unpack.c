/* arrow_unpack.c - a block as an Arrow array again: in place, read-only.
 *
 * The tree is read once, into fields of our own, and what it says is held
 * against the size of the block: whoever reads items by a field stays inside,
 * whatever the block says. Whoever gets one by the C data interface may move
 * children out of their parent and release them by themselves and on any
 * thread: each array and schema has a reference of its own. */
#include "arrow.h"

#include <stdatomic.h>
#include <string.h>

struct dora__arrow {
    atomic_uint refs;
    void *owner;
    void (*release)(void *owner);
    size_t field_count;
    struct dora__arrow_field fields[]; /* the root first */
};

struct dora__arrow *
dora__arrow_ref(struct dora__arrow *arrow)
{
    atomic_fetch_add_explicit(&arrow->refs, 1, memory_order_relaxed);
    return arrow;
}

void
dora__arrow_unref(struct dora__arrow *arrow)
{
    /* Release and acquire: who frees it sees all that others did with it. */
    if (arrow == NULL ||
        atomic_fetch_sub_explicit(&arrow->refs, 1, memory_order_acq_rel) != 1)
        return;
    arrow->release(arrow->owner);
    free(arrow);
}

const struct dora__arrow_field *
dora__arrow_root(const struct dora__arrow *arrow)
{
    return &arrow->fields[0];
}

/* --- items --------------------------------------------------------------- */

bool
dora__arrow_valid(const struct dora__arrow_field *field, int64_t index)
{
    const unsigned char *bits = field->buffers[0];

    if (field->layout.kind == DORA__ARROW_NULL)
        return false;
    return bits == NULL || (bits[index / 8] >> (index % 8) & 1) != 0;
}

static int64_t
place(const struct dora__arrow_field *field, int64_t index)
{
    return field->layout.width == 4
               ? ((const int32_t *)field->buffers[1])[index]
               : ((const int64_t *)field->buffers[1])[index];
}

void
dora__arrow_places(const struct dora__arrow_field *field, int64_t index,
                   int64_t *ret_from, int64_t *ret_to)
{
    if (field->layout.kind == DORA__ARROW_LIST_FIXED) {
        *ret_from = index * (int64_t)field->layout.width;
        *ret_to = *ret_from + (int64_t)field->layout.width;
    } else {
        *ret_from = place(field, index);
        *ret_to = place(field, index + 1);
    }
}

/* --- reading ------------------------------------------------------------- */

struct reader {
    const unsigned char *block;
    size_t at, end;   /* of the tree */
    size_t data_size; /* of the buffers before it */
    struct dora__arrow *arrow;
    size_t used, depth;
};

static bool
read_words(struct reader *in, const struct dora__arrow_packed *packed,
           struct dora__arrow_field *field)
{
    const char *words = (const char *)in->block + in->at + sizeof *packed;
    uint64_t size = (uint64_t)packed->format_size + packed->name_size +
                    packed->metadata_size;

    if (size > in->end - in->at - sizeof *packed || packed->format_size == 0 ||
        packed->name_size == 0 || words[packed->format_size - 1] != '\0' ||
        words[packed->format_size + packed->name_size - 1] != '\0')
        return false;
    field->format = words;
    field->name = words + packed->format_size;
    field->metadata =
        packed->metadata_size > 0 ? field->name + packed->name_size : NULL;
    if (dora__arrow_metadata_size(field->metadata, packed->metadata_size) !=
        packed->metadata_size)
        return false;
    in->at += (sizeof *packed + size + 7) & ~(size_t)7;
    return in->at <= in->end;
}

static bool
read_buffers(const struct reader *in, const struct dora__arrow_packed *packed,
             struct dora__arrow_field *field)
{
    for (unsigned i = 0; i < DORA__ARROW_BUFFERS; i++) {
        uint64_t at = packed->buffers[i].at, size = packed->buffers[i].size;

        if (at % 64 != 0 || at > in->data_size || size > in->data_size - at)
            return false;
        field->sizes[i] = size;
        field->buffers[i] = i == 0 && size == 0 ? NULL : in->block + at;
    }
    return true;
}

/* Items, or bytes, that places may lie between. */
static int64_t
room(const struct dora__arrow_field *field)
{
    return field->children != NULL ? field->children->length
                                   : (int64_t)field->sizes[2];
}

/* Without a branch, so that it goes at the speed of memory. */
static bool
places_are_good(const struct dora__arrow_field *field)
{
    int64_t length = field->length;
    bool good = place(field, 0) >= 0 && place(field, length) <= room(field);

    if (field->layout.width == 4) {
        const int32_t *places = field->buffers[1];

        for (int64_t i = 0; i < length; i++)
            good &= places[i] <= places[i + 1];
    } else {
        const int64_t *places = field->buffers[1];

        for (int64_t i = 0; i < length; i++)
            good &= places[i] <= places[i + 1];
    }
    return good;
}

/* Whether there is as much of everything as `length` needs. */
static bool
is_whole(const struct dora__arrow_field *field)
{
    uint64_t length = (uint64_t)field->length, width = field->layout.width;
    const struct dora__arrow_field *child = field->children;

    if (field->buffers[0] != NULL && field->sizes[0] < (length + 7) / 8)
        return false;
    switch (field->layout.kind) {
    case DORA__ARROW_NULL:
        return true;
    case DORA__ARROW_BITS:
        return field->sizes[1] >= (length + 7) / 8;
    case DORA__ARROW_FIXED:
        return width == 0 || field->sizes[1] / width >= length;
    case DORA__ARROW_LIST_FIXED:
        return child != NULL &&
               (width == 0 || (uint64_t)child->length / width >= length);
    case DORA__ARROW_STRUCT:
        for (; child != NULL; child = child->next)
            if (child->length < field->length)
                return false;
        return true;
    default:
        break;
    }
    return field->sizes[1] / width >= length + 1 &&
           (field->layout.buffers != 2 || child != NULL) &&
           places_are_good(field);
}

static struct dora__arrow_field *read_field(struct reader *in);

static bool
read_children(struct reader *in, const struct dora__arrow_packed *packed,
              struct dora__arrow_field *field)
{
    struct dora__arrow_field **place_of_next = &field->children;

    for (uint32_t i = 0; i < packed->child_count; i++) {
        *place_of_next = read_field(in);
        if (*place_of_next == NULL)
            return false;
        place_of_next = &(*place_of_next)->next;
    }
    field->child_count = packed->child_count;
    if (packed->has_dictionary == 0)
        return true;
    field->dictionary = read_field(in);
    return field->dictionary != NULL;
}

/* NULL: the block is not in the format. */
static struct dora__arrow_field *
read_field(struct reader *in)
{
    struct dora__arrow_packed packed;
    struct dora__arrow_field *field;
    bool good;

    if (in->used == in->arrow->field_count || in->depth == DORA__ARROW_DEPTH ||
        in->end - in->at < sizeof packed)
        return NULL;
    memcpy(&packed, in->block + in->at, sizeof packed);
    field = &in->arrow->fields[in->used++];
    field->length = packed.length;
    field->null_count = packed.null_count;
    field->flags = packed.flags;
    in->depth++;
    good = packed.length >= 0 && packed.length <= INT64_MAX / 16 &&
           read_words(in, &packed, field) &&
           dora__arrow_layout(field->format, &field->layout) == 0 &&
           read_buffers(in, &packed, field) &&
           read_children(in, &packed, field) && is_whole(field);
    in->depth--;
    return good ? field : NULL;
}

int
dora__arrow_open(const void *block, size_t size, void *owner,
                 void (*release)(void *owner), struct dora__arrow **ret_arrow)
{
    struct dora__arrow_trailer trailer;
    struct reader in = {.block = block};

    if (size < sizeof trailer)
        return -EBADMSG;
    in.end = size - sizeof trailer;
    memcpy(&trailer, in.block + in.end, sizeof trailer);
    if (trailer.tree_at > in.end || trailer.tree_at % 8 != 0 ||
        trailer.field_count >
            (in.end - trailer.tree_at) / sizeof(struct dora__arrow_packed))
        return -EBADMSG;
    in.at = in.data_size = trailer.tree_at;
    in.arrow = calloc(1, sizeof(*in.arrow) +
                             trailer.field_count * sizeof(*in.arrow->fields));
    if (in.arrow == NULL)
        return -ENOMEM;
    in.arrow->field_count = trailer.field_count;
    if (read_field(&in) == NULL) {
        free(in.arrow);
        return -EBADMSG;
    }
    atomic_init(&in.arrow->refs, 1);
    in.arrow->owner = owner;
    in.arrow->release = release;
    *ret_arrow = in.arrow;
    return 0;
}

/* --- for others ---------------------------------------------------------- */

/* Behind an exported schema; `pointers` are to `children`, the dictionary's
 * after them. */
struct schema_parts {
    struct dora__arrow *arrow;
    struct ArrowSchema **pointers;
    struct ArrowSchema children[];
};

static void
release_schema(struct ArrowSchema *schema)
{
    struct schema_parts *parts = schema->private_data;

    for (int64_t i = 0; i < schema->n_children; i++)
        if (schema->children[i]->release != NULL)
            schema->children[i]->release(schema->children[i]);
    if (schema->dictionary != NULL && schema->dictionary->release != NULL)
        schema->dictionary->release(schema->dictionary);
    dora__arrow_unref(parts->arrow);
    free(parts->pointers);
    free(parts);
    schema->release = NULL;
}

static struct schema_parts *
new_schema_parts(struct dora__arrow *arrow,
                 const struct dora__arrow_field *field)
{
    size_t count = field->child_count + (field->dictionary != NULL);
    struct schema_parts *parts =
        calloc(1, sizeof(*parts) + count * sizeof(*parts->children));

    if (parts == NULL)
        return NULL;
    parts->pointers = calloc(count + 1, sizeof(struct ArrowSchema *));
    if (parts->pointers == NULL) {
        free(parts);
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        parts->pointers[i] = &parts->children[i];
    parts->arrow = dora__arrow_ref(arrow);
    return parts;
}

int
dora__arrow_export_schema(struct dora__arrow *arrow,
                          const struct dora__arrow_field *field,
                          struct ArrowSchema *schema)
{
    struct schema_parts *parts = new_schema_parts(arrow, field);
    const struct dora__arrow_field *child = field->children;
    int r = 0;

    if (parts == NULL)
        return -ENOMEM;
    *schema = (struct ArrowSchema){
        .format = field->format,
        .name = field->name,
        .metadata = field->metadata,
        .flags = field->flags,
        .n_children = (int64_t)field->child_count,
        .children = parts->pointers,
        .dictionary = field->dictionary != NULL
                          ? &parts->children[field->child_count]
                          : NULL,
        .release = release_schema,
        .private_data = parts,
    };
    for (size_t i = 0; r == 0 && child != NULL; i++, child = child->next)
        r = dora__arrow_export_schema(arrow, child, &parts->children[i]);
    if (r == 0 && field->dictionary != NULL)
        r = dora__arrow_export_schema(arrow, field->dictionary,
                                      schema->dictionary);
    if (r < 0)
        schema->release(schema);
    return r;
}

struct array_parts {
    struct dora__arrow *arrow;
    struct ArrowArray **pointers;
    const void *buffers[DORA__ARROW_BUFFERS];
    struct ArrowArray children[];
};

static void
release_array(struct ArrowArray *array)
{
    struct array_parts *parts = array->private_data;

    for (int64_t i = 0; i < array->n_children; i++)
        if (array->children[i]->release != NULL)
            array->children[i]->release(array->children[i]);
    if (array->dictionary != NULL && array->dictionary->release != NULL)
        array->dictionary->release(array->dictionary);
    dora__arrow_unref(parts->arrow);
    free(parts->pointers);
    free(parts);
    array->release = NULL;
}

static struct array_parts *
new_array_parts(struct dora__arrow *arrow,
                const struct dora__arrow_field *field)
{
    size_t count = field->child_count + (field->dictionary != NULL);
    struct array_parts *parts =
        calloc(1, sizeof(*parts) + count * sizeof(*parts->children));

    if (parts == NULL)
        return NULL;
    parts->pointers = calloc(count + 1, sizeof(struct ArrowArray *));
    if (parts->pointers == NULL) {
        free(parts);
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        parts->pointers[i] = &parts->children[i];
    memcpy(parts->buffers, field->buffers, sizeof parts->buffers);
    parts->arrow = dora__arrow_ref(arrow);
    return parts;
}

/* -1: to be counted by who wants to know. */
static int64_t
nulls_of(const struct dora__arrow_field *field, int64_t length)
{
    if (field->layout.kind == DORA__ARROW_NULL)
        return length;
    if (field->buffers[0] == NULL)
        return 0;
    return length == field->length ? field->null_count : -1;
}

int
dora__arrow_export_array(struct dora__arrow *arrow,
                         const struct dora__arrow_field *field, int64_t start,
                         int64_t length, struct ArrowArray *array)
{
    struct array_parts *parts = new_array_parts(arrow, field);
    const struct dora__arrow_field *child = field->children;
    int r = 0;

    if (parts == NULL)
        return -ENOMEM;
    *array = (struct ArrowArray){
        .length = length,
        .null_count = nulls_of(field, length),
        .offset = start,
        .n_buffers = field->layout.buffers,
        .n_children = (int64_t)field->child_count,
        .buffers = parts->buffers,
        .children = parts->pointers,
        .dictionary = field->dictionary != NULL
                          ? &parts->children[field->child_count]
                          : NULL,
        .release = release_array,
        .private_data = parts,
    };
    for (size_t i = 0; r == 0 && child != NULL; i++, child = child->next)
        r = dora__arrow_export_array(arrow, child, 0, child->length,
                                     &parts->children[i]);
    if (r == 0 && field->dictionary != NULL)
        r = dora__arrow_export_array(arrow, field->dictionary, 0,
                                     field->dictionary->length,
                                     array->dictionary);
    if (r < 0)
        array->release(array);
    return r;
}
