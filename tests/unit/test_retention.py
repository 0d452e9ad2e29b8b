"""What is kept of the past."""

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd import retention
from collabd.compaction import Compactor
from collabd.errors import SettingsError, StoreUnavailable
from collabd.history import state_at
from collabd.persistence.base import UNKNOWN, Author, HistoryEntry, Version
from collabd.persistence.memory import MemoryStore
from collabd.retention import DAY, Keeper, Policy, Thinning, parse, thinning
from tests.unit.rooms.kit import Writer, at_once, text_of

ADA = Author(5, "ada", "Ada")


def test_a_policy_is_all_or_none_or_a_number_of_days() -> None:
    assert parse("all") == Policy() == Policy(True, None)
    assert parse("none") == Policy(keep_history=False)
    assert parse("30d") == Policy(days=30)
    for text in ("", "30", "0d", "-1d", "d", "1.5d", "all ", "100000d"):
        with pytest.raises(SettingsError):
            parse(text)


def history(*days: float) -> list[HistoryEntry]:
    """An entry of two updates at each of these times, in days."""
    return [HistoryEntry(2 * number, 2, day * DAY, (), []) for number, day in enumerate(days, 1)]


def test_each_day_that_is_old_keeps_its_last_state() -> None:
    entries = history(0.1, 0.5, 0.9, 1.2, 1.3, 2.5, 2.6)
    assert thinning(entries, [], 2 * DAY) == Thinning(10, 5, frozenset({6, 10}))
    assert thinning(entries, [], 2.9 * DAY) == Thinning(10, 5, frozenset({6, 10})), "the day is not over"
    assert thinning(entries, [], 3 * DAY) == Thinning(14, 7, frozenset({6, 10, 14}))
    assert thinning(entries, [], 0.9 * DAY) is None


def test_states_with_names_are_kept() -> None:
    versions = [Version(seq, "v", 0, UNKNOWN) for seq in (3, 4, 99)]
    assert thinning(history(0.1, 0.5, 0.9), versions, 9 * DAY) == Thinning(6, 3, frozenset({3, 4, 6}))


def test_what_was_thinned_is_left_alone() -> None:
    assert thinning(history(0.1, 1.1, 2.1), [], 9 * DAY) is None
    assert thinning([], [], 9 * DAY) is None
    named = [Version(2, "v", 0, UNKNOWN)]
    assert thinning(history(0.1, 0.2), named, 9 * DAY) is None
    assert thinning(history(0.1, 0.2), [], 9 * DAY) is not None


def test_where_the_beginning_is_not_kept_nothing_is_thinned() -> None:
    assert thinning(history(0.1, 0.2, 0.3)[1:], [], 9 * DAY) is None


@given(st.lists(st.floats(0, 5), max_size=20), st.sets(st.integers(1, 40), max_size=3), st.floats(0, 7))
def test_thinning_gains_something_and_ends_at_a_boundary(
    days: list[float], named: set[int], before: float
) -> None:
    entries = history(*days)
    found = thinning(entries, [Version(seq, "v", 0, UNKNOWN) for seq in named], before * DAY)
    if found is None:
        return
    assert found.upto == entries[found.entries - 1].seq
    assert found.upto in found.boundaries
    assert found.boundaries >= {seq for seq in named if seq <= found.upto}
    assert all(entry.at < before * DAY for entry in entries[: found.entries])


async def test_old_history_is_thinned_when_its_document_is_compacted(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    ada = Writer(1)
    document_id = None
    for hour in range(48):
        monkeypatch.setattr(time, "time", lambda at=hour: at * 3600.0)
        updates = [
            ada.append(f"{hour} "),
            ada.append("typo"),
            ada.delete(-4 + len(str(ada.text)), len(str(ada.text))),
        ]
        document_id, _ = await store.append("notes", document_id, updates, [(ADA, 3)])
    assert document_id is not None
    await store.name_version(document_id, Version(30, "ten", 1.0, ADA))
    before = [entry async for some in store.history(document_id) for entry in some]
    policy = Policy(days=1)
    await Compactor(store, run=at_once, policy=policy, clock=lambda: 2 * DAY).compact("notes")
    after = [entry async for some in store.history(document_id) for entry in some]
    assert [entry.seq for entry in after[:3]] == [30, 72, 75]
    assert after[0].authors == ((ADA, 30),)
    assert after[2:] == before[24:]
    for seq in (30, 72, 100, 144):
        assert text_of(state_at(after, seq)) == text_of(state_at(before, seq))
    assert b"typo" not in after[0].updates[0]
    again = Compactor(store, run=at_once, policy=policy, clock=lambda: 2 * DAY)
    await again.compact("notes")
    assert [entry async for some in store.history(document_id) for entry in some] == after


async def test_a_keeper_sees_to_it_once_a_day() -> None:
    store = MemoryStore()
    now = 10 * DAY
    swept: list[float] = []

    async def sweep(since: float) -> None:
        swept.append(since)

    keeper = Keeper(store, sweep, Policy(days=3), author_days=2, clock=lambda: now)
    document_id, _ = await store.append("notes", None, [b"\0\0"], [(ADA, 1)])
    await keeper.once()
    (entry,) = [entry async for some in store.history(document_id) for entry in some]
    assert entry.authors == ((ADA, 1),)
    now = time.time() + 3 * DAY
    await keeper.once()
    (entry,) = [entry async for some in store.history(document_id) for entry in some]
    assert entry.authors == ((Author(5, "", ""), 1),)
    assert swept == [0.0, 5 * DAY]


async def test_a_keeper_with_nothing_to_keep_track_of_does_nothing() -> None:
    async def sweep(since: float) -> None:
        raise AssertionError("nothing is to be swept")

    await Keeper(MemoryStore(), sweep, Policy()).once()


async def test_a_keeper_comes_back_when_the_store_fails(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    swept = asyncio.Event()
    outcomes = [StoreUnavailable("locked")]

    async def sweep(since: float) -> None:
        if outcomes:
            raise outcomes.pop()
        swept.set()

    monkeypatch.setattr(retention, "DAY", 0.0)
    running = asyncio.create_task(Keeper(MemoryStore(), sweep, Policy(keep_history=False)).run())
    await asyncio.wait_for(swept.wait(), 10)
    running.cancel()
    assert "locked" in caplog.text


async def test_a_sweep_compacts_what_changed_and_passes_over_what_cannot_be_read() -> None:
    store = MemoryStore()
    for number in range(120):
        await store.append(f"{number:03}", None, [Writer(1).append("x")])
    (first,) = await store.documents(limit=1)
    await store.quarantine(first.id, "tested")
    compactor = Compactor(store, run=at_once)
    await compactor.sweep(time.time() + 60)
    stored = await store.load("050")
    assert stored is not None
    assert stored.snapshot is None
    await compactor.sweep()
    for number in range(1, 120):
        stored = await store.load(f"{number:03}")
        assert stored is not None
        assert stored.tail == []
