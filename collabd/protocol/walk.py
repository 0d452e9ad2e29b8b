"""The whole of a Yjs v1 update, read once from front to back and checked on the way.

An update holds, for each client, a run of structs (items, garbage-collected stretches, skips) that take up
consecutive clocks, and after them a delete set. Source: https://github.com/yjs/yjs (utils/encoding.js,
structs/).

What readers read differently is refused, so that no byte means one thing here and another to pycrdt: version
0.14 misreads content 2 (JSON, which Yjs stopped writing in version 13) and type 5 (XmlHook), and doesn't mask
the info byte of stretches and skips.
"""

from collections.abc import Callable
from typing import NamedTuple

from collabd.errors import MalformedInput
from collabd.protocol.values import check_json, measure, skip_any, skip_text, varint

MAX_CLIENT = 2**53 - 1
"""Largest client id: JavaScript holds no larger integer exactly."""

MAX_CLOCK = 2**31 - 1
"""Largest clock any run or deletion may reach; peers keep clocks in 32 bits, some of them signed."""

GC, DELETED, BINARY, STRING, EMBED, FORMAT, TYPE, ANY, DOC, SKIP = 0, 1, 3, 4, 5, 6, 7, 8, 9, 10
"""What a struct is, by the low five bits of its info byte."""

ARRAY, MAP, TEXT, XML_ELEMENT, XML_FRAGMENT, XML_TEXT = 0, 1, 2, 3, 4, 6
"""Which type an item of content TYPE is."""

INFO_CONTENT = 0x1F
HAS_ORIGIN, HAS_RIGHT_ORIGIN, HAS_KEY = 0x80, 0x40, 0x20
HAS_NEIGHBOUR = HAS_ORIGIN | HAS_RIGHT_ORIGIN
"""Items with a neighbour take their parent and key from it; only others name them."""


class UpdateSummary(NamedTuple):
    """What an update brings, by ids; clock ranges are half-open."""

    structs: tuple[tuple[int, int, int], ...]
    """(client, start, end) of each contiguous run of structs, skips left out, in the order of the update."""

    deletes: tuple[tuple[int, int, int], ...]
    """(client, start, end) of each deleted range, as the update has them: they may overlap."""

    needs: tuple[tuple[int, int], ...] | None
    """Ids (client, clock) of other clients that the structs refer to, if it is certain that the update
    integrates whole once these exist and everything before the run's start; None if only the document can
    tell (several clients, or skips)."""

    types: int
    """How many shared types the update creates: it cannot make a document nest deeper by more than that."""

    pairs: tuple[tuple[int, int], ...]
    """Ids of the second halves of surrogate pairs (emoji and the like) in the update's strings."""

    cuts: tuple[tuple[int, int], ...]
    """Ids that structs of the update make an item begin with, wherever that is; a deleted range cuts at its
    start and end as well. Cutting a pair in two needs care: see ``collabd.protocol.surrogates``."""

    @property
    def empty(self) -> bool:
        """Whether the update brings nothing at all."""
        return not self.structs and not self.deletes


StructVisitor = Callable[[int, int, int, int, int, int], None]
"""Called with client, clock and length, and where the struct begins, its content begins, and it ends."""


def walk(data: bytes, visit: StructVisitor | None = None) -> UpdateSummary:
    """Checks all of an update; MalformedInput if anything about it is wrong.

    ``visit`` sees each struct as it goes by; nothing behind that struct is checked by then.
    """
    try:
        return _walk(data, visit)
    except IndexError:
        raise MalformedInput("the update ends early") from None


