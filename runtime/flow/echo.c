/* echo.c - see echo.h.
 *
 *   1. The supervisor is the producer, and never waits: a consumer that is slow
 *      must not keep it from reading anybody's pipe. Where inputs drop their
 *      oldest message there is nothing to wait for.
 *   2. An input with `queue_policy: backpressure` loses nothing. What has no
 *      room waits here, in order, and the pipes of that one node are not read
 *      until it has gone: they fill up, and it is the node that waits, when it
 *      prints. Before the barrier nobody may wait for a consumer; then what
 *      waits is kept, up to WAITING_LIMIT.
 *   3. What a node printed to its last byte is sent before its end is told: its
 *      pipes are drained when it is dead, and it is buried when nothing of it
 *      waits any more.
 *   4. A node that has ended for good is not heard any more, though what it
 *      left running may print.
 *
 * A consumer that makes room rings the doorbell if it was told that this is
 * waited for. */
#include "echo.h"
#include "logline.h"
#include "node/node.h"

#include <ctype.h>
#include <string.h>

enum { WAITING_LIMIT = 64 << 20 }; /* bytes, of one node */

/* A message without room. */
struct dora__waiting {
    struct dora__waiting *next;
    struct dora_loan *loan; /* NULL: not taken yet */
    uint32_t output;
    size_t size;
    char text[];
};

/* --- begin and end ------------------------------------------------------- */

int
dora__echo_open(struct dora_dataflow *flow, struct dora_error *err)
{
    struct dora__attachment attachment =
        dora__plane_attachment(&flow->plane, (uint32_t)flow->graph.node_count);

    int code;

    if (flow->plan.echo_count == 0)
        return 0;
    code = dora__node_attach(&attachment, &flow->echo, err);
    if (code == 0)
        dora__node_rest(flow->echo);
    return code;
}

static void
drop_first(struct dora_dataflow *flow, struct dora__member *member)
{
    struct dora__waiting *first = member->echo_first;

    member->echo_first = first->next;
    if (first->next == NULL)
        member->echo_last = NULL;
    member->echo_size -= first->size;
    flow->echo_waiting--;
    dora_loan_drop(first->loan);
    free(first);
}

void
dora__echo_close(struct dora_dataflow *flow)
{
    for (uint32_t i = 0; i < flow->member_count; i++)
        while (dora__echo_waits(&flow->members[i]))
            drop_first(flow, &flow->members[i]);
    dora__node_detach(flow->echo);
    flow->echo = NULL;
}

/* --- sending ------------------------------------------------------------- */

/* Where there is no memory the message is lost: said once for each node. */
static void
lose(struct dora_dataflow *flow, struct dora__member *member, const char *why)
{
    if (member->echo_lost)
        return;
    member->echo_lost = true;
    dora__flow_say(flow, DORA_LEVEL_WARN, member,
                   "lines of it are lost for their subscribers: %s", why);
}

/* Goes on with a message. 0: done with, sent or lost. -EAGAIN: no room. */
static int
push(struct dora_dataflow *flow, struct dora__member *member, uint32_t output,
     const char *text, size_t size, struct dora_loan **loan)
{
    struct dora_error err;
    int code = 0;

    if (*loan == NULL) {
        code = dora__node_loan(flow->echo, (int)output, size, NULL, 0, -1, loan,
                               &err);
        if (code == 0) {
            dora__loan_fill(*loan, text, size);
            dora__loan_set_value(*loan, DORA_VALUE_TEXT);
        } else if (code != -ECANCELED) {
            lose(flow, member, err.text);
        }
    }
    /* Once the dataflow stops this waits no longer than without a limit. */
    if (code == 0)
        code = dora_loan_send(*loan, dora__node_stopping(flow->echo) ? -1 : 0,
                              &err);
    if (code == -ETIMEDOUT)
        return -EAGAIN;
    dora_loan_drop(*loan);
    *loan = NULL;
    return 0;
}

/* Reads the member's pipes no more, or again. */
static void
mute(struct dora_dataflow *flow, struct dora__member *member, bool muted)
{
    if (member->muted == muted)
        return;
    member->muted = muted;
    for (int stream = 0; stream < 2; stream++) {
        int fd = member->outputs[stream].fd;

        if (fd >= 0 && muted)
            dora__supervisor_ignore(flow, fd);
        else if (fd >= 0 &&
                 dora__supervisor_listen(flow, fd, member, stream) < 0)
            dora__output_close(&member->outputs[stream]);
    }
}

/* Takes over the loan. */
static void
keep(struct dora_dataflow *flow, struct dora__member *member, uint32_t output,
     const char *text, size_t size, struct dora_loan *loan)
{
    size_t kept = loan == NULL ? size : 0;
    struct dora__waiting *waiting = malloc(sizeof *waiting + kept);

    if (waiting == NULL || member->echo_size + size > WAITING_LIMIT) {
        lose(flow, member, "too much of it waits for a subscriber");
        dora_loan_drop(loan);
        free(waiting);
        return;
    }
    *waiting =
        (struct dora__waiting){.loan = loan, .output = output, .size = size};
    memcpy(waiting->text, text, kept);
    if (member->echo_last != NULL)
        member->echo_last->next = waiting;
    else
        member->echo_first = waiting;
    member->echo_last = waiting;
    member->echo_size += size;
    flow->echo_waiting++;
    if (flow->opened)
        mute(flow, member, true);
}

