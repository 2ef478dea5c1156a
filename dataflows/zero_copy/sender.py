"""Fills buffers of one megabyte in place and sends them: no copy is made."""

from dora import Node

SIZE = 1024 * 1024

node = Node()

# The usual way: what leaves the `with` block is sent.
for number in range(2):
    with node.send_output_raw("large_data", SIZE, {"number": number}) as buffer:
        # buffer is a writable memoryview of the message itself.
        for i in range(len(buffer)):
            buffer[i] = (i + number) % 256

# By hand: the same buffer, sent when you say so.
for number in range(2, 4):
    sample = node.send_output_raw("large_data", SIZE, {"number": number})
    buffer = sample.as_memoryview()
    for i in range(len(buffer)):
        buffer[i] = (i + number) % 256
    sample.send()

print("sent 4 messages of 1 MB", flush=True)
