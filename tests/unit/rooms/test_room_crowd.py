"""A room with many peers: those who write see each other's edits at once, and the others miss nothing."""

import random
from collections.abc import Iterable

import pytest

from collabd.auth.base import Access
from collabd.errors import CollabdError
from collabd.protocol import messages
from collabd.rooms import room as room_module
from collabd.rooms.relay import CROWD, PEERS_AT_ONCE
from collabd.rooms.room import DocumentRoom

from .kit import House, Member, calm, turns

RESTART = CollabdError("come back")


def crowd(room: DocumentRoom, count: int = 2 * CROWD) -> list[Member]:
    return [Member(room, client).join() for client in range(1, count + 1)]


def informed(members: Iterable[Member], count: int = 1) -> int:
    """How many were sent so many updates."""
    return sum(len(member.got.updates) == count for member in members)


async def committed(house: House) -> None:
    """Let what was written be committed and relayed, and nothing more."""
    await turns(2)
    house.store.release()
    await turns(1)


async def test_in_a_small_room_everybody_is_sent_an_edit_at_once() -> None:
    house = House(holds=True)
    room = await house.room()
    writer, *others = crowd(room, CROWD)
    writer.type("x")
    await committed(house)
    assert informed(others) == CROWD - 1


async def test_in_a_crowd_those_who_write_are_and_the_others_follow() -> None:
    house = House(holds=True)
    room = await house.room()
    *others, ada, bob = crowd(room)
    for writer in (ada, bob):
        writer.type("x")
        await committed(house)
        await turns()
    ada.type("y")
    await committed(house)
    assert len(bob.got.updates) == 2
    assert informed(others, 2) == len(others) - PEERS_AT_ONCE
    bob.type("z")
    await committed(house)
    assert len(ada.got.updates) == 2
    assert informed(others, 2) > 2 * PEERS_AT_ONCE, "who has not had his turn yet"
    await room.flushed()
    assert informed(others, 4) == len(others)


async def test_an_acknowledgement_comes_after_what_others_wrote_into_the_batch() -> None:
    house = House(holds=True)
    room = await house.room()
    *_, ada, bob = crowd(room)
    ada.type("x")
    bob.type("y")
    await committed(house)
    for writer in (ada, bob):
        assert [type(message) for message in writer.got.messages[-2:]] == [messages.Update, messages.Saved]


async def test_who_may_not_read_any_more_is_sent_nothing_that_he_has_not_been_sent_yet() -> None:
    house = House(holds=True)
    room = await house.room()
    writer, *others = crowd(room)
    writer.type("x")
    await committed(house)
    banned = others[-1]
    assert banned.got.updates == []
    room.set_access(banned.peer, Access.NONE)
    banned.got.closed_by = None
    await room.flushed()
    assert banned.got.updates == []
    assert informed(others) == len(others) - 1


async def test_who_asks_for_the_document_is_first_sent_what_the_others_were() -> None:
    house = House(holds=True)
    room = await house.room()
    writer, *others = crowd(room)
    await turns()
    writer.type("x")
    await committed(house)
    asker = others[-1]
    asker.say(messages.step_1_frame(asker.writer.doc.get_state()))
    assert [type(message) for message in asker.got.messages[-2:]] == [messages.Update, messages.SyncStep2]
    await room.flushed()
    assert informed(others) == len(others)


async def test_an_edit_counts_as_delivered_when_the_last_has_been_sent_it() -> None:
    now = 100.0
    house = House(holds=True, clock=lambda: now)
    room = await house.room()
    writer, *others = crowd(room)
    writer.type("x")
    await committed(house)
    assert house.notes.delivered_updates == []
    now = 101.0
    await room.flushed()
    assert informed(others) == len(others)
    assert house.notes.delivered_updates == [(1, 1.0)]


@pytest.mark.parametrize("drains", [False, True])
async def test_a_room_that_ends_has_sent_everybody_everything(drains: bool) -> None:
    house = House(holds=True)
    room = await house.room()
    writer, *others = crowd(room)
    writer.type("x")
    await committed(house)
    assert informed(others) < len(others)
    if drains:
        await room.drain(RESTART)
    else:
        room.end(RESTART)
    assert informed(others) == len(others)
    assert all(member.got.closed_by is RESTART for member in others)


async def test_a_crowd_that_dwindles_misses_nothing() -> None:
    house = House(holds=True)
    room = await house.room()
    writer, *others = crowd(room)
    x = writer.type("x")
    await committed(house)
    for member in others[: CROWD + 5]:
        member.leave()
    y = writer.type("y")
    await committed(house)
    await room.flushed()
    stayed = others[CROWD + 5 :]
    assert [member.got.updates for member in stayed] == [[x, y]] * len(stayed)


@pytest.mark.parametrize("seed", range(20))
async def test_all_who_stay_have_the_same_whoever_comes_and_goes(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room_module, "CROWD", 9)
    chance = random.Random(seed)
    house = House()
    room = await house.room()
    members = crowd(room, 15)
    client = len(members)
    for number in range(120):
        what = chance.random()
        if what < 0.6:
            chance.choice(members[-5:] if seed % 2 else members).type(f"<{number}>")
        elif what < 0.7 and len(members) > 6:
            members.pop(chance.randrange(len(members))).leave()
        elif what < 0.8:
            client += 1
            members.append(Member(room, client).join())
        elif what < 0.9:
            chance.choice(members).read()
        await turns(chance.randrange(4))
    await calm(room, members)
    assert len({member.text for member in members}) == 1
    assert members[0].text
