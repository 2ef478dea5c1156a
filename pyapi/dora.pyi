"""The node of a dataflow that dora-run has started this script as.

    from dora import Node

    for event in Node():
        if event["type"] == "INPUT":
            print(event["id"], event["value"])

What the runtime refuses is a RuntimeError that says why; an argument of a wrong
type is a TypeError. All methods may be called from any thread."""

from datetime import datetime
from enum import Enum
from types import TracebackType
from typing import Any, Iterator, Mapping, Sequence, final

__version__: str
__author__: str

#: Parameters of a message. Values are bool, int of 64 bits, float, str, datetime
#: or a list of one of the first four; anything else travels as its str().
Metadata = Mapping[str, Any]

#: `type` is one of
#:   "INPUT"           a message: `id` of the input, `value` (an Array, of a
#:                     timer's tick an empty one, or an ArrowArray; pyarrow's
#:                     where that was imported before Node()), `metadata` (a
#:                     dict; its `timestamp` is when the message was sent)
#:   "INPUT_CLOSED"    nothing more will come on input `id`
#:   "INPUT_RECOVERED" its `input_timeout` is over: a message follows
#:   "NODE_RESTARTED"  node `id`, which feeds this one, was started again
#:   "NODE_FAILED"     node `id`, which feeds this one, has failed: `value` is a
#:                     dict of `source_node_id`, `error`, `affected_input_ids`
#:   "STOP"            end soon; `id` says why: "MANUAL", "ALL_INPUTS_CLOSED"
#:   "ERROR"           `error` says what; next() had to wait too long
#: `kind` is always "dora".
Event = dict[str, Any]

class DoraStatus(Enum):
    """What an operator's on_event() returns; nodes have no use for it.

        class Operator:
            def on_event(self, dora_event, send_output) -> DoraStatus:
                if dora_event["type"] == "INPUT":
                    send_output("out", dora_event["value"], dora_event["metadata"])
                return DoraStatus.CONTINUE

    STOP ends this node, STOP_ALL all of them. `dora_event` is an Event;
    `send_output` is that of Node. Once it is made, the operator has the whole
    file as `dataflow_descriptor`."""

    CONTINUE = 0
    STOP = 1
    STOP_ALL = 2

@final
class Node:
    """The script as a node; iterating gives its events, to the end of the
    stream."""

    def __init__(self, node_id: str | None = None,
                 daemon_port: int | None = None) -> None:
        """Returns when every node of the dataflow has come as far. Once per
        script; arguments are taken for the sake of dora 1.x."""
    def next(self, timeout: float | None = None) -> Event | None:
        """Waits for the next event; None at the end of the stream; after
        `timeout` seconds without one, a dict of type ERROR."""
    def __iter__(self) -> Iterator[Event]: ...
    def __next__(self) -> Event: ...
    async def recv_async(self, timeout: float | None = None) -> Event | None:
        """What next() returns, without blocking the loop. A cancelled await
        takes no event."""
    def try_recv(self) -> Event | None:
        """The next event if there is one now."""
    def drain(self) -> list[Event]:
        """All events that are there now."""
    def is_empty(self) -> bool:
        """Whether no message is queued."""
    def send_output(self, output_id: str, data: Any,
                    metadata: Metadata | None = None) -> None:
        """Sends bytes, a contiguous buffer (as its bytes), an Arrow array, or a
        received value; the latter, and parts of it that are bytes, without a
        copy. Waits where an input with `queue_policy: backpressure` is full.
        On an output that the file does not declare: a warning, once."""
    def send_output_raw(self, output_id: str, data_length: int,
                        metadata: Metadata | None = None) -> SampleHandler:
        """Takes `data_length` bytes of shared memory, not zeroed, to write a
        message into. RuntimeError where the node's memory is full, naming who
        holds it, unless `heap_full: wait` lets it wait."""
    def send_service_request(self, output_id: str, data: Any,
                             metadata: Metadata | None = None) -> str:
        """Sends a message with a new `request_id` in its metadata, which is
        returned."""
    def send_service_response(self, output_id: str, data: Any,
                              metadata: Metadata) -> None:
        """Sends a message with the metadata of the request it answers."""
    def log(self, level: str, message: str, target: str | None = None,
            fields: Mapping[str, str] | None = None) -> None:
        """A record in the node's log. `level` is error, warn, info, debug or
        trace; `target` the logger's name. The `logging` module does the same by
        itself."""
    def log_error(self, message: str, /) -> None: ...
    def log_warn(self, message: str, /) -> None: ...
    def log_info(self, message: str, /) -> None: ...
    def log_debug(self, message: str, /) -> None: ...
    def log_trace(self, message: str, /) -> None: ...
    def node_config(self) -> dict[str, Any]:
        """This node's `inputs` and `outputs`, as in the file."""
    def dataflow_descriptor(self) -> dict[str, Any]:
        """The whole file."""
    def dataflow_id(self) -> str:
        """The id of this run, as in out/<id>."""
    def is_restart(self) -> bool:
        """Whether this node was started before in this run."""
    def restart_count(self) -> int:
        """How often this node was started again."""
    def timestamp(self) -> datetime:
        """Now, aware, UTC."""

