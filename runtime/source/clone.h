/* clone.h - clones of the repositories that nodes name by `git`, beside their
 * dataflow: out/git/NAME-HASH/COMMIT, one per repository and commit. A clone is
 * whole: it is made under another name. */
#ifndef DORA_CLONE_H
#define DORA_CLONE_H

#include "graph/graph.h"

enum { DORA__COMMIT_MAX = 64 }; /* digits of a commit's id */

/* Where the clones of the repository lie below `base`: new, or NULL. */
char *dora__clone_place(const char *base, const struct dora__git *git);
/* The clone that `git` means, as far as was found out when one was fetched: new
 * path in *ret_directory, its end is the commit's id. Looks at files only.
 * -ENOENT: it is to be fetched. */
DORA_MUST_CHECK
int dora__clone_find(const char *base, const struct dora__git *git,
                     char **ret_directory);
/* The same for a commit that is known: its clone is there. */
DORA_MUST_CHECK
int dora__clone_at(const char *place, const char *commit, char **ret_directory);
/* Keeps in mind which commit `git` means. */
DORA_MUST_CHECK
int dora__clone_note(const char *place, const struct dora__git *git,
                     const char *commit);

/* The file beside a clone that says that a dataflow file of this name uses it:
 * new, or NULL. */
char *dora__clone_mark(const char *directory, const char *file);

/* Whether a commit's whole id is in the text, and nothing else. */
bool dora__is_commit(const char *text, size_t size);
/* Whether two nodes ask for the same. */
bool dora__git_same(const struct dora__git *a, const struct dora__git *b);
/* "branch `main` of https://...", for a person: new, or NULL; without what may
 * be a password. */
char *dora__git_title(const struct dora__git *git);

/* clone_fetch.c */

struct dora__fetch {
    const struct dora_options *options;
    const struct dora__graph *graph; /* that the node is of */
    const char *base;                /* directory of the file, absolute */
    const char *const *environment;
    bool again; /* ask anew what branches and tags are */
};

/* Sees to it that the node's clone is there. -ECANCELED: *err says why not. */
DORA_MUST_CHECK
int dora__clone_fetch(const struct dora__fetch *fetch,
                      const struct dora__graph_node *node,
                      struct dora_error *err);

/* clone_keep.c */

/* Begins the name of what is no clone (yet, or any more). */
#define DORA__CLONE_UNFINISHED ".new-"

/* Whether the dataflow file has said that it uses the clone; and to say so. */
bool dora__clone_is_kept(const char *directory, const char *file);
DORA_MUST_CHECK
int dora__clone_keep(const char *directory, const char *file);
/* Until the descriptor is closed nobody removes the clone; -1. */
int dora__clone_hold(const char *directory);
/* Removes clones beside the file that no dataflow there names any more; the
 * graph is what the file names now. */
void dora__clone_sweep(const struct dora__fetch *fetch,
                       const struct dora__graph *graph);
/* A directory and all that is in it. */
void dora__clone_remove(const char *path);

#endif
