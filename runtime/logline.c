/* logline.c - see logline.h.
 *
 * A reader of its own and not document.c: a node may write a hundred thousand
 * such lines a second, on the thread that also serves every other node. It
 * accepts exactly JSON; anything else is an ordinary line of text, shown as it
 * is. Nothing is allocated but the scratch for strings with escapes. */
#include "logline.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { DEPTH_LIMIT = 64 };

struct reader {
    const char *at, *end;
};

struct slice {
    const char *text; /* NULL: absent */
    size_t size;
};

/* Of a string: what is between the quotes. */
struct found {
    struct slice level, timestamp, message, target, fields;
    struct slice node, stream; /* of a journal's line */
    bool stored;               /* it is one */
};

static const char *const level_names[] = {
    [DORA_LEVEL_ERROR] = "error", [DORA_LEVEL_WARN] = "warn",
    [DORA_LEVEL_INFO] = "info",   [DORA_LEVEL_DEBUG] = "debug",
    [DORA_LEVEL_TRACE] = "trace", [DORA_LEVEL_STDOUT] = "stdout",
};

const char *
dora__level_name(enum dora_level level)
{
    return level_names[level];
}

/* --- reading ------------------------------------------------------------- */

static void
skip_space(struct reader *r)
{
    while (r->at < r->end &&
           (*r->at == ' ' || *r->at == '\t' || *r->at == '\r'))
        r->at++;
}

