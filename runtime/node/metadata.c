/* metadata.c - typed pairs in one block of bytes.
 *
 * A block is a sequence of pairs and nothing else. A pair is a head of twelve
 * bytes, the key's bytes, the value's bytes; nothing is aligned, numbers are in
 * the machine's order (a block never leaves the machine):
 *
 *     u32 key size | u32 value size | u8 type, 3 x 0 | key | value
 *
 *     BOOL        u8, 0 or 1            *_LIST        the elements, one by one
 *     INT, TIME   i64                   STRING_LIST   u32 count, u32 missing,
 *     FLOAT       f64                                 then each u32 size, text
 *     STRING      the text
 *
 * `missing` is the number of strings that the list still waits for: 0 in a
 * block that may be sent. Appending changes `size` last, so a failure leaves
 * the block as it was. A reader believes no number before it has compared it
 * with the bytes that are left. */
#include "metadata.h"

#include <string.h>

struct head {
    uint32_t key_size, value_size;
    uint8_t type;
    uint8_t zero[3];
};
_Static_assert(sizeof(struct head) == 12, "format of a block");

struct list_head {
    uint32_t count, missing;
};

/* --- writing ------------------------------------------------------------- */

/* Room for `more` bytes, or why not. */
static int
grow(struct dora_metadata *m, size_t more)
{
    size_t capacity = m->capacity ? m->capacity : 256;
    unsigned char *bytes;

    if (more > DORA__MAX_METADATA - m->size)
        return -E2BIG;
    while (capacity < m->size + more)
        capacity *= 2;
    if (capacity == m->capacity)
        return 0;
    bytes = realloc(m->bytes, capacity);
    if (!bytes)
        return -ENOMEM;
    m->bytes = bytes;
    m->capacity = capacity;
    return 0;
}

/* memcpy for which no bytes may be nowhere. */
static unsigned char *
put(unsigned char *to, const void *from, size_t size)
{
    if (size)
        memcpy(to, from, size);
    return to + size;
}

static int
append(struct dora_metadata *m, const char *key, size_t key_size,
       enum dora_meta_type type, const void *value, size_t value_size)
{
    struct head head = {.type = (uint8_t)type};
    unsigned char *to;
    int r;

    if (key_size > DORA__MAX_METADATA || value_size > DORA__MAX_METADATA)
        return -E2BIG;
    r = grow(m, sizeof head + key_size + value_size);
    if (r < 0)
        return r;
    head.key_size = (uint32_t)key_size;
    head.value_size = (uint32_t)value_size;
    to = put(m->bytes + m->size, &head, sizeof head);
    to = put(to, key, key_size);
    to = put(to, value, value_size);
    m->size = (size_t)(to - m->bytes);
    return 0;
}

int
dora_metadata_bool(struct dora_metadata *m, const char *key, size_t key_size,
                   bool value)
{
    uint8_t byte = value;

    return append(m, key, key_size, DORA_META_BOOL, &byte, sizeof byte);
}

int
dora_metadata_int(struct dora_metadata *m, const char *key, size_t key_size,
                  int64_t value)
{
    return append(m, key, key_size, DORA_META_INT, &value, sizeof value);
}

int
dora_metadata_float(struct dora_metadata *m, const char *key, size_t key_size,
                    double value)
{
    return append(m, key, key_size, DORA_META_FLOAT, &value, sizeof value);
}

int
dora_metadata_string(struct dora_metadata *m, const char *key, size_t key_size,
                     const char *text, size_t text_size)
{
    return append(m, key, key_size, DORA_META_STRING, text, text_size);
}

int
dora_metadata_time(struct dora_metadata *m, const char *key, size_t key_size,
                   int64_t microseconds)
{
    return append(m, key, key_size, DORA_META_TIME, &microseconds,
                  sizeof microseconds);
}

int
dora_metadata_bool_list(struct dora_metadata *m, const char *key,
                        size_t key_size, const uint8_t *values, size_t count)
{
    int r = append(m, key, key_size, DORA_META_BOOL_LIST, values, count);

    if (r == 0)
        for (size_t i = m->size - count; i < m->size; i++)
            m->bytes[i] = m->bytes[i] != 0;
    return r;
}

int
dora_metadata_int_list(struct dora_metadata *m, const char *key,
                       size_t key_size, const int64_t *values, size_t count)
{
    if (count > DORA__MAX_METADATA / sizeof *values)
        return -E2BIG;
    return append(m, key, key_size, DORA_META_INT_LIST, values,
                  count * sizeof *values);
}

