"""States at any number, and the same after thinning."""

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycrdt import Doc, Text

from collabd.errors import NoSuchVersion
from collabd.history import split, state_at, thin
from collabd.persistence.base import HistoryEntry
from collabd.protocol.walk import walk

from .kit import ADA, BOB, Writers, content, log_of

randoms = st.integers(0, 2**32).map(Random)
"""Hypothesis' own randomness would make each of these tests take a minute."""


def typed(text: str) -> list[bytes]:
    """The updates of somebody who types a text."""
    doc: Doc[Any] = Doc(client_id=7)
    written = doc.get("text", type=Text)
    updates = []
    for character in text:
        before = doc.get_state()
        written += character
        updates.append(doc.get_update(before))
    return updates


def text_at(entries: list[HistoryEntry], seq: int) -> str:
    doc: Doc[Any] = Doc()
    doc.apply_update(state_at(entries, seq))
    return str(doc.get("text", type=Text))


@pytest.mark.parametrize("per_entry", [1, 2, 3, 10])
def test_each_number_shows_what_was_there_then(per_entry: int) -> None:
    entries = log_of(typed("abcdef"), per_entry=per_entry)
    assert [text_at(entries, seq) for seq in range(1, 7)] == ["a", "ab", "abc", "abcd", "abcde", "abcdef"]


@pytest.mark.parametrize("seq", [-1, 0, 7])
def test_there_are_no_other_numbers(seq: int) -> None:
    with pytest.raises(NoSuchVersion):
        state_at(log_of(typed("abcdef")), seq)


def test_without_its_beginning_nothing_can_be_seen() -> None:
    with pytest.raises(NoSuchVersion):
        state_at(log_of(typed("abcdef"))[1:], 4)
    entries = log_of(typed("abcdef"))
    with pytest.raises(NoSuchVersion):
        state_at(entries[:2] + entries[3:], 5)


def test_what_came_early_is_there_once_what_it_builds_on_is() -> None:
    a, b, c = typed("abc")
    entries = log_of([a, c, b])
    assert [text_at(entries, seq) for seq in (1, 2, 3)] == ["a", "a", "abc"]


def test_what_would_do_harm_is_left_out() -> None:
    a, b, c = typed("abc")
    harmful = bytes.fromhex("0100070000")
    assert text_at(log_of([a, harmful, b, c]), 4) == "abc"


@settings(max_examples=40, deadline=None)
@given(randoms, st.integers(2, 40), st.integers(1, 4))
def test_states_are_those_the_server_had(random: Random, steps: int, per_entry: int) -> None:
    writers = Writers(random)
    writers.write(steps)
    entries = log_of(writers.log, per_entry=per_entry)
    for seq, state in enumerate(writers.states, 1):
        assert content(state_at(entries, seq)) == content(state)


@settings(max_examples=40, deadline=None)
@given(randoms, st.integers(2, 40), st.integers(1, 4), st.data())
def test_thinned_history_shows_the_same_at_its_boundaries(
    random: Random, steps: int, per_entry: int, data: st.DataObject
) -> None:
    writers = Writers(random)
    writers.write(steps)
    log = writers.log
    if data.draw(st.booleans()):
        random.shuffle(log)  # much of it is early then
    entries = log_of(log, per_entry=per_entry)
    numbers = st.sets(st.integers(1, len(log)))
    boundaries = data.draw(numbers)
    thinned = thin(entries, boundaries)
    assert [entry.seq for entry in thinned][: len(boundaries)] == sorted(boundaries)
    assert sum(entry.count for entry in thinned) == len(log)
    last = max(boundaries, default=0)
    for seq in boundaries | set(range(last + 1, len(log) + 1)):
        ours, theirs = state_at(thinned, seq), state_at(entries, seq)
        assert content(ours) == content(theirs)
        assert sorted(walk(ours).structs) == sorted(walk(theirs).structs)
    again = boundaries & data.draw(numbers)
    for seq in again:
        assert content(state_at(thin(thinned, again), seq)) == content(state_at(entries, seq))


def test_what_came_and_went_within_a_stretch_is_gone() -> None:
    doc: Doc[Any] = Doc()
    text = doc.get("text", type=Text)
    updates = []
    for change in (lambda: text.insert(0, "secret"), text.clear, lambda: text.insert(0, "words")):
        before = doc.get_state()
        change()
        updates.append(doc.get_update(before))
    entries = log_of(updates)
    (entry,) = thin(entries, [3])
    assert b"secret" not in entry.updates[0]
    assert text_at([entry], 3) == "words"
    assert any(b"secret" in update for entry in thin(entries, [1, 3]) for update in entry.updates)


def test_between_boundaries_nothing_can_be_seen_any_more() -> None:
    thinned = thin(log_of(typed("abcdef")), [3])
    assert [entry.seq for entry in thinned] == [3, 4, 5, 6]
    assert [text_at(thinned, seq) for seq in (3, 4, 5)] == ["abc", "abcd", "abcde"]
    with pytest.raises(NoSuchVersion, match="version 3 is"):
        state_at(thinned, 2)
    assert thin(thinned, [2, 3]) == thinned


def test_authors_of_a_stretch_are_added_up_and_those_of_a_cut_entry_shared_out() -> None:
    a, b, c, d, e = typed("abcde")
    entry = HistoryEntry(5, 5, 9.0, ((ADA, 2), (BOB, 2), (ADA, 1)), [a, b, c, d, e])
    first, second = split(entry, 3)
    assert (first.authors, second.authors) == (((ADA, 2), (BOB, 1)), ((BOB, 1), (ADA, 1)))
    assert (first.first, first.seq, second.first, second.seq) == (1, 3, 4, 5)
    assert thin([first, second], [5])[0].authors == ((ADA, 3), (BOB, 2))
    assert thin([entry], [3])[1] == second


def test_inside_an_entry_that_lost_a_rejected_update_nothing_can_be_seen() -> None:
    a, b = typed("ab")
    entry = HistoryEntry(3, 3, 0.0, (), [a, b])
    assert text_at([entry], 3) == "ab"
    with pytest.raises(NoSuchVersion):
        state_at([entry], 1)
