/* py_logging.c - records of Python's logging module in the node's log, with
 * their level and logger's name.
 *
 * As the ecosystem has it: what makes the root logger's first handler -
 * basicConfig(), called by hand or by logging.info() and the like - makes it
 * this one, unless it is told where to write. Levels below INFO are not sent
 * unless basicConfig() is given a level. */
#include "module.h"

static const char source[] =
    "import logging, weakref\n"
    "\n"
    "class NodeHandler(logging.Handler):\n"
    "    def __init__(self, node):\n"
    "        super().__init__()\n"
    "        self.node = weakref.ref(node)\n"
    "\n"
    "    def emit(self, record):\n"
    "        try:\n"
    "            node = self.node()\n"
    "            if node is None:\n"
    "                logging.lastResort.handle(record)\n"
    "                return\n"
    "            level = ('error' if record.levelno >= 40 else\n"
    "                     'warn' if record.levelno >= 30 else\n"
    "                     'info' if record.levelno >= 20 else\n"
    "                     'debug' if record.levelno >= 10 else 'trace')\n"
    "            node.log(level, self.format(record), record.name,\n"
    "                     {'file': record.pathname,\n"
    "                      'line': str(record.lineno)})\n"
    "        except Exception:\n"
    "            self.handleError(record)\n"
    "\n"
    "def install(node, basic=logging.basicConfig):\n"
    "    handler = NodeHandler(node)\n"
    "    def basicConfig(**given):\n"
    "        if not given.keys() & {'stream', 'filename', 'handlers'}:\n"
    "            given['handlers'] = [handler]\n"
    "            given.setdefault('level', logging.INFO)\n"
    "            given.setdefault('format', '%(message)s')\n"
    "        basic(**given)\n"
    "    basicConfig.__doc__ = basic.__doc__\n"
    "    logging.basicConfig = basicConfig\n";

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
    PyObject *name = PyUnicode_FromString("logging");
    PyObject *module = name == NULL ? NULL : PyImport_GetModule(name);
    PyObject *install, *result;

    Py_XDECREF(name);
    if (module == NULL)
        return PyErr_Occurred() ? -1 : 0;
    Py_DECREF(module);
    install = compile_install();
    result = install == NULL ? NULL : PyObject_CallOneArg(install, node);
    Py_XDECREF(install);
    if (result == NULL)
        return -1;
    Py_DECREF(result);
    return 0;
}
