/* json.c - see json.h. */
#include "json.h"

#include <ctype.h>
#include <string.h>

enum { DEPTH_LIMIT = 64 };

/* --- reading ------------------------------------------------------------- */

void
dora__json_skip_space(struct dora__json *r)
{
    while (r->at < r->end &&
           (*r->at == ' ' || *r->at == '\t' || *r->at == '\r'))
        r->at++;
}

bool
dora__json_take(struct dora__json *r, char c)
{
    dora__json_skip_space(r);
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

static bool
is_hex(const char *at, const char *end, size_t count)
{
    if ((size_t)(end - at) < count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!isxdigit((unsigned char)at[i]))
            return false;
    return true;
}

/* Bytes of the UTF-8 character at `at`, 0 if it is none. */
static size_t
character(const unsigned char *at, const char *end)
{
    size_t left = (size_t)((const unsigned char *)end - at);
    size_t size = at[0] < 0x80   ? 1
                  : at[0] < 0xc2 ? 0
                  : at[0] < 0xe0 ? 2
                  : at[0] < 0xf0 ? 3
                  : at[0] < 0xf5 ? 4
                                 : 0;

    if (size == 0 || size > left)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ||
        (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f))
        return 0; /* too long a form, a surrogate, beyond the last */
    return size;
}

bool
dora__json_string(struct dora__json *r, struct dora__slice *ret_slice)
{
    const char *start;

    if (!dora__json_take(r, '"'))
        return false;
    start = r->at;
    while (r->at < r->end && *r->at != '"') {
        size_t size = character((const unsigned char *)r->at, r->end);

        if (size == 0 || (unsigned char)*r->at < 0x20)
            return false;
        if (*r->at == '\\') {
            if (++r->at == r->end || strchr("\"\\/bfnrtu", *r->at) == NULL ||
                *r->at == 0)
                return false;
            if (*r->at == 'u' && !is_hex(r->at + 1, r->end, 4))
                return false;
        }
        r->at += size;
    }
    *ret_slice = (struct dora__slice){start, (size_t)(r->at - start)};
    return dora__json_take(r, '"');
}

static bool
skip_digits(struct dora__json *r)
{
    const char *start = r->at;

    while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
        r->at++;
    return r->at > start;
}

static bool
skip_number(struct dora__json *r)
{
    if (*r->at == '-')
        r->at++;
    if (!skip_digits(r))
        return false;
    if (r->at < r->end && *r->at == '.') {
        r->at++;
        if (!skip_digits(r))
            return false;
    }
    if (r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
        r->at++;
        if (r->at < r->end && (*r->at == '+' || *r->at == '-'))
            r->at++;
        return skip_digits(r);
    }
    return true;
}

static bool
skip_word(struct dora__json *r, const char *word)
{
    size_t size = strlen(word);

    if ((size_t)(r->end - r->at) < size || memcmp(r->at, word, size) != 0)
        return false;
    r->at += size;
    return true;
}

static bool skip_value(struct dora__json *r, int depth);

/* A list or an object, after its opening bracket. */
static bool
skip_items(struct dora__json *r, char close, int depth)
{
    struct dora__slice key;

    if (dora__json_take(r, close))
        return true;
    do {
        if (close == '}' &&
            (!dora__json_string(r, &key) || !dora__json_take(r, ':')))
            return false;
        if (!skip_value(r, depth))
            return false;
    } while (dora__json_take(r, ','));
    return dora__json_take(r, close);
}

static bool
skip_value(struct dora__json *r, int depth)
{
    struct dora__slice text;

    dora__json_skip_space(r);
    if (r->at == r->end || depth == DEPTH_LIMIT)
        return false;
    switch (*r->at) {
    case '"':
        return dora__json_string(r, &text);
    case '{':
        r->at++;
        return skip_items(r, '}', depth + 1);
    case '[':
        r->at++;
        return skip_items(r, ']', depth + 1);
    case 't':
        return skip_word(r, "true");
    case 'f':
        return skip_word(r, "false");
    case 'n':
        return skip_word(r, "null");
    default:
        return skip_number(r);
    }
}

bool
dora__json_skip(struct dora__json *r)
{
    return skip_value(r, 0);
}

/* --- strings ------------------------------------------------------------- */

static unsigned
hex4(const char *at)
{
    char digits4[5] = {at[0], at[1], at[2], at[3], 0};

    return (unsigned)strtoul(digits4, NULL, 16);
}

static void
add_character(struct dora__text *out, unsigned c)
{
    char bytes[4];
    size_t n = 0;

    if (c < 0x80) {
        bytes[n++] = (char)c;
    } else if (c < 0x800) {
        bytes[n++] = (char)(0xc0 | c >> 6);
    } else if (c < 0x10000) {
        bytes[n++] = (char)(0xe0 | c >> 12);
        bytes[n++] = (char)(0x80 | (c >> 6 & 0x3f));
    } else {
        bytes[n++] = (char)(0xf0 | c >> 18);
        bytes[n++] = (char)(0x80 | (c >> 12 & 0x3f));
        bytes[n++] = (char)(0x80 | (c >> 6 & 0x3f));
    }
    if (c >= 0x80)
        bytes[n++] = (char)(0x80 | (c & 0x3f));
    dora__text_add(out, bytes, n);
}

/* The escape after a backslash; returns what follows it. */
static const char *
unescape(struct dora__text *out, const char *at, const char *end)
{
    static const char names[] = "bfnrt", values[] = "\b\f\n\r\t";
    const char *name = strchr(names, *at);
    unsigned c;

    if (*at != 'u') {
        c = name != NULL ? (unsigned char)values[name - names]
                         : (unsigned char)*at;
        add_character(out, c);
        return at + 1;
    }
    c = hex4(at + 1);
    at += 5;
    if (c >= 0xd800 && c < 0xdc00 && end - at >= 6 && at[0] == '\\' &&
        at[1] == 'u') {
        unsigned low = hex4(at + 2);

        if (low >= 0xdc00 && low < 0xe000) {
            add_character(out, 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00));
            return at + 6;
        }
    }
    add_character(out, c >= 0xd800 && c < 0xe000 ? 0xfffd : c);
    return at;
}

void
dora__json_decode(struct dora__text *out, const struct dora__slice *text)
{
    const char *at = text->text, *end = text->text + text->size;

    while (at < end) {
        const char *escape = memchr(at, '\\', (size_t)(end - at));

        if (escape == NULL)
            escape = end;
        dora__text_add(out, at, (size_t)(escape - at));
        at = escape < end ? unescape(out, escape + 1, end) : end;
    }
    dora__text_add(out, "", 1);
}
