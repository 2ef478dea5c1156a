/* pip.c - see pip.h.
 *
 *   1. Whatever the line calls it, and whatever PATH says, pip is that of the
 *      interpreter that is given.
 *   2. Only names, perhaps with versions, are known to be met. Where no package
 *      tells how versions compare, as in an environment without pip, the pip
 *      does that lies beside the standard library for new environments. */
#include "pip.h"
#include "graph/graph_text.h"
#include "host/kind.h"

#include <string.h>

/* Exit 0: every requirement is met. */
static const char is_met[] =
    "import sys\n"
    "from importlib.metadata import version\n"
    "def find():\n"
    "    try:\n"
    "        from packaging.requirements import Requirement\n"
    "    except ImportError:\n"
    "        from pip._vendor.packaging.requirements import Requirement\n"
    "    return Requirement\n"
    "try:\n"
    "    Requirement = find()\n"
    "except ImportError:\n"
    "    import glob, os\n"
    "    for place in (os.path.dirname(os.__file__) + '/ensurepip/_bundled',\n"
    "                  '/usr/share/python-wheels'):\n"
    "        sys.path += glob.glob(place + '/pip-*.whl')\n"
    "    try:\n"
    "        Requirement = find()\n"
    "    except ImportError:\n"
    "        Requirement = None\n"
    "try:\n"
    "    for text in sys.argv[1:]:\n"
    "        if Requirement is None:\n"
    "            version(text)\n"
    "            continue\n"
    "        r = Requirement(text)\n"
    "        if r.marker and not r.marker.evaluate():\n"
    "            continue\n"
    "        if r.extras or r.url or not r.specifier.contains(\n"
    "                version(r.name), prereleases=True):\n"
    "            sys.exit(1)\n"
    "except Exception:\n"
    "    sys.exit(1)\n";

static bool
is_word(const char *word, const char *const *list)
{
    for (; *list != NULL; list++)
        if (strcmp(word, *list) == 0)
            return true;
    return false;
}

bool
dora__pip_python(const char *word)
{
    static const char *const pythons[] = {"python", "python3", NULL};

    return is_word(word, pythons);
}

size_t
dora__pip_words(char *const *words, size_t count)
{
    static const char *const pips[] = {"pip", "pip3", NULL};

    if (count > 0 && is_word(words[0], pips))
        return 1;
    if (count > 1 && strcmp(words[0], "uv") == 0 &&
        strcmp(words[1], "pip") == 0)
        return 2;
    if (count > 2 && dora__pip_python(words[0]) &&
        strcmp(words[1], "-m") == 0 && strcmp(words[2], "pip") == 0)
        return 3;
    return 0;
}

/* All of `more`, NULL-terminated, at the end of the list. */
static int
push_all(char ***list, const char *const *more)
{
    int code = 0;

    for (; *more != NULL && code == 0; more++)
        code = dora__launch_push(list, *more);
    return code;
}

static int
give(char ***argv, int code, char ***ret_argv)
{
    if (code < 0)
        *argv = dora__words_free(*argv);
    *ret_argv = *argv;
    return code;
}

/* -ENOENT: the word may mean anything. */
static int
push_requirement(char ***argv, const char *word)
{
    static const char *const harmless[] = {"-q", "--quiet", NULL};

    if (is_word(word, harmless))
        return 0;
    if (word[0] == '-' || word[0] == '.' || strchr(word, '/') != NULL)
        return -ENOENT;
    return dora__launch_push(argv, word);
}

int
dora__pip_question(const char *interpreter, char *const *words, size_t count,
                   char ***ret_argv)
{
    const char *const question[] = {interpreter, "-c", is_met, NULL};
    size_t first = dora__pip_words(words, count);
    char **argv = NULL;
    int code;

    if (first == 0 || first + 1 >= count ||
        strcmp(words[first], "install") != 0)
        return -ENOENT;
    code = push_all(&argv, question);
    for (size_t i = first + 1; i < count && code == 0; i++)
        code = push_requirement(&argv, words[i]);
    return give(&argv, code, ret_argv);
}

/* Whether a line of uv says itself which environment it means. */
static bool
names_place(char *const *words, size_t count)
{
    static const char *const places[] = {"--python", "-p",       "--system",
                                         "--target", "--prefix", NULL};

    for (size_t i = 0; i < count; i++)
        if (is_word(words[i], places) ||
            strncmp(words[i], "--python=", strlen("--python=")) == 0)
            return true;
    return false;
}

int
dora__pip_command(const char *interpreter, bool uv, char *const *words,
                  size_t count, char ***ret_argv)
{
    const char *const of_uv[] = {"uv", "pip", NULL};
    const char *const of_python[] = {interpreter, "-m", "pip", NULL};
    const char *const place[] = {"--python", interpreter, NULL};
    size_t done = dora__pip_words(words, count);
    char **argv = NULL;
    int code = 0;

    if (done == 2 || (done > 0 && uv)) {
        code = push_all(&argv, of_uv);
        if (code == 0 && done < count)
            code = dora__launch_push(&argv, words[done++]);
        if (code == 0 && !names_place(words, count))
            code = push_all(&argv, place);
    } else if (done > 0) {
        code = push_all(&argv, of_python);
    } else if (dora__pip_python(words[0])) {
        code = dora__launch_push(&argv, interpreter);
        done = 1;
    }
    for (size_t i = done; i < count && code == 0; i++)
        code = dora__launch_push(&argv, words[i]);
    return give(&argv, code, ret_argv);
}
