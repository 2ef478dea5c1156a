/* inhost_arenas.c - the memory that interpreters take for small objects, and
 * how it comes back when one has ended.
 *
 *   1. CPython keeps all that an ended interpreter has allocated objects from
 *      if one of them has not been freed, and 3.13 never frees the strings that
 *      it interned for good: 2 MB a node.
 *   2. An arena is listed under the interpreter that asked for it, by its id:
 *      ids, unlike addresses, do not come twice.
 *   3. The last that CPython gives back of an interpreter is the state of its
 *      allocator. Arenas that are still listed then are those that CPython
 *      keeps, and so it keeps what leads to them.
 *   4. If there is nothing in them but such strings, all of it goes back: 3.14
 *      frees them too, what refers to them has ended, and the modules that may
 *      be loaded keep none beyond it (tests/sound). Otherwise just the pools
 *      without a live object go.
 */
#define Py_BUILD_CORE
#include "inhost.h"

#include <internal/pycore_interp.h>
#include <internal/pycore_obmalloc.h>
#include <sys/mman.h>
#include <sys/queue.h>

enum { PAGE = SYSTEM_PAGE_SIZE, MOST_BLOCKS = POOL_SIZE / ALIGNMENT };

/* In the page before its arena. */
struct arena {
    LIST_ENTRY(arena) others;
    int64_t interpreter;
};

LIST_HEAD(arenas, arena);

static struct arenas all = LIST_HEAD_INITIALIZER(all);
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* CPython's own, which ours calls. */
static PyMemAllocatorEx raw;

/* What this thread is ending. */
static _Thread_local struct {
    struct _obmalloc_state *state;
    int64_t interpreter;
} ending;

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
    LIST_INSERT_HEAD(&all, arena, others);
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

static void
unlist(struct arenas *kept, int64_t interpreter)
{
    struct arena *arena, *next;

    (void)pthread_mutex_lock(&lock);
    for (arena = LIST_FIRST(&all); arena != NULL; arena = next) {
        next = LIST_NEXT(arena, others);
        if (arena->interpreter != interpreter)
            continue;
        LIST_REMOVE(arena, others);
        LIST_INSERT_HEAD(kept, arena, others);
    }
    (void)pthread_mutex_unlock(&lock);
}

/* --- what has not been freed -------------------------------------------------
 */

static uintptr_t
first_pool(const struct arena *arena)
{
    return _Py_SIZE_ROUND_UP((uintptr_t)arena + PAGE, POOL_SIZE);
}

static uintptr_t
last_pool(const struct arena *arena)
{
    return (uintptr_t)arena + PAGE + ARENA_SIZE - POOL_SIZE;
}

/* One that was interned for good: an interpreter's end removes the mark, but
 * leaves it immortal. */
static bool
is_forsaken(const void *block, size_t size)
{
    const PyASCIIObject *text = block;

    return size >= sizeof *text && text->ob_base.ob_type == &PyUnicode_Type &&
           _Py_IsImmortal((PyObject *)text) && text->state.interned == 0;
}

static bool
holds_forsaken_only(const struct pool_header *pool)
{
    const size_t size = INDEX2SIZE(pool->szidx);
    const char *start = (const char *)pool;
    bool is_free[MOST_BLOCKS] = {false};
    const void *next;

    for (next = pool->freeblock; next != NULL; next = *(void *const *)next)
        is_free[((const char *)next - start) / ALIGNMENT] = true;
    for (size_t at = POOL_OVERHEAD; at < pool->nextoffset; at += size)
        if (!is_free[at / ALIGNMENT] && !is_forsaken(start + at, size))
            return false;
    return true;
}

static bool
is_arena_forsaken(const struct arena *arena)
{
    for (uintptr_t at = first_pool(arena); at <= last_pool(arena);
         at += POOL_SIZE) {
        const struct pool_header *pool = (const struct pool_header *)at;

        if (pool->ref.count != 0 && !holds_forsaken_only(pool))
            return false;
    }
    return true;
}

static bool
are_forsaken(const struct arenas *kept)
{
    const struct arena *arena;

    LIST_FOREACH(arena, kept, others)
    if (!is_arena_forsaken(arena))
        return false;
    return true;
}

/* --- what goes back ----------------------------------------------------------
 */

static void
return_pools(struct arena *arena)
{
    bool empty = true;

    for (uintptr_t at = first_pool(arena); at <= last_pool(arena);
         at += POOL_SIZE) {
        if (((const struct pool_header *)at)->ref.count == 0)
            (void)madvise((void *)at, POOL_SIZE, MADV_DONTNEED);
        else
            empty = false;
    }
    if (empty)
        (void)munmap(arena, PAGE + ARENA_SIZE);
}

/* The tree by which the allocator told its addresses from others, and the
 * table of its arenas. */
static void
free_books(struct _obmalloc_state *state)
{
    for (size_t i = 0; i < MAP_TOP_LENGTH; i++) {
        arena_map_mid_t *middle = state->usage.arena_map_root.ptrs[i];

        for (size_t k = 0; middle != NULL && k < MAP_MID_LENGTH; k++)
            PyMem_RawFree(middle->ptrs[k]);
        PyMem_RawFree(middle);
    }
    PyMem_RawFree(state->mgmt.arenas);
}

static void
give_back(struct _obmalloc_state *state, int64_t interpreter)
{
    struct arenas kept = LIST_HEAD_INITIALIZER(kept);
    struct arena *arena;
    bool forsaken;

    unlist(&kept, interpreter);
    if (LIST_EMPTY(&kept))
        return;
    forsaken = are_forsaken(&kept);
    while ((arena = LIST_FIRST(&kept)) != NULL) {
        LIST_REMOVE(arena, others);
        if (forsaken)
            (void)munmap(arena, PAGE + ARENA_SIZE);
        else
            return_pools(arena);
    }
    if (forsaken)
        free_books(state);
}

static void
free_raw(void *ctx, void *memory)
{
    if (memory != NULL && memory == ending.state) {
        ending.state = NULL;
        give_back(memory, ending.interpreter);
    }
    raw.free(ctx, memory);
}

void
dora__inhost_arenas_watch(void)
{
    PyObjectArenaAllocator own = {.alloc = take_arena, .free = drop_arena};
    PyMemAllocatorEx watched;

    if (Py_Version != PY_VERSION_HEX) /* its structures may be others */
        return;
    PyObject_SetArenaAllocator(&own);
    PyMem_GetAllocator(PYMEM_DOMAIN_RAW, &raw);
    watched = raw;
    watched.free = free_raw;
    PyMem_SetAllocator(PYMEM_DOMAIN_RAW, &watched);
}

void
dora__inhost_end(PyThreadState *own)
{
    ending.state = own->interp->obmalloc;
    ending.interpreter = PyInterpreterState_GetID(own->interp);
    Py_EndInterpreter(own);
    ending.state = NULL;
}
