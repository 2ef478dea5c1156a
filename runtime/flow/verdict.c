/* verdict.c - see verdict.h. The one place that knows which end of a process
 * is a success:
 *
 *   exit code 0                                      success
 *   SIGTERM, SIGINT, or 128 + one of them, after we
 *   had sent a stop signal                           success
 *   SIGKILL after we had sent it                     did not stop in time, or
 *                                                    hung
 *   another code while it could not join, because
 *   another node had failed or stop came first       consequence
 *   another code, another signal                     failure, also in a stop */
#include "verdict.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

static bool
is_stop_signal(int number)
{
    return number == SIGTERM || number == SIGINT;
}

static enum dora_exit
judge_signal(const struct dora__ending *ending, int number)
{
    if (ending->killed && number == SIGKILL)
        return ending->hung ? DORA_EXIT_HUNG : DORA_EXIT_GRACE;
    if (ending->signalled && is_stop_signal(number))
        return DORA_EXIT_SUCCESS;
    return DORA_EXIT_SIGNAL;
}

enum dora_exit
dora__verdict(const struct dora__ending *ending, int *ret_code)
{
    if (WIFSIGNALED(ending->status)) {
        *ret_code = WTERMSIG(ending->status);
        return judge_signal(ending, *ret_code);
    }
    *ret_code = WEXITSTATUS(ending->status);
    if (*ret_code == 0)
        return DORA_EXIT_SUCCESS;
    if (ending->signalled && *ret_code > 128 && is_stop_signal(*ret_code - 128))
        return DORA_EXIT_SUCCESS;
    return ending->given_up ? DORA_EXIT_CONSEQUENCE : DORA_EXIT_CODE;
}

bool
dora__verdict_fails(enum dora_exit exit)
{
    return exit != DORA_EXIT_NONE && exit != DORA_EXIT_SUCCESS &&
           exit != DORA_EXIT_CONSEQUENCE && exit != DORA_EXIT_ATTACHED;
}

void
dora__verdict_text(enum dora_exit exit, int code, struct dora__text *out)
{
    switch (exit) {
    case DORA_EXIT_NONE:
        dora__text_puts(out, "has not ended");
        break;
    case DORA_EXIT_SUCCESS:
    case DORA_EXIT_ATTACHED:
        dora__text_puts(out, "ended");
        break;
    case DORA_EXIT_CODE:
        dora__text_printf(out, "exited with code %d", code);
        break;
    case DORA_EXIT_SIGNAL:
        dora__text_printf(out, "was killed by signal %d (%s)", code,
                          strsignal(code));
        break;
    case DORA_EXIT_GRACE:
        dora__text_puts(out, "did not stop in time and was killed");
        break;
    case DORA_EXIT_NOT_STARTED:
        dora__text_printf(out, "was not started: %s", strerror(code));
        break;
    case DORA_EXIT_CONSEQUENCE:
        dora__text_puts(out, "gave up because it could not join the dataflow");
        break;
    case DORA_EXIT_HUNG:
        dora__text_puts(out, "hung and was killed");
        break;
    case DORA_EXIT_LOST:
        dora__text_puts(out, "was killed with dora-guardian, its parent");
        break;
    }
}
