/* array_text.c - an Array as text: pyarrow's bracket form, in which nodes
 * print what they got. Long ones are cut to `window` items at each end. */
#include "module.h"

#include <string.h>

static void
add_indent(struct dora__text *text, int indent)
{
    for (int i = 0; i < indent; i++)
        dora__text_puts(text, " ");
}

static void
add_items(struct dora__text *text, const struct dora__py_array *array,
          int indent, Py_ssize_t window)
{
    Py_ssize_t length = array->length;
    bool cut = window < (length - 1) / 2; /* never for a single item */
    bool string = array->value == DORA_VALUE_TEXT;

    for (Py_ssize_t i = 0; i < length; i++) {
        dora__text_puts(text, "\n");
        add_indent(text, indent + 2);
        if (cut && i == window) {
            dora__text_puts(text, "...");
            i = length - window - 1;
            continue;
        }
        if (string)
            dora__text_json(text, (const char *)array->data,
                            (size_t)array->size);
        else
            dora__text_printf(text, "%d%s", array->data[i],
                              i + 1 < length ? "," : "");
    }
    dora__text_puts(text, "\n");
    add_indent(text, indent);
}

PyObject *
dora__py_array_text(const struct dora__py_array *array, int indent,
                    Py_ssize_t window)
{
    struct dora__text text = {0};
    PyObject *result;

    if (window < 0) {
        PyErr_SetString(PyExc_ValueError, "window must not be negative");
        return NULL;
    }
    add_indent(&text, indent);
    if (array->value == DORA_VALUE_NULL) {
        dora__text_printf(&text, "%zd nulls", array->length);
    } else {
        dora__text_puts(&text, "[");
        if (array->length > 0)
            add_items(&text, array, indent, window);
        dora__text_puts(&text, "]");
    }
    result = text.failed ? PyErr_NoMemory()
                         : PyUnicode_FromStringAndSize(text.text,
                                                       (Py_ssize_t)text.size);
    free(text.text);
    return result;
}

/* --- of any items -------------------------------------------------------- */

static int add_list(struct dora__text *text, PyObject *items, int indent,
                    Py_ssize_t window);

/* In the words of pyarrow, where it has others than Python. */
static int
add_item(struct dora__text *text, PyObject *item, int indent, Py_ssize_t window)
{
    PyObject *string;
    const char *utf8;
    Py_ssize_t size;

    if (PyList_Check(item)) {
        add_indent(text, indent);
        return add_list(text, item, indent, window);
    }
    add_indent(text, indent);
    if (item == Py_None || PyBool_Check(item)) {
        dora__text_puts(text, item == Py_None   ? "null"
                              : item == Py_True ? "true"
                                                : "false");
        return 0;
    }
    string = PyUnicode_Check(item) ? Py_NewRef(item) : PyObject_Repr(item);
    utf8 = string == NULL ? NULL : PyUnicode_AsUTF8AndSize(string, &size);
    if (utf8 != NULL && PyUnicode_Check(item))
        dora__text_json(text, utf8, (size_t)size);
    else if (utf8 != NULL && PyFloat_Check(item) && size > 2 &&
             strcmp(utf8 + size - 2, ".0") == 0)
        dora__text_add(text, utf8, (size_t)size - 2); /* 1, not 1.0 */
    else if (utf8 != NULL)
        dora__text_add(text, utf8, (size_t)size);
    Py_XDECREF(string);
    return utf8 == NULL ? -1 : 0;
}

static int
add_list(struct dora__text *text, PyObject *items, int indent,
         Py_ssize_t window)
{
    Py_ssize_t length = PyList_GET_SIZE(items);
    bool cut = window < (length - 1) / 2;
    int r = 0;

    dora__text_puts(text, "[");
    for (Py_ssize_t i = 0; r == 0 && i < length; i++) {
        dora__text_puts(text, "\n");
        if (cut && i == window) {
            add_indent(text, indent + 2);
            dora__text_puts(text, "...");
            i = length - window - 1;
            continue;
        }
        r = add_item(text, PyList_GET_ITEM(items, i), indent + 2, window);
        dora__text_puts(text, i + 1 < length ? "," : "");
    }
    if (length > 0) {
        dora__text_puts(text, "\n");
        add_indent(text, indent);
    }
    dora__text_puts(text, "]");
    return r;
}

PyObject *
dora__py_items_text(PyObject *items, int indent, Py_ssize_t window)
{
    struct dora__text text = {0};
    PyObject *result = NULL;

    if (window < 0) {
        PyErr_SetString(PyExc_ValueError, "window must not be negative");
        return NULL;
    }
    add_indent(&text, indent);
    if (add_list(&text, items, indent, window) == 0)
        result =
            text.failed
                ? PyErr_NoMemory()
                : PyUnicode_FromStringAndSize(text.text, (Py_ssize_t)text.size);
    free(text.text);
    return result;
}
