"""Messages that travel compressed, where the subprotocol ``collabd.2`` was agreed on.

Message type 101 is a whole WebSocket message: the type, the size that it inflates to (a varUint), and raw
deflate data (RFC 1951) up to its end. Inflated, it is exactly one sync step 2 or update message. Since the
size is told first and no more than that is ever inflated, what it takes to read one is known before any of it
is read; WebSocket's own compression has no such bound.
"""

import zlib
from typing import Final

from collabd.errors import MalformedInput, TooLarge

from . import messages, wire

PACKED: Final = b"\x65"
"""How a packed message begins: type 101."""
LEVEL: Final = 4
"""Half the time of zlib's own choice, for 1 % more bytes of a typical document."""
_RAW: Final = -zlib.MAX_WBITS


def pack(message: bytes) -> bytes:
    """Pack one sync step 2 or update message."""
    return PACKED + wire.uint(len(message)) + zlib.compress(message, LEVEL, _RAW)


def inflated_size(frame: bytes, limit: int) -> int:
    """The bytes that a packed message says it inflates to.

    Raises:
        TooLarge: they are more than ``limit``.
        MalformedInput: it does not say.
    """
    return _size(wire.Reader(frame, len(PACKED)), limit)


def _size(reader: wire.Reader, limit: int) -> int:
    size = reader.uint()
    if size > limit:
        raise TooLarge("the message is too large once it is inflated")
    return size


def unpack(frame: bytes, limit: int) -> messages.SyncStep2 | messages.Update:
    """The message that is packed in a frame that begins with ``PACKED``.

    Raises:
        TooLarge: it has more than ``limit`` bytes.
        MalformedInput: it is not one message of the size that the frame tells, or of another type.
    """
    reader = wire.Reader(frame, len(PACKED))
    size = _size(reader, limit)
    inflating = zlib.decompressobj(_RAW)
    try:
        inflated = inflating.decompress(memoryview(frame)[reader.pos :], size + 1)
    except zlib.error as error:
        raise MalformedInput(f"the message cannot be inflated: {error}") from None
    if len(inflated) != size or not inflating.eof or inflating.unused_data:
        raise MalformedInput("the message does not inflate to what it says")
    match messages.decode(inflated):
        case [messages.SyncStep2() | messages.Update() as message]:
            return message
    raise MalformedInput("only a step 2 or an update may be packed, one at a time")
