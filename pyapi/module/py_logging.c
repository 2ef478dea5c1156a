/* py_logging.c - records of Python's logging module in the node's log, with
 * their level and logger's name.
 *
 * As the ecosystem has it: what makes the root logger's first handler -
 * basicConfig(), called by hand or by logging.info() and the like - makes it
 * this one, unless it is told where to write. Levels below INFO are not sent
 * unless basicConfig() is given a level.
 *
 * A script that has not imported logging may do so later. */
#include "module.h"

#include "python.h"

static const char source[] =
    "def bridge(node, logging):\n" /* a weak reference */
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
    "    logging.basicConfig = basicConfig\n";

/* What logging is mended with; `self` refers weakly to the node. */
static PyObject *
mend_logging(PyObject *self, PyObject *logging)
{
    PyObject *globals =
        Py_BuildValue("{sO}", "__builtins__", PyEval_GetBuiltins());
    PyObject *code = NULL, *defined = NULL, *bridge = NULL, *result = NULL;

    if (globals != NULL)
        code = Py_CompileString(source, "<dora.logging>", Py_file_input);
    if (code != NULL)
        defined = PyEval_EvalCode(code, globals, globals);
    if (defined != NULL)
        bridge = PyDict_GetItemString(globals, "bridge"); /* borrowed */
    if (bridge != NULL)
        result = PyObject_CallFunctionObjArgs(bridge, self, logging, NULL);
    Py_XDECREF(defined);
    Py_XDECREF(code);
    Py_XDECREF(globals);
    return result;
}

static PyMethodDef mend = {"mend_logging", mend_logging, METH_O, NULL};

int
dora__py_bridge_logging(PyObject *node)
{
    PyObject *weak = PyWeakref_NewRef(node, NULL);
    PyObject *function = weak == NULL ? NULL : PyCFunction_New(&mend, weak);
    int r = function == NULL ? -1 : dora__py_mend("logging", function);

    Py_XDECREF(weak);
    Py_XDECREF(function);
    return r;
}
