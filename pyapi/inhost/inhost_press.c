/* inhost_press.c - getting a script to end that does not by itself, and the
 * sleep that can be ended.
 *
 * An interpreter knows no signals. In their place, each for what those before
 * it do not reach:
 *
 *   WAKE       time.sleep ends early, once
 *   ASK        a pending call that raises: needs no GIL; loops, locks
 *   INTERRUPT  an asynchronous exception: needs the GIL; a wait for a condition
 *              ends, and by a signal the system call that the thread is in
 *   BREAK      tracing that raises at every line: also code that swallows
 *              exceptions
 *   TELL       asks nothing: the thread prints where it is, at its next step;
 *              at the next INTERRUPT, if it has taken none (inhost_fault.c)
 *
 * What needs the GIL is done by a helper thread, which waits for it as long as
 * it takes; the interpreter ends after it. */
#include "inhost.h"

#include <dlfcn.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>

/* --- sleep --------------------------------------------------------------- */

static void
wake(struct dora__guest *g)
{
    /* Pairs with dora__inhost_sleep. */
    atomic_fetch_add_explicit(&g->pressed, 1, memory_order_release);
    (void)syscall(SYS_futex, &g->pressed, FUTEX_WAKE_PRIVATE, INT_MAX, NULL,
                  NULL, 0);
}

void
dora__inhost_sleep(struct dora__guest *g, int64_t deadline)
{
    const struct timespec until = {.tv_sec = deadline / 1000000000,
                                   .tv_nsec = deadline % 1000000000};
    /* Pairs with wake. */
    uint32_t word = atomic_load_explicit(&g->pressed, memory_order_acquire);
    bool script = PyThread_get_thread_ident() == g->ident;

    /* A press ends one sleep of the script, be it the next one. */
    if (script && g->noticed != word) {
        g->noticed = word;
        return;
    }
    Py_BEGIN_ALLOW_THREADS;
    while (atomic_load_explicit(&g->pressed, memory_order_acquire) == word &&
           (syscall(SYS_futex, &g->pressed, FUTEX_WAIT_BITSET_PRIVATE, word,
                    &until, NULL, FUTEX_BITSET_MATCH_ANY) == 0 ||
            errno != ETIMEDOUT))
        continue;
    Py_END_ALLOW_THREADS;
    if (script)
        g->noticed = atomic_load_explicit(&g->pressed, memory_order_relaxed);
}

/* --- without the GIL ------------------------------------------------------ */

/* CPython's own, private: its arguments have been these since 3.12, its result
 * has become an enum. A build without it goes without this step. */
typedef int (*add_pending)(PyInterpreterState *interpreter,
                           int (*function)(void *), void *arg, int flags);

static void
queue_pending(struct dora__guest *g, int (*function)(void *))
{
    union {
        void *symbol;
        add_pending call;
    } add = {dlsym(RTLD_DEFAULT, "_PyEval_AddPendingCall")};

    if (add.symbol != NULL)
        (void)add.call(g->state, function, g, 0);
}

/* On the first thread of the guest's interpreter that takes a step. What is
 * meant for one that waits for a lock must still be there when a kick makes
 * that one look; the helper, too, runs a step now and then. */
static int
raise_pending(void *arg)
{
    struct dora__guest *g = arg;

    if (atomic_load_explicit(&g->ending, memory_order_relaxed))
        return 0;
    if (PyThread_get_thread_ident() != g->ident) {
        queue_pending(g, raise_pending);
        return 0;
    }
    atomic_store_explicit(&g->queued, false, memory_order_relaxed);
    PyErr_SetNone(g->left ? PyExc_SystemExit : PyExc_KeyboardInterrupt);
    return -1;
}

/* One at a time: none is to surprise the handlers of another. */
static void
ask(struct dora__guest *g)
{
    (void)pthread_mutex_lock(&g->lock);
    if (g->interpreter != NULL &&
        !atomic_exchange_explicit(&g->queued, true, memory_order_relaxed))
        queue_pending(g, raise_pending);
    (void)pthread_mutex_unlock(&g->lock);
}

static int
tell_pending(void *arg)
{
    struct dora__guest *g = arg;

    if (atomic_load_explicit(&g->ending, memory_order_relaxed))
        return 0;
    if (PyThread_get_thread_ident() == g->ident)
        dora__inhost_fault_tell(g);
    else if (atomic_load_explicit(&g->telling, memory_order_relaxed))
        queue_pending(g, tell_pending);
    return 0;
}

static void
tell(struct dora__guest *g)
{
    (void)pthread_mutex_lock(&g->lock);
    if (g->interpreter != NULL &&
        !atomic_exchange_explicit(&g->telling, true, memory_order_relaxed))
        queue_pending(g, tell_pending);
    (void)pthread_mutex_unlock(&g->lock);
}

/* The thread's system call returns: where CPython looks up then, it sees what
 * was asked. It reaches every library that waits there as well, so it comes
 * only after the grace. */
static void
kick(struct dora__guest *g)
{
    (void)pthread_mutex_lock(&g->lock);
    if (g->interpreter != NULL)
        dora__inhost_fault_kick(g);
    (void)pthread_mutex_unlock(&g->lock);
}

/* --- with it -------------------------------------------------------------- */

