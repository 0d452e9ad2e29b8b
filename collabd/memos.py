"""What must be remembered beside documents: sessions, keys, shares, what was revoked and done.

Whoever remembers something names its kind and knows how to read it; stores know neither.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Memo(NamedTuple):
    """Something small that must be remembered, as a store keeps it."""

    kind: str
    key: str
    """Unique among its kind."""
    subject: str
    """Whom it is about: memos can be listed by it."""
    value: str
    """JSON."""
    expires_at: float = math.inf
    """Seconds since the epoch; it is gone soon after that."""


class Memos(Protocol):
    """Where what must be remembered of people and their credentials is kept."""

    async def put_memo(self, memo: Memo, *, fresh: bool = False) -> bool:
        """Keep a memo, in the place of the one with its kind and key; it is durable then. With ``fresh``
        only if there is none: else False, and nothing is changed.

        Raises:
            StoreUnavailable: the store cannot commit at the moment.
        """

    async def memo(self, kind: str, key: str) -> Memo | None:
        """Look one up. What has expired is not found."""

    async def memos(
        self, kind: str, *, subject: str | None = None, after: str = "", limit: int = 100
    ) -> list[Memo]:
        """List those of a kind, or of a kind and a subject, by key, beginning after the key ``after``."""

    async def memos_about(self, kind: str, subjects: Sequence[str]) -> list[Memo]:
        """All those of a kind that are about one of these subjects, by key."""

    async def remove_memo(self, kind: str, key: str) -> bool:
        """Forget one; False if there was none.

        Raises:
            StoreUnavailable: the store cannot commit at the moment.
        """

    async def remove_expired_memos(self, now: float) -> int:
        """Forget those that expired before ``now``; how many."""
