"""How long edits take is told when they were written; clients are asked now and then what the rest takes."""

from typing import Any, cast

from collabd.rooms.delays import Turn
from collabd.rooms.deliveries import ASK_SECONDS, LATE_SECONDS, Deliveries
from collabd.rooms.peer import Peer

from .kit import House, ManualLoop, Member, Notes, Recorder, turns

AN_EDIT: list[Turn] = [(0.0, 1)]


class Office:
    """Three people who are sent edits, at a time that the test sets."""

    def __init__(self) -> None:
        self.loop = ManualLoop()
        self.notes = Notes()
        self.deliveries = Deliveries(cast("Any", self.loop), self.loop.time, self.notes)
        self.outboxes = [Recorder() for _ in range(3)]
        self.peers = [Peer(outbox) for outbox in self.outboxes]

    def edit(self) -> None:
        self.deliveries.sent(AN_EDIT, self.peers, self.loop.now)

    @property
    def asked(self) -> list[int]:
        return [len(outbox.pings) for outbox in self.outboxes]


def test_half_of_all_have_an_edit_when_half_of_them_were_written_to() -> None:
    notes = Notes()
    deliveries = Deliveries(cast("Any", ManualLoop()), lambda: 101.0, notes)
    deliveries.sent([(99.0, 1)], (), 100.0)
    deliveries.sent([(98.0, 2), (99.5, 3)], (), 100.0)
    deliveries.sent([], (), 100.0)  # others' edits
    assert notes.delivered_updates == [(1, 1.5), (2, 2.5), (1, 1.0)], "half of all have it at 100.5"


def test_while_there_are_edits_one_after_the_other_is_asked_now_and_then() -> None:
    office = Office()
    office.edit()
    office.edit()
    assert office.asked == [0, 0, 0], "let them rest"
    office.loop.advance(ASK_SECONDS)
    assert sum(office.asked) == 1
    for _ in range(5):
        office.edit()
        office.loop.advance(ASK_SECONDS)
    assert office.asked == [2, 2, 2]
    office.loop.advance(10 * ASK_SECONDS)
    assert office.asked == [2, 2, 2], "nobody edits"


def test_what_the_answer_takes_is_told_unless_it_takes_too_long() -> None:
    office = Office()
    office.edit()
    office.loop.advance(ASK_SECONDS)
    (first,) = [ping for outbox in office.outboxes for ping in outbox.pings]
    office.loop.advance(0.25)
    first()
    assert office.notes.round_trips == [0.25]
    office.edit()
    office.loop.advance(ASK_SECONDS)
    (second,) = [ping for outbox in office.outboxes for ping in outbox.pings if ping is not first]
    office.loop.advance(LATE_SECONDS)
    second()
    assert office.notes.round_trips == [0.25]


def test_nobody_is_asked_when_all_have_gone() -> None:
    office = Office()
    office.edit()
    office.peers.clear()
    office.loop.advance(ASK_SECONDS)
    assert office.asked == [0, 0, 0]


def test_an_edit_that_reaches_nobody_does_not_keep_others_from_being_asked() -> None:
    office = Office()
    office.deliveries.sent(AN_EDIT, (), office.loop.now)
    office.loop.advance(ASK_SECONDS / 2)
    office.edit()
    office.loop.advance(ASK_SECONDS)
    assert sum(office.asked) == 1


async def test_an_edit_that_reaches_nobody_is_told_too() -> None:
    house = House()
    member = Member(await house.room(), 1).join()
    member.type("x")
    member.room.leave(member.peer)
    await turns()
    assert [updates for updates, _ in house.notes.delivered_updates] == [1]


async def test_how_long_an_edit_takes_counts_from_its_reading() -> None:
    now = 100.0
    house = House(clock=lambda: now)
    room = await house.room()
    member = Member(room, 1).join()
    receive = room._state.receive

    def look_for_long(*arguments: Any) -> int | None:
        nonlocal now
        now += 0.25
        return receive(*arguments)

    room._state.receive = look_for_long  # type: ignore[assignment, method-assign]
    member.type("x")
    await turns()
    assert house.notes.delivered_updates == [(1, 0.25)]
