"""XML and texts of a document as plain Python values.

Reading goes as deep as types nest, which ``shapes.inspect`` has bounded before.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from pycrdt import Array, Map, Text, XmlElement, XmlFragment, XmlText

from .values import Json, container, plain

Attributes = dict[str, Json]


@dataclass(frozen=True, slots=True)
class Run:
    """Text with the same formatting throughout: by attribute name, with its value."""

    text: str
    formats: Attributes


@dataclass(frozen=True, slots=True)
class Embed:
    """A value that stands among text and is none."""

    value: Json
    formats: Attributes


@dataclass(frozen=True, slots=True)
class Element:
    """An element; ``name`` is empty for a text that stands within a text."""

    name: str
    attributes: Attributes
    children: list["Node"]


Node = Run | Embed | Element


def read_xml(parent: XmlFragment | XmlElement) -> list[Node]:
    """What stands in a fragment or an element; texts are taken apart into runs."""
    nodes: list[Node] = []
    for child in parent.children:
        if isinstance(child, XmlText):
            nodes += _text(child)
        else:
            nodes.append(_element(child))
    return nodes


def _element(element: XmlElement | XmlFragment) -> Element:
    children = read_xml(element)
    if isinstance(element, XmlElement):
        return Element(element.tag or "", _attributes(element), children)
    return Element("", {}, children)


def _text(text: XmlText) -> list[Node]:
    """A text with attributes of its own stands for an element, as Lexical has it."""
    attributes = _attributes(text)
    if attributes:
        return [Element("", attributes, read_text(text))]
    return read_text(text)


def read_text(text: Text | XmlText) -> list[Node]:
    """The runs of a text, and what is embedded in it."""
    nodes: list[Node] = []
    for value, formats in text.diff():
        set_formats = {name: plain(of) for name, of in (formats or {}).items() if of is not None}
        match value:
            case str():
                nodes.append(Run(value, set_formats))
            case XmlElement() | XmlFragment():
                nodes.append(_element(value))
            case XmlText():
                nodes.append(Element("", _attributes(value), read_text(value)))
            case Text():
                nodes.append(Element("", {}, read_text(value)))
            case Map() | Array():
                nodes.append(Embed(container(value, holds_binary=True), set_formats))
            case _:
                nodes.append(Embed(plain(value), set_formats))
    return nodes


def _attributes(node: XmlElement | XmlText) -> Attributes:
    attributes = cast("Iterable[tuple[str, object]]", node.attributes)
    return {name: plain(value) for name, value in attributes}
