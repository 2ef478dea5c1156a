/* py_operator.c - start_runtime(), which makes the interpreter an operator:
 * runs operator.py with what it is given of C. */
#include "module.h"
#include "python.h"

/* operator.py, as it is. */
extern const char dora__operator_source[];
__asm__(".section .rodata\n"
        ".hidden dora__operator_source\n"
        ".global dora__operator_source\n"
        "dora__operator_source:\n"
        ".incbin \"pyapi/module/operator.py\"\n"
        ".byte 0\n"
        ".previous\n");

static PyObject *
call_stop_all(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(ignored))
{
    struct dora_node *node = dora__py_seat_look();

    if (node == NULL)
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
    dora__node_stop_all(node);
    Py_RETURN_NONE;
}

static PyMethodDef stop_all = {"stop_all", call_stop_all, METH_NOARGS, NULL};

PyObject *
dora__py_start_runtime(PyObject *Py_UNUSED(module),
                       PyObject *Py_UNUSED(ignored))
{
    PyObject *function = PyCFunction_New(&stop_all, NULL);
    PyObject *globals = NULL, *code = NULL, *result = NULL;

    if (function != NULL)
        globals = Py_BuildValue("{sssOsO}", "__name__", "dora.operator",
                                "__builtins__", PyEval_GetBuiltins(),
                                stop_all.ml_name, function);
    if (globals != NULL)
        code = Py_CompileString(dora__operator_source, "<dora-operator>",
                                Py_file_input);
    if (code != NULL)
        result = PyEval_EvalCode(code, globals, globals);
    Py_XDECREF(code);
    Py_XDECREF(globals);
    Py_XDECREF(function);
    return result;
}
