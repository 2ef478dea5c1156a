/* fuzz_metadata.c - any bytes: refused, or read as pairs that can be written
 * again and give the same block. */
#include "node/metadata.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
write_strings(struct dora_metadata *to, const struct dora_meta_pair *pair)
{
    const char *text;
    size_t at = 0, size;
    int r =
        dora_metadata_string_list(to, pair->key, pair->key_size, pair->count);

    while (r == 0 && dora_metadata_next_string(pair->values, pair->values_size,
                                               &at, &text, &size) == 1)
        r = dora_metadata_list_string(to, text, size);
    return r;
}

/* A list's elements, aligned. */
static int
write_numbers(struct dora_metadata *to, const struct dora_meta_pair *pair)
{
    void *copy = malloc(pair->values_size + 1);
    int r;

    if (!copy)
        abort();
    if (pair->values_size)
        memcpy(copy, pair->values, pair->values_size);
    if (pair->type == DORA_META_INT_LIST)
        r = dora_metadata_int_list(to, pair->key, pair->key_size, copy,
                                   pair->count);
    else
        r = dora_metadata_float_list(to, pair->key, pair->key_size, copy,
                                     pair->count);
    free(copy);
    return r;
}

static int
write_pair(struct dora_metadata *to, const struct dora_meta_pair *pair)
{
    const char *key = pair->key;
    size_t size = pair->key_size;

    switch (pair->type) {
    case DORA_META_BOOL:
        return dora_metadata_bool(to, key, size, pair->as.boolean);
    case DORA_META_INT:
        return dora_metadata_int(to, key, size, pair->as.integer);
    case DORA_META_FLOAT:
        return dora_metadata_float(to, key, size, pair->as.number);
    case DORA_META_TIME:
        return dora_metadata_time(to, key, size, pair->as.integer);
    case DORA_META_STRING:
        return dora_metadata_string(to, key, size, pair->values, pair->count);
    case DORA_META_BOOL_LIST:
        return dora_metadata_bool_list(to, key, size, pair->values,
                                       pair->count);
    case DORA_META_INT_LIST:
    case DORA_META_FLOAT_LIST:
        return write_numbers(to, pair);
    case DORA_META_STRING_LIST:
        return write_strings(to, pair);
    }
    abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dora_metadata copy = {.bytes = NULL};
    struct dora_meta_pair pair;
    size_t at = 0;
    int flags = dora__metadata_flags(data, size), r;

    while ((r = dora_metadata_next(data, size, &at, &pair)) == 1)
        if (write_pair(&copy, &pair) < 0)
            abort();
    if (flags >= 0 && r != 0)
        abort();
    if (copy.size != at || (at && memcmp(copy.bytes, data, at) != 0))
        abort();
    dora_metadata_fini(&copy);
    return 0;
}
