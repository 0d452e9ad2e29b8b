"""What a room decides about single updates; see test_state_laws for what holds of any sequence of them."""

import pytest
from pycrdt import merge_updates

from collabd.errors import Overloaded
from collabd.protocol.intake import Known
from collabd.protocol.ranges import IdRanges
from collabd.protocol.update import UpdateSummary, check_update
from collabd.protocol.waiting import Waiting
from collabd.rooms import state as state_module
from collabd.rooms.replica import Replica
from collabd.rooms.state import Batch, Early, RoomState, Settled

from .kit import Writer

ADA, BEN = 1, 2
"""Peers."""
X, Y, Z = 10, 20, 30
"""Client ids."""

NOTHING = check_update(b"\0\0")

Run = tuple[int, int, int]


def summary(
    *structs: Run, deletes: tuple[Run, ...] = (), needs: tuple[tuple[int, int], ...] | None = ()
) -> UpdateSummary:
    return NOTHING._replace(structs=structs, deletes=deletes, needs=needs)


def new_state(*, max_backlog: int = 1_000, max_early: int = 1_000) -> RoomState:
    return RoomState(max_backlog=max_backlog, max_early=max_early)


class AllWaits(Waiting):
    """Whatever a document lacks waits; nothing was dropped."""

    def __contains__(self, update: bytes) -> bool:
        return True


def known(clocks: dict[int, int], deletes: tuple[Run, ...] = ()) -> Known:
    return Known(clocks, IdRanges(deletes), AllWaits())


def receive(state: RoomState, peer: int, brought: UpdateSummary, size: int = 10) -> int | None:
    return state.receive(peer, bytes(size), brought)


def now(condition: bool) -> bool:
    """Keeps the type checker from believing that a property stays as it is."""
    return condition


def take(state: RoomState) -> Batch:
    batch = state.take_batch()
    assert batch is not None
    return batch


def settle(state: RoomState, clocks: dict[int, int], rejected: tuple[int, ...] = ()) -> Settled:
    """Commit and settle what is pending; ``clocks`` as the document has them afterwards."""
    batch = take(state)
    return state.settle(state.head + len(batch.updates), known(clocks), rejected)


def commit(state: RoomState, replica: Replica) -> Settled:
    batch = take(state)
    _, refused = replica.apply(batch.updates, [piece.summary for piece in batch.pieces])
    return state.settle(state.head + len(batch.updates), replica.known, refused)


def relayed(settled: Settled) -> list[tuple[int, bytes]]:
    return [(piece.author, piece.update) for piece in settled.relay]


def early_seqs(state: RoomState) -> list[int]:
    return [early.seq for early in state.early]


def test_a_new_document_is_blank_until_something_is_received() -> None:
    state = new_state()
    assert now(state.is_blank)
    assert state.take_batch() is None
    receive(state, ADA, summary((X, 0, 1)))
    assert not now(state.is_blank)
    settle(state, {X: 1})
    assert not now(state.is_blank)


def test_a_document_whose_only_update_was_rejected_is_blank_again() -> None:
    state = new_state()
    receive(state, ADA, summary((X, 0, 1)))
    settle(state, {}, rejected=(0,))
    assert state.head == 1
    assert now(state.is_blank)


def test_updates_are_handed_out_in_order_one_batch_at_a_time() -> None:
    state = new_state()
    state.receive(ADA, b"first", summary((X, 0, 1)))
    state.receive(BEN, b"second", summary((Y, 0, 1)))
    batch = take(state)
    assert (batch.updates, batch.authors, batch.size) == ([b"first", b"second"], [(ADA, 1), (BEN, 1)], 11)
    state.receive(ADA, b"third", summary((X, 1, 2)))
    assert state.take_batch() is None
    assert not now(state.has_pending)
    assert relayed(state.settle(2, known({X: 1, Y: 1}))) == [(ADA, b"first"), (BEN, b"second")]
    assert now(state.has_pending)
    assert take(state).updates == [b"third"]


def test_who_sent_a_batch_is_told_in_order_and_neighbours_together() -> None:
    state = new_state()
    for author, clock in ((ADA, 0), (ADA, 1), (BEN, 2), (ADA, 3)):
        state.receive(author, b"update", summary((X, clock, clock + 1)))
    assert take(state).authors == [(ADA, 2), (BEN, 1), (ADA, 1)]


