"""Many who come at once are served a few at a time, with pauses in which edits go on."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

AT_ONCE_SECONDS: Final = 0.0005
"""How long those are served who have a turn together, about."""
PAUSE_SECONDS: Final = 0.002
"""How long the others wait then for their turn while somebody edits."""
COMMITS_SECONDS: Final = 0.004
"""How much longer, at most, while something is committed: it would have to wait for who is served, the thread
that commits because Python runs one thread at a time, and those who are to see it."""
LOOK_SECONDS: Final = 0.001
"""How soon it is looked again whether something is."""
MANY: Final = 300
"""When more than so many wait, as after a restart, there is no pause until there are fewer: they would be
kept out for long, and whoever edits waits for them as well."""
BUSY_SECONDS: Final = 0.25
"""How long after an edit others are expected."""

Serve = Callable[[], float]
"""Serves somebody; the answer is how long that holds the event loop, now or soon, in seconds, about."""


class Turns:
    """Gives turns in the order in which they are asked for.

    Args:
        loop: its clock and timers are used, nothing else.
    """

    __slots__ = ("_began_at", "_commits", "_edited_at", "_loop", "_next", "_paused_at", "_spent", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Serve] = deque()
        self._next: asyncio.Handle | None = None
        self._began_at = float("-inf")
        self._spent = 0.0
        self._edited_at = float("-inf")
        self._paused_at = float("-inf")
        self._commits = 0
        """How many are under way."""

    @property
    def pause(self) -> float:
        """How many seconds to wait after something that was done for those who come; 0 while nobody edits."""
        return PAUSE_SECONDS if self._loop.time() - self._edited_at < BUSY_SECONDS else 0.0

    def commit_begins(self) -> None:
        """What somebody wrote is handed over to be committed."""
        self._commits += 1
        self._edited_at = self._loop.time()

    def commit_ends(self) -> None:
        """It is committed, or will not be."""
        self._commits -= 1

    def ask(self, serve: Serve) -> None:
        """Have somebody served when it is their turn: right now unless many were just before. What that
        raises is raised here, or else handed to the event loop; the others are served all the same."""
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
        pause = self.pause
        if pause and len(self._waiting) <= MANY:
            self._paused_at = self._loop.time()
            self._next = self._loop.call_later(pause, self._serve_next)
        else:
            self._next = self._loop.call_soon(self._serve_next)

    def _serve_next(self) -> None:
        now = self._loop.time()
        if self._commits and now - self._paused_at < PAUSE_SECONDS + COMMITS_SECONDS:
            self._next = self._loop.call_later(LOOK_SECONDS, self._serve_next)
            return
        self._began_at = now
        self._spent = 0.0
        try:
            # Whoever asks meanwhile stands behind those who wait.
            while self._waiting and self._spent < AT_ONCE_SECONDS:
                self._spent += self._waiting.popleft()()
        finally:
            self._next = None
            if self._waiting:
                self._pause()
