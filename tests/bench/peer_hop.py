"""A hop as others do it: two processes, one message there and one back, without
a dataflow. Prints p50 p99 p99.9 in ns and hops per second as JSON.

    peer_hop.py pipe|zmq      SIZE and COUNT from the environment
"""

import json
import multiprocessing
import os
import sys
import tempfile
import time

SIZE = int(os.environ["SIZE"])
COUNT = int(os.environ["COUNT"])
WARM = 200 if COUNT > 1000 else 10

now = time.monotonic_ns


def pipe():
    """multiprocessing.Pipe: bytes through a socket."""
    near, far = multiprocessing.Pipe()
    return (near.send_bytes, near.recv_bytes), (far.send_bytes, far.recv_bytes)


def zmq():
    """pyzmq: a PAIR over ipc, its copy-free form."""
    address = "ipc://" + tempfile.mktemp(prefix="peer-hop-")

    def end(join):
        import zmq

        socket = zmq.Context().socket(zmq.PAIR)
        getattr(socket, join)(address)
        return (
            lambda data: socket.send(data, copy=False),
            lambda: socket.recv(copy=False).buffer,
        )

    return lambda: end("bind"), lambda: end("connect")


def opened(end):
    return end() if callable(end) else end


def echo(end):
    send, receive = opened(end)
    payload = bytes(SIZE)
    for _ in range(WARM + COUNT):
        receive()
        send(payload)


def main():
    near, far = {"pipe": pipe, "zmq": zmq}[sys.argv[1]]()
    multiprocessing.set_start_method("fork")
    child = multiprocessing.Process(target=echo, args=(far,), daemon=True)
    child.start()
    send, receive = opened(near)
    payload = bytes(SIZE)
    samples = []
    for turn in range(WARM + COUNT):
        if turn == WARM:
            begun = now()
        sent = now()
        send(payload)
        receive()
        samples.append((now() - sent) // 2)
    seconds = (now() - begun) / 1e9
    child.join()
    samples = sorted(samples[WARM:])
    print(json.dumps([
        samples[COUNT // 2], samples[COUNT * 99 // 100],
        samples[COUNT * 999 // 1000], 2 * COUNT / seconds,
    ]))


main()
