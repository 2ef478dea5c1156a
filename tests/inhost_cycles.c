/* inhost_cycles.c - starts and ends a dataflow of one node inside this process,
 * again and again, and counts what stays. Prints three lines of JSON numbers:
 * descriptors, threads and resident KB, as a list of samples, ten in all after
 * the first tenth of the cycles.
 *
 *     inhost_cycles LIBEXEC PYTHON CYCLES */
#include "dora.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SAMPLES = 10 };

static const char text[] =
    "nodes: [{id: node, path: node.py, isolation: interpreter}]\n";

static long
count_entries(const char *path)
{
    DIR *directory = opendir(path);
    long count = 0;

    while (directory != NULL && readdir(directory) != NULL)
        count++;
    if (directory != NULL)
        (void)closedir(directory);
    return count;
}

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
run_once(const struct dora_options *options)
{
    struct dora_dataflow *flow = NULL;
    struct dora_error err = {""};
    int code = dora_dataflow_load_string(text, strlen(text), "cycle", options,
                                         &flow, &err);

    if (code == 0)
        code = dora_dataflow_start(flow, &err);
    if (code == 0)
        code = dora_dataflow_wait(flow, -1, &err);
    dora_dataflow_free(flow);
    if (code < 0)
        (void)fprintf(stderr, "%s\n", err.text);
    return code;
}

static void
print(const char *name, const long *values)
{
    (void)printf("%s", name);
    for (int i = 0; i < SAMPLES; i++)
        (void)printf(" %ld", values[i]);
    (void)printf("\n");
}

int
main(int argc, char **argv)
{
    const struct dora_kind *kinds[] = {&dora_python, NULL};
    struct dora_options options = {
        .size = sizeof options,
        .kinds = kinds,
        .libexec = argc > 3 ? argv[1] : NULL,
        .python = argc > 3 ? argv[2] : NULL,
        .no_files = true,
    };
    long descriptors[SAMPLES], threads[SAMPLES], memory[SAMPLES];
    int step = argc > 3 ? (int)strtol(argv[3], NULL, 10) / SAMPLES : 0;

    if (step < 1)
        return 2;
    for (int i = 0; i < (SAMPLES + 1) * step; i++) {
        int sample = i / step - 1;

        if (run_once(&options) < 0)
            return 1;
        if (sample < 0 || i % step != step - 1)
            continue;
        descriptors[sample] = count_entries("/proc/self/fd");
        threads[sample] = count_entries("/proc/self/task");
        memory[sample] = resident();
    }
    print("descriptors", descriptors);
    print("threads", threads);
    print("memory", memory);
    (void)fflush(stdout);
    _exit(0); /* as a program that ran nodes inside may */
}
