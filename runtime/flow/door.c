/* door.c - see door.h. The host's side never blocks and keeps a bounded number
 * of visitors: of too many that say nothing, the one who came first goes. */
#include "door.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#define NAME "dora-run/"

/* In the abstract name space, which ends with the socket: a file's name would
 * outlive a host that is killed, and its path is often longer than an address
 * may be. The price is that both sides are in one network namespace; the host
 * knows visitors by their process ids, so they share that of processes anyway.
 */
static socklen_t
address_of(const char *id, struct sockaddr_un *address)
{
    int size;

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    size = snprintf(address->sun_path + 1, sizeof address->sun_path - 1,
                    NAME "%s", id);
    if (size < 0 || (size_t)size > sizeof address->sun_path - 2)
        size = (int)sizeof address->sun_path - 2;
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
                       (size_t)size);
}

/* Whether the other side runs as the same user; its process in *ret_pid. */
static bool
is_same_user(int fd, pid_t *ret_pid)
{
    struct ucred peer;
    socklen_t size = sizeof peer;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ||
        peer.uid != geteuid())
        return false;
    *ret_pid = peer.pid;
    return true;
}

/* --- the host's side ------------------------------------------------------ */

static int
watch(const struct dora__door *door, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};

    return epoll_ctl(door->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno
                                                                    : 0;
}

static int
listen_at(const char *id, struct dora__door *door)
{
    struct sockaddr_un address;
    socklen_t size = address_of(id, &address);

    door->socket =
        socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    door->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (door->socket < 0 || door->epoll_fd < 0 ||
        bind(door->socket, (struct sockaddr *)&address, size) < 0 ||
        listen(door->socket, DORA__VISITORS) < 0)
        return -errno;
    return watch(door, door->socket);
}

int
dora__door_open(const char *id, struct dora__door *ret_door,
                struct dora_error *err)
{
    struct dora__door door = DORA__DOOR_NONE;
    int code;

    for (size_t i = 0; i < DORA__VISITORS; i++)
        door.visitors[i].fd = -1;
    code = listen_at(id, &door);
    if (code < 0) {
        dora__door_close(&door);
        return dora__fail(err, -code,
                          "cannot make a socket for dynamic nodes: %s",
                          strerror(-code));
    }
    *ret_door = door;
    return 0;
}

static void
send_away(struct dora__visitor *visitor)
{
    if (visitor->fd >= 0)
        (void)close(visitor->fd);
    *visitor = (struct dora__visitor){.fd = -1};
}

void
dora__door_close(struct dora__door *door)
{
    for (size_t i = 0; i < DORA__VISITORS && door->socket >= 0; i++)
        if (dora__visitor_waits(&door->visitors[i]))
            dora__visitor_refuse(&door->visitors[i], ESHUTDOWN,
                                 "the dataflow has ended");
        else
            send_away(&door->visitors[i]);
    dora__close_fd(&door->socket);
    dora__close_fd(&door->epoll_fd);
    *door = DORA__DOOR_NONE;
}

/* A free place, or that of the one who has been there for the longest time. */
static struct dora__visitor *
choose_place(struct dora__door *door)
{
    struct dora__visitor *place = &door->visitors[0];

    for (size_t i = 0; i < DORA__VISITORS; i++) {
        struct dora__visitor *visitor = &door->visitors[i];

        if (visitor->fd < 0)
            return visitor;
        if (visitor->number < place->number)
            place = visitor;
    }
    send_away(place);
    return place;
}

static void
let_in(struct dora__door *door)
{
    int fd;

    while ((fd = accept4(door->socket, NULL, NULL,
                         SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        struct dora__visitor *visitor;
        pid_t pid;

        if (!is_same_user(fd, &pid) || watch(door, fd) < 0) {
            (void)close(fd);
            continue;
        }
        visitor = choose_place(door);
        *visitor = (struct dora__visitor){
            .fd = fd, .pid = pid, .number = door->count++};
    }
}

bool
dora__visitor_waits(const struct dora__visitor *visitor)
{
    return visitor->fd >= 0 && visitor->size == sizeof visitor->knock;
}

/* What is said after the knock is read by whoever takes the connection; until
 * then it must not wake anybody. */
static void
stop_hearing(const struct dora__door *door, const struct dora__visitor *visitor)
{
    (void)epoll_ctl(door->epoll_fd, EPOLL_CTL_DEL, visitor->fd, NULL);
}

static void
hear_one(const struct dora__door *door, struct dora__visitor *visitor)
{
    struct dora__knock *knock = &visitor->knock;
    ssize_t n = recv(visitor->fd, (char *)knock + visitor->size,
                     sizeof *knock - visitor->size, 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        send_away(visitor);
        return;
    }
    visitor->size += (size_t)n;
    if (!dora__visitor_waits(visitor))
        return;
    stop_hearing(door, visitor);
    knock->node[sizeof knock->node - 1] = '\0';
    if (knock->magic != DORA__DOOR_MAGIC ||
        knock->layout != dora_layout_version())
        dora__visitor_refuse(
            visitor, EPROTO,
            "the dataflow was started by another version of dora-run (%s)",
            DORA_VERSION);
}

void
dora__door_hear(struct dora__door *door)
{
    if (door->socket < 0)
        return;
    let_in(door);
    for (size_t i = 0; i < DORA__VISITORS; i++)
        if (door->visitors[i].fd >= 0 &&
            !dora__visitor_waits(&door->visitors[i]))
            hear_one(door, &door->visitors[i]);
}

/* --- answers -------------------------------------------------------------- */

/* The answer is the first that is sent: there is room for it. */
static int
send_answer(int fd, const struct dora__answer *answer, const int *fds,
            size_t fd_count)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(DORA__DOOR_FDS * sizeof(int))];
    } control = {0};
    struct iovec bytes = {(void *)(uintptr_t)answer, sizeof *answer};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};

    if (fd_count > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        control.header = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(fd_count * sizeof(int)),
            .cmsg_level = SOL_SOCKET,
            .cmsg_type = SCM_RIGHTS,
        };
        memcpy(CMSG_DATA(&control.header), fds, fd_count * sizeof(int));
    }
    return sendmsg(fd, &message, MSG_NOSIGNAL) == (ssize_t)sizeof *answer
               ? 0
               : -EPIPE;
}

