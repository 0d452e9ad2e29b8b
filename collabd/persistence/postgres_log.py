"""Reading the log and the history in a PostgreSQL database."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from collabd.errors import DocumentDamaged, DocumentDeleted

from . import postgres_authors, rows
from .base import DocumentInfo, HistoryEntry, LoggedUpdate, StoredDocument
from .listing import beyond
from .postgres_connection import QUERIES
from .reading import Chunk, Parts, Place, author_numbers, checked, entries_of, first_group, tail_of
from .rows import Row

if TYPE_CHECKING:
    from .postgres_connection import Connection, Record

logger = logging.getLogger(__name__)

T = TypeVar("T")

CHUNK_ROWS: Final = 2_000
"""Rows of the log that are read at a time."""
FEW: Final = 100
"""Rows that are decoded so fast that it need not be done in a thread."""


async def in_thread_if_many(count: int, function: Callable[..., T], *arguments: object) -> T:
    """Call a function that works on so many rows where it holds nobody up."""
    if count <= FEW:
        return function(*arguments)
    return await asyncio.to_thread(function, *arguments)


def comparable(text: str) -> str | None:
    """A text that PostgreSQL can compare names with, equal to ``text`` as far as names go that it can store;
    None if no name can begin with it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return None
    return None if "\0" in text else text


async def find(connection: "Connection", name: str) -> DocumentInfo | None:
    """See ``Store.find``."""
    if comparable(name) is None:
        return None
    row = await connection.fetchrow(QUERIES["find_document"], name)
    if row is None:
        return None
    *info, deleted = row
    if deleted:
        raise DocumentDeleted(f"{name} was deleted")
    return DocumentInfo(*info)


async def find_all(connection: "Connection", names: Sequence[str]) -> dict[str, DocumentInfo]:
    """See ``Store.find_all``."""
    possible = [name for name in names if comparable(name) is not None]
    found = [DocumentInfo(*row) for row in await connection.fetch(QUERIES["find_documents"], possible)]
    return {info.name: info for info in found}


async def documents(connection: "Connection", prefix: str, after: str, limit: int) -> list[DocumentInfo]:
    """See ``Store.documents``."""
    if comparable(prefix) is None:
        return []
    # No name holds a NUL, so that what is behind one is as good as what follows it. The same goes for what
    # cannot be encoded, but for one name nobody has.
    behind = after.partition("\0")[0].encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    found = await connection.fetch(
        QUERIES["list_documents"], max(prefix, behind), behind, beyond(prefix) if prefix else None, limit
    )
    return [DocumentInfo(*row) for row in found]


async def load(connection: "Connection", name: str, whole: bool) -> StoredDocument | None:
    """See ``Store.load``. Within a transaction that sees one state of the database."""
    info = await find(connection, name)
    if info is None:
        return None
    if info.quarantine:
        raise DocumentDamaged(f"{name} is in quarantine: {info.quarantine}")
    snapshot = await connection.fetchrow(QUERIES["read_snapshot"], info.id)
    if snapshot is None:
        return StoredDocument(info.id, info.head, None, 0, await _tail(connection, info, 0))
    seq, early, *stored = snapshot
    if not whole:
        what = f"the snapshot of {name} at {seq}"
        try:
            state = await asyncio.to_thread(rows.unpack_state, rows.State(*stored), what)
            tail = await _early(connection, info, early, seq) + await _tail(connection, info, seq)
            return StoredDocument(info.id, info.head, state, seq, tail)
        except DocumentDamaged as error:
            damage = error
        try:
            tail = await _tail(connection, info, 0)
        except DocumentDamaged:
            raise damage from None
        logger.warning("%s; history makes up for it", damage)
        return StoredDocument(info.id, info.head, None, seq, tail)
    return StoredDocument(info.id, info.head, None, seq, await _tail(connection, info, 0))


async def _early(
    connection: "Connection", info: DocumentInfo, early: Sequence[int], snapshot_seq: int
) -> list[LoggedUpdate]:
    wanted = set(early)
    if not wanted:
        return []
    records = await connection.fetch(QUERIES["read_rows_with"], info.id, list(early))
    refused = await rejected(connection, info.id)
    return [
        logged
        for row in await in_thread_if_many(len(records), checked, records)
        for logged in rows.logged(row)
        if logged.seq in wanted and logged.seq <= snapshot_seq and logged.seq not in refused
    ]


