/* command_line.c - the command line of dora-run.
 *
 * Options stand anywhere, `--name value` or `--name=value`; `--` ends them.
 * What is wrong is said in one line that names the nearest right thing. */
#include "command.h"
#include "nearest.h"

#include <limits.h>
#include <string.h>

/* The word of the list that was probably meant; NULL: none is near. */
static const char *
meant_by(const char *word, const char *const *list)
{
    struct dora__nearest near = dora__nearest(word);

    for (; *list; list++)
        dora__nearest_consider(&near, *list);
    return near.best;
}

/* --- values --------------------------------------------------------------- */

static int64_t
unit_ns(const char *unit, size_t size)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {
        {"", 1000000000},
        {"ms", 1000000},
        {"s", 1000000000},
        {"m", (int64_t)60 * 1000000000},
        {"h", (int64_t)3600 * 1000000000},
    };

    for (size_t i = 0; i < DORA_COUNT(units); i++)
        if (strlen(units[i].name) == size && !memcmp(unit, units[i].name, size))
            return units[i].ns;
    return 0;
}

int
command_duration(const char *text, int64_t *ret_ns)
{
    double total = 0;

    if (!*text)
        return -EINVAL;
    for (const char *at = text; *at;) {
        size_t digits = strspn(at, "0123456789.");
        size_t unit = strspn(at + digits, "hms");
        int64_t ns = unit_ns(at + digits, unit);
        char *end;

        /* A number without a unit stands alone. */
        if (!digits || !ns || (!unit && (at != text || at[digits])))
            return -EINVAL;
        total += strtod(at, &end) * (double)ns;
        if (end != at + digits)
            return -EINVAL;
        at = end + unit;
    }
    if (total > (double)INT64_MAX / 2)
        return -EINVAL;
    *ret_ns = (int64_t)total;
    return 0;
}

/* None at all is the shortest there is. */
static int
parse_grace(const char *text, int64_t *ret_ns)
{
    int64_t ns;

    if (command_duration(text, &ns) < 0)
        return -EINVAL;
    *ret_ns = ns > 0 ? ns : 1;
    return 0;
}

static int
parse_level(const char *text, enum dora_level *ret_level)
{
    static const char *const names[] = {"error", "warn",  "info",
                                        "debug", "trace", "stdout"};

    for (size_t i = 0; i < DORA_COUNT(names); i++)
        if (!strcmp(text, names[i])) {
            *ret_level = (enum dora_level)(DORA_LEVEL_ERROR + i);
            return 0;
        }
    return -EINVAL;
}

/* Whether the text is NODE=TIER. */
static bool
is_isolation(const char *text)
{
    static const char *const tiers[] = {"auto", "process", "interpreter"};
    const char *tier = strrchr(text, '=');

    if (!tier || tier == text)
        return false;
    for (size_t i = 0; i < DORA_COUNT(tiers); i++)
        if (!strcmp(tier + 1, tiers[i]))
            return true;
    return false;
}

static bool
is_variable(const char *text)
{
    size_t size = strcspn(text, "= \t");

    return size > 0 && text[size] == '=';
}

