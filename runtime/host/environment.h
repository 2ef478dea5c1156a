/* environment.h - the environment of a process node. */
#ifndef DORA_ENVIRONMENT_H
#define DORA_ENVIRONMENT_H

#include "base.h"

/* Zero to begin; `failed` stays set once memory ran out. */
struct dora__environment {
    char **vars; /* "K=V"..., NULL-terminated */
    size_t count, capacity;
    bool failed;
};

/* Takes over what a node may inherit of its host's environment. */
void dora__environment_inherit(struct dora__environment *environment,
                               const char *const *from);
/* Sets a variable, over an earlier value. */
void dora__environment_set(struct dora__environment *environment,
                           const char *key, const char *value);
/* The same for "K=V". */
void dora__environment_put(struct dora__environment *environment,
                           const char *pair);
/* Takes a variable away, if it is there. */
void dora__environment_remove(struct dora__environment *environment,
                              const char *key);
void dora__environment_fini(struct dora__environment *environment);

#endif
