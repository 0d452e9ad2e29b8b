"""How a batch of updates is packed into one row of the log, and its checksum."""

import zlib
from collections.abc import Sequence

from collabd.errors import DocumentDamaged, MalformedInput
from collabd.protocol import wire


def pack(updates: Sequence[bytes]) -> bytes:
    """Encode updates one after the other, each with its length before it (lib0 varUint8Array)."""
    return b"".join(map(wire.octets, updates))


def unpack(payload: bytes) -> list[bytes]:
    """Decode what :func:`pack` made.

    Raises:
        DocumentDamaged: it is not such a row.
    """
    reader = wire.Reader(payload)
    updates = []
    try:
        while not reader.at_end:
            updates.append(reader.octets())
    except MalformedInput as error:
        raise DocumentDamaged(f"a row of the log cannot be read: {error}") from error
    return updates


def checksum(payload: bytes) -> int:
    """CRC-32 of a row's bytes: it is there to notice damage, not forgery."""
    return zlib.crc32(payload)


def verify(payload: bytes, expected: int, what: str) -> bytes:
    """Return ``payload`` if it has the checksum it was stored with.

    Raises:
        DocumentDamaged: it has another.
    """
    if checksum(payload) != expected:
        raise DocumentDamaged(f"{what} does not match its checksum")
    return payload
