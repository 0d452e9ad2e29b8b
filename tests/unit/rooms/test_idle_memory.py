"""Documents that nobody uses take no more memory than they may, and those used last stay."""

import asyncio
from typing import Any

import pytest
from pycrdt import Doc, Map, Text

from collabd.rooms import registry
from collabd.rooms.replica import DOCUMENT_MEMORY, STRUCT_MEMORY, Replica
from collabd.rooms.room import DocumentRoom

from .kit import House, Member, Writer, turns

pytestmark = pytest.mark.timeout(20)

NAMES = ["a", "b", "c", "d"]


async def opened(house: House, text: str = "hello") -> dict[str, DocumentRoom]:
    """Rooms that were used one after the other, and are idle."""
    rooms = {}
    for number, name in enumerate(NAMES):
        await house.store.append(name, None, [Writer(1).append(text)])
        rooms[name] = await house.room(name)
        rooms[name].idle_since = float(number)
    return rooms


def left(house: House) -> list[str]:
    return [name for name in NAMES if house.registry.get(name) is not None]


async def test_within_the_budget_nothing_is_put_away() -> None:
    house = House()
    rooms = await opened(house)
    one = rooms["a"].memory()
    house.registry._idle_bytes = 4 * one
    await house.registry.shed()
    assert left(house) == NAMES
    assert house.notes.idle_bytes == 4 * one


async def test_beyond_the_budget_those_used_longest_ago_go_first() -> None:
    house = House()
    rooms = await opened(house)
    one = rooms["a"].memory()
    rooms["a"].idle_since = 9.0
    house.registry._idle_bytes = 2 * one
    await house.registry.shed()
    assert left(house) == ["a", "d"]
    assert house.notes.idle_bytes == 2 * one
    assert house.notes.rooms == 2


async def test_opening_a_document_is_using_it() -> None:
    house = House()
    rooms = await opened(house)
    house.registry._idle_bytes = rooms["a"].memory()
    await house.room("b")
    await house.registry.shed()
    assert left(house) == ["b"]


async def test_rooms_with_somebody_in_them_stay_and_do_not_count() -> None:
    house = House(idle_bytes=0)
    rooms = await opened(house)
    ada = Member(rooms["a"], 2).join()
    await house.registry.shed()
    assert left(house) == ["a"]
    assert house.notes.idle_bytes == 0
    assert ada.got.closed_by is None
    ada.leave()
    await turns()
    await house.registry.shed()
    assert left(house) == []


async def test_rooms_with_something_under_way_stay() -> None:
    house = House(holds=True, idle_bytes=0)
    room = await house.room("a")
    ada = Member(room, 1).join()
    ada.type("x")
    ada.leave()
    await turns()
    await house.registry.shed()
    assert left(house) == ["a"]
    house.store.release()
    await room.flushed()
    await turns()
    await house.registry.shed()
    assert left(house) == []


async def test_a_running_registry_sees_to_it_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "SHED_SECONDS", 0)
    house = House(idle_bytes=0)
    await opened(house)
    running = asyncio.create_task(house.registry.run())
    while left(house):
        await asyncio.sleep(0)
    running.cancel()


async def test_one_that_is_joined_while_memory_is_looked_up_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(idle_bytes=0)
    rooms = await opened(house)
    measure = DocumentRoom.memory

    def memory(room: DocumentRoom) -> int:
        if room is rooms["d"]:
            Member(rooms["b"], 2).join()
        return measure(room)

    monkeypatch.setattr(DocumentRoom, "memory", memory)
    await house.registry.shed()
    assert left(house) == ["b"]


async def test_what_is_written_is_estimated_anew() -> None:
    house = House()
    room = await house.room("a")
    assert room.memory() == DOCUMENT_MEMORY
    await room.submit(Writer(1).append("x" * 5_000))
    assert 5_000 < room.memory() - DOCUMENT_MEMORY < 6_000
    writer = Writer(2)
    writer.append("missing")
    before = room.memory()
    early = writer.append("early" * 100)
    await room.submit(early)
    assert room.memory() == before + len(early), "what waits takes memory too"


@pytest.mark.parametrize("clients", [1, 3, 40])
def test_structs_are_counted_whoever_wrote_them(clients: int) -> None:
    update: Doc[Any] = Doc()
    for client in range(1, clients + 1):
        doc: Doc[Any] = Doc(client_id=client)
        doc.apply_update(update.get_update())
        text: Text = doc.get("content", type=Text)
        for _ in range(10):
            text.insert(0, "x")
        update.apply_update(doc.get_update())
    state = update.get_update()
    replica = Replica(state)
    assert replica.memory() == DOCUMENT_MEMORY + len(state) + STRUCT_MEMORY * 10 * clients


def test_maps_and_pastes_differ_by_their_structs() -> None:
    pasted: Doc[Any] = Doc()
    keyed: Doc[Any] = Doc()
    pasted.get("content", type=Text).insert(0, "x" * 10_000)
    many: Map[object] = keyed.get("meta", type=Map)
    for number in range(500):
        many[f"key{number}"] = "x" * 10
    paste, keys = Replica(pasted.get_update()).memory(), Replica(keyed.get_update()).memory()
    assert paste < 20_000
    assert keys > 100_000
