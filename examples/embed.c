/* embed.c - a program that runs a dataflow inside itself.
 *
 *     cc embed.c $(pkg-config --cflags --libs dora) -o embed
 *     ./embed embed.yml
 *
 * (A second argument is the directory of dora's helper programs, should they
 * not be where they were meant to be installed.)
 *
 * The node `host` is a function of this program. It writes frames where the
 * Python node `invert` reads them, and reads the answers where Python wrote
 * them. After FRAMES answers it stops the dataflow. */
#include <dora.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FRAMES = 100, SIZE = 640 * 480 };

/* What the node's function is given. */
struct host {
    struct dora_dataflow *flow;
    int right; /* answers that were as they should be */
};

static int
send_frame(struct dora_node *node, int output, int number)
{
    struct dora_metadata metadata = {0};
    struct dora_loan *loan = NULL;
    struct dora_error err = {""};
    int r;

    r = dora_metadata_int(&metadata, "number", strlen("number"), number);
    if (r == 0)
        r = dora_node_loan(node, output, SIZE, metadata.bytes, metadata.size,
                           &loan, &err);
    if (r == 0) {
        memset(dora_loan_data(loan), number, SIZE); /* straight into place */
        r = dora_loan_send(loan, -1, &err);
    }
    if (r < 0)
        fprintf(stderr, "frame %d: %s\n", number, err.text);
    dora_loan_drop(loan);
    dora_metadata_fini(&metadata);
    return r;
}

/* Whether every byte is that of frame `number`, negative. */
static bool
is_negative(const struct dora_event *event, int number)
{
    const unsigned char *bytes = event->data;

    if (event->data_size != SIZE)
        return false;
    for (size_t i = 0; i < SIZE; i++)
        if (bytes[i] != 255 - number % 256)
            return false;
    return true;
}

/* The body of the node: on a thread of its own, over when it returns. */
static int
run_host(struct dora_node *node, void *arg)
{
    struct host *host = arg;
    int output = dora_node_output(node, "frame");
    struct dora_event event;
    int answers = 0;
    int r = send_frame(node, output, 0);

    while (r >= 0) {
        r = dora_node_next(node, -1, &event);
        if (r == -EPIPE) /* the stream has ended */
            return 0;
        if (r == -EINTR) {
            r = 0;
            continue;
        }
        if (r == 1 && event.type == DORA_EVENT_INPUT) {
            host->right += is_negative(&event, answers);
            dora_sample_unref(event.sample); /* its memory may be used again */
            if (++answers == FRAMES)
                dora_dataflow_stop(host->flow);
            else
                r = send_frame(node, output, answers);
        }
    }
    return r;
}

static void
print_line(void *arg, const struct dora_log_record *record)
{
    (void)arg;
    fprintf(stderr, "%s: %.*s\n", record->node ? record->node : "dora",
            (int)record->text_size, record->text);
}

static void
print_problem(void *arg, const struct dora_problem *problem)
{
    (void)arg;
    fprintf(stderr, "%s:%u:%u: %s\n", problem->file, problem->line,
            problem->column, problem->text);
}

int
main(int argc, char **argv)
{
    const struct dora_kind *kinds[] = {&dora_python, NULL};
    struct dora_options options = {
        .size = sizeof options,
        .kinds = kinds,
        .libexec = argc > 2 ? argv[2] : NULL,
        .log = print_line,
        .problem = print_problem,
    };
    struct dora_error err = {""};
    struct host host = {NULL, 0};
    int r;

    r = dora_dataflow_load_file(argc > 1 ? argv[1] : "embed.yml", &options,
                                &host.flow, &err);
    if (r == 0)
        r = dora_dataflow_set_callback(host.flow, "host", run_host, &host,
                                       &err);
    if (r == 0)
        r = dora_dataflow_start(host.flow, &err);
    if (r == 0)
        r = dora_dataflow_wait(host.flow, -1, &err);
    if (r < 0)
        fprintf(stderr, "embed: %s\n", err.text);
    else
        printf("%d of %d frames came back right\n", host.right, FRAMES);
    dora_dataflow_free(host.flow);
    return r == 0 && host.right == FRAMES ? EXIT_SUCCESS : EXIT_FAILURE;
}
