"""Rich text as ProseMirror and Tiptap keep it in XML through y-prosemirror, and its JSON.

Node and mark names are those of ProseMirror's own schemas and of Tiptap's. y-prosemirror (1.3) keeps a node
as an element with its attributes, and marks as formatting of texts, whose values are the marks' attributes;
marks that may overlap themselves have a hash in their names. Source:
https://github.com/yjs/y-prosemirror (src/plugins/sync-plugin.js).
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from .links import safe_url
from .prose import (
    Block,
    Break,
    Cell,
    CodeBlock,
    Heading,
    Image,
    Inline,
    Item,
    Link,
    Listing,
    Mark,
    Paragraph,
    Quote,
    Rule,
    Span,
    Table,
    joined,
)
from .tree import Attributes, Element, Node, Run
from .values import Json

MARKS: Final[dict[str, Mark]] = {
    "strong": "bold",
    "bold": "bold",
    "em": "italic",
    "italic": "italic",
    "code": "code",
    "strike": "strike",
    "strikethrough": "strike",
    "s": "strike",
    "underline": "underline",
    "u": "underline",
    "highlight": "highlight",
    "subscript": "sub",
    "superscript": "sup",
}

MAX_START: Final = 999_999_999
MAX_SPAN: Final = 1000

_HASHED = re.compile(r"(.*)(?:--[a-zA-Z0-9+/=]{8})", re.DOTALL)
_TASKS = frozenset({"taskitem", "todoitem"})
_ITEMS = _TASKS | {"listitem"}
_BLOCKS = _ITEMS | {
    "blockquote",
    "bulletlist",
    "codeblock",
    "heading",
    "horizontalrule",
    "orderedlist",
    "paragraph",
    "table",
    "tasklist",
    "todolist",
}
_INLINES = frozenset({"hardbreak", "image", "mention", "emoji"})


def mark_name(attribute: str) -> str:
    """The mark's name in that of a formatting attribute, which may have a hash behind it."""
    hashed = _HASHED.fullmatch(attribute)
    return hashed[1] if hashed else attribute


def to_json(nodes: Sequence[Node]) -> Json:
    """The nodes as ProseMirror's JSON (``Node.toJSON``), in a node ``doc``."""
    return {"type": "doc", "content": [node_json(node) for node in nodes]}


def node_json(node: Node) -> Json:
    """One node as ProseMirror's JSON; a value among text, which ProseMirror lacks, as a node ``embed``."""
    if isinstance(node, Element):
        element: dict[str, Json] = {"type": node.name}
        if node.attributes:
            element["attrs"] = dict(node.attributes)
        if node.children:
            element["content"] = [node_json(child) for child in node.children]
        return element
    value: dict[str, Json] = (
        {"type": "text", "text": node.text}
        if isinstance(node, Run)
        else {"type": "embed", "value": node.value}
    )
    marks: list[Json] = []
    for name, attributes in sorted(node.formats.items()):
        if attributes is False:
            continue
        mark: dict[str, Json] = {"type": mark_name(name)}
        if isinstance(attributes, dict):
            if attributes:
                mark["attrs"] = attributes
        elif attributes is not True:
            mark["attrs"] = {"value": attributes}
        marks.append(mark)
    if marks:
        value["marks"] = marks
    return value


def to_prose(nodes: Sequence[Node]) -> list[Block]:
    """The nodes as blocks. What is not known is given by what is in it."""
    blocks: list[Block] = []
    loose: list[Node] = []
    is_text = any(isinstance(node, Run) for node in nodes)

    def gather() -> None:
        content = _inlines(loose)
        if content:
            blocks.append(Paragraph(content))
        loose.clear()

    for node in nodes:
        if not isinstance(node, Element) or _is_inline(node, is_text):
            loose.append(node)
            if not is_text:
                gather()
        else:
            gather()
            blocks += _blocks(node)
    gather()
    return blocks


def _canonical(name: str) -> str:
    return name.replace("_", "").lower()


def _is_inline(element: Element, among_text: bool) -> bool:
    name = _canonical(element.name)
    return name in _INLINES or (among_text and name not in _BLOCKS)


