"""Somebody else writes into the log of a document that is open here."""

from collections.abc import AsyncIterator

import pytest

from collabd.errors import DocumentDamaged, DocumentDeleted, StoreUnavailable
from collabd.persistence.base import HistoryEntry
from collabd.protocol import wire
from collabd.rooms import registry as registry_module
from collabd.rooms import room as room_module

from .kit import SAVED_AS, House, Member, Writer, calm, text_of, turns
from .test_room_claims import MALLORY

pytestmark = pytest.mark.timeout(20)


async def append(house: House, *updates: bytes) -> None:
    document = await house.store.find(SAVED_AS)
    holds, house.store.holds = house.store.holds, False
    await house.store.append(SAVED_AS, document.id if document else None, updates)
    house.store.holds = holds


@pytest.fixture(params=["read from the log", "loaded anew"])
def is_kept(request: pytest.FixtureRequest) -> bool:
    """Whether the store still has, update by update, what the room missed."""
    return bool(request.param == "read from the log")


async def test_what_somebody_else_logged_is_taken_in_and_relayed(is_kept: bool) -> None:
    house = House()
    house.store.keeps_history = is_kept
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
    for member in (ada, ben):
        assert any(b"early " in update for update in member.got.updates)
    assert ada.got.saved[-1] >= 2
    assert room.head == await house.store.rows() == 5
    assert house.notes.early_now == 1
    assert house.store.loads == (1 if is_kept else 2)
    loads = house.store.loads
    ben.writer.take(missing)
    ben.send(missing)
    await calm(room, [ada, ben])
    assert house.store.loads == loads
    assert ada.text == ben.text == text_of(room.state())
    assert sorted(ada.text.split()) == ["again", "da", "early", "missing", "other"]
    assert room.head == await house.store.rows() == 6
    assert text_of((await house.restarted().room()).state()) == ada.text


async def test_what_is_logged_while_it_is_read_is_read_too(is_kept: bool) -> None:
    house = House(holds=True)
    house.store.keeps_history = is_kept
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
    assert room.head == (2 if is_kept else 3), "what came after it was read, or is loaded with it"
    house.store.release()
    await calm(room, [ada])
    assert room.head == 4
    assert sorted(ada.text.split()) == ["ada", "after", "before", "goes", "on"]
    assert text_of(room.state()) == ada.text
    assert ada.got.saved[-1] >= 2


async def test_what_was_logged_right_after_the_batch_is_loaded_with_it() -> None:
    house = House(holds=True)
    house.store.keeps_history = False
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


async def test_a_harmful_update_of_somebody_else_is_left_out(is_kept: bool) -> None:
    house = House()
    house.store.keeps_history = is_kept
    room = await house.room()
    ada = Member(room, 1).join()
    both = b"\1\2" + wire.uint(MALLORY) + b"\0" + bytes.fromhex("07010174000400") + wire.uint(MALLORY)
    await append(house, both + b"\0" + wire.text("x") + b"\0")
    ada.type("ada")
    await calm(room, [ada])
    assert ada.is_open
    assert ada.got.saved[0] == 1
    assert text_of(room.state()) == "ada"


# Following a store that is shared


async def test_people_who_only_read_see_what_another_process_wrote(is_kept: bool) -> None:
    house = House()
    house.store.keeps_history = is_kept
    room = await house.room()
    ada, ben = Member(room, 1).join(), Member(room, 2).join()
    ada.type("ada ")
    await calm(room, [ada, ben])
    other = Writer(3)
    other.take(ada.writer.state)
    await append(house, other.insert(0, "other "), other.delete(6, 7))
    await house.registry.follow()
    await calm(room, [ada, ben])
    assert ada.text == ben.text == text_of(room.state()) == "other da "
    assert room.head == 3
    heard = len(ada.got.messages)
    await house.registry.follow()
    await calm(room, [ada, ben])
    assert len(ada.got.messages) == heard, "there was nothing new"
    ben.type("ben")
    await calm(room, [ada, ben])
    assert ada.text == "other da ben"
    assert room.head == await house.store.rows() == 4


