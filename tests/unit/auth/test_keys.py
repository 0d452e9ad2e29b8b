"""API keys."""

import math

import pytest

from collabd.auth.base import Access, Scope
from collabd.auth.keys import KIND, Keys, is_key
from collabd.errors import MalformedInput, SignInNeeded
from collabd.persistence.memory import MemoryStore

SCOPE = Scope({"notes": Access.READ})


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def keys(store: MemoryStore) -> Keys:
    return Keys(store)


async def test_a_key_is_read_as_it_was_made(keys: Keys) -> None:
    text, key = await keys.create("nightly export", SCOPE, mints=True)
    assert is_key(text)
    identity = await keys.read(text)
    (found,) = await keys.all()
    assert found == key
    assert (found.label, found.scope, found.mints, found.expires_at) == (
        "nightly export",
        SCOPE,
        True,
        math.inf,
    )
    assert identity.scope == SCOPE
    assert identity.mints
    assert identity.credential == f"key:{key.id}"


async def test_the_store_does_not_hold_what_signs_in(keys: Keys, store: MemoryStore) -> None:
    text, key = await keys.create("export", SCOPE)
    secret = text.split("_", 2)[2]
    memo = await store.memo(KIND, key.id)
    assert memo is not None
    assert secret not in memo.value
    assert len(secret) == 43


async def test_a_wrong_secret_is_refused(keys: Keys) -> None:
    text, _ = await keys.create("export", SCOPE)
    other, _ = await keys.create("other", SCOPE)
    for wrong in (
        text[:-1] + ("a" if text[-1] != "a" else "b"),
        text + "a",
        text.upper(),
        other[:20] + text[20:],
    ):
        with pytest.raises(SignInNeeded):
            await keys.read(wrong)


async def test_a_key_expires(keys: Keys) -> None:
    text, _ = await keys.create("export", SCOPE, seconds=1e-6)
    with pytest.raises(SignInNeeded):
        await keys.read(text)
    assert await keys.all() == []


async def test_keys_are_listed_and_removed(keys: Keys) -> None:
    made = [(await keys.create(f"key {number}", SCOPE))[1] for number in range(150)]
    assert await keys.all() == sorted(made)
    assert await keys.remove(made[0].id)
    assert not await keys.remove(made[0].id)
    assert await keys.all() == sorted(made[1:])


@pytest.mark.parametrize("label", ["", "x" * 101])
async def test_a_label_has_a_bound(keys: Keys, label: str) -> None:
    with pytest.raises(MalformedInput):
        await keys.create(label, SCOPE)


async def test_a_key_lasts_some_time(keys: Keys) -> None:
    with pytest.raises(MalformedInput):
        await keys.create("export", SCOPE, seconds=0)
