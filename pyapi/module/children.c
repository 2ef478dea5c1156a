/* children.c - processes that a node starts through multiprocessing.
 *
 * Its spawned children run the script again, which imports dora. With the
 * interpreter this program stands in for they would not find it, and a Pool
 * would start them for ever: so multiprocessing is told to start this program,
 * and this program who it is to be then. sys.executable stays the
 * interpreter's: what else a script starts with it is none of our business. */
#include "children.h"

#include "own_file.h"
#include "python.h"

#include <string.h>

#define INTERPRETER "DORA_RUN_PYTHON"

const char *
dora__py_child_of(const char *program)
{
    char self[PATH_MAX];

    if (!own_file(self) || strcmp(self, program) != 0)
        return NULL;
    return getenv(INTERPRETER);
}

/* What multiprocessing.spawn is mended with; `self` is the program. */
static PyObject *
mend_spawn(PyObject *self, PyObject *spawn)
{
    PyObject *os = PyImport_ImportModule("os"), *set = NULL;
    PyObject *variables =
        os == NULL ? NULL : PyObject_GetAttrString(os, "environ");
    PyObject *interpreter = PySys_GetObject("executable"); /* borrowed */
    PyObject *name = PyUnicode_FromString(INTERPRETER);

    if (variables != NULL && name != NULL && interpreter != NULL &&
        PyObject_SetItem(variables, name, interpreter) == 0)
        set = PyObject_CallMethod(spawn, "set_executable", "O", self);
    Py_XDECREF(name);
    Py_XDECREF(variables);
    Py_XDECREF(os);
    return set;
}

static PyMethodDef mend = {"mend_spawn", mend_spawn, METH_O, NULL};

int
dora__py_adopt_children(const char *program)
{
    char self[PATH_MAX];
    PyObject *path, *function = NULL;
    int r = -1;

    if (program == NULL && !own_file(self))
        return 0;
    path = PyUnicode_DecodeFSDefault(program != NULL ? program : self);
    if (path != NULL)
        function = PyCFunction_New(&mend, path);
    if (function != NULL)
        r = dora__py_mend("multiprocessing.spawn", function);
    Py_XDECREF(function);
    Py_XDECREF(path);
    return r;
}
