/* metadata.h - private half of the metadata functions of dora.h. */
#ifndef DORA_METADATA_H
#define DORA_METADATA_H

#include "base.h"

enum {
    DORA__MAX_METADATA = 16 << 20, /* bytes of a block */
};

/* What a queue wants to know of a message. */
enum dora__metadata_flags {
    DORA__METADATA_PROTECTED = 1 << 0, /* request_id, goal_id, goal_status */
    DORA__METADATA_FLUSH = 1 << 1,     /* flush: true */
};

/* Reads the whole block. The flags, or -EBADMSG: not in the format, which is
 * more than dora_metadata_next asks for: texts are UTF-8, lists are filled, and
 * the block is no larger than the limit. */
DORA_MUST_CHECK
int dora__metadata_flags(const void *bytes, size_t size);

#endif
