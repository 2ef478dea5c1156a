/* git.h - the git program: asked to do something, and what it answers. */
#ifndef DORA_GIT_H
#define DORA_GIT_H

#include "clone.h"
#include "host/environment.h"

/* Zero but for the first two. */
struct dora__git_program {
    const struct dora_options *options;
    const char *node; /* in whose name it speaks in the log */
    struct dora__environment environment;
    char *path;
    const char *wanted; /* name of what is to be found among its answers; NULL:
                           an answer is a commit's id alone */
    char found[DORA__COMMIT_MAX + 1]; /* the commit that was answered; or "" */
    char last[200];  /* what it said last that matters; or "" */
    bool fatal;      /* `last` is why it gave up */
    int64_t said_at; /* when progress was last told */
};

/* Finds it. -ENOENT: there is none on PATH. */
DORA_MUST_CHECK
int dora__git_open(struct dora__git_program *git,
                   const char *const *environment);
/* Runs it in `directory`; those words that are "" are left out. As
 * dora__tool_run. */
DORA_MUST_CHECK
int dora__git_run(struct dora__git_program *git, const char *directory,
                  const char *const *words);
void dora__git_close(struct dora__git_program *git);

#endif
