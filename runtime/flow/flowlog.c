/* flowlog.c - where every line of a dataflow goes: through the node's filter,
 * to its journal, to the embedder's sink and to nodes that asked for it. All on
 * the supervisor's thread. */
#include "echo.h"
#include "logline.h"

#include <stdio.h>
#include <string.h>

/* What a node writes is shown as it came; what comes as one message of several
 * lines is several records for the sink. */
static void
show(struct dora_dataflow *flow, const struct dora__journal_line *line)
{
    struct dora_log_record record = {
        .time_ns = line->time_ns,
        .level = line->level,
        .stream = line->stream,
        .node = line->node,
        .target = line->target,
    };
    const char *at = line->text, *end = line->text + line->text_size;

    while (flow->options.log != NULL && at <= end) {
        const char *stop =
            at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;

        if (stop == NULL)
            stop = end;
        record.text = at;
        record.text_size = (size_t)(stop - at);
        flow->options.log(flow->options.log_arg, &record);
        at = stop + 1;
    }
}

static void
store(struct dora_dataflow *flow, struct dora__member *member,
      const struct dora__journal_line *line)
{
    if (member->journal.fd < 0)
        return;
    if (dora__journal_add(&member->journal, line))
        (void)dora__journal_flush(&member->journal);
    else
        flow->dirty = true;
}

void
dora__flow_line(struct dora_dataflow *flow, struct dora__member *member,
                enum dora_stream stream, const char *text, size_t size)
{
    struct dora__journal_line line = {
        .level = DORA_LEVEL_STDOUT,
        .stream = stream,
        .node = member->node->id,
        .text = text,
        .text_size = size,
    };
    enum dora_level least = member->node->min_log_level;
    struct dora__logline parsed;

    dora__echo_line(flow, member, text, size);
    if (dora__logline_parse(text, size, &flow->scratch, &parsed)) {
        line.time_ns = parsed.time_ns;
        line.level = parsed.level;
        line.text = parsed.message;
        line.text_size = parsed.message_size;
        line.target = parsed.target;
        line.fields = parsed.fields;
        line.fields_size = parsed.fields_size;
    }
    if (least != 0 && line.level > least)
        return;
    if (line.time_ns == 0)
        line.time_ns = dora__clock(CLOCK_REALTIME);
    store(flow, member, &line);
    dora__echo_record(flow, member, &line);
    show(flow, &line);
}

void
dora__flow_say(struct dora_dataflow *flow, enum dora_level level,
               struct dora__member *member, const char *format, ...)
{
    char text[2048];
    struct dora__journal_line line = {
        .time_ns = dora__clock(CLOCK_REALTIME),
        .level = level,
        .stream = DORA_STREAM_HOST,
        .node = member != NULL ? member->node->id : NULL,
        .text = text,
    };
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    line.text_size = strlen(text);
    if (member != NULL) {
        store(flow, member, &line);
        dora__echo_record(flow, member, &line);
    }
    show(flow, &line);
}

void
dora__flow_flush(struct dora_dataflow *flow)
{
    for (uint32_t i = 0; i < flow->member_count && flow->dirty; i++) {
        struct dora__member *member = &flow->members[i];
        int code = dora__journal_flush(&member->journal);

        if (code == 0)
            continue;
        dora__journal_file_close(&member->journal);
        dora__flow_say(flow, DORA_LEVEL_WARN, member,
                       "its log file is given up: %s", strerror(-code));
    }
    flow->dirty = false;
}
