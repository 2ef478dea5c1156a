/* seat.c - which node an interpreter is.
 *
 * The program that hosts Python seats a node in an interpreter before any
 * script runs there; Node() takes it from the seat. The seat is a capsule in
 * the interpreter's own dict: interpreters of one process do not see each
 * other's, and nothing here is of the process but the list below.
 *
 * A fork copies seat and node. The child is nobody: if both acted as the node,
 * both would take messages and give memory back. So the list holds the nodes
 * of this process, and the child orphans them before it runs anything else. */
#include "python.h"

#include "module.h"

#include <pthread.h>

#define SEAT "dora.seat"

struct seat {
    struct dora_node *node; /* NULL: is gone */
    pid_t process;
    bool taken;
    struct seat *next;
};

static pthread_mutex_t seats_lock = PTHREAD_MUTEX_INITIALIZER;
static struct seat *seats;
static pthread_once_t seats_once = PTHREAD_ONCE_INIT;

static void
before_fork(void)
{
    (void)pthread_mutex_lock(&seats_lock);
}

static void
after_fork_parent(void)
{
    (void)pthread_mutex_unlock(&seats_lock);
}

static void
after_fork_child(void)
{
    for (struct seat *seat = seats; seat != NULL; seat = seat->next) {
        if (seat->node != NULL)
            dora__node_orphan(seat->node);
    }
    (void)pthread_mutex_unlock(&seats_lock);
}

static void
watch_forks(void)
{
    (void)pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

static void
list_seat(struct seat *seat)
{
    (void)pthread_once(&seats_once, watch_forks);
    (void)pthread_mutex_lock(&seats_lock);
    seat->next = seats;
    seats = seat;
    (void)pthread_mutex_unlock(&seats_lock);
}

static void
unlist_seat(struct seat *seat)
{
    struct seat **at = &seats;

    (void)pthread_mutex_lock(&seats_lock);
    while (*at != NULL && *at != seat)
        at = &(*at)->next;
    if (*at != NULL)
        *at = seat->next;
    (void)pthread_mutex_unlock(&seats_lock);
}

static void
free_seat(PyObject *capsule)
{
    struct seat *seat = PyCapsule_GetPointer(capsule, SEAT);

    unlist_seat(seat);
    if (!seat->taken)
        dora__node_detach(seat->node);
    free(seat);
}

int
dora__py_seat(struct dora_node *node)
{
    PyObject *dict = PyInterpreterState_GetDict(PyInterpreterState_Get());
    struct seat *seat = calloc(1, sizeof(*seat));
    PyObject *capsule;
    int r;

    if (dict == NULL || seat == NULL) {
        free(seat);
        PyErr_NoMemory();
        return -1;
    }
    seat->process = getpid();
    seat->taken = true; /* the caller's, until all has gone well */
    seat->node = node;
    list_seat(seat);
    capsule = PyCapsule_New(seat, SEAT, free_seat);
    if (capsule == NULL) {
        unlist_seat(seat);
        free(seat);
        return -1;
    }
    r = PyDict_SetItemString(dict, SEAT, capsule);
    if (r == 0)
        seat->taken = false;
    Py_DECREF(capsule);
    return r;
}

void
dora__py_seat_leave(struct dora_node *node)
{
    (void)pthread_mutex_lock(&seats_lock);
    for (struct seat *seat = seats; seat != NULL; seat = seat->next) {
        if (seat->node == node)
            seat->node = NULL;
    }
    (void)pthread_mutex_unlock(&seats_lock);
}

static struct seat *
find_seat(void)
{
    PyObject *dict = PyInterpreterState_GetDict(PyInterpreterState_Get());
    PyObject *capsule = dict == NULL ? NULL : PyDict_GetItemString(dict, SEAT);

    return capsule == NULL ? NULL : PyCapsule_GetPointer(capsule, SEAT);
}

static const char *
name_of(const struct seat *seat)
{
    return seat->node != NULL ? dora_node_id(seat->node) : "?";
}

struct dora_node *
dora__py_seat_take(void)
{
    struct seat *seat = find_seat();

    if (seat == NULL && getenv("DORA_NODE_CONFIG") != NULL)
        PyErr_SetString(PyExc_RuntimeError,
                        "could not initiate node: this process was started by "
                        "a node, only that one is part of the dataflow");
    else if (seat == NULL)
        PyErr_SetString(PyExc_RuntimeError,
                        "could not initiate node: this process is not part of "
                        "a dataflow; run it by `dora-run FILE.yml`, with this "
                        "script as the `path` of a node");
    else if (seat->process != getpid())
        PyErr_Format(PyExc_RuntimeError,
                     "could not initiate node: this process was forked from "
                     "node '%s' and is not a node itself",
                     name_of(seat));
    else if (seat->taken)
        PyErr_Format(PyExc_RuntimeError,
                     "could not initiate node: there was already a Node for "
                     "'%s', and a process has only one",
                     name_of(seat));
    else {
        seat->taken = true;
        return seat->node;
    }
    return NULL;
}
