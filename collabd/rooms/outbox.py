"""What a room sends to its peers, and what happens to those that do not read it.

A peer whose queue exceeds its bound is closed with :class:`~collabd.errors.SlowClient`; it is never skipped,
since a client that missed one update would show a wrong document without knowing.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Never, Protocol

from collabd.errors import CollabdError, SlowClient


class Frame:
    """One protocol message on its way to any number of peers.

    Args:
        payload: the message.
    """

    __slots__ = ("framed", "payload")

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.framed = framed(payload)
        """The payload as one unmasked binary WebSocket frame."""


def framed(payload: bytes) -> bytes:
    """A payload as one unmasked binary WebSocket frame (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        header = bytes((0x82, size))
    elif size < 65536:
        header = b"\x82\x7e" + size.to_bytes(2, "big")
    else:
        header = b"\x82\x7f" + size.to_bytes(8, "big")
    return header + payload


SMALL: Final = 64 * 1024
"""Bytes up to which a frame may be written with :attr:`Outbox.write_framed`."""


class Outbox(Protocol):
    """Takes what one peer shall get. Nothing here blocks or raises, whatever has become of the peer."""

    @property
    def write_framed(self) -> Callable[[bytes], object] | None:
        """What :meth:`send` would hand a small frame to in the end, framed, as there is nothing else to see
        to; None if there is, or may be. Look again for each frame."""

    @property
    def waiting(self) -> int:
        """Bytes that are queued: what the peer does not need can be kept back until it has read them."""

    def send(self, frame: Frame) -> None:
        """Queue a frame. A peer that lags too far behind is closed instead."""

    def ping(self, answered: Callable[[], None]) -> None:
        """Have ``answered`` called when the peer has answered a ping, if it can be asked and has answered the
        one before."""

    def close(self, error: CollabdError, *, discard: bool = False) -> None:
        """End the connection with the close code and reason of ``error``. Frames still queued may be
        dropped; with ``discard`` they are, even if the connection is cut by that."""


class QueuedOutbox:
    """An outbox for any transport with an awaitable send; :meth:`drain` must run as long as the connection
    lives, and be cancelled when ``closed`` is done.

    Args:
        limit: bytes that may be queued, beside the largest frame among them: that one may be a document.
    """

    write_framed = None

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._queue: deque[bytes] = deque()
        self._size = 0
        self._largest = 0
        self._wake = asyncio.Event()
        self.closed: asyncio.Future[CollabdError] = asyncio.get_running_loop().create_future()
        """Done when the connection must be closed, with the reason."""

    @property
    def waiting(self) -> int:
        return self._size

    def send(self, frame: Frame) -> None:
        if self.closed.done():
            return
        size = len(frame.payload)
        self._largest = max(self._largest, size) if self._size else size
        self._size += size
        self._queue.append(frame.payload)
        if self._size > self._limit + self._largest:
            self.close(SlowClient("you do not read what you are sent"))
        else:
            self._wake.set()

    def ping(self, answered: Callable[[], None]) -> None:
        """Not every transport can."""

    def close(self, error: CollabdError, *, discard: bool = False) -> None:
        if not self.closed.done():
            self.closed.set_result(error)
            self._queue.clear()

    async def drain(self, send: Callable[[bytes], Awaitable[None]]) -> Never:
        """Send what is queued, in order, for ever. Raises what ``send`` raises."""
        while True:
            while self._queue:
                payload = self._queue.popleft()
                await send(payload)
                self._size -= len(payload)
            self._wake.clear()
            await self._wake.wait()
