/* arrow_item.c - items of Arrow arrays as the objects of Python that pyarrow
 * makes of them, and their types by the names that pyarrow gives them.
 *
 * Dates, times and decimals are pyarrow's alone: who asks for such an item has
 * to have imported it, and then gets arrays of it anyway. */
#include "module.h"

#include <math.h>
#include <string.h>

/* --- items --------------------------------------------------------------- */

static double
half(uint16_t bits)
{
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double value = exponent == 0    ? ldexp(fraction, -24)
                   : exponent == 31 ? (fraction != 0 ? NAN : INFINITY)
                                    : ldexp(fraction + 1024, exponent - 25);

    return (bits & 0x8000) != 0 ? -value : value;
}

static PyObject *
refuse_item(const struct dora__arrow_field *field)
{
    struct dora__text name = {0};

    dora__py_arrow_name(&name, field);
    PyErr_Format(PyExc_NotImplementedError,
                 "an item of type %s needs pyarrow: install it for this "
                 "node's Python, and import it before Node()",
                 name.failed ? "?" : name.text);
    free(name.text);
    return NULL;
}

#define AT(type) (((const type *)field->buffers[1])[index])

static PyObject *
fixed_item(const struct dora__arrow_field *field, int64_t index)
{
    switch (field->format[0]) {
    case 'c':
        return PyLong_FromLong(AT(int8_t));
    case 'C':
        return PyLong_FromLong(AT(uint8_t));
    case 's':
        return PyLong_FromLong(AT(int16_t));
    case 'S':
        return PyLong_FromLong(AT(uint16_t));
    case 'i':
        return PyLong_FromLong(AT(int32_t));
    case 'I':
        return PyLong_FromUnsignedLong(AT(uint32_t));
    case 'l':
        return PyLong_FromLongLong(AT(int64_t));
    case 'L':
        return PyLong_FromUnsignedLongLong(AT(uint64_t));
    case 'e':
        return PyFloat_FromDouble(half(AT(uint16_t)));
    case 'f':
        return PyFloat_FromDouble((double)AT(float));
    case 'g':
        return PyFloat_FromDouble(AT(double));
    case 'w':
        return PyBytes_FromStringAndSize((const char *)field->buffers[1] +
                                             index *
                                                 (int64_t)field->layout.width,
                                         (Py_ssize_t)field->layout.width);
    default:
        return refuse_item(field);
    }
}

#undef AT

static PyObject *
text_item(const struct dora__arrow_field *field, int64_t index)
{
    const char *bytes = field->buffers[2];
    int64_t from, to;

    dora__arrow_places(field, index, &from, &to);
    if (field->format[0] == 'z' || field->format[0] == 'Z')
        return PyBytes_FromStringAndSize(bytes + from, (Py_ssize_t)(to - from));
    return PyUnicode_DecodeUTF8(bytes + from, (Py_ssize_t)(to - from),
                                "replace");
}

static PyObject *
struct_item(const struct dora__arrow_field *field, int64_t index)
{
    PyObject *dict = PyDict_New();
    const struct dora__arrow_field *child = field->children;

    for (; dict != NULL && child != NULL; child = child->next) {
        PyObject *item = dora__py_arrow_item(child, index);

        if (item == NULL || PyDict_SetItemString(dict, child->name, item) < 0)
            Py_CLEAR(dict);
        Py_XDECREF(item);
    }
    return dict;
}

/* Of a map a list of pairs. */
static PyObject *
map_item(PyObject *list)
{
    for (Py_ssize_t i = 0; list != NULL && i < PyList_GET_SIZE(list); i++) {
        PyObject *values = PyDict_Values(PyList_GET_ITEM(list, i));
        PyObject *pair = values == NULL ? NULL : PyList_AsTuple(values);

        Py_XDECREF(values);
        if (pair == NULL || PyList_SetItem(list, i, pair) < 0)
            Py_CLEAR(list);
    }
    return list;
}

static PyObject *
list_item(const struct dora__arrow_field *field, int64_t index)
{
    int64_t from, to;
    PyObject *list;

    dora__arrow_places(field, index, &from, &to);
    list = dora__py_arrow_list(field->children, from, to - from);
    return strcmp(field->format, "+m") == 0 ? map_item(list) : list;
}

/* An item of a dictionary type holds the number of the value. */
static PyObject *
dictionary_item(const struct dora__arrow_field *field, int64_t index)
{
    PyObject *number = fixed_item(field, index);
    Py_ssize_t at = number == NULL ? -1 : PyLong_AsSsize_t(number);

    Py_XDECREF(number);
    if (PyErr_Occurred())
        return NULL;
    if (at < 0 || at >= field->dictionary->length) {
        PyErr_SetString(PyExc_RuntimeError, "the message contradicts itself: "
                                            "a number beyond its dictionary");
        return NULL;
    }
    return dora__py_arrow_item(field->dictionary, at);
}

