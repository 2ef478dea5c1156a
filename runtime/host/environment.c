/* environment.c - see environment.h. What would change the nodes' programs
 * behind everybody's back, or is a secret of the host, is not inherited; nor is
 * what an outer dataflow said to this host when it was one of its nodes. */
#include "environment.h"

#include <string.h>

static const char *const not_inherited[] = {
    "LD_PRELOAD",
    "LD_AUDIT",
    "DYLD_INSERT_LIBRARIES",
    "DORA_AUTH_TOKEN",
    "DORA_ALLOW_SHELL_NODES",
    "DORA_NODE_CONFIG",
    "DORA_RUNTIME_CONFIG",
    "DORA_RUN_ATTACH",
    "DORA_RUN_PARENT_PID",
};

/* Whether "K=V" is of that key. */
static bool
has_key(const char *pair, const char *key, size_t size)
{
    return strncmp(pair, key, size) == 0 && pair[size] == '=';
}

/* Takes `pair`, which may be NULL. */
static void
append(struct dora__environment *e, char *pair)
{
    size_t capacity = e->capacity * 2 + 32;
    char **vars;

    if (pair != NULL && e->count + 2 > e->capacity) {
        vars = realloc(e->vars, capacity * sizeof *vars);
        if (vars == NULL) {
            free(pair);
            pair = NULL;
        } else {
            e->vars = vars;
            e->capacity = capacity;
        }
    }
    if (pair == NULL) {
        e->failed = true;
        return;
    }
    e->vars[e->count++] = pair;
    e->vars[e->count] = NULL;
}

void
dora__environment_inherit(struct dora__environment *e, const char *const *from)
{
    for (; *from != NULL; from++) {
        bool denied = false;

        for (size_t i = 0; i < DORA_COUNT(not_inherited); i++)
            denied |=
                has_key(*from, not_inherited[i], strlen(not_inherited[i]));
        if (!denied)
            append(e, strdup(*from));
    }
}

void
dora__environment_put(struct dora__environment *e, const char *pair)
{
    const char *equals = strchr(pair, '=');
    char *copy;

    if (equals == NULL)
        return;
    for (size_t i = 0; i < e->count; i++)
        if (has_key(e->vars[i], pair, (size_t)(equals - pair))) {
            copy = strdup(pair);
            if (copy == NULL) {
                e->failed = true;
                return;
            }
            free(e->vars[i]);
            e->vars[i] = copy;
            return;
        }
    append(e, strdup(pair));
}

void
dora__environment_set(struct dora__environment *e, const char *key,
                      const char *value)
{
    DORA_AUTOFREE char *pair = dora__format("%s=%s", key, value);

    if (pair == NULL)
        e->failed = true;
    else
        dora__environment_put(e, pair);
}

void
dora__environment_remove(struct dora__environment *e, const char *key)
{
    size_t size = strlen(key), kept = 0;

    for (size_t i = 0; i < e->count; i++)
        if (has_key(e->vars[i], key, size))
            free(e->vars[i]);
        else
            e->vars[kept++] = e->vars[i];
    e->count = kept;
    if (e->vars != NULL)
        e->vars[kept] = NULL;
}

void
dora__environment_fini(struct dora__environment *e)
{
    for (size_t i = 0; i < e->count; i++)
        free(e->vars[i]);
    free(e->vars);
    *e = (struct dora__environment){0};
}
