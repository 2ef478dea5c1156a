/* graph_words.c - shell words and $VARIABLES.
 *
 * Words follow the quoting of a POSIX shell so that a line copied from a
 * terminal means the same; a `#` is a character like any other, for a lost
 * argument is worse than a strange one. A `$` that no name follows stands for
 * itself. */
#include "graph_text.h"

#include <string.h>

struct splitter {
    const char *at;
    struct dora__text word;
    char **words;
    size_t count, capacity;
    const char *fault;
};

char **
dora__words_free(char **words)
{
    if (words != NULL)
        for (char **word = words; *word != NULL; word++)
            free(*word);
    free(words);
    return NULL;
}

/* Room for one more word and the NULL after it. */
static int
add_word(struct splitter *s)
{
    if (s->count + 2 > s->capacity) {
        size_t capacity = s->capacity ? s->capacity * 2 : 8;
        char **words = realloc(s->words, capacity * sizeof *words);

        if (words == NULL)
            return -ENOMEM;
        s->words = words;
        s->capacity = capacity;
        s->words[s->count] = NULL;
    }
    dora__text_add(&s->word, "", 0);
    if (s->word.failed)
        return -ENOMEM;
    s->words[s->count++] = s->word.text;
    s->words[s->count] = NULL;
    s->word = (struct dora__text){0};
    return 0;
}

/* Takes what a quote encloses; `at` is past the closing one then. */
static int
take_quoted(struct splitter *s, char quote)
{
    while (*s->at != quote) {
        if (*s->at == '\0') {
            s->fault =
                quote == '"' ? "a \" is not closed" : "a ' is not closed";
            return -EINVAL;
        }
        if (quote == '"' && *s->at == '\\' && s->at[1] != '\0' &&
            strchr("$`\"\\\n", s->at[1]) != NULL) {
            s->at++;
            if (*s->at++ == '\n')
                continue;
            dora__text_add(&s->word, s->at - 1, 1);
        } else {
            dora__text_add(&s->word, s->at++, 1);
        }
    }
    s->at++;
    return 0;
}

static int
take_word(struct splitter *s)
{
    int rc = 0;

    while (rc == 0 && *s->at != '\0' && strchr(" \t\r\n", *s->at) == NULL) {
        char c = *s->at++;

        if (c == '\'' || c == '"') {
            rc = take_quoted(s, c);
        } else if (c != '\\') {
            dora__text_add(&s->word, &c, 1);
        } else if (*s->at == '\0') {
            s->fault = "a \\ stands at the end";
            rc = -EINVAL;
        } else if (*s->at++ != '\n') {
            dora__text_add(&s->word, s->at - 1, 1);
        }
    }
    return rc;
}

/* Blanks and escaped line ends between words. */
static void
skip_blanks(struct splitter *s)
{
    for (;;) {
        s->at += strspn(s->at, " \t\r\n");
        if (s->at[0] != '\\' || s->at[1] != '\n')
            return;
        s->at += 2;
    }
}

int
dora__split_words(const char *text, char ***ret_words, size_t *ret_count,
                  const char **ret_fault)
{
    struct splitter s = {.at = text, .capacity = 1};
    int rc = 0;

    s.words = calloc(s.capacity, sizeof *s.words);
    if (s.words == NULL)
        return -ENOMEM;
    for (skip_blanks(&s); rc == 0 && *s.at != '\0'; skip_blanks(&s)) {
        rc = take_word(&s);
        if (rc == 0)
            rc = add_word(&s);
    }
    free(s.word.text);
    if (rc < 0) {
        dora__words_free(s.words);
        if (rc == -EINVAL)
            *ret_fault = s.fault;
        return rc;
    }
    *ret_words = s.words;
    *ret_count = s.count;
    return 0;
}

static bool
is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static size_t
name_size(const char *text)
{
    size_t size = 0;

    if (is_name_start(*text))
        while (is_name_start(text[size]) ||
               (text[size] >= '0' && text[size] <= '9'))
            size++;
    return size;
}

static const char *
lookup(const char *const *environment, const char *name, size_t size)
{
    for (; environment != NULL && *environment != NULL; environment++)
        if (strncmp(*environment, name, size) == 0 &&
            (*environment)[size] == '=')
            return *environment + size + 1;
    return NULL;
}

/* What stands behind a `$`. */
struct reference {
    const char *name, *otherwise; /* otherwise: of ${NAME:-...}, or NULL */
    size_t name_size, otherwise_size;
    const char *end;
};

/* False: a ${ is malformed. A name of size 0: the `$` stands for itself. */
static bool
read_reference(const char *text, struct reference *ref)
{
    bool braces = *text == '{';

    *ref = (struct reference){.name = text + braces};
    ref->name_size = name_size(ref->name);
    ref->end = ref->name + ref->name_size;
    if (!braces)
        return true;
    if (ref->end[0] == ':' && ref->end[1] == '-') {
        ref->otherwise = ref->end + 2;
        ref->otherwise_size = strcspn(ref->otherwise, "}");
        ref->end = ref->otherwise + ref->otherwise_size;
    }
    return ref->name_size > 0 && *ref->end++ == '}';
}

int
dora__expand(const char *text, const char *const *environment,
             struct dora__text *out, const char **ret_name,
             size_t *ret_name_size)
{
    for (;;) {
        size_t plain = strcspn(text, "$");
        struct reference ref;
        const char *value;

        if (out->size > DORA__MAX_EXPANDED)
            return -E2BIG;
        dora__text_add(out, text, plain);
        text += plain;
        if (*text++ == '\0')
            return 0;
        if (!read_reference(text, &ref))
            return -EINVAL;
        if (ref.name_size == 0) {
            dora__text_puts(out, "$");
            text += *text == '$';
            continue;
        }
        value = lookup(environment, ref.name, ref.name_size);
        if (ref.otherwise != NULL && (value == NULL || *value == '\0')) {
            dora__text_add(out, ref.otherwise, ref.otherwise_size);
        } else if (value != NULL) {
            dora__text_puts(out, value);
        } else {
            *ret_name = ref.name;
            *ret_name_size = ref.name_size;
            return -ENOENT;
        }
        text = ref.end;
    }
}