async def test_who_waits_for_a_document_sees_another_process_create_it() -> None:
    house = House()
    room = await house.room()
    ada = Member(room, 1).join()
    await calm(room, [ada])
    await house.registry.follow()
    assert ada.is_open
    await append(house, Writer(2).append("created"))
    await house.registry.follow()
    await calm(room, [ada])
    assert ada.text == "created"
    ada.type("!")
    await calm(room, [ada])
    assert (await house.store.load(SAVED_AS)).head == 2  # type: ignore[union-attr]
    assert ada.got.saved[-1] >= 1


async def test_edits_that_arrive_while_a_room_catches_up_follow_in_order() -> None:
    house = House()
    room = await house.room()
    ada, ben = Member(room, 1).join(), Member(room, 2).join()
    ada.type("ada ")
    await calm(room, [ada, ben])
    await append(house, Writer(3).append("other "))
    house.store.may_load.clear()
    await house.registry.follow()
    ada.type("goes on ")
    await turns()
    assert ben.text == "ada "
    house.store.may_load.set()
    await calm(room, [ada, ben])
    assert sorted(ben.text.split()) == ["ada", "goes", "on", "other"]
    assert room.head == await house.store.rows() == 3
    assert ada.got.saved[-1] >= 2


async def test_what_is_in_flight_is_not_taken_for_somebody_else_s() -> None:
    house = House(holds=True)
    room = await house.room()
    ada = Member(room, 1).join()
    ada.type("one ")
    await turns()
    await house.registry.follow()
    assert ada.is_open
    house.store.release()
    await house.registry.follow()
    await calm(room, [ada])
    assert (ada.is_open, room.head, house.store.loads) == (True, 1, 1)


async def test_a_room_that_catches_up_waits_for_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_module, "STORE_RETRY_SECONDS", 0.0)
    house = House()
    room = await house.room()
    ada, ben = Member(room, 1).join(), Member(room, 2).join()
    ada.type("ada ")
    await calm(room, [ada, ben])
    await append(house, Writer(3).append("other "))
    history, failures = house.store.history, [StoreUnavailable("down")] * 3

    def failing(*arguments: int, **which: int) -> AsyncIterator[list[HistoryEntry]]:
        if failures:
            raise failures.pop()
        return history(*arguments, **which)  # type: ignore[arg-type]

    monkeypatch.setattr(house.store, "history", failing)
    await house.registry.follow()
    ada.type("goes on ")
    await calm(room, [ada, ben])
    assert (ada.is_open, ben.is_open) == (True, True)
    assert sorted(ben.text.split()) == ["ada", "goes", "on", "other"]


async def test_a_document_that_another_process_deleted_is_closed() -> None:
    house = House()
    room = await house.room()
    ada = Member(room, 1).join()
    ada.type("ada ")
    await calm(room, [ada])
    await house.store.delete(SAVED_AS)
    await house.registry.follow()
    assert isinstance(ada.got.closed_by, DocumentDeleted)
    assert house.registry.get(SAVED_AS) is None
    assert house.notes.rooms == 0


async def test_a_document_that_another_process_made_anew_is_not_mixed_with_the_old_one() -> None:
    house = House()
    room = await house.room()
    ada = Member(room, 1).join()
    ada.type("old ")
    await calm(room, [ada])
    await house.store.delete(SAVED_AS)
    await house.store.append(SAVED_AS, None, [Writer(2).append("new")], revive=True)
    await house.registry.follow()
    assert isinstance(ada.got.closed_by, DocumentDeleted)
    assert text_of((await house.room()).state()) == "new"


async def test_a_document_that_another_process_put_in_quarantine_is_closed() -> None:
    house = House()
    room = await house.room()
    ada = Member(room, 1).join()
    ada.type("ada ")
    await calm(room, [ada])
    assert room.document_id is not None
    await house.store.quarantine(room.document_id, "it ended the process")
    await house.registry.follow()
    assert isinstance(ada.got.closed_by, DocumentDamaged)


async def test_many_rooms_are_asked_about_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "FOLLOW_AT_ONCE", 2)
    house = House()
    rooms = [await house.room(name) for name in ("a", "b", "c", "d", "e")]
    for room in rooms:
        await house.store.append(room.name, None, [Writer(2).append(room.name)])
    await house.registry.follow()
    for room in rooms:
        await room.flushed()
    assert [text_of(room.state()) for room in rooms] == ["a", "b", "c", "d", "e"]
