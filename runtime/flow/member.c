/* member.c - one node as its host sees it, until it runs: what its process is
 * given, where its output goes. Its end is told in member_end.c. All functions
 * run on the supervisor's thread, which alone moves `stage`. */
#include "dataflow.h"
#include "node/node.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { CONFIG_LIMIT = 100 << 10 }; /* the kernel allows 128 KiB a string */

extern char **environ;

/* --- questions ----------------------------------------------------------- */

/* A program that cannot attach can neither send nor receive in a dataflow; it
 * is run beside it and nobody waits for it. */
bool
dora__member_gates(const struct dora__member *member)
{
    return dora__member_inside(member) || member->launch.attaches;
}

/* What it prints (`echo`) may come until it is buried. */
static bool
will_not_send(const struct dora_dataflow *flow, size_t number, bool echo)
{
    const struct dora__member *member = &flow->members[number];

    if (echo || member->is_dynamic) /* it may come, or come again */
        return member->stage == DORA__STAGE_OVER;
    if (member->stage == DORA__STAGE_PLANNED || member->will_restart)
        return false;
    return member->stage >= DORA__STAGE_DEAD ||
           dora__plane_node_state(&flow->plane, (uint32_t)number) ==
               DORA__NODE_CLOSED;
}

bool
dora__member_unfed(const struct dora_dataflow *flow,
                   const struct dora__member *member)
{
    const struct dora__graph_node *node = member->node;
    const struct dora__plan_input *inputs =
        &flow->plan.inputs[flow->plan.nodes[member->number].first_input];
    bool fed = false;

    for (size_t i = 0; i < node->input_count; i++) {
        const struct dora__graph_input *input = &node->inputs[i];

        if (input->kind == DORA__INPUT_DATA) {
            if (!will_not_send(flow, input->node, inputs[i].twin != 0))
                return false;
            fed = true;
        } else if (!flow->plan.exit_when_nodes_finish) {
            return false;
        }
    }
    return fed;
}

void
dora__member_set_phase(struct dora_dataflow *flow, struct dora__member *member,
                       enum dora_node_phase phase)
{
    (void)pthread_mutex_lock(&flow->lock);
    member->phase = phase;
    (void)pthread_mutex_unlock(&flow->lock);
}

/* --- output -------------------------------------------------------------- */

struct source {
    struct dora_dataflow *flow;
    struct dora__member *member;
    enum dora_stream stream;
};

static void
take_line(void *arg, const char *text, size_t size)
{
    struct source *source = arg;

    dora__flow_line(source->flow, source->member, source->stream, text, size);
}

static struct source
source_of(struct dora_dataflow *flow, struct dora__member *member, int stream)
{
    return (struct source){
        flow, member, stream == 0 ? DORA_STREAM_STDOUT : DORA_STREAM_STDERR};
}

bool
dora__member_read(struct dora_dataflow *flow, struct dora__member *member,
                  int stream)
{
    struct source source = source_of(flow, member, stream);
    struct dora__output *output = &member->outputs[stream];
    int n;

    if (output->fd < 0)
        return false;
    n = dora__output_read(output, flow->buffer, DORA__READ_SIZE, take_line,
                          &source);
    if (n == 0)
        dora__output_close(output);
    return n == DORA__READ_SIZE;
}

/* What the dead node wrote is complete after this. What it left running may
 * hold the pipes open, so they are read on until they end. */
void
dora__member_drain(struct dora_dataflow *flow, struct dora__member *member)
{
    for (int stream = 0; stream < 2; stream++) {
        struct source source = source_of(flow, member, stream);

        dora__output_drain(&member->outputs[stream], flow->buffer,
                           DORA__READ_SIZE, take_line, &source);
    }
}

int
dora__member_open_output(struct dora_dataflow *flow,
                         struct dora__member *member, int stream, bool quiet,
                         int *ret_fd)
{
    struct dora__output *output = &member->outputs[stream];
    int code;

    dora__output_close(output); /* of an earlier incarnation */
    member->muted = false;
    code = dora__output_open(output, flow->pipe_size, ret_fd);
    if (code < 0 || quiet)
        return code;
    return dora__supervisor_listen(flow, output->fd, member, stream);
}

/* --- starting ------------------------------------------------------------ */

/* Its presence is how programs detect that they run in a dataflow. YAML is a
 * superset of JSON. */
static char *
node_config(const struct dora_dataflow *flow, const struct dora__member *member)
{
    const struct dora__graph_node *node = member->node;
    struct dora__text t = {0};

    dora__text_printf(&t, "{\"dataflow_id\":\"%s\",\"node_id\":", flow->id);
    dora__text_json(&t, node->id, strlen(node->id));
    dora__text_printf(&t, ",\"run_config\":%s,\"restart_count\":%u,",
                      node->config, member->restart_count);
    if (t.size + strlen(flow->graph.descriptor) < CONFIG_LIMIT)
        dora__text_printf(&t, "\"dataflow_descriptor\":%s,",
                          flow->graph.descriptor);
    dora__text_puts(&t, "\"dynamic\":false}");
    if (t.failed) {
        free(t.text);
        return NULL;
    }
    return t.text;
}

/* The file's `env`, what its kind asks for, and what the runtime says. */
int
dora__member_environment(const struct dora_dataflow *flow,
                         const struct dora__member *member,
                         struct dora__environment *e)
{
    DORA_AUTOFREE char *config = node_config(flow, member);
    const struct dora__graph_node *node = member->node;
    char text[32];

