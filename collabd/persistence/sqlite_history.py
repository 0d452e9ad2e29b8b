"""Compaction, history, versions and authors in an SQLite file, in the thread that owns the connection."""

import json
import sqlite3
import time
from collections.abc import Iterable, Sequence
from typing import Final

from collabd.errors import DocumentDeleted

from . import rows, sqlite_log
from .base import UNKNOWN, Author, Compaction, HistoryEntry, Version
from .rows import Row, Segment

AUTHOR_HEARD_OF: Final = 3600.0
"""Seconds after which it is noted again that an author still writes."""
MAX_AUTHORS_CACHED: Final = 10_000
VACUUM_PAGES: Final = 1_000
"""Pages given back to the file system at a time."""

SAVE_SNAPSHOT: Final = """
    INSERT OR REPLACE INTO snapshots (document, seq, at, early, packed, state, checksum)
    VALUES (?, ?, ?, ?, ?, ?, ?)"""
_SAVE_AUTHOR: Final = """
    INSERT INTO authors (connection, principal, name, address, last_at) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (connection) DO UPDATE SET
        principal = excluded.principal, name = excluded.name, address = excluded.address,
        last_at = excluded.last_at
    RETURNING id"""


class Authors:
    """The numbers that authors have in the file, remembered. Forget them when a transaction fails."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, Author, float]] = {}

    def number(self, connection: sqlite3.Connection, author: Author, now: float) -> int:
        """The author's number, given anew if need be (within the transaction under way)."""
        known = self._known.get(author.connection)
        if known is not None and known[1] == author and now - known[2] < AUTHOR_HEARD_OF:
            return known[0]
        if author.connection == UNKNOWN.connection:
            return 0
        (number,) = connection.execute(_SAVE_AUTHOR, (*_storable(author), now)).fetchone()
        if len(self._known) >= MAX_AUTHORS_CACHED:
            self._known.clear()
        self._known[author.connection] = (number, author, now)
        return int(number)

    def pack(
        self, connection: sqlite3.Connection, authors: Sequence[tuple[Author, int]], now: float
    ) -> bytes:
        """A row's authors, packed."""
        return rows.pack_authors([(self.number(connection, author, now), count) for author, count in authors])

    def forget(self) -> None:
        """Look all of them up again."""
        self._known.clear()


def _storable(author: Author) -> Author:
    """The author without halves of surrogate pairs, which no database can store."""
    return Author(author.connection, *(text.encode(errors="replace").decode() for text in author[1:]))


def rows_to_compact(connection: sqlite3.Connection, document_id: int, compaction: Compaction) -> list[Row]:
    """The rows of the log that a snapshot stands for, without those that hold something early."""
    found = sqlite_log.read_rows(
        connection, document_id, "AND seq <= :upto ORDER BY seq", upto=compaction.seq
    )
    early = set(compaction.early)
    return [row for row in found if not early.intersection(range(row.first, row.seq + 1))]


def compact(
    connection: sqlite3.Connection,
    document_id: int,
    compaction: Compaction,
    state: rows.State,
    going: Sequence[int],
    packed: Sequence[Segment],
    at: float | None,
) -> bool:
    """See ``Store.compact``. ``going`` are the numbers of the rows packed, the last from the time ``at``."""
    # What goes for good is overwritten, also where that takes writing more than it otherwise would.
    connection.execute(f"PRAGMA secure_delete = {'FAST' if compaction.keep_history else 'ON'}")
    connection.execute("BEGIN IMMEDIATE")
    document = connection.execute("SELECT deleted_at FROM documents WHERE id = ?", (document_id,)).fetchone()
    snapshot = connection.execute(
        "SELECT seq, at FROM snapshots WHERE document = ?", (document_id,)
    ).fetchone()
    if document is None or document[0] is not None:
        connection.execute("ROLLBACK")
        raise DocumentDeleted("the document was deleted")
    if (snapshot[0] if snapshot else 0) != compaction.replaces:
        connection.execute("ROLLBACK")
        return False
    connection.executemany(
        "DELETE FROM log WHERE document = ? AND seq = ?", [(document_id, seq) for seq in going]
    )
    if compaction.keep_history:
        add_segments(connection, document_id, packed)
    else:
        connection.execute("DELETE FROM segments WHERE document = ?", (document_id,))
        connection.execute("DELETE FROM versions WHERE document = ?", (document_id,))
    if at is None:
        at = snapshot[1] if snapshot else time.time()
    connection.execute(
        SAVE_SNAPSHOT,
        (document_id, compaction.seq, at, json.dumps(list(compaction.early)), *state),
    )
    _changed(connection, document_id)
    connection.execute("COMMIT")
    return True


