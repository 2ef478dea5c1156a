/* children.c - processes that a node starts, which may import dora, too, though
 * they are no nodes.
 *
 * Those of multiprocessing run the script again: it is told to start this
 * program, and this program who it is to be then. sys.executable stays the
 * interpreter's; what else a script starts with it finds the module for any
 * Python on PYTHONPATH, which is set only now, so that the node's own sys.path
 * is what it is without us. */
#include "children.h"

#include "own_file.h"
#include "python.h"

#include <string.h>

#define INTERPRETER "DORA_RUN_PYTHON"
#define MODULE_AT "DORA_RUN_MODULE" /* a directory; the launcher's */

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

/* New: PYTHONPATH with `directory` behind it. */
static PyObject *
path_with(const char *directory)
{
    const char *path = getenv("PYTHONPATH");
    PyObject *known, *whole;

    if (path == NULL || *path == '\0')
        return PyUnicode_DecodeFSDefault(directory);
    known = PyUnicode_DecodeFSDefault(path);
    whole =
        known == NULL ? NULL : PyUnicode_FromFormat("%U:%s", known, directory);
    Py_XDECREF(known);
    return whole;
}

static int
offer_module(void)
{
    const char *directory = getenv(MODULE_AT);
    PyObject *os, *variables, *path;
    int r = -1;

    if (directory == NULL)
        return 0;
    os = PyImport_ImportModule("os");
    variables = os == NULL ? NULL : PyObject_GetAttrString(os, "environ");
    path = variables == NULL ? NULL : path_with(directory);
    if (path != NULL &&
        PyMapping_SetItemString(variables, "PYTHONPATH", path) == 0)
        r = PyMapping_DelItemString(variables, MODULE_AT);
    Py_XDECREF(path);
    Py_XDECREF(variables);
    Py_XDECREF(os);
    return r;
}

int
dora__py_adopt_children(const char *program)
{
    char self[PATH_MAX];
    PyObject *path, *function = NULL;
    int r = -1;

    if (offer_module() < 0)
        return -1;
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
