"""How a room's document is built and kept, and what happens when pycrdt fails."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycrdt import Text

from collabd.errors import DocumentDamaged
from collabd.protocol.ranges import IdRanges
from collabd.protocol.update import check_state_vector, check_update
from collabd.rooms import replica as replica_module
from collabd.rooms.replica import (
    EMPTY_UPDATE,
    MERGE_AT_ONCE,
    Replica,
    ReplicaBroken,
    merge,
)
from collabd.rooms.state import Early

from .kit import POISON, PanicException, Writer, faulty_doc, text_of


def tail(updates: Sequence[bytes], *, after: int = 0) -> list[Early]:
    return [Early(seq, update, check_update(update)) for seq, update in enumerate(updates, after + 1)]


def build(updates: Sequence[bytes]) -> Replica:
    return Replica.build(EMPTY_UPDATE, tail(updates))


def apply(replica: Replica, updates: Sequence[bytes]) -> tuple[bytes | None, list[int]]:
    return replica.apply(updates, [check_update(update) for update in updates])


def typed(*words: str, client: int = 1) -> list[bytes]:
    writer = Writer(client)
    return [writer.append(word) for word in words]


def array_holding_text() -> bytes:
    """A string where only values may stand: whoever reads the array with pycrdt loops for ever."""
    array_then_text = "01 01 07 00 07 01 01 61 00 00", "01 01 07 01 04 00 07 00 01 78 00"
    return merge([bytes.fromhex(update) for update in array_then_text])


Fails = Callable[..., None]
"""Makes pycrdt fail on poison with the exceptions given."""


@pytest.fixture
def pycrdt_fails(monkeypatch: pytest.MonkeyPatch) -> Fails:
    def fail_with(*failures: BaseException) -> None:
        monkeypatch.setattr(replica_module, "Doc", faulty_doc(failures))

    return fail_with


def test_a_document_is_its_snapshot_and_its_tail() -> None:
    writer = Writer(1)
    writer.append("one ")
    snapshot = writer.state
    later = [writer.append("two "), writer.delete(0, 1), writer.append("three")]
    replica = Replica.build(snapshot, tail(later, after=1))
    assert text_of(replica.state()) == "ne two three"
    assert replica.known.clocks == {1: 13}
    assert replica.known.deletes == IdRanges([(1, 0, 1)])
    assert replica.rejected == []


@pytest.mark.parametrize("count", [1, 2, MERGE_AT_ONCE, MERGE_AT_ONCE + 1, 3 * MERGE_AT_ONCE])
def test_any_number_of_updates_is_merged_into_one(count: int) -> None:
    assert text_of(merge(typed(*["x"] * count))) == "x" * count


@settings(max_examples=30)
@given(st.permutations(range(6)), st.integers(0, 6))
def test_a_log_in_any_order_makes_the_same_document(order: list[int], gone: int) -> None:
    updates = typed(*"abcdef")
    replica = build([updates[position] for position in order if position != gone])
    whole = "abcdef"[:gone]
    assert text_of(replica.state()) == whole


def test_only_what_is_asked_for_is_given() -> None:
    replica = build(typed("one", "two"))
    other = Writer(9)
    other.take(*typed("one"))
    missing = replica.state(other.doc.get_state())
    assert check_update(missing).structs == ((1, 3, 6),)
    assert replica.state_vector() == replica.doc.get_state()


def test_what_was_merged_is_handed_back_to_be_relayed() -> None:
    replica = Replica()
    updates = typed("one", "two")
    merged, refused = apply(replica, updates)
    assert refused == []
    assert merged is not None
    assert text_of(merged) == "onetwo"


def test_an_update_that_would_harm_the_document_is_refused_alone() -> None:
    replica = Replica()
    good, harmful = typed("good"), array_holding_text()
    assert apply(replica, [harmful, *good, harmful]) == (None, [0, 2])
    assert text_of(replica.state()) == "good"


@pytest.mark.parametrize(
    "failure", [ValueError("cannot decode"), RuntimeError("partly applied"), PanicException("corrupt")]
)
def test_when_pycrdt_fails_the_document_must_be_rebuilt(pycrdt_fails: Fails, failure: BaseException) -> None:
    pycrdt_fails(failure)
    with pytest.raises(ReplicaBroken):
        apply(Replica(), typed(POISON))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError(), SystemExit()])
def test_what_is_no_failure_of_pycrdt_goes_through(pycrdt_fails: Fails, error: BaseException) -> None:
    pycrdt_fails(error)
    with pytest.raises(type(error)):
        apply(Replica(), typed(POISON))
    with pytest.raises(type(error)):
        build(typed(POISON))


@pytest.mark.parametrize(
    "failure", [ValueError("cannot decode"), RuntimeError("partly applied"), PanicException("corrupt")]
)
def test_what_cannot_be_applied_is_left_out_of_the_document_and_named(
    pycrdt_fails: Fails,
    failure: BaseException,
) -> None:
    pycrdt_fails(failure)
    good, bad, worse = typed("good ", "too"), typed(POISON, client=2), typed(POISON, client=3)
    replica = build([good[0], *bad, good[1], *worse])
    assert replica.rejected == [2, 4]
    assert text_of(replica.state()) == "good too"


def test_a_log_with_a_culprit_is_complete_in_any_order(pycrdt_fails: Fails) -> None:
    pycrdt_fails(PanicException("corrupt"))
    words = typed(*"abc")
    replica = build([words[2], words[1], *typed(POISON, client=2), words[0]])
    assert text_of(replica.state()) == "abc"


def test_a_snapshot_that_cannot_be_applied_is_damage(pycrdt_fails: Fails) -> None:
    pycrdt_fails(PanicException("corrupt"))
    (snapshot,) = typed(POISON)
    with pytest.raises(DocumentDamaged, match="snapshot cannot be applied"):
        Replica.build(snapshot, tail(typed("tail"), after=7))


@pytest.mark.parametrize("snapshot", [b"\x01", array_holding_text()], ids=["malformed", "harmful"])
def test_a_snapshot_that_would_harm_pycrdt_is_damage(snapshot: bytes) -> None:
    with pytest.raises(DocumentDamaged, match="snapshot cannot be used"):
        Replica.build(snapshot, [])


def test_half_an_emoji_deleted_leaves_what_yjs_leaves() -> None:
    delete_second_half = bytes.fromhex("00010101 02 01".replace(" ", ""))
    replica = Replica()
    apply(replica, typed("a😀b"))
    merged, refused = apply(replica, [delete_second_half])
    assert refused == []
    assert merged == delete_second_half, "what was received is relayed"
    assert str(replica.doc.get("content", type=Text)) == "a\ufffdb"
    assert replica.known.clocks == check_state_vector(replica.state_vector()) == {1: 4}
    in_one_go = build([*typed("a😀b"), delete_second_half])
    assert in_one_go.state() == replica.state()


def test_what_cannot_be_merged_is_handed_back_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    early = Writer(2)
    early.append("missing")
    updates = [*typed("good"), early.append("early")]

    def fail(*updates: bytes) -> bytes:
        raise ValueError("cannot be merged")

    monkeypatch.setattr(replica_module, "merge_updates", fail)
    replica = Replica()
    assert apply(replica, updates) == (None, [])
    assert text_of(replica.state()) == "good"


def test_an_early_update_that_is_the_culprit_is_named_and_not_what_set_it_free(pycrdt_fails: Fails) -> None:
    pycrdt_fails(PanicException("corrupt"))
    writer = Writer(2)
    first, bad = writer.append("first"), writer.append(POISON)
    replica = build([*typed("good "), bad, first])
    assert replica.rejected == [2]
    assert sorted(text_of(replica.state())) == sorted("good first")
