/* py_async.c - waiting for events inside an asyncio loop.
 *
 * A thread of C waits on the node's bell in place of the loop and writes an
 * eventfd that the loop reads. It knows nothing of Python, pops nothing, and
 * waits only while somebody awaits:
 *
 *     idle -> armed   a future was made       [dora__py_async_future]
 *     armed -> idle   the bell rang           [watch]; the eventfd is written
 *
 * A future armed late, between the bell and the eventfd, is woken by the
 * eventfd all the same, looks, and arms again. The event itself is popped by
 * the coroutine when it runs (receiver_type.c), so that nothing is lost when
 * it is cancelled meanwhile.
 *
 * Several loops may wait, each in a thread of its own, and all of them read the
 * eventfd: the one that comes first wakes everybody.
 *
 * What is in the struct is read and written in the Node's section.
 *
 * The thread cannot be called back from its wait: once started it stays until
 * the process ends, with the node's memory mapped. */
#include "module.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

struct dora__py_async {
    struct dora_node *node;
    int fd; /* eventfd */
    sem_t arm;
    atomic_bool armed;
    PyObject *loops;   /* dict: those that read the eventfd */
    PyObject *waiters; /* dict: futures in the order of their awaits */
};

/* --- the thread ---------------------------------------------------------- */

static void *
watch(void *arg)
{
    struct dora__py_async *async = arg;
    uint64_t one = 1;

    for (;;) {
        while (sem_wait(&async->arm) < 0)
            ;
        while (dora_node_wait(async->node, -1) == -EINTR)
            ;
        /* pairs with the exchange in arm() */
        atomic_store_explicit(&async->armed, false, memory_order_release);
        while (write(async->fd, &one, sizeof(one)) < 0 && errno == EINTR)
            ;
    }
    return NULL;
}

static void
arm(struct dora__py_async *async)
{
    /* pairs with the store in watch() */
    if (!atomic_exchange_explicit(&async->armed, true, memory_order_acq_rel))
        (void)sem_post(&async->arm);
}

/* Signals are for the threads of Python. */
static int
start_thread(struct dora__py_async *async)
{
    sigset_t all, before;
    pthread_t thread;
    int r;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    r = pthread_create(&thread, NULL, watch, async);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r == 0)
        (void)pthread_detach(thread);
    return -r;
}

