"""What stores with different databases do alike with the rows they have read."""

import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from collabd.errors import DocumentDamaged

from . import rows
from .base import Author, DocumentInfo, HistoryEntry, LoggedUpdate
from .rows import Row

Parts = list[tuple[int, int]]
"""First and last number of each of a document's segments, by the first. They may overlap."""


class Place(NamedTuple):
    """How far a reader of history has come."""

    generation: int
    """Of the document, when reading began."""
    snapshot_seq: int
    parts: Parts
    """Segments still to be read."""
    stragglers: list[Row]
    """Rows of the log from under the snapshot still to be given out: early ones."""
    after: int
    """The last number given out."""


class Chunk(NamedTuple):
    """Some entries of history, and where to go on; None at the end."""

    entries: list[HistoryEntry]
    place: Place | None


class Group(NamedTuple):
    """Segments that must be read together, since they overlap."""

    seqs: list[int]
    """The number that each ends with."""
    end: int
    """The highest of these."""
    rest: Parts
    """The segments behind them."""


def first_group(parts: Parts) -> Group:
    """The first of ``parts``, at least one, with all that overlap it."""
    rest = list(parts)
    seqs: list[int] = []
    end = rest[0][1]
    while rest and rest[0][0] <= end:
        seqs.append(rest[0][1])
        end = max(end, rest.pop(0)[1])
    return Group(seqs, end, rest)


def tail_of(
    info: DocumentInfo,
    after: int,
    records: Iterable[Sequence[Any]],
    history: list[Row],
    refused: Collection[int],
) -> list[LoggedUpdate]:
    """A document's updates above a number, none of which may be missing, without those ``refused``.

    Args:
        records: its log above that number, in order: the fields of a Row, and the checksum.
        history: rows of its segments that end above that number.

    Raises:
        DocumentDamaged: a row does not match its checksum, or numbers are missing.
    """
    tail: list[LoggedUpdate] = []
    reached = after
    if history:
        for row in sorted(history + checked(records)):
            if row.first > reached + 1:
                raise _lacking(info, reached + 1, row.first - 1)
            reached = row.seq
            tail += rows.logged(row)
    else:
        # Nothing but what it takes, since logs are long: one never compacted may have a row for each key.
        for seq, count, at, authors, payload, expected in records:
            if zlib.crc32(authors, zlib.crc32(payload)) != expected:
                raise DocumentDamaged(f"the log of {info.name} at {seq} does not match its checksum")
            if seq - count > reached:
                raise _lacking(info, reached + 1, seq - count)
            reached = seq
            if count == 1 and payload and payload[0] < 0x80 and payload[0] == len(payload) - 1:
                tail.append(LoggedUpdate(seq, payload[1:]))
            else:
                tail += rows.logged(rows.checked(Row(seq, count, at, authors, payload), expected))
    if reached < info.head:
        raise _lacking(info, reached + 1, info.head)
    if refused or (tail and tail[0].seq <= after):
        tail = [logged for logged in tail if logged.seq > after and logged.seq not in refused]
    return tail


def checked(records: Iterable[Sequence[Any]]) -> list[Row]:
    """Rows of the log, each checked. Raises DocumentDamaged."""
    return [rows.checked(Row(*row), expected) for *row, expected in records]


def author_numbers(found: Iterable[Row]) -> set[int]:
    """The numbers of all authors of these rows."""
    return {number for row in found for number, _ in rows.unpack_authors(row.authors)}


def entries_of(
    found: Iterable[Row],
    authors: Mapping[int, Author],
    refused: Collection[int] = (),
    *,
    updates: bool = True,
) -> list[HistoryEntry]:
    """Rows as history tells them, without updates that are ``refused``, or without any."""
    entries = []
    for row in found:
        held = rows.unpack(row.payload) if updates else []
        if refused and len(held) == row.count:
            held = [update for seq, update in enumerate(held, row.first) if seq not in refused]
        runs = tuple((authors[number], count) for number, count in rows.unpack_authors(row.authors))
        entries.append(HistoryEntry(row.seq, row.count, row.at, runs, held))
    return entries


def _lacking(info: DocumentInfo, first: int, last: int) -> DocumentDamaged:
    return DocumentDamaged(f"{info.name} lacks its updates {first} to {last}")
