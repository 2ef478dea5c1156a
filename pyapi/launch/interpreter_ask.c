/* interpreter_ask.c - interpreters that are known only to themselves: wrappers,
 * and those of no build. They are run.
 *
 * An interpreter that is asked gets no input, a process group of its own and a
 * limit of time; whatever it started is killed with it. */
#include "host/kind.h"
#include "interpreter.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

enum { MAX_ANSWER = 4 * 4096 + 64 };
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
spawn(const char *program, const char *path,
      const struct dora__python_place *place, int output, pid_t *ret_pid)
{
    char *argv[] = {(char *)path, "-I", "-c", question, NULL};
    char *const empty[] = {NULL};
    char *const *envp =
        place->environment ? (char *const *)place->environment : empty;
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t all, none;
    int result;

    (void)sigfillset(&all);
    (void)sigemptyset(&none);
    if (posix_spawn_file_actions_init(&files))
        return -ENOMEM;
    if (posix_spawnattr_init(&attributes)) {
        (void)posix_spawn_file_actions_destroy(&files);
        return -ENOMEM;
    }
    (void)posix_spawnattr_setpgroup(&attributes, 0);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setsigdefault(&attributes, &all);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP |
                                                    POSIX_SPAWN_SETSIGMASK |
                                                    POSIX_SPAWN_SETSIGDEF);
    result = posix_spawn_file_actions_addchdir_np(&files, place->directory);
    result |= posix_spawn_file_actions_addopen(&files, STDIN_FILENO,
                                               "/dev/null", O_RDONLY, 0);
    result |= posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
    result |= posix_spawn_file_actions_addopen(&files, STDERR_FILENO,
                                               "/dev/null", O_WRONLY, 0);
    if (!result)
        result = posix_spawn(ret_pid, program, &files, &attributes, argv, envp);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&files);
    return -result;
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
    DORA_AUTOFREE char *text = malloc(MAX_ANSWER + 1);
    int ends[2], status, result;
    pid_t pid;

    if (!text)
        return -ENOMEM;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    result = spawn(stable ? stable : path, path, place, ends[1], &pid);
    (void)close(ends[1]);
    if (result < 0) {
        (void)close(ends[0]);
        return result == -ENOMEM ? result : -ENOENT;
    }
    result = listen_to(ends[0], text, MAX_ANSWER);
    (void)close(ends[0]);
    if (result < 0)
        (void)kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (result < 0 || !WIFEXITED(status) || WEXITSTATUS(status))
        return -ENOENT;
    return parse_answer(text, ret_answer);
}
