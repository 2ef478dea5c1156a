/* node_log.c - lines that a node writes into its log: one JSON object each, on
 * the pipe its host reads, told from what it prints by its members (logline.h).
 *
 * A line goes out by one write(2) where the pipe takes it, so that lines of
 * several threads do not mix; it may have to wait for room, as print() does. */
#include "logline.h"
#include "node_private.h"

#include <string.h>

void
dora__node_set_log(struct dora_node *node, int fd)
{
    node->log_fd = fd;
}

static void
add_member(struct dora__text *line, const char *key, const char *value)
{
    dora__text_printf(line, ",\"%s\":", key);
    dora__text_json(line, value, strlen(value));
}

static void
write_all(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, text, size);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return; /* nobody reads: there is nobody to tell */
        text += written;
        size -= (size_t)written;
    }
}

void
dora__node_log_fields(struct dora_node *node, enum dora_level level,
                      const char *target, const char *text, const char *fields)
{
    struct dora__text line = {0};

    dora__text_puts(&line, "{\"timestamp\":\"");
    dora__text_time(&line, dora__clock(CLOCK_REALTIME));
    dora__text_puts(&line, "\"");
    add_member(&line, "level", dora__level_name(level));
    add_member(&line, "node_id", dora_node_id(node));
    add_member(&line, "message", text);
    if (target != NULL)
        add_member(&line, "target", target);
    if (fields != NULL)
        dora__text_printf(&line, ",\"fields\":%s", fields);
    dora__text_puts(&line, "}\n");
    if (!line.failed)
        write_all(node->log_fd, line.text, line.size);
    free(line.text);
}

void
dora_node_log(struct dora_node *node, enum dora_level level, const char *target,
              const char *text)
{
    if (node != NULL && text != NULL)
        dora__node_log_fields(node, level, target, text, NULL);
}
