"""Snapshots: a state and what is known of it."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.errors import DocumentDamaged, MalformedInput
from collabd.protocol.intake import Intake
from collabd.rooms.replica import Replica
from collabd.rooms.snapshot import pack, unpack
from tests.fuzz.generate import Editors

from .kit import Writer, text_of


@given(st.integers(0, 2**32))
def test_what_is_read_back_is_what_the_state_says(seed: int) -> None:
    editors = Editors(random.Random(seed))
    editors.updates(10)
    later = editors.updates(5)
    state = editors.docs[0].get_update()
    fresh = Intake(state)
    snapshot = pack(state, Intake(state))
    again, indexed = unpack(snapshot)
    assert again == state
    assert indexed is not None
    assert indexed.index() == fresh.index()
    for update in later:
        assert _outcome(indexed, update) == _outcome(fresh, update)
    assert indexed.index() == fresh.index()


def _outcome(intake: Intake, update: bytes) -> object:
    try:
        return intake.offer(update)
    except Exception as error:
        return str(error)


def test_a_replica_begins_with_one() -> None:
    ada = Writer(1)
    ada.append("hello")
    state = ada.state
    replica = Replica(pack(state, Intake(state)))
    assert text_of(replica.state()) == "hello"
    assert dict(replica.known.clocks) == {1: 5}
    assert text_of(Replica(state).state()) == "hello", "a bare state will do"


def test_an_index_of_another_program_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    ada = Writer(1)
    ada.append("hello")
    with monkeypatch.context() as patch:
        patch.setattr("collabd.protocol.intake.INDEX_VERSION", 99)
        snapshot = pack(ada.state, Intake(ada.state))
    assert unpack(snapshot) == (ada.state, None)
    assert text_of(Replica(snapshot).state()) == "hello"


@pytest.mark.parametrize("index", [b"", b"[]", b"5", b"[1,[],[],[],[[1]],[]]", b"[1,5,[],[],[],[]]", b"\xff"])
def test_what_is_no_index_is_told(index: bytes) -> None:
    with pytest.raises(MalformedInput):
        Intake.from_index(index)
    snapshot = b"\x80\x00" + bytes((len(index),)) + index + b"\0\0"
    with pytest.raises(DocumentDamaged):
        Replica(snapshot)
    with pytest.raises(MalformedInput):
        unpack(b"\x80\x00\x05")
