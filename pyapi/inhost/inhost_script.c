/* inhost_script.c - a script from its first line to its last exit handler, in
 * an interpreter that was made for it. What python does around a script is done
 * here; only its own frames are in its tracebacks. */
#include "inhost.h"

#include <marshal.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { NO_SITE = 6 }; /* in sys.flags */

/* programs.py and inhost.py, as they are. */
extern const char dora__inhost_source[];
__asm__(".section .rodata\n"
        ".hidden dora__inhost_source\n"
        ".global dora__inhost_source\n"
        "dora__inhost_source:\n"
        ".incbin \"pyapi/inhost/programs.py\"\n"
        ".incbin \"pyapi/inhost/inhost.py\"\n"
        ".byte 0\n"
        ".previous\n");

/* The same compiled, as bytes: of the process, made before any node runs. */
static struct {
    char *bytes;
    Py_ssize_t size;
} compiled;

/* Compiling takes 3 ms, reading what was compiled a thirtieth of that. */
int
dora__inhost_compile(void)
{
    PyObject *code, *bytes = NULL;

    code =
        Py_CompileString(dora__inhost_source, "<dora-inhost>", Py_file_input);
    if (code != NULL)
        bytes = PyMarshal_WriteObjectToString(code, Py_MARSHAL_VERSION);
    if (bytes != NULL) {
        compiled.size = PyBytes_GET_SIZE(bytes);
        compiled.bytes = malloc((size_t)compiled.size);
    }
    if (compiled.bytes != NULL)
        memcpy(compiled.bytes, PyBytes_AS_STRING(bytes), (size_t)compiled.size);
    Py_XDECREF(code);
    Py_XDECREF(bytes);
    return compiled.bytes == NULL ? -1 : 0;
}

/* sys.flags of an interpreter that runs `site`: as what is started with the
 * same flags is to. */
static int
flag_site(void)
{
    PyObject *flags = PySys_GetObject("flags"), *no_site, *zero; /* borrowed */

    no_site = flags == NULL ? NULL : PyObject_GetAttrString(flags, "no_site");
    if (no_site == NULL ||
        PyStructSequence_GetItem(flags, NO_SITE) != no_site) {
        Py_XDECREF(no_site);
        PyErr_SetString(PyExc_SystemError, "sys.flags is not as it was");
        return -1;
    }
    Py_DECREF(no_site);
    zero = PyLong_FromLong(0);
    if (zero == NULL)
        return -1;
    PyStructSequence_SetItem(flags, NO_SITE, zero);
    return 0;
}

/* What inhost.py defines: a new dict; NULL with an exception. */
static PyObject *
boot(struct dora__guest *g)
{
    PyObject *globals = flag_site() < 0 ? NULL : dora__inhost_calls(g);
    PyObject *code, *result = NULL;

    if (globals == NULL)
        return NULL;
    code = PyMarshal_ReadObjectFromString(compiled.bytes, compiled.size);
    if (code != NULL)
        result = PyEval_EvalCode(code, globals, globals);
    Py_XDECREF(code);
    if (result == NULL)
        Py_CLEAR(globals);
    Py_XDECREF(result);
    return globals;
}

/* The file's bytes: a new object. */
static PyObject *
read_script(const char *path)
{
    FILE *file = fopen(path, "rbe");
    struct stat status;
    PyObject *bytes;
    size_t got;

    if (file == NULL || fstat(fileno(file), &status) < 0) {
        (void)PyErr_SetFromErrnoWithFilename(PyExc_OSError, path);
        if (file != NULL)
            (void)fclose(file);
        return NULL;
    }
    bytes = PyBytes_FromStringAndSize(NULL, status.st_size);
    if (bytes != NULL) {
        got = fread(PyBytes_AS_STRING(bytes), 1, (size_t)status.st_size, file);
        (void)_PyBytes_Resize(&bytes, (Py_ssize_t)got);
    }
    (void)fclose(file);
    return bytes;
}

/* Of `argument` and what follows it: a path, or "-c" and a script's text. */
static PyObject *
compile_script(char *const *argument)
{
    bool text = strcmp(argument[0], "-c") == 0;
    PyObject *bytes =
        text ? PyBytes_FromString(argument[1]) : read_script(argument[0]);
    PyObject *name = PyUnicode_DecodeFSDefault(text ? "<string>" : argument[0]);
    PyObject *code = NULL;
    PyObject *compile =
        PyDict_GetItemString(PyEval_GetBuiltins(), "compile"); /* borrowed */

    if (bytes != NULL && name != NULL && compile != NULL)
        code = PyObject_CallFunction(compile, "OOsiO", bytes, name, "exec", 0,
                                     Py_True);
    Py_XDECREF(bytes);
    Py_XDECREF(name);
    return code;
}

/* 0, or -1 with an exception. */
static int
execute(char *const *argument)
{
    PyObject *main = PyImport_AddModuleRef("__main__"), *dict, *result = NULL;
    PyObject *code = main == NULL ? NULL : compile_script(argument);

    if (code != NULL) {
        dict = PyModule_GetDict(main);
        result = PyEval_EvalCode(code, dict, dict);
    }
    Py_XDECREF(code);
    Py_XDECREF(main);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

int
dora__inhost_call(struct dora__guest *g, const char *name, PyObject *argument)
{
    PyObject *function =
        g->globals == NULL ? NULL : PyDict_GetItemString(g->globals, name);
    PyObject *result = NULL;
    int value = -1;

    Py_XINCREF(function); /* another thread may end the script meanwhile */
    if (function != NULL)
        result = argument == NULL ? PyObject_CallNoArgs(function)
                                  : PyObject_CallOneArg(function, argument);
    if (result != NULL)
        value = PyLong_Check(result) ? (int)PyLong_AsLong(result) : 0;
    Py_XDECREF(result);
    Py_XDECREF(function);
    PyErr_Clear();
    return value;
}

/* The status that the exception, which is cleared, means. */
static int
judge(struct dora__guest *g)
{
    bool asked = atomic_load_explicit(&g->asked, memory_order_relaxed);
    bool interrupted = PyErr_ExceptionMatches(PyExc_KeyboardInterrupt);
    PyObject *error = PyErr_GetRaisedException();
    int status = -1;

    if (!g->left && !(asked && interrupted) &&
        !(g->refused[0] != 0 && !g->registered))
        status = dora__inhost_call(g, "report", error);
    Py_DECREF(error);
    if (status >= 0)
        return status;
    return asked ? SIGTERM : 1 << 8;
}

int
dora__inhost_script(struct dora__guest *g)
{
    int status = 0;

    g->globals = boot(g);
    if (g->globals == NULL) {
        bool asked = atomic_load_explicit(&g->asked, memory_order_relaxed);

        if (asked || g->refused[0] != 0) /* a .pth file imports it */
            PyErr_Clear();
        else
            PyErr_Print(); /* no script has run: nothing here exits */
        return asked ? SIGTERM : 1 << 8;
    }
    g->thread = PyThreadState_Get();
    if (execute(&g->argv[2]) < 0)
        status = judge(g);
    PyEval_SetTrace(NULL, NULL); /* what ended it */
    (void)dora__inhost_call(g, "end", g->left ? Py_True : Py_False);
    (void)dora__inhost_call(g, "flush", NULL);
    g->thread = NULL;
    Py_CLEAR(g->globals);
    return g->left ? g->status : status;
}
