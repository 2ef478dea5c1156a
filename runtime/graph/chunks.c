/* chunks.c - see chunks.h. What is larger than a chunk gets one of its own. */
#include "chunks.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 1 << 16 };

struct dora__chunk {
    struct dora__chunk *next;
    size_t used, size;
    max_align_t data[];
};

void *
dora__chunks_take(struct dora__chunk **chunks, size_t size)
{
    struct dora__chunk *chunk = *chunks;
    size_t step = (size + sizeof(max_align_t) - 1) & -sizeof(max_align_t);
    void *place;

    if (chunk == NULL || chunk->size - chunk->used < step) {
        size_t room = step > CHUNK ? step : CHUNK;

        chunk = malloc(sizeof *chunk + room);
        if (chunk == NULL)
            return NULL;
        *chunk = (struct dora__chunk){.next = *chunks, .size = room};
        *chunks = chunk;
    }
    place = (char *)chunk->data + chunk->used;
    chunk->used += step;
    return place;
}

char *
dora__chunks_text(struct dora__chunk **chunks, const void *text, size_t size)
{
    char *copy = dora__chunks_take(chunks, size + 1);

    if (copy != NULL) {
        memcpy(copy, text, size);
        copy[size] = '\0';
    }
    return copy;
}

void
dora__chunks_free(struct dora__chunk *chunks)
{
    while (chunks != NULL) {
        struct dora__chunk *next = chunks->next;

        free(chunks);
        chunks = next;
    }
}
