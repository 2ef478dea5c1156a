/* guardian_client.c - see guardian_client.h; guardian.c is the other end.
 *
 * The guardian is started by posix_spawn: no copy of a possibly large host is
 * made, no handler of the application runs in between, and it works from any
 * thread. What to execute travels in a sealed memfd, because arguments and
 * environment may be larger than any packet. */
#include "guardian_client.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

extern char **environ;

enum { REAP_PATIENCE_MS = 5000 };

/* --- starting it --------------------------------------------------------- */

/* Its end of the socket at its place, nothing of ours as standard streams: a
 * pipe they may lead to must not stay open for the guardian's sake. */
static int
set_descriptors(posix_spawn_file_actions_t *actions, int socket)
{
    int code = posix_spawn_file_actions_adddup2(actions, socket,
                                                DORA__GUARDIAN_SOCKET);

    for (int fd = 0; fd < 3 && code == 0; fd++)
        code = posix_spawn_file_actions_addopen(actions, fd, "/dev/null",
                                                O_RDWR, 0);
    return code;
}

static int
set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t all, none;
    int code;

    sigfillset(&all);
    sigemptyset(&none);
    code = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP |
                                                    POSIX_SPAWN_SETSIGDEF |
                                                    POSIX_SPAWN_SETSIGMASK);
    if (code == 0)
        code = posix_spawnattr_setsigdefault(attributes, &all);
    if (code == 0)
        code = posix_spawnattr_setsigmask(attributes, &none);
    return code; /* group 0, the default, is a new one */
}

static int
execute(const char *program, int socket, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    char host[16];
    char *argv[] = {(char *)(uintptr_t) "dora-guardian", host, NULL};
    int code;

    (void)snprintf(host, sizeof host, "%d", (int)getpid());
    code = posix_spawn_file_actions_init(&actions);
    if (code != 0)
        return code;
    code = posix_spawnattr_init(&attributes);
    if (code == 0) {
        code = set_descriptors(&actions, socket);
        if (code == 0)
            code = set_attributes(&attributes);
        if (code == 0)
            code = posix_spawn(ret_pid, program, &actions, &attributes, argv,
                               environ);
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return code;
}

int
dora__guardian_start(const char *libexec, struct dora__guardian *ret_guardian,
                     struct dora_error *err)
{
    DORA_AUTOFREE char *program = dora__format("%s/dora-guardian", libexec);
    DORA_AUTOCLOSE int ours = -1;
    DORA_AUTOCLOSE int theirs = -1;
    int pair[2], code;
    pid_t pid;

    if (program == NULL)
        return dora__fail(err, ENOMEM, "out of memory");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return dora__fail(err, errno, "cannot make a socket: %s",
                          strerror(errno));
    ours = pair[0];
    theirs = pair[1];
    if (fcntl(ours, F_SETFL, O_NONBLOCK) < 0)
        return dora__fail(err, errno, "cannot set up a socket: %s",
                          strerror(errno));
    code = execute(program, theirs, &pid);
    if (code != 0)
        return dora__fail(err, code,
                          "cannot execute %s: %s (the `libexec` option names "
                          "the directory of the helper programs)",
                          program, strerror(code));
    *ret_guardian = (struct dora__guardian){dora__take_fd(&ours), pid};
    return 0;
}

/* --- asking -------------------------------------------------------------- */

uint64_t
dora__signals_ignored(void)
{
    struct sigaction action;
    uint64_t ignored = 0;

    for (int number = 1; number < NSIG; number++)
        if (sigaction(number, NULL, &action) == 0 &&
            action.sa_handler == SIG_IGN)
            ignored |= DORA__SIGNAL_BIT(number);
    return ignored;
}

static int
send_request(int socket, const struct dora__request *request, const int *fds,
             size_t count)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int) * DORA__GUARDIAN_MAX_FDS)];
    } control;
    struct iovec vector = {(void *)(uintptr_t)request, sizeof *request};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};

    if (count > 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(count * sizeof *fds);
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(count * sizeof *fds);
        memcpy(CMSG_DATA(&control.header), fds, count * sizeof *fds);
    }
    while (sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        if (errno == EINTR)
            continue;
        /* Too many descriptors in flight: the guardian takes them out soon. */
        return errno == ETOOMANYREFS ? -EAGAIN : -errno;
    }
    return 0;
}

static uint32_t
add_strings(struct dora__text *t, char *const *strings)
{
    uint32_t count = 0;

    for (; strings != NULL && strings[count] != NULL; count++)
        dora__text_add(t, strings[count], strlen(strings[count]) + 1);
    return count;
}

static int
write_all(int fd, const struct iovec *vectors, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *at = vectors[i].iov_base;
        size_t left = vectors[i].iov_len;

        while (left > 0) {
            ssize_t n = write(fd, at, left);

            if (n < 0 && errno == EINTR)
                continue;
            if (n < 0)
                return -errno;
            at += n;
            left -= (size_t)n;
        }
    }
    return 0;
}

static struct iovec
numbers(const uint32_t *first, size_t count)
{
    return (struct iovec){(void *)(uintptr_t)first, count * sizeof *first};
}

