/* launcher.c - the Python node kind: which nodes are Python, which interpreter
 * each one gets and why, and what is executed for it.
 *
 * Which nodes: a path that ends in .py, operators among them; an interpreter
 * (`path: python` with args); a console script, that is a program whose first
 * line names a Python.
 *
 * Which interpreter: the one that choice.c finds asked for, else the first one
 * that dora-run was built for. What was asked for, by name or by activating it,
 * is used or refused; only what nobody asked for gives way, and `reason` says
 * so. One that dora-run was not built for runs with the module that is for all
 * of them.
 *
 * Where: as `isolation` says, which by itself leaves it to auto.h. All nodes
 * inside the host share one build of Python; one that asks for the host and for
 * another Python is refused. */
#include "auto.h"
#include "choice.h"
#include "host/kind.h"
#include "inhost_load.h"
#include "interpreter.h"

#include <string.h>
#include <sys/stat.h>

/* What is being resolved. */
struct job {
    const struct dora__graph_node *node;
    const struct dora__site *site;
    struct dora__python_table table;
    char *script; /* absolute; NULL: args say what to run */
    char *named;  /* interpreter that the path names, or NULL */
    struct dora__python_choice request;    /* what was asked for */
    struct dora__python found;             /* what it is */
    const struct dora__python_build *host; /* of nodes inside; NULL: none */
    bool inside;                           /* in the host, not a process; */
    char *why_there;                       /* why */
};

static bool
has_suffix(const char *text, const char *suffix)
{
    size_t size = strlen(text), end = strlen(suffix);

    return size > end && !strcmp(text + size - end, suffix);
}

static int find_interpreter(const struct dora__graph_node *node,
                            const struct dora__site *site, char **ret_path,
                            struct dora_error *err);

/* What pip has installed beside the interpreter that the node would get: an
 * environment need not be active, nor its programs on PATH. */
static char *
find_beside_interpreter(const struct dora__graph_node *node,
                        const struct dora__site *site)
{
    DORA_AUTOFREE char *python = NULL, *program = NULL;
    char *path;

    if (strchr(node->path, '/') ||
        find_interpreter(node, site, &python, NULL) < 0)
        return NULL;
    program = dora__format("%.*s/%s", (int)(strrchr(python, '/') - python),
                           python, node->path);
    if (!program || dora__find_program(program, "/", NULL, &path) < 0)
        return NULL;
    return path;
}

/* The program the node's path means, not what pyenv puts before it; NULL: none
 * that can be executed. */
static char *
find_node_program(const struct dora__graph_node *node,
                  const struct dora__site *site)
{
    const struct dora__python_place place = {
        .libexec = site->libexec,
        .directory = site->directory,
        .environment = site->environment,
    };
    char *path, *program;
    int result = dora__find_program(node->path, site->directory,
                                    site->environment, &path);

    if (result == -ENOENT)
        return find_beside_interpreter(node, site);
    if (result < 0)
        return NULL;
    if (dora__pyenv_program(path, &place, &program) < 0)
        return path;
    free(path);
    return program;
}

static bool
claim(const struct dora__graph_node *node, const struct dora__site *site)
{
    char *interpreter;
    DORA_AUTOFREE char *program = NULL;

    if (has_suffix(node->path, ".py") || dora__python_named(node->path))
        return true;
    if (!strcmp(node->path, "shell") || !strcmp(node->path, "dynamic"))
        return false;
    program = find_node_program(node, site);
    if (!program || dora__python_shebang(program, &interpreter) < 0)
        return false;
    free(interpreter);
    return true;
}

/* --- what runs ------------------------------------------------------------ */

static int
find_script(struct job *job, struct dora_error *err)
{
    const struct dora__graph_node *node = job->node;
    const char *path = node->path;
    struct stat status;

    while (!strncmp(path, "./", 2))
        path += 2;
    job->script = *path == '/'
                      ? strdup(path)
                      : dora__format("%s/%s", job->site->directory, path);
    if (!job->script)
        return -ENOMEM;
    if (stat(job->script, &status) == 0) {
        if (S_ISREG(status.st_mode) && access(job->script, R_OK) == 0)
            return 0;
        return dora__fail(err, EACCES,
                          "node `%s`: source path `%s` is not a file that can "
                          "be read (%s)",
                          node->id, node->path, job->script);
    }
    if (node->build)
        return 0; /* may be made before the node starts */
    return dora__fail(err, ENOENT,
                      "node `%s`: could not find source path `%s`: no such "
                      "file in %s",
                      node->id, node->path, job->site->directory);
}

