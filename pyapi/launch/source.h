/* source.h - the words of a Python source: names, operators, ends of lines;
 * strings and comments passed over, the expressions inside f-strings not. Reads
 * memory only. What it does not understand it says, and never guesses. */
#ifndef DORA_SOURCE_H
#define DORA_SOURCE_H

#include "base.h"

#include <string.h>

enum dora__word {
    DORA__WORD_END,
    DORA__WORD_LINE,  /* end of a statement: a line's, or `;` */
    DORA__WORD_NAME,  /* keywords too */
    DORA__WORD_SIGN,  /* one character of an operator or bracket */
    DORA__WORD_VALUE, /* a string or number */
    DORA__WORD_BAD,   /* no Python, or none that is understood */
};

/* Points into the source. */
struct dora__token {
    enum dora__word word;
    const char *text;
    size_t size;
    unsigned line;
};

enum { DORA__SOURCE_DEPTH = 24 };

/* An f-string being read, or one of its fields. */
struct dora__source_level {
    bool field, format; /* a field; the format of one, after the colon */
    bool triple, raw;   /* of a string */
    char quote;
    unsigned depth; /* of brackets, where a field begins */
};

struct dora__source {
    const char *at, *end;
    unsigned line, depth;
    struct dora__source_level levels[DORA__SOURCE_DEPTH];
    unsigned level_count;
};

/* `text` is kept. */
void dora__source_init(struct dora__source *source, const char *text,
                       size_t size);
/* After END and BAD nothing else comes. */
struct dora__token dora__source_next(struct dora__source *source);

static inline bool
dora__token_is(const struct dora__token *token, const char *text)
{
    return token->word != DORA__WORD_VALUE && token->size == strlen(text) &&
           memcmp(token->text, text, token->size) == 0;
}

#endif
