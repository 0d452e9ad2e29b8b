"""Whatever a provider answers when it is asked for its keys, it is keys or a failure that is told."""

from typing import Any

import pytest
from joserfc.jwk import RSAKey

from collabd.auth.jwks import Keys
from collabd.errors import Overloaded

GOOD = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"}).as_dict(private=False)


async def found(told: Any) -> list[str | None]:
    """The ids of the keys in an answer; none if it counts as no answer."""

    async def fetch() -> Any:
        return told

    try:
        return [key.kid for key in (await Keys(fetch).for_key("one")).keys]
    except Overloaded:
        return []


@pytest.mark.parametrize(
    "told", [None, [], "keys", {}, {"keys": None}, {"keys": 1}, {"keys": {"a": 1}}, {"keys": ["a", 1, None]}]
)
async def test_what_are_no_keys_lets_nobody_in_and_fails_nowhere_else(told: Any) -> None:
    assert await found(told) == []


@pytest.mark.parametrize("beside", [None, 1, "text", [], {}, {"kty": 1}, {"kty": "oct", "k": "AAAA"}])
async def test_a_good_key_counts_whatever_stands_beside_it(beside: Any) -> None:
    assert await found({"keys": [beside, GOOD]}) == ["one"]
