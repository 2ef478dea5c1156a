/* yaml_error.c - see yaml_error.h. Every complaint has the place of the text
 * that is wrong; where libyaml knows only its byte, lines are counted. */
#include "yaml_error.h"

struct dora__mark
dora__yaml_place(yaml_mark_t mark)
{
    return (struct dora__mark){(uint32_t)mark.line + 1,
                               (uint32_t)mark.column + 1, 0};
}

static struct dora__mark
place_of_byte(const unsigned char *text, size_t size, size_t offset)
{
    struct dora__mark mark = {1, 1, 0};

    for (size_t i = 0; i < offset && i < size; i++) {
        if (text[i] == '\n')
            mark = (struct dora__mark){mark.line + 1, 1, 0};
        else if ((text[i] & 0xC0) != 0x80)
            mark.column++;
    }
    return mark;
}

int
dora__yaml_error(const yaml_parser_t *p, const unsigned char *text, size_t size,
                 struct dora__mark *ret_mark, struct dora_error *err)
{
    const char *problem = p->problem ? p->problem : "malformed text";
    size_t at = p->problem_mark.index, byte = p->problem_offset;

    if (p->error == YAML_MEMORY_ERROR)
        return dora__fail(err, ENOMEM, "out of memory");
    *ret_mark = dora__yaml_place(p->problem_mark);
    if (p->error == YAML_READER_ERROR) {
        *ret_mark = place_of_byte(text, size, byte);
        return dora__fail(err, EINVAL, "not valid YAML: %s (byte 0x%02X)",
                          problem, byte < size ? text[byte] : 0);
    }
    if (p->error == YAML_SCANNER_ERROR && at < size && text[at] == '\t')
        return dora__fail(err, EINVAL,
                          "not valid YAML: a tab cannot indent; use spaces");
    if (p->context == NULL)
        return dora__fail(err, EINVAL, "not valid YAML: %s", problem);
    return dora__fail(err, EINVAL, "not valid YAML: %s, %s from line %zu",
                      problem, p->context, p->context_mark.line + 1);
}
