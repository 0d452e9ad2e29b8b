"""Everything in one store, put into another: for every pair of stores."""

import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from collabd.errors import DocumentDeleted
from collabd.persistence.base import Author, Store, Version
from collabd.persistence.records import AsideRecord, AuthorRecord, EntryRecord, Record, SnapshotRecord

from .stores import STORES, StoreFactory, compact

ADA, BOB = Author(7, "ada", "Ada", "10.0.0.1"), Author(9, "bob", "Bob")


@pytest.fixture(params=itertools.product(STORES, repeat=2), ids="-to-".join)
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Store, Store]]:
    async with AsyncExitStack() as stack:

        async def started(number: int, factory: StoreFactory) -> Store:
            (tmp_path / f"{number}").mkdir()
            store = factory(tmp_path / f"{number}")
            await store.start()
            stack.push_async_callback(store.close)
            return store

        source, target = request.param
        yield await started(1, STORES[source]), await started(2, STORES[target])


async def dumped(store: Store) -> list[Record]:
    """All records; of history what every store keeps of times."""
    records = [record async for some in store.dump() for record in some]
    return [
        record._replace(entry=record.entry._replace(at=round(record.entry.at, 3)))
        if isinstance(record, EntryRecord) and not record.in_log
        else record
        for record in records
    ]


async def filled(store: Store) -> None:
    """One document of each sort."""
    notes, _ = await store.append("notes", None, [b"1", b"2", b"3"], [(ADA, 2), (BOB, 1)])
    await store.append("notes", notes, [b"early"], [(BOB, 1)])
    await store.append("notes", notes, [b"5", b"refused"], [(ADA, 1), (BOB, 1)])
    await store.reject(notes, [6])
    await compact(store, "notes", 6, b"state at 6", [4])
    await store.append("notes", notes, [b"7" * 3_000] * 40, [(ADA, 40)])
    await store.name_version(notes, Version(3, "first draft", 12.5, BOB))
    await store.append("gone", None, [b"1"])
    await store.delete("gone")
    await store.append("gone", None, [b"again"], [(BOB, 1)], revive=True)
    await store.append("left", None, [b"1"])
    await store.delete("left")
    sick, _ = await store.append("sick", None, [b"1"])
    await store.quarantine(sick, "it ends the process")
    await store.erase_authors(principal="bob")


async def test_a_copy_holds_everything_and_serves_as_the_original_does(stores: tuple[Store, Store]) -> None:
    source, target = stores
    await filled(source)
    records = await dumped(source)
    for size in (1, 3, 1000):  # in transactions of any size
        await target.take_in([records.pop(0) for _ in range(min(size, len(records)))])
    assert not records
    assert await dumped(target) == await dumped(source)

    assert await target.load("notes") == await source.load("notes")
    assert await target.load("notes", whole=True) == await source.load("notes", whole=True)
    assert await target.documents() == await source.documents()
    with pytest.raises(DocumentDeleted):
        await target.find("left")
    info = await target.find("notes")
    assert info is not None
    assert await target.versions(info.id) == [Version(3, "first draft", 12.5, Author(9, "", ""))]
    ids = {record[0] for record in await dumped(source) if not isinstance(record, AuthorRecord)}
    appended = await target.append("new", None, [b"1"])
    assert appended.document_id not in ids
    assert (await target.append("notes", info.id, [b"47"], [(ADA, 1)])).last_seq == 47
    assert await target.erase_authors(principal="ada") == 1


async def test_records_come_in_order(stores: tuple[Store, Store]) -> None:
    source, _ = stores
    await filled(source)
    records = await dumped(source)
    entries = [
        (record.in_log, record.entry.seq)
        for record in records
        if isinstance(record, EntryRecord) and record.document == 1
    ]
    assert entries == [(False, 3), (False, 6), (True, 4), (True, 46)]
    kinds = [type(record).__name__ for record in records]
    assert kinds[:4] == ["AuthorRecord", "AuthorRecord", "DocumentRecord", "RejectedRecord"]
    assert [record.state for record in records if isinstance(record, SnapshotRecord)] == [b"state at 6"]


async def test_what_was_set_aside_goes_along(stores: tuple[Store, Store]) -> None:
    source, target = stores
    await source.append("notes", None, [b"1"])
    records = await dumped(source)
    aside = [AsideRecord(1, "log", seq, 5.25, f'{{"seq": {seq}}}') for seq in (4, 2)]
    await target.take_in([*records[:-1], *aside, records[-1]])
    assert [record for record in await dumped(target) if isinstance(record, AsideRecord)] == aside
