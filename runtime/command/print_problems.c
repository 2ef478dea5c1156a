/* print_problems.c - what is wrong with a dataflow file, all of it at once, in
 * the order of the file and in the form that editors jump to:
 *
 *     flow.yml:12:9: error: no node `camra`; did you mean `camera`?
 *        12 |       image: camra/image
 *           |              ^
 */
#include "print.h"

#include <stdio.h>
#include <string.h>

struct problem {
    char *file, *text;
    unsigned line, column;
    bool warning;
    size_t number; /* in the order they were found */
};

void
problems_add(void *arg, const struct dora_problem *problem)
{
    struct problems *problems = arg;
    size_t count = problems->count;
    struct problem *items;

    problems->errors += !problem->warning;
    items = reallocarray(problems->items, count + 1, sizeof *items);
    if (!items) {
        problems->failed = true;
        return;
    }
    problems->items = items;
    items[count] = (struct problem){
        .file = strdup(problem->file ? problem->file : ""),
        .text = strdup(problem->text),
        .line = problem->line,
        .column = problem->column,
        .warning = problem->warning,
        .number = count,
    };
    problems->count++;
}

void
problems_fini(struct problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        free(problems->items[i].file);
        free(problems->items[i].text);
    }
    free(problems->items);
    *problems = (struct problems){0};
}

static int
compare(const void *left, const void *right)
{
    const struct problem *a = left, *b = right;

    if (a->line != b->line)
        return a->line < b->line ? -1 : 1;
    if (a->column != b->column)
        return a->column < b->column ? -1 : 1;
    return a->number < b->number ? -1 : a->number > b->number;
}

/* Line `number` of the file, without its end; NULL: none. */
static char *
read_line(const char *path, unsigned number)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size = -1;

    if (!file)
        return NULL;
    for (unsigned i = 0; i < number; i++) {
        size = getline(&line, &capacity, file);
        if (size < 0)
            break;
    }
    (void)fclose(file);
    if (size < 0) {
        free(line);
        return NULL;
    }
    line[strcspn(line, "\r\n")] = '\0';
    return line;
}

/* The line with a mark below the column. Columns count characters, of which
 * only the first byte in UTF-8 has not the form 10xxxxxx. */
static void
print_source(const struct problem *problem, bool colours)
{
    enum { LONGEST = 300 };
    DORA_AUTOFREE char *line = read_line(problem->file, problem->line);
    unsigned column = 1;

    if (!line || strlen(line) > LONGEST)
        return;
    for (char *at = line; *at; at++)
        if ((unsigned char)*at < ' ' && *at != '\t')
            *at = '?';
    (void)fprintf(stderr, "%6u | %s\n       | ", problem->line, line);
    for (const char *at = line; *at && column < problem->column; at++) {
        if ((at[1] & 0xC0) != 0x80) {
            (void)fputc(*at == '\t' ? '\t' : ' ', stderr);
            column++;
        }
    }
    (void)fprintf(stderr, "%s^%s\n", colours ? "\033[1;32m" : "",
                  colours ? "\033[0m" : "");
}

static void
print_problem(const struct problem *problem, bool terminal, bool colours)
{
    const char *colour = problem->warning ? "\033[1;33m" : "\033[1;31m";

    if (!problem->file || !problem->text)
        return;
    (void)fprintf(stderr, "%s:", problem->file);
    if (problem->line)
        (void)fprintf(stderr, "%u:%u:", problem->line, problem->column);
    (void)fprintf(stderr, " %s%s:%s %s\n", colours ? colour : "",
                  problem->warning ? "warning" : "error",
                  colours ? "\033[0m" : "", problem->text);
    if (terminal && problem->line)
        print_source(problem, colours);
}

void
problems_print(struct problems *problems)
{
    bool terminal = isatty(STDERR_FILENO);
    bool colours = print_colours(STDERR_FILENO);

    if (problems->count)
        qsort(problems->items, problems->count, sizeof *problems->items,
              compare);
    for (size_t i = 0; i < problems->count; i++)
        print_problem(&problems->items[i], terminal, colours);
    if (problems->failed)
        (void)fputs("dora-run: out of memory: some are not shown\n", stderr);
}
