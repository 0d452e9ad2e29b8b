"""Which documents a pattern and a scope are about."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.auth.base import MAX_SCOPE, Access, Pattern, Scope
from collabd.errors import MalformedInput


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("notes", ["notes"], ["note", "notes/1", "Notes", "notes2", "no/notes"]),
        ("notes/*", ["notes/1", "notes/ä b"], ["notes", "notes/1/2", "notes2/1"]),
        ("notes/**", ["notes/1", "notes/1/2/3"], ["notes", "notes2/1", "my/notes/1"]),
        ("**", ["notes", "a/b/c"], []),
        ("*", ["notes"], ["a/b"]),
        ("*/plan", ["a/plan", "b/plan"], ["plan", "a/b/plan", "a/plans"]),
        ("**/plan", ["a/plan", "a/b/plan"], ["plan", "a/plan/b"]),
        ("a/**/b", ["a/x/b", "a/x/y/b"], ["a/b", "a/x/c"]),
        ("week-*-notes", ["week-12-notes", "week--notes"], ["week-12-note", "week-1/2-notes"]),
        ("a.b", ["a.b"], ["axb"]),
        ("[ab]+(c)?", ["[ab]+(c)?"], ["a", "ab", "abc"]),
        ("line", ["line"], ["line\n", "line\u2028"]),
    ],
)
def test_a_pattern_describes_whole_names(pattern: str, matching: list[str], others: list[str]) -> None:
    assert [name for name in matching + others if Pattern(pattern).matches(name)] == matching


@pytest.mark.parametrize("text", ["", "/", "a/", "/a", "a//b", "a/b**", "**a", "***"])
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(MalformedInput):
        Pattern(text)


NAMES = st.lists(st.text("ab*.", min_size=1, max_size=2), min_size=1, max_size=3).map("/".join)
PATTERNS = st.lists(st.sampled_from(["a", "b", "*", "**", "a*"]), min_size=1, max_size=3).map("/".join)


@given(PATTERNS, PATTERNS, NAMES)
def test_what_is_covered_is_matched(wide: str, narrow: str, name: str) -> None:
    if Pattern(wide).covers(Pattern(narrow)) and Pattern(narrow).matches(name):
        assert Pattern(wide).matches(name)


@pytest.mark.parametrize(
    ("wide", "narrow", "covers"),
    [
        ("**", "a/*", True),
        ("a/**", "a/*", True),
        ("a/**", "a/b/**", True),
        ("a/**", "a", False),
        ("a/**", "ab/**", False),
        ("a/*", "a/**", False),
        ("a/*", "a/*", True),
        ("*/**", "a/**", False),
    ],
)
def test_a_pattern_covers_what_plainly_lies_in_it(wide: str, narrow: str, covers: bool) -> None:
    assert Pattern(wide).covers(Pattern(narrow)) is covers


def scope(*parts: dict[str, str]) -> Scope:
    return Scope.parse(list(parts))


def test_the_largest_right_on_a_document_counts() -> None:
    several = scope(
        {"pattern": "team/**", "access": "read"},
        {"document": "team/plan", "access": "write"},
        {"document": "a*b", "access": "admin"},
    )
    assert several.access("team/plan") == Access.WRITE
    assert several.access("team/other") == Access.READ
    assert several.access("team") == Access.NONE
    assert several.access("a*b") == Access.ADMIN
    assert several.access("axb") == Access.NONE, "the name of a document is no pattern"
    assert Scope.parse(several.written()) == several


def test_a_scope_covers_another_that_allows_no_more() -> None:
    team = scope({"pattern": "team/**", "access": "write"}, {"document": "home", "access": "read"})
    assert team.covers(scope({"document": "team/plan", "access": "write"}))
    assert team.covers(
        scope({"pattern": "team/a/*", "access": "read"}, {"document": "home", "access": "read"})
    )
    assert not team.covers(scope({"document": "team/plan", "access": "admin"}))
    assert not team.covers(scope({"document": "home", "access": "write"}))
    assert not team.covers(scope({"pattern": "**", "access": "read"}))
    assert not team.covers(scope({"document": "other", "access": "read"}))


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        "notes",
        ["notes"],
        [{"document": "notes"}],
        [{"access": "read"}],
        [{"document": "notes", "access": "READ"}],
        [{"document": "notes", "access": 1}],
        [{"document": "", "access": "read"}],
        [{"document": ["a"], "access": "read"}],
        [{"pattern": "a**", "access": "read"}],
        [{"document": "a", "pattern": "b", "access": "read"}],
        [{"document": "a", "access": "read", "more": 1}],
        [{"document": "a", "access": "read"}] * (MAX_SCOPE + 1),
    ],
)
def test_what_is_no_scope_is_refused(value: object) -> None:
    with pytest.raises(MalformedInput):
        Scope.parse(value)
