"""Reading the log and the history in an SQLite file, in the thread that owns the connection."""

import json
import logging
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

from collabd.errors import DocumentDamaged, DocumentDeleted

from . import rows
from .base import UNKNOWN, Author, DocumentInfo, HistoryEntry, LoggedUpdate, StoredDocument
from .listing import beyond
from .reading import Chunk, Parts, Place, author_numbers, checked, entries_of, first_group, tail_of
from .rows import Row

logger = logging.getLogger(__name__)

CHUNK_ROWS: Final = 2_000
"""Rows of the log that are read at a time."""

NEWEST_UNDER_NAME: Final = "SELECT id, deleted_at FROM documents WHERE name = ? ORDER BY id DESC LIMIT 1"
HEAD_OF_DOCUMENT: Final = """
    SELECT max(
        coalesce((SELECT max(seq) FROM log WHERE document = d.id), 0),
        coalesce((SELECT seq FROM snapshots WHERE document = d.id), 0),
        coalesce((SELECT max(seq) FROM segments WHERE document = d.id), 0)
    ), d.deleted_at
    FROM documents d WHERE d.id = ?"""
_FIND: Final = """
    SELECT d.id, d.name, d.created_at, coalesce(
        (SELECT at FROM log WHERE document = d.id ORDER BY seq DESC LIMIT 1),
        (SELECT at FROM snapshots WHERE document = d.id),
        d.created_at
    ), max(
        coalesce((SELECT max(seq) FROM log WHERE document = d.id), 0),
        coalesce((SELECT seq FROM snapshots WHERE document = d.id), 0),
        coalesce((SELECT max(seq) FROM segments WHERE document = d.id), 0)
    ), d.quarantine
    FROM documents d"""
_LIST: Final = """ WHERE d.deleted_at IS NULL AND d.name >= :start AND d.name > :after
    AND (:beyond IS NULL OR d.name < :beyond) ORDER BY d.name LIMIT :limit"""
_ROW: Final = "SELECT seq, count, at, authors, payload, checksum FROM log WHERE document = :document "
_ROWS_WITH_EARLY: Final = """AND seq IN (
        SELECT (SELECT min(seq) FROM log WHERE document = :document AND seq >= early.value)
        FROM json_each(:early) AS early
    )"""


def live_id(connection: sqlite3.Connection, name: str) -> int | None:
    """The id of the document that has the name now; None if none ever had. Raises DocumentDeleted."""
    row = connection.execute(NEWEST_UNDER_NAME, (name,)).fetchone()
    if row is None:
        return None
    if row[1] is not None:
        raise DocumentDeleted(f"{name} was deleted")
    return int(row[0])


def find(connection: sqlite3.Connection, name: str) -> DocumentInfo | None:
    """See ``Store.find``."""
    document_id = live_id(connection, name)
    if document_id is None:
        return None
    return DocumentInfo(*connection.execute(f"{_FIND} WHERE d.id = ?", (document_id,)).fetchone())


def find_all(connection: sqlite3.Connection, names: Sequence[str]) -> dict[str, DocumentInfo]:
    """See ``Store.find_all``."""
    which = " WHERE d.deleted_at IS NULL AND d.name IN (SELECT value FROM json_each(?))"
    found = [DocumentInfo(*row) for row in connection.execute(_FIND + which, (json.dumps(names),))]
    return {info.name: info for info in found}


def documents(connection: sqlite3.Connection, prefix: str, after: str, limit: int) -> list[DocumentInfo]:
    """See ``Store.documents``."""
    parameters = {
        "start": max(prefix, after),
        "after": after,
        "beyond": beyond(prefix) if prefix else None,
        "limit": limit,
    }
    return [DocumentInfo(*row) for row in connection.execute(_FIND + _LIST, parameters)]


def load(connection: sqlite3.Connection, name: str, whole: bool) -> StoredDocument | None:
    """See ``Store.load``."""
    info = find(connection, name)
    if info is None:
        return None
    if info.quarantine:
        raise DocumentDamaged(f"{name} is in quarantine: {info.quarantine}")
    snapshot = connection.execute(
        "SELECT seq, early, packed, state, checksum FROM snapshots WHERE document = ?", (info.id,)
    ).fetchone()
    if snapshot is None:
        return StoredDocument(info.id, info.head, None, 0, _tail(connection, info, 0))
    seq, early, *stored = snapshot
    if not whole:
        try:
            state = rows.unpack_state(rows.State(*stored), f"the snapshot of {name} at {seq}")
            tail = _early(connection, info, early, seq) + _tail(connection, info, seq)
            return StoredDocument(info.id, info.head, state, seq, tail)
        except DocumentDamaged as error:
            damage = error
        try:
            tail = _tail(connection, info, 0)
        except DocumentDamaged:
            raise damage from None
        logger.warning("%s; history makes up for it", damage)
        return StoredDocument(info.id, info.head, None, seq, tail)
    return StoredDocument(info.id, info.head, None, seq, _tail(connection, info, 0))


