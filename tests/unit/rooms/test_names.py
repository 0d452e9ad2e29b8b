"""What a document may be called."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.errors import InvalidName
from collabd.rooms.names import MAX_NAME_BYTES, check_name, claimed_name


@pytest.mark.parametrize(
    "name",
    ["notes", "a", "team/notes", "Größe", "日本語/メモ", "🙂", "a b", ".hidden", "...", "a..b", "a" * 255],
)
def test_these_are_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "/notes",
        "notes/",
        "a//b",
        ".",
        "..",
        "a/./b",
        "../secrets",
        "a/..",
        "a\nb",
        "a\0b",
        "\x7f",
        "\x85",
        "e\u0301",
        "\ud800",
        "a" * 256,
        "é" * 128,
    ],
)
def test_these_are_not(name: str) -> None:
    with pytest.raises(InvalidName):
        check_name(name)


@given(st.text())
def test_a_name_is_what_the_rules_say(name: str) -> None:
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        encoded = b""
    follows_the_rules = (
        1 <= len(encoded) <= MAX_NAME_BYTES
        and unicodedata.normalize("NFC", name) == name
        and all(unicodedata.category(character) != "Cc" for character in name)
        and all(segment not in ("", ".", "..") for segment in name.split("/"))
    )
    try:
        assert check_name(name) is name
        is_name = True
    except InvalidName:
        is_name = False
    assert is_name == follows_the_rules


@given(st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=5), min_size=1))
def test_segments_joined_by_slashes_make_a_name(segments: list[str]) -> None:
    name = unicodedata.normalize("NFC", "/".join(segments))
    if len(name.encode()) <= MAX_NAME_BYTES and not {"", ".", ".."} & set(name.split("/")):
        assert check_name(name) == name


@pytest.mark.parametrize(
    ("state", "name"),
    [
        ('{"user": {"name": "Ada", "color": "#fff"}}', "Ada"),
        ('{"user": {"name": "  Ada\\u0000 B. \\ud800 "}}', "Ada B."),
        ('{"user": {"name": "' + "x" * 500 + '"}}', "x" * 100),
        ('{"user": {"name": 5}}', ""),
        ('{"user": "Ada"}', ""),
        ('["user"]', ""),
        ("null", ""),
        ("{", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_people_say_in_their_presence_what_they_are_called(state: str | None, name: str) -> None:
    assert claimed_name(state) == name
