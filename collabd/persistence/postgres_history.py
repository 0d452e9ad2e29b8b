"""Compaction and history in a PostgreSQL database."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from collabd.errors import DocumentDeleted

from . import postgres_authors, postgres_log, rows
from .base import Compaction, HistoryEntry, Version
from .postgres_connection import QUERIES
from .postgres_write import BATCHES_REMEMBERED
from .rows import Row, Segment

if TYPE_CHECKING:
    from .postgres_connection import Connection


class Conflict(Exception):
    """Another process was faster; the transaction is to be rolled back."""


async def rows_to_compact(connection: "Connection", document_id: int, compaction: Compaction) -> list[Row]:
    """The rows of the log that a snapshot stands for, without those that hold something early."""
    found = await postgres_log.read_rows(connection, document_id, 0, compaction.seq)
    early = set(compaction.early)
    return [row for row in found if not early.intersection(range(row.first, row.seq + 1))]


async def compact(
    connection: "Connection",
    document_id: int,
    compaction: Compaction,
    state: rows.State,
    going: Sequence[int],
    packed: Sequence[Segment],
) -> None:
    """See ``Store.compact``. Within a transaction. ``going`` are the numbers of the rows packed.

    Raises:
        Conflict: another compaction was faster.
    """
    now = time.time()
    if not await connection.fetch(QUERIES["lock_documents"], [document_id]):
        raise DocumentDeleted("the document was deleted")
    if (await connection.fetchval(QUERIES["snapshot_seq"], document_id) or 0) != compaction.replaces:
        raise Conflict
    remembered = now - BATCHES_REMEMBERED
    taken = await connection.fetchval(QUERIES["take_from_log"], document_id, list(going), remembered)
    if taken != len(going):
        raise Conflict
    if compaction.keep_history:
        await add_segments(connection, document_id, packed)
    else:
        await connection.execute(QUERIES["drop_history"], document_id)
        await connection.execute(QUERIES["drop_versions"], document_id)
    await connection.execute(
        QUERIES["save_snapshot"], document_id, compaction.seq, now, list(compaction.early), *state
    )
    await connection.execute(QUERIES["rows_changed"], document_id)


async def forget_batches(connection: "Connection") -> None:
    """Forget where batches went of which nobody can be uncertain any more."""
    await connection.execute(QUERIES["forget_batches"], time.time() - BATCHES_REMEMBERED)


async def replace_history(
    connection: "Connection", document_id: int, upto: int, expected: int, entries: Sequence[HistoryEntry]
) -> None:
    """See ``Store.replace_history``. Within a transaction.

    Raises:
        Conflict: history is not what was expected.
    """
    if not await connection.fetch(QUERIES["lock_documents"], [document_id]):
        raise Conflict
    parts = [seq for first, seq in await postgres_log.read_parts(connection, document_id) if first <= upto]
    found = sorted(await postgres_log.read_segments(connection, document_id, parts))
    going = [row for row in found if row.seq <= upto]
    if len(going) != expected or await connection.fetchval(QUERIES["any_in_log"], document_id, upto):
        raise Conflict
    await connection.execute(QUERIES["remove_segments"], document_id, parts)
    authors = {author for entry in entries for author, _ in entry.authors}
    numbers = await postgres_authors.known_numbers(connection, authors)
    kept = [
        Row(
            entry.seq,
            entry.count,
            entry.at,
            rows.pack_authors((numbers.get(author.connection, 0), count) for author, count in entry.authors),
            rows.pack(entry.updates),
        )
        for entry in entries
    ]
    segments = await asyncio.to_thread(list, rows.segments(kept + found[len(going) :]))
    await add_segments(connection, document_id, segments)
    await connection.execute(QUERIES["clear_rejected"], document_id, upto)
    await connection.execute(QUERIES["rows_changed"], document_id)


async def versions(connection: "Connection", document_id: int) -> list[Version]:
    """See ``Store.versions``."""
    found = await connection.fetch(QUERIES["read_versions"], document_id)
    authors = await postgres_authors.read(connection, (row[3] for row in found))
    return [Version(seq, name, at, authors[author]) for seq, name, at, author in found]


async def add_segments(connection: "Connection", document_id: int, packed: Iterable[Segment]) -> None:
    """Put segments into history. Within a transaction."""
    await connection.executemany(QUERIES["add_segment"], [(document_id, *segment) for segment in packed])
