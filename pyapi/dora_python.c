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
#include "children.h"
#include "kind.h"
#include "python.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* "3,4,5,6,0" to an attachment; a sixth number is the line to the host, -1: the
 * host is the parent of this process. */
static int
parse_attachment(const char *text, struct dora__attachment *attachment,
                 int *ret_line)
{
    unsigned long values[6];
    size_t count = 0;
    char *end;

    do {
        errno = 0;
        values[count] = strtoul(text, &end, 10);
        if (end == text || errno != 0 || values[count] > INT_MAX)
            return -EINVAL;
        text = end + 1;
    } while (++count < DORA_COUNT(values) && *end == ',');
    if (*end != '\0' || count < DORA_COUNT(values) - 1)
        return -EINVAL;
    *ret_line = count == DORA_COUNT(values) ? (int)values[5] : -1;
    attachment->control_fd = (int)values[0];
    attachment->heaps_fd = (int)values[1];
    attachment->heaps_ro_fd = (int)values[2];
    attachment->doorbell_fd = (int)values[3];
    attachment->node = (uint32_t)values[4];
    return 0;
}

/* The node has duplicates of its own. */
static void
close_attachment(const struct dora__attachment *attachment)
{
    (void)close(attachment->control_fd);
    (void)close(attachment->heaps_fd);
    (void)close(attachment->heaps_ro_fd);
    (void)close(attachment->doorbell_fd);
}

/* *ret_node is NULL without an attachment. */
static int
attach(struct dora_node **ret_node)
{
    const char *text = getenv(DORA__ATTACH_VARIABLE);
    struct dora__attachment attachment;
    struct dora_error err = {0};
    int line, r;

    *ret_node = NULL;
    if (text == NULL)
        return 0;
    r = parse_attachment(text, &attachment, &line);
    if (r < 0) {
        fprintf(stderr, "dora-python: %s is damaged: \"%s\"\n",
                DORA__ATTACH_VARIABLE, text);
        return r;
    }
    (void)unsetenv(DORA__ATTACH_VARIABLE);
    r = dora__node_attach(&attachment, ret_node, &err);
    close_attachment(&attachment);
    if (r == 0 && line >= 0) {
        (void)fcntl(line, F_SETFD, FD_CLOEXEC);
        r = dora__node_set_host(*ret_node, line, &err);
    }
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
    if ((node != NULL && dora__py_seat(node) < 0) ||
        dora__py_adopt_children() < 0) {
        PyErr_Print();
        return EXIT_FAILURE;
    }
    return Py_RunMain();
}
