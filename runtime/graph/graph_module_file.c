/* graph_module_file.c - the file that a node with `module` stands for. */
#include "graph_module.h"

#include <stdio.h>
#include <string.h>

enum { MAX_DEPTH = 8, MAX_SIZE = 1 << 20 };

/* "a/" and "../m.yml" make "m.yml". NULL: above the beginning, or absolute. */
static const char *
join(struct dora__reader *r, const char *directory, const char *path)
{
    char *text = (char *)dora__module_text(r, "%s%s", directory, path);
    char *end = text, *word, *rest = text;

    if (*path == '/')
        return NULL;
    while ((word = strsep(&rest, "/")) != NULL) {
        if (strcmp(word, "..") == 0) {
            if (end == text)
                return NULL;
            for (end--; end > text && end[-1] != '/';)
                end--;
        } else if (*word != '\0' && strcmp(word, ".") != 0) {
            size_t size = strlen(word);

            memmove(end, word, size);
            end += size;
            *end++ = '/';
        }
    }
    if (end == text)
        return NULL;
    end[-1] = '\0';
    return text;
}

static bool
is_open(const struct dora__module *module, const char *file)
{
    for (; module != NULL; module = module->outer)
        if (strcmp(module->file, file) == 0)
            return true;
    return false;
}

static void
place(struct dora__value *value, uint32_t file)
{
    value->mark.file = file;
    value->key_mark.file = file;
    for (size_t i = 0; i < value->item_count; i++)
        place(&value->items[i], file);
}

/* As a person finds it: beside the dataflow. */
static const char *
shown_path(struct dora__reader *r, const char *file)
{
    const char *slash = strrchr(r->context->file, '/');
    int size = slash != NULL ? (int)(slash + 1 - r->context->file) : 0;

    return dora__module_text(r, "%.*s%s", size, r->context->file, file);
}

/* The number of the file in marks, or 0. */
static uint32_t
add_file(struct dora__reader *r, const char *file)
{
    struct dora__graph *graph = r->graph;
    char **grown =
        realloc(graph->modules, (graph->module_count + 1) * sizeof *grown);

    if (grown == NULL) {
        r->no_memory = true;
        return 0;
    }
    graph->modules = grown;
    grown[graph->module_count] = dora__copy_text(r, shown_path(r, file));
    if (grown[graph->module_count] == NULL)
        return 0;
    return (uint32_t)++graph->module_count;
}

/* The document of the file, which the reader keeps. */
static const struct dora__value *
load(struct dora__reader *r, const struct dora__value *at, const char *file)
{
    const struct dora__graph_files *files = r->context->files;
    DORA_AUTOFREE char *text = NULL;
    struct dora__opened *opened;
    struct dora_error line;
    struct dora__mark mark;
    size_t size = 0;
    uint32_t number;
    int code = files->read(files->arg, file, &text, &size, &line);

    if (code == 0 && size > MAX_SIZE)
        code = dora__fail(&line, EFBIG, "%s has more than %d bytes", file,
                          MAX_SIZE);
    if (code == -ENOMEM)
        r->no_memory = true;
    else if (code < 0)
        dora__complain(r, at->mark, "%s%s", r->owner, line.text);
    if (code < 0)
        return NULL;
    number = add_file(r, file);
    opened = dora__chunks_take(&r->chunks, sizeof *opened);
    if (number == 0 || opened == NULL) {
        r->no_memory = true;
        return NULL;
    }
    code = dora__document_load(text, size, &opened->document, &mark, &line);
    if (code == -EINVAL) {
        mark.file = number;
        dora__complain(r, mark, "%s", line.text);
    }
    r->no_memory |= code == -ENOMEM;
    if (code < 0)
        return NULL;
    opened->next = r->opened;
    r->opened = opened;
    place(&opened->document.root, number);
    return &opened->document.root;
}

/* --- what the file says ------------------------------------------------ */

static const struct dora__value *
read_names(struct dora__reader *r, const struct dora__value *map,
           const char *key)
{
    const struct dora__value *list = dora__value_get(map, key);
    const char *ignored;

    if (list == NULL || !dora__read_list(r, list))
        return NULL;
    for (size_t i = 0; i < list->item_count; i++)
        if (!dora__read_text(r, &list->items[i], &ignored))
            return NULL;
    return list;
}

static bool
read_head(struct dora__reader *r, const struct dora__value *root,
          struct dora__module *m)
{
    static const char *const keys[] = {"name", "inputs", "inputs_optional",
                                       "outputs", NULL};
    const struct dora__value *head = dora__value_get(root, "module");
    const struct dora__value *name;

