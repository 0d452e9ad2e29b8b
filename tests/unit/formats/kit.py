"""What the tests of formats are made of."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pycrdt import Array, Doc, Map, Text, XmlElement, XmlFragment, XmlText

from collabd.formats import render

DATA = Path(__file__).with_name("data")

Shared = Text | Map[Any] | Array[Any] | XmlFragment

Formatted = str | tuple[str, dict[str, Any]]
"""Text, with its formats if it has any."""


@dataclass
class Tag:
    """An element to be put into a document; texts that stand side by side become one XmlText."""

    name: str
    children: Sequence["Tag | Formatted"] = ()
    attributes: dict[str, Any] = field(default_factory=dict)


def document(**roots: Shared) -> bytes:
    """The full state of a document with these roots."""
    doc: Doc[Any] = Doc()
    for name, shared in roots.items():
        doc[name] = shared
    return doc.get_update()


def xml(*children: Tag | Formatted, root: str = "prosemirror") -> bytes:
    """The full state of a document whose one root is an XmlFragment with these children."""
    doc: Doc[Any] = Doc()
    _fill(doc.get(root, type=XmlFragment), children)
    return doc.get_update()


def _fill(parent: XmlFragment | XmlElement, children: Sequence[Tag | Formatted]) -> None:
    text: XmlText | None = None
    for child in children:
        if isinstance(child, Tag):
            text = None
            element = parent.children.append(XmlElement(child.name))
            for name, value in child.attributes.items():
                element.attributes[name] = value
            _fill(element, child.children)
        else:
            text = parent.children.append(XmlText()) if text is None else text
            append(text, child)


def append(text: XmlText | Text, run: Formatted) -> None:
    """Put a run at the end of a text."""
    value, formats = (run, {}) if isinstance(run, str) else run
    text.insert(len(text), value, formats)


def delta(*operations: Formatted | tuple[dict[str, Any], dict[str, Any]], **roots: Shared) -> bytes:
    """The full state of a document with these roots and a Text ``content`` made of the operations."""
    doc: Doc[Any] = Doc(roots)
    text = doc.get("content", type=Text)
    for operation in operations:
        if isinstance(operation, tuple) and isinstance(operation[0], dict):
            text.insert_embed(len(text), operation[0], operation[1])
        else:
            append(text, operation)
    return doc.get_update()


def shown(update: bytes, form: str, root: str | None = None) -> str:
    """The document in this format."""
    return render(update, form, root).body.decode()


def as_json(update: bytes, root: str | None = None) -> Any:
    """The document in JSON, read back."""
    return json.loads(shown(update, "json", root))


def body_of(page: str) -> str:
    """What stands in the body of a page of HTML."""
    return page.partition("<body>\n")[2].rpartition("\n</body>")[0]