static int
find_console_script(struct job *job, struct dora_error *err)
{
    int result;

    job->script = find_node_program(job->node, job->site);
    result =
        job->script ? dora__python_shebang(job->script, &job->named) : -ENOENT;
    if (result == -ENOENT)
        return dora__fail(err, ENOENT,
                          "node `%s`: could not find source path `%s`",
                          job->node->id, job->node->path);
    return result;
}

/* Fills script and named from the node's path. */
static int
find_what(struct job *job, struct dora_error *err)
{
    const char *path = job->node->path;

    if (has_suffix(path, ".py"))
        return find_script(job, err);
    if (!dora__python_named(path))
        return find_console_script(job, err);
    if (!job->node->arg_count)
        return dora__fail(err, EINVAL,
                          "node `%s`: `path: %s` needs `args` that say what it "
                          "is to run, as in `args: -m package.module`",
                          job->node->id, path);
    job->named = strdup(path);
    return job->named ? 0 : -ENOMEM;
}

/* --- which interpreter ---------------------------------------------------- */

static int
choose(struct job *job, struct dora_error *err)
{
    const struct dora__python_question question = {
        .node = job->node,
        .site = job->site,
        .table = &job->table,
        .named = job->named,
        .script = job->script,
    };

    return dora__python_choose(&question, &job->request, err);
}

/* "3.11.2 (/usr/bin/python3.11), 3.13.0 (...)" */
static char *
list_builds(const struct dora__python_table *table)
{
    struct dora__text list = {0};

    for (size_t i = 0; i < table->count; i++)
        dora__text_printf(&list, "%s%s (%s)", i ? ", " : "",
                          table->builds[i].version, table->builds[i].base);
    if (!list.failed)
        return list.text;
    free(list.text);
    return NULL;
}

static int
refuse(const struct job *job, struct dora_error *err)
{
    DORA_AUTOFREE char *builds = list_builds(&job->table);

    if (job->found.obstacle)
        return dora__fail(
            err, EINVAL, "node `%s`: %s: Python %s (%s) cannot run nodes: %s",
            job->node->id, job->request.reason,
            job->found.version ? job->found.version : "of unknown version",
            job->request.path ? job->request.path : "none",
            job->found.obstacle);
    return dora__fail(
        err, EINVAL,
        "node `%s`: %s: Python %s (%s), but dora-run was built for %s; for "
        "this one too: `python3 configure.py --python %s` and `ninja`",
        job->node->id, job->request.reason,
        job->found.version ? job->found.version : "of unknown version",
        job->request.path ? job->request.path : "none",
        builds ? builds : "others",
        job->request.path ? job->request.path : "PYTHON");
}

/* Nobody asked for what was found: this build will do. */
static int
give_way(struct job *job, const struct dora__python_build *build,
         const char *what)
{
    char *reason = job->request.path
                       ? dora__format("%s, not %s (%s)", what,
                                      job->request.reason, job->request.path)
                       : dora__format("%s; %s", what, job->request.reason);

    dora__python_fini(&job->found);
    job->found = (struct dora__python){
        .executable = strdup(build->base),
        .version = strdup(build->version),
        .build = build,
    };
    free(job->request.reason);
    job->request.reason = reason;
    return reason && job->found.executable && job->found.version ? 0 : -ENOMEM;
}

static int
identify(struct job *job, struct dora_error *err)
{
    const struct dora__python_place place = {
        .libexec = job->site->libexec,
        .directory = job->site->directory,
        .environment = job->site->environment,
    };
    const struct dora__python_choice *request = &job->request;
    int result;

    if (request->path) {
        result = dora__python_identify(&job->table, request->path, &place,
                                       request->required, &job->found);
        if (result == -ENOMEM)
            return result;
        if (result < 0 && request->required)
            return dora__fail(err, EINVAL,
                              "node `%s`: %s: `%s` does not run as a Python 3",
                              job->node->id, request->reason, request->path);
    }
    if (job->found.build || job->found.stable)
        return 0;
    return request->required || !job->table.count
               ? refuse(job, err)
               : give_way(job, &job->table.builds[0],
                          "the first Python dora-run was built for");
}

