"""Rich text in a Text, as Quill keeps it."""

import pytest
from pycrdt import Array, Doc, Map, Text

from .kit import as_json, body_of, delta, shown

PAGE = delta(
    "Plan",
    ("\n", {"header": 1}),
    "one ",
    ("two", {"bold": True, "link": "https://example.com/"}),
    (" H", {"italic": True}),
    ("2", {"italic": True, "script": "sub"}),
    "\nfirst",
    ("\n", {"list": "ordered"}),
    "inner",
    ("\n", {"list": "bullet", "indent": 1}),
    "second",
    ("\n", {"list": "ordered"}),
    "done",
    ("\n", {"list": "checked"}),
    "open",
    ("\n", {"list": "unchecked"}),
    "x = 1",
    ("\n", {"code-block": "python"}),
    "y = 2",
    ("\n", {"code-block": "python"}),
    "said",
    ("\n", {"blockquote": True}),
    "again",
    ("\n", {"blockquote": True}),
    ({"image": "/i.png"}, {"alt": "picture"}),
    "\n",
    ({"divider": True}, {}),
    ({"video": "https://example.com/v"}, {}),
    "end\n",
)


def test_as_markdown() -> None:
    assert shown(PAGE, "markdown") == (
        "# Plan\n\n"
        "one [**two**](https://example.com/) _H2_\n\n"
        "1. first\n   - inner\n2. second\n\n"
        "- [x] done\n- [ ] open\n\n"
        "```python\nx = 1\ny = 2\n```\n\n"
        "> said\n>\n> again\n\n"
        "![picture](/i.png)\n\n"
        "___\n\n"
        "end\n"
    )


def test_as_html() -> None:
    assert body_of(shown(PAGE, "html")).splitlines()[:2] == [
        "<h1>Plan</h1>",
        '<p>one <a href="https://example.com/" rel="noopener nofollow"><strong>two</strong></a>'
        "<em> H</em><em><sub>2</sub></em></p>",
    ]


def test_as_text_it_is_as_it_stands_there_without_embeds() -> None:
    assert shown(PAGE, "text").startswith("Plan\none two H2\nfirst\ninner\n")
    assert shown(PAGE, "text").endswith("again\n\nend\n")


def test_as_json_it_is_a_delta() -> None:
    update = delta("a", ("b", {"bold": True, "size": 12}), ({"image": "/i.png"}, {"alt": "c"}))
    assert as_json(update) == {
        "content": [
            {"insert": "a"},
            {"insert": "b", "attributes": {"bold": True, "size": 12}},
            {"insert": {"image": "/i.png"}, "attributes": {"alt": "c"}},
        ]
    }


def test_types_in_a_text() -> None:
    doc: Doc[Text] = Doc({"content": Text("a")})
    text = doc["content"]
    text.insert_embed(1, Map({"n": 1, "l": Array([2])}))
    text.insert_embed(2, Text("x"))
    update = doc.get_update()
    assert as_json(update) == {
        "content": [
            {"insert": "a"},
            {"insert": {"n": 1, "l": [2]}},
            {"insert": {"type": "", "content": [{"type": "text", "text": "x"}]}},
        ]
    }
    assert shown(update, "markdown") == "ax\n"


@pytest.mark.parametrize("kind", ["text", "markdown"])
def test_formats_mean_nothing_where_the_page_says_it_is_plain(kind: str) -> None:
    update = delta("# a ", ("*b*", {"bold": True}), "\n", meta=Map({"kind": kind}))
    assert shown(update, "markdown") == "# a *b*\n"


@pytest.mark.parametrize("indent", [0, 1, 8, 9, -1, "2", "x", 10**6])
def test_indents_of_any_size(indent: object) -> None:
    update = delta("a", ("\n", {"list": "bullet", "indent": indent}), "b", ("\n", {"list": "bullet"}))
    assert shown(update, "text") == "a\nb\n"
    assert shown(update, "markdown").split() == ["-", "a", "-", "b"]
