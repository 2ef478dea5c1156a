/* inhost_programs.c - what programs.py is given of C: asking the guardian for a
 * process, and hearing of its end.
 *
 * A link is in the table from the moment that the process is known: what
 * surprises the script in between loses none. */
#include "inhost.h"

#include "guardian/guardian_client.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RETRY_MS = 1, MAX_CPUS = CPU_SETSIZE };

/* What a request points to. */
struct order {
    struct dora__spawn spawn;
    char **programs, **argv, **env; /* the strings are Python's */
    int *fds;
    uint32_t *places, *groups;
    uint32_t cpus[MAX_CPUS];
};

/* --- the request ---------------------------------------------------------- */

/* The strings of a list of bytes. NULL with an exception. */
static char **
strings_of(PyObject *list)
{
    Py_ssize_t count = PyList_Size(list);
    char **strings =
        count < 0 ? NULL : PyMem_Calloc((size_t)count + 1, sizeof *strings);

    if (strings == NULL && count >= 0)
        (void)PyErr_NoMemory();
    for (Py_ssize_t i = 0; strings != NULL && i < count; i++)
        if (PyBytes_AsStringAndSize(PyList_GET_ITEM(list, i), &strings[i],
                                    NULL) < 0) {
            PyMem_Free(strings);
            return NULL;
        }
    return strings;
}

static bool
read_places(struct order *o, PyObject *places)
{
    size_t count = (size_t)PyDict_Size(places), i = 0;
    PyObject *place, *fd;
    Py_ssize_t at = 0;

    o->fds = PyMem_Calloc(count, sizeof *o->fds);
    o->places = PyMem_Calloc(count, sizeof *o->places);
    if (o->fds == NULL || o->places == NULL) {
        (void)PyErr_NoMemory();
        return false;
    }
    for (; PyDict_Next(places, &at, &place, &fd) && i < count; i++) {
        o->places[i] = (uint32_t)PyLong_AsLong(place);
        o->fds[i] = (int)PyLong_AsLong(fd);
    }
    o->spawn.fds = o->fds;
    o->spawn.places = o->places;
    o->spawn.fd_count = count;
    return !PyErr_Occurred();
}

static bool
read_groups(struct order *o, PyObject *groups)
{
    Py_ssize_t count = groups == Py_None ? 0 : PyList_Size(groups);

    if (groups == Py_None || count < 0)
        return count == 0;
    o->groups = PyMem_Calloc((size_t)count + 1, sizeof *o->groups);
    if (o->groups == NULL) {
        (void)PyErr_NoMemory();
        return false;
    }
    for (Py_ssize_t i = 0; i < count; i++)
        o->groups[i] =
            (uint32_t)PyLong_AsUnsignedLongMask(PyList_GET_ITEM(groups, i));
    o->spawn.groups = o->groups;
    o->spawn.group_count = (size_t)count;
    o->spawn.manner.flags |= DORA__MANNER_GROUPS;
    return !PyErr_Occurred();
}

static void
read_id(struct order *o, PyObject *id, uint32_t flag, uint32_t *value)
{
    if (id == Py_None)
        return;
    *value = (uint32_t)PyLong_AsUnsignedLongMask(id);
    o->spawn.manner.flags |= flag;
}

/* What a process has from its parent's thread. */
static void
inherit(struct order *o, uint64_t defaults, int mask)
{
    struct dora__manner *m = &o->spawn.manner;
    cpu_set_t cpus;

    /* Those that Python ignores in a process are not ignored by the host. */
    m->ignored = (dora__signals_ignored() | DORA__SIGNAL_BIT(SIGPIPE) |
                  DORA__SIGNAL_BIT(SIGXFSZ)) &
                 ~defaults;
    if (sched_getaffinity(0, sizeof cpus, &cpus) == 0)
        for (uint32_t i = 0; i < MAX_CPUS; i++)
            if (CPU_ISSET(i, &cpus))
                o->cpus[o->spawn.cpu_count++] = i;
    o->spawn.cpus = o->cpus;
    m->umask = mask < 0 ? umask(0077) : (uint32_t)mask;
    if (mask < 0)
        (void)umask(m->umask);
    m->flags |= DORA__MANNER_UMASK | DORA__MANNER_DIRECTORY;
}

static bool
read_order(struct order *o, PyObject *args, PyObject **ret_table)
{
    PyObject *table, *programs, *argv, *env, *places, *uid, *gid, *groups;
    unsigned long long defaults, blocked;
    struct dora__manner *m = &o->spawn.manner;
    int session, group, mask;

    if (!PyArg_ParseTuple(args, "O!O!O!O!O!yKKpiiOOO", &PyDict_Type, &table,
                          &PyList_Type, &programs, &PyList_Type, &argv,
                          &PyList_Type, &env, &PyDict_Type, &places,
                          &o->spawn.directory, &defaults, &blocked, &session,
                          &group, &mask, &uid, &gid, &groups))
        return false;
    *ret_table = table;
    m->group = group < 0 ? getpgrp() : group;
    m->blocked = blocked;
    m->flags = session ? DORA__MANNER_SESSION : 0;
    read_id(o, uid, DORA__MANNER_UID, &m->uid);
    read_id(o, gid, DORA__MANNER_GID, &m->gid);
    inherit(o, defaults, mask);
    o->programs = strings_of(programs);
    o->argv = o->programs == NULL ? NULL : strings_of(argv);
    o->env = o->argv == NULL ? NULL : strings_of(env);
    o->spawn.programs = o->programs;
    o->spawn.argv = o->argv;
    o->spawn.env = o->env;
    return o->env != NULL && read_places(o, places) && read_groups(o, groups);
}

