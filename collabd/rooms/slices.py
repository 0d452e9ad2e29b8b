"""Work in slices: what takes long gives the event loop a turn every few milliseconds.

Such work is a generator that yields wherever it may be interrupted, and returns its result.
"""

import asyncio
import time
from collections.abc import Callable, Generator
from typing import Final, Generic, TypeVar

T = TypeVar("T")

Work = Generator[None, None, T]
Clock = Callable[[], float]

SLICE_SECONDS: Final = 0.003
"""An edit in another room takes a handful of turns, and each may have to wait for a slice."""
PAUSE_SECONDS: Final = 0.002
"""What others have between two slices: not only the event loop, but also the store's thread."""


class Slices(Generic[T]):
    """A piece of work under way.

    Args:
        clock: seconds, as ``time.perf_counter`` gives them.
    """

    __slots__ = ("_clock", "_work", "result")

    def __init__(self, work: "Work[T]", clock: Clock = time.perf_counter) -> None:
        self._work = work
        self._clock = clock
        self.result: T
        """What the work returned, once it is done."""

    def advance(self) -> bool:
        """Do as much as fits a slice; whether all is done. Raises what the work raises."""
        clock = self._clock
        until = clock() + SLICE_SECONDS
        try:
            while True:
                next(self._work)
                if clock() >= until:
                    return False
        except StopIteration as stop:
            self.result = stop.value
            return True

    async def finished(self) -> T:
        """Do all of it, and give the loop a turn after each slice."""
        while not self.advance():
            await asyncio.sleep(PAUSE_SECONDS)
        return self.result


def at_once(work: "Work[T]") -> T:
    """Do all of the work without a break."""
    try:
        while True:
            next(work)
    except StopIteration as stop:
        result: T = stop.value
        return result


class Pace:
    """How many structs to give pycrdt at once: as many as it takes in within half a slice.

    What one struct costs grows with the items at its place, from less than a microsecond to milliseconds.
    """

    __slots__ = ("_careful", "clock", "structs")

    FEWEST: Final = 8
    """What work that may be costly begins with."""
    MOST: Final = 400
    CAREFUL: Final = 16
    """Pieces of work to be careful with after a slow one: that may just have been a busy machine."""

    def __init__(self, clock: Clock = time.perf_counter) -> None:
        self.clock = clock
        self.structs = self.FEWEST
        self._careful = 0

    def begin(self, *, is_large: bool) -> None:
        """Begin with little where more may be costly: in large work, and in a document that was slow just
        now."""
        if is_large or self._careful:
            self.structs = min(self.structs, self.FEWEST)
            self._careful = max(0, self._careful - 1)

    def took(self, seconds: float, *, is_full: bool) -> None:
        """Learn from the last ones. ``is_full``: there were as many as allowed."""
        if seconds > SLICE_SECONDS / 2:
            self.structs = max(1, self.structs // 2)
            self._careful = self.CAREFUL
        elif is_full and seconds < SLICE_SECONDS / 8:
            self.structs = min(self.MOST, self.structs * 2)


class Pause:
    """Gives the event loop a turn every few milliseconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until = clock() + SLICE_SECONDS

    async def if_due(self) -> None:
        if self._clock() >= self._until:
            await asyncio.sleep(PAUSE_SECONDS)
            self._until = self._clock() + SLICE_SECONDS