def _blocks(element: Element) -> list[Block]:
    attributes, children = element.attributes, element.children
    match _canonical(element.name):
        case "paragraph":
            return [Paragraph(_inlines(children))]
        case "heading":
            return [Heading(integer(attributes.get("level"), 1, 6, 1), _inlines(children))]
        case "blockquote":
            return [Quote(to_prose(children))]
        case "codeblock":
            language = attributes.get("language") or attributes.get("params")
            return [CodeBlock(_code(children), language if isinstance(language, str) else "")]
        case "horizontalrule":
            return [Rule()]
        case "bulletlist" | "tasklist" | "todolist":
            return [Listing(_items(children))]
        case "orderedlist":
            start = attributes.get("start", attributes.get("order"))
            return [Listing(_items(children), ordered=True, start=integer(start, 0, MAX_START, 1))]
        case "table":
            return [Table([_cells(row) for row in children if isinstance(row, Element)])]
        case _ if any(isinstance(child, Run) for child in children):
            return [Paragraph(_inlines(children))]
        case _:
            return to_prose(children)


def _items(nodes: Sequence[Node]) -> list[Item]:
    items: list[Item] = []
    for node in nodes:
        name = _canonical(node.name) if isinstance(node, Element) else ""
        if not isinstance(node, Element) or name not in _ITEMS:
            items.append(Item(to_prose([node])))
            continue
        checked = node.attributes.get("checked") in (True, "true") if name in _TASKS else None
        items.append(Item(to_prose(node.children), checked))
    return items


def _cells(row: Element) -> list[Cell]:
    return [
        Cell(
            to_prose(cell.children),
            is_header=_canonical(cell.name) == "tableheader",
            columns=integer(cell.attributes.get("colspan"), 1, MAX_SPAN, 1),
            rows=integer(cell.attributes.get("rowspan"), 1, MAX_SPAN, 1),
        )
        for cell in row.children
        if isinstance(cell, Element)
    ]


def _code(nodes: Iterable[Node]) -> str:
    parts = []
    for node in nodes:
        if isinstance(node, Run):
            parts.append(node.text)
        elif isinstance(node, Element):
            parts.append("\n" if _canonical(node.name) == "hardbreak" else _code(node.children))
    return "".join(parts)


def _inlines(nodes: Iterable[Node]) -> list[Inline]:
    content: list[Inline] = []
    for node in nodes:
        if isinstance(node, Run):
            content.append(span(node))
        elif isinstance(node, Element):
            content += _inline_element(node)
    return joined(content)


def _inline_element(element: Element) -> list[Inline]:
    attributes = element.attributes
    match _canonical(element.name):
        case "hardbreak":
            return [Break()]
        case "image":
            return [
                Image(
                    safe_url(attributes.get("src")) or "",
                    string(attributes.get("alt")),
                    string(attributes.get("title")),
                )
            ]
        case "mention":
            return [Span("@" + (string(attributes.get("label")) or string(attributes.get("id"))))]
        case _:
            return _inlines(element.children)


def span(run: Run) -> Span:
    """The text with those of its marks that are known. A link that leads nowhere safe is left out."""
    marks: set[Mark] = set()
    link: Link | None = None
    for attribute, value in run.formats.items():
        name = mark_name(attribute)
        if value is False or value is None:
            continue
        if name == "link":
            link = _link(value)
        elif name in MARKS:
            marks.add(MARKS[name])
    return Span(run.text, frozenset(marks), link)


def _link(value: Json) -> Link | None:
    attributes: Attributes = value if isinstance(value, dict) else {"href": value}
    href = safe_url(attributes.get("href"))
    return None if href is None else Link(href, string(attributes.get("title")))


def string(value: Json) -> str:
    """The value if it is text, else nothing."""
    return value if isinstance(value, str) else ""


def integer(value: Json, least: int, most: int, otherwise: int) -> int:
    """The number, which may have been kept as text, brought into its bounds; ``otherwise`` if it is none."""
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        value = int(value[:10])
    return max(least, min(most, value)) if isinstance(value, int) else otherwise
