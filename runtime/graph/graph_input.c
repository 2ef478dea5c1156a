/* graph_input.c - inputs: short and long form, and what feeds them.
 *
 * The grammar of sources is split at the first slash: a node's output may have
 * slashes of its own. Whether that node and output exist is seen when all nodes
 * are known (graph_link.c). */
#include "graph_read.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* What feeds an input, as written. */
struct source {
    const char *text;
    struct dora__mark mark;
};

static const struct {
    const char *name;
    int64_t ns;
} units[] = {
    {"secs", 1000000000},
    {"millis", 1000000},
    {"micros", 1000},
    {"nanos", 1},
};

static bool
set_period(struct dora__reader *r, struct source source,
           struct dora__graph_input *input, double seconds, int64_t ns)
{
    if (ns < DORA__MIN_PERIOD_NS) {
        dora__complain(r, source.mark,
                       "%s%s ticks every %.3g s; the shortest period is %d us",
                       r->owner, dora__show_text(source.text).text, seconds,
                       DORA__MIN_PERIOD_NS / 1000);
        return false;
    }
    input->kind = DORA__INPUT_TIMER;
    input->period_ns = ns < DORA__FOREVER_NS ? ns : DORA__FOREVER_NS;
    return true;
}

static bool
read_rate(struct dora__reader *r, struct source source, const char *text,
          struct dora__graph_input *input)
{
    struct dora__value number = {.text = text};
    double hz = NAN;
    int64_t ns;

    dora__value_type_scalar(&number);
    if (number.type == DORA__INT)
        hz = (double)number.as.integer;
    else if (number.type == DORA__FLOAT)
        hz = number.as.number;
    if (!isfinite(hz) || hz <= 0) {
        dora__complain(r, source.mark,
                       "%s%s: a rate above 0 was expected after `hz/`, as in "
                       "`dora/timer/hz/30`",
                       r->owner, dora__show_text(source.text).text);
        return false;
    }
    if (dora__parse_seconds(1 / hz, &ns) < 0)
        ns = DORA__FOREVER_NS;
    return set_period(r, source, input, 1 / hz, ns);
}

static bool
read_timer(struct dora__reader *r, struct source source, const char *rest,
           struct dora__graph_input *input)
{
    const char *slash = strchr(rest, '/');
    size_t size = slash != NULL ? (size_t)(slash - rest) : strlen(rest);
    struct dora__value number = {.text = slash != NULL ? slash + 1 : ""};

    if (slash != NULL && size == 2 && memcmp(rest, "hz", 2) == 0)
        return read_rate(r, source, number.text, input);
    for (size_t i = 0; slash != NULL && i < DORA_COUNT(units); i++) {
        int64_t ns;

        if (strlen(units[i].name) != size ||
            memcmp(rest, units[i].name, size) != 0)
            continue;
        dora__value_type_scalar(&number);
        if (number.text[strspn(number.text, "0123456789")] != '\0' ||
            number.type != DORA__INT || number.as.integer == 0) {
            dora__complain(r, source.mark,
                           "%s%s: a whole number above 0 was expected after "
                           "`%s/`",
                           r->owner, dora__show_text(source.text).text,
                           units[i].name);
            return false;
        }
        if (__builtin_mul_overflow(number.as.integer, units[i].ns, &ns))
            ns = DORA__FOREVER_NS;
        return set_period(r, source, input, (double)ns / 1e9, ns);
    }
    dora__complain(r, source.mark,
                   "%s%s is not a timer: `dora/timer/` goes on with `secs/N`, "
                   "`millis/N`, `micros/N`, `nanos/N` or `hz/F`",
                   r->owner, dora__show_text(source.text).text);
    return false;
}

static bool
read_logs(struct dora__reader *r, struct source source, const char *rest,
          struct dora__graph_input *input)
{
    static const char *const levels[] = {"error", "warn",  "info",
                                         "debug", "trace", "stdout"};
    size_t size = strcspn(rest, "/");
    const char *node = rest[size] == '/' ? rest + size + 1 : NULL;

