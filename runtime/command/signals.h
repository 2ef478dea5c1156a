/* signals.h - the signals that end dora-run, and what they do meanwhile. */
#ifndef DORA_SIGNALS_H
#define DORA_SIGNALS_H

#include "base.h"

/* Signals that come closer to each other than this, in ns, are one. */
#define SIGNALS_REPEAT ((int64_t)50 * 1000000)

/* Catches them from now on; each is also written to `wake`, an eventfd. */
void signals_catch(int wake);
/* They stop, then kill this dataflow; at once, if one has come already. */
void signals_reach(struct dora_dataflow *flow);
/* When it returns, no handler touches the dataflow any more. */
void signals_forget(void);
/* All is over but for a slow reader: the next one ends the program. */
void signals_leave(void);

/* How many have come, the first of them, and when the last came (dora__now());
 * 0: none. */
int signals_count(void);
int signals_first(void);
int64_t signals_last(void);
const char *signals_name(int number);

#endif
