"""Fewer updates that come to the same."""

import random
from typing import Any

import pycrdt
from hypothesis import given
from hypothesis import strategies as st

from collabd.protocol.intake import Intake
from collabd.protocol.squash import squash
from collabd.protocol.update import check_update
from tests.fuzz.generate import Editors, Nonsense
from tests.unit.rooms.kit import Writer

KEYS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from(["go on", "go on", "go on", "somewhere", "back", "delete", "emoji", "read", "word"]),
        st.floats(0, 1),
    ),
    max_size=60,
)


def state_of(updates: list[bytes]) -> tuple[str, dict[int, int]]:
    intake = Intake()
    doc: pycrdt.Doc[Any] = pycrdt.Doc()
    for update in updates:
        for step in intake.offer(update):
            if step.torn:
                return "torn", {}
            doc.apply_update(step.update)
    return str(doc.get("content", type=pycrdt.Text)), dict(intake.clocks)


@given(KEYS)
def test_squashed_updates_come_to_the_same(keys: list[tuple[int, str, float]]) -> None:
    writers = [Writer(1), Writer(2**40)]
    carets = [0, 0]
    updates: list[bytes] = []
    for who, what, where in keys:
        writer = writers[who]
        size = len(str(writer.text).encode())
        if what in ("somewhere", "delete"):
            carets[who] = min(int(where * (size + 1)), size)
        caret = carets[who] = min(carets[who], size)
        if "\\U" in ascii(str(writer.text)) and what != "read":
            what, caret = "end", size  # in the middle of an emoji nobody can write
        match what:
            case "go on" | "somewhere" | "end":
                updates.append(writer.insert(caret, "x"))
                carets[who] = caret + 1
            case "word":
                updates.append(writer.insert(caret, "a word "))
                carets[who] = caret + 7
            case "back" if caret:
                updates.append(writer.delete(caret - 1, caret))
                carets[who] = caret - 1
            case "delete" if caret < size:
                updates.append(writer.delete(caret, caret + 1))
            case "emoji":
                updates.append(writer.insert(size, "🙂"))
            case "read":
                writer.take(*updates)
    squashed = list(squash(updates))
    assert len(squashed) <= len(updates)
    for update in squashed:
        check_update(update)
    assert state_of(squashed) == state_of(updates)


@given(st.integers(0, 2**32))
def test_whatever_else_comes_goes_by_as_it_is(seed: int) -> None:
    rng = random.Random(seed)
    updates = Editors(rng).updates(10) + [Nonsense(rng).update() for _ in range(10)] + [b"", b"\xff", b"\0\0"]
    rng.shuffle(updates)
    squashed = list(squash(updates))
    kept = iter(updates)
    assert all(update in kept for update in squashed if update in updates)
    assert len(squashed) == len(updates) or any(update not in updates for update in squashed)


def test_a_run_is_one_update() -> None:
    writer = Writer(1)
    typed = [writer.append(key) for key in "a run of keys"]
    assert len(list(squash(typed))) == 2, "the first one says where, in another way"
    backspaced = [writer.delete(at, at + 1) for at in range(12, 7, -1)]
    forward = [writer.delete(0, 1) for _ in range(4)]
    assert len(list(squash(backspaced))) == 1
    assert len(list(squash(forward))) == 1
    assert len(list(squash(backspaced + forward))) == 2
    assert len(list(squash([*typed, *backspaced, *forward]))) == 4


def test_nothing_stays_nothing_and_one_stays_itself() -> None:
    assert list(squash([])) == []
    update = Writer(1).append("x")
    assert list(squash([update])) == [update]
