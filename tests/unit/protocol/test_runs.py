"""Typing is recognised where it is typing, and nowhere else."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycrdt import Doc, Text

from collabd.errors import MalformedInput
from collabd.protocol.messages import update_frame
from collabd.protocol.runs import Run, Spot
from collabd.protocol.session import Session, UpdateReceived
from collabd.protocol.update import check_update

BEHIND = bytes.fromhex("0101 0505 84 0504 0161 00")
"""Client 5 puts "a" at its clock 5, behind its clock 4."""
BEFORE = bytes.fromhex("0101 0505 44 0903 0161 00")
"""The same before clock 3 of client 9."""
BETWEEN = bytes.fromhex("0101 0505 c4 0504 0903 0161 00")


def spot(update: bytes) -> Spot:
    return Spot(check_update(update))


@pytest.mark.parametrize(
    ("first", "following"),
    [
        (BEHIND, "0101 0506 84 0505 0162 00"),
        (BEFORE, "0101 0506 c4 0505 0903 0162 00"),
        (BETWEEN, "0101 0506 c4 0505 0903 0162 00"),
    ],
)
def test_what_goes_on_where_the_last_string_ends_is_typed(first: bytes, following: str) -> None:
    assert spot(first).text_of(bytes.fromhex(following)) == b"b"


@pytest.mark.parametrize(
    "other",
    [
        "0101 0507 84 0505 0162 00",  # a clock left out
        "0101 0506 84 0504 0162 00",  # behind something else
        "0101 0506 84 0905 0162 00",
        "0101 0506 c4 0505 0903 0162 00",  # before something
        "0101 0506 44 0505 0162 00",
        "0101 0606 84 0505 0162 00",  # another client
        "0101 0506 84 0505 0262 00",  # a length that is not the text's
        "0101 0506 84 0505 00 00",  # no text
        "0101 0506 84 0505 0162 01",  # deletions
        "0101 0506 84 0505 0162 00 00",  # something left over
        "0101 0506 84 0505 01ff 00",  # no UTF-8
        "0101 0506 84 0505 02c3a9 00",  # no ASCII
        "0101 0506 84 0505",
        "",
    ],
)
def test_anything_else_is_left_to_the_check(other: str) -> None:
    assert spot(BEHIND).text_of(bytes.fromhex(other)) is None


def test_clocks_of_five_bytes_are_left_to_the_check() -> None:
    at = spot(BEHIND)
    at.move(2**28)
    assert at.text_of(at.opening + b"\1b\0") is None


@given(st.integers(0, 2**32), st.integers(0, 40), st.binary(max_size=3))
def test_whatever_is_taken_for_typing_the_check_says_the_same_of(
    seed: int, position: int, noise: bytes
) -> None:
    rng = random.Random(seed)
    at = spot(rng.choice([BEHIND, BEFORE, BETWEEN]))
    at.move(rng.choice([0, 1, 200, 20_000]))
    text = bytes(rng.choice(b"ab\0\xc3") for _ in range(rng.choice([1, 2, 127, 128])))
    update = at.opening + bytes((len(text),)) + text + b"\0"
    if rng.random() < 0.7:
        update = update[:position] + noise + update[position + rng.randrange(3) :]
    if (taken := at.text_of(update)) is None:
        return
    summary = check_update(update)
    run = Run(at)
    run.add(taken)
    assert (run.update(), run.summary()) == (update, summary._replace(typed=None))


@given(st.lists(st.tuples(st.integers(0, 30), st.lists(st.sampled_from(["a", "bc", "é"]), max_size=4))))
def test_a_run_does_what_its_updates_do(strokes: list[tuple[int, list[str]]]) -> None:
    writer: Doc[Any] = Doc(client_id=7)
    text = writer.get("content", type=Text)
    text += "what was there"
    one_by_one: Doc[Any] = Doc()
    together: Doc[Any] = Doc()
    for doc in (one_by_one, together):
        doc.apply_update(writer.get_update())
    session = Session()
    run: Run | None = None
    for position, strings in strokes:
        position = min(position, len(str(text)))
        for string in strings:
            before = writer.get_state()
            at = len(str(text)[:position].encode())
            text.insert(at, string)
            update = writer.get_update(before)
            position += len(string)
            one_by_one.apply_update(update)
            typed = session.typed(update_frame(update))
            if typed is None:
                (received,) = session.receive(update_frame(update))
                assert isinstance(received, UpdateReceived)
            if run is not None and (typed is None or run.spot is not session.spot):
                together.apply_update(run.update())
                assert check_update(run.update()).structs == run.summary().structs
                run = None
            if typed is None:
                together.apply_update(update)
                continue
            assert session.spot is not None
            run = run or Run(session.spot)
            run.add(typed)
            session.spot.move(len(typed))
    if run is not None:
        together.apply_update(run.update())
    assert together.get_update() == one_by_one.get_update()
    assert str(together.get("content", type=Text)) == str(text)


def test_a_message_that_packs_several_is_not_typed() -> None:
    session = Session()
    session.receive(update_frame(BEHIND))
    following = update_frame(bytes.fromhex("0101 0506 84 0505 0162 00"))
    assert session.typed(following) == b"b"
    assert session.typed(following + following) is None
    assert session.typed(b"\0\1" + following[2:]) is None
    with pytest.raises(MalformedInput):
        session.receive(following[:-1])
