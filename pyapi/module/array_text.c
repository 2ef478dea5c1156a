/* array_text.c - an Array as text: pyarrow's bracket form, in which nodes
 * print what they got. Long ones are cut to `window` items at each end. */
#include "module.h"

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
