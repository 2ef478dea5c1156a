/* attachment.c - see attachment.h. */
#include "attachment.h"

#include <fcntl.h>
#include <limits.h>

/* "3,4,5,6,0" to an attachment; a sixth number is the line to the host, -1: the
 * host is the parent of this process. */
static int
parse_attachment(const char *text, struct dora__attachment *attachment,
                 int *ret_line)
{
    unsigned long values[6];
    size_t count = 0;
    char *end;

    do {
        errno = 0;
        values[count] = strtoul(text, &end, 10);
        if (end == text || errno != 0 || values[count] > INT_MAX)
            return -EINVAL;
        text = end + 1;
    } while (++count < DORA_COUNT(values) && *end == ',');
    if (*end != '\0' || count < DORA_COUNT(values) - 1)
        return -EINVAL;
    *ret_line = count == DORA_COUNT(values) ? (int)values[5] : -1;
    attachment->control_fd = (int)values[0];
    attachment->heaps_fd = (int)values[1];
    attachment->heaps_ro_fd = (int)values[2];
    attachment->doorbell_fd = (int)values[3];
    attachment->node = (uint32_t)values[4];
    return 0;
}

static void
close_all(const struct dora__attachment *attachment)
{
    (void)close(attachment->control_fd);
    (void)close(attachment->heaps_fd);
    (void)close(attachment->heaps_ro_fd);
    (void)close(attachment->doorbell_fd);
}

int
dora__attachment_take(const char *text, struct dora_node **ret_node,
                      struct dora_error *err)
{
    struct dora__attachment attachment;
    int line, code = parse_attachment(text, &attachment, &line);

    if (code < 0)
        return dora__fail(err, EINVAL, "the attachment \"%s\" is damaged",
                          text);
    code = dora__node_attach(&attachment, ret_node, err);
    close_all(&attachment);
    if (line < 0)
        return code;
    (void)fcntl(line, F_SETFD, FD_CLOEXEC);
    if (code == 0)
        code = dora__node_set_host(*ret_node, line, err);
    else
        (void)close(line);
    return code;
}
