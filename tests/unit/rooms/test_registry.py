"""Each document is open once, whatever is asked for at the same time."""

import asyncio

import pytest

from collabd.errors import (
    DocumentDamaged,
    DocumentDeleted,
    DocumentExists,
    InvalidName,
    MalformedInput,
    NoSuchDocument,
    Overloaded,
    ShuttingDown,
    StoreUnavailable,
    UpdateRejected,
)
from collabd.persistence.base import Compaction
from collabd.persistence.memory import MemoryStore
from collabd.rooms import replica as replica_module
from collabd.rooms.outbox import QueuedOutbox
from collabd.rooms.peer import Peer
from collabd.rooms.registry import Registry
from collabd.rooms.room import DocumentRoom

from .kit import POISON, SAVED_AS, House, Member, PanicException, Writer, faulty_doc, text_of, turns

pytestmark = pytest.mark.timeout(20)


async def written(text: str = "hello") -> House:
    """A store that holds the document, and nothing open."""
    house = House()
    await house.store.append(SAVED_AS, None, [Writer(1).append(text)])
    return house


def later(house: House) -> float:
    """A time at which whatever is idle has been so for long enough."""
    return asyncio.get_running_loop().time() + 31.0


# Opening


async def test_fifty_at_once_open_one_room_with_one_load() -> None:
    house = await written()
    house.store.may_load.clear()
    outboxes = [QueuedOutbox(1_000) for _ in range(50)]
    joining = [asyncio.create_task(house.registry.join(SAVED_AS, Peer(outbox))) for outbox in outboxes]
    await turns()
    house.store.may_load.set()
    rooms = set(await asyncio.gather(*joining))
    assert house.store.loads == 1
    assert len(rooms) == 1
    assert len(list(rooms.pop().peers)) == 50
    assert (house.notes.rooms, house.notes.peers) == (1, 50)


async def test_the_others_get_their_room_when_the_first_gives_up() -> None:
    house = await written()
    house.store.may_load.clear()
    opening = [asyncio.create_task(house.room()) for _ in range(5)]
    await turns()
    opening[0].cancel()
    await turns()
    house.store.may_load.set()
    rooms = await asyncio.gather(*opening[1:])
    assert opening[0].cancelled()
    assert house.store.loads == 1
    assert all(room is rooms[0] for room in rooms)


