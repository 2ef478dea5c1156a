/* tool.h - programs that prepare a dataflow: `build` lines, git. */
#ifndef DORA_TOOL_H
#define DORA_TOOL_H

#include "output.h"

/* All borrowed. */
struct dora__tool {
    const struct dora_options *options; /* `stop` is asked meanwhile */
    const char *directory;              /* to run in */
    char *const *environment;           /* "K=V"..., NULL-terminated */
    bool alone;    /* a session of its own, so that it finds no terminal to ask
                      on, and ends with all that it has started */
    bool rewrites; /* it may end a line with a carriage return: progress that
                      is written over and over */
    dora__line_sink hear; /* what it prints; NULL: nobody */
    void *hear_arg;
};

/* Runs it to its end, which is not that of what it leaves behind. The exit
 * status as wait() gives it; -EINTR: it was ended because `stop` said so;
 * another negative errno: it could not be started. */
DORA_MUST_CHECK
int dora__tool_run(const struct dora__tool *tool, char **argv);

/* Whether all of it is to end. */
bool dora__tool_stopped(const struct dora_options *options);

/* Tells the log a line about a node. */
void dora__tool_say(const struct dora_options *options, const char *node,
                    enum dora_level level, enum dora_stream stream,
                    const char *text, size_t size);

#endif