def _walk(data: bytes, visit: StructVisitor | None) -> UpdateSummary:
    size = len(data)
    runs: list[tuple[int, int, int]] = []
    needs: dict[tuple[int, int], None] = {}
    pairs: list[tuple[int, int]] = []
    cuts: dict[tuple[int, int], None] = {}
    types = 0
    clients, pos = varint(data, 0)
    if clients > size:
        raise MalformedInput("the update announces more clients than it holds")
    simple = clients <= 1
    seen: set[int] = set()
    for _ in range(clients):
        count, pos = varint(data, pos)
        client, pos = varint(data, pos)
        clock, pos = varint(data, pos)
        if client > MAX_CLIENT or client in seen:
            raise MalformedInput("a client id is too large or comes twice")
        if not 0 < count <= size - pos:
            raise MalformedInput("the update announces more structs than it holds, or none")
        seen.add(client)
        start = clock
        for _ in range(count):
            at = pos
            info = data[pos]
            pos += 1
            body = pos
            if info in (GC, SKIP):
                length, pos = varint(data, pos)
            else:
                if info & HAS_NEIGHBOUR:
                    for flag in (HAS_ORIGIN, HAS_RIGHT_ORIGIN):
                        if info & flag:
                            other, pos = varint(data, pos)
                            other_clock, pos = varint(data, pos)
                            if other == client:
                                if other_clock >= clock:
                                    raise MalformedInput("a struct refers to itself or a later one")
                            else:
                                _check_id(other, other_clock)
                                needs[other, other_clock] = None
                            cuts[other, other_clock + 1 if flag == HAS_ORIGIN else other_clock] = None
                else:
                    named = data[pos]
                    if named == 1:
                        pos = skip_text(data, pos + 1)
                    elif named == 0:
                        other, pos = varint(data, pos + 1)
                        other_clock, pos = varint(data, pos)
                        if other == client:
                            if other_clock >= clock:
                                raise MalformedInput("a struct refers to itself or a later one")
                        else:
                            _check_id(other, other_clock)
                            needs[other, other_clock] = None
                    else:
                        raise MalformedInput("a struct has an unknown kind of parent")
                    if info & HAS_KEY:
                        pos = skip_text(data, pos)
                body = pos
                content = info & INFO_CONTENT
                length = 1
                if content == STRING:
                    length, pos = varint(data, pos)
                    text = data[pos : pos + length]
                    pos += length
                    if not text.isascii():
                        length, seconds = measure(text)
                        pairs += [(client, clock + second) for second in seconds]
                elif content == DELETED:
                    length, pos = varint(data, pos)
                elif content == ANY:
                    length, pos = varint(data, pos)
                    if length > size - pos:
                        raise MalformedInput("a struct announces more values than the update holds")
                    for _ in range(length):
                        pos = skip_any(data, pos)
                elif content == TYPE:
                    kind = data[pos]
                    pos += 1
                    types += 1
                    if kind == XML_ELEMENT:
                        pos = skip_text(data, pos)
                    elif kind > XML_TEXT or kind == 5:
                        raise MalformedInput(f"unknown or unsupported shared type {kind}")
                elif content == FORMAT:
                    pos = skip_text(data, pos)
                    octets, pos = varint(data, pos)
                    check_json(data[pos : pos + octets])
                    pos += octets
                elif content == EMBED:
                    octets, pos = varint(data, pos)
                    check_json(data[pos : pos + octets])
                    pos += octets
                elif content == BINARY:
                    octets, pos = varint(data, pos)
                    pos += octets
                elif content == DOC:
                    pos = skip_any(data, skip_text(data, pos))
                else:
                    raise MalformedInput(f"unknown or unsupported content {content}")
            if length == 0:
                raise MalformedInput("a struct is empty")
            if clock + length > MAX_CLOCK:
                raise MalformedInput("a clock is too large")
            if pos > size:
                raise MalformedInput("a struct is longer than the update")
            if visit is not None:
                visit(client, clock, length, at, body, pos)
            if info == SKIP:
                simple = False
                if start < clock:
                    runs.append((client, start, clock))
                start = clock + length
            clock += length
        if start < clock:
            runs.append((client, start, clock))
    deletes = _walk_deletes(data, pos) if data[pos] or size - pos > 1 else ()
    return UpdateSummary(
        tuple(runs), deletes, tuple(needs) if simple else None, types, tuple(pairs), tuple(cuts)
    )


def _check_id(client: int, clock: int) -> None:
    if client > MAX_CLIENT or clock >= MAX_CLOCK:
        raise MalformedInput("a struct refers to an impossible id")


def _walk_deletes(data: bytes, pos: int) -> tuple[tuple[int, int, int], ...]:
    size = len(data)
    ranges: list[tuple[int, int, int]] = []
    seen: set[int] = set()
    clients, pos = varint(data, pos)
    if clients > size - pos:
        raise MalformedInput("the delete set announces more clients than it holds")
    for _ in range(clients):
        client, pos = varint(data, pos)
        count, pos = varint(data, pos)
        if client > MAX_CLIENT or client in seen:
            raise MalformedInput("a client id is too large or comes twice in the delete set")
        if count > size - pos:
            raise MalformedInput("the delete set announces more ranges than it holds")
        seen.add(client)
        for _ in range(count):
            clock, pos = varint(data, pos)
            length, pos = varint(data, pos)
            if not length:
                raise MalformedInput("a deleted range is empty")
            if clock + length > MAX_CLOCK:
                raise MalformedInput("a clock is too large")
            ranges.append((client, clock, clock + length))
    if pos != size:
        raise MalformedInput("the update has bytes left over")
    return tuple(ranges)