static int
start(struct dora__py_node *self)
{
    struct dora__py_async *async;
    int r;

    async = calloc(1, sizeof(*async));
    if (async == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    async->node = self->node;
    async->loops = PyDict_New();
    async->waiters = async->loops == NULL ? NULL : PyDict_New();
    async->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    (void)sem_init(&async->arm, 0, 0);
    r = async->fd < 0 ? -errno : start_thread(async);
    if (r < 0 || async->waiters == NULL) {
        if (r < 0)
            (void)dora__py_raise(r, NULL);
        if (async->fd >= 0 && r < 0)
            (void)close(async->fd);
        Py_XDECREF(async->loops);
        Py_XDECREF(async->waiters);
        if (r < 0)
            free(async);
        return -1;
    }
    self->async = async;
    return 0;
}

/* --- the loop ------------------------------------------------------------ */

static int
finish(PyObject *future)
{
    PyObject *done = PyObject_CallMethod(future, "done", NULL), *result = NULL;
    int is = done == NULL ? -1 : PyObject_IsTrue(done);

    Py_XDECREF(done);
    if (is == 0) {
        result = PyObject_CallMethod(future, "set_result", "O", Py_None);
        is = result == NULL ? -1 : 0;
    }
    Py_XDECREF(result);
    return is < 0 ? -1 : 0;
}

static PyObject *
wake_one(PyObject *Py_UNUSED(self), PyObject *future)
{
    if (finish(future) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef wake_one_definition = {"wake_one", wake_one, METH_O, NULL};

/* From the thread of another loop. */
static int
finish_elsewhere(PyObject *loop, PyObject *future)
{
    PyObject *callback = PyCFunction_New(&wake_one_definition, NULL);
    PyObject *handle = callback == NULL
                           ? NULL
                           : PyObject_CallMethod(loop, "call_soon_threadsafe",
                                                 "OO", callback, future);

    Py_XDECREF(callback);
    if (handle == NULL && !PyErr_ExceptionMatches(PyExc_RuntimeError))
        return -1;
    if (handle == NULL)
        PyErr_Clear(); /* it is closed */
    Py_XDECREF(handle);
    return 0;
}

/* In the thread of the loop `running`. */
static int
finish_in_its_loop(PyObject *running, PyObject *future)
{
    PyObject *loop = PyObject_CallMethod(future, "get_loop", NULL);
    int r = loop == NULL      ? -1
            : loop == running ? finish(future)
                              : finish_elsewhere(loop, future);

    Py_XDECREF(loop);
    return r;
}

/* A list of those that wait: from now on they do no more. */
static PyObject *
take_waiters(PyObject *node)
{
    PyObject *waiters = ((struct dora__py_node *)node)->async->waiters;
    PyObject *futures;

    Py_BEGIN_CRITICAL_SECTION(node);
    futures = PyDict_Keys(waiters);
    if (futures != NULL)
        PyDict_Clear(waiters);
    Py_END_CRITICAL_SECTION();
    return futures;
}

static PyObject *
running_loop(void)
{
    PyObject *asyncio = PyImport_ImportModule("asyncio"), *loop;

    if (asyncio == NULL)
        return NULL;
    loop = PyObject_CallMethod(asyncio, "get_running_loop", NULL);
    Py_DECREF(asyncio);
    return loop;
}

/* The loop calls it when the eventfd can be read. */
static PyObject *
wake_all(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct dora__py_async *async = ((struct dora__py_node *)object)->async;
    uint64_t count;
    PyObject *futures, *running;
    int r = 0;

    if (read(async->fd, &count, sizeof(count)) < 0)
        Py_RETURN_NONE;
    running = running_loop();
    futures = running == NULL ? NULL : take_waiters(object);
    if (futures == NULL)
        r = -1;
    for (Py_ssize_t i = 0; r == 0 && i < PyList_GET_SIZE(futures); i++)
        r = finish_in_its_loop(running, PyList_GET_ITEM(futures, i));
    Py_XDECREF(futures);
    Py_XDECREF(running);
    if (r < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef wake_all_definition = {"wake_all", wake_all, METH_NOARGS,
                                          NULL};

/* Keeps none that has ended. */
static int
forget_closed(PyObject *loops)
{
    PyObject *all = PyDict_Keys(loops);
    int r = all == NULL ? -1 : 0;

    for (Py_ssize_t i = 0; r == 0 && i < PyList_GET_SIZE(all); i++) {
        PyObject *loop = PyList_GET_ITEM(all, i);
        PyObject *closed = PyObject_CallMethod(loop, "is_closed", NULL);
        int is = closed == NULL ? -1 : PyObject_IsTrue(closed);

        Py_XDECREF(closed);
        r = is <= 0 ? is : PyDict_DelItem(loops, loop);
    }
    Py_XDECREF(all);
    return r;
}

/* Lets `loop` read the eventfd. */
static int
use_loop(struct dora__py_node *self, PyObject *loop)
{
    struct dora__py_async *async = self->async;
    PyObject *callback, *result;
    int known = PyDict_Contains(async->loops, loop);

    if (known != 0)
        return known < 0 ? -1 : 0;
    if (forget_closed(async->loops) < 0)
        return -1;
    callback = PyCFunction_New(&wake_all_definition, (PyObject *)self);
    if (callback == NULL)
        return -1;
    result = PyObject_CallMethod(loop, "add_reader", "iO", async->fd, callback);
    Py_DECREF(callback);
    if (result == NULL)
        return -1;
    Py_DECREF(result);
    return PyDict_SetItem(async->loops, loop, Py_None);
}

/* Notes that the future waits, so that `loop` will be woken for it. */
static int
await(struct dora__py_node *self, PyObject *loop, PyObject *future)
{
    int r;

    Py_BEGIN_CRITICAL_SECTION(self);
    r = self->async != NULL ? 0 : start(self);
    if (r == 0)
        r = use_loop(self, loop);
    if (r == 0)
        r = PyDict_SetItem(self->async->waiters, future, Py_None);
    Py_END_CRITICAL_SECTION();
    return r;
}

PyObject *
dora__py_async_future(struct dora__py_node *self)
{
    PyObject *loop = running_loop(), *future = NULL;

    if (loop != NULL)
        future = PyObject_CallMethod(loop, "create_future", NULL);
    if (future != NULL && await(self, loop, future) < 0)
        Py_CLEAR(future);
    Py_XDECREF(loop);
    if (future != NULL)
        arm(self->async);
    return future;
}

void
dora__py_async_forget(struct dora__py_node *self, PyObject *future)
{
    Py_BEGIN_CRITICAL_SECTION(self);
    if (self->async->waiters != NULL &&
        PyDict_DelItem(self->async->waiters, future) < 0)
        PyErr_Clear(); /* it was woken */
    Py_END_CRITICAL_SECTION();
}

PyObject *
dora__py_async_later(PyObject *future, int64_t delay_ns)
{
    PyObject *callback = PyCFunction_New(&wake_one_definition, NULL);
    PyObject *loop =
        callback == NULL ? NULL : PyObject_CallMethod(future, "get_loop", NULL);
    PyObject *handle = NULL;

    if (loop != NULL)
        handle = PyObject_CallMethod(loop, "call_later", "dOO",
                                     (double)delay_ns / 1e9, callback, future);
    Py_XDECREF(loop);
    Py_XDECREF(callback);
    return handle;
}

/* --- life ---------------------------------------------------------------- */

int
dora__py_async_traverse(struct dora__py_async *async, visitproc visit,
                        void *arg)
{
    if (async == NULL)
        return 0;
    Py_VISIT(async->loops);
    Py_VISIT(async->waiters);
    return 0;
}

void
dora__py_async_clear(struct dora__py_async *async)
{
    if (async == NULL)
        return;
    Py_CLEAR(async->loops);
    Py_CLEAR(async->waiters);
}

bool
dora__py_async_free(struct dora__py_async *async)
{
    return async != NULL;
}
