/* stepped.c - a wall clock that somebody keeps setting: preloaded, it is an
 * hour ahead and an hour behind by turns, a tenth of a second each. */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now);

int
clock_gettime(clockid_t clock, struct timespec *now)
{
    struct timespec since;
    int failed = (int)syscall(SYS_clock_gettime, clock, now);

    if (failed || clock != CLOCK_REALTIME)
        return failed;
    (void)syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &since);
    now->tv_sec += since.tv_nsec / 100000000 % 2 ? 3600 : -3600;
    return 0;
}
