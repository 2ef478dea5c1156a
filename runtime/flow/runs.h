/* runs.h - dataflows that run now, found by what they leave beside their files:
 * out/<id>/run.json. A run is alive when its door answers (door.h). */
#ifndef DORA_RUNS_H
#define DORA_RUNS_H

#include "base.h"

/* Connects to the one living run that `place` means: the file of a dataflow, a
 * directory of such files, or a run's id. NULL: the current directory. The new
 * connection. -ENOENT: there is none; -EEXIST: several, which *err lists. */
DORA_MUST_CHECK
int dora__runs_find(const char *place, struct dora_error *err);

#endif
