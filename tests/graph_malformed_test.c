/* graph_malformed_test.c - files that are wrong, one way each.
 *
 * A `^` in a text stands where the complaint must point; it is taken out before
 * the text is read. Each file has exactly one thing wrong, so exactly one error
 * must be told, whose text holds the phrase. */
#include "graph/graph.h"
#include "graph/plan.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define A "nodes:\n  - id: a\n    path: a.py\n"
#define B "  - id: b\n    path: b.py\n    outputs: [image, depth]\n"
#define KEY(key, value) A "    " key ": ^" value "\n"
#define SOURCE(source) A "    inputs:\n      in: ^" source "\n" B
#define OPERATOR(block) "nodes:\n  - id: a\n    operator: " block "\n"
#define OPERATORS(list) "nodes:\n  - id: a\n    operators: " list "\n"
#define SINK(source) "  - id: s\n    path: s.py\n    inputs: {in: " source "}\n"
#define LONG(key, value) \
    A "    inputs: {in: {source: b/image, " key ": ^" value "}}\n" B

static const struct {
    const char *text, *phrase;
} cases[] = {
    /* not YAML, or not of the part of it that is taken */
    {"^", "the file is empty"},
    {"^# nothing but a comment\n", "the file is empty"},
    {"nodes: [\n^", "while parsing a flow node from line"},
    {"nodes: [^}", "not valid YAML"},
    {"nodes:\n^\t- id: a\n", "a tab cannot indent"},
    {"nodes: []\n ^nodez: []\n", "not valid YAML"},
    {"a: \"b\n^", "while scanning a quoted scalar from line 1"},
    {"env:\n  A: 1^: 2\nnodes: []\n", "not valid YAML"},
    {"nodes: []\n%YAML^", "%YAML directive"},
    {"nodes: []\n^\x01", "not valid YAML: control characters"},
    {"nodes: [^\xFF]\n", "byte 0xFF"},
    {"nodes: [\xC3\xA9\xC3^]\n", "invalid trailing UTF-8"},
    {"^\xFF\xFEn\1", "UTF-16"},
    {"nodes: []\n^---\nnodes: []\n", "a second document"},
    {"nodes: []\n^nodes: []\n", "`nodes` is given twice (first in line 1)"},
    {"nodes: ^!!seq []\n", "tag `tag:yaml.org,2002:seq`"},
    {"env: {A: ^!secret x}\nnodes: []\n", "the tag `!secret`"},
    {"nodes: ^*list\n", "the alias `*list` has no anchor"},
    {"nodes: &a [^*a]\n", "the alias `*a` has no anchor"},
    {"env: {^[a]: 1}\nnodes: []\n", "a key must be a string"},
    {"env: {? ^{a: 1} : 1}\nnodes: []\n", "a key must be a string"},
    {"env: {^&a A: 1}\nnodes: []\n", "a key cannot have an anchor"},
    {"env: {A: &a x, ^*a : 1}\nnodes: []\n", "a key cannot be an alias"},
    {"x: &x {id: a}\nnodes: [{^<<: *x, path: b}]\n", "merge keys"},
    {"env: {A: ^\"\\0\"}\nnodes: []\n", "NUL"},
    {"env: {^\"\\0\": a}\nnodes: []\n", "NUL"},

    /* the file as a whole */
    {"^[]", "a dataflow is a map"},
    {"^just words", "not `just words`"},
    {"^env: {}\n", "`nodes` is missing"},
    {"nodes:^\n", "must be a list"},
    {"nodes: ^{}\n", "`nodes` must be a list, not a map"},
    {"nodes: ^camera\n", "`nodes` must be a list, not `camera`"},
    {"nodes: []\n^node: []\n", "did you mean `nodes`?"},
    {"nodes: []\n^name: x\n", "unknown key `name`: a dataflow has"},
    {"nodes: []\n^version: 1\n", "unknown key `version`"},
    {"nodes: []\n^communication: {}\n", "gone since dora 1.0"},
    {"nodes: []\n^_unstable_deploy: {}\n", "gone since dora 1.0"},
    {"nodes: []\n^_unstable_debug: {}\n", "write `debug`"},
    {"nodes: []\n^deploy: {machine: x}\n", "does not support `deploy`"},
    {"nodes: []\nenv: ^[A]\n", "`env` must be a map"},
    {"nodes: []\nstrict_types: ^1\n", "must be `true` or `false`, not `1`"},
    {"nodes: []\nexit_when_nodes_finish: ^yes\n", "`true` or `false`"},
    {"nodes: []\nhealth_check_interval: ^0\n", "must be above 0"},
    {"nodes: []\nhealth_check_interval: ^.inf\n", "finite number"},
    {"nodes: []\nhealth_check_interval: ^5s\n", "a number of seconds"},
    {"nodes: []\ndebug: ^true\n", "`debug` must be a map"},
    {"nodes: []\ndebug: {^enable: true}\n", "`debug`: unknown key `enable`"},
    {"nodes: []\ndebug: {enable_debug_inspection: ^1}\n", "`true` or"},
    {"nodes: []\ntype_rules: ^{}\n", "`type_rules` must be a list"},
    {"nodes: []\ntype_rules: [^x]\n", "a map with `from` and `to`"},
    {"nodes: []\ntype_rules: [^{from: a}]\n", "`to` is missing"},
    {"nodes: []\ntype_rules: [{from: a, to: b, ^fron: c}]\n",
     "did you mean `from`?"},

    /* nodes: what they are */
    {"nodes: [^a]\n", "a node must be a map"},
    {"nodes: [^[]]\n", "a node must be a map"},
    {"nodes:\n  - ^path: a.py\n", "a node has no `id`"},
    {"nodes:\n  - id: ^7\n    path: a\n", "quote it"},
    {"nodes:\n  - id: ^''\n    path: a\n", "is empty"},
    {"nodes:\n  - id: ^.a\n    path: a\n", "begin with a point"},
    {"nodes:\n  - id: ^a/b\n    path: a\n", "may hold only letters"},
    {"nodes:\n  - id: ^a b\n    path: a\n", "may hold only letters"},
    {"nodes:\n  - id: ^\u00fcber\n    path: a\n", "may hold only letters"},
    {"nodes:\n  - id: ^dora\n    path: a\n", "is reserved"},
    {A "  - id: ^a\n    path: b.py\n", "taken (line 2)"},
    {"nodes:\n  - ^id: a\n", "node `a`: a `path` is missing"},
    {"nodes:\n  - ^id: a\n    path:\n", "a `path` is missing"},
    {"nodes:\n  - id: a\n    path: ^[a]\n", "`path` must be a string"},
    {"nodes:\n  - id: a\n    path: ^''\n", "`path` is empty"},
    {"nodes:\n  - id: a\n    path: ^https://x.org/y\n", "downloading"},
    {A "    ^operator: {python: b.py}\n", "exclude each other"},
    {A "    ^module: m.yml\n", "`path` and `module` exclude"},
    {"nodes:\n  - id: a\n    ^ros2: {}\n", "ROS 2 nodes (`ros2`) are not"},
    {"nodes:\n  - id: a\n    ^module: m.yml\n", "module nodes (`module`) are"},
    {"nodes:\n  - id: a\n    ^hub: x@1\n", "hub nodes (`hub`) are not"},
    {A "    ^branch: main\n", "`branch` needs a `git` source"},
    {A "    git:\n    ^rev: abcd\n", "`rev` needs a `git` source"},
    {A "    git: x\n    branch: a\n    ^tag: b\n",
     "`branch` and `tag` exclude each other"},
    {KEY("git", "''"), "`git` `` is empty"},
    {KEY("git", "7"), "`git` must be a string"},
    {KEY("git", "--upload-pack=x"), "looks like an option"},
    {KEY("git", "ssh://-oProxyCommand=x/y"), "looks like an option"},
    {KEY("git", "ext::sh"), "is of no kind that is fetched"},
    {KEY("git", "ftp://x.org/y"), "is of no kind that is fetched"},
    {KEY("git", "\"a\\nb\""), "holds a control character"},
    {A "    git: x\n    branch: ^-b\n", "`branch` `-b` looks like an option"},
    {A "    git: x\n    branch: ^a b\n", "holds a character that no name"},
    {A "    git: x\n    branch: ^a*\n", "holds a character that no name"},
    {A "    git: x\n    branch: ^a..b\n", "is no name in git"},
    {A "    git: x\n    branch: ^a//b\n", "is no name in git"},
    {A "    git: x\n    branch: ^x/.y\n", "is no name in git"},
    {A "    git: x\n    tag: ^v1.lock\n", "is no name in git"},
    {A "    git: x\n    tag: ^'@'\n", "is no name in git"},
    {A "    git: x\n    rev: ^abc\n", "`rev` `abc` is no commit's id"},
    {A "    git: x\n    rev: ^main\n", "`rev` `main` is no commit's id"},
    {A "    git: x\n    rev: ^1234567\n", "quote it"},
    {A "    ^params: {a: b}\n", "`params` is not allowed on path nodes"},
    {A "    ^deploy: {machine: x}\n", "does not support `deploy`"},
    {A "    ^custom: {source: x}\n", "`custom` is gone"},
    {A "    ^inptus: {}\n", "did you mean `inputs`?"},
    {A "    ^output: []\n", "did you mean `outputs`?"},
    {A "    ^Env: {}\n", "did you mean `env`?"},
    {A "    ^restart-policy: never\n", "did you mean `restart_policy`?"},
    {A "    ^zzzzzzzzz: {}\n", "node `a`: unknown key `zzzzzzzzz`"},

    /* nodes: what their keys say */
    {KEY("name", "7"), "`name` must be a string (quote it"},
    {KEY("description", "[]"), "`description` must be a string, not a list"},
    {KEY("args", "[--fps, '30']"), "`args` must be a string, not a list"},
    {KEY("args", "5"), "quote it"},
    {KEY("args", "--name \"b"), "a \" is not closed"},
    {KEY("args", "it's"), "a ' is not closed"},
    {KEY("args", "a\\"), "a \\ stands at the end"},
    {KEY("path_sha256", "abc"), "64 hexadecimal digits"},
    {KEY("outputs", "image"), "`outputs` must be a list, not `image`"},
    {KEY("outputs", "{image: x}"), "`outputs` must be a list, not a map"},
    {A "    outputs: [^1]\n", "an output's id must be a string"},
    {A "    outputs: [a, ^a b]\n", "the output's id `a b` may hold only"},
    {A "    outputs: [^/a]\n", "on both sides of each `/`"},
    {A "    outputs: [^a/]\n", "on both sides of each `/`"},
    {A "    outputs: [^a//b]\n", "on both sides of each `/`"},
    {A "    outputs: [^'']\n", "the output's id `` is empty"},
    {KEY("input_types", "[]"), "`input_types` must be a map"},
    {KEY("output_types", "x"), "`output_types` must be a map"},
    {A "    outputs: [o]\n    output_types: {o: ^3}\n", "`o` must be a str"},
    {A "    outputs: [o]\n    output_framing: {o: ^arow-ipc}\n",
     "did you mean `arrow-ipc`?"},
    {A "    outputs: [o]\n    output_metadata: {o: ^key}\n", "must be a list"},
    {A "    outputs: [o]\n    output_metadata: {o: [^1]}\n",
     "each item must be a string"},
    {KEY("build", "[pip]"), "`build` must be a string"},
    {KEY("send_stdout_as", "log"), "not among the node's `outputs`"},
    {A "    outputs: [logs]\n    send_logs_as: ^log\n", "did you mean `logs`?"},
    {KEY("min_log_level", "warning"), "did you mean `warn`?"},
    {KEY("max_log_size", "1TB"), "a size such as"},
    {KEY("max_log_size", "-1"), "a size such as"},
    {KEY("max_log_size", "99999999999999999999GB"), "a size such as"},
    {KEY("max_rotated_files", "0"), "from 1 to 100, not `0`"},
    {KEY("max_rotated_files", "101"), "from 1 to 100, not `101`"},
    {KEY("restart_policy", "on_failure"), "did you mean `on-failure`?"},
    {KEY("restart_policy", "true"), "must be `never`, `on-failure` or"},
    {KEY("max_restarts", "-1"), "from 0 to 4294967295, not `-1`"},
    {KEY("max_restarts", "4294967296"), "not `4294967296`"},
    {KEY("max_restarts", "1.5"), "not `1.5`"},
    {KEY("restart_delay", "-0.1"), "0 or more, not `-0.1`"},
    {KEY("max_restart_delay", ".nan"), "a finite number of seconds"},
    {KEY("restart_window", ".inf"), "a finite number of seconds"},
    {KEY("restart_window", "1e300"), "a finite number of seconds"},
    {KEY("health_check_timeout", "\"5\""), "a number of seconds, not `5`"},
    {KEY("finish_grace_secs", "[]"), "a number of seconds, not a list"},
    {KEY("shared_memory_pool_size", "1 XB"), "a size such as"},
    {KEY("shared_memory_pool_size", "MB"), "a size such as"},
    {KEY("shared_memory_pool_size", "1.5"), "a size such as"},
    {KEY("cpu_affinity", "0"), "`cpu_affinity` must be a list"},
    {A "    cpu_affinity: [0, ^-1]\n", "numbers of cores"},
    {A "    cpu_affinity: [^'0']\n", "numbers of cores"},
    {KEY("isolation", "thread"), "must be `auto`, `interpreter` or `process`"},
    {KEY("isolation", "proces"), "did you mean `process`?"},
    {KEY("python", "3.11"), "`python` must be a string (quote it"},
    {KEY("python", "''"), "`python` is empty"},
    {KEY("heap_limit", "0"), "must be above 0"},
    {KEY("heap_limit", "lots"), "a size such as"},
    {KEY("heap_full", "block"), "must be `error` or `wait`"},

    /* operators */
    {OPERATOR("^x.py"), "an operator must be a map with `python`, not `x.py`"},
    {OPERATOR("^{outputs: [o]}"), "the operator has no `python`"},
    {OPERATOR("^{python: }"), "the operator has no `python`"},
    {OPERATOR("{python: ^''}"), "`python` is empty"},
    {OPERATOR("{python: ^7}"), "quote it"},
    {OPERATOR("{python: ^[x.py]}"), "`python` must be a string, not a list"},
    {OPERATOR("{python: ^x}"), "`python` must name a file that ends in .py"},
    {OPERATOR("{python: ^.py}"), "a file that ends in .py, not `.py`"},
    {OPERATOR("{python: ^https://x.org/y.py}"), "downloading"},
    {OPERATOR("{python: ^{conda_env: }}"), "`python` has no `source`"},
    {OPERATOR("{python: {source: ^x}}"), "`source` must name a file that"},
    {OPERATOR("{python: {source: x.py, ^conda_env: e}}"),
     "`conda_env` is not supported by this version: give the node itself"},
    {OPERATOR("{^shared-library: x}"), "`shared-library` operators are not"},
    {OPERATOR("{^wasm: x}"), "`wasm` operators are not supported: only"},
    {OPERATOR("{python: x.py, id: ^a b}"), "the operator's id `a b` may hold"},
    {OPERATOR("{python: x.py, id: ^1}"), "quote it"},
    {OPERATOR("{python: x.py, inputs: ^[]}"), "`inputs` must be a map"},
    {OPERATOR("{python: x.py, inputs: {i: ^b/x}}"), "there is no node `b`"},
    {OPERATOR("{python: x.py, outputs: [o], send_stdout_as: ^p}"),
     "not among the node's `outputs`"},
    {OPERATOR("{python: x.py, min_log_level: ^warning}"), "`warn`?"},
    {OPERATOR("{python: x.py}\n    ^inputs: {}"),
     "`inputs` is not allowed on operator nodes: move it into the operator's"},
    {OPERATOR("{python: x.py}\n    ^build: make"), "move it into the"},
    {OPERATOR("{python: x.py}\n    ^restart_policy: always"),
     "`restart_policy` is not allowed on operator nodes"},
    {OPERATOR("{python: x.py}\n    ^args: x"), "`args` is not allowed on op"},
    {OPERATOR("{python: x.py, outputs: [o]}") SINK("^a/op/o"),
     "no output `op/o`; did you mean `o`?"},
    {OPERATORS("^{}"), "`operators` must be a list, not a map"},
    {OPERATORS("^[]"), "`operators` lists no operator"},
    {OPERATORS("[^x.py]"), "an operator must be a map"},
    {OPERATORS("[^{python: x.py}]"), "needs an `id`"},
    {OPERATORS("[^{python: x.py}]") SINK("a/op/o"), "needs an `id`"},
    {OPERATORS("[{id: p, python: x.py}, ^{id: q, python: y.py}]"),
     "several Python operators in one node are not supported"},
    {OPERATORS("[{id: p, python: x.py}, ^{id: q, python: y.py}]") SINK("a/q/o"),
     "give this one a node of its own"},
    {OPERATORS("[{id: p, python: x.py, outputs: [o]}]") SINK("^a/o"),
     "the operator of node `a` is `p`: its outputs are NODE/OPERATOR/OUTPUT, "
     "not `o`"},
    {OPERATORS("[{id: p, python: x.py, outputs: [o]}]") SINK("^a/q/o"),
     "not `q"},
    {OPERATORS("[{id: p, python: x.py, outputs: [out]}]") SINK("^a/p/oot"),
     "node `a` has no output `p/oot`; did you mean `out`?"},

    /* variables */
    {A "    env: {A: ^[1]}\n", "`A` must be a string, a number or a boolean"},
    {A "    env: {A: ^}\n", "not nothing"},
    {A "    env: {A: ^$NOT_DEFINED}\n", "undefined variable `$NOT_DEFINED`"},
    {A "    env: {A: ^'x${NOT_DEFINED}'}\n", "`$NOT_DEFINED`"},
    {A "    env: {A: ^'${HOME'}\n", "malformed `${`"},
    {A "    env: {A: ^'${}'}\n", "malformed `${`"},
    {A "    env: {A: ^'${HOME:x}'}\n", "malformed `${`"},
    {A "    env: {DORA_ISOLATION: ^thread}\n", "`DORA_ISOLATION` must be"},
    {"env: {DORA_ISOLATION: ^proces}\n" A, "did you mean `process`?"},
    {"env: {A: ^$NOT_DEFINED}\n" A B, "`A` uses the undefined variable"},

    /* inputs */
    {KEY("inputs", "[b/image]"), "`inputs` must be a map"},
    {A "    inputs: {^'a b': b/image}\n" B, "the input's id `a b` may hold"},
    {A "    inputs: {^a/: b/image}\n" B, "on both sides of each `/`"},
    {SOURCE("image"), "must begin with `<node>/`"},
    {SOURCE("''"), "must begin with `<node>/`"},
    {SOURCE("7"), "a source such as"},
    {SOURCE("[b/image]"), "a source such as"},
    {A "    inputs: {in: ^}\n", "a `source` is missing"},
    {A "    inputs: {in: ^{queue_size: 1}}\n", "a `source` is missing"},
    {A "    inputs: {in: {source: ^7}}\n", "`source` must be a string"},
    {SOURCE("/image"), "the node's id in the source `/image` is empty"},
    {SOURCE("b b/image"), "the node's id in the source `b b/image` may hold"},
    {SOURCE("b/"), "the output's id in the source `b/` is empty"},
    {SOURCE("b//image"), "on both sides of each `/`"},
    {SOURCE("b/ima ge"), "the output's id in the source"},
    {SOURCE("c/image"), "there is no node `c`"},
    {SOURCE("B/image"), "there is no node `B`; did you mean `b`?"},
    {SOURCE("b/imgae"), "no output `imgae`; did you mean `image`?"},
    {SOURCE("b/Image"), "no output `Image`; did you mean `image`?"},
    {SOURCE("b/sound"), "node `b` has no output `sound`"},
    {SOURCE("a/image"), "it declares no `outputs`"},
    {A "    outputs: ^x\n    send_stdout_as: x\n  - id: b\n    path: b.py\n"
       "    inputs: {in: a/x}\n",
     "`outputs` must be a list, not `x`"},
    {SOURCE("b/op/image"), "node `b` has no output `op/image`"},
    {SOURCE("dora/timers/secs/1"), "unknown dora input"},
    {SOURCE("dora/"), "unknown dora input"},
    {SOURCE("dora/timer/"), "is not a timer"},
    {SOURCE("dora/timer/secs"), "is not a timer"},
    {SOURCE("dora/timer/minutes/1"), "`millis/N`"},
    {SOURCE("dora/timer/secs/0"), "a whole number above 0"},
    {SOURCE("dora/timer/secs/-1"), "a whole number above 0"},
    {SOURCE("dora/timer/millis/1.5"), "a whole number above 0"},
    {SOURCE("dora/timer/millis/"), "a whole number above 0"},
    {SOURCE("dora/timer/millis/10/x"), "a whole number above 0"},
    {SOURCE("dora/timer/millis/0x10"), "a whole number above 0"},
    {SOURCE("dora/timer/nanos/1"), "the shortest period"},
    {SOURCE("dora/timer/micros/9"), "the shortest period"},
    {SOURCE("dora/timer/hz/1e9"), "the shortest period"},
    {SOURCE("dora/timer/hz/0"), "a rate above 0"},
    {SOURCE("dora/timer/hz/-5"), "a rate above 0"},
    {SOURCE("dora/timer/hz/.nan"), "a rate above 0"},
    {SOURCE("dora/timer/hz/.inf"), "a rate above 0"},
    {SOURCE("dora/timer/hz/"), "a rate above 0"},
    {SOURCE("dora/logs/"), "unknown dora input"},
    {SOURCE("dora/logs/loud"), "the level must be"},
    {SOURCE("dora/logs/info/"), "the node's id is empty"},
    {SOURCE("dora/logs/info/a b"), "the node's id may hold only"},
    {LONG("queue_size", "-1"), "from 0 to 1048576, not `-1`"},
    {LONG("queue_size", "1048577"), "not `1048577`"},
    {LONG("queue_size", "99999999999999999999"), "from 0 to 1048576"},
    {LONG("queue_size", "ten"), "node `a`, input `in`: `queue_size` must be"},
    {LONG("queue_size", "'10'"), "not `10`"},
    {LONG("queue_size", "1.0"), "not `1.0`"},
    {LONG("queue_policy", "drop_newest"), "`drop_oldest` or `backpressure`"},
    {LONG("queue_policy", "back_pressure"), "did you mean `backpressure`?"},
    {LONG("input_timeout", "-1"), "a finite number of seconds"},
    {LONG("input_timeout", "soon"), "a number of seconds"},

    /* inputs that make producers wait for each other */
    {A "    outputs: [o]\n"
       "    inputs: {i: {queue_policy: backpressure, source: ^a/o}}\n",
     "a cycle of `backpressure` inputs can block for ever, each waiting for "
     "the next: `a` -> `a`"},
    {A "    outputs: [o]\n"
       "    inputs: {i: {queue_policy: backpressure, source: c/o}}\n"
       "  - {id: b, path: b, outputs: [o],\n"
       "     inputs: {i: {queue_policy: backpressure, source: ^a/o}}}\n"
       "  - {id: c, path: c, outputs: [o],\n"
       "     inputs: {i: {queue_policy: backpressure, source: b/o}}}\n",
     "each waiting for the next: `b` -> `c` -> `a` -> `b`"},
};

