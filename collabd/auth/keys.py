"""API keys: how backends and scripts sign in.

A key is ``collabd_``, its id, ``_`` and a secret of 256 bits, of which only a hash is kept.
"""

import hashlib
import hmac
import json
import math
import re
import secrets
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from collabd.errors import MalformedInput, SignInNeeded
from collabd.memos import Memo, Memos

from .base import Identity, Principal, Scope

KIND: Final = "key"
PREFIX: Final = "collabd_"
ID_BYTES: Final = 6
SECRET_BYTES: Final = 32
MAX_LABEL: Final = 100
"""Characters."""
MAX_SECONDS: Final = 100 * 365 * 24 * 3600
"""Up to when a key may expire, if ever."""
_FORM: Final = re.compile(rf"{PREFIX}([0-9a-f]{{{2 * ID_BYTES}}})_([A-Za-z0-9_-]{{43}})")


class Key(NamedTuple):
    """What is known of a key. Times are seconds since the epoch."""

    id: str
    label: str
    scope: Scope
    mints: bool
    """Whether document tokens can be made with it."""
    created_at: float
    expires_at: float

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "id": self.id,
            "label": self.label,
            "scope": self.scope.written(),
            "mints": self.mints,
            "created_at": self.created_at,
            "expires_at": None if self.expires_at == math.inf else self.expires_at,
        }


class Keys:
    """The keys of a store.

    Args:
        clock: seconds since the epoch.
    """

    def __init__(self, memos: Memos, *, clock: Callable[[], float] = time.time) -> None:
        self._memos = memos
        self._clock = clock

    async def create(
        self, label: str, scope: Scope, *, mints: bool = False, seconds: float = math.inf
    ) -> tuple[str, Key]:
        """Make a key. What it is can be told now and never again.

        Raises:
            MalformedInput: the label is too long, or the time is out of bounds.
            StoreUnavailable: the store cannot commit at the moment.
        """
        if not 0 < len(label) <= MAX_LABEL:
            raise MalformedInput(f"a label has 1 to {MAX_LABEL} characters")
        if not (0 < seconds <= MAX_SECONDS or seconds == math.inf):
            raise MalformedInput("a key lasts some seconds, up to 100 years, or for ever")
        secret = secrets.token_urlsafe(SECRET_BYTES)
        now = self._clock()
        key = Key(secrets.token_hex(ID_BYTES), label, scope, mints, now, now + seconds)
        value = {"hash": _hash(secret), **key.told()}
        memo = Memo(KIND, key.id, f"key:{key.id}", json.dumps(value), key.expires_at)
        await self._memos.put_memo(memo, fresh=True)
        return f"{PREFIX}{key.id}_{secret}", key

    async def remove(self, key_id: str) -> bool:
        """Forget a key; False if there was none. Connections that were opened with it are to be ended too."""
        return await self._memos.remove_memo(KIND, key_id)

    async def all(self) -> list[Key]:
        """All there are, by id."""
        found: list[Key] = []
        while page := await self._memos.memos(KIND, after=found[-1].id if found else ""):
            found += [_key(memo) for memo in page]
        return found

    async def read(self, text: str) -> Identity:
        """Whose key it is.

        Raises:
            SignInNeeded: it is none.
        """
        form = _FORM.fullmatch(text)
        memo = None if form is None else await self._memos.memo(KIND, form[1])
        if form is None or memo is None:
            raise SignInNeeded("the key is not accepted")
        if not hmac.compare_digest(json.loads(memo.value)["hash"], _hash(form[2])):
            raise SignInNeeded("the key is not accepted")
        key = _key(memo)
        principal = Principal(f"key:{key.id}", key.label)
        return Identity(principal, principal.id, key.scope, key.expires_at, key.created_at, key.mints)


def is_key(text: str) -> bool:
    """Whether it may be a key, or is certainly something else."""
    return text.startswith(PREFIX)


def _hash(secret: str) -> str:
    # The secret is random and long: nothing is gained by hashing it slowly.
    return hashlib.sha256(secret.encode()).hexdigest()


def _key(memo: Memo) -> Key:
    value = json.loads(memo.value)
    scope = Scope.parse(value["scope"])
    return Key(memo.key, value["label"], scope, value["mints"], value["created_at"], memo.expires_at)
