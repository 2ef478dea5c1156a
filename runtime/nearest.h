/* nearest.h - the name that somebody meant who wrote another. */
#ifndef DORA_NEAREST_H
#define DORA_NEAREST_H

#include <stddef.h>

/* The candidate that `wanted`, which is kept, was most likely meant to be:
 *
 *     struct dora__nearest near = dora__nearest(wanted);
 *     for (each) dora__nearest_consider(&near, each);
 *     if (near.best != NULL) ... */
struct dora__nearest {
    const char *wanted;
    const char *best; /* NULL: none is near */
    size_t distance;  /* of the best; a candidate must be below */
};
struct dora__nearest dora__nearest(const char *wanted);
void dora__nearest_consider(struct dora__nearest *near, const char *candidate);

#endif
