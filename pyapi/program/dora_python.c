/* dora-python: the interpreter that a node's script runs in when it runs in a
 * process: this Python, with the `dora` module built in and the node seated.
 *
 *     argv  as python's own: argv[0] is the interpreter it stands in for, from
 *           whose place the standard library and the venv are found
 *     DORA_RUN_ATTACH  descriptors and number of the node, see kind.h; absent:
 *           an interpreter like any other, whose Node() says it is none
 *
 * The descriptors end here: they are closed on exec, and the variable is gone
 * before any Python runs, so that what the script starts is no node. */
#include "host/kind.h"
#include "module/attachment.h"
#include "module/children.h"
#include "python.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* *ret_node is NULL without an attachment. */
static int
attach(struct dora_node **ret_node)
{
    const char *text = getenv(DORA__ATTACH_VARIABLE);
    struct dora_error err = {0};
    int r;

    *ret_node = NULL;
    if (text == NULL)
        return 0;
    r = dora__attachment_take(text, ret_node, &err);
    (void)unsetenv(DORA__ATTACH_VARIABLE);
    if (r < 0)
        fprintf(stderr, "dora-python: %s\n", err.text);
    return r;
}

/* Python as the one named by argv[0] would be. */
static PyStatus
initialize(int argc, char **argv)
{
    const char *executable = dora__py_child_of(argv[0]);
    PyConfig config;
    PyStatus status;

    if (executable == NULL)
        executable = argv[0];

    PyConfig_InitPythonConfig(&config);
    config.parse_argv = 1;
    status = PyConfig_SetBytesArgv(&config, argc, argv);
    if (!PyStatus_Exception(status) && strchr(executable, '/') != NULL)
        status =
            PyConfig_SetBytesString(&config, &config.executable, executable);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    return status;
}

int
main(int argc, char **argv)
{
    struct dora_node *node;
    PyStatus status;

    if (argc < 1 || attach(&node) < 0)
        return EXIT_FAILURE;
    if (PyImport_AppendInittab("dora", PyInit_dora) < 0) {
        fputs("dora-python: no memory\n", stderr);
        return EXIT_FAILURE;
    }
    status = initialize(argc, argv);
    if (PyStatus_IsExit(status))
        return status.exitcode;
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);
    if ((node != NULL &&
         (dora__py_seat(node) < 0 || dora__py_debug_install() < 0)) ||
        dora__py_adopt_children(NULL) < 0) {
        PyErr_Print();
        return EXIT_FAILURE;
    }
    return Py_RunMain();
}
