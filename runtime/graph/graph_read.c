/* graph_read.c - complaints, and values of a wanted form. */
#include "graph_read.h"

#include <stdio.h>
#include <string.h>

enum {
    SUGGESTIONS = 100, /* problems with a search for what was meant */
    SHOWN = 60,        /* bytes of the file's text in a message */
};

static const char *
file_of(const struct dora__reader *r, struct dora__mark mark)
{
    return mark.file == 0 ? r->context->file : r->graph->modules[mark.file - 1];
}

static void
tell(struct dora__reader *r, bool warning, struct dora__mark mark,
     const char *text)
{
    const struct dora_problem problem = {
        .warning = warning,
        .file = file_of(r, mark),
        .line = mark.line,
        .column = mark.column,
        .text = text,
    };

    r->problems++;
    if (r->context->problem != NULL)
        r->context->problem(r->context->problem_arg, &problem);
}

void
dora__complain(struct dora__reader *r, struct dora__mark mark,
               const char *format, ...)
{
    struct dora_error line;
    va_list args;

    va_start(args, format);
    dora__error_vset(&line, format, args);
    va_end(args);
    tell(r, false, mark, line.text);
    if (r->errors++ > 0)
        return;
    if (mark.line == 0)
        dora__error_set(r->err, "%s: %s", r->context->file, line.text);
    else
        dora__error_set(r->err, "%s:%u:%u: %s", file_of(r, mark), mark.line,
                        mark.column, line.text);
}

void
dora__warn(struct dora__reader *r, struct dora__mark mark, const char *format,
           ...)
{
    struct dora_error line;
    va_list args;

    va_start(args, format);
    dora__error_vset(&line, format, args);
    va_end(args);
    tell(r, true, mark, line.text);
}

bool
dora__may_suggest(const struct dora__reader *r)
{
    return r->problems < SUGGESTIONS;
}

struct dora__shown
dora__show_text(const char *text)
{
    struct dora__shown shown = {""};
    size_t size = strlen(text);
    bool cut = size > SHOWN;

    if (cut)
        for (size = SHOWN; size > 0 && (text[size] & 0xC0) == 0x80;)
            size--;
    (void)snprintf(shown.text, sizeof shown.text, "`%.*s%s`", (int)size, text,
                   cut ? "..." : "");
    return shown;
}

struct dora__shown
dora__show(const struct dora__value *value)
{
    switch (value->type) {
    case DORA__LIST:
        return (struct dora__shown){"a list"};
    case DORA__MAP:
        return (struct dora__shown){"a map"};
    case DORA__NULL:
        return (struct dora__shown){"nothing"};
    default:
        return dora__show_text(value->text);
    }
}

struct dora__shown
dora__show_nearest(const struct dora__nearest *near)
{
    struct dora__shown shown = {""};

    if (near->best != NULL)
        (void)snprintf(shown.text, sizeof shown.text, "; did you mean `%.*s`?",
                       SHOWN, near->best);
    return shown;
}

char *
dora__copy_text(struct dora__reader *r, const char *text)
{
    char *copy = strdup(text);

    if (copy == NULL)
        r->no_memory = true;
    return copy;
}

void *
dora__new_array(struct dora__reader *r, size_t count, size_t size)
{
    void *array = calloc(count > 0 ? count : 1, size);

    if (array == NULL)
        r->no_memory = true;
    return array;
}

static void
complain_form(struct dora__reader *r, const struct dora__value *value,
              const char *wanted)
{
    dora__complain(r, value->mark, "%s%s must be %s, not %s", r->owner,
                   value->key ? dora__show_text(value->key).text : "each item",
                   wanted, dora__show(value).text);
}

bool
dora__read_text(struct dora__reader *r, const struct dora__value *value,
                const char **ret_text)
{
    if (value->type == DORA__NULL)
        return false;
    if (value->type != DORA__STRING) {
        complain_form(r, value,
                      value->type == DORA__LIST || value->type == DORA__MAP
                          ? "a string"
                          : "a string (quote it to make it one)");
        return false;
    }
    *ret_text = value->text;
    return true;
}

bool
dora__read_bool(struct dora__reader *r, const struct dora__value *value,
                bool *ret_value)
{
    if (value->type == DORA__NULL)
        return false;
    if (value->type != DORA__BOOL) {
        complain_form(r, value, "`true` or `false`");
        return false;
    }
    *ret_value = value->as.boolean;
    return true;
}

