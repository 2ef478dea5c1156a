/* arrow.h - Arrow arrays as messages: from the C data interface of whoever made
 * them into one block, and back without a copy.
 *
 * A block holds the buffers, each 64-byte aligned, of exactly the items that
 * were given - no offsets, no nulls counted where there are none - then the
 * tree of fields that says what they are, then the trailer. Blocks are made and
 * read on one machine, in its byte order. */
#ifndef DORA_ARROW_H
#define DORA_ARROW_H

#include "base.h"

/* The two structures of the interface, as published for everybody to declare:
 * an ABI, not a library. */
#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_NULLABLE 2

struct ArrowSchema {
    const char *format;
    const char *name;
    const char *metadata;
    int64_t flags;
    int64_t n_children;
    struct ArrowSchema **children;
    struct ArrowSchema *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length;
    int64_t null_count;
    int64_t offset;
    int64_t n_buffers;
    int64_t n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

#endif

/* --- arrow_layout.c: what a format lays out ------------------------------ */

enum dora__arrow_kind {
    DORA__ARROW_NULL,       /* no buffers */
    DORA__ARROW_BITS,       /* validity, bits */
    DORA__ARROW_FIXED,      /* validity, items of `width` bytes */
    DORA__ARROW_TEXT32,     /* validity, places, bytes: of 32 bits, */
    DORA__ARROW_TEXT64,     /* of 64 */
    DORA__ARROW_LIST32,     /* validity, places; one child */
    DORA__ARROW_LIST64,     /* */
    DORA__ARROW_LIST_FIXED, /* validity; one child, `width` items each */
    DORA__ARROW_STRUCT,     /* validity; children */
};

enum {
    DORA__ARROW_BUFFERS = 3, /* at most, of one field */
    DORA__ARROW_DEPTH = 64,  /* of fields in fields */
};

struct dora__arrow_layout {
    enum dora__arrow_kind kind;
    size_t width;
    unsigned buffers;
};
/* 0; -ENOTSUP: unions, views, run-ends, and what is no format. */
DORA_MUST_CHECK
int dora__arrow_layout(const char *format,
                       struct dora__arrow_layout *ret_layout);

/* --- arrow_pack.c: into a block ------------------------------------------ */

struct dora__arrow_size {
    size_t buffers, tree; /* where each ends */
    size_t whole;
};
/* -ENOTSUP, -EINVAL (the array contradicts itself), -EMSGSIZE. */
DORA_MUST_CHECK
int dora__arrow_measure(const struct ArrowSchema *schema,
                        const struct ArrowArray *array,
                        struct dora__arrow_size *ret_size,
                        struct dora_error *err);
/* Into `size->whole` bytes, 64-byte aligned, as measured before. As above;
 * -EINVAL also when the array has changed since. */
DORA_MUST_CHECK
int dora__arrow_pack(const struct ArrowSchema *schema,
                     const struct ArrowArray *array,
                     const struct dora__arrow_size *size, void *block,
                     struct dora_error *err);

/* Whether it is bytes, none of them null: sent as they are, from
 * dora__arrow_bytes on. */
static inline bool
dora__arrow_is_bytes(const struct ArrowSchema *schema,
                     const struct ArrowArray *array)
{
    return schema->format[0] == 'C' && schema->format[1] == '\0' &&
           schema->dictionary == NULL && array->n_buffers == 2 &&
           (array->null_count == 0 || array->buffers[0] == NULL);
}

static inline const unsigned char *
dora__arrow_bytes(const struct ArrowArray *array)
{
    return array->buffers[1] == NULL
               ? NULL
               : (const unsigned char *)array->buffers[1] + array->offset;
}

/* --- arrow_unpack.c: out of one ------------------------------------------ */

/* Part of a block; lives as long as the dora__arrow. Every buffer is as large
 * as `length` asks, and the places of a list or text run forwards in what they
 * point to. Numbers into a dictionary are the maker's. */
struct dora__arrow_field {
    const char *format, *name;
    const char *metadata; /* NULL: none */
    struct dora__arrow_layout layout;
    int64_t length, null_count, flags;
    const void *buffers[DORA__ARROW_BUFFERS]; /* [0] is NULL without nulls */
    size_t sizes[DORA__ARROW_BUFFERS];
    struct dora__arrow_field *children; /* the first, */
    struct dora__arrow_field *next;     /* and the one after this */
    struct dora__arrow_field *dictionary;
    size_t child_count;
};

struct dora__arrow;

/* Reads the tree of a block. With the last reference to the result `release` is
 * called with `owner`, from any thread; not when this fails. -EBADMSG,
 * -ENOMEM. */
DORA_MUST_CHECK
int dora__arrow_open(const void *block, size_t size, void *owner,
                     void (*release)(void *owner),
                     struct dora__arrow **ret_arrow);
struct dora__arrow *dora__arrow_ref(struct dora__arrow *arrow);
void dora__arrow_unref(struct dora__arrow *arrow);
const struct dora__arrow_field *
dora__arrow_root(const struct dora__arrow *arrow);
/* Whether the item is there. */
bool dora__arrow_valid(const struct dora__arrow_field *field, int64_t index);
/* Items [*ret_from, *ret_to) of what the list or text `index` points to. */
void dora__arrow_places(const struct dora__arrow_field *field, int64_t index,
                        int64_t *ret_from, int64_t *ret_to);

/* The field, or items [start, start + length) of it, for others: each holds
 * references of its own. 0 or -ENOMEM. */
DORA_MUST_CHECK
int dora__arrow_export_schema(struct dora__arrow *arrow,
                              const struct dora__arrow_field *field,
                              struct ArrowSchema *ret_schema);
DORA_MUST_CHECK
int dora__arrow_export_array(struct dora__arrow *arrow,
                             const struct dora__arrow_field *field,
                             int64_t start, int64_t length,
                             struct ArrowArray *ret_array);

/* --- both: how the tree is written --------------------------------------- */

/* A field, in pre-order; `format`, `name` (both with their NUL) and `metadata`
 * follow, then zeros up to a multiple of 8, then the children and the
 * dictionary. */
struct dora__arrow_packed {
    int64_t length, null_count, flags;
    uint32_t format_size, name_size, metadata_size;
    uint32_t child_count, has_dictionary, reserved;
    struct {
        uint64_t at, size; /* in the block; size 0 at 0: none */
    } buffers[DORA__ARROW_BUFFERS];
};

/* Bytes of a schema's metadata, key-value pairs behind their count, if they end
 * within `room`; 0: they do not, or are none. */
size_t dora__arrow_metadata_size(const char *metadata, size_t room);

struct dora__arrow_trailer {
    uint64_t tree_at;
    uint64_t field_count;
};

#endif
