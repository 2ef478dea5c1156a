/* inhost_guest.c - one node inside the host, from its thread's first step to
 * its last: what dora-inhost.so is.
 *
 *   1. The directory and the umask are the thread's own (CLONE_FS), and so are
 *      those of the threads and programs it starts.
 *   2. The node attaches when the script calls Node(). Until then nobody has
 *      seen anything of it, and it can still become a process.
 *   3. An interpreter in which threads are left cannot be ended. It is left as
 *      it is, and with it all that it might touch: the guest, its pipes, its
 *      memory. */
#include "inhost.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Threads that were asked to end get so long, in ms. */
enum { LAST_WAIT = 50 };

/* --- making and freeing --------------------------------------------------- */

static void
close_attachment(struct dora__attachment *a)
{
    dora__close_fd(&a->control_fd);
    dora__close_fd(&a->heaps_fd);
    dora__close_fd(&a->heaps_ro_fd);
    dora__close_fd(&a->doorbell_fd);
    a->control_fd = a->heaps_fd = a->heaps_ro_fd = a->doorbell_fd = -1;
}

static void
free_list(char **list)
{
    for (size_t i = 0; list != NULL && list[i] != NULL; i++)
        free(list[i]);
    free(list);
}

static char **
copy_list(char *const *list)
{
    size_t count = 0;
    char **copy;

    while (list[count] != NULL)
        count++;
    copy = calloc(count + 1, sizeof *copy);
    for (size_t i = 0; copy != NULL && i < count; i++) {
        copy[i] = strdup(list[i]);
        if (copy[i] == NULL) {
            free_list(copy);
            return NULL;
        }
    }
    return copy;
}

static void
free_guest(struct dora__guest *g)
{
    if (g->stays)
        return;
    if (g->node != NULL) /* its end is the host's to tell, or has been told */
        dora__node_orphan(g->node);
    dora__node_detach(g->node);
    close_attachment(&g->attachment);
    dora__close_fd(&g->stdout_fd);
    dora__close_fd(&g->stderr_fd);
    dora__close_fd(&g->guardian_fd);
    free(g->id);
    free(g->directory);
    free(g->base);
    free(g->program);
    free_list(g->argv);
    free_list(g->env);
    (void)pthread_cond_destroy(&g->changed);
    (void)pthread_mutex_destroy(&g->lock);
    free(g);
}