int
dora_metadata_float_list(struct dora_metadata *m, const char *key,
                         size_t key_size, const double *values, size_t count)
{
    if (count > DORA__MAX_METADATA / sizeof *values)
        return -E2BIG;
    return append(m, key, key_size, DORA_META_FLOAT_LIST, values,
                  count * sizeof *values);
}

int
dora_metadata_string_list(struct dora_metadata *m, const char *key,
                          size_t key_size, size_t count)
{
    struct list_head list = {.count = (uint32_t)count,
                             .missing = (uint32_t)count};

    if (count > DORA__MAX_METADATA / sizeof(uint32_t))
        return -E2BIG;
    return append(m, key, key_size, DORA_META_STRING_LIST, &list, sizeof list);
}

/* Where the last pair begins; blocks written here need no doubt. */
static size_t
last_pair(const struct dora_metadata *m, struct head *ret_head)
{
    size_t at = 0, next = 0;

    while (next < m->size) {
        at = next;
        memcpy(ret_head, m->bytes + at, sizeof *ret_head);
        next += sizeof *ret_head + ret_head->key_size + ret_head->value_size;
    }
    return at;
}

int
dora_metadata_list_string(struct dora_metadata *m, const char *text,
                          size_t text_size)
{
    struct head head = {.type = 0};
    struct list_head list;
    uint32_t size = (uint32_t)text_size;
    size_t at = last_pair(m, &head);
    int r;

    if (head.type != DORA_META_STRING_LIST)
        return -EINVAL;
    memcpy(&list, m->bytes + at + sizeof head + head.key_size, sizeof list);
    if (!list.missing)
        return -EINVAL;
    if (text_size > DORA__MAX_METADATA)
        return -E2BIG;
    r = grow(m, sizeof size + text_size);
    if (r < 0)
        return r;
    list.missing--;
    head.value_size += (uint32_t)(sizeof size + text_size);
    memcpy(m->bytes + at, &head, sizeof head);
    memcpy(m->bytes + at + sizeof head + head.key_size, &list, sizeof list);
    put(put(m->bytes + m->size, &size, sizeof size), text, text_size);
    m->size += sizeof size + text_size;
    return 0;
}

void
dora_metadata_fini(struct dora_metadata *m)
{
    free(m->bytes);
    *m = (struct dora_metadata){.bytes = NULL};
}

/* --- reading ------------------------------------------------------------- */

static bool
read_bools(const unsigned char *bytes, size_t size)
{
    unsigned char all = 0;

    for (size_t i = 0; i < size; i++)
        all |= bytes[i];
    return all <= 1;
}

static bool
read_string_list(struct dora_meta_pair *pair)
{
    struct list_head list;
    const char *text;
    size_t at = 0, size;

    if (pair->values_size < sizeof list)
        return false;
    memcpy(&list, pair->values, sizeof list);
    pair->values = (const unsigned char *)pair->values + sizeof list;
    pair->values_size -= sizeof list;
    pair->count = list.count;
    if (list.missing)
        return false;
    for (uint32_t i = 0; i < list.count; i++)
        if (dora_metadata_next_string(pair->values, pair->values_size, &at,
                                      &text, &size) != 1)
            return false;
    return at == pair->values_size;
}

static bool
read_number(struct dora_meta_pair *pair)
{
    if (pair->values_size != sizeof pair->as.integer)
        return false;
    memcpy(&pair->as, pair->values, sizeof pair->as.integer);
    pair->values = NULL;
    pair->values_size = 0;
    return true;
}

/* Takes `values` and `values_size` as the value's bytes and makes of them what
 * the type says. */
static bool
read_value(struct dora_meta_pair *pair)
{
    const unsigned char *bytes = pair->values;

    switch (pair->type) {
    case DORA_META_BOOL:
        if (pair->values_size != 1 || !read_bools(bytes, 1))
            return false;
        pair->as.boolean = bytes[0];
        pair->values = NULL;
        pair->values_size = 0;
        return true;
    case DORA_META_INT:
    case DORA_META_FLOAT:
    case DORA_META_TIME:
        return read_number(pair);
    case DORA_META_STRING:
        pair->count = pair->values_size;
        return true;
    case DORA_META_BOOL_LIST:
        pair->count = pair->values_size;
        return read_bools(bytes, pair->values_size);
    case DORA_META_INT_LIST:
    case DORA_META_FLOAT_LIST:
        pair->count = pair->values_size / sizeof(int64_t);
        return pair->values_size % sizeof(int64_t) == 0;
    case DORA_META_STRING_LIST:
        return read_string_list(pair);
    }
    return false;
}

