/* load_stable.h - dora-stable.so, for what is itself loaded into an interpreter
 * that may be of any version, and knows no Python.h. */
#ifndef DORA_LOAD_STABLE_H
#define DORA_LOAD_STABLE_H

/* What the init function of an extension returns: the module out of
 * `directory`, or NULL with an ImportError. `attachment` is that of the node
 * that this process is, or NULL. */
void *load_stable(const char *directory, const char *attachment);

#endif
