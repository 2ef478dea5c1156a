/* document.c - libyaml's events to a tree of values.
 *
 * 1. The tree, with every alias written out, stays within the limits of
 *    document.h: a file of a few lines cannot unfold into gigabytes, nor nest
 *    deeper than a recursion can go. An alias shares the items of its anchor;
 *    what it weighs is counted as if it were a copy.
 * 2. Every complaint has the place of the text that is wrong.
 * 3. All of a tree lies in chunks that are freed together (chunks.h). What is
 *    being collected lies in arrays that free themselves when a step fails.
 * 4. Strings hold no NUL, so whoever reads them may use them as C strings. */
#include "document.h"

#include "chunks.h"
#include "yaml_error.h"

#include <string.h>
#include <yaml.h>

enum {
    EXPANDED_BYTES = 4 * DORA__MAX_DOCUMENT, /* of text, aliases written out */
};

struct weight {
    size_t values, bytes;
    unsigned height;
};

struct anchor {
    struct anchor *next;
    const char *name;
    struct dora__value value;
    struct weight weight;
};

struct loader {
    yaml_parser_t parser;
    struct dora__chunk *chunks;
    struct anchor *anchors; /* newest first: a later one hides an earlier */
    size_t anchor_count;
    struct weight total; /* of all that was read, aliases written out */
    const unsigned char *text;
    size_t size;
    struct dora__mark mark; /* of the error */
    struct dora_error *err;
};

/* Values of a list or map under construction. */
struct items {
    struct dora__value *values;
    size_t count, capacity;
};

#define AT(loader, place, ...) \
    ((loader)->mark = (place), dora__fail((loader)->err, EINVAL, __VA_ARGS__))

static void
free_items(struct items *items)
{
    free(items->values);
}

static struct dora__value *
add_item(struct items *items)
{
    if (items->count == items->capacity) {
        size_t capacity = items->capacity ? items->capacity * 2 : 8;
        struct dora__value *values =
            realloc(items->values, capacity * sizeof *values);

        if (values == NULL)
            return NULL;
        items->values = values;
        items->capacity = capacity;
    }
    items->values[items->count] = (struct dora__value){0};
    return &items->values[items->count++];
}

static int
next_event(struct loader *l, yaml_event_t *ret_event)
{
    if (yaml_parser_parse(&l->parser, ret_event))
        return 0;
    return dora__yaml_error(&l->parser, l->text, l->size, &l->mark, l->err);
}

static int
count(struct loader *l, struct dora__mark mark, struct weight more)
{
    l->total.values += more.values;
    l->total.bytes += more.bytes;
    if (l->total.values > DORA__MAX_VALUES)
        return AT(l, mark,
                  "more than %d values in the file, its aliases written out",
                  DORA__MAX_VALUES);
    if (l->total.bytes > EXPANDED_BYTES)
        return AT(l, mark,
                  "more than %d bytes in the file, its aliases written out",
                  EXPANDED_BYTES);
    return 0;
}

static int
refuse_tag(struct loader *l, const yaml_char_t *tag, struct dora__mark mark)
{
    if (tag == NULL)
        return 0;
    return AT(l, mark,
              "the tag `%.64s` is not supported: write the plain value",
              (const char *)tag);
}

/* Remembers a finished value under the name of its anchor, if it has one. */
static int
set_anchor(struct loader *l, const char *name, const struct dora__value *value,
           struct weight weight)
{
    struct anchor *anchor;

    if (name == NULL)
        return 0;
    if (++l->anchor_count > DORA__MAX_ANCHORS)
        return AT(l, value->mark, "more than %d anchors in the file",
                  DORA__MAX_ANCHORS);
    anchor = dora__chunks_take(&l->chunks, sizeof *anchor);
    if (anchor == NULL)
        return dora__fail(l->err, ENOMEM, "out of memory");
    *anchor = (struct anchor){l->anchors, name, *value, weight};
    l->anchors = anchor;
    return 0;
}