def replace_history(
    connection: sqlite3.Connection,
    document_id: int,
    upto: int,
    expected: int,
    entries: Sequence[HistoryEntry],
) -> bool:
    """See ``Store.replace_history``."""
    connection.execute("BEGIN IMMEDIATE")
    in_log = connection.execute(
        "SELECT 1 FROM log WHERE document = ? AND seq <= ? LIMIT 1", (document_id, upto)
    ).fetchone()
    parts = [seq for first, seq in sqlite_log.read_parts(connection, document_id) if first <= upto]
    found = sorted(sqlite_log.read_segments(connection, document_id, parts))
    going = [row for row in found if row.seq <= upto]
    if in_log is not None or len(going) != expected:
        connection.execute("ROLLBACK")
        return False
    connection.executemany(
        "DELETE FROM segments WHERE document = ? AND seq = ?", [(document_id, seq) for seq in parts]
    )
    known = numbers(connection, {author for entry in entries for author, _ in entry.authors})
    kept = [
        Row(
            entry.seq,
            entry.count,
            entry.at,
            rows.pack_authors((known.get(author.connection, 0), count) for author, count in entry.authors),
            rows.pack(entry.updates),
        )
        for entry in entries
    ]
    add_segments(connection, document_id, list(rows.segments(kept + found[len(going) :])))
    connection.execute("DELETE FROM rejected WHERE document = ? AND seq <= ?", (document_id, upto))
    _changed(connection, document_id)
    connection.execute("COMMIT")
    return True


def give_space_back(connection: sqlite3.Connection) -> bool:
    """Give some of the space that is free in the file back to the file system; whether there is more."""
    # Each step gives back one page, as a row without columns; `execute` would take the first step only.
    connection.executescript(f"PRAGMA incremental_vacuum({VACUUM_PAGES})")
    (mode,) = connection.execute("PRAGMA auto_vacuum").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    return bool(free and mode)


def empty_the_wal(connection: sqlite3.Connection) -> None:
    """Let nothing that was deleted from the file be left in the write-ahead log beside it, unless somebody
    reads what was there before."""
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def versions(connection: sqlite3.Connection, document_id: int) -> list[Version]:
    """See ``Store.versions``."""
    found = connection.execute(
        "SELECT seq, name, at, author FROM versions WHERE document = ? ORDER BY seq", (document_id,)
    ).fetchall()
    authors = sqlite_log.read_authors(connection, (row[3] for row in found))
    return [Version(seq, name, at, authors[author]) for seq, name, at, author in found]


def name_version(
    connection: sqlite3.Connection, authors: Authors, document_id: int, version: Version
) -> None:
    """See ``Store.name_version``."""
    now = time.time()
    connection.execute("BEGIN IMMEDIATE")
    number = authors.number(connection, version.author, now)
    connection.execute(
        "INSERT OR REPLACE INTO versions VALUES (?, ?, ?, ?, ?)",
        (document_id, version.seq, version.name, version.at or now, number),
    )
    connection.execute("COMMIT")


def erase_authors(
    connection: sqlite3.Connection, authors: Authors, principal: str | None, before: float | None
) -> int:
    """See ``Store.erase_authors``."""
    authors.forget()
    erased = connection.execute(
        """UPDATE authors SET principal = '', name = '', address = ''
        WHERE (:principal IS NULL OR principal = :principal) AND (:before IS NULL OR last_at < :before)
          AND (principal != '' OR name != '' OR address != '')""",
        {"principal": principal, "before": before},
    )
    return erased.rowcount


def numbers(connection: sqlite3.Connection, authors: Iterable[Author]) -> dict[int, int]:
    """By connection, the number each author has; those that have none are left out."""
    known = {}
    for author in authors:
        row = connection.execute(
            "SELECT id FROM authors WHERE connection = ?", (author.connection,)
        ).fetchone()
        if row is not None:
            known[author.connection] = row[0]
    return known


def add_segments(connection: sqlite3.Connection, document_id: int, packed: Iterable[Segment]) -> None:
    """Put segments into history, within the transaction under way."""
    connection.executemany(
        """INSERT INTO segments (document, first, seq, rows, meta, payload, checksum)
        VALUES (?, ?, ?, ?, ?, ?, ?)""",
        [(document_id, *segment) for segment in packed],
    )


def _changed(connection: sqlite3.Connection, document_id: int) -> None:
    connection.execute("UPDATE documents SET generation = generation + 1 WHERE id = ?", (document_id,))
