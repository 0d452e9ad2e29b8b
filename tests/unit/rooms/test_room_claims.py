"""Updates that wait and claim ids which somebody else will use, or turn out to be harmful when their time
comes: whatever they claim, what is acknowledged is in the log."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collabd.auth.base import Access
from collabd.errors import NotAllowed, UpdateRejected
from collabd.protocol import wire
from collabd.protocol.update import check_update
from collabd.rooms.room import DocumentRoom, RoomLimits

from .kit import SAVED_AS, House, Member, Writer, text_of, turns
from .test_state_laws import Ids, ids_of

pytestmark = pytest.mark.timeout(20)

MALLORY, NEVER = 66, 99
"""Client ids; of the second nothing ever comes."""


def struct_of(client: int, clock: int, behind: tuple[int, int], text: str, deletes: bytes = b"\0") -> bytes:
    """A string at a client's clock, behind something."""
    return (
        b"\1\1"
        + wire.uint(client)
        + wire.uint(clock)
        + b"\x84"
        + wire.uint(behind[0])
        + wire.uint(behind[1])
        + wire.text(text)
        + deletes
    )


def deletion(client: int, start: int, length: int) -> bytes:
    return b"\1" + wire.uint(client) + b"\1" + wire.uint(start) + wire.uint(length)


def claim(client: int, clock: int, text: str = "?" * 50, deletes: bytes = b"\0") -> bytes:
    return struct_of(client, clock, (NEVER, 5), text, deletes)


ARRAY = b"\1\1" + wire.uint(MALLORY) + b"\0" + bytes.fromhex("070101740000")
"""Mallory's first struct: a type in which no text may stand."""


def text_in_the_array(deletes: bytes = b"\0") -> bytes:
    """Mallory's second."""
    return b"\1\1" + wire.uint(MALLORY) + b"\1\4\0" + wire.uint(MALLORY) + b"\0" + wire.text("x") + deletes


async def test_what_stands_where_somebody_claimed_it_is_logged_and_seen() -> None:
    house = House()
    room = await house.room()
    ada, mallory = Member(room, 1).join(), Member(room, MALLORY).join()
    ada.type("a")
    await room.flushed()
    mallory.send(claim(1, 1))
    await room.flushed()
    assert house.notes.early_now == 1
    for letter in "bcdef":
        ada.type(letter)
        await room.flushed()
    assert text_of(room.state()) == "abcdef"
    assert ada.got.saved[-1] == 6
    assert text_of((await house.restarted().room()).state()) == "abcdef"


async def test_coming_back_with_what_waits_adds_no_row_and_is_no_reason_to_refuse_a_reader() -> None:
    house = House()
    room = await house.room()
    waits, other = claim(7, 3, "first"), claim(8, 3, "second", deletion(9, 1, 2))
    room_is_given = Member(room, MALLORY).join()
    room_is_given.send(waits)
    room_is_given.send(other)
    await room.flushed()
    packed = b"\2" + waits[1:-1] + other[1:]
    check_update(packed)
    for number in range(100):
        access = Access.READ if number % 2 else Access.WRITE
        member = Member(room, 100 + number, access=access).join()
        assert waits in member.got.updates
        member.send(packed, waits, other)
        await room.flushed()
        assert member.is_open
        assert member.got.saved[-1] >= 3
        member.leave()
    assert await house.store.rows() == 2
    reader = Member(room, 3, access=Access.READ).join()
    reader.send(claim(7, 3, "other"))
    assert isinstance(reader.got.closed_by, NotAllowed)


async def test_what_repeats_a_pending_update_is_refused_like_it() -> None:
    house = House(holds=True)
    room = await house.room()
    ada, eve = Member(room, 1).join(), Member(room, 2).join()
    both = b"\1\2" + wire.uint(MALLORY) + b"\0" + bytes.fromhex("07010174000400") + wire.uint(MALLORY)
    both += b"\0" + wire.text("x") + b"\0"
    eve.send(both)
    await turns()
    ada.send(both)
    await turns()
    house.store.release()
    await turns()
    house.store.release()
    await room.flushed()
    assert isinstance(eve.got.closed_by, UpdateRejected)
    assert isinstance(ada.got.closed_by, UpdateRejected)
    assert ada.got.saved == eve.got.saved == []


@pytest.mark.parametrize("snapshot_updates", [1, 2, 1_000])
async def test_what_is_harmful_when_its_time_comes_is_dropped_with_a_word(
    snapshot_updates: int, caplog: pytest.LogCaptureFixture
) -> None:
    limits = RoomLimits(snapshot_updates=snapshot_updates, snapshot_updates_at_most=snapshot_updates)
    house = House(limits=limits)
    room = await house.room()
    ada, mallory = Member(room, 1).join(), Member(room, MALLORY).join()
    harmful = text_in_the_array(deletion(1, 0, 100))
    mallory.send(harmful)
    await room.flushed()
    assert house.notes.early_now == 1
    assert caplog.text == ""
    mallory.send(ARRAY)
    await room.flushed()
    assert house.notes.early_now == 0
    assert "drops what waited of update 1" in caplog.text
    ada.type("stays")
    ada.send(ada.writer.delete(0, 1))
    await room.flushed()
    assert text_of(room.state()) == "tays", "nor does it delete any more"
    late = Member(room, 3).join()
    assert late.got.updates == []

    again = house.restarted(limits=limits)
    room_again = await again.room()
    assert again.notes.early_now == 0
    assert room_again.state_vector() == room.state_vector()
    assert text_of(room_again.state()) == "tays"
    assert Member(room_again, 3).join().got.updates == []
    stored = await house.store.load(SAVED_AS)
    assert stored is not None
    assert (snapshot_updates == 1_000) == (1 in [logged.seq for logged in stored.tail]), (
        "it was never rejected"
    )