/* The thread is a helper: steps that it takes are nobody's to interrupt. */
static _Thread_local bool is_helper;

/* `exception` is the class. */
static int
raise_traced(PyObject *exception, PyFrameObject *frame, int what, PyObject *arg)
{
    (void)frame;
    (void)what;
    (void)arg;
    if (is_helper)
        return 0;
    PyErr_SetNone(exception);
    return -1;
}

/* Not by sys._current_frames(), which visits other interpreters as well. */
static void
loosen(struct dora__guest *g)
{
    PyFrameObject *frame =
        g->thread == NULL ? NULL : PyThreadState_GetFrame(g->thread);

    if (frame != NULL)
        (void)dora__inhost_call(g, "loosen", (PyObject *)frame);
    Py_XDECREF(frame);
}

static void
act(struct dora__guest *g, enum dora__guest_press how)
{
    if (how == DORA__PRESS_INTERRUPT)
        (void)PyThreadState_SetAsyncExc(g->ident, PyExc_KeyboardInterrupt);
    else
        PyEval_SetTraceAllThreads(raise_traced, PyExc_KeyboardInterrupt);
    loosen(g);
    PyEval_SetTrace(NULL, NULL); /* this thread too is traced */
}

/* Its thread state lives until the end: where CPython notes which thread had
 * the GIL last, it takes no notice of that one's end, and ask() may follow. */
static void *
help(void *arg)
{
    struct dora__guest *g = arg;
    PyThreadState *thread = PyThreadState_New(g->state);

    is_helper = true;
    (void)pthread_mutex_lock(&g->lock);
    while (g->interpreter != NULL || g->wanted) {
        if (!g->wanted) {
            (void)pthread_cond_wait(&g->changed, &g->lock);
            continue;
        }
        (void)pthread_mutex_unlock(&g->lock);
        PyEval_RestoreThread(thread);
        act(g, g->want);
        (void)PyEval_SaveThread();
        (void)pthread_mutex_lock(&g->lock);
        g->wanted = false;
    }
    (void)pthread_mutex_unlock(&g->lock);
    PyEval_RestoreThread(thread);
    PyThreadState_Clear(thread);
    PyThreadState_DeleteCurrent();
    (void)pthread_mutex_lock(&g->lock);
    g->helping = false;
    (void)pthread_cond_broadcast(&g->changed);
    (void)pthread_mutex_unlock(&g->lock);
    return NULL;
}

/* The helper is made by the first who needs it. Under the lock. */
static bool
has_helper(struct dora__guest *g)
{
    pthread_t thread;

    if (!g->helping && pthread_create(&thread, NULL, help, g) == 0) {
        (void)pthread_detach(thread);
        g->helping = true;
    }
    return g->helping;
}

/* Has the helper do it, unless it still waits for the GIL. */
static void
send_helper(struct dora__guest *g, enum dora__guest_press how)
{
    (void)pthread_mutex_lock(&g->lock);
    if (g->interpreter != NULL && !g->wanted && has_helper(g)) {
        g->want = how;
        g->wanted = true;
        (void)pthread_cond_broadcast(&g->changed);
    }
    (void)pthread_mutex_unlock(&g->lock);
}

void
dora__inhost_press(struct dora__guest *g, enum dora__guest_press how)
{
    bool hard = how == DORA__PRESS_INTERRUPT || how == DORA__PRESS_BREAK;

    if (hard || how == DORA__PRESS_ASK) {
        atomic_store_explicit(&g->asked, true, memory_order_relaxed);
        ask(g);
    }
    if (hard)
        send_helper(g, how);
    if (hard)
        kick(g);
    if (how == DORA__PRESS_TELL)
        tell(g);
    if (how != DORA__PRESS_TELL)
        wake(g);
}

/* What a thread's calls hold lives on until the interpreter ends: a Node that
 * went with them would close its outputs before the failure is known. */
static void
keep_frames(struct dora__guest *g, const char *name, PyThreadState *thread)
{
    PyFrameObject *frame =
        thread == NULL ? NULL : PyThreadState_GetFrame(thread);

    if (frame != NULL &&
        PyDict_SetItemString(g->globals, name, (PyObject *)frame) < 0)
        PyErr_Clear();
    Py_XDECREF(frame);
}

/* Handlers of the script are not to run, nor is it to go on after them. */
void
dora__inhost_leave(struct dora__guest *g)
{
    keep_frames(g, "first_left", g->thread);
    keep_frames(g, "left", PyThreadState_Get());
    PyEval_SetTraceAllThreads(raise_traced, PyExc_SystemExit);
    if (PyThread_get_thread_ident() != g->ident)
        dora__inhost_press(g, DORA__PRESS_INTERRUPT);
    PyErr_SetNone(PyExc_SystemExit);
}

void
dora__inhost_close(struct dora__guest *g)
{
    atomic_store_explicit(&g->ending, true, memory_order_relaxed);
    Py_BEGIN_ALLOW_THREADS;
    (void)pthread_mutex_lock(&g->lock);
    g->interpreter = NULL;
    (void)pthread_cond_broadcast(&g->changed);
    while (g->helping)
        (void)pthread_cond_wait(&g->changed, &g->lock);
    (void)pthread_mutex_unlock(&g->lock);
    Py_END_ALLOW_THREADS;
    PyEval_SetTrace(NULL, NULL);
}
