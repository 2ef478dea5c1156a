/* graph_module_node.c - what a node of a module becomes: its id begins with the
 * module's, its sources are those of the whole dataflow, its path lies beside
 * the module's file, and it has the module's variables, parameters and build
 * lines before its own. */
#include "graph_module.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* A string of the map, or NULL. */
static const struct dora__value *
get_string(const struct dora__value *map, const char *key)
{
    const struct dora__value *value = dora__value_get(map, key);

    return value != NULL && value->type == DORA__STRING ? value : NULL;
}

static void
set_text(struct dora__reader *r, struct dora__value *map,
         const struct dora__value *like, const char *text)
{
    const struct dora__value value = dora__module_string(like, text);

    *map = dora__module_set(r, map, &value);
}

/* --- inputs ------------------------------------------------------------ */

/* Options said inside win over those said outside. */
static struct dora__value
merge_options(struct dora__reader *r, const struct dora__value *outside,
              const struct dora__value *inside)
{
    struct dora__value merged = *outside;

    if (outside->type == DORA__STRING)
        return dora__module_with_source(r, inside, outside);
    merged.key = inside->key;
    merged.key_mark = inside->key_mark;
    for (size_t i = 0; inside->type == DORA__MAP && i < inside->item_count; i++)
        if (strcmp(inside->items[i].key, "source") != 0)
            merged = dora__module_set(r, &merged, &inside->items[i]);
    return merged;
}

static void
complain_port(struct dora__reader *r, const struct dora__module *m,
              const struct dora__value *source, const char *port)
{
    struct dora__nearest near = dora__nearest(port);

    for (size_t i = 0; m->inputs != NULL && i < m->inputs->item_count; i++)
        dora__nearest_consider(&near, m->inputs->items[i].text);
    dora__complain(r, source->mark, "the module %s has no input %s%s",
                   dora__show_text(m->name).text, dora__show_text(port).text,
                   dora__show_nearest(&near).text);
}

/* False: the input is left out. */
static bool
wire_input(struct dora__reader *r, const struct dora__module *m,
           struct dora__value *input)
{
    const struct dora__value *source = dora__module_source(input);
    const struct dora__value *given = dora__value_get(m->node, "inputs");
    struct dora__value whole;
    const char *port;

    if (source == NULL || strncmp(source->text, "dora/", 5) == 0)
        return true;
    if (strncmp(source->text, "_mod/", 5) != 0) {
        whole = dora__module_string(
            source, dora__module_text(r, "%s.%s", m->id, source->text));
        *input = dora__module_with_source(r, input, &whole);
        return true;
    }
    port = source->text + 5;
    given = given != NULL ? dora__value_get(given, port) : NULL;
    if (given != NULL)
        *input = merge_options(r, given, input);
    else if (!dora__module_lists(m->inputs_optional, port))
        complain_port(r, m, source, port);
    return given != NULL;
}

static struct dora__value
wire(struct dora__reader *r, const struct dora__value *inputs, void *arg)
{
    struct dora__value wired = *inputs;

    wired.items =
        dora__chunks_take(&r->chunks, inputs->item_count * sizeof *wired.items);
    wired.item_count = 0;
    r->no_memory |= wired.items == NULL;
    for (size_t i = 0; i < inputs->item_count && !r->no_memory; i++) {
        wired.items[wired.item_count] = inputs->items[i];
        wired.item_count += wire_input(r, arg, &wired.items[wired.item_count]);
    }
    return wired;
}

/* --- parameters and variables ------------------------------------------ */

/* The value of the parameter whose name is the first `size` bytes, or NULL.
 * Their case does not matter in `any_case`. */
static const struct dora__value *
find_param(const struct dora__value *params, const char *name, size_t size,
           bool any_case)
{
    for (size_t i = 0; params != NULL && i < params->item_count; i++) {
        const char *key = params->items[i].key;

        if (strlen(key) == size &&
            (any_case ? strncasecmp : strncmp)(key, name, size) == 0)
            return &params->items[i];
    }
    return NULL;
}

static size_t
word_size(const char *text)
{
    size_t size = 0;

    while (isalnum((unsigned char)text[size]) || text[size] == '_')
        size++;
    return size;
}

/* The parameter that the text begins with, `${_param.x}` or `$PARAM_X`, and
 * how long that is; NULL: none. */
static const struct dora__value *
match_param(const struct dora__value *params, const char *text,
            size_t *ret_size)
{
    size_t size;

    if (strncmp(text, "${_param.", 9) == 0) {
        size = word_size(text + 9);
        *ret_size = 9 + size + 1;
        return text[9 + size] == '}' ? find_param(params, text + 9, size, false)
                                     : NULL;
    }
    if (strncmp(text, "$PARAM_", 7) != 0)
        return NULL;
    size = word_size(text + 7);
    *ret_size = 7 + size;
    return find_param(params, text + 7, size, true);
}

static void
fill_args(struct dora__reader *r, const struct dora__module *m,
          struct dora__value *node)
{
    const struct dora__value *args = get_string(node, "args");
    const struct dora__value *params = dora__value_get(m->node, "params");
    struct dora__text out = {0};