PyObject *
dora__py_arrow_item(const struct dora__arrow_field *field, int64_t index)
{
    if (!dora__arrow_valid(field, index))
        Py_RETURN_NONE;
    if (field->dictionary != NULL)
        return dictionary_item(field, index);
    switch (field->layout.kind) {
    case DORA__ARROW_BITS:
        return PyBool_FromLong(
            ((const unsigned char *)field->buffers[1])[index / 8] >>
                (index % 8) &
            1);
    case DORA__ARROW_FIXED:
        return fixed_item(field, index);
    case DORA__ARROW_TEXT32:
    case DORA__ARROW_TEXT64:
        return text_item(field, index);
    case DORA__ARROW_STRUCT:
        return struct_item(field, index);
    default:
        return list_item(field, index);
    }
}

PyObject *
dora__py_arrow_list(const struct dora__arrow_field *field, int64_t start,
                    int64_t length)
{
    PyObject *list = PyList_New((Py_ssize_t)length);

    for (int64_t i = 0; list != NULL && i < length; i++) {
        PyObject *item = dora__py_arrow_item(field, start + i);

        if (item == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, (Py_ssize_t)i, item);
    }
    return list;
}

/* --- names --------------------------------------------------------------- */

static const struct {
    const char *format, *name;
} names[] = {
    {"n", "null"},           {"b", "bool"},
    {"c", "int8"},           {"C", "uint8"},
    {"s", "int16"},          {"S", "uint16"},
    {"i", "int32"},          {"I", "uint32"},
    {"l", "int64"},          {"L", "uint64"},
    {"e", "halffloat"},      {"f", "float"},
    {"g", "double"},         {"u", "string"},
    {"U", "large_string"},   {"z", "binary"},
    {"Z", "large_binary"},   {"tdD", "date32[day]"},
    {"tdm", "date64[ms]"},   {"tts", "time32[s]"},
    {"ttm", "time32[ms]"},   {"ttu", "time64[us]"},
    {"ttn", "time64[ns]"},   {"tDs", "duration[s]"},
    {"tDm", "duration[ms]"}, {"tDu", "duration[us]"},
    {"tDn", "duration[ns]"}, {"tin", "month_day_nano_interval"},
};

static void
timestamp_name(struct dora__text *text, const char *format)
{
    static const char *const units[] = {"s", "ms", "us", "ns"};
    const char *unit = strchr("smun", format[2]);

    dora__text_printf(text, "timestamp[%s",
                      unit != NULL ? units[unit - "smun"] : "?");
    if (format[3] == ':' && format[4] != '\0')
        dora__text_printf(text, ", tz=%s", format + 4);
    dora__text_puts(text, "]");
}

static void
flat_name(struct dora__text *text, const char *format)
{
    for (size_t i = 0; i < DORA_COUNT(names); i++)
        if (strcmp(names[i].format, format) == 0) {
            dora__text_puts(text, names[i].name);
            return;
        }
    if (strncmp(format, "ts", 2) == 0 && format[2] != '\0')
        timestamp_name(text, format);
    else if (strncmp(format, "w:", 2) == 0)
        dora__text_printf(text, "fixed_size_binary[%s]", format + 2);
    else
        dora__text_puts(text, format);
}

/* "item: int64, ..." of the children. */
static void
child_names(struct dora__text *text, const struct dora__arrow_field *field)
{
    const struct dora__arrow_field *child = field->children;

    for (; child != NULL; child = child->next) {
        dora__text_printf(text, "%s: ", child->name);
        dora__py_arrow_name(text, child);
        if ((child->flags & ARROW_FLAG_NULLABLE) == 0)
            dora__text_puts(text, " not null");
        if (child->next != NULL)
            dora__text_puts(text, ", ");
    }
}

void
dora__py_arrow_name(struct dora__text *text,
                    const struct dora__arrow_field *field)
{
    if (field->dictionary != NULL) {
        dora__text_puts(text, "dictionary<values=");
        dora__py_arrow_name(text, field->dictionary);
        dora__text_puts(text, ", indices=");
        flat_name(text, field->format);
        dora__text_printf(text, ", ordered=%d>", (int)(field->flags & 1));
        return;
    }
    if (field->format[0] != '+') {
        flat_name(text, field->format);
        return;
    }
    dora__text_puts(text, field->layout.kind == DORA__ARROW_STRUCT ? "struct<"
                          : field->layout.kind == DORA__ARROW_LIST64
                              ? "large_list<"
                          : field->layout.kind == DORA__ARROW_LIST_FIXED
                              ? "fixed_size_list<"
                          : field->format[1] == 'm' ? "map<"
                                                    : "list<");
    child_names(text, field);
    dora__text_puts(text, ">");
    if (field->layout.kind == DORA__ARROW_LIST_FIXED)
        dora__text_printf(text, "[%zu]", field->layout.width);
}