bool
dora__read_count(struct dora__reader *r, const struct dora__value *value,
                 uint32_t least, uint32_t most, uint32_t *ret_value)
{
    char wanted[64];

    if (value->type == DORA__NULL)
        return false;
    if (value->type == DORA__INT && value->as.integer >= (int64_t)least &&
        value->as.integer <= (int64_t)most) {
        *ret_value = (uint32_t)value->as.integer;
        return true;
    }
    (void)snprintf(wanted, sizeof wanted, "a whole number from %u to %u", least,
                   most);
    complain_form(r, value, wanted);
    return false;
}

bool
dora__read_seconds(struct dora__reader *r, const struct dora__value *value,
                   int64_t *ret_ns)
{
    double seconds;

    if (value->type == DORA__NULL)
        return false;
    if (value->type == DORA__INT)
        seconds = (double)value->as.integer;
    else if (value->type == DORA__FLOAT)
        seconds = value->as.number;
    else {
        complain_form(r, value, "a number of seconds");
        return false;
    }
    if (dora__parse_seconds(seconds, ret_ns) < 0) {
        complain_form(r, value, "a finite number of seconds, 0 or more");
        return false;
    }
    return true;
}

bool
dora__read_size(struct dora__reader *r, const struct dora__value *value,
                uint64_t *ret_size)
{
    int rc = -EINVAL;

    if (value->type == DORA__NULL)
        return false;
    if (value->type == DORA__INT && value->as.integer >= 0) {
        *ret_size = (uint64_t)value->as.integer;
        return true;
    }
    if (value->type == DORA__STRING)
        rc = dora__parse_size(value->text, ret_size);
    if (rc < 0)
        complain_form(r, value,
                      "a size such as 4096, \"50MB\" or \"1.5 GB\" (units of "
                      "1024: B, K, KB, M, MB, G, GB)");
    return rc == 0;
}

static void
complain_word(struct dora__reader *r, const struct dora__value *value,
              const char *const *words)
{
    struct dora__nearest near = dora__nearest(value->text);
    struct dora__text list = {0};

    for (size_t i = 0; words[i] != NULL; i++) {
        dora__nearest_consider(&near, words[i]);
        dora__text_printf(&list, "%s`%s`",
                          i == 0                 ? ""
                          : words[i + 1] == NULL ? " or "
                                                 : ", ",
                          words[i]);
    }
    if (list.failed)
        r->no_memory = true;
    else
        dora__complain(r, value->mark, "%s%s must be %s, not %s%s", r->owner,
                       dora__show_text(value->key).text, list.text,
                       dora__show(value).text, dora__show_nearest(&near).text);
    free(list.text);
}

bool
dora__read_word(struct dora__reader *r, const struct dora__value *value,
                const char *const *words, unsigned *ret_number)
{
    if (value->type == DORA__NULL)
        return false;
    for (unsigned i = 0; words[i] != NULL; i++)
        if (value->type == DORA__STRING && strcmp(value->text, words[i]) == 0) {
            *ret_number = i;
            return true;
        }
    complain_word(r, value, words);
    return false;
}

bool
dora__read_list(struct dora__reader *r, const struct dora__value *value)
{
    if (value->type != DORA__LIST && value->type != DORA__NULL)
        complain_form(r, value, "a list");
    return value->type == DORA__LIST;
}

bool
dora__read_map(struct dora__reader *r, const struct dora__value *value)
{
    if (value->type != DORA__MAP && value->type != DORA__NULL)
        complain_form(r, value, "a map (`key: value` lines)");
    return value->type == DORA__MAP;
}

void
dora__check_keys(struct dora__reader *r, const struct dora__value *map,
                 const char *const *names, const char *what)
{
    for (size_t i = 0; i < map->item_count; i++) {
        struct dora__nearest near = dora__nearest(map->items[i].key);
        size_t k = 0;

        for (; names[k] != NULL && strcmp(map->items[i].key, names[k]) != 0;
             k++)
            dora__nearest_consider(&near, names[k]);
        if (names[k] == NULL)
            dora__complain(r, map->items[i].key_mark, "%s: unknown key %s%s",
                           what, dora__show_text(map->items[i].key).text,
                           dora__show_nearest(&near).text);
    }
}