    if (args == NULL || params == NULL)
        return;
    for (const char *at = args->text; *at != '\0';) {
        size_t size = 1;
        const struct dora__value *param = match_param(params, at, &size);

        if (param != NULL)
            dora__text_puts(&out, param->text);
        else
            dora__text_add(&out, at, size = 1);
        at += size;
    }
    r->no_memory |= out.failed;
    if (out.text != NULL)
        set_text(r, node, args, dora__module_text(r, "%s", out.text));
    free(out.text);
}

static const char *
upper(struct dora__reader *r, const char *key)
{
    char *name = (char *)dora__module_text(r, "PARAM_%s", key);

    for (char *c = name; *c != '\0'; c++)
        *c = (char)toupper((unsigned char)*c);
    return name;
}

static struct dora__value
merge_env(struct dora__reader *r, struct dora__value env,
          const struct dora__value *more)
{
    for (size_t i = 0; more != NULL && i < more->item_count; i++)
        env = dora__module_set(r, &env, &more->items[i]);
    return env;
}

static void
fill_env(struct dora__reader *r, const struct dora__module *m,
         struct dora__value *node)
{
    const struct dora__value *own = dora__value_get(node, "env");
    const struct dora__value *params = dora__value_get(m->node, "params");
    struct dora__value env = {.type = DORA__MAP,
                              .mark = node->mark,
                              .key_mark = node->mark,
                              .key = "env"};

    if (own != NULL && own->type != DORA__MAP && own->type != DORA__NULL)
        return; /* it will be told */
    for (size_t i = 0; params != NULL && i < params->item_count; i++) {
        struct dora__value param = params->items[i];

        param.key = upper(r, param.key);
        env = dora__module_set(r, &env, &param);
    }
    env = merge_env(r, env, dora__value_get(m->node, "env"));
    env = merge_env(r, env, own);
    if (env.item_count > 0)
        *node = dora__module_set(r, node, &env);
}

/* --- files ------------------------------------------------------------- */

/* A name without a slash may be a program that is found elsewhere. */
static bool
lies_beside(struct dora__reader *r, const struct dora__module *m,
            const char *path)
{
    if (*path == '/' || *path == '\0' || strstr(path, "://") != NULL ||
        strcmp(path, "dynamic") == 0 || strcmp(path, "shell") == 0 ||
        strcmp(path, "callback") == 0)
        return false;
    return strchr(path, '/') != NULL ||
           r->context->files->has(
               r->context->files->arg,
               dora__module_text(r, "%s%s", m->directory, path));
}

static void
move_file(struct dora__reader *r, const struct dora__module *m,
          struct dora__value *map, const char *key)
{
    const struct dora__value *path = get_string(map, key);

    if (path != NULL && lies_beside(r, m, path->text))
        set_text(r, map, path,
                 dora__module_text(r, "%s%s", m->directory, path->text));
}

static void
fill_build(struct dora__reader *r, const struct dora__module *m,
           struct dora__value *node)
{
    const struct dora__value *of_node = get_string(m->node, "build");
    const struct dora__value *own = get_string(node, "build");
    const char *parts[] = {of_node != NULL ? of_node->text : NULL, m->build,
                           own != NULL ? own->text : NULL};
    struct dora__value all = {
        .key = "build", .key_mark = node->mark, .mark = node->mark};
    const char *text = "";

    if (parts[0] == NULL && parts[1] == NULL)
        return;
    for (size_t i = 0; i < DORA_COUNT(parts); i++)
        if (parts[i] != NULL)
            text = dora__module_text(r, "%s%s%s", text,
                                     *text != '\0' ? "\n" : "", parts[i]);
    set_text(r, node, own != NULL ? own : &all, text);
}

/* An operator's block has the file and the build lines that its node has not.
 */
static struct dora__value
fill_block(struct dora__reader *r, const struct dora__value *given, void *arg)
{
    const struct dora__module *m = arg;
    const struct dora__value *python;
    struct dora__value block = *given, source;

    move_file(r, m, &block, "python");
    python = dora__value_get(&block, "python");
    if (python != NULL && python->type == DORA__MAP) {
        source = *python;
        move_file(r, m, &source, "source");
        block = dora__module_set(r, &block, &source);
    }
    fill_build(r, m, &block);
    return block;
}

struct dora__value
dora__module_node(struct dora__reader *r, const struct dora__module *m,
                  const struct dora__value *given)
{
    struct dora__value node = *given;
    const struct dora__value *id;

    if (given->type != DORA__MAP)
        return node;
    id = get_string(&node, "id");
    if (id != NULL)
        set_text(r, &node, id, dora__module_text(r, "%s.%s", m->id, id->text));
    node = dora__module_inputs(r, &node, wire, (void *)m);
    if (dora__value_get(&node, "git") == NULL)
        move_file(r, m, &node, "path");
    fill_args(r, m, &node);
    fill_env(r, m, &node);
    if (dora__value_get(&node, "operator") == NULL &&
        dora__value_get(&node, "operators") == NULL)
        fill_build(r, m, &node);
    return dora__module_blocks(r, &node, fill_block, (void *)m);
}
