/* json.h - a reader of one line of JSON that allocates nothing: values are
 * slices of the line. Exactly JSON in UTF-8 is accepted, nested to 64 levels.
 *
 *     struct dora__json r = {text, text + size};
 *     struct dora__slice key;
 *
 *     if (dora__json_take(&r, '{') && dora__json_string(&r, &key) &&
 *         dora__json_take(&r, ':') && dora__json_skip(&r)) ...
 *
 * All of its functions leave the reader where it was refused; nobody goes on
 * from there. */
#ifndef DORA_JSON_H
#define DORA_JSON_H

#include "base.h"

struct dora__json {
    const char *at, *end; /* what is left; borrowed */
};

struct dora__slice {
    const char *text; /* NULL: absent */
    size_t size;
};

void dora__json_skip_space(struct dora__json *r);
/* The character comes next, after space: it is taken. */
bool dora__json_take(struct dora__json *r, char c);
/* A string: what is between its quotes, as written. */
bool dora__json_string(struct dora__json *r, struct dora__slice *ret_slice);
/* Any value. */
bool dora__json_skip(struct dora__json *r);

/* Appends such a string, its escapes resolved, and a terminator. Half of a
 * surrogate pair becomes U+FFFD. */
void dora__json_decode(struct dora__text *out, const struct dora__slice *text);

#endif
