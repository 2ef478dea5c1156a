/* strays.c - see strays.h.
 *
 * The guardian finds descendants by their parents. When both of it were killed
 * its nodes die with it, but what they have started gets a parent that is not
 * ours to ask. The environment tells: the dataflow's id is in the variable that
 * makes a program a node. Only who has cleared it is missed.
 *
 * A killed process starts no other; so when a look finds none, there is none
 * left. */
#include "strays.h"

#include "base.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { ROUNDS = 100, CHUNK = 64 << 10 };

/* Reads on, a mark's length of the text before it in front: it may lie across
 * two chunks. */
static bool
has_mark(int fd, const char *mark)
{
    char chunk[CHUNK];
    size_t size = strlen(mark), kept = 0;
    ssize_t n;

    while ((n = read(fd, chunk + kept, sizeof chunk - kept)) > 0) {
        kept += (size_t)n;
        if (memmem(chunk, kept, mark, size) != NULL)
            return true;
        if (kept > size) {
            memmove(chunk, chunk + kept - size, size);
            kept = size;
        }
    }
    return false;
}

static bool
is_stray(pid_t pid, const char *mark)
{
    char path[64];
    DORA_AUTOCLOSE int fd = -1;

    (void)snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && has_mark(fd, mark);
}

static bool
kill_some(const char *mark)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    bool found = false;

    if (proc == NULL)
        return false;
    while ((entry = readdir(proc)) != NULL) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

        if (pid > 0 && pid != getpid() && is_stray(pid, mark))
            found |= kill(pid, SIGKILL) == 0;
    }
    (void)closedir(proc);
    return found;
}

void
dora__strays_kill(const char *flow_id)
{
    DORA_AUTOFREE char *mark =
        dora__format("DORA_NODE_CONFIG={\"dataflow_id\":\"%s\"", flow_id);

    for (int i = 0; i < ROUNDS && mark != NULL && kill_some(mark); i++)
        continue;
}
