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
from collabd.protocol.values import check_json, measure, object_keys, skip_any, skip_text, varint

MAX_CLIENT = 2**53 - 1
"""Largest client id: JavaScript holds no larger integer exactly."""

MAX_CLOCK = 2**31 - 1
"""Largest clock any run or deletion may reach; peers keep clocks in 32 bits, some of them signed."""

GC, DELETED, BINARY, STRING, EMBED, FORMAT, TYPE, ANY, DOC, SKIP = 0, 1, 3, 4, 5, 6, 7, 8, 9, 10
"""What a struct is, by the low five bits of its info byte."""

ARRAY, MAP, TEXT, XML_ELEMENT, XML_FRAGMENT, XML_TEXT = 0, 1, 2, 3, 4, 6
"""Which type an item of content TYPE is."""

Id = tuple[int, int]
"""A client and a clock: what one character, value or type is known by."""

_CONTENT = 0x1F
_HAS_LEFT, _HAS_RIGHT, _HAS_KEY = 0x80, 0x40, 0x20

_STRETCHES = (GC, SKIP)

_UNSAFE_OPTIONS = {"guid", "gcFilter"}
"""Options of a subdocument that Yjs never sends and that break it when it is given them."""


class UpdateSummary(NamedTuple):
    """What an update brings, by ids; clock ranges are half-open."""

    structs: tuple[tuple[int, int, int], ...]
    """(client, start, end) of each contiguous run of structs, skips left out, in the order of the update."""

    deletes: tuple[tuple[int, int, int], ...]
    """(client, start, end) of each deleted range, as the update has them: they may overlap."""

    needs: tuple[Id, ...] | None
    """Ids of other clients that the structs refer to, if it is certain that the update integrates whole once
    these exist and everything before the run's start; None if that takes a closer look (several clients, or
    skips)."""

    types: int
    """How many shared types the update creates: it cannot make a document nest deeper by more than that."""

    pairs: tuple[Id, ...]
    """Ids of the second halves of surrogate pairs (emoji and the like) in the update's strings."""

    cuts: tuple[Id, ...]
    """Ids that structs of the update make an item begin with, wherever that is; a deleted range cuts at its
    start and end as well. Cutting a pair in two needs care: see ``collabd.protocol.surrogates``."""

    beside: Id | None
    """If the update is one string put beside something else, without emoji, and nothing more, as nearly all
    are: the id it was put beside."""

    pieces: tuple[bytes, ...] = ()
    """If the update is large and was cut (``collabd.protocol.causality.cut``): small ones that come to the
    same."""

    typed: tuple[bytes, bytes, Id | None] | None = None
    """Of an update that has ``beside``, perhaps: its client, encoded, and its right neighbour, encoded (empty
    if it has none) and decoded."""

    @property
    def empty(self) -> bool:
        """Whether the update brings nothing at all."""
        return not self.structs and not self.deletes


class Struct(NamedTuple):
    """One struct of an update, as it stands there."""

    client: int
    clock: int
    length: int
    content: int
    """GC, SKIP, or what an item holds."""

    kind: int
    """Which type it is, if the content is TYPE, else 0."""

    left: Id | None
    """The origin: what the item was put behind."""

    right: Id | None
    """The right origin: what the item was put in front of."""

    parent: Id | str | None
    """A type's id or a root's name. Only items without neighbours have it; others take their neighbour's."""

    keyed: bool
    """Whether the item claims to stand under a key. An item with neighbours may do so without saying it."""

    begin: int
    body: int
    end: int
    """Where in the update the struct begins, its content begins, and it ends."""


_struct = Struct._make


def walk(data: bytes, visit: Callable[[Struct], None] | None = None) -> UpdateSummary:
    """Checks all of an update; MalformedInput if anything about it is wrong.

    ``visit`` sees each struct as it goes by; nothing behind that struct is checked by then.
    """
    try:
        return _walk(data, visit)
    except IndexError:
        raise MalformedInput("the update ends early") from None


