/* fuzz_source.c - any bytes: words that follow one another in the text, to an
 * end. */
#include "../pyapi/launch/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *last = (const char *)data;
    struct dora__source source;
    struct dora__token token;

    dora__source_init(&source, last, size);
    do {
        token = dora__source_next(&source);
        if (token.text < last || token.size > size)
            abort();
        last = token.text + token.size;
        if (last > (const char *)data + size)
            abort();
    } while (token.word != DORA__WORD_END && token.word != DORA__WORD_BAD);
    return 0;
}
