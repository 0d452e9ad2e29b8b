"""A document as HTML: whatever is in it, the page is harmless."""

from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pycrdt import Map, Text

from collabd.formats import read, render, webpage
from collabd.formats.prose import Block
from collabd.formats.webpage import from_markdown, from_prose, page

from .kit import Tag, body_of, delta, document, shown, xml
from .strategies import blocks as any_blocks
from .strategies import words

ELEMENTS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "p",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "pre",
        "code",
    ),
    *("hr", "br", "blockquote", "ul", "ol", "li", "input", "table", "thead", "tbody", "tr", "th", "td", "a"),
    *("img", "strong", "em", "s", "u", "mark", "sub", "sup"),
}
ATTRIBUTES = {
    *("href", "src", "alt", "title", "rel", "start", "colspan", "rowspan", "type", "disabled", "checked"),
    *("class", "charset", "name", "content"),
}
VOID = {"meta", "hr", "br", "img", "input"}


class Inspector(HTMLParser):
    """Notes what stands in a page, and that all that was opened is closed."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[str] = []
        self.addresses: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.comments: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += attrs
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def unknown_decl(self, data: str) -> None:
        self.comments.append(data)


def inspected(html: str) -> Inspector:
    """What stands in the page; fails if there is anything that does not belong there."""
    inspector = Inspector()
    inspector.feed(html)
    inspector.close()
    assert set(inspector.elements) <= ELEMENTS
    assert {name for name, _ in inspector.attributes} <= ATTRIBUTES
    assert inspector.comments == []
    for address in inspector.addresses:
        scheme, colon, _ = address.partition(":")
        assert not colon or scheme.lower() in ("http", "https", "mailto") or set("/?#") & set(scheme)
    return inspector


HOSTILE = [
    *(
        "<script>alert(1)</script>",
        "script",
        "iframe",
        "svg",
        "style",
        "onload",
        'a" onclick="alert(1)',
        "</p>",
    ),
    *(
        "javascript:alert(1)",
        " JAVASCRIPT:alert(1)",
        "java\nscript:alert(1)",
        "data:text/html,<script>",
        "\0",
    ),
    *(
        "href",
        "src",
        "srcdoc",
        "link",
        "image",
        "heading",
        "table",
        "tableRow",
        "tableCell",
        "codeBlock",
        "<!--",
    ),
    *(
        "&lt;script&gt;",
        "]]>",
        "--><script>",
        "x' onerror='alert(1)",
        'https://ok.example/"onx=1',
        "level",
        "a b",
    ),
]
hostile = st.sampled_from(HOSTILE) | words
scalars = hostile | st.integers(-5, 10) | st.booleans() | st.dictionaries(hostile, hostile, max_size=3)
formats = st.dictionaries(hostile, scalars, max_size=3)
runs = hostile | st.tuples(hostile, formats)
tags = st.recursive(
    st.builds(Tag, hostile, st.lists(runs, max_size=2), st.dictionaries(hostile, scalars, max_size=3)),
    lambda inner: st.builds(Tag, hostile, st.lists(runs | inner, max_size=3), formats),
    max_leaves=6,
)


@given(st.lists(runs | tags, max_size=4), hostile)
def test_no_node_attribute_or_mark_does_harm(nodes: list[Any], title: str) -> None:
    inspected(render(xml(*nodes), "html", title=title).body.decode())


@given(
    st.lists(runs | st.tuples(st.dictionaries(hostile, scalars, max_size=2), formats), min_size=1, max_size=4)
)
def test_no_delta_does_harm(operations: list[Any]) -> None:
    inspected(shown(delta(*operations), "html"))


@given(st.lists(hostile, max_size=6).map(" ".join), st.sampled_from(["text/plain", "text/markdown"]))
@example("[a](javascript:alert(1)) ![b](data:text/html,x) <javascript:alert(1)>", "text/markdown")
@example("[a]\n\n[a]: javascript:alert(1)", "text/markdown")
@example("[a](java&#115;cript:alert(1)) [b](&#106;avascript:x)", "text/markdown")
@example('[a](https://x.example/"onclick=alert(1))', "text/markdown")
def test_no_text_does_harm(text: str, media_type: str) -> None:
    inspected(shown(read(text.encode(), media_type), "html"))


@given(any_blocks, hostile)
def test_no_prose_does_harm(blocks: list[Block], title: str) -> None:
    inspected(page(from_prose(blocks), title))


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_plain_text_is_seen_as_it_is(text: str) -> None:
    update = document(content=Text(text), meta=Map({"kind": "text"}))
    inspector = inspected(shown(update, "html"))
    assert "".join(inspector.texts).strip("\n") == text.strip("\n")


def test_the_page_is_whole_and_has_a_title() -> None:
    update = document(content=Text("a"))
    html = render(update, "html", title="<b>").body.decode()
    assert html.startswith('<!doctype html>\n<html>\n<head>\n<meta charset="utf-8">')
    assert "<title>&lt;b&gt;</title>" in html
    assert html.endswith("</html>\n")


def test_the_documents_own_title_comes_first() -> None:
    update = document(content=Text("a"), meta=Map({"title": "own"}))
    assert "<title>own</title>" in render(update, "html", title="given").body.decode()


def test_markdown_is_rendered_where_the_page_says_it_is_markdown() -> None:
    source = "# T\n\n*a* <b>\n\n|x|\n|-|\n|~~y~~|\n"
    html = body_of(shown(read(source.encode(), "text/markdown"), "html"))
    assert html.startswith("<h1>T</h1>\n<p><em>a</em> &lt;b&gt;</p>\n<table>")
    assert "<s>y</s>" in html
    plain = body_of(shown(read(source.encode(), "text/plain"), "html"))
    assert plain.startswith('<pre class="text">\n# T\n\n*a* &lt;b&gt;')


def test_markdown_that_refers_to_one_long_address_a_million_times_is_shown_as_it_is() -> None:
    source = f"[a]: /{'x' * 50_000}\n\n{'[a] ' * 1_000}"
    assert from_markdown(source).startswith('<pre class="text">')
    assert from_markdown(source[: 50_000 + 100]).startswith("<p>")


def test_markdown_too_long_to_render_is_shown_as_it_is() -> None:
    assert from_markdown("a" * (webpage.MAX_MARKDOWN + 1)).startswith('<pre class="text">')


@pytest.mark.parametrize("text", ["\nfirst line empty", "\r\n", "tab\there", "a\0b\x1b"])
def test_leading_lines_and_controls(text: str) -> None:
    inspector = inspected(page(webpage.from_text(text), ""))
    shown_text = "".join(inspector.texts)
    assert "\0" not in shown_text
    assert "\x1b" not in shown_text
