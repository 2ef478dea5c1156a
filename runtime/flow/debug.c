/* debug.c - the host's part in debuggers of nodes: asks the application for the
 * terminal when the first one wants it, gives it back after the last.
 *
 * Without an application that has one the answer is no, and the node goes on.
 * A node that dies with the terminal lets it go. */
#include "dataflow.h"

static bool
ask_application(struct dora_dataflow *flow, bool take)
{
    return flow->options.terminal != NULL &&
           flow->options.terminal(flow->options.terminal_arg, take);
}

void
dora__debug_look(struct dora_dataflow *flow)
{
    uint32_t wanted = dora__plane_debugger(&flow->plane);

    if ((wanted != 0) != flow->has_terminal)
        flow->has_terminal = ask_application(flow, wanted != 0);
    dora__plane_lend_terminal(&flow->plane, wanted, flow->has_terminal);
}

void
dora__debug_bury(struct dora_dataflow *flow, uint32_t member)
{
    if (dora__plane_take_back_terminal(&flow->plane, member))
        dora__debug_look(flow);
}