/* --- where ---------------------------------------------------------------- */

static bool
is_script(const struct job *job)
{
    return job->script && has_suffix(job->script, ".py");
}

static bool
is_free_threaded(const struct job *job)
{
    return job->found.build &&
           dora__python_free_threaded(job->found.build->version);
}

static int
enter_host(struct job *job, struct dora_error *err)
{
    const struct dora__python_build *build = job->host;
    const char *id = job->node->id;

    if (!is_script(job))
        return dora__fail(err, EINVAL,
                          "node `%s`: `isolation: interpreter` is for a `path` "
                          "that ends in .py",
                          id);
    if (job->request.required && is_free_threaded(job))
        return dora__fail(err, EINVAL,
                          "node `%s`: `isolation: interpreter` is not for a "
                          "free-threaded Python, whose nodes are processes; "
                          "%s: %s (%s)",
                          id, job->request.reason, job->found.version,
                          job->request.path);
    if (!build)
        return dora__fail(err, EINVAL,
                          "node `%s`: `isolation: interpreter` needs a "
                          "dora-run that was built for Python 3.13 or newer",
                          id);
    job->inside = true;
    if (job->found.build == build)
        return 0;
    if (job->request.required)
        return dora__fail(
            err, EINVAL,
            "node `%s`: `isolation: interpreter` runs it on Python %s (%s), "
            "but %s: %s; leave one of the two away",
            id, build->version, build->base, job->request.reason,
            job->request.path);
    return give_way(job, build, "the Python inside dora-run");
}

/* What was found out about files, kept where the run keeps it; if it does not,
 * in *own, which is the caller's to free. NULL: no memory. */
static struct dora__scan *
find_scan(const struct dora__site *site, struct dora__scan **own)
{
    if (!site->memory)
        return *own = dora__scan_new(site->directory);
    if (!*site->memory)
        *site->memory = dora__scan_new(site->directory);
    return *site->memory;
}

static int
choose_tier(struct job *job)
{
    struct dora__scan *own = NULL;
    const struct dora__auto question = {
        .node = job->node,
        .site = job->site,
        .script = is_script(job) ? job->script : NULL,
        .python = &job->found,
        .host = job->host,
        .scan = find_scan(job->site, &own),
    };
    int result = -ENOMEM;

    if (question.scan)
        result = dora__auto_inside(&question, &job->why_there);
    dora__scan_free(own);
    job->inside = result > 0;
    return result < 0 ? result : 0;
}

/* The one place that decides on the tier. */
static int
settle(struct job *job, struct dora_error *err)
{
    bool inside = job->node->isolation == DORA__ISOLATION_INTERPRETER;

    if (job->node->isolation == DORA__ISOLATION_AUTO)
        return choose_tier(job);
    job->why_there =
        dora__format("`isolation: %s`", inside ? "interpreter" : "process");
    if (!job->why_there)
        return -ENOMEM;
    return inside ? enter_host(job, err) : 0;
}

/* --- what to execute ------------------------------------------------------ */

static const char *
program_of(const struct job *job)
{
    return job->found.build ? job->found.build->program : job->table.stable;
}

static int
fill_argv(const struct job *job, struct dora__launch *launch)
{
    /* dora-python stands in for the interpreter: see kind.h. */
    if (dora__launch_push(&launch->argv, job->found.executable) < 0 ||
        dora__launch_push(&launch->argv, "-u") < 0)
        return -ENOMEM;
    if (job->node->is_operator &&
        (dora__launch_push(&launch->argv, "-c") < 0 ||
         dora__launch_push(&launch->argv, "import dora; dora.start_runtime()") <
             0))
        return -ENOMEM;
    if (job->script && dora__launch_push(&launch->argv, job->script) < 0)
        return -ENOMEM;
    if (job->node->is_operator) /* what operator.py takes */
        return dora__launch_push(&launch->argv, job->node->id);
    return dora__launch_arguments(launch, job->node);
}

/* Where programs that the script starts find `dora`: module/children.c. */
static int
fill_environment(const struct job *job, struct dora__launch *launch)
{
    DORA_AUTOFREE char *variable =
        dora__format("DORA_RUN_MODULE=%s/children", job->site->libexec);

    return variable ? dora__launch_push(&launch->env, variable) : -ENOMEM;
}

