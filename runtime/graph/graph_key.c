/* graph_key.c - the keys of a node.
 *
 * One table says which keys there are, which kinds of node may have them and
 * who reads them, so that an unknown key, a key of another kind and a
 * suggestion are all answered from the same place. */
#include "graph_read.h"

#include <stddef.h>
#include <string.h>

/* Keys whose value is stored as it is read: what is at `field` is a char *, an
 * int64_t of ns, or a uint64_t of bytes. */
typedef void store_function(struct dora__reader *r,
                            const struct dora__value *value, void *field);

static void
store_text(struct dora__reader *r, const struct dora__value *value, void *field)
{
    const char *text;

    if (!dora__read_text(r, value, &text))
        return;
    free(*(char **)field); /* what an operator's block said of it */
    *(char **)field = dora__copy_text(r, text);
}

static void
store_seconds(struct dora__reader *r, const struct dora__value *value,
              void *field)
{
    (void)dora__read_seconds(r, value, field);
}

static void
store_size(struct dora__reader *r, const struct dora__value *value, void *field)
{
    (void)dora__read_size(r, value, field);
}

/* The others, into whatever is theirs of the node. */
typedef void read_function(struct dora__reader *r,
                           const struct dora__value *value,
                           struct dora__graph_node *node);

bool
dora__read_path(struct dora__reader *r, const struct dora__value *value,
                struct dora__graph_node *node)
{
    size_t errors = r->errors;
    const char *text;

    node->path_mark = value->mark;
    if (!dora__read_text(r, value, &text))
        return false;
    if (*text == '\0')
        dora__complain(r, value->mark, "%s`%s` is empty", r->owner, value->key);
    else if (strncmp(text, "http://", 7) == 0 ||
             strncmp(text, "https://", 8) == 0)
        dora__complain(r, value->mark,
                       "%sdownloading %s is not supported by this version: "
                       "download the program and give its path",
                       r->owner, dora__show_text(text).text);
    node->path = dora__copy_text(r, text);
    return r->errors == errors;
}

static void
read_path(struct dora__reader *r, const struct dora__value *value,
          struct dora__graph_node *node)
{
    (void)dora__read_path(r, value, node);
}

static void
read_hash(struct dora__reader *r, const struct dora__value *value,
          struct dora__graph_node *node)
{
    const char *text;

    (void)node;
    if (dora__read_text(r, value, &text) &&
        (strlen(text) != 64 ||
         text[strspn(text, "0123456789abcdefABCDEF")] != '\0'))
        dora__complain(r, value->mark,
                       "%s`path_sha256` must be 64 hexadecimal digits, not %s",
                       r->owner, dora__show_text(text).text);
}

static void
read_args(struct dora__reader *r, const struct dora__value *value,
          struct dora__graph_node *node)
{
    const char *text;

    if (!dora__read_text(r, value, &text))
        return;
    free(node->args_text);
    node->args_text = dora__copy_text(r, text);
}

static void
read_outputs(struct dora__reader *r, const struct dora__value *value,
             struct dora__graph_node *node)
{
    if (!dora__read_list(r, value)) {
        node->outputs_unread = value->type != DORA__NULL;
        return;
    }
    node->outputs =
        dora__new_array(r, value->item_count, sizeof *node->outputs);
    if (node->outputs == NULL)
        return;
    for (size_t i = 0; i < value->item_count && !r->no_memory; i++) {
        const struct dora__value *item = &value->items[i];
        struct dora__graph_output *output = &node->outputs[node->output_count];
        const char *fault;

        if (item->type != DORA__STRING) {
            dora__complain(r, item->mark,
                           "%san output's id must be a string, not %s",
                           r->owner, dora__show(item).text);
            continue;
        }
        fault = dora__port_id_fault(item->text);
        if (fault != NULL)
            dora__complain(r, item->mark, "%sthe output's id %s %s", r->owner,
                           dora__show(item).text, fault);
        output->mark = item->mark;
        output->id = dora__copy_text(r, item->text);
        if (output->id != NULL)
            node->output_count++;
    }
}

