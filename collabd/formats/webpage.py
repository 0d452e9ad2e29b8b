"""A document as a page of HTML that is safe to serve from the server's own origin.

Everything in it is written here: no element, attribute or address passes through from the document, and what
does is escaped.
"""

from collections.abc import Iterable
from html import escape
from itertools import groupby
from typing import Final

from markdown_it import MarkdownIt

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
    Listing,
    Mark,
    Paragraph,
    Quote,
    Rule,
    Span,
    Table,
)

MAX_MARKDOWN: Final = 1_000_000
"""Characters of Markdown that are rendered; more are shown as they are."""

MAX_REFERRED: Final = 10_000_000
"""Characters of addresses and titles, of which a single definition may be referred to from everywhere."""

MARK_ELEMENTS: Final[dict[Mark, str]] = {
    "code": "code",
    "sub": "sub",
    "sup": "sup",
    "highlight": "mark",
    "strike": "s",
    "underline": "u",
    "italic": "em",
    "bold": "strong",
}
"""By mark, from the innermost to the outermost."""

_STYLE: Final = (
    "body{font:16px/1.6 system-ui,sans-serif;max-width:46em;margin:2em auto;padding:0 1em;color:#1b1b1b;"
    "background:#fff}pre,code{font-family:ui-monospace,monospace;font-size:.9em}pre{overflow-x:auto;"
    "background:#f4f4f4;padding:.8em}pre.text{white-space:pre-wrap;overflow-wrap:anywhere;background:none;"
    "padding:0}blockquote{border-left:3px solid #ccc;margin-left:0;padding-left:1em;color:#555}"
    "img{max-width:100%}table{border-collapse:collapse}td,th{border:1px solid #ccc;padding:.3em .6em}"
    "li.task{list-style:none}"
)

_SHOWN_CONTROLS: Final = {
    code: "\N{REPLACEMENT CHARACTER}" for code in range(0x20) if code not in (9, 10, 13)
}
"""HTML has no control characters but these."""


def page(body: str, title: str) -> str:
    """A whole document around ``body``, which is HTML already; ``title`` is text."""
    return (
        '<!doctype html>\n<html>\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def from_text(text: str) -> str:
    """Plain text as HTML: every line and space as it is."""
    # A parser drops one newline right behind <pre>.
    return f'<pre class="text">\n{_text(text)}</pre>'


def from_markdown(text: str) -> str:
    """Markdown (CommonMark, tables and strikethrough) as HTML; HTML in it is shown, not used."""
    if len(text) > MAX_MARKDOWN:
        return from_text(text)
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.validateLink = lambda url: safe_url(url) is not None  # type: ignore[method-assign]
    environment: dict[str, object] = {}
    tokens = parser.parse(text.translate(_SHOWN_CONTROLS), environment)
    inlines = (inline for token in tokens for inline in token.children or ())
    if sum(len(str(value)) for inline in inlines for value in inline.attrs.values()) > MAX_REFERRED:
        return from_text(text)
    html: str = parser.renderer.render(tokens, parser.options, environment)
    return html


def from_prose(blocks: Iterable[Block]) -> str:
    """Formatted text as HTML."""
    return "\n".join(_block(block) for block in blocks)


def _text(text: str) -> str:
    return escape(text.translate(_SHOWN_CONTROLS))


def _block(block: Block) -> str:
    match block:
        case Paragraph(content):
            return f"<p>{_inlines(content)}</p>"
        case Heading(level, content):
            return f"<h{level}>{_inlines(content)}</h{level}>"
        case CodeBlock(text):
            return f"<pre><code>{_text(text)}</code></pre>"
        case Rule():
            return "<hr>"
        case Quote(blocks):
            return f"<blockquote>\n{from_prose(blocks)}\n</blockquote>"
        case Listing():
            return _listing(block)
        case Table(rows):
            body = "\n".join(_row(row) for row in rows)
            return f"<table>\n{body}\n</table>"


def _listing(listing: Listing) -> str:
    name = "ol" if listing.ordered else "ul"
    start = f' start="{listing.start}"' if listing.ordered and listing.start != 1 else ""
    items = "\n".join(_item(item) for item in listing.items)
    return f"<{name}{start}>\n{items}\n</{name}>"


def _item(item: Item) -> str:
    body = from_prose(item.blocks)
    if item.checked is None:
        return f"<li>{body}</li>"
    box = '<input type="checkbox" disabled checked>' if item.checked else '<input type="checkbox" disabled>'
    return f'<li class="task">{box}{body}</li>'


def _row(row: Iterable[Cell]) -> str:
    return f"<tr>{''.join(map(_cell, row))}</tr>"


def _cell(cell: Cell) -> str:
    name = "th" if cell.is_header else "td"
    columns = f' colspan="{cell.columns}"' if cell.columns > 1 else ""
    rows = f' rowspan="{cell.rows}"' if cell.rows > 1 else ""
    return f"<{name}{columns}{rows}>{from_prose(cell.blocks)}</{name}>"


def _inlines(content: Iterable[Inline]) -> str:
    parts = []
    for link, inlines in groupby(content, lambda inline: None if isinstance(inline, Break) else inline.link):
        html = "".join(map(_inline, inlines))
        if link is not None:
            html = f'<a href="{_text(link.href)}"{_title(link.title)} rel="noopener nofollow">{html}</a>'
        parts.append(html)
    return "".join(parts)


def _inline(inline: Inline) -> str:
    match inline:
        case Break():
            return "<br>"
        case Image(src, alt, title):
            return f'<img src="{_text(src)}" alt="{_text(alt)}"{_title(title)}>' if src else _text(alt)
        case Span(text, marks):
            html = _text(text)
            for mark, name in MARK_ELEMENTS.items():
                if mark in marks:
                    html = f"<{name}>{html}</{name}>"
            return html


def _title(title: str) -> str:
    return f' title="{_text(title)}"' if title else ""
