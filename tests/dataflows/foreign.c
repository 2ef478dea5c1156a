/* foreign.c - lets go of things on a thread that Python has not made, as
 * libraries with threads of their own do: cc -shared -fPIC foreign.c -o
 * foreign.so. Python's functions are those of the process it is loaded into. */
#include <pthread.h>

struct arrow_array { /* of the Arrow C data interface */
    long long length, null_count, offset, n_buffers, n_children;
    const void **buffers;
    void **children, *dictionary;
    void (*release)(struct arrow_array *);
};

int drop_elsewhere(void *object);
int release_elsewhere(void *array);

extern int PyGILState_Ensure(void);
extern void PyGILState_Release(int state);
extern void Py_DecRef(void *object);

static void *
drop(void *object)
{
    int state = PyGILState_Ensure();

    Py_DecRef(object);
    PyGILState_Release(state);
    return NULL;
}

/* Knows nothing of Python, and Python nothing of it. */
static void *
release(void *arg)
{
    struct arrow_array *array = arg;

    array->release(array);
    return array->release == NULL ? NULL : arg;
}

static int
elsewhere(void *(*function)(void *), void *arg)
{
    pthread_t thread;
    void *result;

    if (pthread_create(&thread, NULL, function, arg) != 0 ||
        pthread_join(thread, &result) != 0)
        return -1;
    return result == NULL ? 0 : -1;
}

int
drop_elsewhere(void *object)
{
    return elsewhere(drop, object);
}

int
release_elsewhere(void *array)
{
    return elsewhere(release, array);
}
