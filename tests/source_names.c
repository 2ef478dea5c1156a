/* source_names.c - prints the names in Python files as runtime reads them, for
 * source_check.py: "FILE", then "LINE NAME" for each, or "LINE !" where the
 * file is not understood. */
#include "../pyapi/launch/source.h"

#include <stdio.h>

static int
print_names(const char *path)
{
    static char text[8 << 20];
    FILE *file = fopen(path, "rbe");
    struct dora__source source;
    struct dora__token token;
    size_t size;

    if (file == NULL)
        return 1;
    size = fread(text, 1, sizeof text, file);
    (void)fclose(file);
    (void)puts(path);
    dora__source_init(&source, text, size);
    do {
        token = dora__source_next(&source);
        if (token.word == DORA__WORD_NAME)
            (void)printf("%u %.*s\n", token.line, (int)token.size, token.text);
        else if (token.word == DORA__WORD_BAD)
            (void)printf("%u !\n", token.line);
    } while (token.word != DORA__WORD_END && token.word != DORA__WORD_BAD);
    return 0;
}

int
main(int argc, char **argv)
{
    int failed = 0;

    for (int i = 1; i < argc; i++)
        failed |= print_names(argv[i]);
    return failed;
}
