/* source.c - Python's words, of the grammar of 3.12 and newer.
 *
 *   1. An f-string is text and fields in turn; a field is read like any other
 *      code, up to its `}` or to the colon of its format, which is text again
 *      and may have fields. `levels` is where in them we are.
 *   2. Inside brackets, fields among them, a line's end means nothing.
 *   3. A source ends between two statements. One that ends elsewhere is bad,
 * and so is one with a byte that no source has. */
#include "source.h"

#include <string.h>

void
dora__source_init(struct dora__source *s, const char *text, size_t size)
{
    *s = (struct dora__source){.at = text, .end = text + size, .line = 1};
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        s->at += 3;
}

static char
peek(const struct dora__source *s, size_t ahead)
{
    return (size_t)(s->end - s->at) > ahead ? s->at[ahead] : '\0';
}

static bool
is_line_end(char c)
{
    return c == '\n' || c == '\r';
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\f';
}

/* Past one character, a line's end counted once however it is written. */
static void
step(struct dora__source *s)
{
    if (*s->at == '\r' && peek(s, 1) == '\n')
        s->at++;
    s->line += is_line_end(*s->at);
    s->at++;
}

static bool
is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '_' || (unsigned char)c >= 0x80;
}

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The level we are in; NULL: plain code. */
static struct dora__source_level *
top(struct dora__source *s)
{
    return s->level_count == 0 ? NULL : &s->levels[s->level_count - 1];
}

static bool
push(struct dora__source *s, struct dora__source_level level)
{
    if (s->level_count == DORA__SOURCE_DEPTH)
        return false;
    s->levels[s->level_count++] = level;
    return true;
}

/* --- strings ----------------------------------------------------------------
 */

static bool
at_quotes(const struct dora__source *s, char quote, bool triple)
{
    return peek(s, 0) == quote &&
           (!triple || (peek(s, 1) == quote && peek(s, 2) == quote));
}

/* Past the end of a string that has no fields. */
static bool
pass_string(struct dora__source *s, char quote, bool triple)
{
    while (s->at < s->end) {
        if (at_quotes(s, quote, triple)) {
            s->at += triple ? 3 : 1;
            return true;
        }
        if (*s->at == '\\')
            s->at++;
        else if (!triple && is_line_end(*s->at))
            return false;
        if (s->at < s->end)
            step(s);
    }
    return false;
}

/* The string, or the part of an f-string, that we are in: its own level. */
static const struct dora__source_level *
string_level(const struct dora__source *s)
{
    size_t i = s->level_count - 1;

    while (s->levels[i].field)
        i--;
    return &s->levels[i];
}

static void
pass_escape(struct dora__source *s, bool raw)
{
    s->at++;
    if (s->at == s->end || *s->at == '{' || *s->at == '}')
        return;
    if (!raw && *s->at == 'N' && peek(s, 1) == '{')
        while (s->at < s->end && *s->at != '}' && !is_line_end(*s->at))
            s->at++;
    if (s->at < s->end)
        step(s);
}

/* Text of an f-string up to a field or the end. The end is a VALUE; a field
 * begins with the SIGN `{`, and the one whose format it was ends with `}`. */
static enum dora__word
pass_text(struct dora__source *s)
{
    const struct dora__source_level string = *string_level(s);
    bool format = top(s)->field;

    while (s->at < s->end) {
        char c = *s->at;

        if (at_quotes(s, string.quote, string.triple)) {
            s->at += string.triple ? 3 : 1;
            s->level_count--;
            return format ? DORA__WORD_BAD : DORA__WORD_VALUE;
        }
        if (c == '{' && (format || peek(s, 1) != '{')) {
            s->at++;
            return push(s, (struct dora__source_level){.field = true,
                                                       .depth = ++s->depth})
                       ? DORA__WORD_SIGN
                       : DORA__WORD_BAD;
        }
        if (c == '}' && format) {
            s->at++;
            s->depth--;
            s->level_count--;
            return DORA__WORD_SIGN;
        }
        if (!string.triple && is_line_end(c))
            return DORA__WORD_BAD;
        if (c == '\\') {
            pass_escape(s, string.raw);
        } else {
            if (c == '{' || c == '}')
                s->at += peek(s, 1) == c;
            step(s);
        }
    }
    return DORA__WORD_BAD;
}

