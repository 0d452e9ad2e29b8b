"""How long edits take is told for each turn of the event loop in which some came."""

from collabd.rooms.delays import Delays, delivered

from .kit import House, Member, turns


def test_updates_count_from_the_turn_in_which_they_came() -> None:
    delays = Delays()
    delays.begin_turn(10.0)
    delays.end_turn(2)
    delays.hand_over()
    delays.begin_turn(11.0)
    delays.end_turn(3)
    delays.begin_turn(12.0)
    delays.end_turn(4)
    assert list(delivered(delays.settle(), 12.5)) == [(2, 2.5)]
    delays.begin_turn(13.0)
    delays.end_turn(4)
    delays.hand_over()
    assert list(delivered(delays.settle(), 15.0)) == [(3, 4.0), (1, 3.0)]
    assert list(delivered(delays.settle(), 16.0)) == []


async def test_a_room_tells_how_long_its_edits_took() -> None:
    now = 100.0
    house = House(holds=True, clock=lambda: now)
    room = await house.room()
    ada, bob = Member(room, 1).join(), Member(room, 2).join()
    ada.type("one ")
    await turns()
    now = 101.0
    bob.type("two ")
    bob.type("three ")
    await turns()
    now = 103.0
    house.store.release()
    await turns()
    assert house.notes.delivered_updates == [(1, 3.0)]
    now = 104.0
    house.store.release()
    await turns()
    assert house.notes.delivered_updates == [(1, 3.0), (2, 3.0)]


async def test_an_edit_does_not_count_from_the_reading_of_one_before_the_commit() -> None:
    now = 100.0
    house = House(holds=True, clock=lambda: now)
    room = await house.room()
    ada, bob = Member(room, 1).join(), Member(room, 2).join()
    ada.type("one ")
    await turns()
    now = 101.0
    bob.type("two ")
    await turns()
    now = 103.0
    house.store.release()
    while not room._flush_is_due:
        await turns(1)
    ada.type("three ")
    await turns()
    now = 104.0
    house.store.release()
    await turns()
    assert house.notes.delivered_updates == [(1, 3.0), (1, 3.0), (1, 1.0)]


async def test_an_edit_does_not_count_from_the_reading_of_one_before_a_rebuild() -> None:
    now = 100.0
    house = House(clock=lambda: now)
    room = await house.room()
    ada = Member(room, 1).join()
    ada.type("one ")
    await turns()
    now = 160.0
    room._answer_postponed()
    ada.type("two ")
    await turns()
    assert house.notes.delivered_updates == [(1, 0.0), (1, 0.0)]
