/* attachment.h - taking up the attachment that a process was started with. */
#ifndef DORA_ATTACHMENT_H
#define DORA_ATTACHMENT_H

#include "node/node.h"

/* Becomes the node that `text`, the value of DORA_RUN_ATTACH (kind.h), stands
 * for. Its descriptors are closed: the node has duplicates of its own. */
DORA_MUST_CHECK
int dora__attachment_take(const char *text, struct dora_node **ret_node,
                          struct dora_error *err);

#endif
