"""Messages between two of our own processes, over one stream of bytes.

    length    4 bytes, of the body
    kind      1 byte
    number    8 bytes, of the request that it is or belongs to
    body

Integers are big-endian. What is sent in one turn of the event loop goes out in one write.
"""

import asyncio
import contextlib
import logging
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final, cast

from collabd.errors import TooLarge
from collabd.sockets import private

logger = logging.getLogger(__name__)

MAX_BODY: Final = 2**30
"""Bytes a body may have."""

_HEADER: Final = struct.Struct(">IBQ")


def frame(kind: int, number: int, body: bytes = b"") -> bytes:
    """A message.

    Raises:
        TooLarge: its body is.
    """
    if len(body) > MAX_BODY:
        raise TooLarge(f"a message of {len(body)} bytes between processes exceeds {MAX_BODY}")
    return _HEADER.pack(len(body), kind, number) + body


class Link(asyncio.Protocol):
    """One end of the stream, for ``create_unix_server`` and ``create_unix_connection``.

    Args:
        received: is called with kind, number and body of each message. What it raises ends the connection.
        lost: is called once, when the connection has ended, whoever ended it. Nothing is received
            afterwards, and what is sent is dropped.
        eased: is called when the other end has taken in most of a backlog that had become large.
    """

    def __init__(
        self,
        received: Callable[[int, int, bytes], None],
        lost: Callable[[], None],
        eased: Callable[[], None] = lambda: None,
    ) -> None:
        self._received = received
        self._lost = lost
        self._eased = eased
        self._transport: asyncio.Transport | None = None
        self._rest = bytearray()
        """The beginning of a message of which the end is still to come."""
        self._outgoing: list[bytes] = []
        self._outgoing_size = 0
        self._flush: asyncio.Handle | None = None
        self._ended = asyncio.Event()

    @property
    def backlog(self) -> int:
        """Bytes that were sent, and that the other end has not taken yet."""
        written = 0 if self._transport is None else self._transport.get_write_buffer_size()
        return written + self._outgoing_size

    def send(self, message: bytes) -> None:
        """Send what :func:`frame` made, at the end of this turn of the loop. Never waits."""
        self._outgoing.append(message)
        self._outgoing_size += len(message)
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_soon(self._write)

    async def close(self) -> None:
        """Send what is still to be sent, and return once the connection has ended."""
        self._write()
        if self._transport is not None:
            self._transport.close()
            await self._ended.wait()

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def _write(self) -> None:
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        outgoing, self._outgoing, self._outgoing_size = self._outgoing, [], 0
        if outgoing and self._transport is not None and not self._transport.is_closing():
            self._transport.writelines(outgoing)

    # For the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self._ended.set()
        self._lost()

    def resume_writing(self) -> None:
        """Called by the event loop."""
        self._eased()

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        view: bytes | bytearray = data
        if self._rest:
            self._rest += data
            view = self._rest
        assert self._transport is not None
        position, end = 0, len(view)
        try:
            while end - position >= _HEADER.size and not self._transport.is_closing():
                length, kind, number = _HEADER.unpack_from(view, position)
                if length > MAX_BODY:
                    raise TooLarge("the other process does not speak as this one does")
                start = position + _HEADER.size
                if start + length > end:
                    break
                position = start + length
                self._received(kind, number, bytes(view[start:position]))
        except Exception:
            logger.exception("the connection to another process is ended")
            self._transport.abort()
            return
        if view is self._rest:
            del self._rest[:position]
        else:
            self._rest += data[position:]


async def cut_off(links: Iterable[Link]) -> None:
    """End connections at once; return when all have ended."""
    links = list(links)
    for link in links:
        link.abort()
    await asyncio.gather(*(link.close() for link in links))


@contextlib.asynccontextmanager
async def links_at(
    path: Path, welcome: Callable[[], Link], close: Callable[[], Awaitable[None]]
) -> AsyncIterator[None]:
    """Let processes of the same user connect to a socket at ``path``, in the block.

    Args:
        welcome: makes our end for one that connects.
        close: ends all of them; it is called at the end, when nobody can connect any more.

    Raises:
        OSError: there can be no socket at ``path``.
        StoreError: the path is too long.
    """
    with private(path) as listener:
        listening = await asyncio.get_running_loop().create_unix_server(welcome, sock=listener)
        try:
            yield
        finally:
            listening.close()
            await close()
