"""Which format an Accept header asks for, and what else the headers of requests and answers mean."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collabd.formats import FORMATS
from collabd.web.negotiation import accepts_coding, attachment, best_format, is_known, is_named

CHROMIUM = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", "json"),
        ("*/*", "json"),
        (" , ", "json"),
        (CHROMIUM, "html"),
        ("text/plain", "text"),
        ("TEXT/Markdown", "markdown"),
        ("text/markdown; charset=utf-8", "markdown"),
        ("application/x-ipynb+json", "ipynb"),
        ("application/octet-stream", "update"),
        ("application/*", "json"),
        ("text/*", "text"),
        ("text/html, text/markdown", "html"),
        ("text/markdown, text/html", "markdown"),
        ("text/html;q=0.5, text/markdown", "markdown"),
        ("text/html;q=0.5, text/markdown;q=0.6", "markdown"),
        ("text/*;q=0.5, text/html;q=0.4, text/plain;q=0.1", "markdown"),
        ("application/json;q=0, */*", "text"),
        ("text/*, text/plain;q=0", "markdown"),
        ("image/png, */*;q=0.1", "json"),
        ("image/png", None),
        ("text/plain;q=0", None),
        ("text/plain;q=x", None),
        ("text/plain;q=nan", None),
        ("text/plain;q=7", None),
    ],
)
def test_the_format_liked_best(accept: str, form: str | None) -> None:
    assert best_format(accept, FORMATS, "json") == form


@given(st.text("abc*/;,=q.01 texplainhmljso\0é", max_size=40))
def test_any_header_asks_for_a_format_or_none(accept: str) -> None:
    assert best_format(accept, FORMATS, "json") in {*FORMATS, None}


@pytest.mark.parametrize(
    ("header", "known"),
    [
        (None, False),
        ("", False),
        ('"a"', True),
        ('W/"a"', True),
        ('"b", "a"', True),
        ("*", True),
        ('"b"', False),
        ("a", False),
    ],
)
def test_an_answer_is_known_by_its_tag(header: str | None, known: bool) -> None:
    assert is_known(header, '"a"') is known


@given(st.text(min_size=1))
@example("\"\\;/=*'%\r\n\0\N{EURO SIGN}")
def test_a_file_name_cannot_leave_its_header(name: str) -> None:
    disposition = attachment(name)
    assert disposition.isascii()
    assert disposition.isprintable()
    assert disposition.count('"') == 2
    assert disposition.count(";") == 2
    assert "/" not in disposition


@pytest.mark.parametrize(
    ("header", "accepts"),
    [
        ("gzip", True),
        ("GZIP;q=0.5", True),
        ("deflate, gzip, br, zstd", True),
        ("*", True),
        ("identity;q=0.5, *", True),
        ("gzip, identity", True),
        ("", False),
        ("identity", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("*;q=0", False),
        ("gzip;q=0.5, identity", False),
        ("gzip;q=x", False),
    ],
)
def test_what_may_be_compressed(header: str, accepts: bool) -> None:
    assert accepts_coding(header, "gzip") is accepts


def test_an_entity_tag_is_named_as_it_stands() -> None:
    assert is_named('"a", W/"b"', 'W/"b"')
    assert not is_named('"a", W/"b"', '"b"')
    assert not is_named("*", '"b"')
    assert not is_named(None, '"b"')