static bool
take(struct reader *r, char c)
{
    skip_space(r);
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

static bool
read_string(struct reader *r, struct slice *ret_slice)
{
    const char *start;

    if (!take(r, '"'))
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
    *ret_slice = (struct slice){start, (size_t)(r->at - start)};
    return take(r, '"');
}

static bool
skip_digits(struct reader *r)
{
    const char *start = r->at;

    while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
        r->at++;
    return r->at > start;
}

static bool
skip_number(struct reader *r)
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
skip_word(struct reader *r, const char *word)
{
    size_t size = strlen(word);

    if ((size_t)(r->end - r->at) < size || memcmp(r->at, word, size) != 0)
        return false;
    r->at += size;
    return true;
}

static bool skip_value(struct reader *r, int depth);

/* A list or an object, after its opening bracket. */
static bool
skip_items(struct reader *r, char close, int depth)
{
    struct slice key;

    if (take(r, close))
        return true;
    do {
        if (close == '}' && (!read_string(r, &key) || !take(r, ':')))
            return false;
        if (!skip_value(r, depth))
            return false;
    } while (take(r, ','));
    return take(r, close);
}

static bool
skip_value(struct reader *r, int depth)
{
    struct slice text;

    skip_space(r);
    if (r->at == r->end || depth == DEPTH_LIMIT)
        return false;
    switch (*r->at) {
    case '"':
        return read_string(r, &text);
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

static bool
is_key(const struct slice *key, const char *name)
{
    return key->size == strlen(name) && memcmp(key->text, name, key->size) == 0;
}

static struct slice *
wanted(struct found *f, const struct slice *key)
{
    if (is_key(key, "level"))
        return &f->level;
    if (is_key(key, "target"))
        return &f->target;
    if (f->stored)
        return is_key(key, "ts")       ? &f->timestamp
               : is_key(key, "msg")    ? &f->message
               : is_key(key, "node")   ? &f->node
               : is_key(key, "stream") ? &f->stream
                                       : NULL;
    return is_key(key, "timestamp") ? &f->timestamp
           : is_key(key, "message") ? &f->message
                                    : NULL;
}

static bool
read_pair(struct reader *r, struct found *f)
{
    struct slice key;
    struct slice *string;
    const char *start;

    if (!read_string(r, &key) || !take(r, ':'))
        return false;
    skip_space(r);
    start = r->at;
    string = wanted(f, &key);
    if (string != NULL && start < r->end && *start == '"')
        return read_string(r, string);
    if (!skip_value(r, 0))
        return false;
    if (is_key(&key, "fields") && *start == '{')
        f->fields = (struct slice){start, (size_t)(r->at - start)};
    return true;
}

static bool
read_object(struct reader *r, struct found *f)
{
    if (!take(r, '{'))
        return false;
    do {
        if (!read_pair(r, f))
            return false;
    } while (take(r, ','));
    if (!take(r, '}'))
        return false;
    skip_space(r);
    return r->at == r->end;
}

/* --- meaning ------------------------------------------------------------- */

/* 0: none of them. */
static enum dora_level
level_of(const struct slice *name)
{
    static const struct {
        const char *name;
        enum dora_level level;
    } names[] = {
        {"error", DORA_LEVEL_ERROR},    {"warn", DORA_LEVEL_WARN},
        {"info", DORA_LEVEL_INFO},      {"debug", DORA_LEVEL_DEBUG},
        {"trace", DORA_LEVEL_TRACE},    {"warning", DORA_LEVEL_WARN},
        {"critical", DORA_LEVEL_ERROR}, {"fatal", DORA_LEVEL_ERROR},
    };

    for (size_t i = 0; i < DORA_COUNT(names); i++)
        if (name->size == strlen(names[i].name) &&
            strncasecmp(name->text, names[i].name, name->size) == 0)
            return names[i].level;
    return 0;
}

/* The number of `count` digits at `at`, or -1. */
static int
digits(const char *at, int count)
{
    int value = 0;

    for (int i = 0; i < count; i++) {
        if (at[i] < '0' || at[i] > '9')
            return -1;
        value = value * 10 + (at[i] - '0');
    }
    return value;
}

/* What follows the seconds: "Z", "+hh:mm" or "-hh:mm", in seconds. */
static bool
zone(const char *at, size_t size, int64_t *ret_offset)
{
    int hours, minutes;

    *ret_offset = 0;
    if (size == 1 && (*at == 'Z' || *at == 'z'))
        return true;
    if (size != 6 || (*at != '+' && *at != '-') || at[3] != ':')
        return false;
    hours = digits(at + 1, 2);
    minutes = digits(at + 4, 2);
    if (hours < 0 || minutes < 0)
        return false;
    *ret_offset = (hours * 60 + minutes) * (*at == '-' ? -60 : 60);
    return true;
}

/* RFC 3339 to ns; 0: it is not. */
static int64_t
time_of(const struct slice *text)
{
    const char *at = text->text, *end;
    int64_t fraction = 0, unit = 100000000, offset;
    struct tm tm = {0};

    if (text->size < 20)
        return 0;
    end = at + text->size;
    tm.tm_year = digits(at, 4) - 1900;
    tm.tm_mon = digits(at + 5, 2) - 1;
    tm.tm_mday = digits(at + 8, 2);
    tm.tm_hour = digits(at + 11, 2);
    tm.tm_min = digits(at + 14, 2);
    tm.tm_sec = digits(at + 17, 2);
    if (tm.tm_year < 70 || tm.tm_year > 300 || tm.tm_mon < 0 ||
        tm.tm_mday < 0 || tm.tm_hour < 0 || tm.tm_min < 0 || tm.tm_sec < 0)
        return 0;
    at += 19;
    if (*at == '.')
        for (at++; at < end && *at >= '0' && *at <= '9'; at++, unit /= 10)
            fraction += (*at - '0') * unit;
    if (!zone(at, (size_t)(end - at), &offset))
        return 0;
    return ((int64_t)timegm(&tm) - offset) * 1000000000 + fraction;
}

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

/* Appends the string, its escapes resolved, and a terminator. */
static void
decode(struct dora__text *out, const struct slice *text)
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

bool
dora__logline_parse(const char *text, size_t size, struct dora__text *scratch,
                    struct dora__logline *ret_line)
{
    struct reader r = {text, text + size};
    struct found f = {0};
    enum dora_level level;
    size_t target_at;

    if (size < 2 || text[0] != '{' || !read_object(&r, &f) ||
        f.level.text == NULL || f.timestamp.text == NULL)
        return false;
    level = level_of(&f.level);
    if (level == 0)
        return false;
    if (f.message.text == NULL) /* nothing else to show */
        f.message = (struct slice){text, size};
    scratch->size = 0;
    scratch->failed = false;
    decode(scratch, &f.message);
    target_at = scratch->size;
    if (f.target.text != NULL)
        decode(scratch, &f.target);
    if (scratch->failed)
        return false;
    *ret_line = (struct dora__logline){
        .level = level,
        .time_ns = time_of(&f.timestamp),
        .message = scratch->text,
        .message_size = target_at - 1,
        .target = f.target.text != NULL ? scratch->text + target_at : NULL,
        .fields = f.fields.text,
        .fields_size = f.fields.size,
    };
    return true;
}

static void
put_digits(char *at, size_t count, int value)
{
    for (; count > 0; count--, value /= 10)
        at[count - 1] = (char)('0' + value % 10);
}

/* By hand: it is most of the work of a short line otherwise. */
static enum dora_stream
stream_of(const struct slice *name)
{
    return is_key(name, "stderr")   ? DORA_STREAM_STDERR
           : is_key(name, "stdout") ? DORA_STREAM_STDOUT
                                    : DORA_STREAM_HOST;
}

bool
dora__logline_stored(const char *text, size_t size, struct dora__text *scratch,
                     struct dora_log_record *ret_record)
{
    struct reader r = {text, text + size};
    struct found f = {.stored = true};
    size_t node_at, target_at;

    if (size < 2 || text[0] != '{' || !read_object(&r, &f) ||
        f.level.text == NULL || f.timestamp.text == NULL ||
        f.message.text == NULL || f.node.text == NULL || f.stream.text == NULL)
        return false;
    scratch->size = 0;
    scratch->failed = false;
    decode(scratch, &f.message);
    node_at = scratch->size;
    decode(scratch, &f.node);
    target_at = scratch->size;
    if (f.target.text != NULL)
        decode(scratch, &f.target);
    if (scratch->failed)
        return false;
    *ret_record = (struct dora_log_record){
        .time_ns = time_of(&f.timestamp),
        .level = level_of(&f.level),
        .stream = stream_of(&f.stream),
        .node = scratch->text + node_at,
        .target = f.target.text != NULL ? scratch->text + target_at : NULL,
        .text = scratch->text,
        .text_size = node_at - 1,
    };
    if (ret_record->level == 0)
        ret_record->level = DORA_LEVEL_STDOUT;
    return true;
}

void
dora__text_time(struct dora__text *out, int64_t time_ns)
{
    char text[] = "yyyy-mm-ddThh:mm:ss.mmmZ";
    time_t seconds = (time_t)(time_ns / 1000000000);
    struct tm tm;

    (void)gmtime_r(&seconds, &tm);
    put_digits(text, 4, tm.tm_year + 1900);
    put_digits(text + 5, 2, tm.tm_mon + 1);
    put_digits(text + 8, 2, tm.tm_mday);
    put_digits(text + 11, 2, tm.tm_hour);
    put_digits(text + 14, 2, tm.tm_min);
    put_digits(text + 17, 2, tm.tm_sec);
    put_digits(text + 20, 3, (int)(time_ns / 1000000 % 1000));
    dora__text_add(out, text, sizeof text - 1);
}