/* How many letters before a quote belong to the string; -1: it is none. */
static int
prefix_size(const struct dora__source *s)
{
    int size = 0;

    while (size < 2 && peek(s, (size_t)size) != '\0' &&
           strchr("rRbBuUfFtT", peek(s, (size_t)size)) != NULL)
        size++;
    return peek(s, (size_t)size) == '"' || peek(s, (size_t)size) == '\'' ? size
                                                                         : -1;
}

static enum dora__word
begin_string(struct dora__source *s, int prefix)
{
    struct dora__source_level level = {.quote = s->at[prefix]};
    bool fields = false;

    for (int i = 0; i < prefix; i++) {
        fields |= strchr("fFtT", s->at[i]) != NULL;
        level.raw |= s->at[i] == 'r' || s->at[i] == 'R';
    }
    s->at += prefix;
    level.triple = at_quotes(s, level.quote, true);
    s->at += level.triple ? 3 : 1;
    if (fields)
        return push(s, level) ? pass_text(s) : DORA__WORD_BAD;
    return pass_string(s, level.quote, level.triple) ? DORA__WORD_VALUE
                                                     : DORA__WORD_BAD;
}

/* --- code -------------------------------------------------------------------
 */

/* Past blanks, comments, continued lines, and lines' ends in brackets. */
static void
pass_blanks(struct dora__source *s)
{
    for (; s->at < s->end; step(s)) {
        if (*s->at == '#')
            while (s->at < s->end && !is_line_end(*s->at))
                s->at++;
        if (s->at == s->end)
            return;
        if (*s->at == '\\' && is_line_end(peek(s, 1)))
            s->at++;
        else if (is_line_end(*s->at) ? s->depth == 0 : !is_blank(*s->at))
            return;
    }
}

static enum dora__word
pass_number(struct dora__source *s)
{
    while (s->at < s->end && (is_name(*s->at) || *s->at == '.'))
        s->at++;
    return DORA__WORD_VALUE;
}

static enum dora__word
pass_name(struct dora__source *s)
{
    while (s->at < s->end && is_name(*s->at))
        s->at++;
    return DORA__WORD_NAME;
}

/* A sign, which may open or close a bracket, or end a field's expression. */
static enum dora__word
pass_sign(struct dora__source *s)
{
    struct dora__source_level *level = top(s);
    bool own = level != NULL && s->depth == level->depth;
    char c = *s->at;

    if (c == '\0' || strchr("()[]{}.,:;@=+-*/%&|^~<>!", c) == NULL)
        return DORA__WORD_BAD;
    s->at++;
    if (strchr("([{", c) != NULL)
        s->depth++;
    if (strchr(")]}", c) != NULL) {
        if (s->depth == 0 || (own && c != '}'))
            return DORA__WORD_BAD;
        s->depth--;
        if (own)
            s->level_count--;
    }
    if (own && c == ':')
        level->format = true;
    return c == ';' && s->depth == 0 ? DORA__WORD_LINE : DORA__WORD_SIGN;
}

static enum dora__word
pass(struct dora__source *s)
{
    int prefix = prefix_size(s);

    if (s->at == s->end)
        return s->depth == 0 ? DORA__WORD_END : DORA__WORD_BAD;
    if (is_line_end(*s->at)) {
        step(s);
        return DORA__WORD_LINE;
    }
    if (prefix >= 0)
        return begin_string(s, prefix);
    if (is_digit(*s->at) || (*s->at == '.' && is_digit(peek(s, 1))))
        return pass_number(s);
    return is_name(*s->at) ? pass_name(s) : pass_sign(s);
}

struct dora__token
dora__source_next(struct dora__source *s)
{
    const struct dora__source_level *level = top(s);
    bool text = level != NULL && (!level->field || level->format);
    struct dora__token token;

    if (!text)
        pass_blanks(s);
    token = (struct dora__token){.text = s->at, .line = s->line};
    token.word = text ? pass_text(s) : pass(s);
    token.size = (size_t)(s->at - token.text);
    if (token.word == DORA__WORD_BAD)
        s->at = s->end;
    return token;
}