def _walk(data: bytes, visit: Callable[[Struct], None] | None) -> UpdateSummary:
    size = len(data)
    runs: list[tuple[int, int, int]] = []
    needs: dict[Id, None] = {}
    cuts: dict[Id, None] = {}
    pairs: list[Id] = []
    types = 0
    count = content = 0
    left: Id | None = None
    right: Id | None = None
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
            begin = pos
            info = data[pos]
            pos += 1
            content = info & _CONTENT
            left = right = None
            kind = 0
            parent: Id | str | None = None
            if info in _STRETCHES:
                body = pos
                length, pos = varint(data, pos)
            else:
                if info & _HAS_LEFT:
                    other, pos = varint(data, pos)
                    near, pos = varint(data, pos)
                    left = (other, near)
                    cuts[other, near + 1] = None
                    if other != client:
                        needs[left] = None
                        _check_id(left)
                    elif near >= clock:
                        raise MalformedInput("a struct refers to itself or a later one")
                if info & _HAS_RIGHT:
                    other, pos = varint(data, pos)
                    near, pos = varint(data, pos)
                    right = (other, near)
                    cuts[right] = None
                    if other != client:
                        needs[right] = None
                        _check_id(right)
                    elif near >= clock:
                        raise MalformedInput("a struct refers to itself or a later one")
                if left is None and right is None:
                    named = data[pos]
                    pos += 1
                    if named == 1:
                        name, pos = pos, skip_text(data, pos)
                        if visit is not None:
                            parent = data[varint(data, name)[1] : pos].decode()
                    elif named == 0:
                        other, pos = varint(data, pos)
                        near, pos = varint(data, pos)
                        parent = (other, near)
                        if other != client:
                            needs[parent] = None
                            _check_id(parent)
                        elif near >= clock:
                            raise MalformedInput("a struct refers to itself or a later one")
                    else:
                        raise MalformedInput("a struct has an unknown kind of parent")
                    if info & _HAS_KEY:
                        pos = skip_text(data, pos)
                body = pos
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
                    length, pos = varint(data, pos)
                    check_json(data[pos : pos + length])
                    pos += length
                    length = 1
                elif content == EMBED:
                    length, pos = varint(data, pos)
                    check_json(data[pos : pos + length])
                    pos += length
                    length = 1
                elif content == BINARY:
                    length, pos = varint(data, pos)
                    pos += length
                    length = 1
                elif content == DOC:
                    keys, pos = object_keys(data, skip_text(data, pos))
                    if not _UNSAFE_OPTIONS.isdisjoint(keys):
                        raise MalformedInput("a subdocument has options that it must not have")
                else:
                    raise MalformedInput(f"unknown or unsupported content {content}")
            if not length:
                raise MalformedInput("a struct is empty")
            if clock + length > MAX_CLOCK:
                raise MalformedInput("a clock is too large")
            if pos > size:
                raise MalformedInput("a struct is longer than the update")
            if visit is not None:
                keyed = info & _HAS_KEY != 0
                visit(
                    _struct(
                        (client, clock, length, content, kind, left, right, parent, keyed, begin, body, pos)
                    )
                )
            if info == SKIP:
                simple = False
                if start < clock:
                    runs.append((client, start, clock))
                start = clock + length
            clock += length
        if start < clock:
            runs.append((client, start, clock))
    deletes = _walk_deletes(data, pos) if data[pos] or size - pos > 1 else ()
    beside = None
    if clients == count == 1 and content == STRING and not pairs and not deletes:
        beside = left or right
    return UpdateSummary(
        tuple(runs), deletes, tuple(needs) if simple else None, types, tuple(pairs), tuple(cuts), beside
    )


def _check_id(id_: Id) -> None:
    if id_[0] > MAX_CLIENT or id_[1] >= MAX_CLOCK:
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
