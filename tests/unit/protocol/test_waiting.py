"""What waits for others, and when it does not any more."""

from collections.abc import Iterable

from collabd.protocol.intake import Intake
from collabd.protocol.ranges import IdRanges
from collabd.protocol.update import check_update
from collabd.protocol.waiting import Range, Waiting
from tests.unit.protocol.test_intake import ARRAY_IN_ROOT, HELLO, run, typed

A, B = 5, 6
"""Clients."""


def waits(waiting: Waiting, update: bytes, *needed: tuple[int, int], deletes: Iterable[Range] = ()) -> None:
    """Keep an update of one piece for each id it needs."""
    waiting.add(update, [(A, 0, 1, update)], tuple(deletes))
    for number, id_ in enumerate(needed):
        waiting.put_to_sleep(update, id_, (A, 9), bytes([number]))


def test_pieces_wake_in_the_order_of_what_they_need_and_then_of_the_log() -> None:
    waiting = Waiting()
    waits(waiting, b"z", (B, 3))
    waits(waiting, b"a", (B, 3), (B, 1))
    assert waiting.wake(B, {B: 1}) is None
    woken = []
    while (piece := waiting.wake(B, {B: 4})) is not None:
        woken.append(piece)
        waiting.done(piece[1])
    assert woken == [(b"\1", b"a"), (b"\0", b"z"), (b"\0", b"a")]
    assert not waiting


def test_a_piece_wakes_once_whether_what_it_needs_comes_or_its_own_place_is_taken() -> None:
    for first, then in ((A, B), (B, A)):
        waiting = Waiting()
        waits(waiting, b"x", (B, 3))
        assert waiting.wake(first, {A: 10, B: 4}) == (b"\0", b"x")
        assert waiting.wake(then, {A: 10, B: 4}) is None


def test_nothing_is_kept_of_what_was_dropped() -> None:
    waiting = Waiting()
    for number in range(100):
        waits(waiting, b"%d" % number, (B, 1000))
        waiting.drop(b"%d" % number)
    waiting.drop(b"never came")
    assert not waiting
    assert b"1" not in waiting
    assert waiting._sleepers == {}
    assert waiting._holders == {}
    assert waiting._clients == {}


def test_what_woke_otherwise_does_not_pile_up() -> None:
    waiting = Waiting()
    waiting.add(b"stays", [], ())
    waiting.put_to_sleep(b"stays", (B, 1_000_000), (B, 1_000_000), b"stays")
    for number in range(1_000):
        update = b"%d" % number
        waits(waiting, update, (B, 1_000))
        assert waiting.wake(A, {A: 10}) is not None
        if update in waiting:
            waiting.done(update)
    assert sum(map(len, waiting._sleepers.values())) <= 10


def test_the_rest_is_taken_in_once_somebody_else_has_brought_what_it_begins_with() -> None:
    intake = Intake(HELLO)
    two = run(A, 0, "8407030161", "84010401" + "62")
    assert intake.offer(two) == []
    assert intake.waiting
    mine = typed(A, 0, (1, 4))
    assert [step.update for step in intake.offer(mine)] == [mine, run(A, 1, "8401040162")]
    assert not intake.waiting


def test_a_harmful_part_takes_all_that_waits_of_its_update_with_it() -> None:
    intake = Intake()
    update = bytes.fromhex("02 0102000400010001 78 01030084090901 79 0101010403")
    assert intake.offer(update) == []
    again = typed(3, 0, (9, 9), "y")
    assert intake.waiting.repeats(again, check_update(again), intake.clocks, intake.deletes)
    array = run(1, 0, ARRAY_IN_ROOT)
    assert [step.update for step in intake.offer(array)] == [array]
    assert not intake.waiting
    assert not intake.waiting.repeats(again, check_update(again), intake.clocks, intake.deletes)


def test_only_the_same_bytes_at_the_same_ids_are_repeated() -> None:
    intake = Intake()
    update = typed(A, 3, (9, 9), "abc")
    intake.offer(update)
    for other, is_known in (
        (update, True),
        (typed(A, 3, (9, 9), "abd"), False),
        (typed(A, 3, (9, 8), "abc"), False),
        (typed(A, 4, (9, 9), "abc"), False),
        (typed(B, 3, (9, 9), "abc"), False),
        (run(A, 3, "84090903616263", deletes="0105010001"), False),
    ):
        assert intake.waiting.repeats(other, check_update(other), {}, IdRanges()) == is_known


def test_a_deletion_counts_if_what_it_came_with_stands_here_too() -> None:
    intake = Intake()
    both = run(A, 3, "8409090161", deletes="0108010204")
    intake.offer(both)
    alone = bytes.fromhex("000108010302")
    assert not intake.waiting.repeats(alone, check_update(alone), {}, IdRanges())
    assert intake.waiting.repeats(both, check_update(both), {}, IdRanges())
    intake.offer(alone)
    assert intake.waiting.repeats(alone, check_update(alone), {}, IdRanges())
    # Of a range that is integrated in part, that part must be deleted already.
    assert not intake.waiting.repeats(alone, check_update(alone), {8: 4}, IdRanges())
    assert intake.waiting.repeats(alone, check_update(alone), {8: 4}, IdRanges([(8, 3, 4)]))


def test_a_deletion_counts_once_nothing_it_came_with_is_waited_for() -> None:
    intake = Intake()
    intake.offer(run(A, 3, "8409090161", deletes="0108010204"))
    alone = bytes.fromhex("000108010302")
    assert not intake.waiting.repeats(alone, check_update(alone), {A: 3}, IdRanges())
    assert intake.waiting.repeats(alone, check_update(alone), {A: 4}, IdRanges())