def _early(
    connection: sqlite3.Connection, info: DocumentInfo, early: str, snapshot_seq: int
) -> list[LoggedUpdate]:
    wanted = set(json.loads(early))
    if not wanted:
        return []
    found = read_rows(connection, info.id, _ROWS_WITH_EARLY, early=early)
    refused = rejected(connection, info.id)
    return [
        logged
        for row in found
        for logged in rows.logged(row)
        if logged.seq in wanted and logged.seq <= snapshot_seq and logged.seq not in refused
    ]


def _tail(connection: sqlite3.Connection, info: DocumentInfo, after: int) -> list[LoggedUpdate]:
    """The updates above a number, none of which may be missing."""
    segments = [seq for _, seq in read_parts(connection, info.id) if seq > after]
    history = read_segments(connection, info.id, segments)
    log = connection.execute(_ROW + "AND seq > :after ORDER BY seq", {"document": info.id, "after": after})
    return tail_of(info, after, log, history, rejected(connection, info.id))


def rejected(connection: sqlite3.Connection, document_id: int) -> set[int]:
    """The numbers of a document's updates that are not applicable."""
    return {
        seq for (seq,) in connection.execute("SELECT seq FROM rejected WHERE document = ?", (document_id,))
    }


def read_rows(
    connection: sqlite3.Connection, document_id: int, which: str, **parameters: object
) -> list[Row]:
    """Rows of a document's log, each checked. ``which`` continues the WHERE clause."""
    return checked(connection.execute(_ROW + which, {"document": document_id, **parameters}))


def read_parts(connection: sqlite3.Connection, document_id: int) -> Parts:
    """First and last number of each segment of a document, by the first. They may overlap."""
    return list(
        connection.execute(
            "SELECT first, seq FROM segments WHERE document = ? ORDER BY first", (document_id,)
        )
    )


def read_segments(
    connection: sqlite3.Connection, document_id: int, seqs: Sequence[int], *, updates: bool = True
) -> list[Row]:
    """The rows of the segments that end with these numbers, each checked; without ``updates`` their payloads
    are empty."""
    found: list[Row] = []
    for seq in seqs:
        meta, payload, expected = connection.execute(
            "SELECT meta, payload, checksum FROM segments WHERE document = ? AND seq = ?", (document_id, seq)
        ).fetchone()
        what = f"the history up to {seq}"
        rows.verify(payload, expected, what, meta)
        found += rows.unpack_segment(meta, payload if updates else None, what)
    return found


def begin_history(connection: sqlite3.Connection, document_id: int, after: int) -> Place:
    """Where to begin reading what holds numbers above ``after``."""
    row = connection.execute(
        """SELECT d.generation, coalesce(s.seq, 0)
        FROM documents d LEFT JOIN snapshots s ON s.document = d.id WHERE d.id = ?""",
        (document_id,),
    ).fetchone()
    generation, snapshot_seq = row or (0, 0)
    which = "AND seq > :after AND seq <= :upto ORDER BY seq"
    stragglers = read_rows(connection, document_id, which, after=after, upto=snapshot_seq)
    parts = [part for part in read_parts(connection, document_id) if part[1] > after]
    return Place(generation, snapshot_seq, parts, stragglers, after)


def read_history(
    connection: sqlite3.Connection, document_id: int, place: Place, upto: int | None, updates: bool
) -> Chunk:
    """The next entries from ``place`` on that hold numbers up to ``upto``.

    When compaction has moved rows meanwhile, it begins again behind the last entry given out.
    """
    generation = connection.execute(
        "SELECT generation FROM documents WHERE id = ?", (document_id,)
    ).fetchone()
    if generation is not None and generation[0] != place.generation:
        place = begin_history(connection, document_id, place.after)
    parts, stragglers, after = place.parts, place.stragglers, place.after
    if parts:
        seqs, end, parts = first_group(parts)
        found = read_segments(connection, document_id, seqs, updates=updates)
        found += [row for row in stragglers if row.seq <= end]
        stragglers = [row for row in stragglers if row.seq > end]
    elif stragglers:
        found, stragglers, end = stragglers, [], place.snapshot_seq
    else:
        which = "AND seq > :after ORDER BY seq LIMIT :limit"
        beginning = max(after, place.snapshot_seq)
        found = read_rows(connection, document_id, which, after=beginning, limit=CHUNK_ROWS)
        if not found:
            return Chunk([], None)
        end = found[-1].seq
    found = sorted(row for row in found if row.seq > after and (upto is None or row.first <= upto))
    entries = _entries(connection, document_id, found, updates)
    if upto is not None and end >= upto and not any(row.first <= upto for row in stragglers):
        return Chunk(entries, None)
    return Chunk(entries, place._replace(parts=parts, stragglers=stragglers, after=max(after, end)))


def _entries(
    connection: sqlite3.Connection, document_id: int, found: Sequence[Row], updates: bool
) -> list[HistoryEntry]:
    refused = rejected(connection, document_id) if updates else set()
    authors = read_authors(connection, author_numbers(found))
    return entries_of(found, authors, refused, updates=updates)


def read_authors(connection: sqlite3.Connection, numbers: Iterable[int]) -> dict[int, Author]:
    """The authors of these numbers; UNKNOWN for those that are none."""
    found = {}
    for number in set(numbers):
        row = connection.execute(
            "SELECT connection, principal, name, address FROM authors WHERE id = ?", (number,)
        ).fetchone()
        found[number] = UNKNOWN if row is None else Author(*row)
    return found
