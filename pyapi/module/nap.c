/* nap.c - sleeps that Python's signal handlers can end.
 *
 * Python's own handler only leaves a note for the main thread, and one that
 * came between the last look at the notes and a sleep interrupts nothing. So
 * that thread sleeps in naps, each twice as long as the one before, and looks
 * in between: a wait of an hour has sixteen. */
#include "module.h"

/* ns. Long enough to cost nothing, short enough not to be felt. */
static const int64_t FIRST_NAP = 100 * 1000 * 1000;

int
dora__py_nap(int ended, int64_t *nap)
{
    if (PyErr_CheckSignals() < 0)
        return -1;
    if (gettid() != getpid())
        *nap = -1;
    else
        *nap = ended == -EINTR || *nap == 0 ? FIRST_NAP : 2 * *nap;
    return 0;
}
