/* inhost_fault.c - where a node's thread is, said by that thread: at a step of
 * its script, or in a signal handler, whatever C code it is in.
 *
 *   1. CPython's faulthandler prints the frames. It serves the main interpreter
 *      only, so it is set up there, but prints the thread that it runs on. The
 *      frames of a thread that takes steps change under a handler, which may
 *      then follow a pointer into nothing; so a handler prints only what has
 *      taken no step for as long as lies between two presses.
 *   2. Handlers of ours stand before its own and say whose frames follow.
 *   3. A kick (inhost_press.c) also ends the system call the thread is in, so
 *      it is not restarted.
 *   4. Faults are caught only where the host wants it. They end the process as
 *      they would have, with their own signal. */
#include "inhost.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { ALTERNATE_STACK = 64 << 10 };

/* Looked up in handlers: in place from a thread's first moment. */
static _Thread_local struct dora__guest *mine
    __attribute__((tls_model("initial-exec")));

static struct {
    int fd;             /* what faulthandler prints stacks to */
    atomic_flag taken;  /* it is a node's stderr now */
    bool caught;        /* kicks are ours */
    void (*print)(int); /* faulthandler's; NULL: none */
} kick = {.fd = -1, .taken = ATOMIC_FLAG_INIT};

/* The interpreters of guests, for handlers on threads that scripts started. A
 * cell is there for ever, and used again. */
struct present {
    struct present *next;
    _Atomic(PyInterpreterState *) interpreter; /* NULL: the cell is free */
    const struct dora__guest *guest;
};
static pthread_mutex_t presence = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(struct present *) all_present;

static const struct fault {
    int number;
    const char *name;
} faults[] = {{SIGSEGV, "SIGSEGV"},
              {SIGBUS, "SIGBUS"},
              {SIGFPE, "SIGFPE"},
              {SIGILL, "SIGILL"},
              {SIGABRT, "SIGABRT"}};
static struct sigaction passed_on[DORA_COUNT(faults)]; /* to faulthandler */

static void
say(int fd, const char *text)
{
    (void)!write(fd, text, strlen(text));
}

/* --- kicks ---------------------------------------------------------------- */

/* One thread at a time; none of them can be interrupted by another kick. */
static void
print_stack(const struct dora__guest *g)
{
    while (atomic_flag_test_and_set_explicit(&kick.taken, memory_order_acquire))
        continue;
    if (dup2(g->stderr_fd, kick.fd) >= 0) {
        say(kick.fd, "has not stopped; it is here:\n");
        kick.print(DORA__KICK);
    }
    atomic_flag_clear_explicit(&kick.taken, memory_order_release);
}

void
dora__inhost_fault_tell(struct dora__guest *g)
{
    if (kick.print != NULL &&
        atomic_exchange_explicit(&g->telling, false, memory_order_relaxed))
        print_stack(g);
}

static void
on_kick(int number)
{
    int error = errno;

    (void)number;
    if (mine != NULL)
        dora__inhost_fault_tell(mine);
    errno = error;
}

/* faulthandler's handler of the kick; none if it has changed. */
static void
register_kick(PyObject *faulthandler)
{
    struct sigaction action;
    PyObject *done = PyObject_CallMethod(faulthandler, "register", "iii",
                                         DORA__KICK, kick.fd, 0);

    if (done != NULL && sigaction(DORA__KICK, NULL, &action) == 0)
        kick.print = action.sa_handler;
    Py_XDECREF(done);
    PyErr_Clear();
}

/* Unless somebody else has the signal. */
static void
catch_kicks(PyObject *faulthandler)
{
    struct sigaction action = {.sa_handler = on_kick, .sa_flags = SA_ONSTACK};
    struct sigaction before;

    if (sigaction(DORA__KICK, NULL, &before) < 0 ||
        before.sa_handler != SIG_DFL)
        return;
    kick.fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (kick.fd >= 0 && faulthandler != NULL)
        register_kick(faulthandler);
    kick.caught = sigaction(DORA__KICK, &action, NULL) == 0;
}

void
dora__inhost_fault_kick(struct dora__guest *g)
{
    if (kick.caught)
        (void)tgkill(getpid(), g->native_id, DORA__KICK);
}

/* --- faults --------------------------------------------------------------- */

/* What the thread is to Python, in C code without the GIL as well; or NULL. */
static PyThreadState *
find_thread(void)
{
    PyThreadState *attached = PyThreadState_GetUnchecked();

    return attached != NULL ? attached : PyGILState_GetThisThreadState();
}

/* Whose interpreter the thread is of, which a script may have started as well;
 * or NULL. */