def test_what_is_not_integrated_is_new_however_often_it_comes() -> None:
    state = new_state()
    assert receive(state, ADA, summary((X, 0, 3), deletes=((X, 0, 1),))) is None
    take(state)
    assert receive(state, BEN, summary((X, 1, 2))) is None, "what it repeats may yet be rejected"
    assert state.is_new(b"", summary(deletes=((X, 0, 1),)))
    assert state.settle(1, known({X: 3}, ((X, 0, 1),))).acknowledge == {ADA: 1}
    assert not state.is_new(b"", summary((X, 1, 3), deletes=((X, 0, 1),)))
    assert state.is_new(b"", summary(deletes=((X, 1, 2),)))
    assert state.is_new(b"", summary((X, 2, 4)))
    assert settle(state, {X: 3}, rejected=(0,)).refuse == [BEN]


def test_a_repetition_is_acknowledged_at_once_when_all_before_it_is_committed() -> None:
    state = new_state()
    receive(state, ADA, summary((X, 0, 1)))
    settle(state, {X: 1})
    assert receive(state, ADA, summary((X, 0, 1))) == 2
    receive(state, ADA, summary((X, 1, 2)))
    assert receive(state, BEN, summary()) == 1, "an update that brings nothing at all, from somebody else"
    assert receive(state, ADA, summary((X, 0, 1))) == 0
    batch = take(state)
    assert receive(state, ADA, summary((X, 0, 1))) == 0
    assert state.settle(2, known({X: 2})).acknowledge == batch.counts == {ADA: 5}


def test_who_comes_back_is_counted_anew() -> None:
    state = new_state()
    receive(state, ADA, summary((X, 0, 1)))
    settle(state, {X: 1})
    state.leave(ADA)
    assert receive(state, ADA, summary((X, 0, 1))) == 1


def test_the_backlog_is_bounded_by_what_is_not_committed() -> None:
    state = new_state(max_backlog=100)
    receive(state, ADA, summary((X, 0, 1)), size=60)
    take(state)
    receive(state, ADA, summary((X, 1, 2)), size=30)
    assert state.backlog == 90
    assert not now(state.is_full)
    with pytest.raises(Overloaded):
        receive(state, ADA, summary((X, 2, 3)), size=11)
    assert state.is_new(b"", summary((X, 2, 3))), "what was refused was not taken"
    receive(state, ADA, summary((X, 2, 3)), size=10)
    assert now(state.is_full)
    assert receive(state, BEN, summary(), size=1_000) == 1, "what brings nothing takes no room"
    assert state.settle(1, known({X: 1})).acknowledge == {ADA: 1}
    assert state.backlog == 40
    assert settle(state, {X: 3}).acknowledge == {ADA: 3}
    assert state.backlog == 0


def test_what_is_abandoned_is_no_longer_waited_for() -> None:
    state = new_state()
    state.receive(ADA, b"lost", summary((X, 0, 1)))
    take(state)
    assert state.abandon().updates == [b"lost"]
    assert state.in_flight is None
    assert now(state.is_settled)


def test_an_early_update_is_kept_until_the_document_has_all_of_it() -> None:
    state = new_state()
    state.receive(ADA, b"early", summary((X, 1, 2)))
    settle(state, {})
    assert early_seqs(state) == [1]
    receive(state, ADA, summary((X, 0, 1)))
    assert settle(state, {X: 2}).integrated == [b"early"]
    assert early_seqs(state) == []
    assert state.clocks == {X: 2}


def test_an_early_deletion_waits_for_what_it_deletes() -> None:
    state = new_state()
    receive(state, ADA, summary(deletes=((X, 0, 2),)))
    settle(state, {})
    receive(state, BEN, summary((X, 0, 1)))
    assert settle(state, {X: 1}).integrated == []
    assert early_seqs(state) == [1]
    receive(state, BEN, summary((X, 1, 2)))
    settle(state, {X: 2})
    assert early_seqs(state) == []


def test_what_is_early_in_part_is_early() -> None:
    state = new_state()
    receive(state, ADA, summary((X, 0, 1), (X, 3, 4), needs=None))
    settle(state, {X: 1})
    assert early_seqs(state) == [1]


