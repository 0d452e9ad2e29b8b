"""What happened, told to all servers of a store: known at once here, and everywhere else after a look."""

import json
import secrets
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from collabd.memos import Memo, Memos

OVERLAP_SECONDS: Final = 120.0
"""How far back is looked again each time: clocks of servers differ, and commits take time."""
PAGE: Final = 1_000


class Happening(NamedTuple):
    """Something that happened to something."""

    what: str
    at: float
    """Seconds since the epoch, by the clock of the server where it happened."""


class Feed:
    """Happenings of one kind.

    Args:
        kind: of the memos by which they are kept.
        lasting: for how many seconds they are; at least some minutes.
        clock: seconds since the epoch.
    """

    def __init__(
        self, memos: Memos, kind: str, lasting: float, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._memos = memos
        self._kind = kind
        self._lasting = lasting
        self._clock = clock
        self._seen: set[str] = set()
        self.looked_at = 0.0
        """When it was looked last, in seconds since the epoch."""
        self.on_added: Callable[[], None] | None = None
        """Called when something was told of here: others may be asked to look at once."""

    async def add(self, what: str) -> float:
        """Tell everybody that something happened to ``what``; when that was.

        Raises:
            StoreUnavailable: the store cannot commit at the moment.
        """
        now = self._clock()
        key = f"{_ordered(now)}-{secrets.token_hex(8)}"
        await self._memos.put_memo(Memo(self._kind, key, what, json.dumps(now), now + self._lasting))
        self._seen.add(key)
        if self.on_added is not None:
            self.on_added()
        return now

    async def look(self) -> list[Happening]:
        """What happened elsewhere since the last look; the first finds all there is.

        Raises:
            StoreUnavailable: the store cannot be asked at the moment.
        """
        now = self._clock()
        begin = after = _ordered(self.looked_at - OVERLAP_SECONDS)
        found: list[Happening] = []
        while page := await self._memos.memos(self._kind, after=after, limit=PAGE):
            found += [
                Happening(memo.subject, json.loads(memo.value)) for memo in page if memo.key not in self._seen
            ]
            self._seen.update(memo.key for memo in page)
            after = page[-1].key
        self._seen = {key for key in self._seen if key > begin}
        self.looked_at = now
        return found


def _ordered(seconds: float) -> str:
    """A time as text that is ordered as times are."""
    return f"{max(0, round(seconds * 1000)):015d}"