/* The memfd with the words of the request. */
static int
describe(const struct dora__spawn *spawn)
{
    struct dora__spawn_header header = {
        .cpu_count = (uint32_t)spawn->cpu_count,
        .fd_count = (uint32_t)spawn->fd_count,
        .group_count = (uint32_t)spawn->group_count,
        .manner = spawn->manner,
    };
    struct dora__text strings = {0};
    struct iovec vectors[] = {
        {&header, sizeof header},
        numbers(spawn->cpus, spawn->cpu_count),
        numbers(spawn->places, spawn->fd_count),
        numbers(spawn->groups, spawn->group_count),
        {NULL, 0},
    };
    DORA_AUTOCLOSE int fd = -1;
    int code;

    dora__text_add(&strings, spawn->directory, strlen(spawn->directory) + 1);
    header.program_count = add_strings(&strings, spawn->programs);
    header.arg_count = add_strings(&strings, spawn->argv);
    header.env_count = add_strings(&strings, spawn->env);
    vectors[4] = (struct iovec){strings.text, strings.size};
    for (size_t i = 0; i < DORA_COUNT(vectors); i++)
        header.size += (uint32_t)vectors[i].iov_len;
    fd = memfd_create("dora-spawn", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (strings.failed)
        code = -ENOMEM;
    else if (fd < 0)
        code = -errno;
    else
        code = write_all(fd, vectors, DORA_COUNT(vectors));
    free(strings.text);
    if (code < 0)
        return code;
    if (fcntl(fd, F_ADD_SEALS,
              F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
        return -errno;
    return dora__take_fd(&fd);
}

/* `link` goes along unless it is -1. */
static int
request_process(int socket, const struct dora__request *request,
                const struct dora__spawn *spawn, int link)
{
    int fds[DORA__GUARDIAN_MAX_FDS];
    size_t count = 0;
    DORA_AUTOCLOSE int words = -1;

    if (spawn->fd_count > DORA__GUARDIAN_MAX_FDS - 3)
        return -EMFILE;
    words = describe(spawn);
    if (words < 0)
        return words;
    fds[count++] = words;
    if (link >= 0)
        fds[count++] = link;
    if ((spawn->manner.flags & DORA__MANNER_DIRECTORY) != 0)
        fds[count++] = spawn->directory_fd;
    for (size_t i = 0; i < spawn->fd_count; i++)
        fds[count++] = spawn->fds[i];
    return send_request(socket, request, fds, count);
}

int
dora__guardian_spawn(const struct dora__guardian *guardian, uint32_t node,
                     const struct dora__spawn *spawn)
{
    const struct dora__request request = {.type = DORA__REQUEST_SPAWN,
                                          .node = node};

    return request_process(guardian->socket, &request, spawn, -1);
}

int
dora__guardian_keep(int socket, const struct dora__spawn *spawn, int *ret_link)
{
    const struct dora__request request = {.type = DORA__REQUEST_KEEP};
    int pair[2], code;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    code = request_process(socket, &request, spawn, pair[1]);
    (void)close(pair[1]);
    if (code < 0)
        (void)close(pair[0]);
    else
        *ret_link = pair[0];
    return code;
}

int
dora__guardian_signal(const struct dora__guardian *guardian, uint32_t node,
                      int number)
{
    struct dora__request request = {
        .type = DORA__REQUEST_SIGNAL, .node = node, .signal = number};

    return send_request(guardian->socket, &request, NULL, 0);
}

int
dora__guardian_read(const struct dora__guardian *guardian,
                    struct dora__report *ret_report)
{
    ssize_t n;

    do
        n = recv(guardian->socket, ret_report, sizeof *ret_report,
                 MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t)sizeof *ret_report)
        return 1;
    return n < 0 && errno == EAGAIN ? -EAGAIN : 0;
}

/* --- its end ------------------------------------------------------------- */

void
dora__guardian_dismiss(struct dora__guardian *guardian)
{
    /* Our writing half only: its end is still to be heard. */
    if (guardian->socket >= 0)
        (void)shutdown(guardian->socket, SHUT_WR);
}

/* Reads until the end of the socket, which the guardian holds open until its
 * own. */
static bool
await_end(int socket)
{
    int64_t until = dora__now() + (int64_t)REAP_PATIENCE_MS * 1000000;
    struct pollfd polled = {socket, POLLIN, 0};
    char packet[sizeof(struct dora__report)];

    for (;;) {
        int64_t left = until - dora__now();
        ssize_t n = recv(socket, packet, sizeof packet, MSG_DONTWAIT);

        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return true;
        if (left <= 0)
            return false;
        (void)poll(&polled, 1, (int)(left / 1000000) + 1);
    }
}

void
dora__guardian_reap(struct dora__guardian *guardian)
{
    dora__guardian_dismiss(guardian);
    if (guardian->pid > 0) {
        if (!await_end(guardian->socket))
            (void)kill(guardian->pid, SIGKILL);
        while (waitpid(guardian->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    if (guardian->socket >= 0)
        (void)close(guardian->socket);
    *guardian = DORA__GUARDIAN_NONE;
}
