"""Formatted text as Markdown: CommonMark, with GitHub's tables, strikethrough and task lists.

What Markdown cannot say (underlining, colours, merged cells) is left out, and what would mean something else
is escaped. Source: https://spec.commonmark.org/0.31.2/ and https://github.github.com/gfm/.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import chain, repeat
from typing import Final

from collabd.errors import UnsupportedFormat

from .inlines import inline_markdown, one_line
from .prose import (
    Block,
    Break,
    Cell,
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
    Table,
    flattened,
)

MAX_COLUMNS: Final = 1000
MAX_NUMBER: Final = 999_999_999
MAX_INDENTATION: Final = 50_000_000
"""Characters that may be put before lines because they stand in lists or quotes."""

_BACKTICKS = re.compile(r"`+")
_UNFIT_FOR_INFO = re.compile(r"[`\s\x00-\x1f]+")
_CLOSING_HASHES = re.compile(r"(^|\s)(#+)$")
_LINE_END = re.compile(r"\r\n|\r|\n")


def from_prose(blocks: Iterable[Block]) -> str:
    """The blocks as Markdown that ends with a newline, unless there are none.

    Raises:
        UnsupportedFormat: they would come out longer than MAX_INDENTATION.
    """
    lines = _Writer().blocks(blocks)
    return "\n".join(lines) + "\n" if lines else ""


class _Writer:
    """Writes blocks as lines. What stands in others is indented line by line, which is counted."""

    def __init__(self) -> None:
        self._indentation = 0

    def blocks(self, blocks: Iterable[Block], *, tight: bool = False) -> list[str]:
        lines: list[str] = []
        used = ""
        for block in blocks:
            if isinstance(block, Listing):
                rendered, marker = self._listing(block, used)
            else:
                rendered, marker = self._block(block), ""
            if not rendered:
                continue
            if lines and not tight:
                lines.append("")
            lines += rendered
            used = marker
        return lines

    def _block(self, block: Paragraph | Heading | CodeBlock | Rule | Quote | Table) -> list[str]:
        match block:
            case Paragraph(content):
                return inline_markdown(content)
            case Heading(level, content):
                text = _CLOSING_HASHES.sub(r"\1\\\2", one_line(content))
                return [f"{'#' * level} {text}".rstrip()]
            case CodeBlock(text, language):
                return _code(text, language)
            case Rule():
                return ["___"]  # dashes or stars could be taken for a list's markers
            case Quote(blocks):
                return self._indented(self.blocks(blocks), "> ", "> ")
            case Table(rows):
                return _table(rows)

    def _listing(self, listing: Listing, used: str) -> tuple[list[str], str]:
        """The list and its marker, which is not the one ``used`` right before: the lists would be one."""
        tight = all(_is_tight(item) for item in listing.items)
        items = [self._item(item, tight) or [""] for item in listing.items]
        if listing.ordered:
            marker = next(marker for marker in ".)" if marker != used)
        else:
            usable = (marker for marker in "-*+" if marker != used and not _makes_rule(marker, items))
            marker = next(usable, "+")
        lines: list[str] = []
        for number, item in enumerate(items, listing.start):
            label = f"{min(number, MAX_NUMBER)}{marker} " if listing.ordered else f"{marker} "
            if lines and not tight:
                lines.append("")
            lines += self._indented(item, label, " " * len(label))
        return lines, marker

    def _item(self, item: Item, tight: bool) -> list[str]:
        lines = self.blocks(item.blocks, tight=tight)
        if item.checked is None:
            return lines
        box = "[x]" if item.checked else "[ ]"
        if lines and isinstance(item.blocks[0], Paragraph) and not _is_blank(item.blocks[0]):
            return [f"{box} {lines[0]}", *lines[1:]]
        return [box, "", *lines] if lines else [box]

    def _indented(self, lines: Sequence[str], first: str, others: str) -> list[str]:
        self._indentation += len(lines) * len(others)
        if self._indentation > MAX_INDENTATION:
            raise UnsupportedFormat("the document nests too much too deep for Markdown")
        prefixes = chain([first], repeat(others))
        return [
            prefix + line if line else prefix.rstrip() for prefix, line in zip(prefixes, lines, strict=False)
        ]


def _code(text: str, language: str) -> list[str]:
    longest = max((len(run) for run in _BACKTICKS.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [fence + _UNFIT_FOR_INFO.sub("", language), *_LINE_END.split(text), fence]


def _makes_rule(marker: str, items: Iterable[Sequence[str]]) -> bool:
    """Whether the marker of one of these, with only the like behind it, would be taken for a rule."""
    return any(first and not first.strip(f"{marker} ") for first, *_ in items)


def _is_tight(item: Item) -> bool:
    """Whether no blank line is needed in the item: a list may follow a paragraph at once only if it begins
    with number 1 and with something in its first item."""
    match item.blocks:
        case [] | [Paragraph()]:
            return True
        case [Paragraph() as paragraph, Listing(items=[first, *_]) as inner]:
            return inner.start == 1 and not _is_blank(paragraph) and not all(map(_is_blank, first.blocks))
        case _:
            return False


def _is_blank(block: Block) -> bool:
    """Whether nothing is written for it."""
    match block:
        case Paragraph(content):
            return all(_is_invisible(inline) for inline in content)
        case Quote(blocks):
            return all(map(_is_blank, blocks))
        case Listing(items):
            return not items
        case Table(rows):
            return not any(rows)
        case _:
            return False


def _is_invisible(inline: Inline) -> bool:
    match inline:
        case Break():
            return True
        case Span(text, marks):
            return not text or (text.isspace() and "code" not in marks)
        case Image(src, alt):
            return not src and not alt.strip()


def _table(rows: Sequence[Sequence[Cell]]) -> list[str]:
    """The first row is Markdown's header: an empty one is put before rows that have none."""
    width = min(MAX_COLUMNS, max((len(row) for row in rows), default=0))
    if not width:
        return []
    has_header = any(cell.is_header for cell in rows[0])
    lines = [_row(rows[0] if has_header else [], width), f"|{' --- |' * width}"]
    return lines + [_row(row, width) for row in rows[has_header:]]


def _row(row: Sequence[Cell], width: int) -> str:
    cells = [one_line(flattened(cell.blocks)).replace("|", "\\|") for cell in row[:width]]
    cells += [""] * (width - len(cells))
    return f"|{'|'.join(f' {cell} ' if cell else ' ' for cell in cells)}|"
