"""What was revoked: known at once here, and everywhere else after the next look."""

import json
import math
import secrets
import time
from collections.abc import Callable
from typing import Final

from collabd.memos import Memo, Memos

from .base import Identity

KIND: Final = "revoked"
OVERLAP_SECONDS: Final = 120.0
"""How far back is looked again each time: clocks of servers differ, and commits take time."""
PAGE: Final = 1_000


class Revocations:
    """Credentials that hold no longer before their time is over, and subjects with the document tokens they
    had until then.

    Args:
        lasting: seconds after which what is revoked has ended by itself.
        clock: seconds since the epoch.
    """

    def __init__(self, memos: Memos, lasting: float, *, clock: Callable[[], float] = time.time) -> None:
        self._memos = memos
        self._lasting = lasting
        self._clock = clock
        self._at: dict[str, float] = {}
        self._looked_at = 0.0

    async def add(self, what: str) -> None:
        """Revoke a credential (``token:…``, ``key:…``, ``session:…``), or the document tokens that a
        subject (``subject:…``) was given so far.

        Raises:
            StoreUnavailable: the store cannot commit at the moment.
        """
        now = self._clock()
        key = f"{_ordered(now)}-{secrets.token_hex(8)}"
        await self._memos.put_memo(Memo(KIND, key, what, json.dumps(now), now + self._lasting))
        self._at[what] = now

    async def look(self) -> None:
        """Find out what was revoked elsewhere.

        Raises:
            StoreUnavailable: the store cannot be asked at the moment.
        """
        now = self._clock()
        after = _ordered(self._looked_at - OVERLAP_SECONDS)
        while page := await self._memos.memos(KIND, after=after, limit=PAGE):
            for memo in page:
                self._at[memo.subject] = max(json.loads(memo.value), self._at.get(memo.subject, 0.0))
            after = page[-1].key
        self._looked_at = now
        for what in [what for what, at in self._at.items() if at + self._lasting < now]:
            del self._at[what]

    def concern(self, identity: Identity) -> bool:
        """Whether somebody's credentials hold no longer."""
        if identity.credential in self._at:
            return True
        # Who can make tokens can take all of somebody's back: but neither keys nor what needs no credentials.
        return identity.credential.startswith("token:") and (
            self._at.get(f"subject:{identity.principal.id}", -math.inf) >= identity.issued_at
        )


def _ordered(seconds: float) -> str:
    """A time as text that is ordered as times are."""
    return f"{max(0, round(seconds * 1000)):015d}"
