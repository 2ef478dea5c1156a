/* copies.c - counts what memcpy and memmove copy in pieces of a kilobyte and
 * more, once preloaded: cc -shared -fPIC -O1 -fno-builtin copies.c -o copies.so
 *
 * Python asks by ctypes.CDLL(None).copied_bytes(). */
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { LARGE = 1024 };

static atomic_ullong counted;

unsigned long long copied_bytes(void);
void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *__memcpy_chk(void *to, const void *from, size_t size, size_t room);
void *__memmove_chk(void *to, const void *from, size_t size, size_t room);

unsigned long long
copied_bytes(void)
{
    return atomic_load_explicit(&counted, memory_order_relaxed);
}

void *
memmove(void *to, const void *from, size_t size)
{
    volatile unsigned char *t = to;
    const unsigned char *f = from;

    if (size >= LARGE)
        atomic_fetch_add_explicit(&counted, size, memory_order_relaxed);
    if ((uintptr_t)to < (uintptr_t)from)
        for (size_t i = 0; i < size; i++)
            t[i] = f[i];
    else
        while (size-- > 0)
            t[size] = f[size];
    return to;
}

void *
memcpy(void *to, const void *from, size_t size)
{
    return memmove(to, from, size);
}

void *
__memcpy_chk(void *to, const void *from, size_t size, size_t room)
{
    (void)room;
    return memmove(to, from, size);
}

void *
__memmove_chk(void *to, const void *from, size_t size, size_t room)
{
    (void)room;
    return memmove(to, from, size);
}
