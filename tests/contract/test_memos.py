"""What every store promises about memos; see ``collabd.memos``."""

import asyncio
import math
import time
from pathlib import Path

import pytest

from collabd.errors import StoreUnavailable
from collabd.memos import Memo
from collabd.persistence.base import Store

from .stores import STORES


def memo(
    key: str, *, kind: str = "key", subject: str = "ada", value: str = "1", until: float = math.inf
) -> Memo:
    return Memo(kind, key, subject, value, until)


async def test_a_memo_is_found_by_its_kind_and_key(store: Store) -> None:
    assert await store.memo("key", "a") is None
    kept = memo("a", value='{"name": "Zoë"}', until=time.time() + 1000)
    assert await store.put_memo(kept)
    assert await store.memo("key", "a") == kept
    assert await store.memo("session", "a") is None
    assert await store.memo("key", "A") is None


async def test_a_memo_takes_the_place_of_the_one_before(store: Store) -> None:
    await store.put_memo(memo("a"))
    later = memo("a", subject="ben", value="2", until=time.time() + 10)
    assert await store.put_memo(later)
    assert await store.memo("key", "a") == later


async def test_a_fresh_one_takes_nobody_s_place(store: Store) -> None:
    first = memo("a")
    assert await store.put_memo(first, fresh=True)
    assert not await store.put_memo(memo("a", value="2"), fresh=True)
    assert await store.memo("key", "a") == first


async def test_of_many_that_would_be_the_first_one_is(store: Store) -> None:
    memos = [memo("a", value=str(number)) for number in range(8)]
    placed = await asyncio.gather(*(store.put_memo(each, fresh=True) for each in memos))
    assert placed.count(True) == 1
    assert await store.memo("key", "a") == memos[placed.index(True)]


async def test_what_has_expired_is_not_there_and_its_place_is_free(store: Store) -> None:
    now = time.time()
    await store.put_memo(memo("old", until=now - 1))
    await store.put_memo(memo("new", until=now + 1000))
    assert await store.memo("key", "old") is None
    assert [each.key for each in await store.memos("key")] == ["new"]
    assert not await store.remove_memo("key", "old")
    await store.put_memo(memo("old", until=now - 1))
    assert await store.put_memo(memo("old", value="2"), fresh=True)
    found = await store.memo("key", "old")
    assert found is not None
    assert found.value == "2"


async def test_what_has_expired_is_forgotten_when_told_to(store: Store) -> None:
    now = time.time()
    for number in range(3):
        await store.put_memo(memo(f"old {number}", until=now - 1))
    await store.put_memo(memo("new"))
    assert await store.remove_expired_memos(now) == 3
    assert await store.remove_expired_memos(now) == 0
    assert await store.memo("key", "new") is not None


async def test_they_are_listed_by_key_some_at_a_time(store: Store) -> None:
    keys = ["B", "a", "a/b", "aa", "b", "é"]
    for key in reversed(keys):
        await store.put_memo(memo(key, subject="ada" if key < "b" else "ben"))
    await store.put_memo(memo("other", kind="session"))
    found: list[str] = []
    while page := await store.memos("key", after=found[-1] if found else "", limit=2):
        assert len(page) <= 2
        found += [each.key for each in page]
    assert found == keys
    assert [each.key for each in await store.memos("key", subject="ben")] == ["b", "é"]
    assert await store.memos("key", subject="eve") == []


async def test_one_is_removed_once(store: Store) -> None:
    await store.put_memo(memo("a"))
    assert await store.remove_memo("key", "a")
    assert not await store.remove_memo("key", "a")
    assert await store.memo("key", "a") is None


async def test_it_outlives_the_store(tmp_path: Path) -> None:
    store = STORES["sqlite"](tmp_path)
    await store.start()
    await store.put_memo(memo("a"))
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.put_memo(memo("b"))
    again = STORES["sqlite"](tmp_path)
    await again.start()
    assert await again.memo("key", "a") == memo("a")
    assert await again.memo("key", "b") is None
    await again.close()


@pytest.mark.parametrize("target", STORES)
async def test_they_move_with_all_else(store: Store, target: str, tmp_path: Path) -> None:
    kept = sorted(memo(str(number), kind=kind) for number in range(5) for kind in ("key", "session"))
    for each in kept:
        await store.put_memo(each)
    folder = tmp_path / "target"
    folder.mkdir()
    other = STORES[target](folder)
    await other.start()
    async for records in store.dump():
        await other.take_in(records)
    assert [each for kind in ("key", "session") for each in await other.memos(kind)] == kept
    await other.close()


async def test_those_about_several_are_found_at_once(store: Store) -> None:
    about = {"a": "notes/1", "b": "notes/2", "c": "notes/1", "d": "notes/3", "e": "Notes/1"}
    for key, subject in reversed(about.items()):
        await store.put_memo(memo(key, kind="share", subject=subject))
    await store.put_memo(memo("f", kind="share", subject="notes/1", until=time.time() - 1))
    await store.put_memo(memo("g", kind="key", subject="notes/1"))
    found = await store.memos_about("share", ["notes/3", "notes/1", "nothing", "'; --"])
    assert [each.key for each in found] == ["a", "c", "d"]
    assert await store.memos_about("share", []) == []