static const struct dora__guest *
find_guest(void)
{
    const PyThreadState *thread = find_thread();
    const struct present *p;

    if (mine != NULL || thread == NULL)
        return mine;
    /* Pairs with note_present. */
    p = atomic_load_explicit(&all_present, memory_order_acquire);
    while (p != NULL &&
           atomic_load_explicit(&p->interpreter, memory_order_acquire) !=
               thread->interp)
        p = p->next;
    return p != NULL ? p->guest : NULL;
}

static void
say_whose(const char *what)
{
    const struct dora__guest *g = find_guest();

    say(STDERR_FILENO, "\ndora-run: node `");
    say(STDERR_FILENO, g != NULL ? g->id : "?");
    say(STDERR_FILENO, "` has crashed (");
    say(STDERR_FILENO, what);
    say(STDERR_FILENO, "), and all nodes inside dora-run with it; `isolation: "
                       "process` contains it\n");
}

static void
on_fault(int number)
{
    size_t i = 0;

    while (i < DORA_COUNT(faults) - 1 && faults[i].number != number)
        i++;
    if (find_thread() != NULL || mine != NULL) {
        say_whose(faults[i].name);
        passed_on[i].sa_handler(number); /* does not return */
    }
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static void
catch_faults(PyObject *faulthandler)
{
    struct sigaction action = {.sa_handler = on_fault,
                               .sa_flags = SA_ONSTACK | SA_NODEFER};
    PyObject *done =
        PyObject_CallMethod(faulthandler, "enable", "ii", STDERR_FILENO, 0);

    for (size_t i = 0; done != NULL && i < DORA_COUNT(faults); i++)
        (void)sigaction(faults[i].number, &action, &passed_on[i]);
    Py_XDECREF(done);
    PyErr_Clear();
}

void
dora__inhost_fault_start(bool say_faults)
{
    PyObject *faulthandler = PyImport_ImportModule("faulthandler");

    PyErr_Clear();
    catch_kicks(faulthandler);
    if (say_faults && faulthandler != NULL)
        catch_faults(faulthandler);
    Py_XDECREF(faulthandler);
}

/* --- threads -------------------------------------------------------------- */

/* A free cell, or a new one; NULL: no memory. Under the lock. */
static struct present *
free_cell(void)
{
    struct present *first =
        atomic_load_explicit(&all_present, memory_order_relaxed);
    struct present *p = first;

    while (p != NULL &&
           atomic_load_explicit(&p->interpreter, memory_order_relaxed) != NULL)
        p = p->next;
    if (p != NULL)
        return p;
    p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->next = first;
    /* Pairs with find_guest. */
    atomic_store_explicit(&all_present, p, memory_order_release);
    return p;
}

static void
note_present(struct dora__guest *g)
{
    struct present *p;

    (void)pthread_mutex_lock(&presence);
    p = free_cell();
    if (p != NULL) {
        p->guest = g;
        /* Pairs with find_guest. */
        atomic_store_explicit(&p->interpreter, g->state, memory_order_release);
    }
    (void)pthread_mutex_unlock(&presence);
}

static void
note_gone(const struct dora__guest *g)
{
    struct present *p;

    (void)pthread_mutex_lock(&presence);
    p = atomic_load_explicit(&all_present, memory_order_relaxed);
    while (p != NULL && p->guest != g)
        p = p->next;
    if (p != NULL) {
        p->guest = NULL;
        atomic_store_explicit(&p->interpreter, NULL, memory_order_relaxed);
    }
    (void)pthread_mutex_unlock(&presence);
}

void
dora__inhost_fault_enter(struct dora__guest *g)
{
    stack_t stack = {.ss_size = ALTERNATE_STACK};
    sigset_t kicks;

    stack.ss_sp = g->alternate_stack = malloc(ALTERNATE_STACK);
    if (stack.ss_sp != NULL)
        (void)sigaltstack(&stack, NULL);
    mine = g;
    note_present(g);
    sigemptyset(&kicks);
    sigaddset(&kicks, DORA__KICK);
    (void)pthread_sigmask(SIG_UNBLOCK, &kicks, NULL);
}

void
dora__inhost_fault_leave(struct dora__guest *g)
{
    const stack_t none = {.ss_flags = SS_DISABLE};
    sigset_t kicks;

    sigemptyset(&kicks);
    sigaddset(&kicks, DORA__KICK);
    (void)pthread_sigmask(SIG_BLOCK, &kicks, NULL);
    mine = NULL;
    if (!g->stays)
        note_gone(g);
    (void)sigaltstack(&none, NULL);
    free(g->alternate_stack);
    g->alternate_stack = NULL;
}
