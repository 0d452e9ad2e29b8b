"""The public keys of a provider, as new as they need to be."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from collabd.errors import Overloaded

logger = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 30.0
"""From one request to the next, at least, whatever unknown keys are named."""
MAX_AGE_SECONDS: Final = 600.0
"""A key that the provider has taken back is accepted no longer than this."""
GRACE_SECONDS: Final = 3600.0
"""How long keys hold while the provider cannot be asked."""

Fetch = Callable[[], Awaitable[Mapping[str, Any]]]


class Keys:
    """Asks for keys when they are too old, or when one is named that is not among them.

    Args:
        fetch: gets the set of keys (RFC 7517), or raises Overloaded.
        clock: seconds, on any clock that only goes forward.
    """

    def __init__(self, fetch: Fetch, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._found: KeySet | None = None
        self._ids: frozenset[str] = frozenset()
        self._found_at = self._asked_at = float("-inf")
        self._asking = asyncio.Lock()

    async def for_key(self, key_id: object) -> KeySet:
        """The keys, which may or may not hold the one named.

        Raises:
            Overloaded: the provider cannot be asked, and what it said last is too old, or nothing.
        """
        async with self._asking:
            now = self._clock()
            is_known = key_id is None or key_id in self._ids
            is_fresh = now - self._found_at < MAX_AGE_SECONDS
            if not (is_known and is_fresh) and now - self._asked_at >= PAUSE_SECONDS:
                await self._ask(now)
            if self._found is None or now - self._found_at >= GRACE_SECONDS:
                raise Overloaded("the provider cannot be asked for its keys; come back")
            return self._found

    async def _ask(self, now: float) -> None:
        self._asked_at = now
        try:
            told = await self._fetch()
            found = KeySet.import_key_set(_usable(told))
        except (JoseError, ValueError, KeyError, TypeError, Overloaded) as error:
            logger.error("the keys of a provider cannot be fetched: %r", error)
            return
        self._found, self._found_at = found, now
        self._ids = frozenset(key.kid for key in found.keys if key.kid)


def _usable(told: Mapping[str, Any]) -> Any:
    """Those keys that sign and are public, of kinds that we verify with."""
    keys = [
        key
        for key in told["keys"]
        if isinstance(key, Mapping)
        and key.get("kty") in ("RSA", "EC", "OKP")
        and key.get("use", "sig") == "sig"
        and "d" not in key
    ]
    return {"keys": keys}
