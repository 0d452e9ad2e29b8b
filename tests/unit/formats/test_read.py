"""Content read into documents, and out again."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycrdt import Doc, Map, Text, get_state

from collabd.errors import MalformedInput, UnsupportedFormat
from collabd.formats import READABLE, read
from collabd.protocol.update import check_state_vector, check_update

from .kit import as_json, document, shown

any_text = st.text(st.characters(exclude_categories=["Cs"])) | st.text("a\r\n\0\ufeff🎉")


@given(any_text, st.sampled_from(["text/plain", "text/markdown"]))
def test_text_comes_out_as_it_went_in_but_for_line_ends(text: str, media_type: str) -> None:
    update = read(text.encode(), media_type)
    check_update(update)
    seen = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    assert shown(update, "text") == shown(update, "markdown") == seen


@pytest.mark.parametrize(("media_type", "kind"), [("text/plain", "text"), ("text/markdown", "markdown")])
def test_the_document_says_what_it_was_read_from(media_type: str, kind: str) -> None:
    assert as_json(read(b"a", media_type)) == {"content": "a", "meta": {"kind": kind}}
    assert as_json(read(b"", media_type)) == {"meta": {"kind": kind}}


@pytest.mark.parametrize("media_type", ["text/plain", "text/markdown"])
def test_text_that_is_not_utf8_is_refused(media_type: str) -> None:
    with pytest.raises(MalformedInput, match="UTF-8"):
        read(b"\xff\xfea\0", media_type)


def test_every_reading_is_by_another_author() -> None:
    """Two seeds with one author's id but different content would let replicas differ for ever."""
    authors = [check_update(read(b"a", "text/plain")).structs[0][0] for _ in range(20)]
    assert len(set(authors)) == 20


def test_an_update_is_taken_as_it_is() -> None:
    update = document(content=Text("a"))
    assert read(update, "application/octet-stream") == update


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "early"),
        (b"hello", "client|structs|early"),
        (b"\0\0", "brings nothing"),
        (bytes.fromhex("01010700000000"), "empty"),
    ],
)
def test_what_is_no_update_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(MalformedInput, match=why):
        read(body, "application/octet-stream")


def test_a_part_of_a_document_is_refused() -> None:
    doc: Doc[Any] = Doc({"content": Text("a")})
    before = get_state(doc.get_update())
    doc["content"] += "b"
    part = doc.get_update(before)
    assert check_state_vector(before)
    with pytest.raises(MalformedInput, match="builds on others"):
        read(part, "application/octet-stream")


@pytest.mark.parametrize("media_type", ["text/html", "image/png", "", "text/plain; charset=utf-8"])
def test_other_media_types_are_refused_with_those_that_are_known(media_type: str) -> None:
    with pytest.raises(UnsupportedFormat, match="text/markdown") as refused:
        read(b"a", media_type)
    assert all(known in str(refused.value) for known in READABLE)


def test_the_readers_say_what_the_page_says() -> None:
    """The page's editors use the roots ``content`` and ``meta`` in the same way."""
    doc: Doc[Any] = Doc()
    doc.apply_update(read(b"a", "text/plain"))
    assert str(doc.get("content", type=Text)) == "a"
    assert doc.get("meta", type=Map)["kind"] == "text"
