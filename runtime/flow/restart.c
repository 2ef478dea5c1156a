/* restart.c - see restart.h. A window without too many deaths forgives those
 * before it; the delay doubles with each restart in a window. */
#include "restart.h"

enum { MAX_DOUBLINGS = 16 };

void
dora__restarts_started(struct dora__restarts *restarts, int64_t now)
{
    if (restarts->window_began == 0)
        restarts->window_began = now;
}

static int64_t
delay(const struct dora__graph_node *node, unsigned count)
{
    unsigned doublings = count - 1 < MAX_DOUBLINGS ? count - 1 : MAX_DOUBLINGS;
    int64_t most =
        node->max_restart_delay_ns > 0 ? node->max_restart_delay_ns : INT64_MAX;
    int64_t wait = node->restart_delay_ns;

    for (unsigned i = 0; i < doublings && wait < most; i++)
        wait = wait > INT64_MAX / 2 ? INT64_MAX : wait * 2;
    return wait < most ? wait : most;
}

bool
dora__restarts_decide(struct dora__restarts *restarts,
                      const struct dora__graph_node *node, bool failed,
                      int64_t now, int64_t *ret_delay)
{
    restarts->gave_up = false;
    if (node->restart_policy == DORA__RESTART_NEVER ||
        (node->restart_policy == DORA__RESTART_ON_FAILURE && !failed))
        return false;
    if (node->restart_window_ns > 0 &&
        now - restarts->window_began > node->restart_window_ns) {
        restarts->count = 0;
        restarts->window_began = now;
    }
    if (node->max_restarts > 0 && restarts->count >= node->max_restarts) {
        restarts->gave_up = true;
        return false;
    }
    restarts->count++;
    *ret_delay = delay(node, restarts->count);
    return true;
}
