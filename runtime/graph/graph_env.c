/* graph_env.c - the variables of nodes.
 *
 * 1. Later wins: the file's `env`, the caller's, the node's.
 * 2. What is quoted reaches the node as written but for its $VARIABLES; plain
 *    numbers arrive in their shortest form, as dora 1.x sends them.
 * 3. Names that would change how programs are loaded, or belong to the runtime,
 *    are never taken from a file.
 * 4. DORA_ISOLATION speaks to the runtime and is not handed on. */
#include "graph_read.h"

#include <string.h>

static const char isolation_key[] = "DORA_ISOLATION";
static const char *const isolations[] = {"auto", "interpreter", "process",
                                         NULL};

static bool
is_denied(const char *key)
{
    static const char *const names[] = {
        "LD_PRELOAD",          "LD_AUDIT",
        "LD_LIBRARY_PATH",     "DYLD_INSERT_LIBRARIES",
        "DYLD_LIBRARY_PATH",   "DORA_AUTH_TOKEN",
        "DORA_NODE_CONFIG",    "DORA_ALLOW_SHELL_NODES",
        "DORA_RUNTIME_CONFIG",
    };
    static const char *const prefixes[] = {"DORA_RUN_", "ZENOH_",
                                           "DORA_ZENOH_"};

    for (size_t i = 0; i < DORA_COUNT(names); i++)
        if (strcmp(key, names[i]) == 0)
            return true;
    for (size_t i = 0; i < DORA_COUNT(prefixes); i++)
        if (strncmp(key, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

/* Whether the variable may be taken; if not, it is dropped with a warning. */
static bool
may_take(struct dora__reader *r, struct dora__mark mark, const char *key)
{
    if (is_denied(key))
        dora__warn(r, mark, "%s%s cannot be set for nodes: it is dropped",
                   r->owner, dora__show_text(key).text);
    else if (*key == '\0' || key[strcspn(key, "= \t\r\n\v\f")] != '\0')
        dora__warn(r, mark, "%s%s is not the name of a variable: it is dropped",
                   r->owner, dora__show_text(key).text);
    else
        return true;
    return false;
}

static void
expand(struct dora__reader *r, const struct dora__value *value,
       struct dora__text *out)
{
    const char *name = "";
    size_t size = 0;
    int rc =
        dora__expand(value->text, r->context->environment, out, &name, &size);

    if (rc == -ENOENT)
        dora__complain(r, value->mark,
                       "%s%s uses the undefined variable `$%.*s` (give a "
                       "default as ${NAME:-value}, or write $$ for a $)",
                       r->owner, dora__show_text(value->key).text,
                       size < 64 ? (int)size : 64, name);
    else if (rc == -EINVAL)
        dora__complain(r, value->mark,
                       "%s%s has a malformed `${` in %s: ${NAME} or "
                       "${NAME:-default} was expected, or $$ for a $",
                       r->owner, dora__show_text(value->key).text,
                       dora__show(value).text);
    if (rc == -E2BIG || out->size + strlen(value->key) + 2 > DORA__MAX_EXPANDED)
        dora__complain(r, value->mark, "%s%s is longer than %d bytes", r->owner,
                       dora__show_text(value->key).text, DORA__MAX_EXPANDED);
}

/* The value as a node sees it: new, or NULL after a complaint. */
static char *
env_text(struct dora__reader *r, const struct dora__value *value)
{
    struct dora__text out = {0};
    size_t errors = r->errors;

    dora__text_puts(&out, "");
    switch (value->type) {
    case DORA__BOOL:
        dora__text_puts(&out, value->as.boolean ? "true" : "false");
        break;
    case DORA__INT:
        dora__text_printf(&out, "%lld", (long long)value->as.integer);
        break;
    case DORA__FLOAT:
        if (value->text[strspn(value->text, "+-0123456789")] == '\0')
            dora__text_puts(&out, value->text);
        else
            dora__text_double(&out, value->as.number);
        break;
    case DORA__STRING:
        expand(r, value, &out);
        break;
    default:
        dora__complain(r, value->mark,
                       "%s%s must be a string, a number or a boolean, not %s",
                       r->owner, dora__show_text(value->key).text,
                       dora__show(value).text);
    }
    if (out.failed)
        r->no_memory = true;
    if (!out.failed && r->errors == errors)
        return out.text;
    free(out.text);
    return NULL;
}

static void
check_isolation(struct dora__reader *r, struct dora__mark mark,
                const char *text)
{
    struct dora__nearest near = dora__nearest(text);

    for (size_t i = 0; isolations[i] != NULL; i++) {
        if (strcmp(text, isolations[i]) == 0)
            return;
        dora__nearest_consider(&near, isolations[i]);
    }
    dora__complain(r, mark,
                   "%s`DORA_ISOLATION` must be `auto`, `interpreter` or "
                   "`process`, not %s%s",
                   r->owner, dora__show_text(text).text,
                   dora__show_nearest(&near).text);
}

/* Sets a variable, over an earlier one of that name among the first `over`. The
 * value is taken. */
static void
set_variable(struct dora__reader *r, struct dora__env *env, size_t over,
             const char *key, char *value)
{
    struct dora__graph_env *item = &env->items[env->count];

    for (size_t i = 0; i < over; i++)
        if (strcmp(env->items[i].key, key) == 0) {
            free(env->items[i].value);
            env->items[i].value = value;
            return;
        }
    item->key = dora__copy_text(r, key);
    item->value = value;
    if (item->key == NULL)
        free(value);
    else
        env->count++;
}

static void
read_variables(struct dora__reader *r, const struct dora__value *map,
               struct dora__env *env)
{
    size_t over = env->count;

    for (size_t i = 0; i < map->item_count && !r->no_memory; i++) {
        const struct dora__value *item = &map->items[i];
        char *text;

        if (!may_take(r, item->key_mark, item->key))
            continue;
        text = env_text(r, item);
        if (text == NULL)
            continue;
        if (strcmp(item->key, isolation_key) == 0)
            check_isolation(r, item->mark, text);
        set_variable(r, env, over, item->key, text);
    }
}

/* "K=V" from the caller, over what is there. */
static void
take_given(struct dora__reader *r, const char *given, struct dora__env *env)
{
    struct dora__mark nowhere = {0};
    const char *equals = strchr(given, '=');
    DORA_AUTOFREE char *key = NULL;
    char *value;

    if (equals == NULL)
        return;
    key = strndup(given, (size_t)(equals - given));
    if (key == NULL) {
        r->no_memory = true;
        return;
    }
    if (!may_take(r, nowhere, key))
        return;
    if (strcmp(key, isolation_key) == 0)
        check_isolation(r, nowhere, equals + 1);
    value = dora__copy_text(r, equals + 1);
    if (value != NULL)
        set_variable(r, env, env->count, key, value);
}

/* How many of a map's variables are read: none of a map with too many. */
static const struct dora__value *
env_map(struct dora__reader *r, const struct dora__value *value)
{
    if (value == NULL || !dora__read_map(r, value))
        return NULL;
    if (value->item_count <= DORA__MAX_ENV)
        return value;
    dora__complain(r, value->mark, "%s`env` has %zu variables; at most %d fit",
                   r->owner, value->item_count, DORA__MAX_ENV);
    return NULL;
}

void
dora__read_shared_env(struct dora__reader *r, const struct dora__value *value)
{
    const char *const *given = r->context->env;
    const struct dora__value *map = env_map(r, value);
    size_t count = map != NULL ? map->item_count : 0;

    for (size_t i = 0; given != NULL && given[i] != NULL; i++)
        count++;
    r->shared_env.items =
        dora__new_array(r, count, sizeof *r->shared_env.items);
    if (r->shared_env.items == NULL)
        return;
    if (map != NULL)
        read_variables(r, map, &r->shared_env);
    for (; given != NULL && *given != NULL && !r->no_memory; given++)
        take_given(r, *given, &r->shared_env);
}

/* Takes DORA_ISOLATION out of the variables. */
static void
take_isolation(struct dora__graph_node *node)
{
    for (size_t i = 0; i < node->env_count; i++) {
        struct dora__graph_env *item = &node->env[i];

        if (strcmp(item->key, isolation_key) != 0)
            continue;
        for (unsigned k = 0; isolations[k] != NULL; k++)
            if (strcmp(item->value, isolations[k]) == 0)
                node->isolation = (enum dora__isolation)k;
        free(item->key);
        free(item->value);
        memmove(item, item + 1, (--node->env_count - i) * sizeof *item);
        return;
    }
}

static void
count_bytes(struct dora__reader *r, const struct dora__env *env,
            struct dora__mark mark)
{
    bool fitted = r->env_bytes <= DORA__ALL_ENV_TEXT;

    for (size_t i = 0; i < env->count; i++)
        r->env_bytes +=
            strlen(env->items[i].key) + strlen(env->items[i].value) + 2;
    if (fitted && r->env_bytes > DORA__ALL_ENV_TEXT)
        dora__complain(r, mark,
                       "%sthe variables of all nodes up to here take more than "
                       "%d bytes",
                       r->owner, DORA__ALL_ENV_TEXT);
}

void
dora__read_env(struct dora__reader *r, const struct dora__value *value,
               struct dora__graph_node *node)
{
    const struct dora__value *map = env_map(r, value);
    const struct dora__env *shared = &r->shared_env;
    size_t own = map != NULL ? map->item_count : 0;
    struct dora__env env = {0};

    if (r->env_bytes > DORA__ALL_ENV_TEXT || r->no_memory)
        return;
    env.items = dora__new_array(r, shared->count + own, sizeof *env.items);
    if (env.items == NULL)
        return;
    for (size_t i = 0; i < shared->count && !r->no_memory; i++) {
        char *text = dora__copy_text(r, shared->items[i].value);

        if (text != NULL)
            set_variable(r, &env, 0, shared->items[i].key, text);
    }
    if (map != NULL)
        read_variables(r, map, &env);
    count_bytes(r, &env, node->mark);
    node->env = env.items;
    node->env_count = env.count;
    take_isolation(node);
}

void
dora__env_fini(struct dora__env *env)
{
    for (size_t i = 0; i < env->count; i++) {
        free(env->items[i].key);
        free(env->items[i].value);
    }
    free(env->items);
    *env = (struct dora__env){0};
}
