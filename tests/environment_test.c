/* environment_test.c - what nodes inherit and what is set over it. */
#include "host/environment.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *
get(const struct dora__environment *e, const char *key)
{
    const char *found = NULL;
    size_t size = strlen(key);

    for (size_t i = 0; i < e->count; i++)
        if (strncmp(e->vars[i], key, size) == 0 && e->vars[i][size] == '=') {
            assert_null(found); /* once */
            found = e->vars[i] + size + 1;
        }
    assert_true(e->vars == NULL || e->vars[e->count] == NULL);
    return found;
}

static void
test_environment_some_things_are_not_inherited(void **state)
{
    static const char *const from[] = {
        "A=1",
        "LD_PRELOAD=x.so",
        "LD_PRELOADED=kept",
        "DORA_AUTH_TOKEN=secret",
        "DORA_NODE_CONFIG={}",
        "DORA_RUN_ATTACH=3,4,5,6,0",
        "PATH=/bin",
        NULL,
    };
    struct dora__environment e = {0};

    (void)state;
    dora__environment_inherit(&e, from);
    assert_false(e.failed);
    assert_int_equal(e.count, 3);
    assert_string_equal(get(&e, "A"), "1");
    assert_string_equal(get(&e, "LD_PRELOADED"), "kept");
    assert_string_equal(get(&e, "PATH"), "/bin");
    dora__environment_fini(&e);
}

static void
test_environment_later_values_win(void **state)
{
    struct dora__environment e = {0};
    char key[8];

    (void)state;
    for (int i = 0; i < 100; i++) {
        (void)snprintf(key, sizeof key, "K%d", i % 50);
        dora__environment_set(&e, key, i < 50 ? "old" : "new=er");
    }
    dora__environment_put(&e, "K7=");
    dora__environment_put(&e, "nothing");
    assert_int_equal(e.count, 50);
    assert_string_equal(get(&e, "K0"), "new=er");
    assert_string_equal(get(&e, "K49"), "new=er");
    assert_string_equal(get(&e, "K7"), "");
    dora__environment_fini(&e);
    assert_null(e.vars);
}

static void
test_environment_variables_are_removed(void **state)
{
    static const char *const from[] = {"A=1", "AB=2", "B=3", NULL};
    struct dora__environment e = {0};

    (void)state;
    dora__environment_remove(&e, "A");
    dora__environment_inherit(&e, from);
    dora__environment_remove(&e, "A");
    dora__environment_remove(&e, "C");
    assert_int_equal(e.count, 2);
    assert_null(get(&e, "A"));
    assert_string_equal(get(&e, "AB"), "2");
    dora__environment_remove(&e, "B");
    assert_null(e.vars[1]);
    dora__environment_fini(&e);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_environment_some_things_are_not_inherited),
        cmocka_unit_test(test_environment_later_values_win),
        cmocka_unit_test(test_environment_variables_are_removed),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
