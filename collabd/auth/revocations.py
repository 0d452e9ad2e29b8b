"""What was revoked: known at once here, and everywhere else after the next look."""

import math
import time
from collections.abc import Callable
from typing import Final

from collabd.memos import Memos

from .base import Identity
from .feed import Feed

KIND: Final = "revoked"


class Revocations:
    """Credentials that hold no longer before their time is over, and subjects with the document tokens they
    had until then.

    Args:
        lasting: seconds after which what is revoked has ended by itself.
        clock: seconds since the epoch.
    """

    def __init__(self, memos: Memos, lasting: float, *, clock: Callable[[], float] = time.time) -> None:
        self.feed = Feed(memos, KIND, lasting, clock=clock)
        self._lasting = lasting
        self._clock = clock
        self._at: dict[str, float] = {}

    async def add(self, what: str) -> None:
        """Revoke a credential (``token:…``, ``key:…``, ``session:…``), or the document tokens that a
        subject (``subject:…``) was given so far.

        Raises:
            StoreUnavailable: the store cannot commit at the moment.
        """
        self._at[what] = await self.feed.add(what)

    async def look(self) -> None:
        """Find out what was revoked elsewhere.

        Raises:
            StoreUnavailable: the store cannot be asked at the moment.
        """
        for what, at in await self.feed.look():
            self._at[what] = max(at, self._at.get(what, 0.0))
        ended = self._clock() - self._lasting
        for what in [what for what, at in self._at.items() if at < ended]:
            del self._at[what]

    def concern(self, identity: Identity) -> bool:
        """Whether somebody's credentials hold no longer."""
        if identity.credential in self._at:
            return True
        # Who can make tokens can take all of somebody's back: but neither keys nor what needs no credentials.
        return identity.credential.startswith("token:") and (
            self._at.get(f"subject:{identity.principal.id}", -math.inf) >= identity.issued_at
        )
