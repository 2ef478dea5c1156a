/* py_logging.c - records of Python's logging module in the node's log, with
 * their level and logger's name.
 *
 * As the ecosystem has it: what makes the root logger's first handler -
 * basicConfig(), called by hand or by logging.info() and the like - makes it
 * this one, unless it is told where to write. Levels below INFO are not sent
 * unless basicConfig() is given a level.
 *
 * A script that has not imported logging may do so later: until then a finder
 * waits for it, and is gone with the first one that asks. */
#include "module.h"

static const char source[] =
    "import sys\n"
    "\n"
    "def bridge(node):\n" /* a weak reference */
    "    import logging\n"
    "\n"
    "    class NodeHandler(logging.Handler):\n"
    "        def emit(self, record):\n"
    "            try:\n"
    "                this = node()\n"
    "                if this is None:\n"
    "                    logging.lastResort.handle(record)\n"
    "                    return\n"
    "                level = ('error' if record.levelno >= 40 else\n"
    "                         'warn' if record.levelno >= 30 else\n"
    "                         'info' if record.levelno >= 20 else\n"
    "                         'debug' if record.levelno >= 10 else 'trace')\n"
    "                this.log(level, self.format(record), record.name,\n"
    "                         {'file': record.pathname,\n"
    "                          'line': str(record.lineno)})\n"
    "            except Exception:\n"
    "                self.handleError(record)\n"
    "\n"
    "    handler = NodeHandler()\n"
    "    def basicConfig(*, basic=logging.basicConfig, **given):\n"
    "        if not given.keys() & {'stream', 'filename', 'handlers'}:\n"
    "            given['handlers'] = [handler]\n"
    "            given.setdefault('level', logging.INFO)\n"
    "            given.setdefault('format', '%(message)s')\n"
    "        basic(**given)\n"
    "    basicConfig.__doc__ = logging.basicConfig.__doc__\n"
    "    logging.basicConfig = basicConfig\n"
    "\n"
    "class Finder:\n"
    "    def __init__(self, node):\n"
    "        self.node = node\n"
    "\n"
    "    def find_spec(self, name, path=None, target=None):\n"
    "        if name != 'logging':\n"
    "            return None\n"
    "        sys.meta_path.remove(self)\n"
    "        for finder in sys.meta_path:\n"
    "            spec = finder.find_spec(name, path, target)\n"
    "            if spec is not None:\n"
    "                break\n"
    "        else:\n"
    "            return None\n"
    "        loader = spec.loader\n"
    "        if isinstance(loader, type):\n"
    "            return spec\n"
    "        load = loader.exec_module\n"
    "        def exec_module(module):\n"
    "            del loader.exec_module\n"
    "            load(module)\n"
    "            bridge(self.node)\n"
    "        loader.exec_module = exec_module\n"
    "        return spec\n"
    "\n"
    "def install(node):\n"
    "    if 'logging' in sys.modules:\n"
    "        bridge(node)\n"
    "    else:\n"
    "        sys.meta_path.insert(0, Finder(node))\n";

/* The `install` of the source above. */
static PyObject *
compile_install(void)
{
    PyObject *code = Py_CompileString(source, "<dora.logging>", Py_file_input);
    PyObject *globals = code == NULL ? NULL : PyDict_New();
    PyObject *result = NULL, *install = NULL;

    if (globals != NULL && PyDict_SetItemString(globals, "__builtins__",
                                                PyEval_GetBuiltins()) == 0)
        result = PyEval_EvalCode(code, globals, globals);
    if (result != NULL)
        install = Py_XNewRef(PyDict_GetItemString(globals, "install"));
    Py_XDECREF(result);
    Py_XDECREF(globals);
    Py_XDECREF(code);
    return install;
}

int
dora__py_bridge_logging(PyObject *node)
{
    PyObject *weak = PyWeakref_NewRef(node, NULL);
    PyObject *install = weak == NULL ? NULL : compile_install();
    PyObject *result =
        install == NULL ? NULL : PyObject_CallOneArg(install, weak);

    Py_XDECREF(weak);
    Py_XDECREF(install);
    if (result == NULL)
        return -1;
    Py_DECREF(result);
    return 0;
}