/* A map of ids to words; the ids are looked at when all are known. */
static void
read_words(struct dora__reader *r, const struct dora__value *value,
           struct dora__graph_node *node)
{
    (void)node;
    if (!dora__read_map(r, value))
        return;
    for (size_t i = 0; i < value->item_count; i++) {
        const char *text;

        (void)dora__read_text(r, &value->items[i], &text);
    }
}

static void
read_framing(struct dora__reader *r, const struct dora__value *value,
             struct dora__graph_node *node)
{
    static const char *const framings[] = {"raw", "arrow-ipc", NULL};
    unsigned ignored;

    (void)node;
    if (!dora__read_map(r, value))
        return;
    for (size_t i = 0; i < value->item_count; i++)
        (void)dora__read_word(r, &value->items[i], framings, &ignored);
}

static void
read_metadata_keys(struct dora__reader *r, const struct dora__value *value,
                   struct dora__graph_node *node)
{
    const char *text;

    (void)node;
    if (!dora__read_map(r, value))
        return;
    for (size_t i = 0; i < value->item_count; i++) {
        const struct dora__value *list = &value->items[i];

        if (dora__read_list(r, list))
            for (size_t k = 0; k < list->item_count; k++)
                (void)dora__read_text(r, &list->items[k], &text);
    }
}

static void
read_pattern(struct dora__reader *r, const struct dora__value *value,
             struct dora__graph_node *node)
{
    static const char *const patterns[] = {"service-server", "service-client",
                                           "action-server", "action-client"};
    const char *text;

    (void)node;
    if (!dora__read_text(r, value, &text))
        return;

    struct dora__nearest near = dora__nearest(text);

    for (size_t i = 0; i < DORA_COUNT(patterns); i++) {
        if (strcmp(text, patterns[i]) == 0)
            return;
        dora__nearest_consider(&near, patterns[i]);
    }
    dora__warn(r, value->mark, "%sthe `pattern` %s is not known%s", r->owner,
               dora__show_text(text).text, dora__show_nearest(&near).text);
}

static void
read_level(struct dora__reader *r, const struct dora__value *value,
           struct dora__graph_node *node)
{
    static const char *const levels[] = {"error", "warn",   "info", "debug",
                                         "trace", "stdout", NULL};
    unsigned number;

    if (dora__read_word(r, value, levels, &number))
        node->min_log_level = (enum dora_level)(number + 1);
}

static void
read_rotated(struct dora__reader *r, const struct dora__value *value,
             struct dora__graph_node *node)
{
    (void)dora__read_count(r, value, 1, 100, &node->max_rotated_files);
}

static void
read_restart(struct dora__reader *r, const struct dora__value *value,
             struct dora__graph_node *node)
{
    static const char *const policies[] = {"never", "on-failure", "always",
                                           NULL};
    unsigned number;

    if (dora__read_word(r, value, policies, &number))
        node->restart_policy = (enum dora__restart)number;
}

static void
read_max_restarts(struct dora__reader *r, const struct dora__value *value,
                  struct dora__graph_node *node)
{
    (void)dora__read_count(r, value, 0, UINT32_MAX, &node->max_restarts);
}

static void
read_heap_limit(struct dora__reader *r, const struct dora__value *value,
                struct dora__graph_node *node)
{
    if (dora__read_size(r, value, &node->heap_limit) && node->heap_limit == 0)
        dora__complain(r, value->mark, "%s`heap_limit` must be above 0",
                       r->owner);
}

static void
read_heap_full(struct dora__reader *r, const struct dora__value *value,
               struct dora__graph_node *node)
{
    static const char *const words[] = {"error", "wait", NULL};
    unsigned number;

    if (dora__read_word(r, value, words, &number))
        node->heap_full = (enum dora__heap_full)number;
}