@final
class SampleHandler:
    """A message in the making. `with` gives a writable memoryview and sends at
    its end; nothing is sent if an exception ends it. One that is dropped unsent
    gives its memory back."""

    def as_buffer(self) -> SampleBuffer:
        """The bytes, for NumPy and whatever takes a buffer: always the same
        object."""
    def as_memoryview(self) -> memoryview:
        """A new writable view of the bytes."""
    def send(self) -> None:
        """Sends the message, once. The memoryviews given out so far end here;
        arrays made of them live on, keep the memory, and must not be written
        to. DORA_STRICT_VIEWS=1 refuses to send while there are any."""
    def __enter__(self) -> memoryview: ...
    def __exit__(self, type: type[BaseException] | None,
                 value: BaseException | None,
                 traceback: TracebackType | None, /) -> bool: ...

@final
class SampleBuffer:
    """The bytes of a message to be sent: a writable buffer until it is sent,
    then a BufferError."""

    def __buffer__(self, flags: int, /) -> memoryview: ...

@final
class DataType:
    """The type of an array's items, as Arrow's."""

    @property
    def bit_width(self) -> int:
        """Of one item; ValueError for types without one."""
    def __arrow_c_schema__(self) -> object: ...

@final
class Scalar:
    """One item of an array."""

    def as_py(self) -> Any:
        """The item as Python knows it."""
    @property
    def type(self) -> DataType: ...
    @property
    def is_valid(self) -> bool: ...
    def __index__(self) -> int: ...
    def __int__(self) -> int: ...
    def __float__(self) -> float: ...
    def __getitem__(self, key: Any, /) -> Any: ...

@final
class Array(Sequence[Scalar]):
    """The value of a message, read-only in shared memory: bytes, or a string.
    A node that has imported pyarrow before Node() gets a pyarrow.Array, which
    this behaves as. The memory goes back to its sender when the last of it, its
    slices, views and arrays is gone."""

    @property
    def type(self) -> DataType: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def null_count(self) -> int: ...
    @property
    def offset(self) -> int:
        """Of a slice: where it begins in what was sent."""
    def to_pylist(self) -> list[int | str | None]: ...
    def tolist(self) -> list[int | str | None]: ...
    def to_numpy(self, zero_copy_only: bool = True,
                 writable: bool = False) -> Any:
        """A read-only NumPy array of uint8 over the same memory; a copy if it
        is to be writable, or holds a null or a string: ValueError, unless
        `zero_copy_only` is False."""
    def to_string(self, indent: int = 2, top_level_indent: int = 0,
                  window: int = 10) -> str:
        """The lines that str() gives: `window` items from each end."""
    def slice(self, offset: int = 0, length: int | None = None) -> Array:
        """A part that shares the memory."""
    def equals(self, other: Array, /) -> bool:
        """Whether type and items are the same."""
    def buffers(self) -> list[memoryview | bytes | None]:
        """Validity, always None, and a view of the bytes; of a string, copies:
        where it begins and ends, and its bytes."""
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any: ...
    def __arrow_c_array__(self, requested_schema: object | None = None
                          ) -> tuple[object, object]: ...

@final
class ArrowArray(Sequence[Scalar]):
    """The value of a message, read-only in shared memory: an Arrow array of
    other items. With pyarrow as above."""

    @property
    def type(self) -> DataType: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def null_count(self) -> int: ...
    @property
    def offset(self) -> int: ...
    def to_pylist(self) -> list[Any]: ...
    def tolist(self) -> list[Any]: ...
    def to_numpy(self, zero_copy_only: bool = True,
                 writable: bool = False) -> Any: ...
    def to_string(self, indent: int = 2, top_level_indent: int = 0,
                  window: int = 10) -> str: ...
    def slice(self, offset: int = 0, length: int | None = None) -> ArrowArray: ...
    def field(self, index: int | str, /) -> ArrowArray: ...
    def equals(self, other: ArrowArray, /) -> bool: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any: ...
    def __arrow_c_array__(self, requested_schema: object | None = None
                          ) -> tuple[object, object]: ...

def start_runtime() -> None:
    """How dora-run starts an operator; nothing for scripts."""
