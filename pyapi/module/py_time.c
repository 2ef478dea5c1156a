/* py_time.c - points of time: microseconds since 1970 to aware datetimes (UTC)
 * and back, without going through floating point.
 *
 * Every INPUT carries one, so the way there is short: the calendar is computed
 * once a day and kept in one word, the object made by _datetime's C function.
 * Its table is reached through the module state, not through the static pointer
 * of datetime.h: each interpreter has its own. */
#include "module.h"

#include <datetime.h>

#define DAY_US INT64_C(86400000000)

int
dora__py_time_setup(struct dora__py_module *m)
{
    PyObject *module, *capsule;

    (void)PyDateTimeAPI; /* the header's; unused, see above */
    if (m->datetime_api != NULL)
        return 0;
    module = PyImport_ImportModule("_datetime");
    if (module == NULL)
        return -1;
    capsule = PyObject_GetAttrString(module, "datetime_CAPI");
    if (capsule != NULL)
        m->datetime_api =
            PyCapsule_GetPointer(capsule, PyDateTime_CAPSULE_NAME);
    Py_XDECREF(capsule);
    Py_XSETREF(m->datetime, module);
    return m->datetime_api == NULL ? -1 : 0;
}

/* A date: from the right five bits of day, four of month, fourteen of year, and
 * which day that is, counted from 1. */
enum { MONTH = 5, YEAR = 9, WHICH = 23 };

static const int64_t BEFORE = -719163; /* the day before 0001-01-01 */

/* Days since 1970-01-01 to a date. Years are counted from March, so that the
 * leap day is the last one; 400 of them have 146097 days. */
static uint64_t
date_of(int64_t day)
{
    int64_t shifted = day + 719468; /* since 0000-03-01 */
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t in_era = shifted - era * 146097;
    int64_t year =
        (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t in_year = in_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * in_year + 2) / 153; /* 0: March */

    return (uint64_t)(day - BEFORE) << WHICH |
           (uint64_t)(year + era * 400 + (month >= 10)) << YEAR |
           (uint64_t)(month < 10 ? month + 3 : month - 9) << MONTH |
           (uint64_t)(in_year - (153 * month + 2) / 5 + 1);
}

/* Each thread that finds another day there computes its own. */
static uint64_t
cached_date(struct dora__py_module *m, int64_t day)
{
    uint64_t date = atomic_load_explicit(&m->date, memory_order_relaxed);

    if (date >> WHICH == (uint64_t)(day - BEFORE))
        return date;
    date = date_of(day);
    atomic_store_explicit(&m->date, date, memory_order_relaxed);
    return date;
}

static int64_t
days_of(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t in_era = y - era * 400;
    int64_t in_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day;

    return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year -
           719469;
}

PyObject *
dora__py_time_new(struct dora__py_module *m, int64_t microseconds)
{
    const PyDateTime_CAPI *api = m->datetime_api;
    int64_t day = microseconds / DAY_US, rest = microseconds % DAY_US;
    uint64_t date;
    int seconds;

    if (rest < 0) {
        rest += DAY_US;
        day--;
    }
    if (day <= BEFORE || day > days_of(9999, 12, 31)) {
        PyErr_SetString(PyExc_OverflowError, "time out of datetime's range");
        return NULL;
    }
    date = cached_date(m, day);
    seconds = (int)(rest / 1000000);
    return api->DateTime_FromDateAndTime(
        (int)(date >> YEAR & 0x3fff), (int)(date >> MONTH & 15),
        (int)(date & 31), seconds / 3600, seconds / 60 % 60, seconds % 60,
        (int)(rest % 1000000), api->TimeZone_UTC, api->DateTimeType);
}

static int64_t
fields_to_microseconds(PyObject *time)
{
    int64_t day = days_of(PyDateTime_GET_YEAR(time), PyDateTime_GET_MONTH(time),
                          PyDateTime_GET_DAY(time));

    return day * DAY_US +
           (PyDateTime_DATE_GET_HOUR(time) * INT64_C(3600) +
            PyDateTime_DATE_GET_MINUTE(time) * 60 +
            PyDateTime_DATE_GET_SECOND(time)) *
               1000000 +
           PyDateTime_DATE_GET_MICROSECOND(time);
}

int
dora__py_time_parse(const struct dora__py_module *m, PyObject *object,
                    int64_t *ret_microseconds)
{
    const PyDateTime_CAPI *api = m->datetime_api;
    PyObject *utc;

    if (!PyObject_TypeCheck(object, api->DateTimeType))
        return 0;
    if (PyDateTime_DATE_GET_TZINFO(object) == api->TimeZone_UTC) {
        *ret_microseconds = fields_to_microseconds(object);
        return 1;
    }
    utc = PyObject_CallMethod(object, "astimezone", "O", api->TimeZone_UTC);
    if (utc == NULL)
        return -1;
    *ret_microseconds = fields_to_microseconds(utc);
    Py_DECREF(utc);
    return 1;
}
