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
 * Whoever else holds the SampleBuffer keeps the memory without our help. */
#include "module.h"

static int
make_room(struct dora__py_node *node)
{
    size_t capacity = node->parked_capacity * 2 + 4;
    struct dora__py_parked *parked;

    if (node->parked_count < node->parked_capacity)
        return 0;
    parked = PyMem_Realloc(node->parked, capacity * sizeof(*parked));
    if (parked == NULL)
        return -1;
    node->parked = parked;
    node->parked_capacity = capacity;
    return 0;
}

void
dora__py_park(struct dora__py_node *node, PyObject *view, PyObject *buffer)
{
    Py_INCREF(buffer);
    /* Without memory to remember it, it is kept for ever: memory lost is
     * better than memory written by two. */
    if (make_room(node) == 0)
        node->parked[node->parked_count++] =
            (struct dora__py_parked){view, buffer};
}

void
dora__py_unpark(struct dora__py_node *node)
{
    size_t i = 0;

    while (i < node->parked_count) {
        struct dora__py_parked entry = node->parked[i];

        if (Py_REFCNT(entry.view) > 1) {
            i++;
            continue;
        }
        node->parked[i] = node->parked[--node->parked_count];
        Py_DECREF(entry.view);
        Py_DECREF(entry.buffer);
    }
}

int
dora__py_park_traverse(struct dora__py_node *node, visitproc visit, void *arg)
{
    for (size_t i = 0; i < node->parked_count; i++) {
        Py_VISIT(node->parked[i].view);
        Py_VISIT(node->parked[i].buffer);
    }
    return 0;
}

void
dora__py_park_clear(struct dora__py_node *node)
{
    while (node->parked_count > 0) {
        struct dora__py_parked entry = node->parked[--node->parked_count];

        Py_DECREF(entry.view);
        Py_DECREF(entry.buffer);
    }
}
