"""A connection whose transport is awaited: how it takes part in a room."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import TYPE_CHECKING, Final

from pycrdt import Channel

from collabd.errors import CollabdError

from .outbox import QueuedOutbox
from .peer import Peer

if TYPE_CHECKING:
    from .room import DocumentRoom

logger = logging.getLogger(__name__)

ABNORMAL: Final = 1006
"""How a connection ends that ends without a close frame (RFC 6455, section 7.1.5)."""


class Disconnected(Exception):
    """The client ended the connection. Raised by the ``incoming`` of :func:`converse`."""

    def __init__(self, code: int = 1000, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


async def converse(
    room: "DocumentRoom",
    peer: Peer,
    outbox: QueuedOutbox,
    incoming: AsyncIterable[bytes],
    send: Callable[[bytes], Awaitable[None]],
) -> CollabdError | None:
    """Let a peer take part in a room until its connection ends.

    Args:
        outbox: the one the peer was made with.
        incoming: its messages; ends, or raises :class:`Disconnected`, when the client has gone.
        send: delivers a message; may raise once the client has gone.

    Returns:
        None if the client went by itself; else the error to close the connection with.
    """
    try:
        room.join(peer)
    except CollabdError as refusal:
        return refusal
    error: CollabdError | None = None
    ended = Disconnected(ABNORMAL)
    reading = asyncio.ensure_future(_read(room, peer, incoming))
    sending = asyncio.ensure_future(outbox.drain(send))
    try:
        await asyncio.wait((reading, sending, outbox.closed), return_when=asyncio.FIRST_COMPLETED)
        if outbox.closed.done():
            error = outbox.closed.result()
        elif reading.done():
            ended = reading.result()
    except CollabdError as refusal:
        error = refusal
    except Exception:
        logger.exception("a peer of %s is closed: its message could not be handled", room.name)
        error = CollabdError("the server failed; come back")
    finally:
        for task in (reading, sending):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
        if error is not None:
            room.leave(peer, error.close_code, error.close_reason)
        else:
            room.leave(peer, ended.code, ended.reason)
    return error


async def _read(room: "DocumentRoom", peer: Peer, incoming: AsyncIterable[bytes]) -> Disconnected:
    try:
        async for message in incoming:
            room.receive(peer, message)
    except Disconnected as disconnected:
        return disconnected
    return Disconnected()


async def serve_channel(room: "DocumentRoom", channel: Channel, queue_bytes: int) -> None:
    """Serve anything with pycrdt's ``Channel`` interface.

    Raises:
        CollabdError: the room ended the conversation; the caller closes the channel.
    """
    outbox = QueuedOutbox(queue_bytes)
    peer = Peer(outbox, address=channel.path)
    room.clients.add(channel)
    try:
        error = await converse(room, peer, outbox, channel, channel.send)
    finally:
        room.clients.discard(channel)
    if error is not None:
        raise error
