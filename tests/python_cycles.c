/* python_cycles.c - starts and ends a dataflow of Python nodes inside this
 * process, again and again: every edge is to deliver in every cycle. Says what
 * there is of the process after the tenth cycle, after each tenth of all, and
 * after the last, a line of JSON each:
 *
 *     [cycle, descriptors, threads, children, resident KB]
 *
 *     python_cycles LIBEXEC PYTHON CYCLES FLOW.yml */
#include "dora.h"
#include "facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static long
resident(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    long size, pages = 0;

    if (file == NULL)
        return 0;
    if (fscanf(file, "%ld %ld", &size, &pages) != 2)
        pages = 0;
    (void)fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static int
check_edges(struct dora_dataflow *flow, struct dora_error *err)
{
    struct dora_edge_stats edge;

    for (size_t i = 0; dora_dataflow_edge_stats(flow, i, &edge) == 0; i++)
        if (edge.delivered == 0 ||
            edge.sent != edge.delivered + edge.dropped + edge.queued) {
            (void)snprintf(err->text, sizeof err->text,
                           "%s -> %s/%s: %llu sent, %llu delivered",
                           edge.source, edge.to_node, edge.input,
                           (unsigned long long)edge.sent,
                           (unsigned long long)edge.delivered);
            return -1;
        }
    return 0;
}

static int
run_once(const char *path, const struct dora_options *options)
{
    struct dora_dataflow *flow = NULL;
    struct dora_error err = {""};
    int code = dora_dataflow_load_file(path, options, &flow, &err);

    if (code == 0)
        code = dora_dataflow_start(flow, &err);
    if (code == 0)
        code = dora_dataflow_wait(flow, -1, &err);
    if (code == 0)
        code = check_edges(flow, &err);
    dora_dataflow_free(flow);
    if (code < 0)
        (void)fprintf(stderr, "%s\n", err.text);
    return code;
}

static void
say(int cycle)
{
    (void)printf("[%d, %u, %u, %u, %ld]\n", cycle, entries("/proc/self/fd"),
                 entries("/proc/self/task"), child_processes(), resident());
    (void)fflush(stdout);
}

int
main(int argc, char **argv)
{
    const struct dora_kind *kinds[] = {&dora_python, NULL};
    struct dora_options options = {
        .size = sizeof options,
        .kinds = kinds,
        .libexec = argc > 4 ? argv[1] : NULL,
        .python = argc > 4 ? argv[2] : NULL,
        .no_files = true,
    };
    int cycles = argc > 4 ? (int)strtol(argv[3], NULL, 10) : 0;

    if (cycles < 10)
        return 2;
    for (int i = 1; i <= cycles; i++) {
        if (run_once(argv[4], &options) != 0)
            return 1;
        if (i == 10 || i % (cycles / 10) == 0)
            say(i);
        if (isatty(STDERR_FILENO))
            (void)fprintf(stderr, "\r%d of %d cycles ", i, cycles);
    }
    _exit(0); /* as a program that ran nodes inside may */
}
