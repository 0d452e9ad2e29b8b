"""Compaction: what a snapshot stands for is what the log held, and nothing is moved before that is sure."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd import compaction
from collabd.compaction import Compacted, Compactor, compacted
from collabd.errors import DocumentDamaged, DocumentDeleted, StoreUnavailable
from collabd.formats import content_of, render
from collabd.persistence.base import Compaction, LoggedUpdate, Store
from collabd.persistence.memory import MemoryStore
from collabd.persistence.sqlite import SQLiteStore
from collabd.retention import Policy
from collabd.rooms.replica import Replica
from collabd.rooms.snapshot import unpack
from tests.unit.rooms.kit import Writer, at_once, text_of

pytestmark = pytest.mark.timeout(30)

STORES: dict[str, Callable[[Path], Store]] = {
    "memory": lambda directory: MemoryStore(),
    "sqlite": lambda directory: SQLiteStore(directory / "documents.db"),
}


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    store = STORES[request.param](tmp_path)
    await store.start()
    yield store
    await store.close()


def logged(*updates: bytes) -> list[LoggedUpdate]:
    return [LoggedUpdate(seq, update) for seq, update in enumerate(updates, 1)]


async def filled(store: Store, *updates: bytes, name: str = "notes") -> int:
    document_id = None
    for update in updates:
        document_id, _ = await store.append(name, document_id, [update])
    assert document_id is not None
    return document_id


def content_at(made: Compacted) -> bytes:
    return render(unpack(made.snapshot).state, "json").body


EDITS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["type", "delete", "put", "emoji"]), st.integers(0, 20)),
    max_size=25,
)


@given(EDITS, st.data())
def test_a_snapshot_and_what_stays_early_are_worth_the_log(
    edits: list[tuple[int, str, int]], data: st.DataObject
) -> None:
    writers = [Writer(client) for client in (1, 2, 3)]
    updates: list[bytes] = []
    for who, what, at in edits:
        writer = writers[who]
        size = len(str(writer.text))
        match what:
            case "type":
                updates.append(writer.append(f"{at} "))
            case "emoji":
                updates.append(writer.append("🙂"))
            case "put":
                updates.append(writer.put(f"key {at % 3}", at))
            case _ if size:
                updates.append(writer.delete(0, 1) if not str(writer.text).startswith("🙂") else b"\0\0")
        if at % 3 == 0:
            for other in writers:
                other.take(*updates)
    # What is missing makes others early.
    missing = data.draw(st.sets(st.integers(0, max(0, len(updates) - 1)), max_size=2)) if updates else set()
    tail = logged(*(update for position, update in enumerate(updates) if position not in missing))
    made = compacted(None, tail)
    assert made.rejected == []
    again = compacted(made.snapshot, [entry for entry in tail if entry.seq in made.early])
    assert (again.early, again.rejected) == (made.early, [])
    assert content_at(again) == content_at(made)
    early = [entry.update for entry in tail if entry.seq in made.early]
    complete = compacted(made.snapshot, logged(*early, *(updates[position] for position in missing)))
    assert complete.early == []
    direct = Writer(9)
    direct.take(*updates)
    assert text_of(unpack(complete.snapshot).state) == str(direct.text)
    assert content_of(direct.doc, direct.state) == render(unpack(complete.snapshot).state, "json").body


def test_what_is_not_applicable_is_told_and_left_out() -> None:
    good = Writer(1).append("good")
    made = compacted(None, logged(b"nonsense", good, b"\xff"))
    assert made.rejected == [1, 3]
    assert text_of(unpack(made.snapshot).state) == "good"


@pytest.mark.parametrize("lost", ["content", "clocks", "everything"])
async def test_a_snapshot_that_is_not_worth_the_log_replaces_nothing(
    store: Store, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = Writer(1)
    updates = [ada.append("first "), ada.append("second ")]
    await filled(store, *updates)
    before = await store.load("notes")
    bad = {
        "content": ada.state.replace(b"second", b"secOnd"),
        "clocks": updates[0],
        "everything": b"\0\0",
    }[lost]
    monkeypatch.setattr(Replica, "state", lambda _: bad)
    with pytest.raises(DocumentDamaged, match="snapshot would"):
        await Compactor(store, run=at_once).compact("notes")
    assert await store.load("notes") == before


async def test_a_document_is_opened_from_its_snapshot_afterwards(store: Store) -> None:
    ada = Writer(1)
    document_id = await filled(store, ada.append("a"), ada.append("b"))
    size = await Compactor(store, run=at_once).compact("notes")
    stored = await store.load("notes")
    assert stored is not None
    assert stored.snapshot is not None
    assert (len(stored.snapshot), stored.snapshot_seq, stored.tail) == (size, 2, [])
    assert text_of(unpack(stored.snapshot).state) == "ab"
    assert [e.seq async for entries in store.history(document_id) for e in entries] == [1, 2]
    await Compactor(store, run=at_once, policy=Policy(keep_history=False)).compact("notes")
    assert [e async for entries in store.history(document_id) for e in entries] == []
    assert await Compactor(store, run=at_once).compact("nothing") == 0


async def test_what_is_compact_is_left_alone(store: Store) -> None:
    await filled(store, Writer(1).append("a"))
    size = await Compactor(store, run=at_once).compact("notes")
    before = await store.load("notes")

    async def nothing(*_: object) -> None:
        raise AssertionError("there is nothing to be done")

    assert await Compactor(store, run=nothing).compact("notes") == size
    assert await store.load("notes") == before


@pytest.mark.timeout(120)
async def test_two_compactors_at_once_and_a_writer_lose_nothing(store: Store) -> None:
    ada = Writer(1)
    document_id = await filled(store, ada.append("start "))
    compactors = [Compactor(store, run=asyncio.to_thread) for _ in range(2)]

    async def write() -> None:
        for number in range(150):
            await store.append("notes", document_id, [ada.append(f"{number} ")])

    async def compact(compactor: Compactor) -> None:
        for _ in range(25):
            await compactor.compact("notes")

    await asyncio.gather(write(), *(compact(compactor) for compactor in compactors))
    for whole in (False, True):
        stored = await store.load("notes", whole=whole)
        assert stored is not None
        made = compacted(stored.snapshot, stored.tail)
        assert text_of(unpack(made.snapshot).state) == str(ada.text)
    assert [e.seq async for entries in store.history(document_id) for e in entries] == list(range(1, 152))


async def test_a_slower_compaction_begins_anew(store: Store) -> None:
    ada = Writer(1)
    document_id = await filled(store, ada.append("0"))
    overtakings = 1

    async def overtaken(function: Callable[..., Any], *arguments: object) -> Any:
        nonlocal overtakings
        if overtakings:
            overtakings -= 1
            await store.append("notes", document_id, [ada.append("x")])
            assert await Compactor(store, run=at_once).compact("notes") > 0
        return function(*arguments)

    assert await Compactor(store, run=overtaken).compact("notes") > 0
    await store.append("notes", document_id, [ada.append("y")])
    overtakings = 9
    assert await Compactor(store, run=overtaken).compact("notes") > 0, "theirs is as good"
    stored = await store.load("notes")
    assert stored is not None
    assert stored.tail == []


async def test_documents_are_compacted_in_the_background_one_by_one() -> None:
    store = MemoryStore()
    for name in ("a", "b", "damaged", "deleted"):
        await filled(store, Writer(1).append(name), name=name)
    info = await store.find("damaged")
    assert info is not None
    await store.quarantine(info.id, "tested")
    await store.delete("deleted")
    running: set[str] = set()

    async def watched(function: Callable[..., Any], *arguments: object) -> Any:
        assert not running
        running.add("now")
        await asyncio.sleep(0)
        running.clear()
        return function(*arguments)

    compactor = Compactor(store, run=watched)
    futures = [compactor.soon(name) for name in ("a", "damaged", "a", "deleted", "b", "b")]
    outcomes = await asyncio.gather(*futures, return_exceptions=True)
    assert outcomes[0] == outcomes[2] == outcomes[4] == outcomes[5]
    assert isinstance(outcomes[0], int)
    assert isinstance(outcomes[1], DocumentDamaged)
    assert isinstance(outcomes[3], DocumentDeleted)
    assert await compactor.soon("a") == outcomes[0], "also later"
    await compactor.close()


async def test_closing_gives_up_what_is_under_way() -> None:
    store = MemoryStore()
    await filled(store, Writer(1).append("x"))
    begun, ended = asyncio.Event(), threading.Event()

    async def for_ever(*_: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    compactor = Compactor(store, run=for_ever)
    waiting = [compactor.soon("notes"), compactor.soon("other")]
    await begun.wait()
    await compactor.close()
    assert all(future.cancelled() for future in waiting)
    assert not ended.is_set()
    await compactor.close()


async def test_a_failure_of_ours_is_logged_and_the_next_one_is_compacted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    await filled(store, Writer(1).append("x"))
    outcomes = [RuntimeError("a bug"), StoreUnavailable("locked")]

    async def failing(*arguments: object) -> Any:
        if outcomes:
            raise outcomes.pop(0)
        return compaction.compacted(*arguments[1:])  # type: ignore[arg-type]

    compactor = Compactor(store, run=failing)
    for error in (RuntimeError, StoreUnavailable):
        with pytest.raises(error):
            await compactor.soon("notes")
    assert await compactor.soon("notes") > 0
    assert "a bug" in caplog.text
    assert "locked" in caplog.text


async def test_a_snapshot_that_went_bad_is_made_anew_from_the_whole_log(store: Store) -> None:
    ada = Writer(1)
    document_id = await filled(store, ada.append("a"))
    await store.compact(document_id, Compaction(0, 1, b"nonsense"))
    await store.append("notes", document_id, [ada.append("b")])
    assert await Compactor(store, run=at_once).compact("notes") > 0
    stored = await store.load("notes")
    assert stored is not None
    assert stored.snapshot is not None
    assert text_of(unpack(stored.snapshot).state) == "ab"
    await store.compact(document_id, Compaction(2, 2, b"nonsense", keep_history=False))
    await store.append("notes", document_id, [ada.append("c")])
    with pytest.raises(DocumentDamaged):
        await Compactor(store, run=at_once).compact("notes")


async def test_of_servers_that_share_a_store_one_compacts_a_document(store: Store) -> None:
    await filled(store, Writer(1).append("hello"))
    store.is_shared = True
    at_work, may_end = asyncio.Event(), asyncio.Event()
    runs = 0

    async def run(function: Callable[..., Any], *arguments: object) -> Any:
        nonlocal runs
        runs += 1
        at_work.set()
        await may_end.wait()
        return function(*arguments)

    one, two = Compactor(store, run=run, share=1), Compactor(store, run=run, share=1)
    first = one.soon("notes")
    await at_work.wait()
    assert await two.soon("notes") == 0, "it is seen to"
    may_end.set()
    assert await first > 0
    assert runs == 1
    await filled(store, Writer(2).append("more"), name="other")
    assert await two.soon("other") > 0
    assert await one.soon("other") > 0, "the turn was given back"
    for compactor in (one, two):
        await compactor.close()


async def test_a_server_that_was_killed_compacting_keeps_nobody_from_it_for_long(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(store, Writer(1).append("hello"))
    store.is_shared = True
    monkeypatch.setattr(compaction, "TURN_SECONDS", 0.05)
    killed = Compactor(store, run=_never, share=1)
    killed.soon("notes")
    other = Compactor(store, run=at_once, share=1)
    async with asyncio.timeout(10):
        while await other.soon("notes") == 0:
            await asyncio.sleep(0.01)
    for compactor in (killed, other):
        await compactor.close()


async def _never(*arguments: object) -> Any:
    await asyncio.Event().wait()
