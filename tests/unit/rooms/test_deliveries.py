"""How long edits take is told when they were written; clients are asked now and then what the rest takes."""

import asyncio

from collabd.rooms.deliveries import ASK_SECONDS, LATE_SECONDS, Deliveries

from .kit import House, Member, Notes, turns


class Office:
    """A document with three people, at a time that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0
        self.house = House(clock=lambda: self.now)
        self.notes = self.house.notes

    async def open(self) -> "Office":
        room = await self.house.room()
        self.members = [Member(room, client).join() for client in (1, 2, 3)]
        return self

    async def edit(self) -> None:
        self.members[0].type("x")
        await turns()

    @property
    def asked(self) -> list[int]:
        return [len(member.got.pings) for member in self.members]


async def test_half_of_all_have_an_edit_when_half_of_them_were_written_to() -> None:
    notes = Notes()
    deliveries = Deliveries(asyncio.get_running_loop(), lambda: 101.0, notes)
    deliveries.sent([(99.0, 1)], (), 100.0)
    deliveries.sent([(98.0, 2), (99.5, 3)], (), 100.0)
    deliveries.sent([], (), 100.0)  # others' edits
    assert notes.delivered_updates == [(1, 1.5), (2, 2.5), (1, 1.0)], "half of all have it at 100.5"


async def test_while_there_are_edits_one_after_the_other_is_asked_now_and_then() -> None:
    office = await Office().open()
    await office.edit()
    await office.edit()
    assert sum(office.asked) == 1
    for _ in range(5):
        office.now += ASK_SECONDS
        await office.edit()
    assert office.asked == [2, 2, 2]
    office.now += 10 * ASK_SECONDS
    await turns()
    assert office.asked == [2, 2, 2], "nobody edits"


async def test_what_the_answer_takes_is_told_unless_it_takes_too_long() -> None:
    office = await Office().open()
    await office.edit()
    (first,) = [ping for member in office.members for ping in member.got.pings]
    office.now += 0.25
    first()
    assert office.notes.round_trips == [0.25]
    await office.edit()
    office.now += LATE_SECONDS
    for member in office.members:
        for ping in member.got.pings:
            if ping is not first:
                ping()
    assert office.notes.round_trips == [0.25]


async def test_nobody_is_asked_when_all_have_gone() -> None:
    office = await Office().open()
    office.members[0].type("x")
    for member in office.members:
        office.members[0].room.leave(member.peer)
    await turns()
    assert office.asked == [0, 0, 0]
    assert office.notes.delivered_updates == [(1, 0.0)]