async def test_a_deletion_that_only_a_harmful_update_shared_is_not_lost_with_it() -> None:
    house = House()
    room = await house.room()
    ada, ben, mallory = (Member(room, client).join() for client in (1, 2, MALLORY))
    mallory.send(text_in_the_array(deletion(1, 0, 100)))
    await room.flushed()
    typed = ada.writer.append("abc")
    ben.writer.take(typed)
    ben.send(ben.writer.delete(0, 1))
    await room.flushed()
    assert ben.got.saved == [1]
    mallory.send(ARRAY)
    await room.flushed()
    ada.send(typed)
    await room.flushed()
    assert text_of(room.state()) == "bc"


async def test_what_brings_nothing_new_is_counted_also_while_a_batch_is_under_way() -> None:
    house = House(holds=True)
    room = await house.room()
    ada = Member(room, 1).join()
    known = ada.type("known")
    await turns()
    house.store.release()
    await room.flushed()
    ada.type("under way")
    ada.send(known)
    await turns()
    ada.send(known)
    assert house.notes.redundant_updates == 2
    assert ada.got.saved == [1]
    house.store.release()
    await room.flushed()
    assert ada.got.saved == [1, 4]


# Whatever comes


class Sender(Member):
    """A member that knows what was acknowledged of what it sent."""

    def __init__(self, room: DocumentRoom, writer: Writer) -> None:
        super().__init__(room, writer=writer)
        self.sent: list[bytes] = []

    def send(self, *updates: bytes) -> None:
        self.sent += updates
        super().send(*updates)

    @property
    def acknowledged(self) -> list[bytes]:
        return self.sent[: self.got.saved[-1]] if self.got.saved else []


@pytest.mark.timeout(120)
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_what_is_acknowledged_is_in_the_log_whatever_somebody_claims(data: st.DataObject) -> None:
    asyncio.run(acknowledged_is_logged(data))


async def acknowledged_is_logged(data: st.DataObject) -> None:
    limits = RoomLimits(snapshot_updates=4, snapshot_updates_at_most=8)
    house = House(limits=limits)
    room = await house.room()
    writers = [Writer(client) for client in (1, 2)]
    senders = [Sender(room, writer) for writer in writers]
    everybody = [*senders, mallory := Sender(room, Writer(MALLORY))]
    for sender in everybody:
        room.join(sender.peer)
    made: list[bytes] = []
    deletes_ahead = False
    for _ in range(data.draw(st.integers(1, 20))):
        which = data.draw(st.integers(0, 1))
        sender, writer = senders[which], writers[which]
        match data.draw(
            st.sampled_from(["type", "type", "delete", "again", "hear", "claim", "harm", "array", "wait"])
        ):
            case "type":
                at = data.draw(st.integers(0, len(writer.text)))
                made.append(writer.insert(at, data.draw(st.sampled_from("abc"))))
                sender.send(made[-1])
            case "delete" if len(writer.text):
                at = data.draw(st.integers(0, len(writer.text) - 1))
                made.append(writer.delete(at, at + 1))
                sender.send(made[-1])
            case "again":
                sender.send(writer.state)
            case "hear":
                writers[which].take(writers[1 - which].state)
            case "claim" | "harm" as kind:
                victim = data.draw(st.integers(1, 2))
                clock = data.draw(st.integers(0, 12))
                deletes = b"\0"
                if data.draw(st.booleans()):
                    deletes, deletes_ahead = deletion(victim, clock, 5), True
                mallory.send(
                    claim(victim, clock, "!" * 9, deletes) if kind == "claim" else text_in_the_array(deletes)
                )
            case "array":
                mallory.send(ARRAY)
            case "wait":
                await room.flushed()
                await check_log(house, room, everybody)
    for sender, writer in zip(senders, writers, strict=True):
        if sender.is_open:
            sender.send(writer.state)
    await room.flushed()
    await check_log(house, room, everybody)
    assert all(sender.is_open for sender in senders)
    assert all(sender.acknowledged == sender.sent for sender in senders)
    if not deletes_ahead:
        reference = Writer(9)
        reference.take(*(writer.state for writer in writers))
        assert text_of(room.state()) == str(reference.text)
    again = house.restarted(limits=limits)
    loaded = await again.room()
    assert ids_of(check_update(loaded.state())) == ids_of(check_update(room.state()))
    assert text_of(loaded.state()) == text_of(room.state())
    assert again.notes.early_now == house.notes.early_now


async def check_log(house: House, room: DocumentRoom, senders: list[Sender]) -> None:
    logged = {update for batch in house.store.batches for update in batch}
    integrated: Ids = ids_of(check_update(room.state()))
    for sender in senders:
        for update in sender.acknowledged:
            in_early = {id_ for row in logged for id_ in ids_of(check_update(row))}
            assert update in logged or ids_of(check_update(update)) <= integrated | in_early
