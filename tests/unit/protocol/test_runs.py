"""Typing is recognised where it is typing, and nowhere else."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycrdt import Doc, Text, merge_updates

from collabd.errors import MalformedInput
from collabd.protocol.messages import update_frame
from collabd.protocol.runs import Run, Spot, update_of
from collabd.protocol.session import Session, UpdateReceived
from collabd.protocol.update import check_update
from tests.support.strokes import run_of, stroke

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
    assert spot(first).text_of(update_frame(bytes.fromhex(following))) == b"b"


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
    assert spot(BEHIND).text_of(update_frame(bytes.fromhex(other))) is None


def test_clocks_of_five_bytes_are_left_to_the_check() -> None:
    at = spot(BEHIND)
    at.move(2**28)
    assert at.text_of(stroke(at, b"b")) is None


@given(st.integers(0, 2**32), st.integers(0, 40), st.binary(max_size=3))
def test_whatever_is_taken_for_typing_the_check_says_the_same_of(
    seed: int, position: int, noise: bytes
) -> None:
    rng = random.Random(seed)
    at = spot(rng.choice([BEHIND, BEFORE, BETWEEN]))
    for length in rng.choice([(), (1,), (2,), (200,), (20_000, 2)]):
        at.move(length)
    text = bytes(rng.choice(b"ab\0\xc3") for _ in range(rng.choice([1, 2, 127, 128])))
    update = at.opening + bytes((len(text),)) + text + b"\0"
    if rng.random() < 0.7:
        update = update[:position] + noise + update[position + rng.randrange(3) :]
    run = Run(at)
    if not run.take([update_frame(update)]):
        return
    summary = check_update(update)
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
            if run is None and session.spot is not None:
                run = Run(session.spot)
            if run is not None:
                if run.take([update_frame(update)]):
                    continue
                if run.text:
                    together.apply_update(run.update())
                    assert check_update(run.update()).structs == run.summary().structs
                run = None
            (received,) = session.receive(update_frame(update))
            assert isinstance(received, UpdateReceived)
            together.apply_update(update)
    if run is not None and run.text:
        together.apply_update(run.update())
    assert together.get_update() == one_by_one.get_update()
    assert str(together.get("content", type=Text)) == str(text)


@given(st.integers(1, 300), st.lists(st.integers(1, 200), max_size=300), st.sampled_from([BEHIND, BETWEEN]))
def test_a_spot_moves_to_where_a_new_one_would_be(first: int, lengths: list[int], update: bytes) -> None:
    at = spot(update)
    at.move(first)
    for length in lengths:
        at.move(length)
    again = spot(update)
    again.move(first + sum(lengths))
    assert at.opening == again.opening
    summary = check_update(at.opening + b"\x01x\0")
    assert summary.structs == ((5, at.end, at.end + 1),)
    assert summary.beside == (5, at.end - 1)


def test_a_run_takes_over_what_goes_on_behind_it() -> None:
    at, elsewhere = spot(BEHIND), spot(BEHIND)
    run, following = run_of(at, b"b", b"cd"), run_of(at, b"e", b"f")
    assert run.is_right_before(following)
    assert not following.is_right_before(run)
    assert not run.is_right_before(run_of(at, b"g"))
    elsewhere.move(3)
    assert not run.is_right_before(run_of(elsewhere, b"e"))
    both = run.copy()
    both.take_over(following)
    assert both.update() == bytes.fromhex("0101 0506 84 0505 05") + b"bcdef" + b"\0"
    assert run.update() == bytes.fromhex("0101 0506 84 0505 03") + b"bcd" + b"\0"


def test_a_run_of_many_small_ones_takes_little_more_than_its_text() -> None:
    at = spot(BEHIND)
    run = run_of(at, b"b")
    for _ in range(10_000):
        run.take_over(run_of(at, b"cd"))
    assert run.text == b"b" + b"cd" * 10_000
    assert len(run._texts) < 100


def test_runs_of_several_clients_are_one_update() -> None:
    theirs = spot(bytes.fromhex("0101 0905 84 0904 0161 00"))
    mine = spot(BEHIND)
    runs = [run_of(mine, b"b", b"c"), run_of(theirs, b"x" * 100, b"x" * 100)]
    update = update_of(runs)
    assert update is not None
    assert check_update(update).structs == ((5, 6, 8), (9, 6, 206))
    assert merge_updates(update) == merge_updates(*(run.update() for run in runs))
    assert update_of([*runs, run_of(mine, b"d")]) is None, "a client has one section"
    assert update_of(runs[:1]) == runs[0].update()


def test_a_message_that_packs_several_is_not_typed() -> None:
    session = Session()
    session.receive(update_frame(BEHIND))
    assert session.spot is not None
    run = Run(session.spot)
    following = update_frame(bytes.fromhex("0101 0506 84 0505 0162 00"))
    assert not run.take([following + following])
    assert not run.take([b"\0\1" + following[2:]])
    assert run.take([following]) == [following[3:]]
    with pytest.raises(MalformedInput):
        session.receive(following[:-1])


@given(st.lists(st.sampled_from([b"a", b"b", b"cd", b"x" * 90, b"\xc3\xa9"])), st.integers(0, 3))
def test_a_run_takes_many_as_it_takes_each(texts: list[bytes], begin: int) -> None:
    at, again = spot(BETWEEN), spot(BETWEEN)
    messages = [b"\0"] * begin
    for text in texts:
        messages.append(stroke(at, text))
        at.move(len(text))
    one_by_one, together = Run(again), Run(spot(BETWEEN))
    taken = [one_by_one.take([message]) for message in messages[begin:]]
    first_refused = taken.index([]) if [] in taken else len(taken)
    assert first_refused == next((at for at, text in enumerate(texts) if not text.isascii()), len(texts))
    assert together.take(messages, begin) == [update for (update,) in taken[:first_refused]]
    assert together.text == b"".join(texts[:first_refused])
    assert together.end == together.spot.end == again.end
    assert together.spot.opening == again.opening