static int
fill(const struct job *job, struct dora__launch *launch)
{
    launch->program = strdup(program_of(job));
    launch->interpreter = dora__format("Python %s (%s)", job->found.version,
                                       job->found.executable);
    launch->reason =
        dora__format("%s; %s%s", job->why_there, job->request.reason,
                     job->found.build ? "" : "; by the module for any Python");
    if (!launch->program || !launch->interpreter || !launch->reason ||
        fill_argv(job, launch) < 0 || fill_environment(job, launch) < 0)
        return -ENOMEM;
    if (!job->inside)
        return 0;
    launch->tier = "interpreter";
    launch->load = dora__inhost_load;
    launch->library = dora__inhost_library(job->found.build);
    launch->base = strdup(job->found.build->base);
    return launch->library && launch->base ? 0 : -ENOMEM;
}

static int
prepare(struct job *job, struct dora__launch *launch, struct dora_error *err)
{
    int result = find_what(job, err);

    if (result == 0)
        result = dora__python_table_load(job->site->libexec, &job->table, err);
    if (result == 0)
        result = dora__inhost_build(&job->table, &job->host);
    if (result == 0)
        result = choose(job, err);
    if (result == 0)
        result = identify(job, err);
    if (result == 0)
        result = settle(job, err);
    if (result == 0 && access(program_of(job), X_OK) < 0)
        return dora__fail(err, ENOENT,
                          "node `%s`: %s cannot be executed: it runs the "
                          "nodes of Python %s; build it: `ninja`",
                          job->node->id, program_of(job), job->found.version);
    return result < 0 ? result : fill(job, launch);
}

static int
resolve(const struct dora__graph_node *node, const struct dora__site *site,
        struct dora__launch *ret_launch, struct dora_error *err)
{
    struct dora__launch launch = {
        .kind = node->is_operator ? "operator" : "python",
        .tier = "process",
        .attaches = true,
    };
    struct job job = {.node = node, .site = site};
    int result = prepare(&job, &launch, err);

    free(job.script);
    free(job.named);
    dora__python_choice_fini(&job.request);
    free(job.why_there);
    dora__python_fini(&job.found);
    dora__python_table_fini(&job.table);
    if (result == 0) {
        *ret_launch = launch;
        return 0;
    }
    if (result == -ENOMEM)
        dora__error_set(err, "node `%s`: out of memory", node->id);
    dora__launch_fini(&launch);
    return result;
}

/* Before the node's program is there, it can name none. */
static int
find_interpreter(const struct dora__graph_node *node,
                 const struct dora__site *site, char **ret_path,
                 struct dora_error *err)
{
    struct job job = {.node = node, .site = site};
    int result = dora__python_table_load(site->libexec, &job.table, NULL);

    if (result < 0)
        job.table = (struct dora__python_table){0};
    result = choose(&job, err);
    if (result == 0 && !job.request.path)
        result = -ENOENT;
    if (result == 0) {
        *ret_path = job.request.path;
        job.request.path = NULL;
    }
    dora__python_choice_fini(&job.request);
    dora__python_table_fini(&job.table);
    return result;
}

static void
forget(void *memory)
{
    dora__scan_free(memory);
}

const struct dora_kind dora_python = {
    .name = "python",
    .claims = claim,
    .resolve = resolve,
    .forget = forget,
    .interpreter = find_interpreter,
};

int
dora_python_builds(const char *libexec, char **ret_text, struct dora_error *err)
{
    const struct dora__python_build *host = NULL;
    struct dora__python_table table;
    struct dora__text text = {0};
    int result = dora__python_table_load(libexec, &table, err);

    if (result < 0)
        return result;
    text.failed = dora__inhost_build(&table, &host) < 0;
    for (size_t i = 0; i < table.count; i++)
        dora__text_printf(&text, "%s\t%s\t%s%s\n", table.builds[i].version,
                          table.builds[i].base, table.builds[i].program,
                          &table.builds[i] == host ? "\tinside" : "");
    dora__python_table_fini(&table);
    if (text.failed) {
        free(text.text);
        return -ENOMEM;
    }
    *ret_text = text.text;
    return 0;
}