static void
read_affinity(struct dora__reader *r, const struct dora__value *value,
              struct dora__graph_node *node)
{
    if (!dora__read_list(r, value))
        return;
    node->cpu_affinity =
        dora__new_array(r, value->item_count, sizeof *node->cpu_affinity);
    if (node->cpu_affinity == NULL)
        return;
    for (size_t i = 0; i < value->item_count; i++) {
        const struct dora__value *item = &value->items[i];

        if (item->type == DORA__INT && item->as.integer >= 0 &&
            item->as.integer <= DORA__MAX_CORE)
            node->cpu_affinity[node->cpu_count++] = (uint32_t)item->as.integer;
        else
            dora__complain(r, item->mark,
                           "%s`cpu_affinity` must list numbers of cores, from "
                           "0, not %s",
                           r->owner, dora__show(item).text);
    }
}

static void
read_isolation(struct dora__reader *r, const struct dora__value *value,
               struct dora__graph_node *node)
{
    static const char *const words[] = {"auto", "interpreter", "process", NULL};
    unsigned number;

    if (dora__read_word(r, value, words, &number))
        node->isolation = (enum dora__isolation)number;
}

static void
read_python(struct dora__reader *r, const struct dora__value *value,
            struct dora__graph_node *node)
{
    store_text(r, value, &node->python);
    if (node->python != NULL && *node->python == '\0')
        dora__complain(r, value->mark, "%s`python` is empty", r->owner);
}

static void
refuse_deploy(struct dora__reader *r, const struct dora__value *value,
              struct dora__graph_node *node)
{
    (void)node;
    if (value->type != DORA__NULL)
        dora__complain(r, value->key_mark,
                       "%sdora-run does not support `deploy`: it runs all "
                       "nodes on this machine",
                       r->owner);
}

enum {
    PROGRAM = DORA__KIND_PATH | DORA__KIND_HUB,
    PROCESS = PROGRAM | DORA__KIND_ROS2,
    PORTS = PROCESS | DORA__KIND_BLOCK,
    PYTHON = PROGRAM | DORA__KIND_OPERATOR,
    ANY = DORA__KIND_ALL | DORA__KIND_BLOCK,
};

#define STORE(what, member) \
    .store = store_##what, .field = offsetof(struct dora__graph_node, member)

/* In the order in which they are listed to people. Without a function: id and
 * env, which are read before the others, and what says where a node's files or
 * its operator come from, which is read together. */
static const struct key {
    const char *name;
    unsigned kinds;
    read_function *read;
    store_function *store;
    size_t field; /* of the node, for `store` */
} keys[] = {
    {"id", ANY, .read = NULL},
    {"name", ANY, STORE(text, name)},
    {"description", ANY, STORE(text, description)},
    {"path", DORA__KIND_PATH, .read = read_path},
    {"path_sha256", DORA__KIND_PATH, .read = read_hash},
    {"args", DORA__KIND_PATH | DORA__KIND_ROS2, .read = read_args},
    {"env", DORA__KIND_ALL, .read = NULL},
    {"inputs", PORTS | DORA__KIND_MODULE, .read = dora__read_inputs},
    {"outputs", PORTS, .read = read_outputs},
    {"input_types", PORTS, .read = read_words},
    {"output_types", PORTS, .read = read_words},
    {"output_framing", PORTS, .read = read_framing},
    {"output_metadata", PORTS, .read = read_metadata_keys},
    {"pattern", PORTS, .read = read_pattern},
    {"build", PROGRAM | DORA__KIND_MODULE | DORA__KIND_BLOCK,
     STORE(text, build)},
    {"git", DORA__KIND_PATH, .read = NULL},
    {"branch", DORA__KIND_PATH, .read = NULL},
    {"tag", DORA__KIND_PATH, .read = NULL},
    {"rev", DORA__KIND_PATH, .read = NULL},
    {"send_stdout_as", PORTS, STORE(text, send_stdout_as)},
    {"send_logs_as", PORTS, STORE(text, send_logs_as)},
    {"min_log_level", PORTS, .read = read_level},
    {"max_log_size", PORTS, STORE(size, max_log_size)},
    {"max_rotated_files", PORTS, .read = read_rotated},
    {"restart_policy", PROCESS, .read = read_restart},
    {"max_restarts", PROCESS, .read = read_max_restarts},
    {"restart_delay", PROCESS, STORE(seconds, restart_delay_ns)},
    {"max_restart_delay", PROCESS, STORE(seconds, max_restart_delay_ns)},
    {"restart_window", PROCESS, STORE(seconds, restart_window_ns)},
    {"startup_timeout", PROCESS, STORE(seconds, startup_timeout_ns)},
    {"health_check_timeout", PROCESS, STORE(seconds, health_check_timeout_ns)},
    {"finish_grace_secs", PROCESS, STORE(seconds, finish_grace_ns)},
    {"shared_memory_pool_size", PROGRAM, STORE(size, pool_size)},
    {"cpu_affinity", PYTHON, .read = read_affinity},
    {"isolation", PYTHON, .read = read_isolation},
    {"python", PYTHON, .read = read_python},
    {"heap_limit", PYTHON, .read = read_heap_limit},
    {"heap_full", PYTHON, .read = read_heap_full},
    {"deploy", DORA__KIND_ALL, .read = refuse_deploy},
    {"operator", DORA__KIND_OPERATOR, .read = NULL},
    {"operators", DORA__KIND_OPERATOR, .read = NULL},
    {"python", DORA__KIND_BLOCK, .read = NULL},
    {"shared-library", DORA__KIND_BLOCK, .read = NULL},
    {"wasm", DORA__KIND_BLOCK, .read = NULL},
    {"ros2", DORA__KIND_ROS2, .read = NULL},
    {"module", DORA__KIND_MODULE, .read = NULL},
    {"params", DORA__KIND_MODULE, .read = NULL},
    {"hub", DORA__KIND_HUB, .read = NULL},
};

