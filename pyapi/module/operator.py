"""A node that is an operator: an object of the class Operator in a file of its
own is handed the node's events, one by one, until it has had enough.

Run by start_runtime(), with stop_all as a global.
"""

import importlib.util
import os
import sys

from dora import Node


def load(file):
    """The file as a module of its own name. What lies beside it is found, but
    only after all else, as dora 1.x has it."""
    place, name = os.path.split(os.path.realpath(file))
    name = name.removesuffix(".py")
    sys.path.append(place)
    spec = importlib.util.spec_from_file_location(name, os.path.join(place, name + ".py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(name, module)
    spec.loader.exec_module(module)
    return module


def make(file, fail):
    operator = getattr(load(file), "Operator", None)
    if not callable(operator):
        fail(f"{file} defines no class `Operator`, which is what an operator is")
    operator = operator()
    if not callable(getattr(operator, "on_event", None)):
        fail(f"the class `Operator` of {file} has no method "
             "`on_event(self, dora_event, send_output)`")
    return operator


def run(file, name):
    def fail(what):
        raise SystemExit(f"node `{name}`: {what}")

    operator = make(file, fail)
    node = Node()
    operator.dataflow_descriptor = node.dataflow_descriptor()
    for event in node:
        if event["type"] == "ERROR":
            fail(event["error"])
        status = operator.on_event(event, node.send_output)
        del event  # while it waits for the next, this one's memory is free
        number = getattr(status, "value", None)
        if number == 0:
            continue
        if number == 2:
            node.log_info("on_event() returned DoraStatus.STOP_ALL: stopping the dataflow")
            stop_all()
        elif number != 1:
            fail(f"`on_event` of {file} returned {status!r}; it must return a "
                 "DoraStatus: CONTINUE, STOP or STOP_ALL")
        break


if len(sys.argv) != 3:
    raise RuntimeError("start_runtime() is how dora-run starts an operator; a "
                       "script is a node by Node()")
arguments = sys.argv[1:]
del sys.argv[1:]
try:
    run(*arguments)
except Exception as error:
    trace = error.__traceback__
    while trace and trace.tb_frame.f_code.co_filename.startswith("<"):
        trace = trace.tb_next  # of the operator's own files only
    sys.excepthook(type(error), error.with_traceback(trace), trace)
    raise SystemExit(1) from None
