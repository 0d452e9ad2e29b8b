"""Rich text in XML, as y-prosemirror keeps it: documents that it made, and what is not as it should be."""

import json
from typing import Any

import pytest

from .kit import DATA, Formatted, Tag, as_json, body_of, shown, xml


def without_defaults(node: Any) -> Any:
    """A ProseMirror node as Yjs can keep it: without attributes that are null, and marks in no order."""
    if isinstance(node, list):
        return [without_defaults(inner) for inner in node]
    if not isinstance(node, dict):
        return node
    kept = {name: without_defaults(inner) for name, inner in node.items() if inner is not None}
    if not kept.get("attrs", True):
        del kept["attrs"]
    if "marks" in kept:
        kept["marks"].sort(key=json.dumps)
    return kept


@pytest.mark.parametrize("name", ["prosemirror", "overlapping_marks"])
def test_its_json_is_prosemirrors_own(name: str) -> None:
    update = (DATA / f"{name}.yjs").read_bytes()
    own = json.loads((DATA / f"{name}.json").read_text())
    assert without_defaults(as_json(update)["prosemirror"]) == without_defaults(own)
    assert without_defaults(as_json(update, "prosemirror")) == without_defaults(own)


def test_a_page_of_prosemirror_as_markdown() -> None:
    assert (
        shown((DATA / "prosemirror.yjs").read_bytes(), "markdown")
        == (DATA / "prosemirror.markdown").read_text()
    )


def test_a_page_of_tiptap_as_markdown() -> None:
    assert shown((DATA / "tiptap.yjs").read_bytes(), "markdown") == (DATA / "tiptap.markdown").read_text()


def test_a_page_of_tiptap_as_text() -> None:
    text = shown((DATA / "tiptap.yjs").read_bytes(), "text")
    assert text.splitlines() == [
        "Plan",
        "A bold and struck site; H2O marked",
        "@Ada next",
        "done",
        "open",
        "three",
        "inner",
        "four",
        'print("hi")',
        "",
        "said",
        "A",
        "a|b\tc",
        "1\t2 two",
        "javascript",
    ]


def test_a_page_of_tiptap_as_html() -> None:
    assert body_of(shown((DATA / "tiptap.yjs").read_bytes(), "html")) == (
        "<h2>Plan</h2>\n"
        "<p>A <strong>bold</strong> and <s>struck</s> "
        '<a href="https://example.com/" rel="noopener nofollow">site</a>'
        "; H<sub>2</sub>O <mark>marked</mark><br>@Ada next</p>\n"
        '<ul>\n<li class="task"><input type="checkbox" disabled checked><p>done</p></li>\n'
        '<li class="task"><input type="checkbox" disabled><p>open</p></li>\n</ul>\n'
        '<ol start="3">\n<li><p>three</p>\n<ul>\n<li><p>inner</p></li>\n</ul></li>\n'
        "<li><p>four</p></li>\n</ol>\n"
        "<pre><code>print(&quot;hi&quot;)\n</code></pre>\n"
        "<blockquote>\n<p>said</p>\n</blockquote>\n"
        "<hr>\n"
        '<p><img src="https://example.com/a.png" alt="A"></p>\n'
        '<table>\n<tr><th><p>a|b</p></th><th colspan="2"><p>c</p></th></tr>\n'
        "<tr><td><p>1</p></td><td><p>2</p>\n<p>two</p></td></tr>\n</table>\n"
        "<p>javascript</p>"
    )


def paragraph(*runs: Tag | Formatted) -> Tag:
    return Tag("paragraph", runs)


@pytest.mark.parametrize(
    ("formats", "markdown"),
    [
        ({"strong": {}}, "**a**"),
        ({"bold": True}, "**a**"),
        ({"em": {}}, "_a_"),
        ({"italic": {}}, "_a_"),
        ({"strike": {}}, "~~a~~"),
        ({"code": {}}, "`a`"),
        ({"bold": {}, "italic": {}, "code": {}}, "**_`a`_**"),
        ({"bold--0123abc=": {}}, "**a**"),
        ({"underline": {}}, "a"),
        ({"bold": False}, "a"),
        (
            {"link": {"href": "https://b.example/", "title": 'say "b"'}},
            '[a](https://b.example/ "say \\"b\\"")',
        ),
        ({"link": "/b"}, "[a](/b)"),
        ({"link": {"href": "javascript:alert(1)"}}, "a"),
        ({"link": {}}, "a"),
        ({"unknown": {"href": "/b"}}, "a"),
    ],
)
def test_marks(formats: dict[str, Any], markdown: str) -> None:
    assert shown(xml(paragraph(("a", formats))), "markdown") == f"{markdown}\n"


@pytest.mark.parametrize(
    ("level", "marks"), [(1, "#"), (6, "######"), (0, "#"), (99, "######"), ("3", "###"), ("x", "#")]
)
def test_levels_of_headings(level: object, marks: str) -> None:
    update = xml(Tag("heading", ["a"], {"level": level}))
    assert shown(update, "markdown") == f"{marks} a\n"


@pytest.mark.parametrize(
    ("list_", "item", "attributes", "markdown"),
    [
        ("bullet_list", "list_item", {}, "- a\n- b\n"),
        ("bulletList", "listItem", {}, "- a\n- b\n"),
        ("ordered_list", "list_item", {"order": 9}, "9. a\n10. b\n"),
        ("orderedList", "listItem", {"start": "9"}, "9. a\n10. b\n"),
        ("orderedList", "listItem", {"start": -1}, "0. a\n1. b\n"),
        ("taskList", "taskItem", {}, "- [ ] a\n- [ ] b\n"),
    ],
)
def test_lists(list_: str, item: str, attributes: dict[str, Any], markdown: str) -> None:
    items = [Tag(item, [paragraph(text)]) for text in "ab"]
    assert shown(xml(Tag(list_, items, attributes)), "markdown") == markdown


def test_what_is_not_known_is_given_by_what_is_in_it() -> None:
    """BlockNote wraps its blocks; others have nodes of their own."""
    update = xml(
        Tag(
            "blockGroup",
            [Tag("blockContainer", [paragraph("one")], {"id": "1"}), Tag("callout", [paragraph("two")])],
        ),
        Tag("fancyTitle", ["three"]),
        Tag("embed", [], {"src": "https://example.com"}),
        paragraph("fo", Tag("badge", ["u"]), "r"),
    )
    assert shown(update, "text") == "one\ntwo\nthree\nfour"
    assert shown(update, "markdown") == "one\n\ntwo\n\nthree\n\nfour\n"


def test_text_outside_of_any_element_is_a_paragraph() -> None:
    update = xml("a", Tag("paragraph", ["b"]), "c", Tag("hard_break"), "d")
    assert shown(update, "text") == "a\nb\nc\nd"
    assert body_of(shown(update, "html")) == "<p>a</p>\n<p>b</p>\n<p>c<br>d</p>"


def test_pictures() -> None:
    inline = xml(paragraph("a ", Tag("image", [], {"src": "/i.png", "alt": "b", "title": "c"})))
    assert shown(inline, "markdown") == 'a ![b](/i.png "c")\n'
    blocks = xml(*(Tag("image", [], {"src": f"/{n}.png"}) for n in "12"))
    assert shown(blocks, "markdown") == "![](/1.png)\n\n![](/2.png)\n"
    unsafe = xml(Tag("image", [], {"src": "data:image/svg+xml,<svg onload=alert(1)>", "alt": "words"}))
    assert shown(unsafe, "markdown") == "words\n"
    assert body_of(shown(unsafe, "html")) == "<p>words</p>"
