"""What a room decides about single updates; see test_state_laws for what holds of any sequence of them."""

import pytest

from collabd.errors import Overloaded
from collabd.protocol.ranges import IdRanges
from collabd.protocol.update import UpdateSummary, check_update
from collabd.rooms import state as state_module
from collabd.rooms.state import Batch, Early, RoomState, Settled

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
    return state.settle(state.head + len(batch.updates), clocks, rejected)


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
    state.restore(1, {}, IdRanges(), state.early)
    assert state.head == 1
    assert now(state.is_blank)


def test_updates_are_handed_out_in_order_one_batch_at_a_time() -> None:
    state = new_state()
    state.receive(ADA, b"first", summary((X, 0, 1)))
    state.receive(BEN, b"second", summary((Y, 0, 1)))
    batch = take(state)
    assert (batch.updates, batch.authors, batch.size) == ([b"first", b"second"], [ADA, BEN], 11)
    state.receive(ADA, b"third", summary((X, 1, 2)))
    assert state.take_batch() is None
    assert not now(state.has_pending)
    assert state.settle(2, {X: 1, Y: 1}).relay == [(ADA, b"first"), (BEN, b"second")]
    assert now(state.has_pending)
    assert take(state).updates == [b"third"]


def test_what_is_in_flight_is_not_new() -> None:
    state = new_state()
    assert receive(state, ADA, summary((X, 0, 3), deletes=((X, 0, 1),))) is None
    take(state)
    assert receive(state, BEN, summary((X, 1, 2))) is None, "acknowledged with what it repeats"
    assert not state.is_new(summary(deletes=((X, 0, 1),)))
    assert state.is_new(summary(deletes=((X, 1, 2),)))
    assert state.is_new(summary((X, 2, 4)))
    assert state.settle(1, {X: 3}).acknowledge == {ADA: 1, BEN: 1}


def test_a_repetition_is_acknowledged_at_once_when_all_before_it_is_committed() -> None:
    state = new_state()
    receive(state, ADA, summary((X, 0, 1)))
    settle(state, {X: 1})
    assert receive(state, ADA, summary((X, 0, 1))) == 2
    assert receive(state, BEN, summary()) == 1, "an update that brings nothing at all"
    receive(state, ADA, summary((X, 1, 2)))
    assert receive(state, ADA, summary((X, 0, 1))) is None
    assert settle(state, {X: 2}).acknowledge == {ADA: 4}


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
    assert state.is_new(summary((X, 2, 3))), "what was refused was not taken"
    receive(state, ADA, summary((X, 2, 3)), size=10)
    assert now(state.is_full)
    assert receive(state, BEN, summary((X, 0, 1)), size=1_000) is None, "a repetition takes no room"
    assert state.settle(1, {X: 1}).acknowledge == {ADA: 1}
    assert state.backlog == 40
    assert settle(state, {X: 3}).acknowledge == {ADA: 3, BEN: 1}
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
        state.settle(state.head + 1, {})
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
    state.settle(1, {})
    assert state.whom_to_ask(batch) == []


def test_one_who_sent_two_early_updates_at_once_is_asked_once() -> None:
    state = new_state()
    receive(state, ADA, summary((X, 1, 2)))
    receive(state, ADA, summary((Y, 1, 2)))
    batch = take(state)
    state.settle(2, {})
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
    state.settle(2, {X: 2})
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
    state.settle(1, {})
    with pytest.raises(Overloaded):
        receive(state, ADA, summary((X, 5, 6)))


def test_a_rejected_update_is_neither_relayed_nor_acknowledged_nor_early() -> None:
    state = new_state()
    state.receive(ADA, b"good", summary((X, 1, 2)))
    state.receive(BEN, b"bad", summary((Y, 1, 2)))
    settled = settle(state, {}, rejected=(1,))
    assert settled.relay == [(ADA, b"good")]
    assert settled.refuse == [BEN]
    assert settled.acknowledge == {ADA: 1}
    assert [early.update for early in state.early] == [b"good"]


def test_after_a_rejection_the_same_ids_are_new_again() -> None:
    state = new_state()
    receive(state, ADA, summary((X, 0, 2)))
    receive(state, BEN, summary((Y, 0, 2)))
    settle(state, {X: 2}, rejected=(1,))
    receive(state, ADA, summary((Z, 0, 1)))
    state.restore(2, {X: 2}, IdRanges(), state.early)
    assert not state.is_new(summary((X, 0, 2)))
    assert state.is_new(summary((Y, 0, 2)))
    assert not state.is_new(summary((Z, 0, 1))), "what is pending stays received"


def test_restoring_keeps_what_is_early_and_what_is_deleted() -> None:
    state = new_state()
    early = Early(3, b"early", summary((Y, 1, 2), deletes=((Z, 0, 1),)))
    late = Early(4, b"done", summary((X, 1, 2)))
    state.restore(4, {X: 2}, IdRanges([(X, 0, 1)]), [early, late])
    assert (state.head, state.clocks, state.early) == (4, {X: 2}, [early])
    assert not now(state.is_blank)
    assert not state.is_new(summary((X, 0, 2), (Y, 1, 2), deletes=((X, 0, 1), (Z, 0, 1))))
    assert state.is_new(summary(deletes=((X, 1, 2),)))
    assert state.is_new(summary((Y, 0, 1)))
