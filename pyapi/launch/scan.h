/* scan.h - whether a script may run inside the host without being asked, by
 * what it and the modules beside it say; nothing is run. */
#ifndef DORA_SCAN_H
#define DORA_SCAN_H

#include "base.h"

/* What is known of files, so that each is read once. */
struct dora__scan;

/* Paths below `directory` (absolute) are shown without it. NULL: no memory. */
struct dora__scan *dora__scan_new(const char *directory);
void dora__scan_free(struct dora__scan *scan);

/* 1: it may. 0: not, and *ret_why says where and why, borrowed from the scan:
 * "node.py:3: import numpy (numpy is not known to work inside)". -ENOMEM. */
DORA_MUST_CHECK
int dora__scan_script(struct dora__scan *scan, const char *script,
                      const char **ret_why);

#endif
