/* own_file.h - where the program that runs is: for those of ours that are
 * started again in place of an interpreter. */
#ifndef DORA_OWN_FILE_H
#define DORA_OWN_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <unistd.h>

/* The file of this program. Without /proc it is what was executed. False: the
 * system does not tell. */
static inline bool
own_file(char path[PATH_MAX])
{
    ssize_t size = readlink("/proc/self/exe", path, PATH_MAX - 1);
    const char *executed;

    if (size >= 0) {
        path[size] = '\0';
        return true;
    }
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): the kernel's way to say it */
    executed = (const char *)getauxval(AT_EXECFN);
    return executed != NULL && realpath(executed, path) != NULL;
}

#endif
