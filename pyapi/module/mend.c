/* mend.c - changes to modules of the standard library, each made when a script
 * imports it first.
 *
 * Until then a finder waits for it, which lets the others find it. Nothing is
 * changed of one that is built in or frozen. */
#include "python.h"

static const char source[] =
    "import sys\n"
    "\n"
    "class Finder:\n"
    "    @staticmethod\n"
    "    def find_spec(name, path=None, target=None):\n"
    "        if name != wanted:\n"
    "            return None\n"
    "        for finder in sys.meta_path:\n"
    "            if finder is not Finder:\n"
    "                spec = finder.find_spec(name, path, target)\n"
    "                if spec is not None:\n"
    "                    break\n"
    "        else:\n"
    "            return None\n"
    "        loader = spec.loader\n"
    "        if not isinstance(loader, type):\n"
    "            load = loader.exec_module\n"
    "            def exec_module(module):\n"
    "                del loader.exec_module\n"
    "                load(module)\n"
    "                if Finder in sys.meta_path:\n"
    "                    sys.meta_path.remove(Finder)\n"
    "                    mend(module)\n"
    "            loader.exec_module = exec_module\n"
    "        return spec\n"
    "\n"
    "if wanted in sys.modules:\n"
    "    mend(sys.modules[wanted])\n"
    "else:\n"
    "    sys.meta_path.insert(0, Finder)\n";

int
dora__py_mend(const char *module, PyObject *mend)
{
    PyObject *globals =
        Py_BuildValue("{sssOsOss}", "wanted", module, "mend", mend,
                      "__builtins__", PyEval_GetBuiltins(), "__name__", "dora");
    PyObject *code = globals == NULL ? NULL
                                     : Py_CompileString(source, "<dora-mend>",
                                                        Py_file_input);
    PyObject *result =
        code == NULL ? NULL : PyEval_EvalCode(code, globals, globals);

    Py_XDECREF(code);
    Py_XDECREF(globals);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}