/* -ENOMEM, or 0: appended to the NULL-terminated list. */
static int
append(const char ***list, const char *text)
{
    size_t count = 0;
    const char **grown;

    while (*list && (*list)[count])
        count++;
    grown = realloc(*list, (count + 2) * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    grown[count] = text;
    grown[count + 1] = NULL;
    *list = grown;
    return 0;
}

/* Relative to the shell's directory, and not to that of the dataflow. */
static int
take_path(const char *text, char **ret_path)
{
    char directory[PATH_MAX];

    free(*ret_path);
    *ret_path = NULL;
    if (*text == '/' || (!strchr(text, '/') && access(text, F_OK) < 0))
        *ret_path = strdup(text);
    else if (getcwd(directory, sizeof directory))
        *ret_path = dora__format("%s/%s", directory, text);
    return *ret_path ? 0 : -ENOMEM;
}

static int
parse_boolean(const char *text, int *ret_choice)
{
    if (!text || !strcmp(text, "true"))
        *ret_choice = 1;
    else if (!strcmp(text, "false"))
        *ret_choice = -1;
    else
        return -EINVAL;
    return 0;
}

/* --- options -------------------------------------------------------------- */

enum option {
    OPTION_STOP_AFTER,
    OPTION_GRACE,
    OPTION_EXIT,
    OPTION_REPORT,
    OPTION_LOG_LEVEL,
    OPTION_PYTHON,
    OPTION_ISOLATION,
    OPTION_ENV,
    OPTION_SHELL,
    OPTION_ID,
    OPTION_RUN,
    OPTION_FOLLOW,
    OPTION_UV,
    OPTION_NO_BUILD,
    OPTION_HELP,
    OPTION_VERSION,
    OPTION_COUNT,
};

static const char *const option_names[OPTION_COUNT + 1] = {
    "--stop-after",
    "--grace-duration",
    "--exit-when-nodes-finish",
    "--report",
    "--log-level",
    "--python",
    "--isolation",
    "--env",
    "--allow-shell-nodes",
    "--id",
    "--run",
    "--follow",
    "--uv",
    "--no-build",
    "--help",
    "--version",
    NULL,
};

/* What the value of an option is, for its complaint; NULL: it takes none. */
static const char *const option_values[OPTION_COUNT] = {
    [OPTION_STOP_AFTER] = "a duration like 30, 500ms, 10s or 1h30m",
    [OPTION_GRACE] = "a duration like 30, 500ms, 10s or 1h30m",
    [OPTION_REPORT] = "a file to write",
    [OPTION_LOG_LEVEL] = "one of error, warn, info, debug, trace, stdout",
    [OPTION_PYTHON] = "an interpreter or a virtual environment",
    [OPTION_ISOLATION] = "NODE=TIER with tier auto, process or interpreter",
    [OPTION_ENV] = "NAME=VALUE",
    [OPTION_ID] = "the id of a node",
    [OPTION_RUN] = "a dataflow file, a directory or the id of a run",
};

/* 0, -EINVAL: not such a value, -ENOMEM. */
static int
set_option(struct command *command, enum option option, const char *value)
{
    switch (option) {
    case OPTION_STOP_AFTER:
        return command_duration(value, &command->stop_after_ns);
    case OPTION_GRACE:
        return parse_grace(value, &command->grace_ns);
    case OPTION_EXIT:
        return parse_boolean(value, &command->exit_when_nodes_finish);
    case OPTION_REPORT:
        command->report = value;
        return *value ? 0 : -EINVAL;
    case OPTION_LOG_LEVEL:
        return parse_level(value, &command->log_level);
    case OPTION_PYTHON:
        return *value ? take_path(value, &command->python) : -EINVAL;
    case OPTION_ISOLATION:
        return is_isolation(value) ? append(&command->isolation, value)
                                   : -EINVAL;
    case OPTION_ENV:
        return is_variable(value) ? append(&command->env, value) : -EINVAL;
    case OPTION_SHELL:
        command->allow_shell = true;
        return 0;
    case OPTION_ID:
        command->node = value;
        return *value ? 0 : -EINVAL;
    case OPTION_RUN:
        command->run = value;
        return *value ? 0 : -EINVAL;
    case OPTION_FOLLOW:
        command->follow = true;
        return 0;
    case OPTION_UV:
        command->uv = true;
        return 0;
    case OPTION_NO_BUILD:
        command->no_build = true;
        return 0;
    case OPTION_HELP:
        command->verb = VERB_HELP;
        return 0;
    case OPTION_VERSION:
        command->verb = VERB_VERSION;
        return 0;
    default:
        return -EINVAL;
    }
}

static int
find_option(const char *word, size_t size)
{
    if (!strcmp(word, "-h"))
        return OPTION_HELP;
    if (!strcmp(word, "-V"))
        return OPTION_VERSION;
    for (int i = 0; i < OPTION_COUNT; i++)
        if (strlen(option_names[i]) == size &&
            !memcmp(word, option_names[i], size))
            return i;
    return -ENOENT;
}

/* The option at **at; its value may be the next word. */
static int
parse_option(char ***at, struct command *command, struct dora_error *err)
{
    const char *word = **at, *value = NULL;
    size_t size = strcspn(word, "=");
    int option = find_option(word, size), result;

    if (option < 0) {
        DORA_AUTOFREE char *name = dora__format("%.*s", (int)size, word);
        const char *meant = name ? meant_by(name, option_names) : NULL;

        return dora__fail(err, EINVAL, "no option `%.*s`%s%s%s", (int)size,
                          word, meant ? "; did you mean `" : "; see --help",
                          meant ? meant : "", meant ? "`?" : "");
    }
    if (word[size] == '=')
        value = word + size + 1;
    else if (option_values[option] && !(value = *++*at))
        return dora__fail(err, EINVAL, "%s needs %s", word,
                          option_values[option]);
    if (value && !option_values[option] && option != OPTION_EXIT)
        return dora__fail(err, EINVAL, "%.*s takes no value", (int)size, word);
    result = set_option(command, (enum option)option, value);
    if (result == -ENOMEM)
        return dora__fail(err, ENOMEM, "out of memory");
    if (result < 0)
        return dora__fail(
            err, EINVAL, "%s: `%s` is not %s", option_names[option], value,
            option_values[option] ? option_values[option] : "true or false");
    return 0;
}

/* --- the whole line ------------------------------------------------------- */

static const char *const verbs[] = {"run",  "check", "graph", "build",
                                    "node", "logs",  NULL};

/* `node`: the words after it are the script and what is its own. */
static int
parse_node(const char **words, struct command *command, struct dora_error *err)
{
    command->verb = VERB_NODE;
    if (!command->node)
        return dora__fail(err, EINVAL,
                          "node needs --id NODE, the node to be; see --help");
    if (!words[0])
        return dora__fail(err, EINVAL,
                          "node needs the script to run; see --help");
    for (; *words; words++)
        if (append(&command->script, *words) < 0)
            return dora__fail(err, ENOMEM, "out of memory");
    return 0;
}

static int
parse_logs(const char **words, struct command *command, struct dora_error *err)
{
    command->verb = VERB_LOGS;
    command->file = words[0];
    if (words[0] && words[1])
        return dora__fail(err, EINVAL, "one file at a time: `%s` is too many",
                          words[1]);
    return 0;
}

/* Commands of dora that are none here, and what to do instead. */
static const char *
instead_of(const char *word)
{
    static const struct {
        const char *word, *instead;
    } known[] = {
        {"start", "`dora-run FILE` runs a dataflow until it ends"},
        {"up", "nothing has to be up; `dora-run FILE` runs a dataflow"},
        {"down", "nothing is up when no dataflow runs"},
        {"destroy", "nothing is up when no dataflow runs"},
        {"stop", "Ctrl-C, or a signal, stops a dataflow"},
        {"validate", "`dora-run check FILE` does that"},
    };

    for (size_t i = 0; i < DORA_COUNT(known); i++)
        if (!strcmp(word, known[i].word))
            return known[i].instead;
    return NULL;
}

static bool
is_python_script(const char *file)
{
    size_t size = strlen(file);

    return size > 3 && !strcmp(file + size - 3, ".py");
}

static int
parse_words(const char **words, struct command *command, struct dora_error *err)
{
    static const enum verb values[] = {VERB_RUN, VERB_CHECK, VERB_GRAPH,
                                       VERB_BUILD};
    const char *meant, *first = words ? words[0] : NULL;
    size_t at = 0;

    if (first && !strcmp(first, "node"))
        return parse_node(words + 1, command, err);
    if (first && !strcmp(first, "logs"))
        return parse_logs(words + 1, command, err);
    if (command->node || command->run || command->follow)
        return dora__fail(err, EINVAL, "%s is for `dora-run %s`",
                          command->node  ? "--id"
                          : command->run ? "--run"
                                         : "--follow",
                          command->follow ? "logs" : "node");
    for (size_t i = 0; first && i < DORA_COUNT(values); i++)
        if (!strcmp(first, verbs[i])) {
            command->verb = values[i];
            at = 1;
        }
    if (!first || !words[at])
        return dora__fail(err, EINVAL, "no dataflow file given; see --help");
    if (!at && instead_of(first))
        return dora__fail(err, EINVAL, "no command `%s`: %s", first,
                          instead_of(first));
    command->file = words[at];
    if (is_python_script(command->file))
        return dora__fail(err, EINVAL,
                          "`%s` is a script: give the dataflow, a YAML file in "
                          "which it is the `path` of a node",
                          command->file);
    if (!words[at + 1])
        return 0;
    meant = at ? NULL : meant_by(first, verbs);
    if (meant)
        return dora__fail(err, EINVAL, "no command `%s`; did you mean `%s`?",
                          first, meant);
    return dora__fail(err, EINVAL, "one file at a time: `%s` is too many",
                      words[at + 1]);
}

/* What follows the script of `node` is the script's. */
static bool
has_script(const char *const *words)
{
    return words && words[0] && words[1] && !strcmp(words[0], "node");
}

int
command_parse(int argc, char **argv, struct command *ret_command,
              struct dora_error *err)
{
    const char *level = getenv("DORA_LOG_LEVEL");
    const char *shell = getenv("DORA_ALLOW_SHELL_NODES");
    const char **words DORA_AUTOFREE = NULL;
    struct command command = {
        .stop_after_ns = -1,
        .log_level = DORA_LEVEL_STDOUT,
        .allow_shell = shell && !strcmp(shell, "true"),
    };
    bool options = true;
    int result = 0;

    if (level)
        (void)parse_level(level, &command.log_level);
    for (char **at = argv + (argc > 0); *at && result == 0; at += *at != NULL) {
        if (options && !strcmp(*at, "--") && !has_script(words))
            options = false;
        else if (options && **at == '-' && (*at)[1] && !has_script(words))
            result = parse_option(&at, &command, err);
        else if (append(&words, *at) < 0)
            result = dora__fail(err, ENOMEM, "out of memory");
    }
    if (result == 0 && command.verb != VERB_HELP &&
        command.verb != VERB_VERSION)
        result = parse_words(words, &command, err);
    if (result < 0) {
        command_fini(&command);
        return STATUS_USAGE;
    }
    *ret_command = command;
    return STATUS_OK;
}

void
command_fini(struct command *command)
{
    free(command->script);
    free(command->isolation);
    free(command->env);
    free(command->python);
    free(command->libexec);
    *command = (struct command){0};
}
