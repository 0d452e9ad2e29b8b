"""All of a PostgreSQL database as records, and back."""

import asyncio
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from collabd.memos import Memo

from . import postgres_authors, postgres_history, postgres_log, postgres_memos, rows
from .base import UNKNOWN, Author, HistoryEntry
from .postgres_connection import QUERIES
from .reading import author_numbers, entries_of, first_group
from .records import (
    AUTHORS,
    AsideRecord,
    AuthorRecord,
    DocumentRecord,
    DumpPlace,
    EntryRecord,
    Record,
    RejectedRecord,
    SnapshotRecord,
    VersionRecord,
)
from .rows import Row

if TYPE_CHECKING:
    from .postgres_connection import Connection

LOG_ROWS: Final = 200
"""Rows of the log that are read at a time; each may be large."""


async def read(connection: "Connection", place: DumpPlace) -> tuple[list[Record], DumpPlace | None]:
    """Some records, perhaps none, and where to go on; None at the end. See ``Store.dump``."""
    if place.author is not None:
        found = await connection.fetch(QUERIES["dump_authors"], place.author, AUTHORS)
        authors = [AuthorRecord(Author(*author), last_at) for *author, last_at in found]
        return [*authors], place._replace(author=authors[-1].author.connection if authors else None)
    if place.row is None:
        return await _begin_document(connection, place.document)
    if place.parts:
        seqs, _, parts = first_group(place.parts)
        history = sorted(await postgres_log.read_segments(connection, place.document, seqs))
        records = await _entries(connection, place.document, history, in_log=False)
        return records, place._replace(parts=parts)
    log = await postgres_log.read_rows(connection, place.document, place.row, None, LOG_ROWS)
    records = await _entries(connection, place.document, log, in_log=True)
    return records, place._replace(row=log[-1].seq if log else None)


async def _begin_document(connection: "Connection", after: int) -> tuple[list[Record], DumpPlace | None]:
    """The next document, but for its entries."""
    row = await connection.fetchrow(QUERIES["dump_document"], after)
    if row is None:
        return [], None
    document = DocumentRecord(*row)
    records: list[Record] = [document]
    if rejected := await postgres_log.rejected(connection, document.id):
        records.append(RejectedRecord(document.id, tuple(sorted(rejected))))
    versions = await postgres_history.versions(connection, document.id)
    records += [VersionRecord(document.id, version) for version in versions]
    aside = await connection.fetch(QUERIES["dump_damaged"], document.id)
    records += [AsideRecord(*row) for row in aside]
    snapshot = await connection.fetchrow(QUERIES["dump_snapshot"], document.id)
    if snapshot is not None:
        seq, at, early, *stored = snapshot
        what = f"the snapshot of {document.name}"
        state = await asyncio.to_thread(rows.unpack_state, rows.State(*stored), what)
        records.append(SnapshotRecord(document.id, seq, at, tuple(early), state))
    return records, DumpPlace(None, document.id, await postgres_log.read_parts(connection, document.id), 0)


async def _entries(
    connection: "Connection", document: int, found: Sequence[Row], *, in_log: bool
) -> list[Record]:
    authors = await postgres_authors.read(connection, author_numbers(found))
    return [EntryRecord(document, entry, in_log) for entry in entries_of(found, authors)]


async def take_in(connection: "Connection", records: Sequence[Record]) -> None:
    """See ``Store.take_in``. Within a transaction."""
    past: dict[int, list[Row]] = {}
    for record in records:
        match record:
            case Memo():
                await postgres_memos.put(connection, record, fresh=False)
            case AuthorRecord(author, last_at):
                await connection.execute(QUERIES["take_in_author"], *author, last_at)
            case DocumentRecord():
                await connection.execute(QUERIES["take_in_document"], *record)
            case RejectedRecord(document, seqs):
                await connection.execute(QUERIES["reject_updates"], document, list(seqs))
            case VersionRecord(document, version):
                numbers = await _numbers(connection, [version.author])
                number = numbers[version.author.connection]
                await connection.execute(
                    QUERIES["save_version"], document, version.seq, version.name, version.at, number
                )
            case AsideRecord():
                await connection.execute(QUERIES["take_in_damaged"], *record)
            case SnapshotRecord(document, seq, at, early, state):
                packed = await asyncio.to_thread(rows.pack_state, state)
                await connection.execute(QUERIES["save_snapshot"], document, seq, at, list(early), *packed)
                await connection.execute(QUERIES["document_reached"], document, seq, at)
            case EntryRecord(document, entry, in_log):
                row = await _row(connection, entry)
                if in_log:
                    checksum = rows.checksum(row.payload, row.authors)
                    batch = secrets.randbits(63)
                    await connection.execute(QUERIES["take_in_row"], document, *row, checksum, batch)
                    await connection.execute(QUERIES["document_reached"], document, row.seq, row.at)
                else:
                    past.setdefault(document, []).append(row)
    for document, taken in past.items():
        segments = await asyncio.to_thread(list, rows.segments(taken))
        await postgres_history.add_segments(connection, document, segments)
        await connection.execute(QUERIES["document_reached"], document, taken[-1].seq, 0.0)
    await connection.execute(QUERIES["continue_ids"])


async def _row(connection: "Connection", entry: HistoryEntry) -> Row:
    numbers = await _numbers(connection, [author for author, _ in entry.authors])
    authors = rows.pack_authors((numbers[author.connection], count) for author, count in entry.authors)
    return Row(entry.seq, entry.count, entry.at, authors, rows.pack(entry.updates))


async def _numbers(connection: "Connection", authors: Sequence[Author]) -> dict[int, int]:
    known = await postgres_authors.known_numbers(connection, authors) if authors else {}
    return {UNKNOWN.connection: 0, **known}
