"""Formatted text, whatever editor it came from: what Markdown, HTML and plain text are written from."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

Mark = Literal["bold", "italic", "code", "strike", "underline", "highlight", "sub", "sup"]


@dataclass(frozen=True, slots=True)
class Link:
    """Where a stretch of text leads. ``href`` is one that ``safe_url`` let through."""

    href: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """Text that looks the same throughout."""

    text: str
    marks: frozenset[Mark] = frozenset()
    link: Link | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """A picture among text. ``src`` is one that ``safe_url`` let through, or empty."""

    src: str
    alt: str = ""
    title: str = ""
    link: Link | None = None


@dataclass(frozen=True, slots=True)
class Break:
    """A new line within a paragraph."""


Inline = Span | Image | Break


@dataclass(frozen=True, slots=True)
class Paragraph:
    content: list[Inline]


@dataclass(frozen=True, slots=True)
class Heading:
    level: int
    """1 to 6."""
    content: list[Inline]


@dataclass(frozen=True, slots=True)
class CodeBlock:
    text: str
    language: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    pass


@dataclass(frozen=True, slots=True)
class Quote:
    blocks: list["Block"]


@dataclass(frozen=True, slots=True)
class Item:
    blocks: list["Block"]
    checked: bool | None = None
    """Whether it is ticked off; None if it is no task."""


@dataclass(frozen=True, slots=True)
class Listing:
    items: list[Item] = field(default_factory=list)
    ordered: bool = False
    start: int = 1
    """Number of the first item, 0 to 999,999,999."""


@dataclass(frozen=True, slots=True)
class Cell:
    blocks: list["Block"]
    is_header: bool = False
    columns: int = 1
    rows: int = 1


@dataclass(frozen=True, slots=True)
class Table:
    rows: list[list[Cell]]


Block = Paragraph | Heading | CodeBlock | Rule | Quote | Listing | Table


def joined(content: Iterable[Inline]) -> list[Inline]:
    """The same with neighbours that look alike made one, and nothing empty."""
    result: list[Inline] = []
    there = (inline for inline in content if not isinstance(inline, Span) or inline.text)
    for look, alike in groupby(there, _look):
        if look is None:
            result += alike
        else:
            result.append(Span("".join(inline.text for inline in alike if isinstance(inline, Span)), *look))
    return result


def _look(inline: Inline) -> tuple[frozenset[Mark], Link | None] | None:
    return (inline.marks, inline.link) if isinstance(inline, Span) else None


def flattened(blocks: Iterable[Block]) -> list[Inline]:
    """The words of the blocks as one line, with a space between them."""
    result: list[Inline] = []
    for content in _lines(blocks):
        if result and content:
            result.append(Span(" "))
        result += content
    return joined(result)


def _lines(blocks: Iterable[Block]) -> Iterable[list[Inline]]:
    for block in blocks:
        match block:
            case Paragraph(content) | Heading(content=content):
                yield [Span(" ") if isinstance(inline, Break) else inline for inline in content]
            case CodeBlock(text):
                yield [Span(" ".join(text.split()), frozenset({"code"}))] if text.strip() else []
            case Quote(inner):
                yield from _lines(inner)
            case Listing(items):
                for item in items:
                    yield from _lines(item.blocks)
            case Table(rows):
                for row in rows:
                    for cell in row:
                        yield from _lines(cell.blocks)
            case Rule():
                pass


def plain_text(blocks: Iterable[Block]) -> str:
    """The words alone, each block on lines of its own, cells of a table row with tabs between them."""
    return "\n".join(_text_lines(blocks))


def _text_lines(blocks: Iterable[Block]) -> Iterable[str]:
    for block in blocks:
        match block:
            case Paragraph(content) | Heading(content=content):
                yield "".join(_words(inline) for inline in content)
            case CodeBlock(text):
                yield text
            case Quote(inner):
                yield from _text_lines(inner)
            case Listing(items):
                for item in items:
                    yield from _text_lines(item.blocks)
            case Table(rows):
                for row in rows:
                    yield "\t".join("".join(map(_words, flattened(cell.blocks))) for cell in row)
            case Rule():
                pass


def _words(inline: Inline) -> str:
    match inline:
        case Span(text):
            return text
        case Image(alt=alt):
            return alt
        case Break():
            return "\n"
