"""What every store promises; see ``collabd.persistence.base``."""

import asyncio
import time

import pytest

from collabd.errors import (
    DocumentDamaged,
    DocumentDeleted,
    DocumentExists,
    NoSuchDocument,
    StoreUnavailable,
)
from collabd.persistence.base import UNKNOWN, Author, Compaction, HistoryEntry, LoggedUpdate, Store, Version

from .stores import compact

pytestmark = pytest.mark.timeout(30)


async def tail(store: Store, name: str) -> list[tuple[int, bytes]]:
    stored = await store.load(name)
    assert stored is not None
    return [(seq, update) for seq, update in stored.tail]


async def test_what_was_never_written_does_not_exist(store: Store) -> None:
    assert await store.load("notes") is None
    assert await store.find("notes") is None
    assert await store.documents() == []
    with pytest.raises(NoSuchDocument):
        await store.delete("notes")


async def test_a_batch_is_loaded_as_it_was_appended(store: Store) -> None:
    updates = [b"\x00\x00", b"", b"x" * 70_000, bytes(range(256))]
    appended = await store.append("notes", None, updates)
    assert appended.last_seq == 4
    stored = await store.load("notes")
    assert stored is not None
    assert stored.id == appended.document_id
    assert (stored.head, stored.snapshot, stored.snapshot_seq) == (4, None, 0)
    assert stored.tail == [LoggedUpdate(seq, update) for seq, update in enumerate(updates, 1)]