    input->kind = DORA__INPUT_LOGS;
    if (*rest == '\0')
        return true;
    for (size_t i = 0; i < DORA_COUNT(levels); i++)
        if (strlen(levels[i]) == size && memcmp(rest, levels[i], size) == 0)
            input->log_level = (enum dora_level)(i + 1);
    if (input->log_level == 0) {
        dora__complain(r, source.mark,
                       "%s%s: the level must be `error`, `warn`, `info`, "
                       "`debug`, `trace` or `stdout`",
                       r->owner, dora__show_text(source.text).text);
        return false;
    }
    if (node == NULL)
        return true;
    if (dora__node_id_fault(node) != NULL) {
        dora__complain(r, source.mark, "%s%s: the node's id %s", r->owner,
                       dora__show_text(source.text).text,
                       dora__node_id_fault(node));
        return false;
    }
    input->log_node = dora__copy_text(r, node);
    return true;
}

static bool
read_own_source(struct dora__reader *r, struct source source,
                struct dora__graph_input *input)
{
    const char *rest = source.text + strlen("dora/");

    if (strncmp(rest, "timer/", 6) == 0)
        return read_timer(r, source, rest + 6, input);
    if (strcmp(rest, "logs") == 0)
        return read_logs(r, source, "", input);
    if (strncmp(rest, "logs/", 5) == 0 && rest[5] != '\0')
        return read_logs(r, source, rest + 5, input);
    dora__complain(r, source.mark,
                   "%sunknown dora input %s: `dora/timer/...` or "
                   "`dora/logs[/LEVEL[/NODE]]` was expected",
                   r->owner, dora__show_text(source.text).text);
    return false;
}

static bool
read_source(struct dora__reader *r, struct source source,
            struct dora__graph_input *input)
{
    const char *slash = strchr(source.text, '/');
    const char *fault;
    DORA_AUTOFREE char *node = NULL;

    input->mark = source.mark;
    if (slash == NULL) {
        dora__complain(r, source.mark,
                       "%sthe source %s must begin with `<node>/`, as in "
                       "`camera/image` or `dora/timer/millis/100`",
                       r->owner, dora__show_text(source.text).text);
        return false;
    }
    if (strncmp(source.text, "dora/", 5) == 0)
        return read_own_source(r, source, input);
    node = strndup(source.text, (size_t)(slash - source.text));
    if (node == NULL) {
        r->no_memory = true;
        return false;
    }
    fault = dora__node_id_fault(node);
    if (fault != NULL)
        dora__complain(r, source.mark, "%sthe node's id in the source %s %s",
                       r->owner, dora__show_text(source.text).text, fault);
    else if ((fault = dora__port_id_fault(slash + 1)) != NULL)
        dora__complain(r, source.mark, "%sthe output's id in the source %s %s",
                       r->owner, dora__show_text(source.text).text, fault);
    return fault == NULL;
}

static void
read_policy(struct dora__reader *r, const struct dora__value *value,
            struct dora__graph_input *input)
{
    static const char *const policies[] = {"drop_oldest", "backpressure", NULL};
    unsigned policy = 0;

    if (value->type == DORA__STRING && strcmp(value->text, "drop-oldest") == 0)
        return;
    if (dora__read_word(r, value, policies, &policy) && policy == 1)
        input->policy = DORA__BACKPRESSURE;
}

/* 0 is what some files say for "only the newest". */
static void
read_queue_size(struct dora__reader *r, const struct dora__value *value,
                struct dora__graph_input *input)
{
    (void)dora__read_count(r, value, 0, DORA__MAX_QUEUE, &input->queue_size);
    if (input->queue_size > 0)
        return;
    input->queue_size = 1;
    dora__warn(r, value->mark, "%s`queue_size` 0 is taken for 1", r->owner);
}

static void
read_option(struct dora__reader *r, const struct dora__value *value,
            struct dora__graph_input *input)
{
    static const char *const keys[] = {"source", "queue_size", "queue_policy",
                                       "input_timeout"};
    struct dora__nearest near = dora__nearest(value->key);

