/* nap.c - sleeps that Python's signal handlers can end.
 *
 * Python's own handler only leaves a note for the main thread, and one that
 * came between the last look at the notes and a sleep interrupts nothing. So
 * that thread sleeps in naps, each twice as long as the one before, and looks
 * in between: a wait of an hour has sixteen. */
#include "module.h"

/* ns. Long enough to cost nothing, short enough not to be felt. */
static const int64_t FIRST_NAP = 100 * 1000 * 1000;

int64_t
dora__py_nap(int64_t *nap)
{
    if (gettid() != getpid())
        return -1;
    *nap = *nap == 0 ? FIRST_NAP : *nap * 2;
    return *nap;
}