def test_who_sent_something_early_is_asked_once_for_each_gap() -> None:
    state = new_state()

    def asked_after(peer: int, brought: UpdateSummary) -> list[int]:
        receive(state, peer, brought)
        batch = take(state)
        state.settle(state.head + 1, known({}))
        return state.whom_to_ask(batch)

    assert asked_after(ADA, summary((X, 1, 2))) == [ADA]
    assert asked_after(ADA, summary((X, 2, 3))) == [], "the same gap"
    assert asked_after(BEN, summary((X, 3, 4))) == [BEN], "another connection may know more"
    assert asked_after(ADA, summary((Y, 1, 2))) == [ADA], "another gap"
    state.leave(ADA)
    assert asked_after(ADA, summary((X, 4, 5))) == [ADA], "a connection of its own"


def test_who_has_left_is_not_asked() -> None:
    state = new_state()
    receive(state, ADA, summary((X, 1, 2)))
    state.leave(ADA)
    batch = take(state)
    state.settle(1, known({}))
    assert state.whom_to_ask(batch) == []


def test_one_who_sent_two_early_updates_at_once_is_asked_once() -> None:
    state = new_state()
    receive(state, ADA, summary((X, 1, 2)))
    receive(state, ADA, summary((Y, 1, 2)))
    batch = take(state)
    state.settle(2, known({}))
    assert state.whom_to_ask(batch) == [ADA]


def test_beyond_the_bound_nothing_is_taken_that_waits_for_what_never_came() -> None:
    state = new_state(max_early=100)
    receive(state, ADA, summary((X, 1, 2)), size=60)
    with pytest.raises(Overloaded):
        receive(state, ADA, summary((X, 3, 4)), size=60)
    settle(state, {})
    for waiting in (
        summary((X, 3, 4)),
        summary((X, 2, 3)),
        summary((Y, 0, 1), needs=((Z, 0),)),
        summary(deletes=((Z, 0, 1),)),
        summary((Y, 0, 1), deletes=((Y, 0, 2),)),
        summary((Y, 5, 6), needs=None),
    ):
        with pytest.raises(Overloaded):
            receive(state, BEN, waiting, size=60)
    receive(state, BEN, summary((X, 3, 4)), size=40)


def test_beyond_the_bound_what_follows_is_taken_also_before_it_is_committed() -> None:
    state = new_state(max_early=0)
    receive(state, ADA, summary((X, 0, 1)))
    receive(state, ADA, summary((X, 1, 2), needs=((X, 0),)))
    take(state)
    receive(state, BEN, summary((Y, 0, 1), needs=((X, 1),)))
    receive(state, ADA, summary((X, 2, 4), deletes=((X, 0, 3), (Y, 0, 1))))
    state.settle(2, known({X: 2}))
    receive(state, BEN, summary((Y, 1, 2)))


def test_beyond_the_bound_what_may_end_the_waiting_is_taken_however_large() -> None:
    state = new_state(max_early=100, max_backlog=10_000)
    receive(state, ADA, summary((X, 5, 6)), size=100)
    settle(state, {})
    receive(state, ADA, summary((X, 0, 6), (Y, 0, 3), deletes=((X, 1, 4),), needs=None), size=5_000)
    settle(state, {X: 6, Y: 3})
    assert early_seqs(state) == []
    receive(state, ADA, summary((Z, 1, 2)), size=100)


def test_the_number_of_early_updates_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_module, "MAX_EARLY", 2)
    state = new_state()
    receive(state, ADA, summary((X, 1, 2)))
    take(state)
    receive(state, ADA, summary((X, 3, 4)))
    with pytest.raises(Overloaded):
        receive(state, ADA, summary((X, 5, 6)))
    state.settle(1, known({}))
    with pytest.raises(Overloaded):
        receive(state, ADA, summary((X, 5, 6)))


def test_a_rejected_update_is_neither_relayed_nor_acknowledged_nor_early() -> None:
    state = new_state()
    state.receive(ADA, b"good", summary((X, 1, 2)))
    state.receive(BEN, b"bad", summary((Y, 1, 2)))
    settled = settle(state, {}, rejected=(1,))
    assert relayed(settled) == [(ADA, b"good")]
    assert settled.refuse == [BEN]
    assert settled.acknowledge == {ADA: 1}
    assert [early.update for early in state.early] == [b"good"]


def test_after_a_rejection_the_same_ids_are_new_again() -> None:
    state = new_state(max_early=0)
    receive(state, ADA, summary((X, 0, 2)))
    receive(state, BEN, summary((Y, 0, 2)))
    settle(state, {X: 2}, rejected=(1,))
    assert not state.is_new(b"", summary((X, 0, 2)))
    assert state.is_new(b"", summary((Y, 0, 2)))
    with pytest.raises(Overloaded):
        receive(state, ADA, summary((Y, 2, 3)))


