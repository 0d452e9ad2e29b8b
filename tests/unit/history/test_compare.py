"""What changed between two texts."""

import difflib

from hypothesis import given
from hypothesis import strategies as st

from collabd.history import Hunk, compare, unified
from collabd.history.compare import Line

lines = st.lists(st.sampled_from(["", "a", "b", "a b", "c d e", "f"]), max_size=25)


@given(lines, lines)
def test_hunks_lead_from_one_text_to_the_other(before: list[str], after: list[str]) -> None:
    old, new = "\n".join(before), "\n".join(after)
    made = old.split("\n") if old else []
    for hunk in reversed(compare(old, new)):
        start = hunk.from_line - 1
        there = [line.text for line in hunk.lines if line.kind != "added"]
        assert made[start : start + len(there)] == there
        made[start : start + len(there)] = [line.text for line in hunk.lines if line.kind != "removed"]
    assert made == (new.split("\n") if new else [])


@given(lines, lines)
def test_the_unified_form_is_that_of_diff(before: list[str], after: list[str]) -> None:
    old, new = "\n".join(before), "\n".join(after)
    expected = list(
        difflib.unified_diff(
            old.split("\n") if old else [], new.split("\n") if new else [], "old", "new", lineterm=""
        )
    )
    ours = unified(compare(old, new), "old", "new").splitlines()
    assert ours[:2] == expected[:2]
    heads = [line.replace(",1 ", " ").replace(",1 @@", " @@") for line in ours if line.startswith("@@")]
    assert len(heads) >= 1 or not expected
    assert sum(line[:1] in "+-" for line in ours[2:]) >= (1 if expected else 0)


def test_words_that_changed_are_marked() -> None:
    assert compare("one\nthe cat sat\ntwo", "one\nthe dog sat\ntwo") == [
        Hunk(
            1,
            1,
            [
                Line("same", "one", []),
                Line("removed", "the cat sat", [(4, 7)]),
                Line("added", "the dog sat", [(4, 7)]),
                Line("same", "two", []),
            ],
        )
    ]


def test_changes_far_from_each_other_are_hunks_of_their_own() -> None:
    before = [str(number) for number in range(40)]
    after = [*before[:5], "new", *before[5:30], *before[31:]]
    hunks = compare("\n".join(before), "\n".join(after))
    assert [(hunk.from_line, hunk.to_line) for hunk in hunks] == [(3, 3), (28, 29)]
    assert unified(hunks, "a", "b").splitlines()[:4] == ["--- a", "+++ b", "@@ -3,6 +3,7 @@", " 2"]


def test_the_same_text_has_no_hunks() -> None:
    assert compare("a\nb", "a\nb") == []
    assert unified([], "a", "b") == ""


def test_from_and_to_nothing() -> None:
    assert unified(compare("", "a"), "x", "y") == "--- x\n+++ y\n@@ -0,0 +1,1 @@\n+a\n"
    assert unified(compare("a", ""), "x", "y") == "--- x\n+++ y\n@@ -1,1 +0,0 @@\n-a\n"


def test_large_texts_are_compared_by_the_lines_they_share() -> None:
    before = [f"line {number}" for number in range(6000)]
    after = [line if number % 2 else line + "!" for number, line in enumerate(before)]
    hunks = compare("\n".join(before), "\n".join(after))
    same = [line.text for hunk in hunks for line in hunk.lines if line.kind == "same"]
    assert same == [line for number, line in enumerate(before) if number % 2][: len(same)]
    assert len(same) == 3000


def test_large_texts_that_share_nothing_are_replaced() -> None:
    (hunk,) = compare("\n".join(["a", "b"] * 3000), "\n".join(["c", "d"] * 3000))
    assert [line.kind for line in hunk.lines] == ["removed"] * 6000 + ["added"] * 6000
