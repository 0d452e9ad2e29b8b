"""What goes on in a room, and beside it, while a large update is applied in slices."""

import asyncio
from typing import Any

import pytest
from pycrdt import Doc, Text

from collabd.errors import DocumentDeleted, Overloaded, UpdateRejected
from collabd.protocol import messages, wire
from collabd.rooms import replica as replica_module
from collabd.rooms.loading import LARGE_UPDATE
from collabd.rooms.room import DocumentRoom
from collabd.rooms.slices import SLICE_SECONDS

from .kit import POISON, House, Member, calm, faulty_doc, text_of, turns

COUNT = 3000
"""Characters of the large update, each a struct of its own: they come in thirty pieces."""


class Hasty:
    """A clock by which two or three steps fill a slice."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += SLICE_SECONDS / 2.2
        return self.now


def large(client: int = 9, *, last: bytes = b"") -> bytes:
    """COUNT characters, each put in front of the one before, and another struct."""
    structs = [b"\x04\x01\x07content\x01a"]
    structs += [b"\x44" + wire.uint(client) + wire.uint(clock) + b"\x01a" for clock in range(COUNT - 1)]
    count = COUNT
    if last:
        structs.append(last)
        count += 1
    update = b"\x01" + wire.uint(count) + wire.uint(client) + b"\0" + b"".join(structs) + b"\0"
    assert len(update) > LARGE_UPDATE
    return update


HARMFUL = b"\x04\0" + wire.uint(9) + b"\0\x01a"
"""Stands in a character as if that were a type."""


async def begun(room: DocumentRoom, member: Member, update: bytes) -> None:
    """Send it and return when some of it is applied."""
    member.send(update)
    async with asyncio.timeout(20):
        while room.ydoc.get_state() == b"\0" or room.ydoc.get("content", type=Text) == "":
            await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        room.state()


async def test_everybody_has_all_of_it_in_the_end_and_in_one_piece() -> None:
    room = await House(clock=Hasty()).room()
    ada, ben = Member(room, 1).join(), Member(room, 2).join()
    update = large()
    await begun(room, ada, update)
    assert ben.got.updates == []
    await room.flushed()
    assert ben.got.updates == [update]
    assert ada.got.saved[-1] == 1
    assert text_of(room.state()) == "a" * COUNT


async def test_who_joins_meanwhile_gets_all_of_it_or_nothing_yet() -> None:
    room = await House(clock=Hasty()).room()
    ada = Member(room, 1).join()
    await begun(room, ada, large())
    ben, gone = Member(room, 2).join(), Member(room, 3).join()
    gone.leave()
    ben.type("b")
    await turns()
    assert ben.got.of(messages.SyncStep1, messages.SyncStep2, messages.Update) == []
    await calm(room, [ada, ben])
    (answer,) = ben.got.of(messages.SyncStep2)
    assert text_of(answer.update) == "a" * COUNT
    assert sorted(ben.text) == sorted("a" * COUNT + "b")
    assert ben.text == text_of(room.state())
    assert gone.got.of(messages.SyncStep2) == []


async def test_presence_goes_on_meanwhile_and_so_does_what_is_written() -> None:
    room = await House(clock=Hasty()).room()
    ada, ben = Member(room, 1).join(), Member(room, 2).join()
    await begun(room, ada, large())
    ben.show('{"name":"Ben"}', 1)
    ben.type("b")
    await turns()
    assert [entry.client for entry in ada.got.entries] == [2]
    assert ada.got.updates == []
    await calm(room, [ada, ben])
    assert len(ada.got.updates) == 1
    assert ben.got.saved[-1] >= 1


async def test_it_counts_although_its_author_has_left() -> None:
    room = await House(clock=Hasty()).room()
    ada = Member(room, 1).join()
    await begun(room, ada, large())
    ada.leave()
    was_idle = room.is_idle
    await room.flushed()
    assert (was_idle, room.is_idle) == (False, True)
    assert text_of(room.state()) == "a" * COUNT


async def test_another_room_does_not_wait() -> None:
    house = House(clock=Hasty())
    room, other = await house.room(), await house.room("other")
    ada, ben, eve = Member(room, 1).join(), Member(other, 2).join(), Member(other, 3).join()
    await begun(room, ada, large())
    ben.type("quick")
    async with asyncio.timeout(20):
        while not eve.got.updates:
            await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        room.state()
    await room.flushed()


async def test_draining_waits_for_it() -> None:
    house = House(clock=Hasty())
    room = await house.room()
    ada = Member(room, 1).join()
    await begun(room, ada, large())
    assert await house.registry.drain(20)
    assert ada.got.saved == [1]
    again = await house.restarted().room()
    assert text_of(again.state()) == "a" * COUNT


async def test_a_room_that_ends_meanwhile_goes_no_further() -> None:
    house = House(clock=Hasty())
    room = await house.room()
    ada = Member(room, 1).join()
    await begun(room, ada, large())
    room.end(DocumentDeleted("notes was deleted"))
    async with asyncio.timeout(20):
        while room._tasks:
            await asyncio.sleep(0)
    assert ada.got.saved == []
    assert len(room.ydoc.get("content", type=Text)) < COUNT


async def test_code_in_the_process_waits_until_the_document_is_whole() -> None:
    room = await House(clock=Hasty()).room()
    ada = Member(room, 1).join()
    await begun(room, ada, large())

    def append(doc: "Doc[Any]") -> None:
        text = doc.get("content", type=Text)
        text += "!"

    await room.edit(append)
    assert text_of(room.state()) == "a" * COUNT + "!"


async def test_what_is_harmful_at_its_end_leaves_no_trace_of_its_beginning() -> None:
    house = House(clock=Hasty())
    room = await house.room()
    ada, ben = Member(room, 1).join(), Member(room, 2).join()
    ada.send(large(last=HARMFUL))
    await room.flushed()
    assert isinstance(ada.got.closed_by, UpdateRejected)
    assert ben.got.updates == []
    assert text_of(room.state()) == ""
    ben.send(large())
    await room.flushed()
    assert text_of(room.state()) == "a" * COUNT
    again = await house.restarted().room()
    assert text_of(again.state()) == "a" * COUNT


async def test_pycrdt_may_fail_in_the_midst_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica_module, "Doc", faulty_doc([RuntimeError("in the midst")]))
    house = House(clock=Hasty())
    room = await house.room()
    ada, ben = Member(room, 1).join(), Member(room, 2).join()
    ada.type("before")
    await room.flushed()
    ada.send(large(last=b"\x84" + wire.uint(9) + b"\0" + wire.octets(POISON.encode())))
    await room.flushed()
    assert isinstance(ada.got.closed_by, UpdateRejected)
    ben.type("after")
    await calm(room, [ben])
    assert sorted(text_of(room.state())) == sorted("beforeafter")
