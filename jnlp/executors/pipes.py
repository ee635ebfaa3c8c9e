"""Messages between jnlp and its own worker processes, over their standard input and output.

Each is eight bytes of length and a pickle. The other end is a process that jnlp started itself, never a stranger; what
crosses is texts one way and results the other, and no code.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from threading import Lock

_LENGTH = struct.Struct("<Q")


def send(stream: BinaryIO, message: object, lock: Lock, /) -> None:
    """Write a message; threads that share a stream share a lock.

    Raises:
        OSError: The other end has gone.
        Exception: The message cannot be pickled; nothing was written.
    """
    import pickle

    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    with lock:
        stream.write(_LENGTH.pack(len(data)))
        stream.write(data)
        stream.flush()


def receive(stream: BinaryIO, /) -> Any:
    """Return the next message.

    Raises:
        EOFError: The other end has gone.
    """
    import pickle

    (length,) = _LENGTH.unpack(_exactly(stream, _LENGTH.size))
    return pickle.loads(_exactly(stream, length))


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data
