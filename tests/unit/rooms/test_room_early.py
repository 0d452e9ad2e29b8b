"""Updates that come before what they build on."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collabd.protocol import messages
from collabd.rooms.room import RoomLimits

from .kit import SAVED_AS, House, Member, Writer, calm, text_of, turns

pytestmark = pytest.mark.timeout(20)


async def test_an_early_update_is_kept_relayed_and_asked_after_once() -> None:
    house = House()
    room = await house.room()
    ada, ben = Member(room, 1).join(), Member(room, 2).join()
    first = ada.writer.append("first ")
    ada.type("second ")
    await turns()
    assert await house.store.rows() == 1
    assert (room.head, text_of(room.state()), house.notes.early_now) == (1, "", 1)
    assert ada.got.saved == [1], "it is safe, though it cannot be seen"
    assert len(ben.got.updates) == 1
    ada.type("third ")
    await turns()
    assert len(ada.got.of(messages.SyncStep1)) == 2, "once at the start, once for the gap"
    assert len(ben.got.of(messages.SyncStep1)) == 1

    late = Member(room, 3).join()
    assert len(late.got.updates) == 2, "a newcomer is given what is early beside step 2"

    ada.send(first)
    await calm(room, [ada, ben, late])
    assert text_of(room.state()) == "first second third "
    assert ada.text == ben.text == late.text == text_of(room.state())
    assert house.notes.early_now == 0


async def test_a_provider_answers_the_question_and_all_is_well() -> None:
    house = House()
    room = await house.room()
    ada, ben = Member(room, 1).join(), Member(room, 2).join()
    ada.writer.append("first ")
    ada.type("second")
    await calm(room, [ada, ben])
    assert ada.text == ben.text == text_of(room.state()) == "first second"
    assert ada.is_open


@pytest.mark.parametrize("snapshot_updates", [1, 2, 1_000])
async def test_early_updates_survive_snapshots_and_restarts(snapshot_updates: int) -> None:
    limits = RoomLimits(snapshot_updates=snapshot_updates, snapshot_updates_at_most=snapshot_updates)
    house = House(limits=limits)
    room = await house.room()
    ada = Member(room, 1, acknowledges=False).join()
    missing = ada.writer.append("missing ")
    ada.type("early ")
    await room.flushed()
    Member(room, 2).join().type("ben ")
    await room.flushed()
    ada.send(ada.writer.append("earlier "))
    await room.flushed()
    assert text_of(room.state()) == "ben "

    house = house.restarted(limits=limits)
    room = await house.room()
    assert (room.head, text_of(room.state()), house.notes.early_now) == (3, "ben ", 2)
    eve = Member(room, 3).join()
    assert len(eve.got.updates) == 2
    eve.writer.take(ada.writer.state)
    eve.send(ada.writer.state)
    await calm(room, [eve])
    assert eve.text == text_of(room.state())
    assert sorted(eve.text.split()) == ["ben", "earlier", "early", "missing"]
    assert house.notes.early_now == 0

    room = await house.restarted(limits=limits).room()
    assert text_of(room.state()) == eve.text
    rows = await house.store.rows()
    await room.submit(missing)
    assert await house.store.rows() == rows == room.head


async def test_an_early_update_under_a_snapshot_is_kept_when_several_share_a_row() -> None:
    limits = RoomLimits(snapshot_updates=3, snapshot_updates_at_most=3)
    house = House(limits=limits)
    room = await house.room()
    ada, ben = Member(room, 1).join(), Member(room, 2).join()
    missing = ada.writer.append("1")
    ben.type("x")
    ada.type("2")
    ben.type("y")
    await room.flushed()
    assert house.store.snapshots == [(3, [2])]
    stored = await house.store.load(SAVED_AS)
    assert stored is not None
    assert [logged.seq for logged in stored.tail] == [2]
    room = await house.restarted().room()
    await room.submit(missing)
    assert sorted(text_of(room.state())) == list("12xy")


async def test_beyond_the_bound_early_updates_are_refused_and_the_others_go_on() -> None:
    house = House(limits=RoomLimits(early_bytes=200))
    room = await house.room()
    ada, ben = Member(room, 1, acknowledges=False).join(), Member(room, 2).join()
    first = ada.writer.append("first")
    for _ in range(30):
        if ada.is_open:
            ada.type("x")
            await turns()
    assert ada.got.closed_by is not None
    assert ada.got.closed_by.close_code == 1013
    ben.type("goes on")
    await room.flushed()
    assert text_of(room.state()) == "goes on"
    back = Member(room, writer=ada.writer).join()
    await calm(room, [back, ben])
    assert back.is_open
    assert back.text == ben.text == text_of(room.state())
    assert "first" + "x" * 10 in back.text
    assert house.notes.early_now == 0
    assert first != b""


@pytest.mark.timeout(120)
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_the_order_everybody_ends_with_the_same_text(data: st.DataObject) -> None:
    asyncio.run(everybody_ends_with_the_same_text(data))


async def everybody_ends_with_the_same_text(data: st.DataObject) -> None:
    house = House(limits=RoomLimits(snapshot_updates=4, snapshot_updates_at_most=8))
    room = await house.room()
    members = [Member(room, client).join() for client in (1, 2, 3)]
    unsent: list[tuple[int, bytes]] = []
    for _ in range(data.draw(st.integers(1, 15))):
        which = data.draw(st.integers(0, 2))
        member = members[which]
        match data.draw(
            st.sampled_from(["type", "type", "delete", "send", "send", "wait", "back", "restart"])
        ):
            case "type":
                position = data.draw(st.integers(0, len(member.text)))
                unsent.append((which, member.writer.insert(position, data.draw(st.sampled_from("abc")))))
            case "delete" if member.text:
                start = data.draw(st.integers(0, len(member.text) - 1))
                unsent.append((which, member.writer.delete(start, start + 1)))
            case "send" if unsent:
                who, update = unsent.pop(data.draw(st.integers(0, len(unsent) - 1)))
                members[who].send(update)
            case "wait":
                await room.flushed()
                member.read()
            case "back":
                member.leave()
                members[which] = Member(room, writer=member.writer).join()
            case "restart":
                await room.flushed()
                house = house.restarted()
                room = await house.room()
                members = [Member(room, writer=member.writer).join() for member in members]
    for who, update in unsent:
        members[who].send(update)
    members.append(Member(room, 4).join())
    await calm(room, members)
    assert len({member.text for member in members} | {text_of(room.state())}) == 1
    assert house.notes.early_now == 0
    assert all(member.is_open for member in members)
    fresh = Writer(9)
    fresh.take((await house.restarted().room()).state())
    assert str(fresh.text) == members[0].text
