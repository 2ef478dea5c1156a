/* arrow_layout.c - what a format string of the C data interface says of a
 * field's buffers. */
#include "arrow.h"

#include <string.h>

/* "+w:3", "w:16": the number behind the colon. */
static int
number_after(const char *text, size_t *ret_number)
{
    char *end;
    unsigned long number;

    if (*text < '0' || *text > '9')
        return -ENOTSUP;
    number = strtoul(text, &end, 10);
    if (*end != '\0' || number > INT32_MAX)
        return -ENOTSUP;
    *ret_number = number;
    return 0;
}

/* "d:19,10" is of 128 bits, "d:19,10,256" says. */
static size_t
decimal_width(const char *format)
{
    const char *comma = strchr(format, ',');

    comma = comma == NULL ? NULL : strchr(comma + 1, ',');
    return comma == NULL ? 16 : strtoul(comma + 1, NULL, 10) / 8;
}

/* Bytes of dates, times, timestamps, durations, intervals; 0: no such. */
static size_t
time_width(const char *format)
{
    static const struct {
        const char *format;
        size_t width;
    } known[] = {
        {"tdD", 4}, {"tdm", 8}, {"tts", 4}, {"ttm", 4}, {"ttu", 8},  {"ttn", 8},
        {"tss", 8}, {"tsm", 8}, {"tsu", 8}, {"tsn", 8}, {"tDs", 8},  {"tDm", 8},
        {"tDu", 8}, {"tDn", 8}, {"tiM", 4}, {"tiD", 8}, {"tin", 16},
    };

    for (size_t i = 0; i < DORA_COUNT(known); i++)
        if (strncmp(format, known[i].format, 3) == 0)
            return known[i].width;
    return 0;
}

static size_t
item_width(const char *format)
{
    static const struct {
        const char *formats;
        size_t width;
    } known[] = {{"cC", 1}, {"sSe", 2}, {"iIf", 4}, {"lLg", 8}};

    if (format[0] == 't')
        return time_width(format);
    if (format[0] == 'd' && format[1] == ':')
        return decimal_width(format);
    for (size_t i = 0; format[1] == '\0' && i < DORA_COUNT(known); i++)
        if (strchr(known[i].formats, format[0]) != NULL)
            return known[i].width;
    return 0;
}

static int
nested_layout(const char *format, struct dora__arrow_layout *layout)
{
    static const struct {
        const char *format;
        struct dora__arrow_layout layout;
    } known[] = {
        {"+l", {DORA__ARROW_LIST32, 4, 2}},
        {"+m", {DORA__ARROW_LIST32, 4, 2}}, /* a map: pairs */
        {"+L", {DORA__ARROW_LIST64, 8, 2}},
        {"+s", {DORA__ARROW_STRUCT, 0, 1}},
    };

    for (size_t i = 0; i < DORA_COUNT(known); i++)
        if (strcmp(format, known[i].format) == 0) {
            *layout = known[i].layout;
            return 0;
        }
    if (strncmp(format, "+w:", 3) != 0)
        return -ENOTSUP;
    layout->kind = DORA__ARROW_LIST_FIXED;
    layout->buffers = 1;
    return number_after(format + 3, &layout->width);
}

int
dora__arrow_layout(const char *format, struct dora__arrow_layout *layout)
{
    static const struct {
        const char *format;
        struct dora__arrow_layout layout;
    } known[] = {
        {"n", {DORA__ARROW_NULL, 0, 0}},   {"b", {DORA__ARROW_BITS, 0, 2}},
        {"u", {DORA__ARROW_TEXT32, 4, 3}}, {"z", {DORA__ARROW_TEXT32, 4, 3}},
        {"U", {DORA__ARROW_TEXT64, 8, 3}}, {"Z", {DORA__ARROW_TEXT64, 8, 3}},
    };

    if (format[0] == '\0')
        return -ENOTSUP;
    if (format[0] == '+')
        return nested_layout(format, layout);
    for (size_t i = 0; i < DORA_COUNT(known); i++)
        if (strcmp(format, known[i].format) == 0) {
            *layout = known[i].layout;
            return 0;
        }
    layout->kind = DORA__ARROW_FIXED;
    layout->buffers = 2;
    if (strncmp(format, "w:", 2) == 0)
        return number_after(format + 2, &layout->width);
    layout->width = item_width(format);
    return layout->width > 0 ? 0 : -ENOTSUP;
}
