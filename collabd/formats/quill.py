"""Rich text as Quill keeps it in a Text: a delta whose block formats stand on the newline ending the block.

Source: https://quilljs.com/docs/delta and https://quilljs.com/docs/formats.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from .links import safe_url
from .prose import (
    Block,
    CodeBlock,
    Heading,
    Image,
    Inline,
    Item,
    Listing,
    Paragraph,
    Quote,
    Rule,
    Span,
    flattened,
    joined,
)
from .prosemirror import integer, node_json, span, string
from .prosemirror import to_prose as xml_to_prose
from .tree import Attributes, Element, Embed, Node, Run
from .values import Json

MAX_INDENT: Final = 8
"""As deep as Quill indents."""

_SCRIPTS: Final = {"sub": "subscript", "super": "superscript"}


def is_rich(nodes: Sequence[Node]) -> bool:
    """Whether there is more to it than characters."""
    return any(not isinstance(node, Run) or node.formats for node in nodes)


def to_json(nodes: Sequence[Node]) -> Json:
    """The delta's operations; just the text if there is no more to it."""
    if not is_rich(nodes):
        return "".join(node.text for node in nodes if isinstance(node, Run))
    return [_operation(node) for node in nodes]


def _operation(node: Node) -> Json:
    if isinstance(node, Element):
        return {"insert": node_json(node)}
    operation: dict[str, Json] = {"insert": node.text if isinstance(node, Run) else node.value}
    if node.formats:
        operation["attributes"] = dict(node.formats)
    return operation


def to_prose(nodes: Iterable[Node]) -> list[Block]:
    """The delta as blocks. Embeds other than pictures and dividers are left out."""
    blocks: list[Block] = []
    for kind, lines in groupby(_lines(nodes), _kind):
        match kind:
            case "rule":
                blocks += [Rule() for _ in lines]
            case "code":
                blocks.append(_code(list(lines)))
            case "quote":
                blocks.append(Quote([Paragraph(line.inlines) for line in lines]))
            case "list":
                blocks += _listings(list(lines), 0)
            case _:
                blocks += [_plain_block(line) for line in lines]
    return blocks


@dataclass(slots=True)
class _Line:
    content: list[Inline] = field(default_factory=list)
    formats: Attributes = field(default_factory=dict)
    is_rule: bool = False

    @property
    def inlines(self) -> list[Inline]:
        return joined(self.content)

    @property
    def indent(self) -> int:
        return integer(self.formats.get("indent"), 0, MAX_INDENT, 0)


def _lines(nodes: Iterable[Node]) -> Iterator[_Line]:
    line = _Line()
    for node in nodes:
        if isinstance(node, Run):
            *ended, rest = node.text.split("\n")
            for text in ended:
                line.content.append(_span(text, node.formats))
                line.formats = node.formats
                yield line
                line = _Line()
            line.content.append(_span(rest, node.formats))
        elif isinstance(node, Element):
            line.content += flattened(xml_to_prose([node]))
        elif isinstance(node.value, dict) and not node.value.keys().isdisjoint({"divider", "hr"}):
            if line.inlines:
                yield line
            yield _Line(is_rule=True)
            line = _Line()
        else:
            line.content += _picture(node)
    if line.inlines:
        yield line


def _span(text: str, formats: Attributes) -> Span:
    script = _SCRIPTS.get(string(formats.get("script")))
    return span(Run(text, {**formats, script: True} if script else formats))


def _picture(embed: Embed) -> list[Inline]:
    source = embed.value.get("image") if isinstance(embed.value, dict) else None
    if not isinstance(source, str):
        return []
    return [Image(safe_url(source) or "", string(embed.formats.get("alt")))]


def _kind(line: _Line) -> str:
    formats = line.formats
    if line.is_rule:
        return "rule"
    if formats.get("code-block"):
        return "code"
    if formats.get("blockquote"):
        return "quote"
    return "list" if formats.get("list") else ""


def _plain_block(line: _Line) -> Block:
    level = integer(line.formats.get("header"), 0, 6, 0)
    return Heading(level, line.inlines) if level else Paragraph(line.inlines)


def _code(lines: Sequence[_Line]) -> CodeBlock:
    language = string(lines[0].formats.get("code-block"))
    text = "\n".join(
        "".join(inline.text for inline in line.content if isinstance(inline, Span)) for line in lines
    )
    return CodeBlock(text, "" if language in ("plain", "true") else language)


def _listings(lines: Sequence[_Line], level: int) -> list[Listing]:
    blocks: list[Listing] = []
    listing: Listing | None = None
    for is_deeper, group in groupby(lines, lambda line: line.indent > level):
        if is_deeper:
            inner = _listings(list(group), level + 1)
            if listing is not None:
                listing.items[-1].blocks.extend(inner)
            else:
                blocks += inner
                listing = inner[-1]
            continue
        for line in group:
            kind = line.formats.get("list")
            if listing is None or listing.ordered != (kind == "ordered"):
                listing = Listing(ordered=kind == "ordered")
                blocks.append(listing)
            checked = {"checked": True, "unchecked": False}.get(string(kind))
            listing.items.append(Item([Paragraph(line.inlines)], checked))
    return blocks
