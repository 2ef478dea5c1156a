/* nearest.c - see nearest.h. */
#include "nearest.h"

#include <ctype.h>
#include <string.h>

enum { NAME_LIMIT = 60 };

/* Characters that people mistake for each other are the same. */
static int
fold(char c)
{
    return c == '-' ? '_' : tolower((unsigned char)c);
}

/* Edits (insert, delete, replace, swap neighbours) from one to the other. */
static size_t
edits(const char *a, size_t a_size, const char *b, size_t b_size)
{
    size_t rows[3][NAME_LIMIT + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];

    for (size_t j = 0; j <= b_size; j++)
        above[j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t best = above[j - 1] + (fold(a[i - 1]) != fold(b[j - 1]));

            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) &&
                fold(a[i - 2]) == fold(b[j - 1]) && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }

        size_t *oldest = before;

        before = above;
        above = row;
        row = oldest;
    }
    return above[b_size];
}

struct dora__nearest
dora__nearest(const char *wanted)
{
    size_t size = strlen(wanted);

    return (struct dora__nearest){wanted, NULL,
                                  size < 2   ? 1
                                  : size < 6 ? 2
                                             : size / 3 + 1};
}

/* Edits between two names; 1 if one only goes on after the other. */
static size_t
distance_of(const char *a, size_t a_size, const char *b, size_t b_size)
{
    size_t shorter = a_size < b_size ? a_size : b_size, same = 0;

    while (same < shorter && fold(a[same]) == fold(b[same]))
        same++;
    if (same == shorter && shorter >= 3 && a_size != b_size)
        return 1;
    return edits(a, a_size, b, b_size);
}

void
dora__nearest_consider(struct dora__nearest *near, const char *candidate)
{
    size_t wanted_size = strlen(near->wanted), size = strlen(candidate);
    size_t distance;

    if (wanted_size > NAME_LIMIT || size > NAME_LIMIT || wanted_size == 0)
        return;
    distance = distance_of(near->wanted, wanted_size, candidate, size);
    if (distance >= near->distance || (size < 2 && distance > 0))
        return;
    near->distance = distance;
    near->best = candidate;
}
