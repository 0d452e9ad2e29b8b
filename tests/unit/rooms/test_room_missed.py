"""Somebody else writes into the log of a document that is open here."""

import pytest

from collabd.protocol import wire

from .kit import SAVED_AS, House, Member, Writer, calm, text_of, turns
from .test_room_claims import MALLORY

pytestmark = pytest.mark.timeout(20)


async def append(house: House, *updates: bytes) -> None:
    document = await house.store.find(SAVED_AS)
    holds, house.store.holds = house.store.holds, False
    await house.store.append(SAVED_AS, document.id if document else None, updates)
    house.store.holds = holds


async def test_what_somebody_else_logged_is_read_and_relayed() -> None:
    house = House()
    room = await house.room()
    ada, ben = Member(room, 1).join(), Member(room, 2).join()
    ada.type("ada ")
    await calm(room, [ada, ben])
    other = Writer(3)
    other.take(ada.writer.state)
    seen, deleted = other.insert(0, "other "), other.delete(6, 7)
    missing, early = other.append("missing "), other.append("early ")
    await append(house, seen, deleted, early)
    ada.type("again ")
    await calm(room, [ada, ben])
    assert text_of(room.state()) == "other da again "
    assert ada.text.startswith("other da ")
    assert early in ada.got.updates
    assert early in ben.got.updates
    assert ada.got.saved[-1] >= 2
    assert room.head == await house.store.rows() == 5
    assert house.notes.early_now == 1
    loads = house.store.loads
    ben.writer.take(missing)
    ben.send(missing)
    await calm(room, [ada, ben])
    assert house.store.loads == loads
    assert ada.text == ben.text == text_of(room.state())
    assert sorted(ada.text.split()) == ["again", "da", "early", "missing", "other"]
    assert room.head == await house.store.rows() == 6
    assert text_of((await house.restarted().room()).state()) == ada.text


async def test_what_is_logged_while_it_is_read_is_read_too() -> None:
    house = House(holds=True)
    room = await house.room()
    ada = Member(room, 1).join()
    ada.type("ada ")
    await turns()
    await append(house, Writer(2).append("before "))
    house.store.may_load.clear()
    house.store.release()
    await turns()
    assert ada.got.saved == []
    await append(house, Writer(3).append("after "))
    ada.type("goes on ")
    house.store.may_load.set()
    await turns()
    assert room.head == 2, "what came after it was read"
    house.store.release()
    await calm(room, [ada])
    assert room.head == 4
    assert sorted(ada.text.split()) == ["ada", "after", "before", "goes", "on"]
    assert text_of(room.state()) == ada.text
    assert ada.got.saved[-1] >= 2


async def test_what_was_logged_right_after_the_batch_is_read_with_it() -> None:
    house = House(holds=True)
    room = await house.room()
    ada = Member(room, 1).join()
    ada.type("ada ")
    await turns()
    await append(house, Writer(2).append("before "))
    house.store.release()
    await append(house, Writer(3).append("after "))
    await calm(room, [ada])
    assert room.head == 3
    assert sorted(ada.text.split()) == ["ada", "after", "before"]
    loads = house.store.loads
    ada.type("goes on ")
    await turns()
    house.store.release()
    await calm(room, [ada])
    assert (room.head, house.store.loads) == (4, loads)


async def test_a_harmful_update_of_somebody_else_is_left_out() -> None:
    house = House()
    room = await house.room()
    ada = Member(room, 1).join()
    both = b"\1\2" + wire.uint(MALLORY) + b"\0" + bytes.fromhex("07010174000400") + wire.uint(MALLORY)
    await append(house, both + b"\0" + wire.text("x") + b"\0")
    ada.type("ada")
    await calm(room, [ada])
    assert ada.is_open
    assert ada.got.saved[0] == 1
    assert text_of(room.state()) == "ada"
