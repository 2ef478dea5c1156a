/* sample_park.c - views of a sample that outlive its send.
 *
 * A memoryview that was released holds its buffer no more, yet others may hold
 * it and the address they got through it: `np.ndarray(n, buffer=view)` and
 * `torch.frombuffer(view)` keep a plain reference to the memoryview and count
 * nowhere. So memory must not be reused before the memoryview object itself is
 * ours alone. Its references cannot be waited for; they are looked at when the
 * node next takes memory, and before it sleeps. Most often that is the
 * variable of a finished `with`, and the next turn of the loop ends it: one
 * block per output of a node that loops.
 *
 * Where threads run side by side, counting somebody else's references is
 * guessing: one that moves between threads may be seen in neither. There a weak
 * reference says whether the memoryview lives.
 *
 * Whoever else holds the SampleBuffer keeps the memory without our help. A
 * place in the list is reserved when a view is made: a send must not fail for
 * want of one, and memory must not be reused because of it. */
#include "module.h"

/* --- whether others refer to a view -------------------------------------- */

#ifdef Py_GIL_DISABLED

/* What is kept in place of the view, which is taken over: itself if there is no
 * memory for that. */
static PyObject *
stand_in(PyObject *view)
{
    PyObject *weak = PyWeakref_NewRef(view, NULL);

    if (weak == NULL) {
        PyErr_Clear();
        return view;
    }
    Py_DECREF(view);
    return weak;
}

/* Of a view that is ours alone but was made by another thread, no: it cannot be
 * told. */
static bool
is_ours_alone(PyObject *view)
{
#if PY_VERSION_HEX >= 0x030e0000
    return PyUnstable_Object_IsUniquelyReferenced(view);
#else
    (void)view;
    return false;
#endif
}

static bool
has_others(PyObject *kept)
{
    PyObject *view;

    if (!PyWeakref_Check(kept))
        return !is_ours_alone(kept);
    if (PyWeakref_GetRef(kept, &view) <= 0)
        return false;
    Py_DECREF(view);
    return true;
}

#else

static inline PyObject *
stand_in(PyObject *view)
{
    return view;
}

static inline bool
has_others(PyObject *kept)
{
    return Py_REFCNT(kept) > 1;
}

#endif

/* --- the list, in the node's section ------------------------------------- */

static int
reserve(struct dora__py_node *node)
{
    size_t capacity = node->parked_capacity * 2 + 4;
    struct dora__py_parked *parked;

    if (node->parked_count + node->promised == node->parked_capacity) {
        parked = PyMem_Realloc(node->parked, capacity * sizeof(*parked));
        if (parked == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        node->parked = parked;
        node->parked_capacity = capacity;
    }
    node->promised++;
    return 0;
}

int
dora__py_park_reserve(struct dora__py_node *node)
{
    int r;

    Py_BEGIN_CRITICAL_SECTION(node);
    r = reserve(node);
    Py_END_CRITICAL_SECTION();
    return r;
}

void
dora__py_park(struct dora__py_node *node, PyObject *view, PyObject *buffer)
{
    PyObject *kept = buffer == NULL ? NULL : stand_in(view);
    bool parks = kept != NULL && has_others(kept);

    Py_BEGIN_CRITICAL_SECTION(node);
    node->promised--;
    if (parks)
        node->parked[node->parked_count++] =
            (struct dora__py_parked){kept, Py_NewRef(buffer)};
    Py_END_CRITICAL_SECTION();
    if (!parks)
        Py_DECREF(kept != NULL ? kept : view);
}

void
dora__py_unpark(struct dora__py_node *node)
{
    size_t i = 0;

    Py_BEGIN_CRITICAL_SECTION(node);
    while (i < node->parked_count) {
        struct dora__py_parked entry = node->parked[i];

        if (has_others(entry.kept)) {
            i++;
            continue;
        }
        node->parked[i] = node->parked[--node->parked_count];
        Py_DECREF(entry.kept);
        Py_DECREF(entry.buffer);
    }
    Py_END_CRITICAL_SECTION();
}

int
dora__py_park_traverse(struct dora__py_node *node, visitproc visit, void *arg)
{
    for (size_t i = 0; i < node->parked_count; i++) {
        Py_VISIT(node->parked[i].kept);
        Py_VISIT(node->parked[i].buffer);
    }
    return 0;
}

void
dora__py_park_clear(struct dora__py_node *node)
{
    while (node->parked_count > 0) {
        struct dora__py_parked entry = node->parked[--node->parked_count];

        Py_DECREF(entry.kept);
        Py_DECREF(entry.buffer);
    }
}