/* What nodes of the kind have by that name, else what others have. */
static const struct key *
find_key(const char *name, unsigned kind)
{
    const struct key *other = NULL;

    for (size_t i = 0; i < DORA_COUNT(keys); i++) {
        if (strcmp(keys[i].name, name) != 0)
            continue;
        if (kind == 0 || (keys[i].kinds & kind) != 0)
            return &keys[i];
        other = &keys[i];
    }
    return other;
}

bool
dora__has_key(unsigned kind, const char *name)
{
    const struct key *key = find_key(name, kind);

    return key != NULL && (key->kinds & kind) != 0;
}

/* Among those of the kinds. */
static struct dora__shown
nearest_key(const struct dora__reader *r, const char *name, unsigned kinds)
{
    struct dora__nearest near = dora__nearest(name);

    for (size_t i = 0; i < DORA_COUNT(keys) && dora__may_suggest(r); i++)
        if ((keys[i].kinds & kinds) != 0)
            dora__nearest_consider(&near, keys[i].name);
    return dora__show_nearest(&near);
}

static void
complain_unknown(struct dora__reader *r, const struct dora__value *value)
{
    if (strcmp(value->key, "custom") == 0)
        dora__complain(r, value->key_mark,
                       "%s`custom` is gone since dora 1.0: write `path`, "
                       "`args`, `inputs` and `outputs` in the node itself",
                       r->owner);
    else
        dora__complain(r, value->key_mark, "%sunknown key %s%s", r->owner,
                       dora__show_text(value->key).text,
                       nearest_key(r, value->key, DORA__KIND_ALL).text);
}

/* In the block of an operator, of which dora 1.x says nothing. */
static void
warn_unknown(struct dora__reader *r, const struct dora__value *value)
{
    dora__warn(r, value->key_mark, "%sthe unknown key %s is ignored%s",
               r->owner, dora__show_text(value->key).text,
               nearest_key(r, value->key, DORA__KIND_BLOCK).text);
}

bool
dora__read_key(struct dora__reader *r, const struct dora__value *value,
               unsigned kind, struct dora__graph_node *node)
{
    const struct key *key = find_key(value->key, kind);

    if (key == NULL && kind == DORA__KIND_BLOCK)
        warn_unknown(r, value);
    else if (key == NULL)
        complain_unknown(r, value);
    else if (kind != 0 && (key->kinds & kind) == 0)
        return false;
    else if (key->read != NULL)
        key->read(r, value, node);
    else if (key->store != NULL)
        key->store(r, value, (char *)node + key->field);
    return true;
}
