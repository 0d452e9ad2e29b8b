"""Formatted text of every kind, for tests that hold for any."""

from hypothesis import strategies as st

from collabd.formats.prose import (
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
)

MEANINGFUL = [
    *"\\`*_{}[]()#+-.!|<>~&=:\"'$^ \t\n",
    *("a", "b1", "Ünï", "日本", "🎉", "€", "“q”", "\u00a0", "\u200b", "\u0301"),
    *(
        "1.",
        "2)",
        "- x",
        "# h",
        "> q",
        "---",
        "===",
        "```",
        "~~~",
        "**",
        "__",
        "``",
        "~~",
        "a_b",
        "snake_case_name",
    ),
    *("<b>", "<!--", "&amp;", "&#35;", "![a]", "[x]: u", "[ ] t", "| - |", "http://x.y/_z_", "    code"),
]
"""What means something in Markdown, HTML or both, and what stands beside it."""

words = st.lists(st.sampled_from(MEANINGFUL), min_size=1, max_size=4).map("".join)
texts = words | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
marks: st.SearchStrategy[frozenset[Mark]] = st.frozensets(
    st.sampled_from(["bold", "italic", "code", "strike", "underline", "highlight", "sub", "sup"]), max_size=3
)
addresses = st.sampled_from(["https://a.example/x_y*z", "x(y)z", "?a=1&copy;=2", "/a`b|c", "m\\n", "<>"])
links = st.none() | st.none() | st.builds(Link, addresses, st.sampled_from(["", 't"q\\', "<t>&amp;`"]))
spans = st.builds(Span, texts, marks, links)
inlines: st.SearchStrategy[list[Inline]] = st.lists(
    spans | spans | st.just(Break()) | st.builds(Image, addresses, words | st.just(""), st.just(""), links),
    max_size=5,
)

leaves: st.SearchStrategy[Block] = (
    st.builds(Paragraph, inlines)
    | st.builds(Paragraph, inlines)
    | st.builds(Heading, st.integers(1, 6), inlines)
    | st.builds(CodeBlock, words, st.sampled_from(["", "python", "c++ `x`"]))
    | st.just(Rule())
)


def _containers(inner: st.SearchStrategy[Block]) -> st.SearchStrategy[Block]:
    blocks = st.lists(inner, max_size=3)
    items = st.builds(Item, blocks, st.sampled_from([None, None, True, False]))
    rows = st.lists(st.builds(Cell, blocks, st.booleans(), st.integers(1, 3), st.integers(1, 3)), max_size=3)
    return (
        st.builds(Quote, blocks)
        | st.builds(
            Listing, st.lists(items, max_size=3), st.booleans(), st.sampled_from([1, 1, 0, 7, 999_999_999])
        )
        | st.builds(Table, st.lists(rows, max_size=3))
    )


blocks = st.lists(st.recursive(leaves, _containers, max_leaves=8), max_size=4)
