"""A document as bytes, in one of several formats."""

import json
from dataclasses import dataclass
from typing import Any, Final

from pycrdt import Array, Doc, Map, Text, XmlFragment

from collabd.errors import UnsupportedFormat

from . import markdown, notebook, prosemirror, quill, webpage
from .loading import loaded
from .prose import Block, plain_text
from .shapes import PAGE_INFO, Kind, Shape, choose, inspect
from .tree import Node, read_text, read_xml
from .values import Json, container

RENDERER_VERSION: Final = 1
"""Goes up whenever a document may come out as other bytes than before."""

FORMATS: Final[dict[str, str]] = {
    "json": "application/json",
    "text": "text/plain; charset=utf-8",
    "markdown": "text/markdown; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "ipynb": "application/x-ipynb+json",
    "update": "application/octet-stream",
    "state-vector": "application/octet-stream",
}
"""The media type of each format."""

EXTENSIONS: Final[dict[str, str]] = {
    "json": "json",
    "text": "txt",
    "markdown": "md",
    "html": "html",
    "ipynb": "ipynb",
    "update": "yjs",
    "state-vector": "sv",
}
"""What the name of a file in this format ends with."""

_PROSE: Final = frozenset({Kind.TEXT, Kind.XML})
_ANY: Final = frozenset(Kind)
_PLAIN: Final = frozenset({"text", "markdown"})
"""Values of ``kind`` in the page's information that say that a Text is to be taken as it is."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A document in one format."""

    body: bytes
    media_type: str


def render(update: bytes, form: str, root: str | None = None, title: str = "") -> Rendered:
    """Show a document. May be called in any thread; takes time that grows with the document.

    Args:
        update: the document's full state as one Yjs v1 update, as a room gives it out.
        form: one of FORMATS.
        root: which root to show. If left out, ``json`` shows all, and prose the one that can be shown so, see
            :func:`shapes.choose`. It means nothing to ``update``, ``state-vector`` and ``ipynb``.
        title: what to call a page of HTML if the document does not say.

    Raises:
        UnsupportedFormat: there is no such format, or the document cannot be shown so; the message says why.
        DocumentDamaged: pycrdt cannot read the document.
    """
    if form not in FORMATS:
        raise UnsupportedFormat(f"there is no format {form!r}; there are: {', '.join(FORMATS)}")
    return Rendered(_body(update, form, root, title), FORMATS[form])


def content_of(doc: "Doc[Any]", update: bytes) -> bytes:
    """All that is in a document, as JSON, given its full state as one update.

    Raises:
        UnsupportedFormat: it cannot be read in one go.
    """
    return _Document(doc, inspect(update)).json(None)


def prose_format(update: bytes, root: str | None = None) -> str:
    """``markdown`` if a document has formatting to show, else ``text``.

    Raises:
        UnsupportedFormat, DocumentDamaged: as :func:`render` does for text.
    """
    shape = inspect(update)
    with loaded(update) as doc:
        return _Document(doc, shape).prose_format(root)


def has_root(update: bytes, root: str) -> bool:
    """Whether something was ever put into a document's root of that name."""
    return root in inspect(update).roots


def _body(update: bytes, form: str, root: str | None, title: str) -> bytes:
    if form == "update":
        return update
    if form == "state-vector":
        with loaded(update) as doc:
            return doc.get_state()
    shape = inspect(update)
    with loaded(update) as doc:
        return _shown(_Document(doc, shape), form, root, title)


def _shown(document: "_Document", form: str, root: str | None, title: str) -> bytes:
    match form:
        case "ipynb":
            return document.ipynb()
        case "text":
            return document.text(root).encode()
        case "markdown":
            return document.markdown(root).encode()
        case "html":
            return document.html(root, title).encode()
        case _:
            return document.json(root)


class _Document:
    """A document of which roots are only read as what they are."""

    def __init__(self, doc: "Doc[Any]", shape: Shape) -> None:
        self._doc = doc
        self._roots = shape.roots
        self._holds_binary = shape.holds_binary

    def json(self, root: str | None) -> bytes:
        value: Json
        if root is None:
            value = {name: self._value(name) for name in self._roots}
        else:
            choose(self._roots, root, _ANY, "JSON")
            value = self._value(root)
        return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()

    def text(self, root: str | None) -> str:
        name = choose(self._roots, root, _PROSE, "text")
        if name is None or self._roots[name] is Kind.EMPTY:
            return ""
        if self._roots[name] is Kind.XML:
            return plain_text(prosemirror.to_prose(self._nodes(name)))
        return str(self._doc.get(name, type=Text))

    def prose_format(self, root: str | None) -> str:
        shown = self._prose(choose(self._roots, root, _PROSE, "text"))
        return "text" if isinstance(shown, str) else "markdown"

    def markdown(self, root: str | None) -> str:
        shown = self._prose(choose(self._roots, root, _PROSE, "Markdown"))
        return shown if isinstance(shown, str) else markdown.from_prose(shown)

    def html(self, root: str | None, title: str) -> str:
        shown = self._prose(choose(self._roots, root, _PROSE, "HTML"))
        if not isinstance(shown, str):
            body = webpage.from_prose(shown)
        elif self._said("kind") == "markdown":
            body = webpage.from_markdown(shown)
        else:
            body = webpage.from_text(shown)
        return webpage.page(body, self._said("title") or title)

    def ipynb(self) -> bytes:
        cells, meta = self._roots.get("cells", Kind.EMPTY), self._roots.get("meta", Kind.EMPTY)
        if cells not in (Kind.ARRAY, Kind.EMPTY) or meta is not Kind.MAP:
            raise UnsupportedFormat("the document is no notebook: it has no roots 'cells' and 'meta' of one")
        return notebook.to_json(self._doc.get("cells", type=Array), self._doc.get("meta", type=Map))

    def _prose(self, name: str | None) -> str | list[Block]:
        """Plain text if that is all it is, or if the page says to take it so."""
        if name is None or self._roots[name] is Kind.EMPTY:
            return ""
        nodes = self._nodes(name)
        if self._roots[name] is Kind.XML:
            return prosemirror.to_prose(nodes)
        if self._said("kind") in _PLAIN or not quill.is_rich(nodes):
            return str(self._doc.get(name, type=Text))
        return quill.to_prose(nodes)

    def _nodes(self, name: str) -> list[Node]:
        if self._roots[name] is Kind.XML:
            return read_xml(self._doc.get(name, type=XmlFragment))
        return read_text(self._doc.get(name, type=Text))

    def _value(self, name: str) -> Json:
        match self._roots[name]:
            case Kind.TEXT:
                return quill.to_json(self._nodes(name))
            case Kind.XML:
                return prosemirror.to_json(self._nodes(name))
            case Kind.ARRAY:
                return container(self._doc.get(name, type=Array), holds_binary=self._holds_binary)
            case Kind.MAP:
                return container(self._doc.get(name, type=Map), holds_binary=self._holds_binary)
            case Kind.EMPTY:
                return None

    def _said(self, key: str) -> str:
        """What the editor page says about the document, if it says anything."""
        if self._roots.get(PAGE_INFO) is not Kind.MAP:
            return ""
        value = self._doc.get(PAGE_INFO, type=Map).get(key)
        return value if isinstance(value, str) else ""
