"""Large frames, compressed for the peers that agreed to it: each at most once, beside the event loop, and
without changing the order in which a peer gets what it is sent.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, Final, TypeGuard

from collabd.errors import CollabdError
from collabd.protocol.packing import pack

from .outbox import Frame, framed
from .peer import Peer

WORTH_PACKING: Final = 8 * 1024
"""Bytes from which on a frame is compressed."""
TOO_LARGE_TO_PACK: Final = 64 * 1024 * 1024
"""Bytes beyond which it is not: the page inflates no more than these."""
WORTH_IT: Final = 0.9
"""The part of its size up to which a compressed frame is used."""
HELD_BACK: Final = 1024 * 1024
"""Bytes that may wait for a frame to be compressed; if it is more, that frame goes out as it is."""

_thread: Final = ThreadPoolExecutor(1, "collabd-packing")
"""zlib lets other threads run. One is enough, and leaves the other processors to the rest."""


class Packable(Frame):
    """A step 2 or update message that may be sent compressed to any number of peers."""

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self._packing: asyncio.Future[Frame | None] | None = None

    @cached_property
    def framed(self) -> bytes:  # type: ignore[override]  # it is large, and perhaps nobody gets it so
        """The payload as one unmasked binary WebSocket frame."""
        return framed(self.payload)

    async def packed(self) -> Frame:
        """The frame compressed, or itself if that saves too little. Whoever asks later gets the same one."""
        if self._packing is None:
            loop = asyncio.get_running_loop()
            self._packing = loop.run_in_executor(_thread, self._pack)
        return await asyncio.shield(self._packing) or self

    def _pack(self) -> Frame | None:
        packed = pack(self.payload)
        return Frame(packed) if len(packed) <= len(self.payload) * WORTH_IT else None


def _is_worth_packing(frame: Frame) -> TypeGuard[Packable]:
    return isinstance(frame, Packable) and WORTH_PACKING <= len(frame.payload) <= TOO_LARGE_TO_PACK


def send_packed(peer: Peer, frame: Frame) -> Coroutine[Any, Any, None] | None:
    """Send a frame, compressed if it may be, that is worth it and the peer agreed to it.

    Returns:
        what must be run for it to be sent then; None if nothing is left to do.
    """
    if not peer.session.inflates or not _is_worth_packing(frame) or isinstance(peer.outbox, _Queue):
        peer.send(frame)
        return None
    queue = _Queue(peer)
    peer.outbox = queue
    peer.send(frame)
    return queue.sending()


class _Queue:
    """Stands in for the outbox of a peer while a frame to it is compressed: what is sent to it meanwhile
    keeps its place."""

    write_framed = None

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._outbox = peer.outbox
        self._frames: deque[Frame] = deque()
        self._size = 0

    @property
    def waiting(self) -> int:
        return self._outbox.waiting + self._size

    def send(self, frame: Frame) -> None:
        self._frames.append(frame)
        self._size += len(frame.payload)
        if self._size - len(self._frames[0].payload) > HELD_BACK:
            self._give_up()

    def ping(self, answered: Callable[[], None]) -> None:
        self._outbox.ping(answered)

    def close(self, error: CollabdError, *, discard: bool = False) -> None:
        self._frames.clear()
        self._give_up()
        self._outbox.close(error, discard=discard)

    async def sending(self) -> None:
        """Send everything in order, compressed where that was agreed on, until nothing is left."""
        try:
            while self._frames:
                frame = self._frames[0]
                if _is_worth_packing(frame):
                    frame = await frame.packed()
                if not self._frames:
                    break  # all was sent, or dropped, meanwhile
                self._size -= len(self._frames.popleft().payload)
                self._outbox.send(frame)
        finally:
            self._give_up()

    def _give_up(self) -> None:
        """Send what is left as it is, and let the peer have its outbox back."""
        if self._peer.outbox is self:
            self._peer.outbox = self._outbox
        while self._frames:
            self._outbox.send(self._frames.popleft())