static int
load_alias(struct loader *l, const yaml_event_t *event, unsigned depth,
           struct dora__value *value, struct weight *ret_weight)
{
    const char *name = (const char *)event->data.alias.anchor;
    const struct anchor *anchor = l->anchors;

    while (anchor != NULL && strcmp(anchor->name, name) != 0)
        anchor = anchor->next;
    if (anchor == NULL)
        return AT(l, dora__yaml_place(event->start_mark),
                  "the alias `*%.64s` has no anchor `&%.64s` before it", name,
                  name);
    if (depth + anchor->weight.height > DORA__MAX_DEPTH)
        return AT(l, dora__yaml_place(event->start_mark),
                  "nested deeper than %d levels by the alias `*%.64s`",
                  DORA__MAX_DEPTH, name);
    *value = anchor->value;
    value->mark = dora__yaml_place(event->start_mark);
    value->key = NULL;
    *ret_weight = anchor->weight;
    return count(l, value->mark, anchor->weight);
}

static int
load_scalar(struct loader *l, const yaml_event_t *event,
            struct dora__value *value, struct weight *ret_weight)
{
    size_t size = event->data.scalar.length;
    const char *text = (const char *)event->data.scalar.value;
    int rc = refuse_tag(l, event->data.scalar.tag,
                        dora__yaml_place(event->start_mark));

    if (rc < 0)
        return rc;
    value->mark = dora__yaml_place(event->start_mark);
    if (memchr(text, '\0', size) != NULL)
        return AT(l, value->mark, "a string here cannot hold a NUL character");
    value->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    value->text = dora__chunks_text(&l->chunks, text, size);
    if (value->text == NULL)
        return dora__fail(l->err, ENOMEM, "out of memory");
    value->text_size = size;
    dora__value_type_scalar(value);
    *ret_weight = (struct weight){1, size, 1};
    return count(l, value->mark, *ret_weight);
}

static int
by_key(const void *left, const void *right)
{
    const struct dora__value *a = *(const struct dora__value *const *)left;
    const struct dora__value *b = *(const struct dora__value *const *)right;
    int order = strcmp(a->key, b->key);

    return order != 0 ? order : a < b ? -1 : a > b;
}

static int
refuse_duplicates(struct loader *l, const struct items *map)
{
    DORA_AUTOFREE const struct dora__value **sorted = NULL;
    const struct dora__value *worst = NULL, *first = NULL;

    if (map->count < 2)
        return 0;
    sorted = malloc(map->count * sizeof(*sorted));
    if (sorted == NULL)
        return dora__fail(l->err, ENOMEM, "out of memory");
    for (size_t i = 0; i < map->count; i++)
        sorted[i] = &map->values[i];
    qsort(sorted, map->count, sizeof *sorted, by_key);
    for (size_t i = 1; i < map->count; i++)
        if (strcmp(sorted[i - 1]->key, sorted[i]->key) == 0 &&
            (worst == NULL || sorted[i] < worst)) {
            first = sorted[i - 1];
            worst = sorted[i];
        }
    if (worst == NULL)
        return 0;
    return AT(l, worst->key_mark,
              "the key `%.64s` is given twice (first in line %u)", worst->key,
              first->key_mark.line);
}

static int
load_key(struct loader *l, const yaml_event_t *event, struct dora__value *item)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t size = event->data.scalar.length;
    struct dora__mark mark = dora__yaml_place(event->start_mark);
    int rc;

    if (event->type == YAML_ALIAS_EVENT)
        return AT(l, mark, "a key cannot be an alias");
    if (event->type != YAML_SCALAR_EVENT)
        return AT(l, mark, "a key must be a string, not a list or a map");
    rc = refuse_tag(l, event->data.scalar.tag, mark);
    if (rc < 0)
        return rc;
    if (event->data.scalar.anchor != NULL)
        return AT(l, mark, "a key cannot have an anchor");
    if (memchr(text, '\0', size) != NULL)
        return AT(l, mark, "a key cannot hold a NUL character");
    if (strcmp(text, "<<") == 0 &&
        event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        return AT(l, mark,
                  "merge keys (`<<`) are not supported: repeat the keys");
    item->key = dora__chunks_text(&l->chunks, text, size);
    if (item->key == NULL)
        return dora__fail(l->err, ENOMEM, "out of memory");
    item->key_mark = mark;
    return count(l, mark, (struct weight){0, size, 0});
}

