"""Updates that pass the check and that pycrdt still cannot take: only their sender notices."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pycrdt import Array, Doc

from collabd.auth.base import Access
from collabd.errors import (
    Overloaded,
    ShuttingDown,
    StoreUnavailable,
    UpdateRejected,
)
from collabd.protocol import messages
from collabd.rooms import replica as replica_module
from collabd.rooms.room import RoomLimits

from .kit import POISON, SAVED_AS, House, Member, PanicException, Writer, calm, faulty_doc, text_of, turns

pytestmark = pytest.mark.timeout(20)

Fails = Callable[..., None]

VALUE, RUNTIME, PANIC = ValueError("cannot decode"), RuntimeError("partly"), PanicException("corrupt")


@pytest.fixture
def pycrdt_fails(monkeypatch: pytest.MonkeyPatch) -> Fails:
    def fail_with(*failures: BaseException) -> None:
        monkeypatch.setattr(replica_module, "Doc", faulty_doc(failures))

    return fail_with


def poison(client: int = 66) -> bytes:
    return Writer(client).append(POISON)


@pytest.mark.parametrize("failure", [VALUE, RUNTIME, PANIC], ids=["value", "runtime", "panic"])
async def test_a_rejected_update_ends_its_sender_alone(pycrdt_fails: Fails, failure: BaseException) -> None:
    pycrdt_fails(failure)
    house = House()
    room = await house.room()
    ada, ben, eve = (Member(room, client).join() for client in (1, 2, 3))
    ada.type("before ")
    await room.flushed()
    ben.type("beside ")
    eve.send(poison())
    ada.type("after ")
    await room.flushed()
    assert isinstance(eve.got.closed_by, UpdateRejected)
    assert eve.got.saved == []
    eve.leave()
    ada.type("!")
    await calm(room, [ada, ben])
    assert (ada.is_open, ben.is_open) == (True, True)
    assert ada.text == ben.text == text_of(room.state())
    assert sorted(ada.text.replace("!", "").split()) == ["after", "before", "beside"]
    assert ada.got.saved[-1] == 4, "three edits, and step 2"
    assert all(POISON.encode() not in frame for frame in ada.got.frames + ben.got.frames)
    assert text_of(room.state()) == str(room.ydoc.get("content", type=type(ada.writer.text)))

    assert room.head == 5, "it keeps its number"
    stored = await house.store.load(SAVED_AS)
    assert stored is not None
    assert [logged.seq for logged in stored.tail] == [1, 2, 4, 5]
    again = await house.restarted().room()
    assert text_of(again.state()) == ada.text


async def test_an_update_that_would_harm_pycrdt_is_rejected_before_it_sees_it() -> None:
    house = House()
    room = await house.room()
    ada, eve = Member(room, 1).join(), Member(room, 3).join()
    doc: Doc[Any] = Doc(client_id=7)
    doc["list"] = Array([Array()])
    ada.send(doc.get_update())
    await room.flushed()
    text_in_a_list = bytes.fromhex("0101090004000700017800")
    eve.send(text_in_a_list)
    ada.type("goes on")
    await room.flushed()
    assert isinstance(eve.got.closed_by, UpdateRejected)
    assert eve.got.saved == []
    assert ada.is_open
    assert text_of(room.state()) == "goes on"
    stored = await house.store.load(SAVED_AS)
    assert stored is not None
    assert [logged.seq for logged in stored.tail] == [1, 3]
    ada.send(text_in_a_list)
    await room.flushed()
    assert isinstance(ada.got.closed_by, UpdateRejected), "what was rejected does not count as known"


@pytest.mark.parametrize("failure", [VALUE, PANIC], ids=["value", "panic"])
async def test_a_rejected_submission_is_told(pycrdt_fails: Fails, failure: BaseException) -> None:
    pycrdt_fails(failure)
    house = House(holds=True)
    room = await house.room()
    bad = asyncio.ensure_future(room.submit(poison()))
    good = asyncio.ensure_future(room.submit(Writer(1).append("good")))
    await turns()
    house.store.release()
    with pytest.raises(UpdateRejected):
        await bad
    assert await good == 2
    assert text_of(room.state()) == "good"


async def test_a_document_whose_seed_was_rejected_can_be_seeded(pycrdt_fails: Fails) -> None:
    pycrdt_fails(PANIC)
    room = await House().room()
    with pytest.raises(UpdateRejected):
        await room.seed(poison())
    assert await room.seed(Writer(1).append("seed")) == 2
    assert text_of(room.state()) == "seed"


async def test_what_happens_during_a_rebuild_is_made_up_for(pycrdt_fails: Fails) -> None:
    pycrdt_fails(PANIC)
    house = House()
    room = await house.room()
    ada = Member(room, 1).join()
    ada.type("before ")
    await room.flushed()
    damaged = room.ydoc
    house.store.may_load.clear()
    ada.send(poison())
    await turns()
    assert ada.got.saved == [1]

    ben, gone = Member(room, 2).join(), Member(room, 3).join()
    gone.leave()
    ben.say(messages.step_1_frame(b"\x00"))
    late = Member(room, 4).join()
    late.type("meanwhile ")
    await turns()
    for member in (ben, late):
        assert member.got.of(messages.SyncStep1, messages.SyncStep2) == []
    assert len(house.store.batches) == 2, "nothing is committed before the document is whole again"
    for read in (room.state, room.state_vector):
        with pytest.raises(Overloaded):
            read()
    editing = asyncio.ensure_future(room.edit(lambda doc: None))
    await turns()
    assert not editing.done()
    assert not room.is_idle

    house.store.may_load.set()
    await editing
    await calm(room, [ben, late])
    assert room.ydoc is not damaged
    assert ben.text == late.text == text_of(room.state())
    assert sorted(ben.text.split()) == ["before", "meanwhile"]
    assert len(ben.got.of(messages.SyncStep2)) == 2
    assert late.got.saved[-1] >= 1
    assert gone.got.of(messages.SyncStep1) == []


async def test_what_comes_during_a_rebuild_is_not_measured_by_the_damaged_document(
    pycrdt_fails: Fails,
) -> None:
    pycrdt_fails(PANIC)
    house = House()
    room = await house.room()
    ada, eve = Member(room, 1).join(), Member(room, 66).join()
    reader = Member(room, 3, access=Access.READ).join()
    known = ada.type("before ")
    await room.flushed()
    house.store.may_load.clear()
    eve.send(poison())
    await turns()
    reader.send(known)
    assert reader.is_open
    good = Writer(66).append("x")
    ada.send(known, good)
    reader.send(good)
    assert isinstance(reader.got.closed_by, Overloaded), "it may be known once the document is whole again"
    house.store.may_load.set()
    await room.flushed()
    assert isinstance(eve.got.closed_by, UpdateRejected)
    assert sorted(text_of(room.state()).split()) == ["before", "x"]
    assert await house.store.rows() == 3


async def test_the_tail_is_counted_once_after_a_rebuild(pycrdt_fails: Fails) -> None:
    pycrdt_fails(PANIC)
    house = House(limits=RoomLimits(snapshot_updates=5, snapshot_updates_at_most=5))
    room = await house.room()
    ada, eve = Member(room, 1).join(), Member(room, 3).join()
    ada.type("1")
    ada.type("2")
    eve.send(poison())
    await room.flushed()
    assert house.store.snapshots == []
    ada.type("3")
    ada.type("4")
    ada.type("5")
    await room.flushed()
    assert house.store.snapshots == [(6, [])], "two good ones after the rebuild, and three since"


async def test_a_rebuild_keeps_what_is_early(pycrdt_fails: Fails) -> None:
    pycrdt_fails(PANIC)
    house = House()
    room = await house.room()
    ada, eve = Member(room, 1, acknowledges=False).join(), Member(room, 3).join()
    first = ada.writer.append("first ")
    ada.send(ada.writer.append("second"))
    eve.send(poison())
    await room.flushed()
    assert house.notes.early_now == 1
    ada.send(first)
    await room.flushed()
    assert text_of(room.state()) == "first second"
    assert house.notes.early_now == 0


@pytest.mark.parametrize(
    ("failure", "reason"),
    [(StoreUnavailable("not now"), StoreUnavailable), (OSError("unexpected"), Exception)],
)
async def test_a_room_that_cannot_be_rebuilt_ends(
    pycrdt_fails: Fails, failure: Exception, reason: type[Exception]
) -> None:
    pycrdt_fails(PANIC)
    house = House()
    room = await house.room()
    ada, eve = Member(room, 1).join(), Member(room, 3).join()
    house.store.load_errors = [failure]
    eve.send(poison())
    await room.flushed()
    await turns()
    assert room.has_ended
    assert isinstance(ada.got.closed_by, reason)
    assert ada.got.closed_by.retry
    back = Member(await house.room(), writer=ada.writer).join()
    back.type("goes on")
    await back.room.flushed()
    assert text_of(back.room.state()) == "goes on", "whoever comes back gets a new room"


async def test_a_room_that_was_ended_during_its_rebuild_stays_ended(pycrdt_fails: Fails) -> None:
    pycrdt_fails(PANIC)
    house = House()
    room = await house.room()
    ada = Member(room, 1).join()
    house.store.may_load.clear()
    ada.send(poison())
    await turns()
    room.end(ShuttingDown("the server restarts"))
    house.store.may_load.set()
    await turns()
    assert isinstance(ada.got.closed_by, ShuttingDown)
    assert house.notes.early_now == 0


# Early updates that pycrdt fails on only when they are taken up again


def early_poison() -> tuple[bytes, bytes]:
    """An update, and a poisonous one that builds on it."""
    writer = Writer(66)
    return writer.append("first "), writer.append(POISON)


async def test_failing_on_an_early_update_when_it_is_taken_up_rebuilds_the_document(
    pycrdt_fails: Fails,
) -> None:
    first, late = early_poison()
    house = House(limits=RoomLimits(snapshot_updates=2, snapshot_updates_at_most=2))
    room = await house.room()
    ada, eve = Member(room, 1).join(), Member(room, 3).join()
    eve.send(late)
    await room.flushed()
    # From here on pycrdt does not take the early one: the document in memory is of the failing kind already.
    damaged = faulty_doc([PANIC])()
    damaged.get("content", type=type(ada.writer.text))
    room._replica._doc = damaged
    pycrdt_fails(PANIC)
    ada.send(first)
    await room.flushed()
    ada.type("goes on")
    await room.flushed()
    assert not room.has_ended
    assert sorted(text_of(room.state())) == sorted("first goes on")
    assert house.notes.early_now == 0
    stored = await house.store.load(SAVED_AS)
    assert stored is not None
    assert 1 not in [logged.seq for logged in stored.tail]
    snapshot = stored.snapshot
    assert snapshot is None or POISON.encode() not in snapshot


async def test_a_document_that_was_taken_before_and_is_refused_today_is_read_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    house = House()
    good = Writer(1).append("good")
    await house.store.append(SAVED_AS, None, [good, b"\x01\x01\x07\x00\x00\x00\x00"])
    room = await house.room()
    assert text_of(room.state()) == "good"
    assert "update 2" in caplog.text