    if (config == NULL)
        return -ENOMEM;
    dora__environment_inherit(e, (const char *const *)environ);
    for (size_t i = 0; i < node->env_count; i++)
        if (strcmp(node->env[i].key, "DORA_ISOLATION") != 0)
            dora__environment_set(e, node->env[i].key, node->env[i].value);
    for (char **v = member->launch.env; v != NULL && *v != NULL; v++)
        dora__environment_put(e, *v);
    dora__environment_set(e, "PYTHONUNBUFFERED", "1");
    dora__environment_set(e, "DORA_NODE_CONFIG", config);
    (void)snprintf(text, sizeof text, "%d", (int)getpid());
    dora__environment_set(e, "DORA_RUN_PARENT_PID", text);
    if (member->launch.attaches && member->launch.load == NULL) {
        /* As ask_guardian places them. */
        (void)snprintf(text, sizeof text, "3,4,5,6,%u", member->number);
        dora__environment_set(e, DORA__ATTACH_VARIABLE, text);
    }
    return e->failed ? -ENOMEM : 0;
}

const char *
dora__member_directory(const struct dora_dataflow *flow,
                       const struct dora__member *member)
{
    return member->clone != NULL ? member->clone : flow->directory;
}

static int
ask_guardian(struct dora_dataflow *flow, struct dora__member *member,
             int stdout_fd, int stderr_fd)
{
    struct dora__attachment a =
        dora__plane_attachment(&flow->plane, member->number);
    struct dora__environment environment = {0};
    int code = dora__member_environment(flow, member, &environment);
    char *const programs[] = {member->launch.program, NULL};
    const int fds[] = {stdout_fd,  stderr_fd,     a.control_fd,
                       a.heaps_fd, a.heaps_ro_fd, a.doorbell_fd};
    static const uint32_t places[] = {1, 2, 3, 4, 5, 6};
    struct dora__spawn spawn = {
        .programs = programs,
        .directory = dora__member_directory(flow, member),
        .argv = member->launch.argv,
        .env = environment.vars,
        .cpus = member->node->cpu_affinity,
        .cpu_count = member->node->cpu_count,
        .fds = fds,
        .places = places,
        .fd_count = member->launch.attaches ? DORA_COUNT(fds) : 2,
    };

    if (code == 0)
        code = dora__guardian_spawn(&flow->guardian, member->number, &spawn);
    dora__environment_fini(&environment);
    return code;
}

static int
start_process(struct dora_dataflow *flow, struct dora__member *member)
{
    DORA_AUTOCLOSE int stdout_fd = -1;
    DORA_AUTOCLOSE int stderr_fd = -1;
    int code = dora__member_open_output(flow, member, 0, false, &stdout_fd);

    if (code == 0)
        code = dora__member_open_output(flow, member, 1, false, &stderr_fd);
    if (code == 0)
        code = ask_guardian(flow, member, stdout_fd, stderr_fd);
    if (code < 0)
        return code;
    member->stage = DORA__STAGE_ASKED;
    flow->in_flight++;
    return 0;
}

static int
start_callback(struct dora_dataflow *flow, struct dora__member *member)
{
    struct dora__callback_options options = {
        .attachment = dora__plane_attachment(&flow->plane, member->number),
        .body = member->body,
        .arg = member->body_arg,
        .wake_fd = flow->wake_fd,
        .name = member->node->id,
    };
    DORA_AUTOCLOSE int log_fd = -1;
    int code = dora__member_open_output(flow, member, 0, false, &log_fd);

    if (code == 0) {
        options.log_fd = log_fd;
        code = dora__callback_start(&options, &member->callback);
    }
    if (code < 0)
        return code == -EAGAIN ? -ENOMEM : code; /* no thread: not "later" */
    (void)dora__take_fd(&log_fd);
    member->stage = DORA__STAGE_ALIVE;
    return 0;
}

int
dora__member_start(struct dora_dataflow *flow, struct dora__member *member)
{
    int code = member->is_callback           ? start_callback(flow, member)
               : member->launch.load != NULL ? dora__guest_start(flow, member)
                                             : start_process(flow, member);

    if (code == 0) {
        dora__restarts_started(&member->restarts,
                               dora__plane_time(&flow->plane));
        dora__member_set_phase(flow, member, DORA_NODE_STARTING);
        return 0;
    }
    dora__output_close(&member->outputs[0]);
    dora__output_close(&member->outputs[1]);
    return code;
}

void
dora__member_spawned(struct dora_dataflow *flow, struct dora__member *member,
                     const struct dora__report *report)
{
    flow->in_flight--;
    member->stage = DORA__STAGE_ALIVE;
    (void)pthread_mutex_lock(&flow->lock);
    member->pid = report->pid;
    if (!member->launch.attaches)
        member->phase = DORA_NODE_RUNNING;
    (void)pthread_mutex_unlock(&flow->lock);
    if (report->step == DORA__STEP_AFFINITY)
        dora__flow_say(flow, DORA_LEVEL_WARN, member,
                       "cpu_affinity has no effect: %s",
                       strerror(report->code));
    if (flow->stopping && !member->launch.attaches)
        member->signal_due = SIGTERM;
    if (flow->killing)
        member->signal_due = SIGKILL;
}
