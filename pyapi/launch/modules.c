/* modules.c - looks a module up in the list, which is text: a line is a name,
 * or a name, a blank and why it is unfit. What lies below an unfit module is.
 */
#include "modules.h"

#include <stdbool.h>
#include <string.h>

extern const char dora__modules[];
__asm__(".section .rodata\n"
        ".hidden dora__modules\n"
        ".global dora__modules\n"
        "dora__modules:\n"
        ".byte 10\n"
        ".incbin \"pyapi/launch/modules.list\"\n"
        ".byte 0\n"
        ".previous\n");

/* What follows the name in its line; NULL: it has none. */
static const char *
find_line(const char *name, size_t size)
{
    const char *at = dora__modules;

    for (; (at = strchr(at, '\n')) != NULL; at++)
        if (strncmp(at + 1, name, size) == 0 &&
            (at[1 + size] == '\n' || at[1 + size] == ' '))
            return at + 1 + size;
    return NULL;
}

enum dora__module
dora__module_find(const char *name, size_t size, const char **ret_why,
                  size_t *ret_size)
{
    const char *rest = size == 0 ? NULL : find_line(name, size);
    bool whole = true;

    while (rest == NULL && size > 0) {
        while (size > 0 && name[size - 1] != '.')
            size--;
        size -= size > 0;
        rest = size == 0 ? NULL : find_line(name, size);
        whole = false;
    }
    if (rest == NULL || (*rest == '\n' && !whole))
        return DORA__MODULE_UNKNOWN;
    if (*rest == '\n')
        return DORA__MODULE_SOUND;
    *ret_why = rest + 1;
    *ret_size = strcspn(rest + 1, "\n");
    return DORA__MODULE_UNFIT;
}
