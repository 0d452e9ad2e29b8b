"""The structural check that every Yjs v1 update and state vector passes before pycrdt sees it.

``walk`` can check anything; nearly every update of a live session, though, is a few characters typed or one
stretch deleted. These shapes are recognised here by regular expressions, several times faster and with the
same outcome; whatever they leave any doubt about is walked.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

from collabd.errors import MalformedInput
from collabd.protocol import wire
from collabd.protocol.causality import MAX_STRUCTS, cut
from collabd.protocol.structure import MAX_TYPE_NESTING, type_depth
from collabd.protocol.values import utf8
from collabd.protocol.walk import MAX_CLIENT, MAX_CLOCK, Id, UpdateSummary, walk

__all__ = [
    "MAX_CLIENT",
    "MAX_CLOCK",
    "UpdateSummary",
    "check_large_update",
    "check_state_vector",
    "check_update",
    "encode_state_vector",
]

_CLIENT = rb"([\x80-\xff]{0,6}(?:[\x00-\x7f]|[\x80-\xff][\x00-\x0f]))"  # below 2**53
_CLOCK = rb"([\x80-\xff]{0,3}[\x00-\x7f])"  # below 2**28
_ID = _CLIENT + _CLOCK
_TEXT = rb"([\x01-\x7f])(.+)\x00"
TYPED = re.compile(
    rb"\x01\x01" + _ID + rb"(?:(\xc4)|(\x84)|\x44)" + _ID + rb"(?(3)" + _ID + rb")" + _TEXT, re.DOTALL
).fullmatch
"""One string put beside something: client, clock, marks (both neighbours, the left one), left neighbour (or
the only one), right neighbour, length in bytes, text."""
_BEGUN = re.compile(rb"\x01\x01" + _ID + rb"\x04\x01([\x00-\x7f])(.+)\x00", re.DOTALL).fullmatch
DELETED = re.compile(rb"\x00\x01" + _CLIENT + rb"\x01" + _CLOCK + _CLOCK, re.DOTALL).fullmatch
"""One stretch deleted: client, clock, length."""

_ASTRAL = 0xF0
"""First bytes from here on are of characters beyond 16 bits, which take two clocks."""

_summary = UpdateSummary._make


def check_update(data: bytes) -> UpdateSummary:
    """What the update brings; MalformedInput if it is not a well-formed, harmless Yjs v1 update."""
    summary = None
    if typed := TYPED(data):
        summary = _typed(*typed.groups())
    elif deleted := DELETED(data):
        summary = _deleted(*deleted.groups())
    elif begun := _BEGUN(data):
        summary = _begun(*begun.groups())
    if summary is None:
        summary = walk(data)
        if summary.types > MAX_TYPE_NESTING and type_depth(data) > MAX_TYPE_NESTING:
            raise MalformedInput(f"types are nested deeper than {MAX_TYPE_NESTING} levels")
    return summary


def check_large_update(data: bytes) -> UpdateSummary:
    """As ``check_update``, and cuts the update into pieces if it has many structs or deletions.

    What only matters to updates that are not cut is left out, so that the summary is quickly handed over from
    another process.
    """
    summary = check_update(data)
    if summary.beside is None:
        summary = summary._replace(cuts=(), pieces=tuple(cut(data, MAX_STRUCTS)))
    return summary


def _typed(
    client_: bytes,
    start_: bytes,
    both: bytes | None,
    left: bytes | None,
    near_: bytes,
    near_clock_: bytes,
    right_: bytes,
    right_clock_: bytes,
    size: bytes,
    text: bytes,
) -> UpdateSummary | None:
    if len(text) != size[0]:
        return None
    if text.isascii():
        length = len(text)
    elif max(text) < _ASTRAL:
        length = len(utf8(text))
    else:
        return None
    client = _client(client_)
    start = clock_of(start_)
    near = _client(near_)
    clock = clock_of(near_clock_)
    beside = (near, clock)
    needs: tuple[Id, ...] = ()
    if near != client:
        needs = (beside,)
    elif clock >= start:
        return None
    if left:
        cuts: tuple[Id, ...] = ((near, clock + 1),)
        typed: tuple[bytes, bytes, Id | None] = client_, b"", None
    elif both:
        cuts = ((near, clock + 1),)
        near = _client(right_)
        clock = clock_of(right_clock_)
        right = (near, clock)
        if near != client:
            if right not in needs:
                needs += (right,)
        elif clock >= start:
            return None
        if right not in cuts:
            cuts += (right,)
        typed = client_, right_ + right_clock_, right
    else:
        cuts = (beside,)
        typed = client_, near_ + near_clock_, beside
    return _summary((((client, start, start + length),), (), needs, 0, (), cuts, beside, (), typed))


def _begun(client_: bytes, start_: bytes, name_size: bytes, rest: bytes) -> UpdateSummary | None:
    end = name_size[0]
    text = rest[end + 1 :]
    if not text or len(text) != rest[end] or not rest.isascii():
        return None
    start = clock_of(start_)
    return _summary((((_client(client_), start, start + len(text)),), (), (), 0, (), (), None, (), None))


def _deleted(client_: bytes, start_: bytes, length_: bytes) -> UpdateSummary | None:
    start = clock_of(start_)
    length = clock_of(length_)
    if not length:
        return None
    return _summary(((), ((_client(client_), start, start + length),), (), 0, (), (), None, (), None))


@lru_cache(4096)
def _client(varint: bytes) -> int:
    """Decodes a client id; a few of them come again and again."""
    return wire.Reader(varint).uint(MAX_CLIENT)


def clock_of(varint: bytes) -> int:
    """Decodes a clock of at most four bytes."""
    size = len(varint)
    if size == 1:
        return varint[0]
    if size == 2:
        return varint[0] & 0x7F | varint[1] << 7
    if size == 3:
        return varint[0] & 0x7F | (varint[1] & 0x7F) << 7 | varint[2] << 14
    return varint[0] & 0x7F | (varint[1] & 0x7F) << 7 | (varint[2] & 0x7F) << 14 | varint[3] << 21


def check_state_vector(data: bytes) -> dict[int, int]:
    """The clocks of a state vector by client: how many of each client's clocks its sender has.

    Raises MalformedInput if a client comes twice, a clock reaches 2**31 or bytes are left over.
    """
    reader = wire.Reader(data)
    count = reader.uint()
    if count > len(data):
        raise MalformedInput("the state vector announces more clients than it holds")
    clocks: dict[int, int] = {}
    for _ in range(count):
        client = reader.uint(MAX_CLIENT)
        clocks[client] = reader.uint(MAX_CLOCK)
    if len(clocks) != count:
        raise MalformedInput("the state vector names a client twice")
    if not reader.at_end:
        raise MalformedInput("the state vector has bytes left over")
    return clocks


def encode_state_vector(clocks: Mapping[int, int]) -> bytes:
    """The state vector with these clocks."""
    encoded = [wire.uint(client) + wire.uint(clock) for client, clock in clocks.items()]
    return wire.uint(len(encoded)) + b"".join(encoded)
