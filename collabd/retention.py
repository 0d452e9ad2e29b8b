"""What is kept of the past, and for how long.

History that has grown old is thinned to the last state of each day (UTC), and the states that have names;
what was typed and deleted between two of them is gone then, for good.
"""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from collabd.errors import CollabdError, SettingsError
from collabd.persistence.base import HistoryEntry, Store, Version

logger = logging.getLogger(__name__)

DAY: Final = 86_400.0
_DAYS: Final = re.compile(r"([1-9][0-9]{0,4})d").fullmatch


class Policy(NamedTuple):
    """How much of a document's past is kept."""

    keep_history: bool = True
    """Whether any is, beyond what has not been compacted yet."""
    days: int | None = None
    """For how many days all of it is kept before it is thinned; None for ever."""


def parse(text: str) -> Policy:
    """The policy that ``all``, ``none`` or a number of days (``30d``) stands for.

    Raises:
        SettingsError: it is none of these.
    """
    if text in ("all", "none"):
        return Policy(text == "all")
    days = _DAYS(text)
    if days is None:
        raise SettingsError(f"history is all, none or a number of days like 30d, not {text!r}")
    return Policy(days=int(days[1]))


class Thinning(NamedTuple):
    """History that is old enough to be thinned."""

    upto: int
    """The number its last entry ends with."""
    entries: int
    """How many entries it has."""
    boundaries: frozenset[int]
    """Where states are to be kept."""


def thinning(entries: Sequence[HistoryEntry], versions: Iterable[Version], before: float) -> Thinning | None:
    """What to thin of a history (its ``updates`` may be left out), of which all that is older than ``before``
    (seconds since the epoch) is old; None if there is nothing to gain.

    Days of which a part is not old yet are left as they are.
    """
    old = 0
    while old < len(entries) and (entries[old].at // DAY + 1) * DAY <= before:
        old += 1
    if not old or entries[0].first != 1:  # where the beginning is not kept, no state can be made
        return None
    upto = entries[old - 1].seq
    last_of_days = {
        one.seq for one, following in pairwise(entries[:old]) if one.at // DAY != following.at // DAY
    }
    kept = {upto} | last_of_days | {version.seq for version in versions if version.seq <= upto}
    if old <= len(kept.intersection(entry.seq for entry in entries[:old])):
        return None
    return Thinning(upto, old, frozenset(kept))


class Keeper:
    """Sees to it, once a day, that nothing is kept longer than it should be.

    Args:
        sweep: compacts all documents that changed since a time, and thins their history.
        author_days: for how many days it is kept who wrote; 0 for ever.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        store: Store,
        sweep: Callable[[float], Awaitable[None]],
        policy: Policy,
        *,
        author_days: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._sweep = sweep
        self._policy = policy
        self._author_days = author_days
        self._clock = clock
        self._swept_at: float | None = None

    async def run(self) -> None:
        """Do it now and once a day, until cancelled."""
        while True:
            try:
                await self.once()
            except CollabdError as error:
                logger.warning("what is too old is still kept: %s", error)
            await asyncio.sleep(DAY)

    async def once(self) -> None:
        """Do it now.

        Raises:
            StoreUnavailable: the store cannot commit at the moment.
        """
        now = self._clock()
        if self._author_days:
            erased = await self._store.erase_authors(before=now - self._author_days * DAY)
            logger.info("authors of %d connections were erased", erased)
        if self._policy != Policy():
            since = 0.0
            if self._swept_at is not None:
                # What changed last before that had grown old by then; a day is thinned when all of it has.
                since = self._swept_at - ((self._policy.days or 0) + 2) * DAY
            await self._sweep(since)
            self._swept_at = now
