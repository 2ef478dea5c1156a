/* children.c - processes that a node starts through multiprocessing.
 *
 * Its spawned children run the script again, which imports dora. With the
 * interpreter this program stands in for they would not find it, and a Pool
 * would start them for ever: so multiprocessing is told to start this program,
 * and this program who it is to be then. sys.executable stays the
 * interpreter's: what else a script starts with it is none of our business. */
#include "children.h"

#include "own_file.h"

#include <string.h>

#define INTERPRETER "DORA_RUN_PYTHON"

/* Waits for multiprocessing.spawn to be imported. */
static const char source[] =
    "import os, sys\n"
    "class SpawnFinder:\n"
    "    @staticmethod\n"
    "    def find_spec(name, path=None, target=None):\n"
    "        if name != 'multiprocessing.spawn':\n"
    "            return None\n"
    "        sys.meta_path.remove(SpawnFinder)\n"
    "        finder = sys.modules['_frozen_importlib_external'].PathFinder\n"
    "        spec = finder.find_spec(name, path)\n"
    "        if spec is not None:\n"
    "            run = spec.loader.exec_module\n"
    "            def exec_module(module):\n"
    "                run(module)\n"
    "                os.environ[variable] = sys.executable\n"
    "                module.set_executable(program)\n"
    "            spec.loader.exec_module = exec_module\n"
    "        return spec\n"
    "if spawn := sys.modules.get('multiprocessing.spawn'):\n"
    "    os.environ[variable] = sys.executable\n"
    "    spawn.set_executable(program)\n"
    "else:\n"
    "    sys.meta_path.insert(0, SpawnFinder)\n";

const char *
dora__py_child_of(const char *program)
{
    char self[PATH_MAX];

    if (!own_file(self) || strcmp(self, program) != 0)
        return NULL;
    return getenv(INTERPRETER);
}

int
dora__py_adopt_children(const char *program)
{
    char self[PATH_MAX];
    PyObject *globals, *code, *result = NULL;

    if (program == NULL && !own_file(self))
        return 0;
    globals = Py_BuildValue("{sssssO}", "program",
                            program != NULL ? program : self, "variable",
                            INTERPRETER, "__builtins__", PyEval_GetBuiltins());
    code = globals == NULL
               ? NULL
               : Py_CompileString(source, "<dora-python>", Py_file_input);
    if (code != NULL)
        result = PyEval_EvalCode(code, globals, globals);
    Py_XDECREF(code);
    Py_XDECREF(globals);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}
