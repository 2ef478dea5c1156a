/* yaml_error.h - what libyaml complains of, in words and with its place. */
#ifndef DORA_YAML_ERROR_H
#define DORA_YAML_ERROR_H

#include "document.h"

#include <yaml.h>

struct dora__mark dora__yaml_place(yaml_mark_t mark);

/* The parser of this text has failed: -EINVAL with *ret_mark, or -ENOMEM. */
DORA_MUST_CHECK
int dora__yaml_error(const yaml_parser_t *parser, const unsigned char *text,
                     size_t size, struct dora__mark *ret_mark,
                     struct dora_error *err);

#endif
