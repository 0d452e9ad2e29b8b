"""Formatted text as Markdown: read back by a Markdown parser, it is what it was."""

import unicodedata
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from collabd.errors import UnsupportedFormat
from collabd.formats import markdown
from collabd.formats.inlines import inline_markdown
from collabd.formats.prose import (
    Block,
    Break,
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
    flattened,
    joined,
)

from .strategies import blocks as any_blocks
from .strategies import inlines as any_inlines

PARSER = MarkdownIt("commonmark", {"html": True, "maxNesting": 300}).enable(["table", "strikethrough"])

Character = tuple[str, frozenset[str], str | None]
"""What is seen, in which marks, and where it leads."""

BOLD: frozenset[Mark] = frozenset({"bold"})
ITALIC: frozenset[Mark] = frozenset({"italic"})
CODE: frozenset[Mark] = frozenset({"code"})


def written(content: list[Inline]) -> list[Character]:
    """What a paragraph shows, as far as Markdown can say it."""
    seen: list[Character] = []
    for inline in joined(content):
        match inline:
            case Break():
                seen.append(("\n", frozenset(), None))
            case Image(src, alt, _, link):
                seen.append((f"[{unquote(src)}]{''.join(alt.split())}", frozenset(), leads_to(link)))
            case Span(text, marks, link):
                sayable = frozenset(marks) & {"bold", "italic", "strike", "code"}
                seen += [(character, sayable, leads_to(link)) for character in text]
    return tidied(seen)


def leads_to(link: Link | None) -> str | None:
    return None if link is None else unquote(link.href)


def read_back(lines: list[str]) -> list[Character]:
    """What a Markdown parser makes of the lines."""
    tokens = PARSER.parse("\n".join(lines))
    assert [token.type for token in tokens] in ([], ["paragraph_open", "inline", "paragraph_close"])
    seen: list[Character] = []
    marks: set[str] = set()
    link: str | None = None
    for token in (tokens[1].children or []) if tokens else []:
        match token.type:
            case "text":
                seen += [(character, frozenset(marks), link) for character in token.content]
            case "code_inline":
                seen += [(character, frozenset({*marks, "code"}), link) for character in token.content]
            case "hardbreak":
                seen.append(("\n", frozenset(), None))
            case "image":
                alt = "".join(child.content for child in token.children or [])
                address = unquote(str(token.attrs["src"]))
                seen.append((f"[{address}]{''.join(alt.split())}", frozenset(), link))
            case "link_open":
                link = unquote(str(token.attrs["href"]))
            case "link_close":
                link = None
            case other:
                name, _, side = other.rpartition("_")
                mark = {"strong": "bold", "em": "italic", "s": "strike"}[name]
                (marks.add if side == "open" else marks.remove)(mark)
    return tidied(seen)


def tidied(seen: list[Character]) -> list[Character]:
    """Spaces outside of code count as one, in no marks, and not at the ends; controls as U+FFFD."""
    tidy: list[Character] = []
    for text, marks, link in seen:
        if "code" in marks:
            tidy.append((" " if text.isspace() else visible(text), marks, link))
        elif not text.isspace():
            tidy.append((visible(text), marks, link))
        elif tidy and tidy[-1] != (" ", frozenset(), None):
            tidy.append((" ", frozenset(), None))
    return tidy[:-1] if tidy and tidy[-1] == (" ", frozenset(), None) else tidy


def visible(text: str) -> str:
    return "".join("\ufffd" if is_no_character(character) else character for character in text)


def is_no_character(character: str) -> bool:
    code = ord(character)
    is_control = unicodedata.category(character) == "Cc" and not character.isspace()
    return is_control or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code < 0xFDF0


@given(any_inlines)
@example([Span("a"), Span("“b”", BOLD), Span("c")])
@example([Span("a"), Span("b", ITALIC), Span("c", BOLD | ITALIC), Span("d")])
@example([Span("a ", BOLD), Span("b", ITALIC)])
@example([Span("a", BOLD | ITALIC), Span(" b", ITALIC)])
@example([Span("a", ITALIC), Span(" "), Span("b", ITALIC, Link("/x"))])
@example([Span("a!"), Span("b", link=Link("/x"))])
@example([Span("`a"), Span("`", CODE), Span("b``", CODE)])
@example([Span("1"), Span(". a")])
@example([Span("a"), Break(), Span("---")])
def test_a_paragraph_reads_back_as_it_was(content: list[Inline]) -> None:
    assert read_back(inline_markdown(content)) == written(content)


Tree = list[Any]


