"""How updates are packed into rows of the log and segments of history, and their checksums.

A row holds what one flush of a room brought. A segment holds many rows that compaction took from the log,
compressed: in one part what is known about them, in another the updates, so that a timeline is read without
the updates. Stores with different databases pack alike.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from collabd.errors import DocumentDamaged, MalformedInput
from collabd.protocol import wire

from .base import LoggedUpdate

SEGMENT_BYTES: Final = 512 * 1024
"""Payload from which on a segment is full."""

SEGMENT_ROWS: Final = 20_000
"""Rows with which a segment is full."""

MAX_UNPACKED: Final = 256 * 1024 * 1024
"""Bytes a part of a segment may have unpacked: far above what a full segment with one huge row has."""

NOTHING: Final = b"\x00\x00"
"""An update that changes nothing."""


class Row(NamedTuple):
    """A row as it is stored."""

    seq: int
    """The number of its last update."""
    count: int  # type: ignore[assignment]  # hides a method of tuples
    """How many numbers it takes up."""
    at: float
    """When it was committed, in seconds since the epoch."""
    authors: bytes
    """Who sent the updates, as :func:`pack_authors` says it."""
    payload: bytes
    """The updates, as :func:`pack` says it."""

    @property
    def first(self) -> int:
        """The number of its first update."""
        return self.seq - self.count + 1


class State(NamedTuple):
    """A snapshot's state as it is stored."""

    packed: int
    """1 if ``stored`` is compressed, else 0."""
    stored: bytes
    checksum: int


class Segment(NamedTuple):
    """Rows as they are stored once compaction took them from the log."""

    first: int
    seq: int
    rows: int
    meta: bytes
    payload: bytes
    checksum: int


def pack(updates: Sequence[bytes]) -> bytes:
    """Encode updates one after the other, each with its length before it (lib0 varUint8Array)."""
    parts = [b""] * (2 * len(updates))
    parts[1::2] = updates
    try:
        parts[::2] = map(wire.OF_ONE_BYTE.__getitem__, map(len, updates))
    except IndexError:  # one is longer
        parts[::2] = map(wire.uint, map(len, updates))
    return b"".join(parts)


def unpack(payload: bytes) -> list[bytes]:
    """Decode what :func:`pack` made.

    Raises:
        DocumentDamaged: it is not such a row.
    """
    if payload and payload[0] < 0x80 and payload[0] == len(payload) - 1:
        return [payload[1:]]  # as somebody who types alone makes them
    reader = wire.Reader(payload)
    updates = []
    try:
        while not reader.at_end:
            updates.append(reader.octets())
    except MalformedInput as error:
        raise DocumentDamaged(f"a row of the log cannot be read: {error}") from error
    return updates


def pack_authors(authors: Iterable[tuple[int, int]]) -> bytes:
    """Encode who sent a row's updates, by the numbers a store gives its authors, with how many each."""
    return b"".join([wire.uint(author) + wire.uint(count) for author, count in authors])


def unpack_authors(packed: bytes) -> list[tuple[int, int]]:
    """Decode what :func:`pack_authors` made.

    Raises:
        DocumentDamaged: it is not such.
    """
    reader = wire.Reader(packed)
    runs = []
    try:
        while not reader.at_end:
            runs.append((reader.uint(), reader.uint()))
    except MalformedInput as error:
        raise DocumentDamaged(f"the authors of a row cannot be read: {error}") from error
    return runs


def checksum(payload: bytes, authors: bytes = b"") -> int:
    """CRC-32 of a row's bytes: it is there to notice damage, not forgery."""
    return zlib.crc32(authors, zlib.crc32(payload))


def verify(payload: bytes, expected: int, what: str, authors: bytes = b"") -> bytes:
    """Return ``payload`` if it has the checksum it was stored with.

    Raises:
        DocumentDamaged: it has another.
    """
    if checksum(payload, authors) != expected:
        raise DocumentDamaged(f"{what} does not match its checksum")
    return payload