struct told {
    unsigned errors, line, column;
    char text[1024];
};

static void
take_problem(void *arg, const struct dora_problem *problem)
{
    struct told *told = arg;

    if (problem->warning)
        return;
    if (told->errors++ > 0)
        return;
    told->line = problem->line;
    told->column = problem->column;
    (void)snprintf(told->text, sizeof told->text, "%s", problem->text);
}

/* The text without its `^`, and where that was. */
static size_t
unmark(const char *marked, char *text, unsigned *line, unsigned *column)
{
    const char *mark = strchr(marked, '^');

    assert_non_null(mark);
    assert_null(strchr(mark + 1, '^'));
    *line = *column = 1;
    for (const char *p = marked; p < mark; p++)
        if (*p == '\n') {
            ++*line;
            *column = 1;
        } else if ((*p & 0xC0) != 0x80) {
            ++*column;
        }
    memcpy(text, marked, (size_t)(mark - marked));
    memcpy(text + (mark - marked), mark + 1, strlen(mark));
    return strlen(text);
}

static void
test_graph_malformed_is_told_once_with_its_place(void **state)
{
    static const char *const environment[] = {"HOME=/home/me", NULL};
    size_t failures = 0;

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(cases); i++) {
        struct told told = {0};
        const struct dora__graph_context context = {
            .file = "bad.yml",
            .problem = take_problem,
            .problem_arg = &told,
            .environment = environment,
        };
        struct dora__graph graph;
        struct dora_error err = {""};
        unsigned line, column;
        char text[1024], expected[1200];
        size_t size = unmark(cases[i].text, text, &line, &column);
        int rc = dora__graph_load(text, size, &context, &graph, &err);

        if (rc == 0)
            dora__graph_fini(&graph);
        (void)snprintf(expected, sizeof expected, "bad.yml:%u:%u: %s",
                       told.line, told.column, told.text);
        if (rc == -EINVAL && told.errors == 1 && told.line == line &&
            told.column == column && strstr(told.text, cases[i].phrase) &&
            strcmp(expected, err.text) == 0)
            continue;
        failures++;
        print_error(
            "case %zu: %s\n  wanted %u:%u: %s\n  got %d, %u errors: %s\n", i,
            cases[i].text, line, column, cases[i].phrase, rc, told.errors,
            err.text);
    }
    assert_int_equal(failures, 0);
    assert_true(DORA_COUNT(cases) >= 100);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_graph_malformed_is_told_once_with_its_place),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
