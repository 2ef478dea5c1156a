/* choice.h - which interpreter a Python node asks for, and who does so for it,
 * before anybody knows what that interpreter is. */
#ifndef DORA_CHOICE_H
#define DORA_CHOICE_H

#include "host/kind.h"
#include "interpreter.h"

/* What is known of a node by then. */
struct dora__python_question {
    const struct dora__graph_node *node;
    const struct dora__site *site;
    const struct dora__python_table *table;
    const char *named;  /* interpreter that the path names, or NULL; */
    const char *script; /* in the first line of this, or NULL */
};

/* Strings are new; dora__python_choice_fini. */
struct dora__python_choice {
    char *path;    /* absolute; NULL: nobody asked, and none is on PATH */
    char *reason;  /* who asked */
    bool required; /* is used or refused: never another one */
};

/* -EINVAL: what is named is no program; *err names the node. */
DORA_MUST_CHECK
int dora__python_choose(const struct dora__python_question *question,
                        struct dora__python_choice *ret_choice,
                        struct dora_error *err);
void dora__python_choice_fini(struct dora__python_choice *choice);

#endif