async def test_a_failed_load_is_told_to_all_and_the_next_tries_again() -> None:
    house = await written()
    house.store.load_errors = [DocumentDamaged("a row does not match its checksum")]
    outcomes = await asyncio.gather(*(house.room() for _ in range(5)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [DocumentDamaged] * 5
    assert house.store.loads == 1
    assert house.registry.get(SAVED_AS) is None
    assert text_of((await house.room()).state()) == "hello"


async def test_a_load_that_fails_after_everybody_gave_up_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    house = await written()
    house.store.may_load.clear()
    opening = asyncio.create_task(house.room())
    await turns()
    opening.cancel()
    await turns()
    house.store.load_errors = [StoreUnavailable("x")]
    house.store.may_load.set()
    await turns()
    assert "never retrieved" not in caplog.text


async def test_a_room_stays_open_for_all_that_come() -> None:
    house = await written()
    assert await house.room() is await house.room() is house.registry.get(SAVED_AS)
    assert house.registry.get("other") is None


@pytest.mark.parametrize("name", ["", "a//b", "a\nb", "x" * 256])
async def test_what_is_no_name_opens_and_deletes_nothing(name: str) -> None:
    house = House()
    for attempt in (
        house.registry.open(name),
        house.registry.delete(name),
        house.registry.create(name, Writer(1).append("x")),
    ):
        with pytest.raises(InvalidName):
            await attempt
    assert house.store.loads == 0


async def test_a_room_that_cannot_be_made_from_what_is_stored_is_told_and_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House()
    snapshot = Writer(1).append(POISON)
    appended = await house.store.append(SAVED_AS, None, [snapshot])
    await house.store.compact(appended.document_id, Compaction(0, 1, snapshot, keep_history=False))
    monkeypatch.setattr(replica_module, "Doc", faulty_doc([PanicException("corrupt")]))
    with pytest.raises(DocumentDamaged):
        await house.room()
    assert f"document {SAVED_AS} cannot be opened" in caplog.text


async def test_a_room_that_ended_is_replaced() -> None:
    house = await written()
    first = await house.room()
    first.end(StoreUnavailable("not now"))
    second = await house.room()
    assert second is not first
    assert house.notes.rooms == 1


# Putting away


async def test_an_idle_room_is_put_away_and_opened_again_complete() -> None:
    house = await written()
    room = await house.room()
    ada = Member(room, 2).join()
    ada.read()
    ada.type(" world")
    await room.flushed()
    house.registry.tick(later(house))
    assert house.registry.get(SAVED_AS) is room, "somebody is here"
    ada.leave()
    await turns()
    house.registry.tick(room.idle_since + 29.9)
    assert house.registry.get(SAVED_AS) is room, "not for long enough"
    house.registry.tick(room.idle_since + 30.0)
    assert house.registry.get(SAVED_AS) is None
    assert house.notes.rooms == 0
    again = await house.room()
    assert again is not room
    assert text_of(again.state()) == ada.text


async def test_a_room_with_something_under_way_is_not_idle() -> None:
    house = House(holds=True)
    room = await house.room()
    ada = Member(room, 1).join()
    ada.type("x")
    await turns()
    ada.leave()
    await turns()
    house.registry.tick(later(house))
    assert house.registry.get(SAVED_AS) is room
    house.store.release()
    await turns()
    house.registry.tick(room.idle_since + 30.0)
    assert house.registry.get(SAVED_AS) is None
    assert text_of((await house.room()).state()) == "x"


async def test_a_room_put_away_between_opening_and_joining_takes_nobody() -> None:
    house = await written()
    kept = await house.room()
    house.registry.tick(later(house))
    current = await house.room()
    Member(current, 2).join().type("!")
    with pytest.raises(Overloaded) as refusal:
        kept.join(Member(kept, 3).peer)
    assert refusal.value.retry
    with pytest.raises(Overloaded):
        await kept.submit(Writer(4).append("x"))
    with pytest.raises(Overloaded):
        await kept.edit(lambda doc: None)
    await current.flushed()
    assert await house.store.rows() == 2, "one room writes"


async def test_what_waited_for_a_room_put_away_at_once_gets_a_new_one() -> None:
    house = await written()
    house.registry._idle_seconds = 0.0
    house.store.may_load.clear()
    opening = asyncio.create_task(house.room())
    await turns()
    house.store.may_load.set()
    while house.registry.get(SAVED_AS) is None:
        await asyncio.sleep(0)
    house.registry.tick(later(house))
    room = await opening
    assert not room.has_ended
    assert house.registry.get(SAVED_AS) is room
    assert house.store.loads == 2


async def test_early_updates_of_rooms_put_away_are_not_counted() -> None:
    house = House()
    room = await house.room()
    writer = Writer(1)
    writer.append("missing")
    await room.submit(writer.append("early"))
    assert house.notes.early_now == 1
    house.registry.tick(later(house))
    assert house.notes.early_now == 0
    await house.room()
    assert house.notes.early_now == 1


async def test_an_ended_room_is_let_go_of() -> None:
    house = await written()
    (await house.room()).end(StoreUnavailable("not now"))
    house.registry.tick(0.0)
    assert house.notes.rooms == 0


async def test_the_registry_ticks_by_itself() -> None:
    registry = Registry(MemoryStore(), keepalive_seconds=0.002)
    member = Member(await registry.open(SAVED_AS), 1).join()
    running = asyncio.create_task(registry.run())
    before = len(member.got.frames)
    while len(member.got.frames) < before + 2:
        await asyncio.sleep(0)
    running.cancel()


# Deleting


async def test_a_document_that_is_held_is_closed_with_all_it_received_and_opened_by_nobody() -> None:
    house = await written()
    ada = Member(await house.room(), 2).join()
    ada.send(Writer(2).append("!"))
    async with house.registry.held(SAVED_AS) as state:
        assert state is not None
        assert sorted(text_of(state)) == sorted("hello!")
        assert isinstance(ada.got.closed_by, Overloaded)
        with pytest.raises(Overloaded):
            await house.registry.open(SAVED_AS)
        with pytest.raises(Overloaded):
            await house.registry.held(SAVED_AS).__aenter__()
        await house.registry.open("other")
    assert (await house.room()).head == 2
    async with house.registry.held("nobody had it open") as state:
        assert state is None


async def test_a_room_that_nobody_uses_can_be_let_go_of_at_once() -> None:
    house = await written()
    room = await house.room()
    house.registry.unload(SAVED_AS)
    assert room.has_ended
    ada = Member(await house.room(), 2).join()
    house.registry.unload(SAVED_AS)
    assert house.registry.get(SAVED_AS) is not None
    assert ada.is_open


async def test_deleting_closes_everybody_for_good() -> None:
    house = await written()
    room = await house.room()
    ada = Member(room, 2).join()
    await house.registry.delete(SAVED_AS)
    assert isinstance(ada.got.closed_by, DocumentDeleted)
    assert ada.got.closed_by.close_code == 4410
    assert house.notes.rooms == 0
    with pytest.raises(DocumentDeleted):
        await house.room()
    with pytest.raises(DocumentDeleted):
        await house.registry.delete(SAVED_AS)


async def test_what_does_not_exist_cannot_be_deleted() -> None:
    house = House()
    with pytest.raises(NoSuchDocument):
        await house.registry.delete(SAVED_AS)
    ada = Member(await house.room(), 1).join()
    with pytest.raises(NoSuchDocument):
        await house.registry.delete(SAVED_AS)
    assert ada.is_open, "an empty document is none, but may become one"


async def test_an_update_in_flight_when_the_document_is_deleted_goes_with_it() -> None:
    house = await written()
    room = await house.room()
    ada, ben = Member(room, 2).join(), Member(room, 3).join()
    house.store.holds = True
    ada.type("too late")
    await turns()
    ada.type("later still")
    await house.registry.delete(SAVED_AS)
    house.store.release()
    await turns()
    assert isinstance(ada.got.closed_by, DocumentDeleted)
    assert (ada.got.saved, ben.got.updates) == ([], [])
    assert house.store.held == []


async def test_a_document_deleted_behind_the_room_s_back_ends_it_at_the_next_update() -> None:
    house = await written()
    ada = Member(await house.room(), 2).join()
    await house.store.delete(SAVED_AS)
    ada.type("too late")
    await turns()
    assert isinstance(ada.got.closed_by, DocumentDeleted)
    with pytest.raises(DocumentDeleted):
        await house.room()


async def test_a_room_loaded_while_its_document_is_deleted_is_not_served() -> None:
    house = await written()
    house.store.may_load.clear()
    opening = asyncio.create_task(house.room())
    await turns()
    await house.registry.delete(SAVED_AS)
    house.store.may_load.set()
    with pytest.raises(DocumentDeleted):
        await opening
    assert house.registry.get(SAVED_AS) is None
    assert (house.notes.rooms, house.notes.early_now) == (0, 0)


# Creating


async def test_a_document_is_created_once() -> None:
    house = House()
    room = await house.registry.create(SAVED_AS, Writer(1).append("hello"))
    assert text_of(room.state()) == "hello"
    with pytest.raises(DocumentExists):
        await house.registry.create(SAVED_AS, Writer(2).append("again"))
    assert text_of((await house.room()).state()) == "hello"


@pytest.mark.parametrize("was_deleted", [False, True])
async def test_of_many_that_create_at_once_exactly_one_wins(was_deleted: bool) -> None:
    house = House()
    if was_deleted:
        await house.registry.create(SAVED_AS, Writer(99).append("old"))
        await house.registry.delete(SAVED_AS)
    outcomes = await asyncio.gather(
        *(house.registry.create(SAVED_AS, Writer(client).append(f"{client}")) for client in range(1, 9)),
        return_exceptions=True,
    )
    winners = [outcome for outcome in outcomes if isinstance(outcome, DocumentRoom)]
    assert [type(outcome) for outcome in outcomes if outcome not in winners] == [DocumentExists] * 7
    (winner,) = winners
    assert len(text_of(winner.state())) == 1
    assert house.registry.get(SAVED_AS) is winner
    assert house.notes.rooms == 1
    assert await house.store.rows() == 1


async def test_creating_under_a_deleted_name_makes_another_document() -> None:
    house = await written("old")
    old = await house.room()
    ada = Member(old, 2).join()
    await house.registry.delete(SAVED_AS)
    new = await house.registry.create(SAVED_AS, Writer(3).append("new"))
    assert new.document_id != old.document_id
    assert text_of(new.state()) == "new"
    assert old.has_ended
    ada.type("from before")
    await turns()
    assert text_of((await house.restarted().room()).state()) == "new"


async def test_who_comes_back_offline_does_not_bring_a_deleted_document_back() -> None:
    house = await written()
    ada = Member(await house.room(), 2).join()
    ada.read()
    await house.registry.delete(SAVED_AS)
    joining = house.registry.join(SAVED_AS, Peer(QueuedOutbox(1_000)))
    with pytest.raises(DocumentDeleted):
        await joining


async def test_a_creation_that_fails_leaves_the_name_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    house = await written()
    await house.registry.delete(SAVED_AS)
    with pytest.raises(MalformedInput):
        await house.registry.create(SAVED_AS, b"nonsense")
    with pytest.raises(DocumentDeleted):
        await house.room()
    house.store.holds = True
    creating = asyncio.create_task(house.registry.create(SAVED_AS, Writer(1).append("new")))
    opening = asyncio.create_task(house.room())
    await turns()
    house.store.fail(StoreUnavailable("not now"))
    with pytest.raises(StoreUnavailable):
        await creating
    with pytest.raises(DocumentDeleted):
        await opening
    house.store.holds = False
    assert text_of((await house.registry.create(SAVED_AS, Writer(1).append("new"))).state()) == "new"


async def test_a_creation_that_pycrdt_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    house = await written()
    await house.registry.delete(SAVED_AS)
    monkeypatch.setattr(replica_module, "Doc", faulty_doc([ValueError("cannot decode")]))
    with pytest.raises(UpdateRejected):
        await house.registry.create(SAVED_AS, Writer(1).append(POISON))


async def test_who_opens_while_a_deleted_name_is_created_anew_gets_the_new_document() -> None:
    house = await written("old")
    await house.registry.delete(SAVED_AS)
    house.store.holds = True
    creating = asyncio.create_task(house.registry.create(SAVED_AS, Writer(1).append("new")))
    await turns()
    opening = asyncio.create_task(house.room())
    second = asyncio.create_task(house.registry.create(SAVED_AS, Writer(2).append("other")))
    await turns()
    assert not opening.done(), "nothing is seen before it is committed"
    house.store.release()
    assert await opening is await creating
    with pytest.raises(DocumentExists):
        await second
    assert text_of((await opening).state()) == "new"


async def test_who_creates_while_others_find_the_name_deleted_is_not_disturbed() -> None:
    house = await written("old")
    await house.registry.delete(SAVED_AS)
    opening = asyncio.create_task(house.room())
    creating = asyncio.create_task(house.registry.create(SAVED_AS, Writer(1).append("new")))
    with pytest.raises(DocumentDeleted):
        await opening
    assert text_of((await creating).state()) == "new"


async def test_a_document_created_and_deleted_at_once_is_deleted() -> None:
    house = await written("old")
    await house.registry.delete(SAVED_AS)
    house.store.holds = True
    creating = asyncio.create_task(house.registry.create(SAVED_AS, Writer(1).append("new")))
    await turns()
    answer, commit = house.store.held.pop()
    appended = commit().result()
    await house.registry.delete(SAVED_AS)
    answer.set_result(appended)
    with pytest.raises(DocumentDeleted):
        await creating
    assert house.registry.get(SAVED_AS) is None
    assert house.notes.rooms == 0


async def test_a_creation_goes_on_though_its_creator_gave_up() -> None:
    house = await written("old")
    await house.registry.delete(SAVED_AS)
    house.store.holds = True
    creating = asyncio.create_task(house.registry.create(SAVED_AS, Writer(1).append("new")))
    await turns()
    creating.cancel()
    opening = asyncio.create_task(house.room())
    await turns()
    house.store.release()
    assert text_of((await opening).state()) == "new"


# Leaving


async def test_draining_commits_everything_and_closes_everybody() -> None:
    house = House(holds=True)
    rooms = [await house.room(name) for name in ("a", "b")]
    ada, ben = Member(rooms[0], 1).join(), Member(rooms[1], 2).join()
    ada.type("1")
    await turns()
    ada.type("2")
    draining = asyncio.create_task(house.registry.drain(10.0))
    await turns()
    assert house.registry.is_draining
    for attempt in (house.room("a"), house.room("new"), house.registry.create("new", Writer(1).append("x"))):
        with pytest.raises(ShuttingDown):
            await attempt
    assert isinstance(ben.got.closed_by, ShuttingDown)
    assert ada.is_open
    house.store.release()
    await turns()
    house.store.release()
    assert await draining
    assert ada.got.closed_by is not None
    assert ada.got.closed_by.close_code == 1012
    assert ada.got.saved == [1, 2]
    assert await house.store.rows("a") == 2
    assert house.notes.rooms == 0


async def test_draining_has_a_deadline() -> None:
    house = House(holds=True)
    room = await house.room()
    ada = Member(room, 1).join()
    ada.type("stuck")
    await turns()
    assert not await house.registry.drain(0.0)
    assert isinstance(ada.got.closed_by, ShuttingDown)
    assert ada.got.saved == []
    assert room.has_ended


async def test_those_who_keep_on_typing_do_not_hold_up_the_end() -> None:
    house = House()
    ada = Member(await house.room(), 1).join()
    draining = asyncio.create_task(house.registry.drain(10.0))
    while not draining.done():
        if ada.is_open:
            ada.type("x")
        await asyncio.sleep(0)
    assert draining.result()


async def test_who_waits_for_a_room_when_the_process_leaves_is_told_so() -> None:
    house = await written()
    house.store.may_load.clear()
    opening = asyncio.create_task(house.room())
    gave_up = asyncio.create_task(house.room())
    await turns()
    assert await house.registry.drain(1.0)
    with pytest.raises(ShuttingDown):
        await opening
    gave_up.cancel()
    await turns()
    assert house.registry.get(SAVED_AS) is None


async def test_an_empty_registry_is_drained_at_once() -> None:
    assert await House().registry.drain(0.0)
