/* modules.h - the modules of the standard library, and which of them a script
 * may import and still run inside the host without being asked. The list is
 * modules.list, written by tests/sound/sound.py. */
#ifndef DORA_MODULES_H
#define DORA_MODULES_H

#include <stddef.h>

enum dora__module {
    DORA__MODULE_UNKNOWN, /* or not of the standard library */
    DORA__MODULE_SOUND,
    DORA__MODULE_UNFIT,
};

/* By its whole name, "xml.dom". Why it is unfit goes to *ret_why and
 * *ret_size, not terminated. */
enum dora__module dora__module_find(const char *name, size_t size,
                                    const char **ret_why, size_t *ret_size);

#endif