    if (head == NULL || head->type != DORA__MAP) {
        dora__complain(r, head != NULL ? head->mark : root->mark,
                       "the file of a module has a map `module` with its "
                       "`name`, `inputs` and `outputs`");
        return false;
    }
    dora__check_keys(r, head, keys, "`module`");
    name = dora__value_get(head, "name");
    if (name == NULL || !dora__read_text(r, name, &m->name))
        dora__complain(r, head->mark, "`module`: `name` is missing");
    m->inputs = read_names(r, head, "inputs");
    m->inputs_optional = read_names(r, head, "inputs_optional");
    m->outputs = read_names(r, head, "outputs");
    return m->name != NULL;
}

static bool
read_file(struct dora__reader *r, const struct dora__value *root,
          struct dora__module *m)
{
    static const char *const keys[] = {"module", "nodes", "build", NULL};
    const struct dora__value *build;
    size_t errors = r->errors;

    if (root->type != DORA__MAP) {
        dora__complain(r, root->mark,
                       "a module is a map with `module` and `nodes`, not %s",
                       dora__show(root).text);
        return false;
    }
    dora__check_keys(r, root, keys, "a module");
    build = dora__value_get(root, "build");
    if (build != NULL)
        (void)dora__read_text(r, build, &m->build);
    m->nodes = dora__value_get(root, "nodes");
    if (m->nodes == NULL)
        dora__complain(r, root->mark,
                       "`nodes` is missing: the list of what to run");
    else
        (void)dora__read_list(r, m->nodes);
    return read_head(r, root, m) && r->errors == errors;
}

/* --- what the node wires ----------------------------------------------- */

bool
dora__module_lists(const struct dora__value *list, const char *name)
{
    for (size_t i = 0; list != NULL && i < list->item_count; i++)
        if (strcmp(list->items[i].text, name) == 0)
            return true;
    return false;
}

static void
consider(struct dora__nearest *near, const struct dora__value *list)
{
    for (size_t i = 0; list != NULL && i < list->item_count; i++)
        dora__nearest_consider(near, list->items[i].text);
}

static void
check_wiring(struct dora__reader *r, const struct dora__module *m)
{
    const struct dora__value *given = dora__value_get(m->node, "inputs");

    for (size_t i = 0; m->inputs != NULL && i < m->inputs->item_count; i++)
        if (given == NULL ||
            dora__value_get(given, m->inputs->items[i].text) == NULL)
            dora__complain(r, m->node->mark,
                           "%sthe module %s needs an input %s", r->owner,
                           dora__show_text(m->name).text,
                           dora__show(&m->inputs->items[i]).text);
    for (size_t i = 0;
         given != NULL && given->type == DORA__MAP && i < given->item_count;
         i++) {
        const char *name = given->items[i].key;
        struct dora__nearest near = dora__nearest(name);

        if (dora__module_lists(m->inputs, name) ||
            dora__module_lists(m->inputs_optional, name))
            continue;
        consider(&near, m->inputs);
        consider(&near, m->inputs_optional);
        dora__complain(
            r, given->items[i].key_mark, "%sthe module %s has no input %s%s",
            r->owner, dora__show_text(m->name).text, dora__show_text(name).text,
            dora__show_nearest(&near).text);
    }
}

bool
dora__module_open(struct dora__reader *r, const struct dora__module *outer,
                  const struct dora__value *node,
                  struct dora__module *ret_module)
{
    const struct dora__value *value = dora__value_get(node, "module"), *root;
    struct dora__module m = {
        .outer = outer,
        .node = node,
        .id = dora__value_get(node, "id")->text,
        .depth = outer != NULL ? outer->depth + 1 : 1,
    };
    size_t errors = r->errors;
    const char *path, *slash;

    if (!dora__read_text(r, value, &path))
        return false;
    m.file = join(r, outer != NULL ? outer->directory : "", path);
    if (m.file == NULL)
        dora__complain(r, value->mark,
                       "%sthe module %s must be a file in the directory of "
                       "the dataflow, or below it",
                       r->owner, dora__show_text(path).text);
    else if (is_open(outer, m.file))
        dora__complain(r, value->mark, "%sthe module %s contains itself",
                       r->owner, dora__show_text(m.file).text);
    else if (m.depth > MAX_DEPTH)
        dora__complain(r, value->mark, "%smodules are nested more than %d deep",
                       r->owner, MAX_DEPTH);
    if (r->errors > errors)
        return false;
    slash = strrchr(m.file, '/');
    m.directory = dora__module_text(
        r, "%.*s", slash != NULL ? (int)(slash + 1 - m.file) : 0, m.file);
    root = load(r, value, m.file);
    if (root == NULL || !read_file(r, root, &m))
        return false;
    check_wiring(r, &m);
    *ret_module = m;
    return r->errors == errors && !r->no_memory;
}
