/* graph_module_value.c - values made of others, which stay as they are. */
#include "graph_module.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *
dora__module_text(struct dora__reader *r, const char *format, ...)
{
    DORA_AUTOFREE char *text = NULL;
    char *copy = NULL;
    va_list args;
    int size;

    va_start(args, format);
    size = vasprintf(&text, format, args);
    va_end(args);
    if (size >= 0)
        copy = dora__chunks_text(&r->chunks, text, (size_t)size);
    else
        text = NULL;
    r->no_memory |= copy == NULL;
    return copy != NULL ? copy : "";
}

struct dora__value
dora__module_set(struct dora__reader *r, const struct dora__value *map,
                 const struct dora__value *item)
{
    struct dora__value changed = *map;
    size_t i = 0;

    changed.items = dora__chunks_take(&r->chunks, (map->item_count + 1) *
                                                      sizeof *changed.items);
    if (changed.items == NULL) {
        r->no_memory = true;
        return *map;
    }
    for (; i < map->item_count; i++)
        changed.items[i] = map->items[i];
    for (i = 0;
         i < map->item_count && strcmp(map->items[i].key, item->key) != 0;)
        i++;
    changed.items[i] = *item;
    changed.item_count += i == map->item_count;
    return changed;
}

struct dora__value
dora__module_string(const struct dora__value *like, const char *text)
{
    return (struct dora__value){.type = DORA__STRING,
                                .quoted = true,
                                .mark = like->mark,
                                .key_mark = like->key_mark,
                                .key = like->key,
                                .text = text,
                                .text_size = strlen(text)};
}

const struct dora__value *
dora__module_source(const struct dora__value *input)
{
    if (input->type == DORA__MAP)
        input = dora__value_get(input, "source");
    return input != NULL && input->type == DORA__STRING ? input : NULL;
}

struct dora__value
dora__module_with_source(struct dora__reader *r,
                         const struct dora__value *input,
                         const struct dora__value *source)
{
    struct dora__value changed = dora__module_string(source, source->text);

    changed.key = input->key;
    changed.key_mark = input->key_mark;
    if (input->type != DORA__MAP)
        return changed;
    changed.key = "source";
    return dora__module_set(r, input, &changed);
}

static struct dora__value
change_at(struct dora__reader *r, const struct dora__value *map,
          const char *key, dora__module_change *change, void *arg)
{
    const struct dora__value *inner = dora__value_get(map, key);
    struct dora__value changed;

    if (inner == NULL || inner->type != DORA__MAP)
        return *map;
    changed = change(r, inner, arg);
    return dora__module_set(r, map, &changed);
}

/* The same of each map in the list there. */
static struct dora__value
change_each(struct dora__reader *r, const struct dora__value *map,
            const char *key, dora__module_change *change, void *arg)
{
    const struct dora__value *list = dora__value_get(map, key);
    struct dora__value changed;

    if (list == NULL || list->type != DORA__LIST)
        return *map;
    changed = *list;
    changed.items =
        dora__chunks_take(&r->chunks, list->item_count * sizeof *changed.items);
    r->no_memory |= changed.items == NULL;
    for (size_t i = 0; i < list->item_count && !r->no_memory; i++)
        changed.items[i] = list->items[i].type == DORA__MAP
                               ? change(r, &list->items[i], arg)
                               : list->items[i];
    return r->no_memory ? *map : dora__module_set(r, map, &changed);
}

struct dora__value
dora__module_blocks(struct dora__reader *r, const struct dora__value *node,
                    dora__module_change *change, void *arg)
{
    struct dora__value changed = change_at(r, node, "operator", change, arg);

    return change_each(r, &changed, "operators", change, arg);
}

struct inputs_change {
    dora__module_change *change;
    void *arg;
};

static struct dora__value
change_inputs(struct dora__reader *r, const struct dora__value *map, void *arg)
{
    const struct inputs_change *c = arg;

    return change_at(r, map, "inputs", c->change, c->arg);
}

struct dora__value
dora__module_inputs(struct dora__reader *r, const struct dora__value *node,
                    dora__module_change *change, void *arg)
{
    struct inputs_change c = {change, arg};
    struct dora__value changed = change_inputs(r, node, &c);

    return dora__module_blocks(r, &changed, change_inputs, &c);
}