int
dora__visitor_admit(struct dora__visitor *visitor,
                    const struct dora__attachment *attachment)
{
    const int fds[DORA__DOOR_FDS] = {
        attachment->control_fd, attachment->heaps_fd, attachment->heaps_ro_fd,
        attachment->doorbell_fd};
    struct dora__answer answer = {.magic = DORA__DOOR_MAGIC,
                                  .number = attachment->node};
    int code = send_answer(visitor->fd, &answer, fds, DORA__DOOR_FDS);
    int fd = dora__take_fd(&visitor->fd);

    if (code == 0)
        return fd;
    (void)close(fd);
    return code;
}

void
dora__visitor_refuse(struct dora__visitor *visitor, int code,
                     const char *format, ...)
{
    struct dora__answer answer = {.magic = DORA__DOOR_MAGIC, .code = -code};
    va_list args;

    va_start(args, format);
    (void)vsnprintf(answer.text, sizeof answer.text, format, args);
    va_end(args);
    (void)send_answer(visitor->fd, &answer, NULL, 0);
    send_away(visitor);
}

/* --- the visitor's side --------------------------------------------------- */

int
dora__door_find(const char *id)
{
    struct sockaddr_un address;
    socklen_t size = address_of(id, &address);
    DORA_AUTOCLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pid_t pid;

    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&address, size) < 0)
        return -errno;
    return is_same_user(fd, &pid) ? dora__take_fd(&fd) : -EACCES;
}

static int
send_knock(int fd, const char *node)
{
    struct dora__knock knock = {.magic = DORA__DOOR_MAGIC,
                                .layout = dora_layout_version()};

    if (strlen(node) >= sizeof knock.node)
        return -ENOENT;
    (void)stpcpy(knock.node, node);
    return send(fd, &knock, sizeof knock, MSG_NOSIGNAL) == sizeof knock
               ? 0
               : -ECONNRESET;
}

/* The descriptors come with the first byte. */
static int
receive_answer(int fd, struct dora__answer *answer, int *fds)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(DORA__DOOR_FDS * sizeof(int))];
    } control = {0};
    size_t size = 0;

    while (size < sizeof *answer) {
        struct iovec bytes = {(char *)answer + size, sizeof *answer - size};
        struct msghdr message = {.msg_iov = &bytes,
                                 .msg_iovlen = 1,
                                 .msg_control = control.bytes,
                                 .msg_controllen = sizeof control.bytes};
        ssize_t n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -ECONNRESET;
        if (message.msg_controllen == sizeof control.bytes &&
            control.header.cmsg_type == SCM_RIGHTS)
            memcpy(fds, CMSG_DATA(&control.header),
                   DORA__DOOR_FDS * sizeof(int));
        size += (size_t)n;
    }
    return answer->magic == DORA__DOOR_MAGIC ? 0 : -EPROTO;
}

int
dora__door_knock(int fd, const char *node,
                 struct dora__attachment *ret_attachment,
                 struct dora_error *err)
{
    struct dora__answer answer;
    int fds[DORA__DOOR_FDS] = {-1, -1, -1, -1};
    int code = send_knock(fd, node);

    if (code == 0)
        code = receive_answer(fd, &answer, fds);
    if (code < 0)
        return dora__fail(err, -code, "the dataflow does not answer: %s",
                          strerror(-code));
    if (answer.code < 0 || fds[DORA__DOOR_FDS - 1] < 0)
        return dora__fail(err, answer.code < 0 ? -answer.code : EPROTO, "%.*s",
                          (int)sizeof answer.text - 1, answer.text);
    *ret_attachment = (struct dora__attachment){
        .control_fd = fds[0],
        .heaps_fd = fds[1],
        .heaps_ro_fd = fds[2],
        .doorbell_fd = fds[3],
        .node = answer.number,
    };
    return 0;
}
