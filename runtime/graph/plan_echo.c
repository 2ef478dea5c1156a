/* plan_echo.c - see plan_echo.h.
 *
 * The host is a producer like any other: a node of its own in the plan, with
 * outputs, records and a heap, so that what it sends has a queue per input, is
 * dropped or waits as that input says, and is held by receivers in the way of
 * all messages. An output `x` of a node that sends its lines as `x` is the
 * node's, which may send there as well: subscribers are fed by both, from a
 * queue each (plan.c).
 *
 * Each `dora/logs` input has an echo for itself, since it hears of everybody
 * but its own node. */
#include "plan_echo.h"

#include <string.h>

/* Whether the node's records go where its lines go. */
static bool
are_one(const struct dora__graph_node *node)
{
    return node->send_stdout_as != NULL && node->send_logs_as != NULL &&
           strcmp(node->send_stdout_as, node->send_logs_as) == 0;
}

size_t
dora__echo_count(const struct dora__graph *graph)
{
    size_t count = 0;

    for (size_t n = 0; n < graph->node_count; n++) {
        const struct dora__graph_node *node = &graph->nodes[n];

        count += (node->send_stdout_as != NULL) + (node->send_logs_as != NULL) -
                 are_one(node);
        for (size_t i = 0; i < node->input_count; i++)
            count += node->inputs[i].kind == DORA__INPUT_LOGS;
    }
    return count;
}

/* The next echo; `id` is the output's, for messages. */
static void
add(struct dora__reader *r, struct dora__plan *plan, const char *id,
    const struct dora__plan_echo *echo)
{
    struct dora__graph_node *host = &plan->host;

    plan->echoes[host->output_count] = *echo;
    host->outputs[host->output_count++].id = dora__copy_text(r, id);
}

static void
add_of_node(struct dora__reader *r, struct dora__plan *plan, uint32_t number)
{
    const struct dora__graph_node *node = &plan->graph->nodes[number];
    struct dora__plan_echo echo = {.about = number,
                                   .consumer = DORA__EVERYBODY};

    if (node->send_stdout_as != NULL) {
        echo.lines = true;
        echo.records = are_one(node);
        add(r, plan, node->send_stdout_as, &echo);
    }
    if (node->send_logs_as != NULL && !are_one(node)) {
        echo.lines = false;
        echo.records = true;
        add(r, plan, node->send_logs_as, &echo);
    }
}

static uint32_t
heard_of(const struct dora__graph *graph, const struct dora__graph_input *input)
{
    int number = input->log_node == NULL
                     ? -ENOENT
                     : dora__graph_find(graph, input->log_node);

    return number < 0 ? DORA__EVERYBODY : (uint32_t)number;
}

static void
add_of_inputs(struct dora__reader *r, struct dora__plan *plan, uint32_t number)
{
    const struct dora__graph_node *node = &plan->graph->nodes[number];

    for (size_t i = 0; i < node->input_count; i++) {
        const struct dora__graph_input *input = &node->inputs[i];
        struct dora__plan_echo echo = {
            .records = true, .consumer = number, .level = input->log_level};

        if (input->kind != DORA__INPUT_LOGS)
            continue;
        echo.about = heard_of(plan->graph, input);
        add(r, plan, input->source, &echo);
    }
}

void
dora__echo_plan(struct dora__reader *r, struct dora__plan *plan)
{
    struct dora__graph_node *host = &plan->host;

    if (plan->echo_count == 0)
        return;
    host->id = dora__copy_text(r, "dora");
    host->path = dora__copy_text(r, "");
    host->config = dora__copy_text(r, "{}");
    host->outputs = dora__new_array(r, plan->echo_count, sizeof *host->outputs);
    plan->echoes = dora__new_array(r, plan->echo_count, sizeof *plan->echoes);
    for (uint32_t n = 0; n < plan->graph->node_count && !r->no_memory; n++) {
        add_of_node(r, plan, n);
        add_of_inputs(r, plan, n);
    }
}

bool
dora__echo_has(const struct dora__graph_node *node, const char *output)
{
    return (node->send_stdout_as != NULL &&
            strcmp(node->send_stdout_as, output) == 0) ||
           (node->send_logs_as != NULL &&
            strcmp(node->send_logs_as, output) == 0);
}

/* Those of a node are in the order of its inputs. */
static uint32_t
find_logs(const struct dora__plan *plan, uint32_t consumer,
          const struct dora__graph_input *input)
{
    const struct dora__graph_input *inputs =
        plan->graph->nodes[consumer].inputs;
    uint32_t skipped = 0, i = 0;

    for (; inputs < input; inputs++)
        skipped += inputs->kind == DORA__INPUT_LOGS;
    while (plan->echoes[i].consumer != consumer || skipped-- > 0)
        i++;
    return i;
}

uint32_t
dora__echo_find(const struct dora__plan *plan, uint32_t consumer,
                const struct dora__graph_input *input)
{
    const struct dora__graph_node *source;
    uint32_t i = 0;

    if (input->kind == DORA__INPUT_LOGS)
        return find_logs(plan, consumer, input);
    source = &plan->graph->nodes[input->node];
    while (plan->echoes[i].about != input->node ||
           plan->echoes[i].consumer != DORA__EVERYBODY ||
           strcmp(plan->host.outputs[i].id,
                  source->outputs[input->output].id) != 0)
        i++;
    return i;
}

void
dora__echo_fini(struct dora__plan *plan)
{
    for (size_t i = 0; i < plan->host.output_count; i++)
        free(plan->host.outputs[i].id);
    free(plan->host.outputs);
    free(plan->host.id);
    free(plan->host.path);
    free(plan->host.config);
    free(plan->echoes);
}
