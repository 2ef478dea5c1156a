/* inhost_python.c - CPython inside the host: started once, never ended.
 *
 *   1. Nothing of the host changes by it: no signal handlers but those of
 *      inhost_fault.c, no locale, no environment. Its text encoding is UTF-8
 * whatever the locale.
 *   2. The main interpreter runs no node. It has met _datetime, whose types are
 *      the process's and must be made before two interpreters use them.
 *   3. Interpreters are made one at a time. None runs `site` when it is made,
 *      nor the .pth files that it knows of: they may import what only
 *      inhost.py refuses, which sees to it then. */
#include "inhost.h"

#include <string.h>

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool begun, done;
    const char *base;
    bool say_faults, failed;
    struct dora_error err;
} python = {.lock = PTHREAD_MUTEX_INITIALIZER,
            .changed = PTHREAD_COND_INITIALIZER};

static pthread_mutex_t creation = PTHREAD_MUTEX_INITIALIZER;

static PyStatus
initialize(const char *base)
{
    PyPreConfig before;
    PyConfig config;
    PyStatus status;

    PyPreConfig_InitPythonConfig(&before);
    before.parse_argv = 0;
    before.configure_locale = 0;
    before.coerce_c_locale = 0;
    before.utf8_mode = 1;
    status = Py_PreInitialize(&before);
    if (PyStatus_Exception(status))
        return status;
    PyConfig_InitPythonConfig(&config);
    config.parse_argv = 0;
    config.install_signal_handlers = 0;
    config.buffered_stdio = 0;
    config.inspect = 0;
    config.site_import = 0;
    status = PyConfig_SetBytesString(&config, &config.executable, base);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    return status;
}

static int
begin(const char *base, bool say_faults, struct dora_error *err)
{
    PyObject *module;
    PyStatus status;
    bool compiled;

    if (Py_IsInitialized())
        return dora__fail(err, EBUSY,
                          "this program runs a Python of its own, which cannot "
                          "run nodes as well");
    if (PyImport_AppendInittab("dora", PyInit_dora) < 0)
        return dora__fail(err, ENOMEM, "no memory for Python");
    dora__inhost_arenas_watch();
    status = initialize(base);
    if (PyStatus_Exception(status) || PyStatus_IsExit(status))
        return dora__fail(err, EIO, "Python does not start: %s",
                          status.err_msg != NULL ? status.err_msg : "?");
    module = PyImport_ImportModule("_datetime");
    if (module == NULL)
        PyErr_Clear();
    Py_XDECREF(module);
    compiled = dora__inhost_compile() == 0;
    PyErr_Clear();
    dora__inhost_fault_start(say_faults);
    (void)PyEval_SaveThread();
    return compiled ? 0 : dora__fail(err, ENOMEM, "no memory for Python");
}

/* The main thread as CPython sees it: it never ends, so that its identity
 * never becomes another's. */
static void *
keep(void *arg)
{
    struct dora_error err = {""};
    int failed = begin(python.base, python.say_faults, &err);

    (void)arg;
    (void)pthread_mutex_lock(&python.lock);
    python.done = true;
    python.failed = failed < 0;
    python.err = err;
    (void)pthread_cond_broadcast(&python.changed);
    (void)pthread_mutex_unlock(&python.lock);
    while (failed == 0)
        (void)pause();
    return NULL;
}

static int
make_keeper(void)
{
    pthread_t thread;
    int failed = pthread_create(&thread, NULL, keep, NULL);

    if (failed != 0)
        return -failed;
    (void)pthread_setname_np(thread, "python");
    (void)pthread_detach(thread);
    return 0;
}

int
dora__inhost_start(const char *base, bool say_faults, struct dora_error *err)
{
    int failed = 0;

    (void)pthread_mutex_lock(&python.lock);
    if (!python.begun) {
        python.base = base;
        python.say_faults = say_faults;
        failed = make_keeper();
        python.begun = failed == 0;
    }
    while (python.begun && !python.done)
        (void)pthread_cond_wait(&python.changed, &python.lock);
    if (failed < 0)
        dora__error_set(err, "cannot start a thread: %s", strerror(-failed));
    else if (python.failed)
        failed = dora__fail(err, EIO, "%s", python.err.text);
    (void)pthread_mutex_unlock(&python.lock);
    return failed;
}

/* The thread is attached to none before and after a failure. */
PyThreadState *
dora__inhost_interpreter(struct dora_error *err)
{
    const PyInterpreterConfig config = {
        .use_main_obmalloc = 0,
        .allow_fork = 0,
        .allow_exec = 0,
        .allow_threads = 1,
        .allow_daemon_threads = 1,
        .check_multi_interp_extensions = 1,
        .gil = PyInterpreterConfig_OWN_GIL,
    };
    PyThreadState *base, *made = NULL;
    PyStatus status;

    (void)pthread_mutex_lock(&creation);
    base = PyThreadState_New(PyInterpreterState_Main());
    PyEval_RestoreThread(base);
    status = Py_NewInterpreterFromConfig(&made, &config);
    if (PyStatus_Exception(status))
        made = NULL;
    else
        (void)PyThreadState_Swap(base);
    PyThreadState_Clear(base);
    PyThreadState_DeleteCurrent();
    (void)pthread_mutex_unlock(&creation);
    if (made == NULL) {
        dora__error_set(err, "cannot make an interpreter: %s",
                        status.err_msg != NULL ? status.err_msg : "?");
        return NULL;
    }
    PyEval_RestoreThread(made);
    return made;
}
