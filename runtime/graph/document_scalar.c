/* document_scalar.c - what type a scalar has, and values as JSON.
 *
 * 1. Plain scalars are typed by the YAML 1.2 core schema and nothing else: no
 *    sexagesimals, no yes/no, no 010 as eight. Quoted ones are strings.
 * 2. An integer beyond 64 bits is a float: its text tells what was written.
 * 3. Nothing here asks the locale of the program it is part of. JSON numbers
 *    are made from the text, which also keeps all their digits. */
#include "document.h"

#include <locale.h>
#include <math.h>
#include <string.h>

static bool
is_one_of(const char *text, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

static size_t
digits(const char *text, const char *of)
{
    return strspn(text, of);
}

static const char decimal[] = "0123456789";

static bool
read_integer(const char *text, int64_t *ret_value)
{
    const char *start = text;
    bool minus = *text == '-';
    int base = 10;
    size_t size;

    if (*text == '-' || *text == '+')
        text++;
    if (text == start && text[0] == '0' && (text[1] == 'x' || text[1] == 'o')) {
        base = text[1] == 'x' ? 16 : 8;
        text += 2;
    }
    size = digits(text, base == 10  ? decimal
                        : base == 8 ? "01234567"
                                    : "0123456789abcdefABCDEF");
    if (size == 0 || text[size] != '\0')
        return false;
    errno = 0;

    unsigned long long value = strtoull(text, NULL, base);

    if (errno == ERANGE || value > (uint64_t)INT64_MAX + minus)
        return false;
    *ret_value = minus ? (int64_t)-value : (int64_t)value;
    return true;
}

/* Whether the text is a decimal number of the core schema. */
static bool
is_number(const char *text)
{
    size_t before, after = 0;

    text += *text == '-' || *text == '+';
    before = digits(text, decimal);
    text += before;
    if (*text == '.') {
        after = digits(++text, decimal);
        text += after;
    }
    if (before + after == 0)
        return false;
    if (*text == 'e' || *text == 'E') {
        text++;
        text += *text == '-' || *text == '+';
        if (digits(text, decimal) == 0)
            return false;
        text += digits(text, decimal);
    }
    return *text == '\0';
}

static bool
read_float(const char *text, double *ret_value)
{
    static const char *const infinite[] = {".inf", ".Inf", ".INF", NULL};
    static const char *const nan[] = {".nan", ".NaN", ".NAN", NULL};
    const char *unsigned_text = text + (*text == '-' || *text == '+');

    if (is_one_of(unsigned_text, infinite))
        *ret_value = *text == '-' ? -INFINITY : INFINITY;
    else if (is_one_of(text, nan))
        *ret_value = NAN;
    else if (is_number(text))
        *ret_value = dora__number(text);
    else
        return false;
    return true;
}

double
dora__number(const char *text)
{
    locale_t plain = newlocale(LC_ALL_MASK, "C", NULL);
    double value = plain != NULL ? strtod_l(text, NULL, plain) : NAN;

    if (plain != NULL)
        freelocale(plain);
    return value;
}

void
dora__value_type_scalar(struct dora__value *value)
{
    static const char *const nothing[] = {"",     "~",    "null",
                                          "Null", "NULL", NULL};
    static const char *const yes[] = {"true", "True", "TRUE", NULL};
    static const char *const no[] = {"false", "False", "FALSE", NULL};
    const char *text = value->text;

    value->type = DORA__STRING;
    if (value->quoted)
        return;
    if (is_one_of(text, nothing))
        value->type = DORA__NULL;
    else if (is_one_of(text, yes) || is_one_of(text, no)) {
        value->type = DORA__BOOL;
        value->as.boolean = is_one_of(text, yes);
    } else if (read_integer(text, &value->as.integer))
        value->type = DORA__INT;
    else if (read_float(text, &value->as.number))
        value->type = DORA__FLOAT;
}

/* A finite decimal as JSON wants it: no plus, no bare point, no extra zero. */
static void
number_json(const char *text, struct dora__text *out)
{
    size_t before, after;

    if (*text == '-')
        dora__text_puts(out, "-");
    text += *text == '-' || *text == '+';
    text += strspn(text, "0");
    before = digits(text, decimal);
    if (before > 0)
        dora__text_add(out, text, before);
    else
        dora__text_puts(out, "0");
    text += before;
    if (*text == '.') {
        after = digits(++text, decimal);
        if (after > 0) {
            dora__text_puts(out, ".");
            dora__text_add(out, text, after);
        }
        text += after;
    }
    dora__text_puts(out, text);
}

static void
items_json(const struct dora__value *value, struct dora__text *out)
{
    bool map = value->type == DORA__MAP;

    dora__text_puts(out, map ? "{" : "[");
    for (size_t i = 0; i < value->item_count; i++) {
        const struct dora__value *item = &value->items[i];

        if (i > 0)
            dora__text_puts(out, ",");
        if (map) {
            dora__text_json(out, item->key, strlen(item->key));
            dora__text_puts(out, ":");
        }
        dora__value_json(item, out);
    }
    dora__text_puts(out, map ? "}" : "]");
}

void
dora__value_json(const struct dora__value *value, struct dora__text *out)
{
    switch (value->type) {
    case DORA__NULL:
        dora__text_puts(out, "null");
        break;
    case DORA__BOOL:
        dora__text_puts(out, value->as.boolean ? "true" : "false");
        break;
    case DORA__INT:
        dora__text_printf(out, "%lld", (long long)value->as.integer);
        break;
    case DORA__FLOAT:
        if (isfinite(value->as.number))
            number_json(value->text, out);
        else
            dora__text_puts(out, "null");
        break;
    case DORA__STRING:
        dora__text_json(out, value->text, value->text_size);
        break;
    case DORA__LIST:
    case DORA__MAP:
        items_json(value, out);
        break;
    }
}
