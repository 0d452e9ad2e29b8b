"""How a document comes out of the store."""

import logging

import pytest

from collabd.errors import DocumentDamaged
from collabd.persistence.base import LoggedUpdate, StoredDocument
from collabd.rooms.loading import LARGE_SNAPSHOT, LARGE_UPDATE, checked, load, read_snapshot
from collabd.worker import ThreadRunner

from .kit import Writer, text_of


def stored(snapshot: bytes | None, *tail: bytes) -> StoredDocument:
    after = 0 if snapshot is None else 1
    rows = [LoggedUpdate(seq, update) for seq, update in enumerate(tail, after + 1)]
    return StoredDocument(1, after + len(rows), snapshot, after, rows)


async def test_a_large_snapshot_is_read_beforehand_and_used_as_it_is() -> None:
    runner = ThreadRunner()
    small, large = Writer(1), Writer(1)
    small.append("x")
    large.append("x" * LARGE_SNAPSHOT)
    assert await read_snapshot(small.state, runner) is None
    intake = await read_snapshot(large.state, runner)
    assert intake is not None
    assert intake.clocks == {1: LARGE_SNAPSHOT}
    snapshot = large.doc.get_update()
    loaded = await load("notes", stored(snapshot, large.append("!")), runner)
    assert text_of(loaded.replica.state()) == str(large.text)
    assert loaded.replica.known.clocks == {1: LARGE_SNAPSHOT + 1}


async def test_a_large_snapshot_that_cannot_be_used_is_damage() -> None:
    with pytest.raises(DocumentDamaged, match="snapshot cannot be used"):
        await load("notes", stored(bytes(LARGE_SNAPSHOT)), ThreadRunner())


async def test_what_the_log_holds_is_checked_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    writer = Writer(1)
    large = writer.append("x" * LARGE_UPDATE)
    loaded = await load("notes", stored(None, large, b"\xff", bytes(LARGE_UPDATE + 1)), ThreadRunner())
    assert [early.seq for early in loaded.unsettled] == [1]
    assert caplog.text.count("is refused today") == 2
    assert (await checked(large, ThreadRunner())).structs == ((1, 0, LARGE_UPDATE),)
