"""What stands in shared types, as values that can be compared, and copies of it.

Goes as deep as types nest, which ``formats.shapes.inspect`` has bounded before.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from pycrdt import Array, Doc, Map, Text, XmlElement, XmlFragment, XmlText

from collabd.errors import CannotRestore
from collabd.formats.shapes import Kind

Shared = Text | Array[Any] | Map[Any] | XmlFragment | XmlElement | XmlText
Content = Any
"""Nested tuples and plain values: equal if what they stand for is."""

Formats = dict[str, Any]

SHARED: Final = (Text, Array, Map, XmlFragment, XmlElement, XmlText)
ROOTS: Final[Mapping[Kind, type[Any]]] = {
    Kind.TEXT: Text,
    Kind.XML: XmlFragment,
    Kind.MAP: Map,
    Kind.ARRAY: Array,
}


def roots_of(doc: "Doc[Any]", kinds: Mapping[str, Kind]) -> dict[str, Shared]:
    """The roots of a document by name, each as what it is."""
    return {name: doc.get(name, type=ROOTS[kind]) for name, kind in kinds.items() if kind in ROOTS}


def content_of(value: object) -> Content:
    """What a shared type holds, or a plain value is."""
    match value:
        case XmlElement():
            return ("element", value.tag, _attributes(value), [content_of(child) for child in value.children])
        case XmlFragment():
            return ("fragment", [content_of(child) for child in value.children])
        case XmlText():
            return ("text", _attributes(value), _runs(value))
        case Text():
            return ("text", {}, _runs(value))
        case Map():
            return ("map", {key: content_of(inner) for key, inner in entries(value).items()})
        case Array():
            return ("array", [content_of(inner) for inner in value])
        case Doc():
            return ("document", value.guid)
        case bool():
            return ("bool", value)
        case float() if value != value:
            return ("nan",)
        case dict():
            return {key: content_of(inner) for key, inner in value.items()}
        case list() | tuple():
            return [content_of(inner) for inner in value]
        case bytearray() | memoryview():
            return bytes(value)
        case _:
            return value


def entries(shared: "Map[Any]") -> dict[str, Any]:
    """The values of a map that are there."""
    found = {}
    for key in shared.keys():  # noqa: SIM118 - a pycrdt Map is no dict
        try:
            found[key] = shared[key]
        except KeyError:
            continue
    return found


def attributes_of(node: XmlElement | XmlText) -> dict[str, Any]:
    """An element's or a text's own attributes."""
    return dict(cast("Iterable[tuple[str, Any]]", node.attributes))


def _attributes(node: XmlElement | XmlText) -> dict[str, Content]:
    return {name: content_of(value) for name, value in attributes_of(node).items()}


def runs_of(text: Text | XmlText) -> list[tuple[Any, Formats]]:
    """Pieces of a text with their formats; equal ones beside each other are one."""
    runs: list[tuple[Any, Formats]] = []
    for value, of in text.diff():
        formats = {name: inner for name, inner in (of or {}).items() if inner is not None}
        if isinstance(value, str) and runs and isinstance(runs[-1][0], str) and runs[-1][1] == formats:
            runs[-1] = (runs[-1][0] + value, formats)
        else:
            runs.append((value, formats))
    return runs


def _runs(text: Text | XmlText) -> list[tuple[Content, Content]]:
    return [(content_of(value), content_of(formats)) for value, formats in runs_of(text)]


def size_of(value: object) -> int:
    """How much of a text a run takes up, as pycrdt counts: bytes, and 1 for what is embedded."""
    return len(value.encode()) if isinstance(value, str) else 1


def put_in_text(text: Text | XmlText, index: int, value: object, formats: Formats) -> None:
    """Put a copy of a run into a text."""
    if isinstance(value, str):
        text.insert(index, value, plain(formats))
    elif isinstance(value, SHARED):
        empty = _empty(value)
        if isinstance(empty, XmlText | XmlElement | XmlFragment) and not (
            isinstance(empty, XmlElement) and isinstance(text, XmlText)
        ):
            raise CannotRestore("XML within text cannot be brought back by an edit")
        text.insert_embed(index, empty, plain(formats))
        fill(empty, value)
    else:
        text.insert_embed(index, plain(value), plain(formats))


def put_in_xml(
    parent: XmlFragment | XmlElement, index: int, value: XmlElement | XmlText | XmlFragment
) -> None:
    """Put a copy of a node among an element's children."""
    empty = _empty(value)
    if not isinstance(empty, XmlElement | XmlText):
        raise CannotRestore("a fragment within XML cannot be brought back by an edit")
    parent.children.insert(index, empty)
    fill(empty, value)


def put_in_array(array: "Array[Any]", index: int, value: object) -> None:
    """Put a copy of a value into an array."""
    if isinstance(value, SHARED):
        empty = _empty(value)
        array.insert(index, empty)
        fill(empty, value)
    else:
        array.insert(index, plain(value))


def put_in_map(shared: "Map[Any]", key: str, value: object) -> None:
    """Put a copy of a value under a key."""
    if isinstance(value, SHARED):
        empty = _empty(value)
        shared[key] = empty
        fill(empty, value)
    else:
        shared[key] = plain(value)


def fill(empty: Shared, source: Shared) -> None:
    """Put copies of all that a type holds into an empty one of the same kind."""
    if isinstance(source, XmlElement | XmlText):
        assert isinstance(empty, XmlElement | XmlText)
        for name, value in attributes_of(source).items():
            empty.attributes[name] = plain(value)
    match empty, source:
        case (Text() | XmlText(), Text() | XmlText()):
            at = 0
            for value, formats in runs_of(source):
                put_in_text(empty, at, value, formats)
                at += size_of(value)
        case (XmlElement() | XmlFragment(), XmlElement() | XmlFragment()):
            for index, child in enumerate(source.children):
                put_in_xml(empty, index, child)
        case (Array(), Array()):
            for index, value in enumerate(source):
                put_in_array(empty, index, value)
        case (Map(), Map()):
            for key, value in entries(source).items():
                put_in_map(empty, key, value)
        case _:
            raise CannotRestore("a root was used as another type since")


def _empty(source: Shared) -> Shared:
    match source:
        case XmlElement():
            return XmlElement(source.tag or "")
        case XmlFragment():
            return XmlFragment()
        case XmlText():
            return XmlText()
        case Text():
            return Text()
        case Map():
            return Map()
        case _:
            return Array()


def plain(value: Any) -> Any:
    """A value that pycrdt gave out, as it takes it in."""
    match value:
        case Doc():
            return Doc(guid=value.guid)
        case bytearray() | memoryview():
            return bytes(value)
        case dict():
            return {key: plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [plain(inner) for inner in value]
        case _:
            return value
