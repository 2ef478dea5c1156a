/* nearest_test.c - what is taken for a slip of the pen, and what is not. */
#include "nearest.h"

#include "base.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char *
nearest(const char *wanted)
{
    static const char *const names[] = {
        "image", "imaging",       "inputs",       "outputs",   "camera",
        "plot",  "queue_size",    "queue_policy", "b",         "backpressure",
        "depth", "restart_delay", "never",        "on-failure"};
    struct dora__nearest near = dora__nearest(wanted);

    for (size_t i = 0; i < DORA_COUNT(names); i++)
        dora__nearest_consider(&near, names[i]);
    return near.best;
}

static void
test_nearest_names(void **state)
{
    (void)state;
    assert_string_equal(nearest("imgae"), "image");
    assert_string_equal(nearest("Image"), "image");
    assert_string_equal(nearest("images"), "image");
    assert_string_equal(nearest("image_raw"), "image");
    assert_string_equal(nearest("input"), "inputs");
    assert_string_equal(nearest("output"), "outputs");
    assert_string_equal(nearest("queue-size"), "queue_size");
    assert_string_equal(nearest("on_failure"), "on-failure");
    assert_string_equal(nearest("camrea"), "camera");
    assert_string_equal(nearest("B"), "b");
    assert_null(nearest("x"));
    assert_null(nearest(""));
    assert_null(nearest("sound"));
    assert_null(nearest("zzzzzzzzzz"));
    assert_null(nearest("a_name_that_is_longer_than_anything_that_one_would_"
                        "want_to_compare_with_another"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nearest_names),
    };

    (void)alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