    if (strcmp(value->key, "source") == 0) {
        return;
    } else if (strcmp(value->key, "queue_size") == 0) {
        read_queue_size(r, value, input);
    } else if (strcmp(value->key, "queue_policy") == 0) {
        read_policy(r, value, input);
    } else if (strcmp(value->key, "input_timeout") == 0) {
        (void)dora__read_seconds(r, value, &input->timeout_ns);
    } else {
        for (size_t i = 0; i < DORA_COUNT(keys); i++)
            dora__nearest_consider(&near, keys[i]);
        dora__warn(r, value->key_mark, "%sthe unknown key %s is ignored%s",
                   r->owner, dora__show_text(value->key).text,
                   dora__show_nearest(&near).text);
    }
}

/* Whether the input can be linked. */
static bool
read_input(struct dora__reader *r, const struct dora__value *value,
           struct dora__graph_input *input)
{
    const struct dora__value *source = value;
    const char *text = NULL;

    input->queue_size = DORA__QUEUE_DEFAULT;
    if (value->type == DORA__MAP) {
        source = dora__value_get(value, "source");
        for (size_t i = 0; i < value->item_count; i++)
            read_option(r, &value->items[i], input);
    }
    if (source == NULL || source->type == DORA__NULL) {
        dora__complain(r, source != NULL ? source->mark : value->mark,
                       "%sa `source` is missing, as in `source: camera/image`",
                       r->owner);
        return false;
    }
    if (source == value && value->type != DORA__STRING) {
        dora__complain(r, value->mark,
                       "%sa source such as `camera/image` or a map with "
                       "`source` was expected, not %s",
                       r->owner, dora__show(value).text);
        return false;
    }
    if (!dora__read_text(r, source, &text))
        return false;
    input->source = dora__copy_text(r, text);
    return read_source(r, (struct source){text, source->mark}, input) &&
           input->source != NULL;
}

static int
by_id(const void *left, const void *right)
{
    const struct dora__graph_input *a = left, *b = right;

    return strcmp(a->id, b->id);
}

void
dora__read_inputs(struct dora__reader *r, const struct dora__value *value,
                  struct dora__graph_node *node)
{
    char owner[sizeof r->owner];
    int length;

    if (!dora__read_map(r, value))
        return;
    node->inputs = dora__new_array(r, value->item_count, sizeof *node->inputs);
    if (node->inputs == NULL)
        return;
    memcpy(owner, r->owner, sizeof owner);
    length = (int)strlen(owner) - 2; /* without ": " */
    for (size_t i = 0; i < value->item_count && !r->no_memory; i++) {
        const struct dora__value *item = &value->items[i];
        struct dora__graph_input *input = &node->inputs[node->input_count];
        const char *fault = dora__port_id_fault(item->key);

        if (fault != NULL)
            dora__complain(r, item->key_mark, "%sthe input's id %s %s", owner,
                           dora__show_text(item->key).text, fault);
        (void)snprintf(r->owner, sizeof r->owner, "%.*s, input %s: ", length,
                       owner, dora__show_text(item->key).text);
        input->id = dora__copy_text(r, item->key);
        if (input->id == NULL)
            break;
        node->input_count++;
        if (!read_input(r, item, input)) {
            free(input->source);
            input->source = NULL;
        }
    }
    memcpy(r->owner, owner, sizeof owner);
    qsort(node->inputs, node->input_count, sizeof *node->inputs, by_id);
}

void
dora__write_source(const struct dora__graph_input *input,
                   struct dora__text *out)
{
    if (input->kind != DORA__INPUT_TIMER) {
        dora__text_puts(out, input->source);
        return;
    }
    for (size_t i = 0; i < DORA_COUNT(units); i++)
        if (input->period_ns % units[i].ns == 0) {
            dora__text_printf(out, "dora/timer/%s/%lld", units[i].name,
                              (long long)(input->period_ns / units[i].ns));
            return;
        }
}