def outline(blocks: list[Block]) -> Tree:
    """What blocks there are and what they say, as far as Markdown can say it."""
    tree: Tree = []
    for block in blocks:
        match block:
            case Paragraph(content) if says(content):
                tree.append(("paragraph", says(content)))
            case Heading(level, content):
                tree.append((f"h{level}", says(content)))
            case CodeBlock(text, language):
                tree.append(("code", language.replace("`", "").replace(" ", ""), text))
            case Rule():
                tree.append("rule")
            case Quote(inner) if outline(inner):
                tree.append(("quote", outline(inner)))
            case Listing(items, ordered, start) if items:
                tree.append(("list", start if ordered else None, [outline_of_item(item) for item in items]))
            case Table(rows) if any(rows):
                tree.append(("table", outline_of_table(block)))
    return tree


def outline_of_item(item: Item) -> Tree:
    inner = outline(item.blocks)
    if item.checked is None:
        return inner
    box = "[x]" if item.checked else "[]"
    match item.blocks:
        case [Paragraph(content), *_] if says(content):
            return [("paragraph", box + inner[0][1]), *inner[1:]]
        case _:
            return [("paragraph", box), *inner]


def outline_of_table(table: Table) -> list[list[str]]:
    width = max(map(len, table.rows))
    rows = [[says(flattened(cell.blocks)) for cell in row] + [""] * (width - len(row)) for row in table.rows]
    return rows if any(cell.is_header for cell in table.rows[0]) else [[""] * width, *rows]


def says(content: list[Inline]) -> str:
    """The characters, without spaces."""
    return "".join(character for character, _, _ in written(content) if not character.isspace())


def outline_of_parsed(node: SyntaxTreeNode) -> Tree:
    tree: Tree = []
    for child in node.children:
        match child.type:
            case "paragraph":
                tree.append(("paragraph", said_by(child)))
            case "heading":
                tree.append((child.tag, said_by(child)))
            case "fence":
                tree.append(("code", child.info, child.content[:-1]))
            case "hr":
                tree.append("rule")
            case "blockquote":
                tree.append(("quote", outline_of_parsed(child)))
            case "bullet_list" | "ordered_list":
                start = child.attrs.get("start", 1) if child.type == "ordered_list" else None
                tree.append(("list", start, [outline_of_parsed(item) for item in child.children]))
            case "table":
                rows = [row for part in child.children for row in part.children]
                tree.append(("table", [[said_by(cell) for cell in row.children] for row in rows]))
            case other:
                tree.append(other)
    return tree


def said_by(node: SyntaxTreeNode) -> str:
    said = ""
    for child in node.children:
        if child.type == "image":
            said += f"[{unquote(str(child.attrs['src']))}]" + said_by(child)
        elif child.type in ("text", "code_inline"):
            said += visible(child.content)
        else:
            said += said_by(child)
    return "".join(said.split())


@given(any_blocks)
@example([Listing([Item([Listing([Item([Listing([Item([])])])])])])])
@example([Listing([Item([Paragraph([Span("a")]), Listing([Item([])])])])])
@example([Listing([Item([Paragraph([Span("a")]), Listing([Item([Paragraph([Span("b")])])], True, 3)])])])
@example([Listing([Item([])]), Listing([]), Listing([Item([])]), Listing([Item([])])])
@example([Quote([Paragraph([Span("a")])]), Quote([Paragraph([Span("b")])])])
def test_blocks_read_back_as_they_were(blocks: list[Block]) -> None:
    parsed = SyntaxTreeNode(PARSER.parse(markdown.from_prose(blocks)))
    assert outline_of_parsed(parsed) == outline(blocks)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain words, (and more) isn't it? Yes! 50% of a - b + c = d", None),
        ("snake_case_name", None),
        ("a & b < c > d", None),
        ("#hashtag -5 +6", None),
        ("_a_ *b* `c` [d](e) ~f~", "\\_a\\_ \\*b\\* \\`c\\` \\[d\\](e) \\~f\\~"),
        ("<b> &amp; </b>", "\\<b> \\&amp; \\</b>"),
        ("1. a", "1\\. a"),
        ("- a", "\\- a"),
        ("# a", "\\# a"),
        ("> a", "\\> a"),
    ],
)
def test_only_what_would_mean_something_is_escaped(text: str, escaped: str | None) -> None:
    assert inline_markdown([Span(text)]) == [escaped or text]


def test_a_long_paragraph_takes_time_in_proportion() -> None:
    content: list[Inline] = [Span("word ", BOLD if n % 2 else ITALIC) for n in range(20_000)]
    assert len(inline_markdown(content)[0]) > 100_000


def test_lines_without_number_in_deep_quotes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markdown, "MAX_INDENTATION", 5_000_000)
    block: Block = CodeBlock("\n" * 30_000)
    for _ in range(100):
        block = Quote([block])
    with pytest.raises(UnsupportedFormat, match="too much too deep"):
        markdown.from_prose([block])


def test_lists_nested_deep_take_time_in_proportion() -> None:
    block: Block = Paragraph([Span("a")])
    for _ in range(100):
        block = Listing([Item([Paragraph([Span("b")]), block])])
    assert markdown.from_prose([block]).count("b") == 100