static void
free_order(struct order *o)
{
    PyMem_Free(o->programs);
    PyMem_Free(o->argv);
    PyMem_Free(o->env);
    PyMem_Free(o->fds);
    PyMem_Free(o->places);
    PyMem_Free(o->groups);
    PyMem_Free(o);
}

/* --- starting ------------------------------------------------------------- */

/* Without the GIL. */
static int
ask(int guardian, struct order *o, int *ret_link, struct dora__report *report)
{
    DORA_AUTOCLOSE int directory = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    ssize_t n;
    int code;

    if (directory < 0)
        return -errno;
    o->spawn.directory_fd = directory;
    while ((code = dora__guardian_keep(guardian, &o->spawn, ret_link)) ==
           -EAGAIN)
        (void)poll(NULL, 0, RETRY_MS);
    if (code < 0)
        return code;
    do
        n = recv(*ret_link, report, sizeof *report, 0);
    while (n < 0 && errno == EINTR);
    if (n == sizeof *report)
        return 0;
    dora__close_fd(ret_link);
    return -ECHILD; /* the guardian, or the parent it had made, has gone */
}

/* The process's link into the table, or what it says into the result. */
static PyObject *
settle(PyObject *table, int link, const struct dora__report *report)
{
    bool runs = report->type == DORA__REPORT_SPAWNED;
    PyObject *key, *value;
    int code = 0;

    if (runs) {
        key = PyLong_FromLong(report->pid);
        value = PyLong_FromLong(link);
        code = key == NULL || value == NULL ? -1
                                            : PyDict_SetItem(table, key, value);
        Py_XDECREF(key);
        Py_XDECREF(value);
    }
    if (!runs || code < 0)
        (void)close(link);
    return code < 0 ? NULL
                    : Py_BuildValue("iii", (int)report->pid,
                                    runs ? 0 : (int)report->step,
                                    runs ? 0 : (int)report->code);
}

PyObject *
dora__inhost_start_program(struct dora__guest *g, PyObject *args)
{
    struct order *o = PyMem_Calloc(1, sizeof *o);
    PyObject *table, *result = NULL;
    struct dora__report report;
    int link, code;

    if (o == NULL)
        return PyErr_NoMemory();
    if (read_order(o, args, &table)) {
        Py_BEGIN_ALLOW_THREADS;
        code = ask(g->guardian_fd, o, &link, &report);
        Py_END_ALLOW_THREADS;
        errno = -code;
        result = code < 0 ? PyErr_SetFromErrno(PyExc_OSError)
                          : settle(table, link, &report);
    }
    free_order(o);
    return result;
}

/* --- ending --------------------------------------------------------------- */

PyObject *
dora__inhost_await_links(PyObject *args)
{
    PyObject *links;
    struct pollfd *polled;
    Py_ssize_t count, found = -1;
    int timeout, ready;

    if (!PyArg_ParseTuple(args, "O!i", &PyList_Type, &links, &timeout))
        return NULL;
    count = PyList_GET_SIZE(links);
    polled = PyMem_Calloc((size_t)count + 1, sizeof *polled);
    if (polled == NULL)
        return PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < count; i++)
        polled[i] = (struct pollfd){
            (int)PyLong_AsLong(PyList_GET_ITEM(links, i)), POLLIN, 0};
    Py_BEGIN_ALLOW_THREADS;
    ready = poll(polled, (nfds_t)count, timeout);
    Py_END_ALLOW_THREADS;
    for (Py_ssize_t i = 0; ready > 0 && found < 0 && i < count; i++)
        if (polled[i].revents != 0)
            found = i;
    PyMem_Free(polled);
    return PyLong_FromSsize_t(found);
}

static double
seconds(const struct timeval *t)
{
    return (double)t->tv_sec + (double)t->tv_usec * 1e-6;
}

/* As resource.struct_rusage takes it. */
static PyObject *
usage_of(const struct rusage *u)
{
    return Py_BuildValue(
        "ddllllllllllllll", seconds(&u->ru_utime), seconds(&u->ru_stime),
        u->ru_maxrss, u->ru_ixrss, u->ru_idrss, u->ru_isrss, u->ru_minflt,
        u->ru_majflt, u->ru_nswap, u->ru_inblock, u->ru_oublock, u->ru_msgsnd,
        u->ru_msgrcv, u->ru_nsignals, u->ru_nvcsw, u->ru_nivcsw);
}

/* The number is free from then on. */
static void
let_go(int link)
{
    struct dora__report report;

    (void)shutdown(link, SHUT_WR);
    Py_BEGIN_ALLOW_THREADS;
    while (recv(link, &report, sizeof report, 0) < 0 && errno == EINTR)
        continue;
    Py_END_ALLOW_THREADS;
    (void)close(link);
}

PyObject *
dora__inhost_take_end(PyObject *args)
{
    struct dora__report report = {0};
    PyObject *table, *pid, *value;
    int link, keep;

    if (!PyArg_ParseTuple(args, "O!Op", &PyDict_Type, &table, &pid, &keep))
        return NULL;
    value = PyDict_GetItemWithError(table, pid); /* borrowed */
    if (value == NULL) {
        if (!PyErr_Occurred())
            Py_RETURN_NONE;
        return NULL;
    }
    link = (int)PyLong_AsLong(value);
    /* Whose parent was killed was killed with it. */
    if (recv(link, &report, sizeof report,
             keep ? MSG_DONTWAIT | MSG_PEEK : MSG_DONTWAIT) != sizeof report)
        report.status = SIGKILL;
    if (!keep) {
        if (PyDict_DelItem(table, pid) < 0)
            return NULL;
        let_go(link);
    }
    return Py_BuildValue("iN", (int)report.status, usage_of(&report.usage));
}
