/* fuzz_graph.c - any text -> document -> graph -> plan -> drawing.
 *
 * Whatever the text: a failure tells an error with a place inside of it, a
 * success tells none, and a plan keeps the promises of plan.h. The first bytes
 * choose the machine. */
#include "graph/plan.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                     \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                        \
        }                                                                   \
    } while (0)

struct told {
    unsigned errors;
    unsigned lines; /* of the text: they may end in \r, and in three more */
};

static void
take_problem(void *arg, const struct dora_problem *problem)
{
    struct told *told = arg;

    MUST(problem->text[0] != '\0');
    MUST(strchr(problem->text, '\n') == NULL);
    MUST(problem->line <= told->lines);
    if (problem->warning)
        return;
    MUST(problem->line > 0 && problem->column > 0);
    told->errors++;
}

static void
check_plan(const struct dora__plan *plan, const struct dora__machine *machine)
{
    uint64_t at = 0, record = 0, bits = 0;

    for (uint32_t i = 0; i < plan->node_count; i++) {
        const struct dora__plan_node *node = &plan->nodes[i];

        MUST(node->heap_at == at && node->heap_limit > 0);
        MUST(node->heap_limit % machine->page_size == 0);
        MUST(node->prefault <= node->heap_limit);
        MUST(node->heap_range >= node->heap_limit);
        MUST(node->heap_range % machine->page_size == 0);
        MUST(!__builtin_add_overflow(at, node->heap_range, &at));
    }
    MUST(plan->heaps_size == at);
    MUST(machine->file_size == 0 || at <= machine->file_size);
    MUST(machine->address_space == 0 || at <= machine->address_space / 4);
    for (uint32_t i = 0; i < plan->output_count; i++) {
        MUST(plan->outputs[i].first_record == record);
        MUST(plan->outputs[i].subscriber_count <= DORA__MAX_SUBSCRIBERS);
        record += plan->outputs[i].record_limit;
    }
    MUST(plan->record_count == record && record <= DORA__ALL_RECORDS);
    for (uint32_t i = 0; i < plan->edge_count; i++) {
        const struct dora__plan_input *input = &plan->inputs[i];

        MUST(input->bound >= 1 && input->ring_slots >= input->bound);
        MUST((input->ring_slots & (input->ring_slots - 1)) == 0);
        MUST(input->kind != DORA__INPUT_TIMER ||
             input->period_ns >= DORA__MIN_PERIOD_NS);
        if (input->kind == DORA__INPUT_TIMER)
            continue;
        MUST(input->output < plan->output_count);
        MUST(input->bit >= 1 &&
             input->bit <= plan->outputs[input->output].subscriber_count);
        bits++;
    }
    for (uint32_t i = 0; i < plan->output_count; i++)
        bits -= plan->outputs[i].subscriber_count;
    MUST(bits == 0);
}

static void
plan_and_draw(const struct dora__graph *graph,
              const struct dora__graph_context *context, uint64_t memory)
{
    const struct dora__machine machine = {
        .page_size = 4096,
        .memory = memory & 1 ? 0 : memory << 20,
        .address_space = memory & 2 ? 0 : memory << 24,
        .file_size = memory & 4 ? 0 : memory << 20,
    };
    struct told *told = context->problem_arg;
    struct dora__text drawing = {0};
    struct dora_error err = {""};
    struct dora__plan plan;
    int rc = dora__plan_make(graph, &machine, context, &plan, &err);

    MUST(rc == 0 || rc == -EINVAL);
    MUST((rc == 0) == (told->errors == 0));
    if (rc == 0) {
        check_plan(&plan, &machine);
        dora__plan_fini(&plan);
    }
    dora__graph_mermaid(graph, &drawing);
    MUST(!drawing.failed);
    free(drawing.text);
}

/* What follows the first line `%%` is what every module's file has. */
struct module {
    const char *text;
    size_t size;
};

static int
read_module(void *arg, const char *path, char **ret_text, size_t *ret_size,
            struct dora_error *err)
{
    const struct module *module = arg;

    MUST(*path != '\0' && *path != '/' && strstr(path, "..") != path);
    if (module->text == NULL)
        return dora__fail(err, ENOENT, "there is none");
    *ret_text = malloc(module->size + 1);
    MUST(*ret_text != NULL);
    memcpy(*ret_text, module->text, module->size);
    (*ret_text)[module->size] = '\0';
    *ret_size = module->size;
    return 0;
}

static bool
has_module(void *arg, const char *path)
{
    (void)arg;
    return strlen(path) % 2 == 0;
}

static struct module
cut_module(const uint8_t *data, size_t *size)
{
    const char *mark = memmem(data, *size, "\n%%\n", 4);
    struct module module = {NULL, 0};

    if (mark != NULL) {
        module.text = mark + 4;
        module.size = *size - (size_t)(mark + 4 - (const char *)data);
        *size = (size_t)(mark + 1 - (const char *)data);
    }
    return module;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const environment[] = {"HOME=/home/me", "A=$A", NULL};
    struct told told = {.lines = (unsigned)size + 2};
    struct module module = cut_module(data, &size);
    const struct dora__graph_files files = {read_module, has_module, &module};
    const struct dora__graph_context context = {
        .file = "f",
        .files = &files,
        .problem = take_problem,
        .problem_arg = &told,
        .environment = environment,
        .env = environment,
    };
    struct dora__graph graph;
    struct dora_error err = {""};
    uint64_t memory = size > 0 ? data[size - 1] : 0;
    int rc;

    rc = dora__graph_load((const char *)data, size, &context, &graph, &err);
    MUST(rc == 0 || rc == -EINVAL);
    MUST((rc == 0) == (told.errors == 0));
    MUST((rc == 0) == (err.text[0] == '\0'));
    if (rc < 0)
        return 0;
    for (size_t i = 0; i < graph.node_count; i++) {
        MUST(dora__graph_find(&graph, graph.nodes[i].id) == (int)i);
        MUST(graph.nodes[i].path != NULL && graph.nodes[i].config != NULL);
    }
    MUST(graph.descriptor[0] == '{');
    plan_and_draw(&graph, &context, memory);
    dora__graph_fini(&graph);
    return 0;
}
