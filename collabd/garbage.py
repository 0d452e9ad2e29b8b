"""When Python looks for objects that only hold each other.

A whole search holds the event loop for about a second per million objects, and left to itself Python makes
one whenever there are a quarter more of them than at the last: a dozen while 10,000 documents are opened. So
what lives on is set aside before it is much, and a search looks at nothing but what is new. A whole search is
made when nobody is connected to notice, and once an hour if there always is somebody.
"""

import gc
import time
from collections.abc import Callable
from typing import Final

HOUR: Final = 3_600.0
PATIENCE_SECONDS: Final = 10.0
"""How long what lives on is watched before it is set aside. What is in use just then, and in a circle later,
is only found by a whole search."""
MUCH: Final = 2
"""Searches of Python's own among the newest objects after which there may be so many others that looking at
them takes some 3 ms: then it is not waited any longer."""
_THRESHOLDS: Final = (2_000, 1_000, 1_000)
"""Python's own searches: among the newest objects often enough, among the others practically never."""


class Garbage:
    """Decides it for this process, from :meth:`begin` to :meth:`end`.

    Args:
        is_quiet: whether nobody would notice a pause.
        clock: seconds.
    """

    def __init__(self, is_quiet: Callable[[], bool], clock: Callable[[], float] = time.monotonic) -> None:
        self._is_quiet = is_quiet
        self._clock = clock
        self._thresholds = gc.get_threshold()
        self._searched_at = self._set_aside_at = clock()
        self._was_busy = False

    def begin(self) -> None:
        """Set aside all there is."""
        self._thresholds = gc.get_threshold()
        gc.set_threshold(*_THRESHOLDS)
        self._search()

    def end(self) -> None:
        """Leave it to Python again."""
        gc.unfreeze()
        gc.set_threshold(*self._thresholds)

    def tick(self) -> None:
        """Do what is due. To be called some ten times a second."""
        now = self._clock()
        is_quiet = self._is_quiet()
        if (is_quiet and self._was_busy) or now - self._searched_at >= HOUR:
            self._search()
        elif now - self._set_aside_at >= PATIENCE_SECONDS or gc.get_count()[1] >= MUCH:
            gc.collect(1)
            gc.freeze()
            self._set_aside_at = now
        self._was_busy = not is_quiet

    def _search(self) -> None:
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        self._searched_at = self._set_aside_at = self._clock()