async def test_numbers_are_gapless_and_in_order_per_document_whoever_else_writes(store: Store) -> None:
    names = [f"document {number}" for number in range(12)]
    ids = {name: (await store.append(name, None, [b"first"])).document_id for name in names}
    assert len(set(ids.values())) == len(names)
    sizes = [1, 3, 1, 2]
    appending = [
        (name, store.append(name, ids[name], [f"{name} {round_} {n}".encode() for n in range(size)]))
        for round_ in range(25)
        for name in names
        for size in [sizes[round_ % len(sizes)]]
    ]
    heads = dict.fromkeys(names, 1)
    for position, (name, future) in enumerate(appending):
        heads[name] += sizes[position // len(names) % len(sizes)]
        appended = await future
        assert appended == (ids[name], heads[name])
    for name in names:
        written = await tail(store, name)
        assert [seq for seq, _ in written] == list(range(1, heads[name] + 1))
        rounds = [update.split()[2:] for _, update in written[1:]]
        assert rounds == sorted(rounds, key=lambda at: (int(at[0]), int(at[1])))


async def test_a_document_created_by_two_batches_at_once_is_one(store: Store) -> None:
    first, second = store.append("notes", None, [b"1"]), store.append("notes", None, [b"2"])
    assert (await first).document_id == (await second).document_id
    assert await tail(store, "notes") == [(1, b"1"), (2, b"2")]


async def test_nothing_handed_over_is_forgotten_when_the_store_is_closed(store: Store) -> None:
    appending = [store.append("notes", None, [b"%d" % number]) for number in range(20)]
    await store.close()
    assert [(await future).last_seq for future in appending] == list(range(1, 21))
    await store.close()
    await store.start()
    assert len(await tail(store, "notes")) == 20


async def test_a_closed_store_is_unavailable(store: Store) -> None:
    await store.ping()
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.ping()
    with pytest.raises(StoreUnavailable):
        await store.append("notes", None, [b"1"])


async def test_a_batch_holds_something(store: Store) -> None:
    with pytest.raises(ValueError, match="at least one update"):
        store.append("notes", None, [])
    await store.append("notes", None, [b"1"])


async def test_who_does_not_wait_for_its_answer_disturbs_nobody(store: Store) -> None:
    store.append("notes", None, [b"1"]).cancel()
    assert (await store.append("notes", None, [b"2"])).last_seq == 2


# Snapshots


async def test_a_snapshot_stands_for_what_came_before_it(store: Store) -> None:
    document_id, _ = await store.append("notes", None, [b"1", b"2"])
    await store.append("notes", document_id, [b"3"])
    await compact(store, "notes", 2, b"one and two")
    stored = await store.load("notes")
    assert stored is not None
    assert (stored.head, stored.snapshot, stored.snapshot_seq) == (3, b"one and two", 2)
    assert stored.tail == [(3, b"3")]


async def test_a_snapshot_within_a_batch_leaves_the_rest_of_the_batch(store: Store) -> None:
    await store.append("notes", None, [b"1", b"2", b"3", b"4"])
    await compact(store, "notes", 2, b"one and two")
    assert await tail(store, "notes") == [(3, b"3"), (4, b"4")]


async def test_early_updates_are_read_from_under_a_snapshot(store: Store) -> None:
    document_id, _ = await store.append("notes", None, [b"1", b"2", b"3"])
    await store.append("notes", document_id, [b"4"])
    await store.append("notes", document_id, [b"5", b"6"])
    await store.append("notes", document_id, [b"7"])
    await compact(store, "notes", 6, b"state", [2, 3, 5])
    assert await tail(store, "notes") == [(2, b"2"), (3, b"3"), (5, b"5"), (7, b"7")]
    await compact(store, "notes", 7, b"state", [3])
    assert await tail(store, "notes") == [(3, b"3")]


# Rejected updates


async def test_a_rejected_update_keeps_its_number_and_is_not_loaded(store: Store) -> None:
    document_id, _ = await store.append("notes", None, [b"1", b"bad", b"3"])
    await store.reject(document_id, [2])
    await store.reject(document_id, [2])
    await store.reject(document_id, [])
    assert await tail(store, "notes") == [(1, b"1"), (3, b"3")]
    assert (await store.append("notes", document_id, [b"4"])).last_seq == 4
    await compact(store, "notes", 4, b"state", [2, 3])
    assert await tail(store, "notes") == [(3, b"3")]


# Deleting


async def test_a_deleted_document_leaves_a_tombstone(store: Store) -> None:
    document_id, _ = await store.append("notes", None, [b"1"])
    await store.delete("notes")
    for attempt in (store.load("notes"), store.find("notes"), store.delete("notes")):
        with pytest.raises(DocumentDeleted):
            await attempt
    assert await store.documents() == []
    for known_id in (document_id, None):
        with pytest.raises(DocumentDeleted):
            await store.append("notes", known_id, [b"2"])
    with pytest.raises(DocumentDeleted):
        await store.append("notes", document_id, [b"2"], revive=True)


async def test_a_document_nobody_knows_is_taken_for_deleted(store: Store) -> None:
    with pytest.raises(DocumentDeleted):
        await store.append("notes", 4711, [b"1"])
    assert await store.find("notes") is None


async def test_a_deleted_name_is_used_again_only_on_purpose(store: Store) -> None:
    old, _ = await store.append("notes", None, [b"old"])
    await compact(store, "notes", 1, b"old state")
    await store.delete("notes")
    new, last_seq = await store.append("notes", None, [b"new"], revive=True)
    assert new != old
    assert last_seq == 1
    assert await tail(store, "notes") == [(1, b"new")]
    stored = await store.load("notes")
    assert stored is not None
    assert stored.snapshot is None
    with pytest.raises(DocumentDeleted):
        await store.append("notes", old, [b"from before"])
    assert (await store.append("notes", None, [b"2"])).last_seq == 2
    await store.delete("notes")
    with pytest.raises(DocumentDeleted):
        await store.load("notes")


async def test_reviving_what_is_alive_just_appends(store: Store) -> None:
    first, _ = await store.append("notes", None, [b"1"], revive=True)
    assert await store.append("notes", None, [b"2"], revive=True) == (first, 2)


async def test_a_document_is_deleted_with_what_was_handed_over_before(store: Store) -> None:
    document_id, _ = await store.append("notes", None, [b"1"])
    before = store.append("notes", document_id, [b"2"])
    deleting = asyncio.ensure_future(store.delete("notes"))
    await asyncio.sleep(0)
    after = store.append("notes", document_id, [b"3"])
    assert (await before).last_seq == 2
    await deleting
    with pytest.raises(DocumentDeleted):
        await after


async def test_one_document_s_failure_is_no_other_s(store: Store) -> None:
    gone, _ = await store.append("gone", None, [b"1"])
    await store.delete("gone")
    outcomes = await asyncio.gather(
        store.append("a", None, [b"1"]),
        store.append("gone", gone, [b"2"]),
        store.append("b", None, [b"1"]),
        return_exceptions=True,
    )
    assert [type(outcome).__name__ for outcome in outcomes] == ["Appended", "DocumentDeleted", "Appended"]
    assert await tail(store, "b") == [(1, b"1")]


# Compaction and history

ADA = Author(2**63 - 1, "ada@example", "Ada", "192.0.2.1")
BOB = Author(7, "bob@example", "Bob", "192.0.2.2")
ERASED = Author(ADA.connection, "", "")


async def history(store: Store, document_id: int, **which: int | bool | None) -> list[HistoryEntry]:
    entries = [e async for some in store.history(document_id, **which) for e in some]  # type: ignore[arg-type]
    assert all(abs(entry.at - time.time()) < 60 for entry in entries)
    return [entry._replace(at=0) for entry in entries]


def entry(seq: int, *updates: bytes, authors: tuple[tuple[Author, int], ...] = ()) -> HistoryEntry:
    return HistoryEntry(seq, len(updates), 0, authors, list(updates))


async def test_history_says_what_was_written_and_by_whom(store: Store) -> None:
    document_id, _ = await store.append("notes", None, [b"1", b"2", b"3"], [(ADA, 2), (BOB, 1)])
    await store.append("notes", document_id, [b"4"], [(ADA, 1)])
    await store.append("notes", document_id, [b"5"])
    expected = [
        entry(3, b"1", b"2", b"3", authors=((ADA, 2), (BOB, 1))),
        entry(4, b"4", authors=((ADA, 1),)),
        entry(5, b"5"),
    ]
    assert await history(store, document_id) == expected
    await compact(store, "notes", 4, b"state")
    assert await history(store, document_id) == expected
    assert await history(store, document_id, updates=False) == [e._replace(updates=[]) for e in expected]


async def test_compaction_moves_what_it_stands_for_out_of_the_way(store: Store) -> None:
    document_id, _ = await store.append("notes", None, [b"1", b"2"])
    await store.append("notes", document_id, [b"3"])
    for keep_history in (True, False):
        await compact(store, "notes", 3, b"state", keep_history=keep_history)
        stored = await store.load("notes")
        assert stored is not None
        assert (stored.head, stored.snapshot, stored.snapshot_seq, stored.tail) == (3, b"state", 3, [])
        info = await store.find("notes")
        assert info is not None
        assert info.head == 3
        assert info.updated_at == pytest.approx(time.time(), abs=60)
        assert [e.seq for e in await history(store, document_id)] == ([2, 3] if keep_history else [])
    assert (await store.append("notes", document_id, [b"4"])).last_seq == 4
    assert await tail(store, "notes") == [(4, b"4")]
    with pytest.raises(DocumentDamaged):
        await store.load("notes", whole=True)


async def test_of_two_compactions_of_one_state_the_slower_one_does_nothing(store: Store) -> None:
    document_id, _ = await store.append("notes", None, [b"1"])
    await store.append("notes", document_id, [b"2"])
    assert await store.compact(document_id, Compaction(0, 2, b"faster"))
    assert not await store.compact(document_id, Compaction(0, 1, b"slower"))
    assert await store.compact(document_id, Compaction(2, 2, b"next"))
    stored = await store.load("notes")
    assert stored is not None
    assert (stored.snapshot, stored.snapshot_seq) == (b"next", 2)
    await store.delete("notes")
    with pytest.raises(DocumentDeleted):
        await store.compact(document_id, Compaction(2, 2, b"late"))


async def test_what_is_early_stays_until_a_later_compaction(store: Store) -> None:
    document_id = None
    for number in range(1, 8):
        document_id, _ = await store.append("notes", document_id, [b"%d" % number])
    assert document_id is not None
    everything = [entry(number, b"%d" % number) for number in range(1, 8)]
    for upto, early in ((4, [2, 3]), (5, [3]), (7, [3]), (7, [])):
        await compact(store, "notes", upto, b"state", early)
        assert await tail(store, "notes") == [
            (number, b"%d" % number) for number in range(1, 8) if number in early or number > upto
        ]
        assert await history(store, document_id) == everything
        whole = await store.load("notes", whole=True)
        assert whole is not None
        assert (whole.snapshot, whole.snapshot_seq) == (None, upto)
        assert [logged.seq for logged in whole.tail] == list(range(1, 8))


async def test_history_is_read_in_part(store: Store) -> None:
    document_id, _ = await store.append("notes", None, [b"1", b"2"])
    for number in range(3, 8):
        await store.append("notes", document_id, [b"%d" % number])
    for upto in (0, 4, 7):
        if upto:
            await compact(store, "notes", upto, b"state")
        assert [e.seq for e in await history(store, document_id, after=2)] == [3, 4, 5, 6, 7]
        assert [e.seq for e in await history(store, document_id, after=1, upto=4)] == [2, 3, 4]
        assert [e.seq for e in await history(store, document_id, upto=1)] == [2]
        assert [e.seq for e in await history(store, document_id, after=7)] == []


async def test_whoever_reads_history_while_it_is_compacted_misses_nothing(store: Store) -> None:
    document_id, _ = await store.append("notes", None, [b"1"])
    for number in range(2, 4500):
        store.append("notes", document_id, [b"%d" % number])
    await store.append("notes", document_id, [b"4500"])
    await compact(store, "notes", 1500, b"state", [100])
    seqs: list[int] = []
    upto = 1500
    async for entries in store.history(document_id):
        seqs += [entry.seq for entry in entries]
        upto += 1000
        if upto <= 4500:
            await compact(store, "notes", upto, b"state", [] if upto > 3000 else [100])
    assert seqs == list(range(1, 4501))


async def test_rejected_updates_are_not_in_history(store: Store) -> None:
    document_id, _ = await store.append("notes", None, [b"1", b"bad", b"3"])
    await store.reject(document_id, [2])
    for _ in range(2):
        (only,) = await history(store, document_id)
        assert (only.seq, only.count, only.updates) == (3, 3, [b"1", b"3"])
        await compact(store, "notes", 3, b"state")


async def test_history_is_replaced_by_less(store: Store) -> None:
    document_id, _ = await store.append("notes", None, [b"1"], [(ADA, 1)])
    for number in range(2, 7):
        await store.append("notes", document_id, [b"%d" % number], [(BOB, 1)])
    thinned = HistoryEntry(4, 4, time.time(), ((ADA, 1), (BOB, 3)), [b"1 to 4"])
    assert not await store.replace_history(document_id, 4, 4, [thinned]), "it is in the log"
    await compact(store, "notes", 5, b"state")
    assert not await store.replace_history(document_id, 4, 3, [thinned]), "there is more"
    assert await store.replace_history(document_id, 4, 4, [thinned])
    assert await history(store, document_id) == [
        thinned._replace(at=0),
        entry(5, b"5", authors=((BOB, 1),)),
        entry(6, b"6", authors=((BOB, 1),)),
    ]
    whole = await store.load("notes", whole=True)
    assert whole is not None
    assert whole.tail == [LoggedUpdate(4, b"1 to 4"), LoggedUpdate(5, b"5"), LoggedUpdate(6, b"6")]


async def test_content_is_given_once(store: Store) -> None:
    first, second = (store.append("notes", None, [b"%d" % number], first=True) for number in range(2))
    document_id, _ = await first
    with pytest.raises(DocumentExists):
        await second
    await compact(store, "notes", 1, b"state", keep_history=False)
    with pytest.raises(DocumentExists):
        await store.append("notes", document_id, [b"again"], first=True)
    await store.delete("notes")
    with pytest.raises(DocumentDeleted):
        await store.append("notes", None, [b"again"], first=True)
    assert (await store.append("notes", None, [b"new"], revive=True, first=True)).last_seq == 1
    with pytest.raises(DocumentExists):
        await store.append("notes", None, [b"new"], revive=True, first=True)
    other, _ = await store.append("other", None, [b"bad"], first=True)
    await store.reject(other, [1])
    assert (await store.append("other", other, [b"good"], first=True)).last_seq == 2


async def test_versions_have_names(store: Store) -> None:
    document_id, _ = await store.append("notes", None, [b"1"])
    assert await store.versions(document_id) == []
    await store.name_version(document_id, Version(1, "draft", 5.0, ADA))
    await store.append("notes", document_id, [b"2"])
    await store.name_version(document_id, Version(2, "final", 0, BOB))
    await store.name_version(document_id, Version(1, "first draft", 6.0, BOB))
    one, two = await store.versions(document_id)
    assert one == Version(1, "first draft", 6.0, BOB)
    assert two._replace(at=0) == Version(2, "final", 0, BOB)
    assert two.at == pytest.approx(time.time(), abs=60)
    await store.remove_version(document_id, 1)
    await store.remove_version(document_id, 1)
    assert await store.versions(document_id) == [two]


async def test_who_somebody_was_can_be_erased(store: Store) -> None:
    document_id, _ = await store.append("notes", None, [b"1", b"2", b"3"], [(ADA, 1), (BOB, 1), (ADA, 1)])
    await store.name_version(document_id, Version(1, "draft", 5.0, ADA))
    with pytest.raises(ValueError, match="whom"):
        await store.erase_authors()
    assert await store.erase_authors(principal="nobody") == 0
    assert await store.erase_authors(before=time.time() - 60) == 0
    assert await store.erase_authors(principal=ADA.principal) == 1
    assert await store.erase_authors(principal=ADA.principal) == 0
    (only,) = await history(store, document_id)
    assert only.authors == ((ERASED, 1), (BOB, 1), (ERASED, 1))
    assert [version.author for version in await store.versions(document_id)] == [ERASED]
    await store.append("notes", document_id, [b"4"], [(ADA, 1)])
    assert (await history(store, document_id))[-1].authors == ((ADA, 1),), "who writes on is known again"
    assert await store.erase_authors(before=time.time() + 60) == 2
    assert {author for e in await history(store, document_id) for author, _ in e.authors} == {
        ERASED,
        Author(BOB.connection, "", ""),
    }


async def test_a_name_that_is_no_unicode_keeps_nobody_from_writing(store: Store) -> None:
    strange = Author(5, "principal \ud800", "\udfff name", "\ud83d")
    document_id, _ = await store.append("notes", None, [b"1"], [(strange, 1)])
    assert (await store.append("notes", document_id, [b"2"], [(BOB, 1)])).last_seq == 2
    (first, second) = await history(store, document_id)
    assert first.authors[0][0].connection == 5
    assert second.authors == ((BOB, 1),)


async def test_somebody_may_take_another_name(store: Store) -> None:
    document_id, _ = await store.append("notes", None, [b"1"], [(BOB, 1)])
    robert = BOB._replace(name="Robert")
    await store.append("notes", document_id, [b"2"], [(robert, 1)])
    assert [e.authors for e in await history(store, document_id)] == [((robert, 1),)] * 2
    await store.append("notes", document_id, [b"3"], [(UNKNOWN, 1)])
    assert (await history(store, document_id))[-1].authors == ((UNKNOWN, 1),)


async def test_a_document_in_quarantine_is_not_loaded(store: Store) -> None:
    document_id, _ = await store.append("notes", None, [b"1"])
    await store.quarantine(document_id, "it ended the process")
    with pytest.raises(DocumentDamaged, match="it ended the process"):
        await store.load("notes")
    (info,) = await store.documents()
    assert info.quarantine == "it ended the process"
    assert await store.examine(document_id) == []
    await store.quarantine(document_id, "")
    assert await tail(store, "notes") == [(1, b"1")]


async def test_what_is_sound_is_not_set_aside(store: Store) -> None:
    document_id, _ = await store.append("notes", None, [b"1", b"2"])
    await compact(store, "notes", 2, b"state", [1])
    await store.append("notes", document_id, [b"3"])
    assert await store.set_aside(document_id) == []
    assert await tail(store, "notes") == [(1, b"1"), (2, b"2"), (3, b"3")][::2]


# Looking up

NAMES = ["A", "a", "a%b", "a/b", "a/b/c", "a/é", "a_b", "aa", "b", "é", "日本/語", "\uffee", "🙂", "🙂🙂"]
"""In the order of their code points."""


async def test_a_document_is_found_without_loading_it(store: Store) -> None:
    document_id, _ = await store.append("notes", None, [b"1", b"2"])
    created = await store.find("notes")
    assert created is not None
    assert (created.id, created.name, created.head) == (document_id, "notes", 2)
    assert created.created_at == created.updated_at
    await store.append("notes", document_id, [b"3"])
    written = await store.find("notes")
    assert written is not None
    assert written.head == 3
    assert written.created_at == created.created_at
    assert written.updated_at >= created.updated_at
    assert await store.documents() == [written]


async def test_several_documents_are_found_at_once(store: Store) -> None:
    ids = {name: (await store.append(name, None, [b"1", b"2"])).document_id for name in NAMES}
    await store.delete("aa")
    await store.delete("b")
    again, _ = await store.append("b", None, [b"1"], revive=True)
    assert await store.find_all([]) == {}
    assert await store.find_all(["missing"]) == {}
    found = await store.find_all([*NAMES, "missing", "a\0", "\ud800"])
    assert {name: (info.id, info.name, info.head) for name, info in found.items()} == {
        name: (ids[name], name, 2) if name != "b" else (again, "b", 1) for name in NAMES if name != "aa"
    }
    assert found["a"] == await store.find("a")


async def test_documents_are_listed_by_name(store: Store) -> None:
    assert sorted(NAMES) == NAMES
    for name in reversed(NAMES):
        await store.append(name, None, [b"1"])
    assert [info.name for info in await store.documents()] == NAMES


async def test_documents_are_listed_page_by_page(store: Store) -> None:
    for name in NAMES:
        await store.append(name, None, [b"1"])
    listed: list[str] = []
    while page := await store.documents(after=listed[-1] if listed else "", limit=3):
        assert len(page) <= 3
        listed += [info.name for info in page]
    assert listed == NAMES
    assert [info.name for info in await store.documents(after="a/b/zzz", limit=1)] == ["a/é"]


@pytest.mark.parametrize("prefix", ["a", "a/", "a/b", "a%", "a_", "é", "日", "🙂", "A", "z", "\\", ""])
async def test_documents_are_listed_by_the_beginning_of_their_name(store: Store, prefix: str) -> None:
    for name in NAMES:
        await store.append(name, None, [b"1"])
    await store.append("a/deleted", None, [b"1"])
    await store.delete("a/deleted")
    expected = [name for name in NAMES if name.startswith(prefix)]
    assert [info.name for info in await store.documents(prefix=prefix)] == expected
    for after in ("a", "a/b", "zzz"):
        listed = await store.documents(prefix=prefix, after=after)
        assert [info.name for info in listed] == [name for name in expected if name > after]
