/* kill_message.c - what the nodes of the kill tests send each other: the number
 * of a message says how long it is, and each of its bytes. */
#include "kill.h"

#include <errno.h>
#include <string.h>

size_t
size_of_message(uint64_t number)
{
    return 8 + number * 37 % 300;
}

void
write_message(unsigned char *bytes, uint64_t number)
{
    memcpy(bytes, &number, sizeof number);
    for (size_t i = 8; i < size_of_message(number); i++)
        bytes[i] = (unsigned char)(number * 31 + i);
}

size_t
read_message(const struct dora_event *event, uint64_t *ret_number)
{
    const unsigned char *bytes = event->data;
    size_t wrong = 0;

    *ret_number = 0;
    if (event->data_size < sizeof *ret_number)
        return event->data_size + 1;
    memcpy(ret_number, bytes, sizeof *ret_number);
    if (event->data_size != size_of_message(*ret_number))
        return event->data_size;
    for (size_t i = 8; i < event->data_size; i++)
        wrong += bytes[i] != (unsigned char)(*ret_number * 31 + i);
    return wrong;
}

static void
make_metadata(struct dora_metadata *metadata, enum kind kind)
{
    *metadata = (struct dora_metadata){.bytes = NULL};
    if (kind == PROTECTED)
        (void)dora_metadata_string(metadata, "request_id", 10, "1", 1);
    if (kind == FLUSH)
        (void)dora_metadata_bool(metadata, "flush", 5, true);
}

struct dora_loan *
loan_message(struct dora_node *node, int output, uint64_t number,
             enum kind kind)
{
    struct dora_metadata metadata;
    struct dora_loan *loan;

    make_metadata(&metadata, kind);
    if (dora_node_loan(node, output, size_of_message(number), metadata.bytes,
                       metadata.size, &loan, NULL) < 0)
        loan = NULL;
    else
        write_message(dora_loan_data(loan), number);
    dora_metadata_fini(&metadata);
    return loan;
}

int
send_message(struct dora_node *node, int output, uint64_t number,
             enum kind kind, int64_t timeout_ns)
{
    struct dora_loan *loan = loan_message(node, output, number, kind);
    int r;

    if (!loan)
        return -ENOMEM;
    r = dora_loan_send(loan, timeout_ns, NULL);
    dora_loan_drop(loan);
    return r;
}