int
dora_metadata_next(const void *bytes, size_t size, size_t *at,
                   struct dora_meta_pair *ret_pair)
{
    const unsigned char *from = bytes;
    struct dora_meta_pair pair = {.key = NULL};
    struct head head;
    size_t left;

    if (*at == size)
        return 0;
    if (*at > size || size - *at < sizeof head)
        return -EBADMSG;
    memcpy(&head, from + *at, sizeof head);
    left = size - *at - sizeof head;
    if (head.key_size > left || head.value_size > left - head.key_size ||
        head.zero[0] || head.zero[1] || head.zero[2])
        return -EBADMSG;
    from += *at + sizeof head;
    pair.key = (const char *)from;
    pair.key_size = head.key_size;
    pair.type = (enum dora_meta_type)head.type;
    pair.values = from + head.key_size;
    pair.values_size = head.value_size;
    if (!read_value(&pair))
        return -EBADMSG;
    *at += sizeof head + head.key_size + head.value_size;
    *ret_pair = pair;
    return 1;
}

int
dora_metadata_next_string(const void *values, size_t values_size, size_t *at,
                          const char **ret_text, size_t *ret_size)
{
    const unsigned char *from = values;
    uint32_t size;

    if (*at == values_size)
        return 0;
    if (*at > values_size || values_size - *at < sizeof size)
        return -EBADMSG;
    memcpy(&size, from + *at, sizeof size);
    if (size > values_size - *at - sizeof size)
        return -EBADMSG;
    *ret_text = (const char *)from + *at + sizeof size;
    *ret_size = size;
    *at += sizeof size + size;
    return 1;
}

/* --- what queues want to know -------------------------------------------- */

/* Bytes of the character at `text`, or 0: not UTF-8. */
static size_t
character(const unsigned char *text, size_t size)
{
    unsigned char first = text[0];
    size_t length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    uint32_t low[] = {0, 0, 0x80, 0x800, 0x10000}, point = first;

    if (length == 1)
        return 1;
    if (first < 0xc0 || first > 0xf4 || length > size)
        return 0;
    point &= 0x7fu >> length;
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (text[i] & 0x3f);
    }
    if (point < low[length] || point > 0x10ffff ||
        (point >= 0xd800 && point < 0xe000))
        return 0;
    return length;
}

static bool
is_utf8(const char *text, size_t size)
{
    const unsigned char *at = (const unsigned char *)text;

    while (size) {
        size_t length = character(at, size);

        if (!length)
            return false;
        at += length;
        size -= length;
    }
    return true;
}

static bool
strings_are_utf8(const struct dora_meta_pair *pair)
{
    const char *text;
    size_t at = 0, size;

    while (dora_metadata_next_string(pair->values, pair->values_size, &at,
                                     &text, &size) == 1)
        if (!is_utf8(text, size))
            return false;
    return true;
}

static bool
has_key(const struct dora_meta_pair *pair, const char *key)
{
    return pair->key_size == strlen(key) &&
           memcmp(pair->key, key, pair->key_size) == 0;
}

static int
pair_flags(const struct dora_meta_pair *pair)
{
    if (has_key(pair, "request_id") || has_key(pair, "goal_id") ||
        has_key(pair, "goal_status"))
        return DORA__METADATA_PROTECTED;
    if (has_key(pair, "flush") && pair->type == DORA_META_BOOL &&
        pair->as.boolean)
        return DORA__METADATA_FLUSH;
    return 0;
}

int
dora__metadata_flags(const void *bytes, size_t size)
{
    struct dora_meta_pair pair;
    size_t at = 0;
    int flags = 0, r;

    if (size > DORA__MAX_METADATA)
        return -EBADMSG;
    while ((r = dora_metadata_next(bytes, size, &at, &pair)) == 1) {
        if (!is_utf8(pair.key, pair.key_size))
            return -EBADMSG;
        if (pair.type == DORA_META_STRING && !is_utf8(pair.values, pair.count))
            return -EBADMSG;
        if (pair.type == DORA_META_STRING_LIST && !strings_are_utf8(&pair))
            return -EBADMSG;
        flags |= pair_flags(&pair);
    }
    return r < 0 ? r : flags;
}
