/* interpreter_ask.c - interpreters that are known only to themselves: wrappers,
 * and those of no build. They are run.
 *
 * An interpreter that is asked gets no input, a process group of its own and a
 * limit of time; whatever it started is killed with it, by a guardian that it
 * has for itself. */
#include "guardian/guardian_client.h"
#include "host/kind.h"
#include "interpreter.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { MAX_ANSWER = 4 * 4096 + 64, TICK_MS = 1000 };
#define TIME_LIMIT ((int64_t)10 * 1000000000)

static char question[] =
    "import os, sys\n"
    "b = os.path.realpath(getattr(sys, '_base_executable', None)"
    " or sys.executable)\n"
    "t = 't' * ('t' in getattr(sys, 'abiflags', ''))\n"
    "v = '%d.%d.%d' % sys.version_info[:3] + t\n"
    "m = 'yes'\n"
    "if sys.version_info < (3, 11):\n"
    "    m = 'it is older than 3.11'\n"
    "elif sys.implementation.name != 'cpython':\n"
    "    m = 'it is no CPython'\n"
    "elif t:\n"
    "    m = 'it is free-threaded, for which dora-run has to be built: "
    "`python3 configure.py --python ' + sys.executable + '` and `ninja`'\n"
    "else:\n"
    "    try:\n"
    "        import dora\n"
    "    except Exception as e:\n"
    "        m = str(e).replace('\\n', ' ') or type(e).__name__\n"
    "t = '\\n'.join((sys.executable, b, v, m, ''))\n"
    "sys.stdout.buffer.write(os.fsencode(t))\n";

static int
spawn(char *program, char *path, const struct dora__python_place *place,
      int output, struct dora__guardian *guardian)
{
    static const uint32_t places[] = {STDOUT_FILENO, STDERR_FILENO};
    DORA_AUTOCLOSE int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    char *const programs[] = {program, NULL};
    char *const argv[] = {path, "-I", "-c", question, NULL};
    const int fds[] = {output, null};
    const struct dora__spawn how = {
        .programs = programs,
        .directory = place->directory,
        .argv = argv,
        .env = (char *const *)place->environment,
        .fds = fds,
        .places = places,
        .fd_count = DORA_COUNT(fds),
    };
    int result = null < 0 ? -errno : 0;

    if (!result)
        result = dora__guardian_start(place->libexec, guardian, NULL);
    return result < 0 ? result : dora__guardian_spawn(guardian, 0, &how);
}

/* Everything that is said until the other side closes; -ETIMEDOUT. */
static int
listen_to(int fd, char *text, size_t limit)
{
    int64_t deadline = dora__now() + TIME_LIMIT;
    size_t size = 0;

    for (;;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        int64_t left = deadline - dora__now();
        ssize_t got;

        if (left <= 0 || size == limit)
            return -ETIMEDOUT;
        if (poll(&ready, 1, (int)(left / 1000000) + 1) <= 0)
            continue;
        got = read(fd, text + size, limit - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            text[size] = '\0';
            return 0;
        }
        size += (size_t)got;
    }
}

/* Until it has exited, which it does after its answer: with code 0 or not. */
static bool
has_succeeded(const struct dora__guardian *guardian)
{
    struct pollfd ready = {.fd = guardian->socket, .events = POLLIN};
    int64_t deadline = dora__now() + TIME_LIMIT;
    struct dora__report report;
    int got;

    do {
        (void)poll(&ready, 1, TICK_MS);
        got = dora__guardian_read(guardian, &report);
    } while (
        dora__now() < deadline &&
        (got == -EAGAIN || (got == 1 && report.type == DORA__REPORT_SPAWNED)));
    return got == 1 && report.type == DORA__REPORT_EXITED && report.status == 0;
}

static int
parse_answer(char *text, struct dora__python_answer *ret_answer)
{
    const char *executable = strsep(&text, "\n");
    const char *base = strsep(&text, "\n");
    const char *version = strsep(&text, "\n");
    const char *module = strsep(&text, "\n");
    struct dora__python_answer answer;

    if (!module || !*version || *executable != '/' || *base != '/')
        return -ENOENT;
    answer.executable = strdup(executable);
    answer.base = strdup(base);
    answer.version = strdup(version);
    answer.module = strdup(module);
    if (answer.executable && answer.base && answer.version && answer.module) {
        *ret_answer = answer;
        return 0;
    }
    free(answer.executable);
    free(answer.base);
    free(answer.version);
    free(answer.module);
    return -ENOMEM;
}

int
dora__python_ask(const char *path, const char *stable,
                 const struct dora__python_place *place,
                 struct dora__python_answer *ret_answer)
{
    struct dora__guardian guardian = DORA__GUARDIAN_NONE;
    DORA_AUTOFREE char *text = malloc(MAX_ANSWER + 1);
    int ends[2], result;

    if (!text)
        return -ENOMEM;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    result = spawn((char *)(uintptr_t)(stable ? stable : path),
                   (char *)(uintptr_t)path, place, ends[1], &guardian);
    (void)close(ends[1]);
    if (!result)
        result = listen_to(ends[0], text, MAX_ANSWER);
    if (!result && !has_succeeded(&guardian))
        result = -ENOENT;
    (void)close(ends[0]);
    dora__guardian_reap(&guardian);
    if (result < 0)
        return result == -ENOMEM ? result : -ENOENT;
    return parse_answer(text, ret_answer);
}
