"""What stands in what: which root or type holds each struct of an update.

Only an item without neighbours names its parent; every other takes it from the item beside it, so that
knowing a parent means following ids through the whole update. Too slow for every edit, and not needed there.
"""

from bisect import bisect_right
from dataclasses import dataclass

from collabd.errors import MalformedInput
from collabd.protocol.values import varint
from collabd.protocol.walk import (
    ANY,
    BINARY,
    DOC,
    EMBED,
    FORMAT,
    GC,
    HAS_KEY,
    HAS_NEIGHBOUR,
    INFO_CONTENT,
    SKIP,
    STRING,
    TYPE,
    XML_ELEMENT,
    XML_TEXT,
    walk,
)

MAX_TYPE_NESTING = 200
"""Levels of types in types: far above what documents have, well below what overflows a stack (pycrdt's at
some 30,000 when the outermost is deleted, Python's own below 1,000 in an export)."""

Id = tuple[int, int]
Holder = str | Id | None
"""A root's name, the id of the type's item, or None if the update doesn't tell."""


@dataclass(frozen=True, slots=True)
class RootShape:
    """Which kinds of content a root holds directly, or held, as long as what was deleted is there to see."""

    keys: bool = False
    """Values under keys: a Map."""

    text: bool = False
    """Strings, formats or embeds: a Text."""

    xml: bool = False
    """XML elements or XML texts: an XmlFragment."""

    values: bool = False
    """Other values in a sequence: an Array, or types embedded in a Text if ``text`` is set, too."""


class _Item:
    """A struct and where it stands, as far as it says so itself."""

    __slots__ = ("content", "holder", "keyed", "kind", "neighbour")

    def __init__(
        self, content: int, *, holder: Holder, keyed: bool, neighbour: Id | None, kind: int | None
    ) -> None:
        self.content = content
        self.holder = holder
        self.keyed = keyed
        self.neighbour = neighbour
        self.kind = kind


class _Structure:
    """All items of an update, found by id."""

    def __init__(self, data: bytes) -> None:
        self.items: list[_Item] = []
        self.types: list[Id] = []
        self._data = data
        self._starts: dict[int, list[int]] = {}
        self._ends: dict[int, list[int]] = {}
        self._items: dict[int, list[_Item]] = {}
        walk(data, self._add)

    def _add(self, client: int, clock: int, length: int, at: int, body: int, _end: int) -> None:
        data = self._data
        info = data[at]
        content = info & INFO_CONTENT
        if content in (GC, SKIP):
            return
        pos = at + 1
        holder: Holder = None
        neighbour: Id | None = None
        if info & HAS_NEIGHBOUR:
            neighbour, pos = _id(data, pos)
        elif data[pos]:
            holder, pos = _text(data, pos + 1)
        else:
            holder, pos = _id(data, pos + 1)
        item = _Item(
            content,
            holder=holder,
            keyed=bool(info & HAS_KEY) and neighbour is None,
            neighbour=neighbour,
            kind=data[body] if content == TYPE else None,
        )
        if content == TYPE:
            self.types.append((client, clock))
        self.items.append(item)
        self._starts.setdefault(client, []).append(clock)
        self._ends.setdefault(client, []).append(clock + length)
        self._items.setdefault(client, []).append(item)

    def find(self, at: Id) -> _Item | None:
        """The item that holds the clock, unless the update lacks it."""
        client, clock = at
        starts = self._starts.get(client)
        if starts is None:
            return None
        index = bisect_right(starts, clock) - 1
        return self._items[client][index] if index >= 0 and clock < self._ends[client][index] else None

    def settle(self, item: _Item) -> _Item:
        """Gives the item the holder of its neighbours."""
        passed: list[_Item] = []
        source: _Item | None = item
        while source is not None and source.neighbour is not None:
            if len(passed) > len(self.items):
                raise MalformedInput("structs of the update stand beside each other in a circle")
            passed.append(source)
            source = self.find(source.neighbour)
        for beside in passed:
            beside.neighbour = None
            if source is not None:
                beside.holder = source.holder
                beside.keyed = source.keyed
        return item


def _id(data: bytes, pos: int) -> tuple[Id, int]:
    client, pos = varint(data, pos)
    clock, pos = varint(data, pos)
    return (client, clock), pos


def _text(data: bytes, pos: int) -> tuple[str, int]:
    size, pos = varint(data, pos)
    return data[pos : pos + size].decode(), pos + size


def root_shapes(data: bytes) -> dict[str, RootShape]:
    """What each root named in a full-state update holds, from which its type can be inferred.

    A root nothing was ever put in doesn't appear. Raises MalformedInput as ``walk`` does.
    """
    held: dict[str, set[str]] = {}
    structure = _Structure(data)
    for item in structure.items:
        structure.settle(item)
        if not isinstance(item.holder, str):
            continue
        kinds = held.setdefault(item.holder, set())
        if item.keyed:
            kinds.add("keys")
        elif item.content in (STRING, FORMAT, EMBED):
            kinds.add("text")
        elif item.kind in (XML_ELEMENT, XML_TEXT):
            kinds.add("xml")
        elif item.content in (ANY, BINARY, DOC, TYPE):
            kinds.add("values")
    return {name: RootShape(**dict.fromkeys(kinds, True)) for name, kinds in held.items()}


def type_depth(data: bytes) -> int:
    """How deep types nest in an update: 1 if all stand in roots or in types outside it, 0 without types.

    Raises MalformedInput as ``walk`` does, and if structs stand in each other in a circle.
    """
    structure = _Structure(data)
    depths: dict[Id, int] = {}
    for innermost in structure.types:
        chain: list[Id] = []
        holder: Holder = innermost
        while isinstance(holder, tuple) and holder not in depths and (item := structure.find(holder)):
            if len(chain) > len(structure.types):
                raise MalformedInput("types of the update stand in each other in a circle")
            chain.append(holder)
            holder = structure.settle(item).holder
        depth = depths.get(holder, 0) if isinstance(holder, tuple) else 0
        for inner in reversed(chain):
            depth += 1
            depths[inner] = depth
    return max(depths.values(), default=0)
