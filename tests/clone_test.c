/* clone_test.c - which clone a node means. */
#include "source/clone.h"

#include <setjmp.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#define ID "0123456789abcdef0123456789abcdef01234567"
#define OTHER "fedcba9876543210fedcba9876543210fedcba98"
#define URL "https://x.org/robots/arm.git"
#define GIT(kind_, url_, name_)                              \
    (&(struct dora__git){.url = (char *)(uintptr_t)(url_),   \
                         .name = (char *)(uintptr_t)(name_), \
                         .kind = DORA__GIT_##kind_})

static int
set_up(void **state)
{
    char *base = strdup("/tmp/dora-clone-XXXXXX");

    assert_non_null(mkdtemp(base));
    *state = base;
    return 0;
}

static int
tear_down(void **state)
{
    DORA_AUTOFREE char *base = *state;
    DORA_AUTOFREE char *command = dora__format("rm -r %s", base);

    return system(command);
}

/* out/git/<repository>, made. */
static char *
make_place(const char *base, const struct dora__git *git)
{
    char *place = dora__clone_place(base, git);
    DORA_AUTOFREE char *command = dora__format("mkdir -p '%s'", place);

    assert_int_equal(system(command), 0);
    return place;
}

static void
make_clone(const char *place, const char *commit)
{
    DORA_AUTOFREE char *path = dora__format("%s/%s", place, commit);

    assert_int_equal(mkdir(path, 0777), 0);
}

/* `commit`: what must be found; NULL: nothing. */
static void
expect_found(const char *base, const struct dora__git *git, const char *commit)
{
    DORA_AUTOFREE char *found = NULL;
    int code = dora__clone_find(base, git, &found);

    if (commit == NULL) {
        assert_int_equal(code, -ENOENT);
        return;
    }
    assert_int_equal(code, 0);
    assert_string_equal(strrchr(found, '/') + 1, commit);
}

static void
test_clone_a_commit_needs_no_note(void **state)
{
    const struct dora__git *git = GIT(COMMIT, URL, ID);
    DORA_AUTOFREE char *place = make_place(*state, git);

    expect_found(*state, git, NULL);
    make_clone(place, ID);
    expect_found(*state, git, ID);
    expect_found(*state, GIT(COMMIT, URL, OTHER), NULL);
    expect_found(*state, GIT(COMMIT, URL ".", ID), NULL);
}

static void
test_clone_names_are_noted(void **state)
{
    char long_name[180];
    const struct dora__git *wishes[] = {
        GIT(DEFAULT, URL, NULL),    GIT(BRANCH, URL, "main"),
        GIT(TAG, URL, "main"),      GIT(BRANCH, URL, "feature/\xC3\xBC%2F"),
        GIT(COMMIT, URL, "012345"), GIT(BRANCH, URL, long_name),
    };
    DORA_AUTOFREE char *place = make_place(*state, wishes[0]);

    memset(long_name, '%', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    make_clone(place, ID);
    make_clone(place, OTHER);
    for (size_t i = 0; i < DORA_COUNT(wishes); i++) {
        expect_found(*state, wishes[i], NULL);
        assert_int_equal(dora__clone_note(place, wishes[i], ID), 0);
        expect_found(*state, wishes[i], ID);
    }
    assert_int_equal(dora__clone_note(place, wishes[1], OTHER), 0);
    expect_found(*state, wishes[1], OTHER);
    expect_found(*state, wishes[2], ID);
}

static void
test_clone_a_note_alone_is_not_enough(void **state)
{
    static const char *const bad[] = {"", ID, "../" ID "\n", ID ID "\n",
                                      "0123\n"};
    const struct dora__git *git = GIT(BRANCH, URL, "main");
    DORA_AUTOFREE char *place = make_place(*state, git);
    DORA_AUTOFREE char *note = dora__format("%s/branch-main", place);

    assert_int_equal(dora__clone_note(place, git, ID), 0);
    expect_found(*state, git, NULL);
    make_clone(place, ID);
    expect_found(*state, git, ID);
    for (size_t i = 0; i < DORA_COUNT(bad); i++) {
        FILE *file = fopen(note, "w");

        assert_true(file != NULL && fputs(bad[i], file) >= 0);
        assert_int_equal(fclose(file), 0);
        expect_found(*state, git, NULL);
    }
}

static void
test_clone_places_are_below_out(void **state)
{
    static const struct {
        const char *url, *name;
    } cases[] = {
        {URL, "arm-"},
        {"https://x.org/robots/arm", "arm-"},
        {"me@x.org:a/..", "-"},
        {"../../../etc/passwd", "passwd-"},
        {".git", "git-"},
        {"/", "-"},
        {"x:b c\xC3\xBC", "bc-"},
    };

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(cases); i++) {
        DORA_AUTOFREE char *place =
            dora__clone_place("/base", GIT(DEFAULT, cases[i].url, NULL));
        const char *name = place + strlen("/base/out/git/");

        assert_memory_equal(place, "/base/out/git/", strlen("/base/out/git/"));
        assert_memory_equal(name, cases[i].name, strlen(cases[i].name));
        assert_int_equal(strlen(name), strlen(cases[i].name) + 16);
        assert_null(strchr(name, '/'));
    }
}

static void
test_clone_passwords_are_not_shown(void **state)
{
    static const struct {
        const char *url, *shown;
    } cases[] = {
        {"https://me:secret@x.org/a@b", "branch `b` of https://x.org/a@b"},
        {"https://token@x.org/a", "branch `b` of https://x.org/a"},
        {"https://x.org/a@b", "branch `b` of https://x.org/a@b"},
        {"ssh://git@x.org/a", "branch `b` of ssh://git@x.org/a"},
        {"git@x.org:a", "branch `b` of git@x.org:a"},
    };

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(cases); i++) {
        DORA_AUTOFREE char *title =
            dora__git_title(GIT(BRANCH, cases[i].url, "b"));

        assert_string_equal(title, cases[i].shown);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_clone_a_commit_needs_no_note,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_clone_names_are_noted, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_clone_a_note_alone_is_not_enough,
                                        set_up, tear_down),
        cmocka_unit_test(test_clone_places_are_below_out),
        cmocka_unit_test(test_clone_passwords_are_not_shown),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
