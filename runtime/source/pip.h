/* pip.h - `pip` in `build` lines: that of a node's Python. */
#ifndef DORA_PIP_H
#define DORA_PIP_H

#include "base.h"

/* The line "pip install x" in any of its forms: `pip`, `uv pip`, `python -m
 * pip`. How many words that is; 0: it is another command. */
size_t dora__pip_words(char *const *words, size_t count);
/* Whether the line begins with a word for the node's Python. */
bool dora__pip_python(const char *word);

/* A command that succeeds if the line of pip has nothing to do: new,
 * NULL-terminated. -ENOENT: nobody can tell. */
DORA_MUST_CHECK
int dora__pip_question(const char *interpreter, char *const *words,
                       size_t count, char ***ret_argv);
/* The line as it is to be run, the same. With `uv` pip is `uv pip`. */
DORA_MUST_CHECK
int dora__pip_command(const char *interpreter, bool uv, char *const *words,
                      size_t count, char ***ret_argv);

#endif
