/* auto.c - what has to hold for a node to run inside the host unasked: nothing
 * about it needs a process of its own, its Python is the one that is there, and
 * its script keeps to what is known to work there (scan.h). */
#include "auto.h"

#include <string.h>

/* Variables that C code reads for itself: of the process, not of a node. */
static bool
is_of_process(const char *key)
{
    static const char *const names[] = {"TZ", "LANG", "LANGUAGE"};
    static const char *const begins[] = {
        "LC_", "LD_", "PYTHON", "OMP_", "MALLOC", "OPENSSL", "SSL_", "GLIBC"};

    for (size_t i = 0; i < DORA_COUNT(names); i++)
        if (strcmp(key, names[i]) == 0)
            return true;
    for (size_t i = 0; i < DORA_COUNT(begins); i++)
        if (strncmp(key, begins[i], strlen(begins[i])) == 0)
            return true;
    return false;
}

static const char *
find_variable(const struct dora__graph_node *node)
{
    for (size_t i = 0; i < node->env_count; i++)
        if (is_of_process(node->env[i].key))
            return node->env[i].key;
    return NULL;
}

/* The node's Python is not the one inside: new text that says which they are.
 */
static char *
tell_apart(const struct dora__auto *a)
{
    if (strcmp(a->python->version, a->host->version) != 0)
        return dora__format("its Python is %s, the one inside dora-run is %s",
                            a->python->version, a->host->version);
    return dora__format("its Python %s is not the one inside dora-run, which "
                        "is %s",
                        a->python->version, a->host->base);
}

/* What speaks against it but for the script: new text; "": nothing. */
static char *
find_obstacle(const struct dora__auto *a)
{
    const struct dora__graph_node *node = a->node;
    const char *variable = find_variable(node);

    if (!a->site->auto_inside)
        return strdup("this program runs nodes inside only if they ask for it");
    if (a->script == NULL)
        return strdup("only a script, a `path` that ends in .py, runs inside");
    if (a->python->build != NULL &&
        dora__python_free_threaded(a->python->build->version))
        return strdup("a node of a free-threaded Python gets a process");
    if (a->host == NULL)
        return strdup(
            "dora-run was built without a Python 3.13 or newer, which "
            "running nodes inside needs");
    if (node->python != NULL)
        return strdup("a node with `python` gets a process");
    if (a->python->build != a->host)
        return tell_apart(a);
    if (node->build != NULL)
        return strdup("a node with `build` gets a process");
    if (node->restart_policy != DORA__RESTART_NEVER)
        return strdup("a node with `restart_policy` gets a process");
    if (node->startup_timeout_ns > 0)
        return strdup("a node with `startup_timeout` gets a process");
    if (node->health_check_timeout_ns > 0)
        return strdup("a node with `health_check_timeout` gets a process");
    if (variable != NULL)
        return dora__format("%s in its `env` would hold for all nodes inside",
                            variable);
    return strdup("");
}

int
dora__auto_inside(const struct dora__auto *a, char **ret_reason)
{
    DORA_AUTOFREE char *obstacle = find_obstacle(a);
    const char *why = obstacle;
    int inside = 0;

    if (obstacle == NULL)
        return -ENOMEM;
    if (*obstacle == '\0')
        inside = dora__scan_script(a->scan, a->script, &why);
    if (inside < 0)
        return inside;
    *ret_reason =
        dora__format("auto: %s", inside > 0 ? "it keeps to modules that are "
                                              "known to work inside"
                                            : why);
    return *ret_reason == NULL ? -ENOMEM : inside;
}