static void
publish(struct dora_dataflow *flow, struct dora__member *member,
        uint32_t output, const char *text, size_t size)
{
    struct dora_loan *loan = NULL;

    if (dora__echo_waits(member)) /* behind what came first */
        keep(flow, member, output, text, size, NULL);
    else if (push(flow, member, output, text, size, &loan) == -EAGAIN)
        keep(flow, member, output, text, size, loan);
}

static bool
retry_member(struct dora_dataflow *flow, struct dora__member *member)
{
    bool went = false;

    while (dora__echo_waits(member)) {
        struct dora__waiting *first = member->echo_first;

        if (push(flow, member, first->output, first->text, first->size,
                 &first->loan) == -EAGAIN) {
            if (flow->opened)
                mute(flow, member, true);
            return went;
        }
        drop_first(flow, member);
        went = true;
    }
    mute(flow, member, false);
    return went;
}

static bool
retry_all(struct dora_dataflow *flow)
{
    bool went = false;

    for (uint32_t i = 0; i < flow->member_count; i++)
        if (dora__echo_waits(&flow->members[i]))
            went |= retry_member(flow, &flow->members[i]);
    return went;
}

bool
dora__echo_retry(struct dora_dataflow *flow)
{
    bool went;

    if (flow->echo == NULL || flow->echo_waiting == 0)
        return false;
    dora__plane_await_room(&flow->plane, true);
    went = retry_all(flow);
    if (flow->echo_waiting == 0)
        dora__plane_await_room(&flow->plane, false);
    return went;
}

/* --- what is sent -------------------------------------------------------- */

/* Whether an echo speaks of what the member does now, and somebody hears. */
static bool
hears(struct dora_dataflow *flow, const struct dora__member *member,
      uint32_t number)
{
    const struct dora__plan_echo *echo = &flow->plan.echoes[number];

    return (echo->about == member->number || echo->about == DORA__EVERYBODY) &&
           echo->consumer != member->number &&
           dora__node_heard(flow->echo, (int)number);
}

static bool
may_speak(const struct dora_dataflow *flow, const struct dora__member *member)
{
    return flow->echo != NULL && member->stage < DORA__STAGE_OVER;
}

void
dora__echo_line(struct dora_dataflow *flow, struct dora__member *member,
                const char *text, size_t size)
{
    struct dora__text line = {0};

    for (uint32_t i = 0; i < flow->plan.echo_count; i++) {
        if (!may_speak(flow, member) || !flow->plan.echoes[i].lines ||
            !hears(flow, member, i))
            continue;
        if (line.size == 0) {
            dora__text_utf8(&line, text, size);
            dora__text_puts(&line, "\n");
        }
        if (line.failed)
            lose(flow, member, "out of memory");
        else
            publish(flow, member, i, line.text, line.size);
    }
    free(line.text);
}

/* "INFO"; but "stdout" for what has no level. */
static void
add_level(struct dora__text *t, enum dora_level level)
{
    const char *name = dora__level_name(level);

    for (; *name != 0; name++) {
        char c = level == DORA_LEVEL_STDOUT
                     ? *name
                     : (char)toupper((unsigned char)*name);

        dora__text_add(t, &c, 1);
    }
}

static void
write_record(struct dora__text *t, const struct dora_dataflow *flow,
             const struct dora__journal_line *line)
{
    dora__text_puts(t, "{\"timestamp\":\"");
    dora__text_time(t, line->time_ns);
    dora__text_puts(t, "\",\"level\":\"");
    add_level(t, line->level);
    dora__text_printf(t, "\",\"dataflow_id\":\"%s\",\"node_id\":", flow->id);
    dora__text_json(t, line->node, strlen(line->node));
    dora__text_puts(t, ",\"target\":");
    if (line->target != NULL)
        dora__text_json(t, line->target, strlen(line->target));
    else
        dora__text_puts(t, "null");
    dora__text_puts(t, ",\"message\":");
    dora__text_json(t, line->text, line->text_size);
    dora__text_puts(t, ",\"fields\":");
    if (line->fields != NULL)
        dora__text_utf8(t, line->fields, line->fields_size);
    else
        dora__text_puts(t, "null");
    dora__text_puts(t, "}");
}

void
dora__echo_record(struct dora_dataflow *flow, struct dora__member *member,
                  const struct dora__journal_line *line)
{
    struct dora__text record = {0};

    for (uint32_t i = 0; i < flow->plan.echo_count; i++) {
        const struct dora__plan_echo *echo = &flow->plan.echoes[i];

        if (!may_speak(flow, member) || !echo->records ||
            (echo->level != 0 && line->level > echo->level) ||
            !hears(flow, member, i))
            continue;
        if (record.size == 0)
            write_record(&record, flow, line);
        if (record.failed)
            lose(flow, member, "out of memory");
        else
            publish(flow, member, i, record.text, record.size);
    }
    free(record.text);
}