async def _tail(connection: "Connection", info: DocumentInfo, after: int) -> list[LoggedUpdate]:
    """The updates above a number, none of which may be missing."""
    segments = [seq for _, seq in await read_parts(connection, info.id) if seq > after]
    records = await connection.fetch(QUERIES["read_log"], info.id, after, None, None)
    refused = await rejected(connection, info.id)
    history = await read_segments(connection, info.id, segments)
    count = len(records) + len(history)
    return await in_thread_if_many(count, tail_of, info, after, records, history, refused)


async def rejected(connection: "Connection", document_id: int) -> set[int]:
    """The numbers of a document's updates that are not applicable."""
    return {seq for (seq,) in await connection.fetch(QUERIES["read_rejected"], document_id)}


async def read_rows(
    connection: "Connection", document_id: int, after: int, upto: int | None, limit: int | None = None
) -> list[Row]:
    """Rows of a document's log above one number and up to another, each checked."""
    records = await connection.fetch(QUERIES["read_log"], document_id, after, upto, limit)
    return await in_thread_if_many(len(records), checked, records)


async def read_parts(connection: "Connection", document_id: int) -> Parts:
    """First and last number of each segment of a document, by the first. They may overlap."""
    return [(first, seq) for first, seq in await connection.fetch(QUERIES["read_parts"], document_id)]


async def read_segments(
    connection: "Connection", document_id: int, seqs: Sequence[int], *, updates: bool = True
) -> list[Row]:
    """The rows of the segments that end with these numbers, each checked; without ``updates`` their payloads
    are empty."""
    if not seqs:
        return []
    records = await connection.fetch(QUERIES["read_segments"], document_id, list(seqs))
    return await asyncio.to_thread(_unpacked, records, updates)


def _unpacked(records: Sequence["Record"], updates: bool) -> list[Row]:
    found: list[Row] = []
    for seq, meta, payload, expected in records:
        what = f"the history up to {seq}"
        rows.verify(payload, expected, what, meta)
        found += rows.unpack_segment(meta, payload if updates else None, what)
    return found


async def begin_history(connection: "Connection", document_id: int, after: int) -> Place:
    """Where to begin reading what holds numbers above ``after``."""
    row = await connection.fetchrow(QUERIES["read_place"], document_id)
    generation, _, snapshot_seq = row or (0, 0, 0)
    stragglers = await read_rows(connection, document_id, after, snapshot_seq)
    parts = [part for part in await read_parts(connection, document_id) if part[1] > after]
    return Place(generation, snapshot_seq, parts, stragglers, after)


async def read_history(
    connection: "Connection", document_id: int, place: Place, upto: int | None, updates: bool
) -> Chunk:
    """The next entries from ``place`` on that hold numbers up to ``upto``. Within a transaction that sees one
    state of the database.

    When compaction has moved rows meanwhile, it begins again behind the last entry given out.
    """
    row = await connection.fetchrow(QUERIES["read_place"], document_id)
    if row is not None and row[0] != place.generation:
        place = await begin_history(connection, document_id, place.after)
    parts, stragglers, after = place.parts, place.stragglers, place.after
    if parts:
        seqs, end, parts = first_group(parts)
        found = await read_segments(connection, document_id, seqs, updates=updates)
        found += [row for row in stragglers if row.seq <= end]
        stragglers = [row for row in stragglers if row.seq > end]
    elif stragglers:
        found, stragglers, end = stragglers, [], place.snapshot_seq
    else:
        beginning = max(after, place.snapshot_seq)
        found = await read_rows(connection, document_id, beginning, None, CHUNK_ROWS)
        if not found:
            return Chunk([], None)
        end = found[-1].seq
    found = sorted(row for row in found if row.seq > after and (upto is None or row.first <= upto))
    entries = await _entries(connection, document_id, found, updates)
    if upto is not None and end >= upto and not any(row.first <= upto for row in stragglers):
        return Chunk(entries, None)
    return Chunk(entries, place._replace(parts=parts, stragglers=stragglers, after=max(after, end)))


async def _entries(
    connection: "Connection", document_id: int, found: Sequence[Row], updates: bool
) -> list[HistoryEntry]:
    refused = await rejected(connection, document_id) if updates else set()
    authors = await postgres_authors.read(connection, author_numbers(found))
    return entries_of(found, authors, refused, updates=updates)
