"""Which type a root has, and which root is meant."""

from typing import Any

import pytest
from pycrdt import Array, Doc, Map, Text, XmlElement, XmlFragment, XmlText

from collabd.errors import UnsupportedFormat
from collabd.formats.shapes import CONVENTIONAL, Kind, choose, inspect
from collabd.protocol import wire
from collabd.protocol.structure import MAX_TYPE_NESTING

from .kit import document, shown

PROSE = frozenset({Kind.TEXT, Kind.XML})


def test_each_type_is_told_from_what_is_in_it() -> None:
    update = document(
        text=Text("a"),
        map=Map({"a": 1}),
        array=Array([1]),
        nested=Array([Map({"a": Text("b")})]),
        xml=XmlFragment([XmlElement("p", {}, [XmlText("a")])]),
        bare=XmlFragment([XmlText("a")]),
    )
    assert inspect(update).roots == {
        "text": Kind.TEXT,
        "map": Kind.MAP,
        "array": Kind.ARRAY,
        "nested": Kind.ARRAY,
        "xml": Kind.XML,
        "bare": Kind.XML,
    }


def test_a_text_is_one_with_formats_or_embeds_alone() -> None:
    doc: Doc[Any] = Doc()
    doc.get("embeds", type=Text).insert_embed(0, {"image": "a"})
    doc.get("types", type=Text).insert(0, "a")
    doc.get("types", type=Text).insert_embed(1, Map({"a": 1}))
    assert inspect(doc.get_update()).roots == {"embeds": Kind.TEXT, "types": Kind.TEXT}


def test_a_root_that_was_emptied_is_empty_and_shows_as_nothing() -> None:
    doc: Doc[Any] = Doc({"content": Text("gone"), "meta": Map({"kind": "text"})})
    del doc["content"][:]
    update = doc.get_update()
    assert inspect(update).roots == {"content": Kind.EMPTY, "meta": Kind.MAP}
    assert shown(update, "text") == shown(update, "markdown") == ""
    assert shown(update, "text", "content") == ""
    assert shown(update, "json") == '{"content":null,"meta":{"kind":"text"}}'


def test_a_document_nothing_was_put_in_shows_as_nothing() -> None:
    assert shown(b"\0\0", "text") == shown(b"\0\0", "markdown") == ""
    assert shown(b"\0\0", "json") == "{}"


def test_the_root_asked_for_is_taken() -> None:
    assert choose({"a": Kind.TEXT, "b": Kind.TEXT}, "b", PROSE, "text") == "b"


def test_a_root_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(UnsupportedFormat, match=r"no root 'c'; there are: 'a' \(Text\), 'b' \(Map\)"):
        choose({"b": Kind.MAP, "a": Kind.TEXT}, "c", PROSE, "text")


def test_a_root_of_another_type_is_refused() -> None:
    with pytest.raises(UnsupportedFormat, match=r"'b' cannot be shown as text; there are: .*'b' \(Map\)"):
        choose({"a": Kind.TEXT, "b": Kind.MAP}, "b", PROSE, "text")


def test_the_only_root_that_fits_is_taken_whatever_its_name() -> None:
    assert choose({"x": Kind.XML, "y": Kind.MAP, "z": Kind.ARRAY}, None, PROSE, "text") == "x"


@pytest.mark.parametrize("name", CONVENTIONAL)
def test_a_usual_name_decides_between_several(name: str) -> None:
    assert choose({"aaa": Kind.TEXT, name: Kind.TEXT, "zzz": Kind.XML}, None, PROSE, "text") == name


def test_between_several_others_one_must_be_named() -> None:
    with pytest.raises(UnsupportedFormat, match=r"name one: 'a' \(Text\), 'b' \(XmlFragment\)"):
        choose({"a": Kind.TEXT, "b": Kind.XML, "meta": Kind.MAP}, None, PROSE, "text")


def test_the_pages_information_is_not_taken_for_the_document() -> None:
    assert choose({"meta": Kind.TEXT, "b": Kind.XML}, None, PROSE, "text") == "b"


def test_a_document_without_prose_is_refused_as_prose() -> None:
    with pytest.raises(UnsupportedFormat, match=r"no root can be shown as text; there are: 'a' \(Map\)"):
        choose({"a": Kind.MAP}, None, PROSE, "text")


def test_types_nested_too_deep_are_refused() -> None:
    doc: Doc[Any] = Doc()
    parent: Any = doc.get("prosemirror", type=XmlFragment)
    for _ in range(MAX_TYPE_NESTING):
        parent = parent.children.append(XmlElement("blockquote"))
    deepest = doc.get_update()
    for form in ("json", "text", "markdown", "html"):
        shown(deepest, form)
    parent.children.append(XmlElement("blockquote"))
    for form in ("json", "text", "markdown", "html"):
        with pytest.raises(UnsupportedFormat, match="nests deeper"):
            shown(doc.get_update(), form)


def piled_up(pieces: int, formats: int) -> list[bytes]:
    """Structs of a text in which formats are opened one after the other and none is ever closed."""
    structs = [b"\4\1\1t\1a"]
    for clock in range(0, 2 * pieces, 2):
        name = wire.text(f"f{clock % (2 * formats)}")
        structs.append(b"\x86\1" + wire.uint(clock) + name + wire.octets(b"1"))
        structs.append(b"\x84\1" + wire.uint(clock + 1) + b"\1a")
    return structs


def update_of(structs: list[bytes]) -> bytes:
    return b"\1" + wire.uint(len(structs)) + b"\1\0" + b"".join(structs) + b"\0"


@pytest.mark.parametrize("form", ["json", "markdown", "html"])
def test_formats_that_pile_up_are_refused_at_once(form: str) -> None:
    """pycrdt takes 160 seconds to hand out these 460 KB, in which nothing else runs."""
    with pytest.raises(UnsupportedFormat, match="more formatting"):
        shown(update_of(piled_up(20_000, 20_000)), form)


def test_a_long_value_of_a_format_that_is_open_in_many_pieces_is_refused() -> None:
    structs = piled_up(5_000, 1)
    structs[1] = b"\x86\1\0" + wire.text("link") + wire.octets(b'"' + b"x" * 100_000 + b'"')
    with pytest.raises(UnsupportedFormat, match="more formatting"):
        shown(update_of(structs), "json")


def test_many_formats_in_many_texts_are_no_matter() -> None:
    """A long document with a comment on each paragraph has as many, but few in each text."""
    structs: list[bytes] = []
    for paragraph in range(2_500):
        element, text, before, format_ = range(5 * paragraph, 5 * paragraph + 4)
        structs += [
            b"\7\1\1t\3\1p",
            b"\7\0\1" + wire.uint(element) + b"\6",
            b"\4\0\1" + wire.uint(text) + b"\1a",
            b"\x86\1" + wire.uint(before) + wire.text(f"comment--{paragraph:08}") + wire.octets(b"{}"),
            b"\x84\1" + wire.uint(format_) + b"\1b",
        ]
    assert shown(update_of(structs), "text") == "\n".join(["ab"] * 2_500)
