/* pip_test.c - what a line of pip becomes. */
#include "graph/graph_text.h"
#include "source/pip.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

/* The words with a space after each; takes them. */
static char *
join(char **words)
{
    struct dora__text t = {0};

    for (char **word = words; word != NULL && *word != NULL; word++)
        dora__text_printf(&t, "%s ", *word);
    (void)dora__words_free(words);
    return t.text;
}

static char *
command(const char *line, bool uv)
{
    const char *fault;
    char **words, **argv = NULL;
    size_t count;

    assert_int_equal(dora__split_words(line, &words, &count, &fault), 0);
    assert_int_equal(dora__pip_command("/e/python", uv, words, count, &argv),
                     0);
    (void)dora__words_free(words);
    return join(argv);
}

static void
test_pip_is_that_of_the_interpreter(void **state)
{
    static const struct {
        const char *line, *pip, *uv;
    } cases[] = {
        {"pip install x", "/e/python -m pip install x ",
         "uv pip install --python /e/python x "},
        {"pip3 install x", "/e/python -m pip install x ",
         "uv pip install --python /e/python x "},
        {"python3 -m pip list", "/e/python -m pip list ",
         "uv pip list --python /e/python "},
        {"uv pip install x", "uv pip install --python /e/python x ",
         "uv pip install --python /e/python x "},
        {"uv pip install --python=p x", "uv pip install --python=p x ",
         "uv pip install --python=p x "},
        {"uv pip install --system x", "uv pip install --system x ",
         "uv pip install --system x "},
        {"pip", "/e/python -m pip ", "uv pip --python /e/python "},
        {"python make.py", "/e/python make.py ", "/e/python make.py "},
        {"uv venv e", "uv venv e ", "uv venv e "},
        {"make pip install", "make pip install ", "make pip install "},
        {"pipx install x", "pipx install x ", "pipx install x "},
        {"/x/pip install y", "/x/pip install y ", "/x/pip install y "},
    };

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(cases); i++) {
        DORA_AUTOFREE char *pip = command(cases[i].line, false);
        DORA_AUTOFREE char *uv = command(cases[i].line, true);

        assert_string_equal(pip, cases[i].pip);
        assert_string_equal(uv, cases[i].uv);
    }
}

static void
test_pip_questions(void **state)
{
    static const struct {
        const char *line, *asked; /* NULL: nobody can tell */
    } cases[] = {
        {"pip install x 'y>=1' -q", "x y>=1 "},
        {"uv pip install x", "x "},
        {"python -m pip install --quiet x", "x "},
        {"pip install", NULL},
        {"pip install -e .", NULL},
        {"pip install ./x", NULL},
        {"pip install -r list", NULL},
        {"pip install x/y.whl", NULL},
        {"pip uninstall x", NULL},
        {"make install x", NULL},
    };

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(cases); i++) {
        const char *fault;
        char **words, **argv = NULL;
        size_t count;
        int code;

        assert_int_equal(
            dora__split_words(cases[i].line, &words, &count, &fault), 0);
        code = dora__pip_question("/e/python", words, count, &argv);
        (void)dora__words_free(words);
        if (cases[i].asked == NULL) {
            assert_int_equal(code, -ENOENT);
            assert_null(argv);
        } else {
            DORA_AUTOFREE char *text = NULL;

            assert_int_equal(code, 0);
            assert_string_equal(argv[0], "/e/python");
            assert_string_equal(argv[1], "-c");
            text = join(argv);
            assert_string_equal(text + strlen(text) - strlen(cases[i].asked),
                                cases[i].asked);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pip_is_that_of_the_interpreter),
        cmocka_unit_test(test_pip_questions),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
