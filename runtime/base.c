/* base.c - error lines, growing text, names for runs and requests.
 *
 * 1. An error is one terminated line that is safe to print: no control
 *    character but tab, never half a UTF-8 sequence at the cut.
 * 2. Setting an error leaves errno alone, so that
 *    `dora__fail(err, errno, ...)` returns what the failed call left there,
 *    and may quote the very line it replaces.
 * 3. Growing text that once failed to grow stays failed: one check at the end
 *    is enough, and what it holds is still terminated. */
#include "base.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* Length of `text` without a sequence that its end cuts in two. */
static size_t
whole_utf8(const char *text, size_t size)
{
    size_t lead = size;

    while (lead > 0 && size - lead < 3 && (text[lead - 1] & 0xC0) == 0x80)
        lead--;
    if (lead == 0)
        return size;

    unsigned char first = (unsigned char)text[lead - 1];
    size_t need = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC0 ? 2 : 1;

    return size - (lead - 1) < need ? lead - 1 : size;
}

void
dora__error_set(struct dora_error *err, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    dora__error_vset(err, format, args);
    va_end(args);
}

void
dora__error_vset(struct dora_error *err, const char *format, va_list args)
{
    char line[sizeof err->text];
    int saved = errno, size;

    if (err == NULL)
        return;
    size = vsnprintf(line, sizeof line, format, args);
    if (size < 0)
        line[0] = '\0';
    else if ((size_t)size >= sizeof line)
        line[whole_utf8(line, sizeof line - 1)] = '\0';
    for (char *p = line; *p != '\0'; p++)
        if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7F)
            *p = '?';
    memcpy(err->text, line, sizeof line);
    errno = saved;
}

char *
dora__format(const char *format, ...)
{
    char *text;
    va_list args;

    va_start(args, format);
    int size = vasprintf(&text, format, args);
    va_end(args);
    return size < 0 ? NULL : text;
}

void
dora__uuid(char ret_id[static 37])
{
    uint64_t ms = (uint64_t)dora__clock(CLOCK_REALTIME) / 1000000;
    unsigned char r[10];

    while (getrandom(r, sizeof r, 0) < 0 && errno == EINTR)
        continue;
    (void)snprintf(
        ret_id, 37, "%08x-%04x-7%01x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
        (unsigned)(ms >> 16), (unsigned)(ms & 0xffff), r[0] & 0xf, r[1],
        (r[2] & 0x3f) | 0x80, r[3], r[4], r[5], r[6], r[7], r[8], r[9]);
}

/* Room for `more` bytes and the terminator. */
static bool
reserve(struct dora__text *t, size_t more)
{
    size_t capacity = t->capacity;

    if (t->failed || more > SIZE_MAX / 4 || t->size > SIZE_MAX / 4) {
        t->failed = true;
        return false;
    }
    if (capacity > t->size + more)
        return true;
    if (capacity == 0)
        capacity = 64;
    while (capacity <= t->size + more)
        capacity *= 2;

    char *text = realloc(t->text, capacity);

    if (text == NULL) {
        t->failed = true;
        return false;
    }
    t->text = text;
    t->capacity = capacity;
    return true;
}

void
dora__text_add(struct dora__text *t, const char *text, size_t size)
{
    if (!reserve(t, size))
        return;
    if (size > 0)
        memcpy(t->text + t->size, text, size);
    t->size += size;
    t->text[t->size] = '\0';
}

void
dora__text_puts(struct dora__text *t, const char *text)
{
    dora__text_add(t, text, strlen(text));
}

void
dora__text_printf(struct dora__text *t, const char *format, ...)
{
    va_list args;

    if (t->failed)
        return;
    va_start(args, format);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (size < 0) {
        t->failed = true;
        return;
    }
    if (!reserve(t, (size_t)size))
        return;
    va_start(args, format);
    (void)vsnprintf(t->text + t->size, (size_t)size + 1, format, args);
    va_end(args);
    t->size += (size_t)size;
}

/* Bytes of the well-formed UTF-8 sequence at `text` (RFC 3629: no overlong
 * form, no surrogate, nothing above U+10FFFF), or 0. */
static size_t
utf8_sequence(const unsigned char *text, size_t size)
{
    unsigned char low = 0x80, high = 0xBF;
    size_t need;

    if (text[0] < 0x80)
        return 1;
    if (text[0] < 0xC2 || text[0] > 0xF4)
        return 0;
    need = text[0] < 0xE0 ? 2 : text[0] < 0xF0 ? 3 : 4;
    if (size < need)
        return 0;
    if (text[0] == 0xE0)
        low = 0xA0;
    else if (text[0] == 0xED)
        high = 0x9F;
    else if (text[0] == 0xF0)
        low = 0x90;
    else if (text[0] == 0xF4)
        high = 0x8F;
    if (text[1] < low || text[1] > high)
        return 0;
    for (size_t i = 2; i < need; i++)
        if ((text[i] & 0xC0) != 0x80)
            return 0;
    return need;
}

static void
json_escape(struct dora__text *t, char c)
{
    switch (c) {
    case '"':
        dora__text_puts(t, "\\\"");
        break;
    case '\\':
        dora__text_puts(t, "\\\\");
        break;
    case '\n':
        dora__text_puts(t, "\\n");
        break;
    case '\r':
        dora__text_puts(t, "\\r");
        break;
    case '\t':
        dora__text_puts(t, "\\t");
        break;
    default:
        dora__text_printf(t, "\\u%04x", (unsigned)c);
    }
}

/* Bytes at the beginning that stand for themselves in a JSON string. */
static size_t
plain_ascii(const char *text, size_t size)
{
    size_t at = 0;

    for (; at < size && text[at] != '"' && text[at] != '\\'; at++)
        if ((unsigned char)text[at] < ' ' || (unsigned char)text[at] >= 0x80)
            break;
    return at;
}

void
dora__text_json(struct dora__text *t, const char *text, size_t size)
{
    dora__text_puts(t, "\"");
    for (size_t at = 0, step; at < size; at += step) {
        step = plain_ascii(text + at, size - at);
        if (step > 0) {
            dora__text_add(t, text + at, step);
            continue;
        }
        step = utf8_sequence((const unsigned char *)text + at, size - at);
        if (step == 1) {
            json_escape(t, text[at]);
        } else if (step == 0) {
            dora__text_puts(t, "\xEF\xBF\xBD");
            step = 1;
        } else {
            dora__text_add(t, text + at, step);
        }
    }
    dora__text_puts(t, "\"");
}

void
dora__text_utf8(struct dora__text *t, const char *text, size_t size)
{
    size_t from = 0;

    for (size_t at = 0, step; at < size; at += step) {
        step = utf8_sequence((const unsigned char *)text + at, size - at);
        if (step > 0)
            continue;
        dora__text_add(t, text + from, at - from);
        dora__text_puts(t, "\xEF\xBF\xBD");
        step = 1;
        from = at + 1;
    }
    dora__text_add(t, text + from, size - from);
}
