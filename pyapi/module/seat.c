/* seat.c - which node an interpreter is.
 *
 * The program that hosts Python seats a node in an interpreter before any
 * script runs there; Node() takes it from the seat. The seat is a capsule in
 * the interpreter's own dict: interpreters of one process do not see each
 * other's, and nothing here is of the process. Who sits there is read and
 * written in the capsule's section.
 *
 * A fork copies seat and node. The child is nobody, which the runtime sees to;
 * here it is told so. */
#include "python.h"

#include "module.h"

#include <string.h>

#define SEAT "dora.seat"

struct seat {
    struct dora_node *node; /* NULL: is gone, or has not come yet */
    char *name;             /* remembered when it is */
    dora__py_attach attach; /* NULL: it came with the seat */
    void *arg;
    pid_t process;
    bool taken;
    bool cleared; /* the node is no longer ours */
};

static void
free_seat(PyObject *capsule)
{
    struct seat *seat = PyCapsule_GetPointer(capsule, SEAT);

    if (!seat->taken && !seat->cleared)
        dora__node_detach(seat->node);
    free(seat->name);
    free(seat);
}

static int
put(const char *name, const struct seat *model)
{
    PyObject *dict = PyInterpreterState_GetDict(PyInterpreterState_Get());
    struct seat *seat = calloc(1, sizeof(*seat));
    PyObject *capsule;
    int r;

    if (seat != NULL) {
        *seat = *model;
        seat->name = strdup(name);
    }
    if (dict == NULL || seat == NULL || seat->name == NULL) {
        free(seat);
        PyErr_NoMemory();
        return -1;
    }
    seat->process = getpid();
    seat->taken = true; /* the caller's, until all has gone well */
    capsule = PyCapsule_New(seat, SEAT, free_seat);
    if (capsule == NULL) {
        free(seat->name);
        free(seat);
        return -1;
    }
    r = PyDict_SetItemString(dict, SEAT, capsule);
    if (r == 0)
        seat->taken = false;
    Py_DECREF(capsule);
    return r;
}

int
dora__py_seat(struct dora_node *node)
{
    return put(dora_node_id(node), &(struct seat){.node = node});
}

int
dora__py_seat_later(const char *id, dora__py_attach attach, void *arg)
{
    return put(id, &(struct seat){.attach = attach, .arg = arg});
}

/* Borrowed; stays for as long as the interpreter. NULL: there is none. */
static PyObject *
find_seat(void)
{
    PyObject *dict = PyInterpreterState_GetDict(PyInterpreterState_Get());

    return dict == NULL ? NULL : PyDict_GetItemString(dict, SEAT);
}

static inline struct seat *
seat_of(PyObject *capsule)
{
    return PyCapsule_GetPointer(capsule, SEAT);
}

void
dora__py_seat_return(struct dora_node *node)
{
    PyObject *capsule = find_seat();

    if (capsule == NULL)
        return;
    Py_BEGIN_CRITICAL_SECTION(capsule);
    if (seat_of(capsule)->node == node)
        seat_of(capsule)->taken = false;
    Py_END_CRITICAL_SECTION();
}

static bool
leave(struct seat *seat, const struct dora_node *node)
{
    if (seat->cleared)
        return false;
    if (seat->node == node)
        seat->node = NULL;
    return true;
}

bool
dora__py_seat_leave(struct dora_node *node)
{
    PyObject *capsule = find_seat();
    bool left;

    if (capsule == NULL)
        return false;
    Py_BEGIN_CRITICAL_SECTION(capsule);
    left = leave(seat_of(capsule), node);
    Py_END_CRITICAL_SECTION();
    return left;
}

struct dora_node *
dora__py_seat_clear(void)
{
    PyObject *capsule = find_seat();
    struct dora_node *node;

    if (capsule == NULL)
        return NULL;
    Py_BEGIN_CRITICAL_SECTION(capsule);
    seat_of(capsule)->cleared = true;
    node = seat_of(capsule)->node;
    Py_END_CRITICAL_SECTION();
    return node;
}

static struct dora_node *
look(struct seat *seat)
{
    if (seat->cleared || seat->process != getpid())
        return NULL;
    if (seat->node == NULL && seat->attach != NULL && !seat->taken)
        seat->node = seat->attach(seat->arg);
    return seat->node;
}

struct dora_node *
dora__py_seat_look(void)
{
    PyObject *capsule = find_seat();
    struct dora_node *node;

    if (capsule == NULL)
        return NULL;
    Py_BEGIN_CRITICAL_SECTION(capsule);
    node = look(seat_of(capsule));
    Py_END_CRITICAL_SECTION();
    return node;
}

static void
refuse_stranger(void)
{
    if (getenv("DORA_NODE_CONFIG") != NULL || getenv("DORA_RUN_PYTHON") != NULL)
        PyErr_SetString(PyExc_RuntimeError,
                        "could not initiate node: this process was started by "
                        "a node, only that one is part of the dataflow");
    else
        PyErr_SetString(PyExc_RuntimeError,
                        "could not initiate node: this process is not part of "
                        "a dataflow; run it by `dora-run FILE.yml`, with this "
                        "script as the `path` of a node, or attach it to a "
                        "`path: dynamic` node that runs: `dora-run node --id "
                        "NODE SCRIPT.py`");
}

static struct dora_node *
take(struct seat *seat)
{
    if (seat->process != getpid()) {
        PyErr_Format(PyExc_RuntimeError,
                     "could not initiate node: this process was forked from "
                     "node '%s' and is not a node itself",
                     seat->name);
        return NULL;
    }
    if (seat->taken) {
        PyErr_Format(PyExc_RuntimeError,
                     "could not initiate node: there was already a Node for "
                     "'%s', and a process has only one",
                     seat->name);
        return NULL;
    }
    if (seat->node == NULL && seat->attach != NULL)
        seat->node = seat->attach(seat->arg);
    seat->taken = seat->node != NULL;
    return seat->node;
}

struct dora_node *
dora__py_seat_take(void)
{
    PyObject *capsule = find_seat();
    struct dora_node *node;

    if (capsule == NULL) {
        refuse_stranger();
        return NULL;
    }
    Py_BEGIN_CRITICAL_SECTION(capsule);
    node = take(seat_of(capsule));
    Py_END_CRITICAL_SECTION();
    return node;
}
