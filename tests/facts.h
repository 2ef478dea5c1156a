/* facts.h - what there is of this process, for who tests that nothing is left.
 */
#ifndef DORA_TESTS_FACTS_H
#define DORA_TESTS_FACTS_H

#include <dirent.h>
#include <stdio.h>

/* How many names there are in a directory, as /proc/self/fd. */
static inline unsigned
entries(const char *path)
{
    DIR *directory = opendir(path);
    unsigned count = 0;

    while (directory != NULL && readdir(directory) != NULL)
        count++;
    if (directory != NULL)
        (void)closedir(directory);
    return count;
}

static inline unsigned
child_processes(void)
{
    FILE *file = fopen("/proc/thread-self/children", "re");
    unsigned count = 0;
    int pid;

    while (file != NULL && fscanf(file, "%d", &pid) == 1)
        count++;
    if (file != NULL)
        (void)fclose(file);
    return count;
}

#endif
