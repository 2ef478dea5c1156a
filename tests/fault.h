/* fault.h - lets the n-th call of a resource-taking function fail.
 *
 *     for (unsigned n = 1;; n++) {
 *         fault_arm(FAULT_MEMORY, n);
 *         int rc = thing_load(...);
 *         if (!fault_disarm())
 *             break;                     // ran to its end: rc must be 0
 *         assert_int_equal(rc, -ENOMEM); // and nothing may leak
 *     }
 *
 * Link the test with fault.o and `-Wl,@tests/fault.ld` (all of them; calls
 * made inside shared libraries are not seen, so take libyaml as an archive).
 * Calls are counted in every thread; one call fails per fault_arm. */
#ifndef DORA_FAULT_H
#define DORA_FAULT_H

#include <stdbool.h>

enum fault {
    FAULT_MEMORY,    /* malloc, calloc, realloc, strdup, ...: NULL */
    FAULT_MMAP,      /* mmap: ENOMEM */
    FAULT_MEMFD,     /* memfd_create: EMFILE */
    FAULT_FALLOCATE, /* fallocate, unless it punches holes: ENOSPC */
    FAULT_FD,        /* eventfd, pipe2, socketpair, epoll_create1: EMFILE */
    FAULT_FORK,      /* fork: EAGAIN */
    FAULT_THREAD,    /* pthread_create: EAGAIN */
    FAULT_KINDS,
};

/* From now on the `n`-th call (from 1) of that kind fails. */
void fault_arm(enum fault kind, unsigned n);
/* No call fails any more. Whether one did since it was armed. */
bool fault_disarm(void);

#endif