static int load_value(struct loader *l, const yaml_event_t *event,
                      unsigned depth, struct dora__value *value,
                      struct weight *ret_weight);

/* One item, its key first if it has one. *ret_more is false at the end. */
static int
load_item(struct loader *l, struct items *items, bool map, unsigned depth,
          struct weight *weight, bool *ret_more)
{
    struct dora__value *item;
    struct weight own = {0};
    yaml_event_t event;
    int rc = next_event(l, &event);

    if (rc < 0)
        return rc;
    *ret_more = event.type != YAML_SEQUENCE_END_EVENT &&
                event.type != YAML_MAPPING_END_EVENT;
    if (!*ret_more)
        goto out;
    item = add_item(items);
    if (item == NULL) {
        rc = dora__fail(l->err, ENOMEM, "out of memory");
        goto out;
    }
    if (map) {
        rc = load_key(l, &event, item);
        if (rc < 0)
            goto out;
        weight->bytes += strlen(item->key);
        yaml_event_delete(&event);
        rc = next_event(l, &event);
        if (rc < 0)
            return rc;
    }

    struct dora__value read = {0};

    rc = load_value(l, &event, depth, &read, &own);
    if (rc == 0) {
        read.key = item->key;
        read.key_mark = item->key_mark;
        *item = read;
    }
    weight->values += own.values;
    weight->bytes += own.bytes;
    if (own.height + 1 > weight->height)
        weight->height = own.height + 1;
out:
    yaml_event_delete(&event);
    return rc;
}

static int
load_items(struct loader *l, bool map, unsigned depth,
           struct dora__value *value, struct weight *weight)
{
    __attribute__((cleanup(free_items))) struct items items = {0};
    int rc;

    for (bool more = true; more;) {
        rc = load_item(l, &items, map, depth, weight, &more);
        if (rc < 0)
            return rc;
    }
    if (map) {
        rc = refuse_duplicates(l, &items);
        if (rc < 0)
            return rc;
    }
    value->items =
        dora__chunks_take(&l->chunks, items.count * sizeof *items.values);
    if (value->items == NULL)
        return dora__fail(l->err, ENOMEM, "out of memory");
    if (items.count > 0)
        memcpy(value->items, items.values, items.count * sizeof *items.values);
    value->item_count = items.count;
    return 0;
}

static int
load_collection(struct loader *l, const yaml_event_t *event, unsigned depth,
                struct dora__value *value, struct weight *ret_weight)
{
    bool map = event->type == YAML_MAPPING_START_EVENT;
    int rc;

    value->type = map ? DORA__MAP : DORA__LIST;
    value->mark = dora__yaml_place(event->start_mark);
    value->text = "";
    rc = refuse_tag(
        l, map ? event->data.mapping_start.tag : event->data.sequence_start.tag,
        value->mark);
    if (rc < 0)
        return rc;
    if (depth >= DORA__MAX_DEPTH)
        return AT(l, value->mark, "nested deeper than %d levels",
                  DORA__MAX_DEPTH);
    *ret_weight = (struct weight){1, 0, 1};
    rc = count(l, value->mark, *ret_weight);
    if (rc < 0)
        return rc;
    return load_items(l, map, depth + 1, value, ret_weight);
}

static int
load_value(struct loader *l, const yaml_event_t *event, unsigned depth,
           struct dora__value *value, struct weight *ret_weight)
{
    const yaml_char_t *anchor = NULL;
    const char *name = NULL;
    int rc;

