"""All of an SQLite file as records, and back, in the thread that owns the connection."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

from collabd.memos import Memo

from . import rows, sqlite_history, sqlite_log, sqlite_memos
from .base import UNKNOWN, Author, HistoryEntry
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

LOG_BYTES: Final = 4 * 1024 * 1024
"""Payload of the log that is read at a time, at least."""


def read(connection: sqlite3.Connection, place: DumpPlace) -> tuple[list[Record], DumpPlace | None]:
    """Some records, perhaps none, and where to go on; None at the end. See ``Store.dump``."""
    if place.author is not None:
        return _read_authors(connection, place, place.author)
    if place.row is None:
        return _begin_document(connection, place)
    return _read_entries(connection, place, place.row)


def _read_authors(
    connection: sqlite3.Connection, place: DumpPlace, after: int
) -> tuple[list[Record], DumpPlace | None]:
    found = connection.execute(
        """SELECT connection, principal, name, address, last_at FROM authors
        WHERE connection > ? ORDER BY connection LIMIT ?""",
        (after, AUTHORS),
    )
    authors = [AuthorRecord(Author(*author), last_at) for *author, last_at in found]
    return [*authors], place._replace(author=authors[-1].author.connection if authors else None)


def _begin_document(
    connection: sqlite3.Connection, place: DumpPlace
) -> tuple[list[Record], DumpPlace | None]:
    """The next document, but for its entries."""
    row = connection.execute(
        """SELECT id, name, created_at, deleted_at, quarantine FROM documents
        WHERE id > ? ORDER BY id LIMIT 1""",
        (place.document,),
    ).fetchone()
    if row is None:
        return [], None
    document = DocumentRecord(*row)
    records: list[Record] = [document]
    if rejected := sqlite_log.rejected(connection, document.id):
        records.append(RejectedRecord(document.id, tuple(sorted(rejected))))
    records += [
        VersionRecord(document.id, version) for version in sqlite_history.versions(connection, document.id)
    ]
    records += [
        AsideRecord(*aside)
        for aside in connection.execute(
            """SELECT document, part, seq, set_aside_at, stored FROM damaged
            WHERE document = ? ORDER BY id""",
            (document.id,),
        )
    ]
    snapshot = connection.execute(
        "SELECT seq, at, early, packed, state, checksum FROM snapshots WHERE document = ?", (document.id,)
    ).fetchone()
    if snapshot is not None:
        seq, at, early, *stored = snapshot
        state = rows.unpack_state(rows.State(*stored), f"the snapshot of {document.name}")
        records.append(SnapshotRecord(document.id, seq, at, tuple(json.loads(early)), state))
    return records, DumpPlace(None, document.id, sqlite_log.read_parts(connection, document.id), 0)


def _read_entries(
    connection: sqlite3.Connection, place: DumpPlace, after: int
) -> tuple[list[Record], DumpPlace | None]:
    """The next entries of a document, those in history first."""
    if place.parts:
        seqs, _, parts = first_group(place.parts)
        found = sorted(sqlite_log.read_segments(connection, place.document, seqs))
        return _entries(connection, place.document, found, in_log=False), place._replace(parts=parts)
    found, size = [], 0
    for seq, count, at, authors, payload, expected in connection.execute(
        """SELECT seq, count, at, authors, payload, checksum FROM log
        WHERE document = ? AND seq > ? ORDER BY seq""",
        (place.document, after),
    ):
        found.append(rows.checked(Row(seq, count, at, authors, payload), expected))
        size += len(payload)
        if size >= LOG_BYTES:
            break
    if not found:
        return [], place._replace(row=None)
    records = _entries(connection, place.document, found, in_log=True)
    return records, place._replace(row=found[-1].seq)


def _entries(
    connection: sqlite3.Connection, document: int, found: Sequence[Row], *, in_log: bool
) -> list[Record]:
    authors = sqlite_log.read_authors(connection, author_numbers(found))
    return [EntryRecord(document, entry, in_log) for entry in entries_of(found, authors)]


def take_in(connection: sqlite3.Connection, records: Sequence[Record]) -> None:
    """See ``Store.take_in``."""
    past: dict[int, list[Row]] = {}
    connection.execute("BEGIN IMMEDIATE")
    for record in records:
        match record:
            case Memo():
                sqlite_memos.put(connection, record, fresh=False)
            case AuthorRecord(author, last_at):
                connection.execute(
                    """INSERT INTO authors (connection, principal, name, address, last_at)
                    VALUES (?, ?, ?, ?, ?)""",
                    (*author, last_at),
                )
            case DocumentRecord():
                connection.execute(
                    """INSERT INTO documents (id, name, created_at, deleted_at, quarantine)
                    VALUES (?, ?, ?, ?, ?)""",
                    record,
                )
            case RejectedRecord(document, seqs):
                connection.executemany(
                    "INSERT INTO rejected VALUES (?, ?)", [(document, seq) for seq in seqs]
                )
            case VersionRecord(document, version):
                number = _numbers(connection, [version.author])[version.author.connection]
                connection.execute(
                    "INSERT INTO versions VALUES (?, ?, ?, ?, ?)",
                    (document, version.seq, version.name, version.at, number),
                )
            case AsideRecord():
                connection.execute(
                    """INSERT INTO damaged (document, part, seq, set_aside_at, stored)
                    VALUES (?, ?, ?, ?, ?)""",
                    record,
                )
            case SnapshotRecord(document, seq, at, early, state):
                connection.execute(
                    sqlite_history.SAVE_SNAPSHOT,
                    (document, seq, at, json.dumps(list(early)), *rows.pack_state(state)),
                )
            case EntryRecord(document, entry, in_log):
                row = _row(connection, entry)
                if in_log:
                    connection.execute(
                        """INSERT INTO log (document, seq, count, at, payload, checksum, authors)
                        VALUES (?, ?, ?, ?, ?, ?, ?)""",
                        (
                            document,
                            row.seq,
                            row.count,
                            row.at,
                            row.payload,
                            rows.checksum(row.payload, row.authors),
                            row.authors,
                        ),
                    )
                else:
                    past.setdefault(document, []).append(row)
    for document, taken in past.items():
        sqlite_history.add_segments(connection, document, rows.segments(taken))
    connection.execute("COMMIT")


def _row(connection: sqlite3.Connection, entry: HistoryEntry) -> Row:
    numbers = _numbers(connection, {author for author, _ in entry.authors})
    authors = rows.pack_authors((numbers[author.connection], count) for author, count in entry.authors)
    return Row(entry.seq, entry.count, entry.at, authors, rows.pack(entry.updates))


def _numbers(connection: sqlite3.Connection, authors: Iterable[Author]) -> dict[int, int]:
    return {UNKNOWN.connection: 0, **sqlite_history.numbers(connection, authors)}
