/* command_terminal.c - lends the terminal to the debugger of a node.
 *
 * The terminal is the one that controls dora-run, whatever its streams are, and
 * only while dora-run is in the foreground there. A node in a process puts its
 * own process group there for the time; should it die so, what it has left is
 * put right here. */
#include "command.h"
#include "print.h"

#include <fcntl.h>
#include <signal.h>
#include <termios.h>

struct terminal {
    struct screen *screen;
    int fd; /* -1: it is not lent */
    struct termios settings;
};

int
terminal_new(struct screen *screen, struct terminal **ret_terminal)
{
    struct terminal *terminal = calloc(1, sizeof *terminal);

    if (terminal == NULL)
        return -ENOMEM;
    *terminal = (struct terminal){.screen = screen, .fd = -1};
    *ret_terminal = terminal;
    return 0;
}

void
terminal_free(struct terminal *terminal)
{
    if (terminal != NULL && terminal->fd >= 0)
        (void)terminal_lend(terminal, false);
    free(terminal);
}

static bool
lend(struct terminal *terminal)
{
    DORA_AUTOCLOSE int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);

    if (fd < 0 || tcgetpgrp(fd) != getpgrp() ||
        tcgetattr(fd, &terminal->settings) < 0)
        return false;
    terminal->fd = dora__take_fd(&fd);
    screen_hold(terminal->screen, true);
    return true;
}

static void
take_back(struct terminal *terminal)
{
    sigset_t background, before;

    /* Who is not in the foreground may go there only so. */
    sigemptyset(&background);
    sigaddset(&background, SIGTTOU);
    (void)pthread_sigmask(SIG_BLOCK, &background, &before);
    (void)tcsetpgrp(terminal->fd, getpgrp());
    (void)tcsetattr(terminal->fd, TCSADRAIN, &terminal->settings);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    dora__close_fd(&terminal->fd);
    screen_hold(terminal->screen, false);
}

bool
terminal_lend(void *arg, bool take)
{
    struct terminal *terminal = arg;

    if (take)
        return lend(terminal);
    if (terminal->fd >= 0)
        take_back(terminal);
    return false;
}
