/* fault.c - wrappers made by the linker's --wrap: each counts its calls and
 * fails the one that was asked for. The real functions are weak references, so
 * that a test need not link what it never calls. */
#include "fault.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/types.h>

#define REAL __attribute__((weak))

static _Atomic int armed_kind = -1;
static _Atomic unsigned calls_left; /* 0: it happened */

void
fault_arm(enum fault kind, unsigned n)
{
    atomic_store(&calls_left, n);
    atomic_store(&armed_kind, (int)kind);
}

bool
fault_disarm(void)
{
    atomic_store(&armed_kind, -1);
    return atomic_load(&calls_left) == 0;
}

static bool
fails(enum fault kind, int error)
{
    unsigned left = atomic_load(&calls_left);

    if (atomic_load(&armed_kind) != (int)kind)
        return false;
    while (left > 0) /* it stays 0, however many threads come at once */
        if (atomic_compare_exchange_weak(&calls_left, &left, left - 1))
            break;
    if (left != 1)
        return false;
    errno = error;
    return true;
}

/* Return type, name, parameters, arguments, kind, errno, result on failure. */
#define WRAP(type, name, params, args, kind, error, result)        \
    REAL type __real_##name params;                                \
    type __wrap_##name params;                                     \
    type __wrap_##name params                                      \
    {                                                              \
        return fails(kind, error) ? (result) : __real_##name args; \
    }

WRAP(void *, malloc, (size_t size), (size), FAULT_MEMORY, ENOMEM, NULL)
WRAP(void *, calloc, (size_t n, size_t size), (n, size), FAULT_MEMORY, ENOMEM,
     NULL)
WRAP(void *, realloc, (void *old, size_t size), (old, size), FAULT_MEMORY,
     ENOMEM, NULL)
WRAP(void *, aligned_alloc, (size_t unit, size_t size), (unit, size),
     FAULT_MEMORY, ENOMEM, NULL)
WRAP(char *, strdup, (const char *text), (text), FAULT_MEMORY, ENOMEM, NULL)
WRAP(char *, strndup, (const char *text, size_t size), (text, size),
     FAULT_MEMORY, ENOMEM, NULL)
WRAP(int, vasprintf, (char **text, const char *format, va_list args),
     (text, format, args), FAULT_MEMORY, ENOMEM, -1)
WRAP(int, __vasprintf_chk,
     (char **text, int flag, const char *format, va_list args),
     (text, flag, format, args), FAULT_MEMORY, ENOMEM, -1)
WRAP(void *, mmap,
     (void *at, size_t size, int prot, int flags, int fd, off_t offset),
     (at, size, prot, flags, fd, offset), FAULT_MMAP, ENOMEM, (void *)-1)
WRAP(int, memfd_create, (const char *name, unsigned flags), (name, flags),
     FAULT_MEMFD, EMFILE, -1)
WRAP(int, eventfd, (unsigned value, int flags), (value, flags), FAULT_FD,
     EMFILE, -1)
WRAP(int, pipe2, (int fds[2], int flags), (fds, flags), FAULT_FD, EMFILE, -1)
WRAP(int, socketpair, (int domain, int type, int protocol, int fds[2]),
     (domain, type, protocol, fds), FAULT_FD, EMFILE, -1)
WRAP(int, epoll_create1, (int flags), (flags), FAULT_FD, EMFILE, -1)
WRAP(pid_t, fork, (void), (), FAULT_FORK, EAGAIN, -1)
WRAP(int, pthread_create,
     (pthread_t * thread, const pthread_attr_t *attr, void *(*body)(void *),
      void *arg),
     (thread, attr, body, arg), FAULT_THREAD, EAGAIN, EAGAIN)

/* Punching holes gives memory back: that does not fail for want of it. */
REAL int __real_fallocate(int fd, int mode, off_t offset, off_t size);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t size);
int
__wrap_fallocate(int fd, int mode, off_t offset, off_t size)
{
    if ((mode & FALLOC_FL_PUNCH_HOLE) == 0 && fails(FAULT_FALLOCATE, ENOSPC))
        return -1;
    return __real_fallocate(fd, mode, offset, size);
}
