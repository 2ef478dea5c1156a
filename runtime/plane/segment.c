/* segment.c - see segment.h.
 *
 * Backing goes in steps: one fallocate of many gigabytes cannot be interrupted
 * by a signal without losing all it did. An interrupted step is repeated. */
#include "segment.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

enum { STEP = 64 << 20 };

static int
seal(int fd)
{
    return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
}

int
dora__segment_create(const char *name, uint64_t size, int *ret_fd,
                     struct dora_error *err)
{
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    DORA_AUTOCLOSE int fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);

    if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
        fd = memfd_create(name, flags);
    if (fd < 0)
        return dora__fail(err, errno, "cannot create shared memory: %s",
                          strerror(errno));
    if (ftruncate(fd, (off_t)size) < 0)
        return dora__fail(err, errno,
                          "cannot reserve %llu bytes of shared memory: %s",
                          (unsigned long long)size, strerror(errno));
    if (seal(fd) < 0)
        return dora__fail(err, errno, "cannot seal shared memory: %s",
                          strerror(errno));
    *ret_fd = dora__take_fd(&fd);
    return 0;
}

int
dora__segment_reopen(int fd, int *ret_fd, struct dora_error *err)
{
    char path[40];
    int again;

    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    again = open(path, O_RDONLY | O_CLOEXEC);
    if (again < 0) /* no /proc: the protection is against accidents only */
        again = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (again < 0)
        return dora__fail(err, errno,
                          "cannot open shared memory a second time: %s",
                          strerror(errno));
    *ret_fd = again;
    return 0;
}

int
dora__segment_back(int fd, uint64_t at, uint64_t size)
{
    while (size > 0) {
        uint64_t step = size < STEP ? size : STEP;

        if (fallocate(fd, 0, (off_t)at, (off_t)step) < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        at += step;
        size -= step;
    }
    return 0;
}

void
dora__segment_punch(int fd, uint64_t at, uint64_t size)
{
    while (size > 0 &&
           fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at,
                     (off_t)size) < 0 &&
           errno == EINTR)
        ;
}

int
dora__segment_map(int fd, uint64_t at, size_t size, enum dora__rights rights,
                  void **ret_memory, struct dora_error *err)
{
    static const int protection[] = {
        [DORA__RIGHTS_NONE] = PROT_NONE,
        [DORA__RIGHTS_READ] = PROT_READ,
        [DORA__RIGHTS_WRITE] = PROT_READ | PROT_WRITE,
    };
    void *memory = mmap(NULL, size, protection[rights],
                        MAP_SHARED | MAP_NORESERVE, fd, (off_t)at);

    if (memory == MAP_FAILED)
        return dora__fail(err, errno,
                          "cannot map %zu bytes of shared memory: %s", size,
                          strerror(errno));
    (void)madvise(memory, size, MADV_DONTDUMP);
    *ret_memory = memory;
    return 0;
}

void
dora__segment_unmap(void *memory, size_t size)
{
    if (memory != NULL)
        (void)munmap(memory, size);
}

void
dora__segment_populate(void *memory, size_t size)
{
    volatile unsigned char *bytes = memory;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    if (size == 0 || madvise(memory, size, MADV_POPULATE_WRITE) == 0)
        return;
    for (size_t at = 0; at < size; at += page)
        bytes[at] = 0;
}

void
dora__segment_populate_read(const void *memory, size_t size)
{
    if (size > 0)
        (void)madvise((void *)(uintptr_t)memory, size, MADV_POPULATE_READ);
}
