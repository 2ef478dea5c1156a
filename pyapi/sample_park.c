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
 * Whoever else holds the SampleBuffer keeps the memory without our help. A
 * place in the list is reserved when a view is made: a send must not fail for
 * want of one, and memory must not be reused because of it. */
#include "module.h"

int
dora__py_park_reserve(struct dora__py_node *node)
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

void
dora__py_park(struct dora__py_node *node, PyObject *view, PyObject *buffer)
{
    node->promised--;
    if (buffer == NULL || Py_REFCNT(view) == 1)
        Py_DECREF(view);
    else
        node->parked[node->parked_count++] =
            (struct dora__py_parked){view, Py_NewRef(buffer)};
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
