/* harness.c - see harness.h. */
#include "harness.h"

#include "host/kind.h"
#include "node/node.h"

const char *libexec;
static char self[4096];

/* --- this program as a node ----------------------------------------------- */

int
next(struct dora_node *node, struct dora_event *event)
{
    int got;

    do
        got = dora_node_next(node, -1, event);
    while (got == -EINTR);
    return got;
}

/* Takes events until the stream ends, counting inputs. */
static unsigned
consume(struct dora_node *node)
{
    struct dora_event event;
    unsigned count = 0;

    while (next(node, &event) == 1) {
        count += event.type == DORA_EVENT_INPUT;
        dora_sample_unref(event.sample);
    }
    return count;
}

static int
send_numbers(struct dora_node *node, uint32_t count)
{
    int output = dora_node_output(node, "out");

    for (uint32_t i = 0; i < count; i++)
        if (dora_node_send(node, output, &i, sizeof i, NULL, 0, NULL) < 0)
            return 1;
    return 0;
}

static void
crash(void)
{
    (void)signal(SIGSEGV, SIG_DFL); /* a sanitizer would handle it */
    (void)raise(SIGSEGV);
}

static int
node_main(const char *attach, const char *what)
{
    struct dora__attachment a = {-1, -1, -1, -1, 0};
    struct dora_node *node;
    struct dora_error err;
    int result = 0;

    alarm(300);
    if (sscanf(attach, "%d,%d,%d,%d,%u", &a.control_fd, &a.heaps_fd,
               &a.heaps_ro_fd, &a.doorbell_fd, &a.node) != 5)
        return 100;
    if (strcmp(what, "ignore-all") == 0)
        (void)signal(SIGTERM, SIG_IGN);
    if (strcmp(what, "early-exit") == 0)
        return 0;
    if (strcmp(what, "early-crash") == 0)
        return 9;
    if (dora__node_attach(&a, &node, &err) < 0 ||
        dora__node_join(node, -1, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    if (strcmp(what, "send") == 0)
        result = send_numbers(node, 10);
    else if (strcmp(what, "consume") == 0)
        printf("got %u\n", consume(node));
    else if (strcmp(what, "crash") == 0)
        crash();
    else if (strcmp(what, "crash-once") == 0)
        result = dora__node_restart_count(node) == 0 ? 7 : 0;
    else
        for (dora_node_log(node, DORA_LEVEL_INFO, NULL, "up");;)
            (void)pause();
    dora__node_detach(node);
    return result;
}

static bool
claims(const struct dora__graph_node *node, const struct dora__site *site)
{
    (void)site;
    return strcmp(node->path, "self") == 0;
}

static int
resolve(const struct dora__graph_node *node, const struct dora__site *site,
        struct dora__launch *launch, struct dora_error *err)
{
    (void)site;
    (void)err;
    launch->kind = "self";
    launch->tier = "process";
    launch->attaches = true;
    launch->program = strdup(self);
    launch->interpreter = strdup("this test");
    launch->reason = strdup("path: self");
    if (dora__launch_push(&launch->argv, self) < 0 ||
        dora__launch_arguments(launch, node) < 0)
        return -ENOMEM;
    return 0;
}

static const struct dora_kind self_kind = {
    .name = "self",
    .claims = claims,
    .resolve = resolve,
};

/* --- running dataflows ---------------------------------------------------- */

static void
take_log(void *arg, const struct dora_log_record *record)
{
    struct log *log = arg;

    (void)pthread_mutex_lock(&log->lock);
    dora__text_printf(&log->text, "%s %d %d ",
                      record->node != NULL ? record->node : "-",
                      (int)record->stream, (int)record->level);
    dora__text_add(&log->text, record->text, record->text_size);
    dora__text_puts(&log->text, "\n");
    if (record->text_size > log->longest)
        log->longest = record->text_size;
    log->count++;
    (void)pthread_cond_broadcast(&log->grown);
    (void)pthread_mutex_unlock(&log->lock);
}

/* Waits until the log holds that text. */
void
await_log(struct log *log, const char *text)
{
    (void)pthread_mutex_lock(&log->lock);
    while (log->text.text == NULL || strstr(log->text.text, text) == NULL)
        (void)pthread_cond_wait(&log->grown, &log->lock);
    (void)pthread_mutex_unlock(&log->lock);
}

static const struct dora_kind *const kinds[] = {&self_kind, NULL};

void
load(struct run *run, const char *text)
{
    load_graced(run, text, 0, 0);
}

void
load_graced(struct run *run, const char *text, int64_t stop, int64_t term)
{
    memset(run, 0, sizeof *run);
    (void)pthread_mutex_init(&run->log.lock, NULL);
    (void)pthread_cond_init(&run->log.grown, NULL);
    run->options = (struct dora_options){
        .size = sizeof run->options,
        .kinds = kinds,
        .libexec = libexec,
        .directory = "/tmp",
        .log = take_log,
        .log_arg = &run->log,
        .allow_shell = true,
        .no_files = true,
        .stop_grace_ns = stop,
        .term_grace_ns = term,
    };
    if (dora_dataflow_load_string(text, strlen(text), "test.yml", &run->options,
                                  &run->flow, &run->err) < 0)
        fail_msg("%s", run->err.text);
}

void
callback(struct run *run, const char *id, dora_node_body body, void *arg)
{
    if (dora_dataflow_set_callback(run->flow, id, body, arg, &run->err) < 0)
        fail_msg("%s", run->err.text);
}

void
start(struct run *run)
{
    if (dora_dataflow_start(run->flow, &run->err) < 0)
        fail_msg("%s", run->err.text);
}

void
expect_success(struct run *run)
{
    if (dora_dataflow_wait(run->flow, -1, &run->err) < 0)
        fail_msg("%s\n%s", run->err.text,
                 run->log.text.text != NULL ? run->log.text.text : "");
}

void
expect_failure(struct run *run, const char *text)
{
    assert_int_equal(dora_dataflow_wait(run->flow, -1, &run->err), -ECANCELED);
    assert_string_equal(run->err.text, text);
}

void
expect_log(struct run *run, const char *text)
{
    if (run->log.text.text == NULL || strstr(run->log.text.text, text) == NULL)
        fail_msg("not logged: %s\n%s", text,
                 run->log.text.text != NULL ? run->log.text.text : "");
}

void
expect_exit(struct run *run, size_t node, enum dora_exit exit, int code)
{
    struct dora_node_stats stats;

    assert_int_equal(dora_dataflow_node_stats(run->flow, node, &stats), 0);
    assert_int_equal(stats.phase, DORA_NODE_ENDED);
    assert_int_equal(stats.exit, exit);
    assert_int_equal(stats.exit_code, code);
}

void
unload(struct run *run)
{
    dora_dataflow_free(run->flow);
    free(run->log.text.text);
    (void)pthread_cond_destroy(&run->log.grown);
    (void)pthread_mutex_destroy(&run->log.lock);
}

/* --- callbacks ------------------------------------------------------------ */

int
source(struct dora_node *node, void *arg)
{
    return send_numbers(node, *(const uint32_t *)arg);
}

int
sink(struct dora_node *node, void *arg)
{
    struct seen *seen = arg;
    struct dora_event event;
    uint32_t number;

    seen->ordered = true;
    while (next(node, &event) == 1) {
        if (event.type == DORA_EVENT_INPUT) {
            memcpy(&number, event.data, sizeof number);
            seen->ordered &= number == seen->inputs && seen->closed == 0;
            seen->inputs++;
        }
        if (event.type == DORA_EVENT_NODE_FAILED) {
            seen->ordered &= seen->closed == 0;
            seen->failures++;
            (void)snprintf(seen->failure, sizeof seen->failure, "%s: %s",
                           event.id, event.error);
        }
        seen->closed += event.type == DORA_EVENT_INPUT_CLOSED;
        if (event.type == DORA_EVENT_STOP) {
            seen->stops++;
            seen->ordered &= strcmp(event.id, "ALL_INPUTS_CLOSED") == 0;
        }
        dora_sample_unref(event.sample);
    }
    seen->ended = true;
    return 0;
}

int
until_end(struct dora_node *node, void *arg)
{
    (void)arg;
    (void)consume(node);
    return 0;
}

bool
harness_begin(int argc, char **argv, int *ret_code)
{
    const char *attach = getenv(DORA__ATTACH_VARIABLE);

    if (attach != NULL) {
        *ret_code = node_main(attach, argc > 1 ? argv[1] : "");
        return true;
    }
    libexec = argc > 1 ? argv[1] : "build";
    *ret_code = realpath("/proc/self/exe", self) == NULL;
    alarm(300);
    return *ret_code != 0;
}
