"""Many who come at once are served a few at a time, with pauses in which edits go on."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

AT_ONCE_SECONDS: Final = 0.001
"""How long those are served who have a turn together, about."""
PAUSE_SECONDS: Final = 0.002
"""How long the others wait then for their turn while somebody edits."""
BUSY_SECONDS: Final = 0.25
"""How long after an edit others are expected."""

Serve = Callable[[], float]
"""Serves somebody; the answer is how long that holds the event loop, now or soon, in seconds, about."""


class Turns:
    """Gives turns in the order in which they are asked for.

    Args:
        loop: its clock and timers are used, nothing else.
    """

    __slots__ = ("_began_at", "_loop", "_next", "_spent", "_waiting", "edited_at")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Serve] = deque()
        self._next: asyncio.Handle | None = None
        self._began_at = float("-inf")
        self._spent = 0.0
        self.edited_at = float("-inf")
        """When somebody edited something last, on the loop's clock."""

    def ask(self, serve: Serve) -> None:
        """Have somebody served when it is their turn: right now unless many were just before."""
        if self._next is not None:
            self._waiting.append(serve)
            return
        now = self._loop.time()
        if now - self._began_at >= AT_ONCE_SECONDS:
            self._began_at = now
            self._spent = 0.0
        if self._spent < AT_ONCE_SECONDS:
            self._spent += serve()
        else:
            self._waiting.append(serve)
            self._pause()

    def _pause(self) -> None:
        if self._loop.time() - self.edited_at < BUSY_SECONDS:
            self._next = self._loop.call_later(PAUSE_SECONDS, self._serve_next)
        else:
            self._next = self._loop.call_soon(self._serve_next)

    def _serve_next(self) -> None:
        self._began_at = self._loop.time()
        self._spent = 0.0
        # Whoever asks meanwhile stands behind those who wait.
        while self._waiting and self._spent < AT_ONCE_SECONDS:
            self._spent += self._waiting.popleft()()
        self._next = None
        if self._waiting:
            self._pause()