    if (event->type == YAML_ALIAS_EVENT)
        return load_alias(l, event, depth, value, ret_weight);
    if (event->type == YAML_SCALAR_EVENT)
        anchor = event->data.scalar.anchor;
    else if (event->type == YAML_SEQUENCE_START_EVENT)
        anchor = event->data.sequence_start.anchor;
    else
        anchor = event->data.mapping_start.anchor;
    if (anchor != NULL) {
        name =
            dora__chunks_text(&l->chunks, anchor, strlen((const char *)anchor));
        if (name == NULL)
            return dora__fail(l->err, ENOMEM, "out of memory");
    }
    if (event->type == YAML_SCALAR_EVENT)
        rc = load_scalar(l, event, value, ret_weight);
    else
        rc = load_collection(l, event, depth, value, ret_weight);
    if (rc < 0)
        return rc;
    return set_anchor(l, name, value, *ret_weight);
}

/* Reads on to the next event that is not a mere start or end of the stream or
 * of a document that has begun. */
static int
load_root(struct loader *l, struct dora__value *root)
{
    bool begun = false;
    int rc;

    *root = (struct dora__value){.text = "", .mark = {1, 1}};
    for (bool more = true; more;) {
        struct weight weight;
        yaml_event_t event;

        rc = next_event(l, &event);
        if (rc < 0)
            return rc;
        switch (event.type) {
        case YAML_STREAM_START_EVENT:
        case YAML_DOCUMENT_END_EVENT:
            break;
        case YAML_STREAM_END_EVENT:
        case YAML_NO_EVENT:
            more = false;
            break;
        case YAML_DOCUMENT_START_EVENT:
            if (begun)
                rc = AT(l, dora__yaml_place(event.start_mark),
                        "a second document begins here; a file holds one");
            begun = true;
            break;
        default:
            rc = load_value(l, &event, 0, root, &weight);
        }
        yaml_event_delete(&event);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int
check_text(struct loader *l)
{
    if (l->size > DORA__MAX_DOCUMENT)
        return AT(l, ((struct dora__mark){1, 1, 0}),
                  "the file has %zu bytes; at most %d are read", l->size,
                  DORA__MAX_DOCUMENT);
    if (l->size >= 2 && (memcmp(l->text, "\xFF\xFE", 2) == 0 ||
                         memcmp(l->text, "\xFE\xFF", 2) == 0))
        return AT(l, ((struct dora__mark){1, 1, 0}),
                  "the file is UTF-16; save it as UTF-8");
    if (l->size >= 3 && memcmp(l->text, "\xEF\xBB\xBF", 3) == 0) {
        l->text += 3;
        l->size -= 3;
    }
    return 0;
}

int
dora__document_load(const char *text, size_t size,
                    struct dora__document *ret_document,
                    struct dora__mark *ret_mark, struct dora_error *err)
{
    struct loader l = {
        .text = (const unsigned char *)text, .size = size, .err = err};
    struct dora__value root;
    int rc = check_text(&l);

    if (rc < 0)
        goto fail;
    if (!yaml_parser_initialize(&l.parser))
        return dora__fail(err, ENOMEM, "out of memory");
    yaml_parser_set_encoding(&l.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&l.parser, l.text, l.size);
    rc = load_root(&l, &root);
    yaml_parser_delete(&l.parser);
    if (rc < 0)
        goto fail;
    *ret_document = (struct dora__document){root, l.chunks};
    return 0;
fail:
    dora__chunks_free(l.chunks);
    if (rc == -EINVAL)
        *ret_mark = l.mark;
    return rc;
}

void
dora__document_fini(struct dora__document *document)
{
    dora__chunks_free(document->memory);
    *document = (struct dora__document){0};
}

const struct dora__value *
dora__value_get(const struct dora__value *map, const char *key)
{
    if (map->type != DORA__MAP)
        return NULL;
    for (size_t i = 0; i < map->item_count; i++)
        if (strcmp(map->items[i].key, key) == 0)
            return &map->items[i];
    return NULL;
}
