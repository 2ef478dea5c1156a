/* graph_text.c - ids, sizes, seconds and numbers. */
#include "graph_text.h"

#include "document.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define ID_CHARACTERS \
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"

const char *
dora__node_id_fault(const char *id)
{
    if (*id == '\0')
        return "is empty";
    if (*id == '.')
        return "must not begin with a point";
    if (id[strspn(id, ID_CHARACTERS)] != '\0')
        return "may hold only letters, digits, `_`, `.` and `-`";
    if (strcmp(id, "dora") == 0)
        return "is reserved: `dora/...` are the sources of the runtime";
    return NULL;
}

const char *
dora__port_id_fault(const char *id)
{
    if (*id == '\0')
        return "is empty";
    if (id[strspn(id, ID_CHARACTERS "/")] != '\0')
        return "may hold only letters, digits, `_`, `.`, `-` and `/`";
    if (*id == '/' || id[strlen(id) - 1] == '/' || strstr(id, "//") != NULL)
        return "must have something on both sides of each `/`";
    return NULL;
}

static uint64_t
unit_of(const char *text)
{
    static const struct {
        const char *name;
        uint64_t size;
    } units[] = {
        {"", 1},        {"b", 1},        {"k", 1 << 10}, {"kb", 1 << 10},
        {"m", 1 << 20}, {"mb", 1 << 20}, {"g", 1 << 30}, {"gb", 1 << 30},
    };
    char unit[3] = {0};

    if (strlen(text) >= sizeof unit)
        return 0;
    for (size_t i = 0; text[i] != '\0'; i++)
        unit[i] = (char)tolower((unsigned char)text[i]);
    for (size_t i = 0; i < DORA_COUNT(units); i++)
        if (strcmp(unit, units[i].name) == 0)
            return units[i].size;
    return 0;
}

int
dora__parse_size(const char *text, uint64_t *ret_size)
{
    size_t whole = strspn(text, "0123456789"), fraction = 0;
    const char *end = text + whole;
    uint64_t result = 0, unit;

    if (*end == '.') {
        fraction = strspn(end + 1, "0123456789");
        end += 1 + fraction;
    }
    if (whole + fraction == 0)
        return -EINVAL;
    unit = unit_of(end + strspn(end, " "));
    if (unit == 0)
        return -EINVAL;
    errno = 0;
    if (whole > 0)
        result = strtoull(text, NULL, 10);
    if (errno != 0 || __builtin_mul_overflow(result, unit, &result) ||
        result > INT64_MAX / 2)
        return -ERANGE;
    if (fraction > 0) {
        char part[24] = "0";

        strncat(part, text + whole, fraction < 20 ? fraction + 1 : 20);
        result += (uint64_t)(dora__number(part) * (double)unit);
    }
    *ret_size = result;
    return 0;
}

int
dora__parse_seconds(double seconds, int64_t *ret_ns)
{
    if (isnan(seconds) || seconds < 0)
        return -EINVAL;
    if (seconds >= 18446744073709551616.0)
        return -ERANGE;
    if (seconds >= (double)DORA__FOREVER_NS / 1e9)
        *ret_ns = DORA__FOREVER_NS;
    else
        *ret_ns = (int64_t)(seconds * 1e9 + 0.5);
    if (*ret_ns == 0 && seconds > 0)
        *ret_ns = 1;
    return 0;
}

/* The fewest digits that read back as `value` > 0, and their exponent: the
 * point stands after the first digit. Takes no notice of what the locale uses
 * for a point. */
static int
shortest_digits(double value, char ret_digits[32])
{
    char text[64];
    char *exponent;
    size_t size = 0;

    for (int precision = 0; precision <= 17; precision++) {
        (void)snprintf(text, sizeof text, "%.*e", precision, value);
        if (strtod(text, NULL) == value)
            break;
    }
    exponent = strchr(text, 'e');
    for (const char *p = text; p < exponent && size < 31; p++)
        if (*p >= '0' && *p <= '9')
            ret_digits[size++] = *p;
    while (size > 1 && ret_digits[size - 1] == '0')
        size--;
    ret_digits[size] = '\0';
    return (int)strtol(exponent + 1, NULL, 10);
}

void
dora__text_double(struct dora__text *out, double value)
{
    char digit[32];
    int point, size;

    if (isnan(value)) {
        dora__text_puts(out, "NaN");
        return;
    }
    if (signbit(value))
        dora__text_puts(out, "-");
    if (isinf(value) || value == 0) {
        dora__text_puts(out, isinf(value) ? "inf" : "0");
        return;
    }
    point = shortest_digits(fabs(value), digit) + 1;
    size = (int)strlen(digit);
    if (point <= 0)
        dora__text_puts(out, "0.");
    for (int i = point; i < 0; i++)
        dora__text_puts(out, "0");
    for (int i = 0; i < size; i++) {
        if (i > 0 && i == point)
            dora__text_puts(out, ".");
        dora__text_add(out, &digit[i], 1);
    }
    for (int i = size; i < point; i++)
        dora__text_puts(out, "0");
}
