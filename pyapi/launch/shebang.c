/* shebang.c - which Python a program names in its first lines: `#!python`, by
 * way of env(1), or in the two lines that installers write where a path is too
 * long for that or has spaces. */
#include "interpreter.h"

#include "host/file.h"

#include <string.h>

enum { MAX_SHEBANG = 1024 };

bool
dora__python_named(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;

    if (strncmp(name, "python", 6))
        return false;
    name += 6 + strspn(name + 6, "0123456789.");
    return !*name || !strcmp(name, "t") || !strcmp(name, "d");
}

/* The word at *at, quotes taken off, cut out of the text; NULL: none. */
static char *
take_word(char **at)
{
    char *word = *at + strspn(*at, " \t");
    char quote = *word == '"' || *word == '\'' ? *word : '\0';
    size_t size;

    if (quote)
        word++;
    size = quote ? strcspn(word, (char[]){quote, '\n', 0})
                 : strcspn(word, " \t\r\n");
    if (!size)
        return NULL;
    *at = word + size + (word[size] && word[size] != '\n');
    word[size] = '\0';
    return word;
}

/* "/usr/bin/env -S python3 -u": the program it looks up. */
static char *
env_program(char **at)
{
    char *word;

    do
        word = take_word(at);
    while (word && (*word == '-' || strchr(word, '=')));
    return word;
}

/* What installers write where the path is too long for, or has spaces: the
 * second line is `'''exec' "/path/python" "$0" "$@"` to a shell. */
static char *
trampoline_program(char *line)
{
    if (!strncmp(line, "'''exec'", 8))
        line += 8;
    else if (!strncmp(line, "\"exec\"", 6))
        line += 6;
    else
        return NULL;
    return take_word(&line);
}

int
dora__python_shebang(const char *path, char **ret_interpreter)
{
    DORA_AUTOFREE char *text = NULL;
    char *second, *at, *word, *name, *copy;
    int result = dora__file_text(path, MAX_SHEBANG, &text, NULL);

    if (result < 0)
        return result;
    if (strncmp(text, "#!", 2))
        return -ENOENT;
    second = strchr(text, '\n');
    if (second)
        *second++ = '\0';
    at = text + 2;
    word = take_word(&at);
    if (!word)
        return -ENOENT;
    name = strrchr(word, '/') ? strrchr(word, '/') + 1 : word;
    if (!strcmp(name, "env"))
        word = env_program(&at);
    else if (!strcmp(name, "sh") && second)
        word = trampoline_program(second);
    if (!word || !dora__python_named(word))
        return -ENOENT;
    copy = strdup(word);
    if (!copy)
        return -ENOMEM;
    *ret_interpreter = copy;
    return 0;
}
