/* scan_beside.h - where Python would find a module among the files of a script.
 */
#ifndef DORA_SCAN_BESIDE_H
#define DORA_SCAN_BESIDE_H

#include "base.h"

enum dora__beside {
    DORA__NOT_BESIDE,
    DORA__BESIDE_COMPILED, /* C code, which goes before name.py */
    DORA__BESIDE_MODULE,
    DORA__BESIDE_PACKAGE,
};

/* Looks for the module `name` in *directory, which a package replaces by its
 * own. *ret_file is new: the file to read, or NULL if there is none. -ENOMEM.
 */
DORA_MUST_CHECK
int dora__beside_find(char **directory, const char *name, size_t size,
                      enum dora__beside *ret_what, char **ret_file);

#endif
