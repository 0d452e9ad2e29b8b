"""What stands in what: which root or type holds each struct of an update.

Only an item without neighbours names its parent; every other takes it from the item beside it, so that
knowing a parent means following ids through the whole update. Too slow for every edit, and not needed there.
"""

from bisect import bisect_right
from dataclasses import dataclass

from collabd.errors import MalformedInput
from collabd.protocol.walk import (
    ANY,
    BINARY,
    DOC,
    EMBED,
    FORMAT,
    GC,
    SKIP,
    STRING,
    TYPE,
    XML_ELEMENT,
    XML_TEXT,
    Id,
    Struct,
    walk,
)

MAX_TYPE_NESTING = 200
"""Levels of types in types: far above what documents have, well below what overflows a stack (pycrdt's at
some 30,000 when the outermost is deleted, Python's own below 1,000 in an export)."""

Holder = str | Id | None
"""A root's name, the id of the type's item, or None if the update doesn't tell."""


@dataclass(frozen=True, slots=True)
class RootShape:
    """Which kinds of content a root holds directly, or held, as long as what was deleted is there to see.

    To read a root as a type that its shape doesn't fit is no error to pycrdt: it gives nonsense or loops for
    ever, for instance over an emoji in an Array.
    """

    keys: bool = False
    """Values under keys: a Map."""

    text: bool = False
    """Strings, formats or embeds: a Text."""

    xml: bool = False
    """XML elements or XML texts: an XmlFragment."""

    values: bool = False
    """Other values in a sequence: an Array, or types embedded in a Text if ``text`` is set, too."""


class Item:
    """An item and where it stands, as far as that is settled."""

    __slots__ = ("beside", "content", "holder", "keyed", "kind", "settled", "under_way")

    def __init__(self, struct: Struct) -> None:
        self.content = struct.content
        self.kind = struct.kind
        self.holder = struct.parent
        self.keyed = struct.keyed
        self.beside = [id_ for id_ in (struct.right, struct.left) if id_ is not None]
        """Neighbours still to be asked, the left one, which decides, last."""
        self.settled = not self.beside
        self.under_way = False


class Structure:
    """All items of an update, found by id. Raises MalformedInput as ``walk`` does."""

    def __init__(self, data: bytes) -> None:
        self.items: list[Item] = []
        self.types: list[Id] = []
        self._starts: dict[int, list[int]] = {}
        self._ends: dict[int, list[int]] = {}
        self._items: dict[int, list[Item]] = {}
        walk(data, self._add)

    def _add(self, struct: Struct) -> None:
        if struct.content in (GC, SKIP):
            return
        if struct.content == TYPE:
            self.types.append((struct.client, struct.clock))
        item = Item(struct)
        self.items.append(item)
        self._starts.setdefault(struct.client, []).append(struct.clock)
        self._ends.setdefault(struct.client, []).append(struct.clock + struct.length)
        self._items.setdefault(struct.client, []).append(item)

    def find(self, at: Id) -> Item | None:
        """The item that holds the clock, unless the update lacks it."""
        client, clock = at
        starts = self._starts.get(client)
        if starts is None:
            return None
        index = bisect_right(starts, clock) - 1
        return self._items[client][index] if index >= 0 and clock < self._ends[client][index] else None

    def settle(self, item: Item) -> Item:
        """The item, once it has the holder of its neighbours, and these that of theirs.

        Raises MalformedInput if they stand beside each other in a circle.
        """
        chain = [item]
        while chain:
            inner = chain[-1]
            if inner.settled:
                chain.pop()
            elif not inner.beside:
                inner.settled = True
            else:
                source = self.find(inner.beside[-1])
                if source is not None and not source.settled:
                    if source.under_way:
                        raise MalformedInput("structs of the update stand beside each other in a circle")
                    inner.under_way = True
                    chain.append(source)
                elif source is None or source.holder is None:
                    inner.beside.pop()
                else:
                    inner.holder, inner.keyed, inner.settled = source.holder, source.keyed, True
        return item


def root_shapes(data: bytes) -> dict[str, RootShape]:
    """What each root named in a full-state update holds, from which its type can be inferred.

    A root nothing was ever put in doesn't appear. Raises MalformedInput as ``walk`` does.
    """
    held: dict[str, set[str]] = {}
    structure = Structure(data)
    for item in structure.items:
        structure.settle(item)
        if not isinstance(item.holder, str):
            continue
        kinds = held.setdefault(item.holder, set())
        if item.keyed:
            kinds.add("keys")
        elif item.content in (STRING, FORMAT, EMBED):
            kinds.add("text")
        elif item.content == TYPE and item.kind in (XML_ELEMENT, XML_TEXT):
            kinds.add("xml")
        elif item.content in (ANY, BINARY, DOC, TYPE):
            kinds.add("values")
    return {name: RootShape(**dict.fromkeys(kinds, True)) for name, kinds in held.items()}


def type_depth(data: bytes) -> int:
    """How deep types nest in an update: 1 if all stand in roots or in types outside it, 0 without types.

    Raises MalformedInput as ``walk`` does, and if structs stand in each other in a circle.
    """
    structure = Structure(data)
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