def checked(row: Row, expected: int) -> Row:
    """Return a row of the log if it is as it was stored.

    Raises:
        DocumentDamaged: it is not.
    """
    what = f"the log at {row.seq}"
    verify(row.payload, expected, what, row.authors)
    if (held := len(unpack(row.payload))) != row.count:
        raise DocumentDamaged(f"{what} holds {held} updates, not {row.count}")
    return row


def logged(row: Row) -> list[LoggedUpdate]:
    """The updates of a row with their numbers."""
    updates = unpack(row.payload)
    if len(updates) == 1:
        # What stands for many updates has the last one's number.
        return [LoggedUpdate(row.seq, updates[0])]
    return [LoggedUpdate(seq, update) for seq, update in enumerate(updates, row.first)]


def pack_state(state: bytes) -> State:
    """Compress a snapshot's state if that makes it smaller."""
    packed = zlib.compress(state, 6) if len(state) <= MAX_UNPACKED else state
    if len(packed) < len(state):
        return State(1, packed, checksum(packed))
    return State(0, state, checksum(state))


def unpack_state(state: State, what: str) -> bytes:
    """Return what :func:`pack_state` was given.

    Raises:
        DocumentDamaged: it is not what was stored.
    """
    stored = verify(state.stored, state.checksum, what)
    if not state.packed:
        return stored
    try:
        return _unpacked(stored)
    except zlib.error as error:
        raise DocumentDamaged(f"{what} cannot be read: {error}") from error


def segments(rows: Iterable[Row]) -> Iterator[Segment]:
    """Pack rows, in ascending order, into as many segments as it takes."""
    piece: list[Row] = []
    size = 0
    for row in rows:
        piece.append(row)
        size += len(row.payload)
        if size >= SEGMENT_BYTES or len(piece) == SEGMENT_ROWS:
            yield pack_segment(piece)
            piece, size = [], 0
    if piece:
        yield pack_segment(piece)


def pack_segment(rows: Sequence[Row]) -> Segment:
    """Pack at least one row, in ascending order."""
    meta = [wire.uint(len(rows))]
    seq = at = 0
    for row in rows:
        now = round(row.at * 1000)
        meta += [wire.uint(row.seq - seq), wire.uint(row.count), _signed(now - at), wire.octets(row.authors)]
        seq, at = row.seq, now
    packed_meta = zlib.compress(b"".join(meta), 6)
    packed = zlib.compress(b"".join(wire.octets(row.payload) for row in rows), 6)
    return Segment(rows[0].first, rows[-1].seq, len(rows), packed_meta, packed, checksum(packed, packed_meta))


def unpack_segment(meta: bytes, payload: bytes | None, what: str) -> list[Row]:
    """Decode what :func:`pack_segment` made; without the payload, rows with an empty one.

    Raises:
        DocumentDamaged: it is not such.
    """
    try:
        reader = wire.Reader(_unpacked(meta))
        payloads = None if payload is None else wire.Reader(_unpacked(payload))
        rows = []
        seq = at = 0
        for _ in range(reader.uint()):
            seq += reader.uint()
            count = reader.uint()
            at += _read_signed(reader)
            authors = reader.octets()
            rows.append(Row(seq, count, at / 1000, authors, b"" if payloads is None else payloads.octets()))
    except (MalformedInput, zlib.error) as error:
        raise DocumentDamaged(f"{what} cannot be read: {error}") from error
    return rows


def _unpacked(packed: bytes) -> bytes:
    unpacking = zlib.decompressobj()
    unpacked = unpacking.decompress(packed, MAX_UNPACKED)
    if not unpacking.eof:
        raise zlib.error("it is longer than it may be, or cut short")
    return unpacked


def _signed(value: int) -> bytes:
    """Clocks may be set back; small steps of either sign stay small (zigzag)."""
    return wire.uint(value << 1 if value >= 0 else (-value << 1) - 1)


def _read_signed(reader: wire.Reader) -> int:
    value = reader.uint()
    return value >> 1 if not value & 1 else -(value + 1 >> 1)
