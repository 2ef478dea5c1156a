/* dora-stable: starts a node's own python with the `dora` module, for those
 * Pythons that there is no dora-python for.
 *
 *     argv  as python's own: argv[0] is the interpreter; that of a child which
 *           multiprocessing starts is this program, the interpreter is then in
 *           DORA_RUN_PYTHON
 *
 * It becomes the interpreter, with preload.c in it. */
#include "module/own_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* In the loader's list names are separated by spaces and colons. Where the name
 * has some itself, an open file stands for it, which takes /proc; it stays
 * open, for children of a wrapper. */
static int
set_preload(const char *directory)
{
    char path[PATH_MAX + 32];

    (void)snprintf(path, sizeof path, "%s/dora-preload.so", directory);
    if (strpbrk(path, " :") != NULL) {
        int fd = open(path, O_RDONLY);

        if (fd < 0)
            return -1;
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    if (access(path, R_OK) < 0)
        return -1;
    return setenv("LD_PRELOAD", path, 1);
}

int
main(int argc, char **argv)
{
    char self[PATH_MAX];
    char *slash;

    if (argc < 1 || !own_file(self)) {
        fputs("dora-stable: cannot find itself\n", stderr);
        return EXIT_FAILURE;
    }
    if (strcmp(argv[0], self) == 0)
        argv[0] = getenv("DORA_RUN_PYTHON");
    slash = strrchr(self, '/');
    *slash = '\0';
    if (argv[0] == NULL || set_preload(self) < 0 ||
        setenv("DORA_RUN_STABLE", self, 1) < 0) {
        fputs("dora-stable: has no interpreter, or no library, to start\n",
              stderr);
        return EXIT_FAILURE;
    }
    (void)execv(argv[0], argv);
    fprintf(stderr, "dora-stable: %s: %s\n", argv[0], strerror(errno));
    return EXIT_FAILURE;
}
