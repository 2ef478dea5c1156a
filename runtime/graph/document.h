/* document.h - a YAML file as a tree of values that know their place. */
#ifndef DORA_DOCUMENT_H
#define DORA_DOCUMENT_H

#include "base.h"

struct dora__mark {
    uint32_t line, column; /* from 1 */
    uint32_t file; /* 0: the one that was given; else a number of its own */
};

enum dora__value_type {
    DORA__NULL,
    DORA__BOOL,
    DORA__INT,
    DORA__FLOAT,
    DORA__STRING,
    DORA__LIST,
    DORA__MAP,
};

/* Scalars are typed by the YAML 1.2 core schema (so `on` and `yes` are
 * strings); quoted scalars are strings. Keys of maps are strings. */
struct dora__value {
    enum dora__value_type type;
    bool quoted;
    struct dora__mark mark;
    struct dora__mark key_mark; /* of the key, in a map */
    const char *key;            /* NULL outside maps */
    const char *text;           /* scalars: as written, terminated */
    size_t text_size;
    union {
        bool boolean;
        int64_t integer;
        double number;
    } as;
    struct dora__value *items; /* LIST, MAP: in order */
    size_t item_count;
};

enum {
    DORA__MAX_DOCUMENT = 4 << 20, /* bytes of text */
    DORA__MAX_DEPTH = 64,
    DORA__MAX_VALUES = 1 << 18,
    DORA__MAX_ANCHORS = 1 << 10,
};

struct dora__document {
    struct dora__value root;
    void *memory; /* private: everything the tree points to */
};

/* Anchors and aliases are resolved within the limits; more than one document,
 * duplicate keys, tags and non-scalar keys are errors. On -EINVAL *ret_mark is
 * the place and *err the text without it. */
DORA_MUST_CHECK
int dora__document_load(const char *text, size_t size,
                        struct dora__document *ret_document,
                        struct dora__mark *ret_mark, struct dora_error *err);
void dora__document_fini(struct dora__document *document);

/* The item with that key, or NULL. */
const struct dora__value *dora__value_get(const struct dora__value *map,
                                          const char *key);
/* Sets type and value of a scalar from its text. */
void dora__value_type_scalar(struct dora__value *value);
/* The number a decimal text stands for, whatever the locale. */
double dora__number(const char *text);
/* JSON of the value; .inf and .nan become null. */
void dora__value_json(const struct dora__value *value, struct dora__text *out);

#endif
