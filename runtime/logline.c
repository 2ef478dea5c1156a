/* logline.c - see logline.h.
 *
 * Read by json.c and not document.c: a node may write a hundred thousand such
 * lines a second, on the thread that also serves every other node. What is not
 * exactly JSON is an ordinary line of text, shown as it is. Nothing is
 * allocated but the scratch for strings with escapes. */
#include "logline.h"

#include "json.h"

#include <string.h>
#include <strings.h>

/* --- levels and streams --------------------------------------------------- */

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

static bool
is_word(const struct dora__slice *key, const char *name)
{
    return key->size == strlen(name) && memcmp(key->text, name, key->size) == 0;
}

/* 0: none of them. */
static enum dora_level
level_of(const struct dora__slice *name)
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

static enum dora_stream
stream_of(const struct dora__slice *name)
{
    return is_word(name, "stderr")   ? DORA_STREAM_STDERR
           : is_word(name, "stdout") ? DORA_STREAM_STDOUT
                                     : DORA_STREAM_HOST;
}

/* --- time ---------------------------------------------------------------- */

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
time_of(const struct dora__slice *text)
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

/* By hand: it is most of the work of a short line otherwise. */
static void
put_digits(char *at, size_t count, int value)
{
    for (; count > 0; count--, value /= 10)
        at[count - 1] = (char)('0' + value % 10);
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

/* --- lines --------------------------------------------------------------- */

/* What stands under the keys of a line, as written. */
struct found {
    bool stored; /* it is a journal's, which has names of its own for them */
    struct dora__slice level, timestamp, message, target, fields;
    struct dora__slice node, stream; /* of a journal's only */
};

static struct dora__slice *
wanted(struct found *f, const struct dora__slice *key)
{
    if (is_word(key, "level"))
        return &f->level;
    if (is_word(key, "target"))
        return &f->target;
    if (f->stored)
        return is_word(key, "ts")       ? &f->timestamp
               : is_word(key, "msg")    ? &f->message
               : is_word(key, "node")   ? &f->node
               : is_word(key, "stream") ? &f->stream
                                        : NULL;
    return is_word(key, "timestamp") ? &f->timestamp
           : is_word(key, "message") ? &f->message
                                     : NULL;
}

static bool
read_pair(struct dora__json *r, struct found *f)
{
    struct dora__slice key;
    struct dora__slice *string;
    const char *start;

    if (!dora__json_string(r, &key) || !dora__json_take(r, ':'))
        return false;
    dora__json_skip_space(r);
    start = r->at;
    string = wanted(f, &key);
    if (string != NULL && start < r->end && *start == '"')
        return dora__json_string(r, string);
    if (!dora__json_skip(r))
        return false;
    if (is_word(&key, "fields") && *start == '{')
        f->fields = (struct dora__slice){start, (size_t)(r->at - start)};
    return true;
}

static bool
read_object(struct dora__json *r, struct found *f)
{
    if (!dora__json_take(r, '{'))
        return false;
    do {
        if (!read_pair(r, f))
            return false;
    } while (dora__json_take(r, ','));
    if (!dora__json_take(r, '}'))
        return false;
    dora__json_skip_space(r);
    return r->at == r->end;
}

bool
dora__logline_parse(const char *text, size_t size, struct dora__text *scratch,
                    struct dora__logline *ret_line)
{
    struct dora__json r = {text, text + size};
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
        f.message = (struct dora__slice){text, size};
    scratch->size = 0;
    scratch->failed = false;
    dora__json_decode(scratch, &f.message);
    target_at = scratch->size;
    if (f.target.text != NULL)
        dora__json_decode(scratch, &f.target);
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

bool
dora__logline_stored(const char *text, size_t size, struct dora__text *scratch,
                     struct dora_log_record *ret_record)
{
    struct dora__json r = {text, text + size};
    struct found f = {.stored = true};
    size_t node_at, target_at;

    if (size < 2 || text[0] != '{' || !read_object(&r, &f) ||
        f.level.text == NULL || f.timestamp.text == NULL ||
        f.message.text == NULL || f.node.text == NULL || f.stream.text == NULL)
        return false;
    scratch->size = 0;
    scratch->failed = false;
    dora__json_decode(scratch, &f.message);
    node_at = scratch->size;
    dora__json_decode(scratch, &f.node);
    target_at = scratch->size;
    if (f.target.text != NULL)
        dora__json_decode(scratch, &f.target);
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