def test_restoring_keeps_what_is_early_and_what_is_deleted() -> None:
    state = new_state()
    early = Early(3, b"early", summary((Y, 1, 2), deletes=((Z, 0, 1),)))
    late = Early(4, b"done", summary((X, 1, 2)))
    state.restore(4, known({X: 2}, ((X, 0, 1),)), [early, late])
    assert (state.head, state.clocks, state.early) == (4, {X: 2}, [early])
    assert not now(state.is_blank)
    assert not state.is_new(b"", summary((X, 0, 2), deletes=((X, 0, 1),)))
    assert state.is_new(b"", summary(deletes=((X, 1, 2),)))
    assert state.is_new(b"", summary((Y, 0, 1)))


def test_while_a_document_is_not_to_be_trusted_only_what_it_surely_had_is_known() -> None:
    state = new_state()
    state.restore(1, known({X: 5, Y: 3, Z: 2}, ((X, 0, 1),)), [Early(1, b"early", summary((Z, 1, 9)))])
    receive(state, ADA, summary((X, 4, 5), (Y, 0, 1), (40, 0, 1)))
    take(state)
    state.distrust()
    assert state.clocks == {X: 4, Y: 0, Z: 1}
    assert not state.is_new(b"", summary((X, 0, 4)))
    assert state.is_new(b"", summary((X, 0, 5)))
    assert state.is_new(b"", summary(deletes=((X, 0, 1),)))


def test_what_was_dropped_is_not_early_any_more() -> None:
    state = new_state()
    state.receive(ADA, b"harmful", summary((X, 5, 6)))
    settle(state, {})
    state.receive(BEN, b"harmful too", summary((Y, 5, 6)))
    batch = take(state)
    settled = state.settle(2, Known({}, IdRanges(), Waiting()))
    assert settled.dropped == [1, 2]
    assert settled.integrated == []
    assert state.early == []
    assert state.whom_to_ask(batch) == []


# With real updates


CLAIM = Writer(X)
CLAIM.append("1")
CLAIMED = CLAIM.append("2")
"""An update that waits for one that nobody else has."""
OTHER = Writer(X)
OTHER.append("a")
REAL = OTHER.append("b")
"""One with the same ids."""


def test_ids_that_somebody_claimed_are_still_new() -> None:
    state, replica = new_state(), Replica()
    state.receive(BEN, CLAIMED, check_update(CLAIMED))
    assert state.is_new(CLAIMED, check_update(CLAIMED)), "it may be rejected yet"
    commit(state, replica)
    assert early_seqs(state) == [1]
    assert not state.is_new(CLAIMED, check_update(CLAIMED))
    assert state.receive(ADA, REAL, check_update(REAL)) is None
    commit(state, replica)
    assert early_seqs(state) == [1, 2]
    assert state.receive(ADA, REAL, check_update(REAL)) == 2


def test_what_is_early_is_known_however_it_is_packed() -> None:
    state, replica = new_state(), Replica()
    for author, update in ((BEN, CLAIMED), (ADA, REAL), (BEN, Writer(Y).append("there"))):
        state.receive(author, update, check_update(update))
    deleted = b"\0\1" + bytes([Z, 1, 3, 4])
    state.receive(BEN, deleted, check_update(deleted))
    commit(state, replica)
    packed = bytearray(merge_updates(CLAIMED, replica.state()))
    assert packed[0] == 2
    packed[-1:] = deleted[1:]
    assert not state.is_new(bytes(packed), check_update(bytes(packed)))
    packed[-1] += 1
    assert state.is_new(bytes(packed), check_update(bytes(packed)))


def test_what_others_overtook_is_not_waited_for() -> None:
    state, replica = new_state(), Replica()
    waits = b"\1\1" + bytes([X, 1, 0x84, Z, 3, 1]) + b"?\0"
    state.receive(BEN, waits, check_update(waits))
    commit(state, replica)
    assert early_seqs(state) == [1]
    assert waits in replica.known.waiting
    state.receive(ADA, OTHER.state, check_update(OTHER.state))
    commit(state, replica)
    assert early_seqs(state) == []
    assert not replica.known.waiting
