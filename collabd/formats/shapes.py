"""What a document is made of, told from the structure of its full state before pycrdt reads any of it.

A Yjs document doesn't say which type a root has. Reading one as what it isn't gives nonsense, and may take
time that grows with its square while nothing else in the process runs; so may formats, of which pycrdt hands
out all that are open with every piece of a text.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from collabd.errors import UnsupportedFormat
from collabd.protocol.structure import (
    MAX_TYPE_NESTING,
    Holder,
    RootShape,
    Structure,
    root_shapes,
    type_depth,
)
from collabd.protocol.values import varint
from collabd.protocol.walk import ANY, BINARY, EMBED, FORMAT, TYPE, Id, Struct, walk

MAX_OPEN_FORMATS: Final = 4_000_000
"""Pieces of texts times formats that may be open in each: about two seconds."""

MAX_FORMAT_BYTES: Final = 200_000_000
"""The same in bytes of the formats' values."""

PAGE_INFO: Final = "meta"
"""Root (Map) with what an editor page says about the document: ``kind`` and ``title``."""

CONVENTIONAL: Final = (
    "content",
    "prosemirror",
    "default",
    "document-store",
    "codemirror",
    "monaco",
    "quill",
    "text",
    "source",
)
"""Root names that editors' bindings use in their documentation, likelier ones first."""

_BUFFER: Final = b"\x74"
"""Begins a binary value in an ``Any``."""


class Kind(StrEnum):
    """What a root is."""

    TEXT = "Text"
    XML = "XmlFragment"
    MAP = "Map"
    ARRAY = "Array"
    EMPTY = "empty"
    """All of it was deleted, and with it what could tell."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a document is made of."""

    roots: Mapping[str, Kind]
    holds_binary: bool
    """Whether there may be binary values in it."""


def inspect(update: bytes) -> Shape:
    """What the document with this full state (Yjs v1) is made of.

    Raises:
        UnsupportedFormat: it nests too deep to be read, or its formatting takes too long to read.
        MalformedInput: it is no update.
    """
    formatting = _Formatting(update)
    summary = walk(update, formatting.visit)
    if summary.types > MAX_TYPE_NESTING and type_depth(update) > MAX_TYPE_NESTING:
        raise UnsupportedFormat(f"the document nests deeper than {MAX_TYPE_NESTING} levels")
    if formatting.is_heavy:
        raise UnsupportedFormat("the document has more formatting than can be read in one go")
    roots = {name: _kind(shape) for name, shape in root_shapes(update).items()}
    return Shape(roots, formatting.holds_binary)


def choose(roots: Mapping[str, Kind], asked: str | None, kinds: frozenset[Kind], purpose: str) -> str | None:
    """The root to show: the one asked for, or else the only one of these kinds, or one with a usual name.

    None if nothing is left of the document that could be shown.

    Raises:
        UnsupportedFormat: no root fits, or several do; the message names them.
    """
    if asked is not None:
        if asked not in roots:
            raise UnsupportedFormat(f"there is no root {asked!r}; there are: {_listed(roots)}")
        if roots[asked] not in kinds | {Kind.EMPTY}:
            raise UnsupportedFormat(
                f"the root {asked!r} cannot be shown as {purpose}; there are: {_listed(roots)}"
            )
        return asked
    others = {name: kind for name, kind in roots.items() if name != PAGE_INFO and kind is not Kind.EMPTY}
    fitting = [name for name, kind in others.items() if kind in kinds]
    if len(fitting) == 1:
        return fitting[0]
    for name in CONVENTIONAL:
        if name in fitting:
            return name
    if fitting:
        raise UnsupportedFormat(f"several roots can be shown as {purpose}, name one: {_listed(others)}")
    if others:
        raise UnsupportedFormat(f"no root can be shown as {purpose}; there are: {_listed(roots)}")
    return None


def _listed(roots: Mapping[str, Kind]) -> str:
    return ", ".join(f"{name!r} ({kind})" for name, kind in sorted(roots.items())) or "none"


def _kind(shape: RootShape) -> Kind:
    """What comes first wins: a text may have values embedded and keys; an array has no strings or formats."""
    if shape.text:
        return Kind.TEXT
    if shape.xml:
        return Kind.XML
    if shape.values:
        return Kind.ARRAY
    return Kind.MAP if shape.keys else Kind.EMPTY


class _Formatting:
    """How much formatting pycrdt would hand out with the pieces of texts.

    A text falls into pieces at its formats and at what is embedded, and each piece comes with every format
    that is open there.
    """

    def __init__(self, update: bytes) -> None:
        self.holds_binary = False
        self._update = update
        self._seams: list[tuple[Id, bytes, int]] = []
        """Where texts fall into pieces: id, name of the format (if it is one) and the size of its value."""

    def visit(self, struct: Struct) -> None:
        content = struct.content
        if content == FORMAT:
            size, start = varint(self._update, struct.body)
            end = start + size
            self._seams.append(((struct.client, struct.clock), self._update[start:end], struct.end - end))
        elif content in (EMBED, TYPE):
            self._seams.append(((struct.client, struct.clock), b"", 0))
        elif content == BINARY or (content == ANY and _BUFFER in self._update[struct.body : struct.end]):
            self.holds_binary = True

    @property
    def is_heavy(self) -> bool:
        if _is_light([self._seams]):
            return False
        structure = Structure(self._update)
        by_holder: dict[Holder, list[tuple[Id, bytes, int]]] = {}
        for seam in self._seams:
            item = structure.find(seam[0])
            if item is not None:
                by_holder.setdefault(structure.settle(item).holder, []).append(seam)
        return not _is_light(by_holder.values())


def _is_light(texts: Iterable[Sequence[tuple[Id, bytes, int]]]) -> bool:
    """Whether the formats that may be open in all pieces of these texts are within the bounds."""
    formats = octets = 0
    for seams in texts:
        sizes: dict[bytes, int] = {}
        for _, name, size in seams:
            if name:
                sizes[name] = max(size, sizes.get(name, 0))
        formats += len(seams) * len(sizes)
        octets += len(seams) * sum(sizes.values())
    return formats <= MAX_OPEN_FORMATS and octets <= MAX_FORMAT_BYTES