static int
duplicate(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static bool
fill(struct dora__guest *g, const struct dora__guest_options *o)
{
    for (size_t i = 0; i < o->cpu_count; i++)
        if (o->cpus[i] < CPU_SETSIZE)
            CPU_SET(o->cpus[i], &g->cpus);
    g->say_faults = o->say_faults;
    g->id = strdup(o->id);
    g->directory = strdup(o->directory);
    g->base = strdup(o->base);
    g->program = strdup(o->program);
    g->argv = copy_list(o->argv);
    g->env = copy_list(o->env);
    g->stdout_fd = duplicate(o->stdout_fd);
    g->stderr_fd = duplicate(o->stderr_fd);
    g->guardian_fd = duplicate(o->guardian_fd);
    g->attachment.node = o->attachment.node;
    g->attachment.control_fd = duplicate(o->attachment.control_fd);
    g->attachment.heaps_fd = duplicate(o->attachment.heaps_fd);
    g->attachment.heaps_ro_fd = duplicate(o->attachment.heaps_ro_fd);
    g->attachment.doorbell_fd = duplicate(o->attachment.doorbell_fd);
    return g->id != NULL && g->directory != NULL && g->base != NULL &&
           g->program != NULL && g->argv != NULL && g->env != NULL &&
           g->stdout_fd >= 0 && g->stderr_fd >= 0 && g->guardian_fd >= 0 &&
           g->attachment.control_fd >= 0 && g->attachment.heaps_fd >= 0 &&
           g->attachment.heaps_ro_fd >= 0 && g->attachment.doorbell_fd >= 0;
}

static int
open_guest(const struct dora__guest_options *options,
           struct dora__guest **ret_guest, struct dora_error *err)
{
    struct dora__guest *g = calloc(1, sizeof *g);

    if (g == NULL)
        return dora__fail(err, ENOMEM, "no memory for it");
    (void)pthread_mutex_init(&g->lock, NULL);
    (void)pthread_cond_init(&g->changed, NULL);
    g->stdout_fd = g->stderr_fd = g->guardian_fd = -1;
    g->attachment = (struct dora__attachment){-1, -1, -1, -1, 0};
    if (!fill(g, options)) {
        int failed = errno;

        free_guest(g);
        return dora__fail(err, failed, "no resources for it: %s",
                          strerror(failed));
    }
    *ret_guest = g;
    return 0;
}

/* --- running -------------------------------------------------------------- */

/* Node(): the seat's attach function. */
static struct dora_node *
attach(void *arg)
{
    struct dora__guest *g = arg;
    struct dora_error err = {""};
    struct dora_node *node;
    int failed;

    if (g->refused[0] != 0) { /* the script took no notice */
        PyErr_SetNone(PyExc_SystemExit);
        return NULL;
    }
    failed = dora__node_attach(&g->attachment, &node, &err);
    if (failed < 0) {
        PyErr_SetString(PyExc_RuntimeError, err.text);
        return NULL;
    }
    close_attachment(&g->attachment);
    dora__node_set_log(node, g->stdout_fd);
    g->registered = true;
    return node;
}

/* False: it cannot have a directory of its own. */
static bool
enter_directory(const struct dora__guest *g)
{
    struct stat here, there;

    if (unshare(CLONE_FS) == 0)
        return chdir(g->directory) == 0;
    return stat(".", &here) == 0 && stat(g->directory, &there) == 0 &&
           here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

static void
set_interpreter(struct dora__guest *g, PyInterpreterState *interpreter)
{
    (void)pthread_mutex_lock(&g->lock);
    g->interpreter = interpreter;
    (void)pthread_mutex_unlock(&g->lock);
}

static bool
is_alone(void)
{
    PyThreadState *first =
        PyInterpreterState_ThreadHead(PyInterpreterState_Get());

    return first == PyThreadState_Get() && PyThreadState_Next(first) == NULL;
}

/* Asks the other threads to end; whether they did. */
static bool
end_threads(struct dora__guest *g)
{
    const struct timespec moment = {.tv_nsec = 1000000};
    PyThreadState *own = PyThreadState_Get(), *thread;

    for (int i = 0; i < LAST_WAIT && !is_alone(); i++) {
        thread = PyInterpreterState_ThreadHead(own->interp);
        for (; i == 0 && thread != NULL; thread = PyThreadState_Next(thread))
            if (thread != own)
                (void)PyThreadState_SetAsyncExc(thread->thread_id,
                                                PyExc_SystemExit);
        dora__inhost_press(g, DORA__PRESS_WAKE);
        Py_BEGIN_ALLOW_THREADS;
        (void)nanosleep(&moment, NULL);
        Py_END_ALLOW_THREADS;
    }
    return is_alone();
}

/* Ends the interpreter, or leaves it. Detached from it then. */
static void
end_interpreter(struct dora__guest *g, PyThreadState *own, int status)
{
    dora__inhost_close(g);
    g->node = dora__py_seat_clear();
    if (g->node != NULL && status == 0)
        dora__node_close(g->node); /* who waits in it returns */
    if (end_threads(g)) {
        dora__inhost_end(own);
    } else {
        g->stays = true;
        (void)PyEval_SaveThread();
    }
}

/* Its status. */
static int
run_script(struct dora__guest *g, struct dora_error *err)
{
    PyThreadState *own = dora__inhost_interpreter(err);
    int status;

    if (own == NULL)
        return 1 << 8;
    g->ident = PyThread_get_thread_ident();
    g->native_id = gettid();
    g->state = own->interp;
    dora__inhost_fault_enter(g);
    set_interpreter(g, own->interp);
    if (dora__py_seat_later(g->id, attach, g) < 0 ||
        dora__py_debug_install() < 0) {
        PyErr_Clear();
        dora__error_set(err, "no memory for it");
        status = 1 << 8;
    } else {
        status = dora__inhost_script(g);
    }
    end_interpreter(g, own, status);
    dora__inhost_fault_leave(g);
    return status;
}

/* It needed what the host cannot give. */
static void
settle_refusal(struct dora__guest *g, struct dora__guest_result *ret,
               struct dora_error *err)
{
    const char *name = g->refused;
    int package = (int)strcspn(name, ".");

    if (g->acted[0] == 0 && !g->stays) {
        (void)snprintf(ret->move, sizeof ret->move,
                       "`%.*s` cannot be loaded inside the host (%s)", package,
                       name, name);
        return;
    }
    dora__error_set(err,
                    "`%.*s` cannot be loaded inside the host (%s), and the "
                    "script has already %s: give the node `isolation: process`",
                    package, name, name,
                    g->acted[0] != 0 ? g->acted : "started a thread");
    ret->status = 1 << 8;
}

static void
run_guest(struct dora__guest *g, struct dora__guest_result *ret)
{
    struct dora_error err = {""};

    *ret = (struct dora__guest_result){.status = 1 << 8};
    if (dora__inhost_start(g->base, g->say_faults, &err) < 0)
        goto out;
    if (CPU_COUNT(&g->cpus) > 0 &&
        sched_setaffinity(0, sizeof g->cpus, &g->cpus) < 0)
        (void)dprintf(g->stderr_fd, "cpu_affinity has no effect: %s\n",
                      strerror(errno));
    if (!enter_directory(g)) {
        (void)snprintf(ret->move, sizeof ret->move,
                       "the system gives no thread a directory of its own");
        goto out;
    }
    ret->status = run_script(g, &err);
    if (g->refused[0] != 0 && !g->registered)
        settle_refusal(g, ret, &err);
    ret->stays = g->stays;
    ret->held = g->stays || (g->node != NULL && dora__node_held(g->node));

out:
    if (err.text[0] != 0)
        (void)dprintf(g->stderr_fd, "%s\n", err.text);
}

DORA_API extern const struct dora__guest_class dora_inhost;
const struct dora__guest_class dora_inhost = {
    .version = DORA__GUEST_VERSION,
    .layout = dora_layout_version,
    .open = open_guest,
    .run = run_guest,
    .press = dora__inhost_press,
    .free = free_guest,
};
