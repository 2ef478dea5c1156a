/* graph_git.c - `git`, `branch`, `tag` and `rev` of a node.
 *
 * The words end up as arguments of the git program: what it could take for an
 * option, for a program to start or for more than one name is refused here. */
#include "graph_read.h"

#include <ctype.h>
#include <string.h>

enum { LONGEST_NAME = 200, LEAST_DIGITS = 4, MOST_DIGITS = 64 };

static const struct {
    const char *key;
    enum dora__git_kind kind;
} kinds[] = {
    {"branch", DORA__GIT_BRANCH},
    {"tag", DORA__GIT_TAG},
    {"rev", DORA__GIT_COMMIT},
};

/* Bytes of the scheme of "scheme://...", or of "helper::..."; 0: neither. */
static size_t
scheme_size(const char *url, const char *mark)
{
    size_t size = 0;

    while (isalnum((unsigned char)url[size]) ||
           (url[size] != '\0' && strchr("+-._", url[size]) != NULL))
        size++;
    return strncmp(url + size, mark, strlen(mark)) == 0 ? size : 0;
}

static bool
is_known_scheme(const char *url, size_t size)
{
    static const char *const schemes[] = {"https", "http", "ssh", "git",
                                          "file"};

    for (size_t i = 0; i < DORA_COUNT(schemes); i++)
        if (strlen(schemes[i]) == size && strncmp(url, schemes[i], size) == 0)
            return true;
    return false;
}

/* What is wrong with it, or NULL. */
static const char *
url_fault(const char *url)
{
    size_t scheme = scheme_size(url, "://");

    if (*url == '\0')
        return "is empty";
    if (*url == '-' || (scheme > 0 && url[scheme + 3] == '-'))
        return "looks like an option";
    for (const char *at = url; *at != '\0'; at++)
        if (iscntrl((unsigned char)*at))
            return "holds a control character";
    if (scheme_size(url, "::") > 0 ||
        (scheme > 0 && !is_known_scheme(url, scheme)))
        return "is of no kind that is fetched: https, ssh, file, http, git, "
               "host:path or a path";
    return NULL;
}

/* As `git check-ref-format`. */
static const char *
name_fault(const char *name)
{
    size_t size = strlen(name);

    if (size == 0)
        return "is empty";
    if (size > LONGEST_NAME)
        return "is too long";
    if (*name == '-')
        return "looks like an option";
    for (const char *at = name; *at != '\0'; at++) {
        if (iscntrl((unsigned char)*at) || strchr(" ~^:?*[\\", *at) != NULL)
            return "holds a character that no name in git has";
        if ((at == name || at[-1] == '/') && (*at == '.' || *at == '/'))
            return "is no name in git";
    }
    if (strstr(name, "..") != NULL || strstr(name, "@{") != NULL ||
        strstr(name, ".lock/") != NULL || strcmp(name, "@") == 0 ||
        name[size - 1] == '/' || name[size - 1] == '.' ||
        (size >= 5 && strcmp(name + size - 5, ".lock") == 0))
        return "is no name in git";
    return NULL;
}

static const char *
commit_fault(const char *id)
{
    size_t size = strlen(id);

    if (size < LEAST_DIGITS || size > MOST_DIGITS ||
        id[strspn(id, "0123456789abcdefABCDEF")] != '\0')
        return "is no commit's id, of 4 to 64 hexadecimal digits; names go by "
               "`branch` or `tag`";
    return NULL;
}

static void
read_wish(struct dora__reader *r, const struct dora__value *value,
          enum dora__git_kind kind, struct dora__git *git)
{
    const char *text, *fault;

    if (!dora__read_text(r, value, &text))
        return;
    fault = kind == DORA__GIT_COMMIT ? commit_fault(text) : name_fault(text);
    if (fault != NULL)
        dora__complain(r, value->mark, "%s`%s` %s %s", r->owner, value->key,
                       dora__show_text(text).text, fault);
    if (git->name != NULL) /* complained of: two of them */
        return;
    git->kind = kind;
    git->name = dora__copy_text(r, text);
    if (kind == DORA__GIT_COMMIT && git->name != NULL)
        for (char *at = git->name; *at != '\0'; at++)
            *at = (char)tolower((unsigned char)*at);
}

static void
read_url(struct dora__reader *r, const struct dora__value *value,
         struct dora__git *git)
{
    const char *text, *fault;

    git->mark = value->mark;
    if (!dora__read_text(r, value, &text))
        return;
    fault = url_fault(text);
    if (fault != NULL)
        dora__complain(r, value->mark, "%s`git` %s %s", r->owner,
                       dora__show_text(text).text, fault);
    git->url = dora__copy_text(r, text);
}

void
dora__read_git(struct dora__reader *r, const struct dora__value *value,
               struct dora__git *git)
{
    const struct dora__value *url = dora__value_get(value, "git");
    const struct dora__value *first = NULL;

    if (url != NULL && url->type != DORA__NULL)
        read_url(r, url, git);
    else
        url = NULL;
    for (size_t i = 0; i < DORA_COUNT(kinds) && !r->no_memory; i++) {
        const struct dora__value *wish = dora__value_get(value, kinds[i].key);

        if (wish == NULL || wish->type == DORA__NULL)
            continue;
        if (url == NULL)
            dora__complain(r, wish->key_mark, "%s`%s` needs a `git` source",
                           r->owner, kinds[i].key);
        else if (first != NULL)
            dora__complain(r, wish->key_mark,
                           "%s`%s` and `%s` exclude each other: give one of "
                           "`branch`, `tag` and `rev`",
                           r->owner, first->key, kinds[i].key);
        read_wish(r, wish, kinds[i].kind, git);
        first = wish;
    }
}
