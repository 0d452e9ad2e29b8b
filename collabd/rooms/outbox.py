"""What a room sends to its peers, and what happens to those that do not read it.

A peer whose queue exceeds its bound is closed with :class:`~collabd.errors.SlowClient`; it is never skipped,
since a client that missed one update would show a wrong document without knowing.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from collabd.errors import CollabdError, SlowClient


class Frame:
    """One protocol message on its way to any number of peers, put into WebSocket framing at most once."""

    __slots__ = ("_framed", "payload")

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self._framed: bytes | None = None

    @property
    def framed(self) -> bytes:
        """The payload as one unmasked binary WebSocket frame (RFC 6455, section 5.2)."""
        if self._framed is None:
            size = len(self.payload)
            if size < 126:
                header = bytes((0x82, size))
            elif size < 65536:
                header = b"\x82\x7e" + size.to_bytes(2, "big")
            else:
                header = b"\x82\x7f" + size.to_bytes(8, "big")
            self._framed = header + self.payload
        return self._framed


class Outbox(Protocol):
    """Takes what one peer shall get. Neither method blocks or raises, whatever has become of the peer."""

    def send(self, frame: Frame) -> None:
        """Queue a frame. A peer that lags too far behind is closed instead."""

    def close(self, error: CollabdError) -> None:
        """End the connection with the close code and reason of ``error``. Frames still queued may be
        dropped."""


class QueuedOutbox:
    """An outbox for any transport with an awaitable send; :meth:`drain` must run as long as the connection
    lives.

    Args:
        limit: bytes that may be queued.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._queue: deque[bytes] = deque()
        self._size = 0
        self._wake = asyncio.Event()
        self.closed_by: CollabdError | None = None

    def send(self, frame: Frame) -> None:
        if self.closed_by is not None:
            return
        self._queue.append(frame.payload)
        self._size += len(frame.payload)
        if self._size > self._limit:
            self.close(SlowClient("you do not read what you are sent"))
        else:
            self._wake.set()

    def close(self, error: CollabdError) -> None:
        if self.closed_by is None:
            self.closed_by = error
            self._queue.clear()
            self._wake.set()

    async def drain(self, send: Callable[[bytes], Awaitable[None]]) -> CollabdError:
        """Send what is queued, in order, until :meth:`close` was called; return why. Raises what ``send``
        raises."""
        while True:
            while self._queue and self.closed_by is None:
                payload = self._queue.popleft()
                await send(payload)
                self._size -= len(payload)
            if self.closed_by is not None:
                return self.closed_by
            self._wake.clear()
            await self._wake.wait()
