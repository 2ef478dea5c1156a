/* inhost_arenas.c - the memory that interpreters take for small objects, and
 * how it comes back when one has ended.
 *
 *   1. CPython keeps all arenas of an ended interpreter if one object in them
 *      has not been freed, and in 3.13 some never are: 2 MB a node.
 *   2. An arena is listed under the interpreter that asked for it, by its id:
 *      ids, unlike addresses, do not come twice.
 *   3. Once that has ended, nobody allocates from its arenas any more. A pool
 *      without a live object is nobody's then, and its pages go back to the
 *      system. A pool with one stays as it is: who knows who still looks at it.
 */
#define Py_BUILD_CORE
#include "inhost.h"

#include <internal/pycore_obmalloc.h>
#include <sys/mman.h>
#include <sys/queue.h>

enum { PAGE = SYSTEM_PAGE_SIZE };

/* In the page before its arena. */
struct arena {
    LIST_ENTRY(arena) others;
    int64_t interpreter;
};

static LIST_HEAD(, arena) arenas = LIST_HEAD_INITIALIZER(arenas);
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int64_t
current_interpreter(void)
{
    PyThreadState *thread = PyThreadState_GetUnchecked();

    return thread != NULL ? PyInterpreterState_GetID(thread->interp) : 0;
}

static void *
take_arena(void *ctx, size_t size)
{
    struct arena *arena = mmap(NULL, PAGE + size, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)ctx;
    if (arena == MAP_FAILED)
        return NULL;
    arena->interpreter = current_interpreter();
    (void)pthread_mutex_lock(&lock);
    LIST_INSERT_HEAD(&arenas, arena, others);
    (void)pthread_mutex_unlock(&lock);
    return (char *)arena + PAGE;
}

/* `memory` may be NULL: since 3.14 an interpreter's end gives back also what
 * has never been taken. */
static void
drop_arena(void *ctx, void *memory, size_t size)
{
    struct arena *arena = (struct arena *)((char *)memory - PAGE);

    (void)ctx;
    if (memory == NULL)
        return;
    (void)pthread_mutex_lock(&lock);
    LIST_REMOVE(arena, others);
    (void)pthread_mutex_unlock(&lock);
    (void)munmap(arena, PAGE + size);
}

void
dora__inhost_arenas_watch(void)
{
    PyObjectArenaAllocator own = {.alloc = take_arena, .free = drop_arena};

    PyObject_SetArenaAllocator(&own);
}

/* Nobody looks for it any more: it is not listed. */
static void
return_pools(struct arena *arena)
{
    uintptr_t first = (uintptr_t)arena + PAGE, end = first + ARENA_SIZE;
    bool empty = true;

    for (uintptr_t at = _Py_SIZE_ROUND_UP(first, POOL_SIZE);
         at + POOL_SIZE <= end; at += POOL_SIZE) {
        if (((const struct pool_header *)at)->ref.count == 0)
            (void)madvise((void *)at, POOL_SIZE, MADV_DONTNEED);
        else
            empty = false;
    }
    if (empty)
        (void)munmap(arena, PAGE + ARENA_SIZE);
}

void
dora__inhost_arenas_return(int64_t interpreter)
{
    LIST_HEAD(, arena) left = LIST_HEAD_INITIALIZER(left);
    struct arena *arena, *next;

    (void)pthread_mutex_lock(&lock);
    for (arena = LIST_FIRST(&arenas); arena != NULL; arena = next) {
        next = LIST_NEXT(arena, others);
        if (arena->interpreter != interpreter)
            continue;
        LIST_REMOVE(arena, others);
        LIST_INSERT_HEAD(&left, arena, others);
    }
    (void)pthread_mutex_unlock(&lock);
    for (arena = LIST_FIRST(&left); arena != NULL; arena = next) {
        next = LIST_NEXT(arena, others);
        return_pools(arena);
    }
}
