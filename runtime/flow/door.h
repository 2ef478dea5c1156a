/* door.h - where scripts that are started by hand come to a dataflow that runs:
 * a socket without a name in the file system, found by the dataflow's id, and
 * what is said over it.
 *
 *     visitor                              host
 *     connects, sends a knock      ->
 *                                  <-      an answer; if it is 0, with the four
 *                                          descriptors of an attachment
 *     ... is the node ...          ->      lines of its log
 *     ends                         ->      (its process ends, or this end does)
 *                                  <-      end of file: the dataflow is over
 *
 * Each side lets in only its own user, by the kernel's word. The connection is
 * never what proves a visitor dead: a child it forked may hold it open. */
#ifndef DORA_DOOR_H
#define DORA_DOOR_H

#include "plane/plane.h"

#include <sys/types.h>

enum { DORA__KNOCK_SIZE = 512, DORA__VISITORS = 16, DORA__DOOR_FDS = 4 };

struct dora__knock {
    uint64_t magic;
    uint32_t layout; /* dora_layout_version */
    uint32_t zero;
    char node[DORA__KNOCK_SIZE - 16]; /* terminated */
};
_Static_assert(sizeof(struct dora__knock) == DORA__KNOCK_SIZE, "as it travels");

struct dora__answer {
    uint64_t magic;
    int32_t code;    /* 0, or a negative errno: then `text` says why */
    uint32_t number; /* of the node */
    char text[496];  /* terminated */
};
_Static_assert(sizeof(struct dora__answer) == 512, "as it travels");

#define DORA__DOOR_MAGIC UINT64_C(0x31726f6f6461726f) /* "oradoor1" */

/* --- the host's side ------------------------------------------------------ */

/* Somebody who has knocked, or is about to. */
struct dora__visitor {
    int fd; /* -1: nobody */
    pid_t pid;
    uint64_t number; /* in order of coming */
    size_t size;     /* of what was read */
    struct dora__knock knock;
};

struct dora__door {
    int socket;   /* -1: none */
    int epoll_fd; /* readable when there is something to hear */
    uint64_t count;
    struct dora__visitor visitors[DORA__VISITORS];
};

#define DORA__DOOR_NONE ((struct dora__door){.socket = -1, .epoll_fd = -1})

/* Opens the door of dataflow `id`. */
DORA_MUST_CHECK
int dora__door_open(const char *id, struct dora__door *ret_door,
                    struct dora_error *err);
/* Who waits is sent away. */
void dora__door_close(struct dora__door *door);
/* Lets in who came and reads what they say; never blocks. */
void dora__door_hear(struct dora__door *door);
/* Whether that one has said whom it wants to be. */
bool dora__visitor_waits(const struct dora__visitor *visitor);
/* The node is the visitor's from now on: hands it the attachment and returns
 * the connection, which is the caller's. Negative: it has gone. */
DORA_MUST_CHECK
int dora__visitor_admit(struct dora__visitor *visitor,
                        const struct dora__attachment *attachment);
/* Sends it away with a line that says why. */
DORA_PRINTF(3, 4)
void dora__visitor_refuse(struct dora__visitor *visitor, int code,
                          const char *format, ...);

/* --- the visitor's side --------------------------------------------------- */

/* Connects to the door of dataflow `id`. The new descriptor; -ECONNREFUSED: no
 * such dataflow runs; -EACCES: it is another user's. */
DORA_MUST_CHECK
int dora__door_find(const char *id);
/* Asks to become `node`; waits for the answer. The descriptors are new; *err
 * holds the host's reason for a refusal. */
DORA_MUST_CHECK
int dora__door_knock(int fd, const char *node,
                     struct dora__attachment *ret_attachment,
                     struct dora_error *err);

#endif
