/* py_log.c - lines for the node's log, with a level. */
#include "module.h"

#include <string.h>
#include <strings.h>

static enum dora_level
level_of(const char *name)
{
    static const struct {
        const char *name;
        enum dora_level level;
    } levels[] = {
        {"error", DORA_LEVEL_ERROR}, {"critical", DORA_LEVEL_ERROR},
        {"warn", DORA_LEVEL_WARN},   {"warning", DORA_LEVEL_WARN},
        {"info", DORA_LEVEL_INFO},   {"debug", DORA_LEVEL_DEBUG},
        {"trace", DORA_LEVEL_TRACE},
    };

    for (size_t i = 0; i < DORA_COUNT(levels); i++) {
        if (strcasecmp(name, levels[i].name) == 0)
            return levels[i].level;
    }
    return DORA_LEVEL_INFO;
}

static int
add_field(struct dora__text *text, PyObject *key, PyObject *value)
{
    const char *name = dora__py_text(key, "keys of fields");
    const char *content =
        name == NULL ? NULL : dora__py_text(value, "values of fields");

    if (content == NULL)
        return -1;
    if (text->size > 1)
        dora__text_puts(text, ",");
    dora__text_json(text, name, strlen(name));
    dora__text_puts(text, ":");
    dora__text_json(text, content, strlen(content));
    return 0;
}

/* A JSON object of the pairs of a dict. */
static int
add_fields(struct dora__text *text, PyObject *fields)
{
    PyObject *key, *value;
    Py_ssize_t at = 0;
    int r = 0;

    if (!PyDict_Check(fields)) {
        PyErr_SetString(PyExc_TypeError, "fields must be a dict of str");
        return -1;
    }
    dora__text_puts(text, "{");
    Py_BEGIN_CRITICAL_SECTION(
        fields); /* or another thread removes what it is at */
    while (r == 0 && PyDict_Next(fields, &at, &key, &value))
        r = add_field(text, key, value);
    Py_END_CRITICAL_SECTION();
    dora__text_puts(text, "}");
    if (r == 0 && text->failed)
        PyErr_NoMemory();
    return text->failed ? -1 : r;
}

static PyObject *
write_line(PyObject *self, enum dora_level level, const char *target,
           const char *message, const char *fields)
{
    struct dora_node *node = ((struct dora__py_node *)self)->node;

    if (message == NULL)
        return NULL;
    Py_BEGIN_ALLOW_THREADS; /* a full pipe makes it wait */
    dora__node_log_fields(node, level, target, message, fields);
    Py_END_ALLOW_THREADS;
    Py_RETURN_NONE;
}

PyObject *
dora__py_log(PyObject *self, PyObject *const *args, Py_ssize_t count,
             PyObject *names)
{
    static const struct dora__py_signature signature = {
        "log", {"level", "message", "target", "fields", NULL}, 2};
    const char *level, *message, *target = NULL;
    struct dora__text fields = {0};
    PyObject *values[4], *result = NULL;

    if (dora__py_arguments(&signature, args, count, names, values) < 0)
        return NULL;
    level = dora__py_text(values[0], "level");
    message = level == NULL ? NULL : dora__py_text(values[1], "message");
    if (message == NULL)
        return NULL;
    if (values[2] != NULL && values[2] != Py_None) {
        target = dora__py_text(values[2], "target");
        if (target == NULL)
            return NULL;
    }
    if (values[3] == NULL || values[3] == Py_None ||
        add_fields(&fields, values[3]) == 0)
        result =
            write_line(self, level_of(level), target, message, fields.text);
    free(fields.text);
    return result;
}

PyObject *
dora__py_log_error(PyObject *self, PyObject *message)
{
    return write_line(self, DORA_LEVEL_ERROR, NULL,
                      dora__py_text(message, "message"), NULL);
}

PyObject *
dora__py_log_warn(PyObject *self, PyObject *message)
{
    return write_line(self, DORA_LEVEL_WARN, NULL,
                      dora__py_text(message, "message"), NULL);
}

PyObject *
dora__py_log_info(PyObject *self, PyObject *message)
{
    return write_line(self, DORA_LEVEL_INFO, NULL,
                      dora__py_text(message, "message"), NULL);
}

PyObject *
dora__py_log_debug(PyObject *self, PyObject *message)
{
    return write_line(self, DORA_LEVEL_DEBUG, NULL,
                      dora__py_text(message, "message"), NULL);
}

PyObject *
dora__py_log_trace(PyObject *self, PyObject *message)
{
    return write_line(self, DORA_LEVEL_TRACE, NULL,
                      dora__py_text(message, "message"), NULL);
}
