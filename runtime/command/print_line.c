/* print_line.c - a line of a node as a person sees it: time, level, node, text,
 * in colours on a terminal. */
#include "print.h"

#include <stdio.h>
#include <string.h>

#define RESET "\033[0m"
#define DIM "\033[2m"

static const char *
level_word(const struct dora_log_record *record)
{
    static const char *const words[] = {"ERROR", "WARN", "INFO", "DEBUG",
                                        "TRACE"};
    unsigned number = (unsigned)record->level - DORA_LEVEL_ERROR;

    if (number < DORA_COUNT(words))
        return words[number];
    return record->stream == DORA_STREAM_STDERR ? "stderr" : "stdout";
}

static const char *
level_colour(const struct dora_log_record *record)
{
    switch (record->level) {
    case DORA_LEVEL_ERROR:
        return "\033[1;31m";
    case DORA_LEVEL_WARN:
        return "\033[33m";
    default:
        return DIM;
    }
}

/* One of six, always the same for a name. */
static const char *
node_colour(const char *node)
{
    static const char *const colours[] = {
        "\033[36m", "\033[32m", "\033[35m", "\033[34m", "\033[96m", "\033[92m",
    };
    uint32_t hash = 2166136261u;

    for (; *node; node++)
        hash = (hash ^ (unsigned char)*node) * 16777619u;
    return colours[hash % DORA_COUNT(colours)];
}

static const char *
clock_text(struct print_look *look, int64_t time_ns)
{
    time_t second = (time_t)(time_ns / 1000000000);
    struct tm parts;

    if (second != look->second || !*look->clock) {
        look->second = second;
        if (!localtime_r(&second, &parts) ||
            !strftime(look->clock, sizeof look->clock, "%H:%M:%S", &parts))
            (void)snprintf(look->clock, sizeof look->clock, "--:--:--");
    }
    return look->clock;
}

/* What a terminal would show of a line that overwrites itself: progress bars
 * return to its beginning again and again. */
static void
last_overwrite(const char **text, size_t *size)
{
    const char *again;

    while (*size && (*text)[*size - 1] == '\r')
        --*size;
    again = memrchr(*text, '\r', *size);
    if (again) {
        *size -= (size_t)(again + 1 - *text);
        *text = again + 1;
    }
}

/* In that colour, at least `width` characters; no printf for each line. */
static void
put(struct dora__text *line, const char *colour, const char *text, size_t width)
{
    if (colour)
        dora__text_puts(line, colour);
    dora__text_puts(line, text);
    for (size_t size = strlen(text); size < width; size++)
        dora__text_puts(line, " ");
    if (colour)
        dora__text_puts(line, RESET);
}

void
print_line(struct print_look *look, const struct dora_log_record *record,
           struct dora__text *line)
{
    const char *node = record->node ? record->node : "dora-run";
    const char *text = record->text;
    size_t size = record->text_size;
    bool colours = look->colours;

    if (colours)
        last_overwrite(&text, &size);
    put(line, colours ? DIM : NULL, clock_text(look, record->time_ns), 8);
    dora__text_puts(line, " ");
    put(line, colours ? level_colour(record) : NULL, level_word(record), 6);
    dora__text_puts(line, " ");
    put(line, colours ? node_colour(node) : NULL, node, 0);
    dora__text_puts(line, ": ");
    if (record->target) {
        dora__text_puts(line, record->target);
        dora__text_puts(line, ": ");
    }
    dora__text_add(line, text, size);
    if (colours && memchr(text, '\033', size))
        dora__text_puts(line, RESET);
    dora__text_puts(line, "\n");
}
