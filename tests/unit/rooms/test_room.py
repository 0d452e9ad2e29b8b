"""A room at work: in which order things happen, and who hears of what."""

import asyncio
from typing import Any

import pytest
from pycrdt import Awareness, Doc, Text

from collabd.auth.base import Access, Principal
from collabd.errors import (
    CollabdError,
    DocumentExists,
    MalformedInput,
    NotAllowed,
    Overloaded,
    ShuttingDown,
    StoreUnavailable,
)
from collabd.protocol import awareness, messages
from collabd.protocol.session import KEEP_ALIVE
from collabd.rooms import broadcast as broadcast_module
from collabd.rooms import room as room_module
from collabd.rooms.room import LARGE_MESSAGE, RoomLimits

from .kit import SAVED_AS, House, Member, Writer, calm, text_of, turns

pytestmark = pytest.mark.timeout(20)

EMPTY = b"\x00"
"""A state vector that covers nothing."""


# Committed before seen


async def test_nobody_sees_an_update_before_it_is_committed() -> None:
    house = House(holds=True)
    room = await house.room()
    ada, ben = Member(room, 1).join(), Member(room, 2).join()
    await turns()
    ben.read()
    ada.type("hello")
    await turns()
    assert house.store.batches == [[ada.writer.state]]
    assert (ben.got.updates, ada.got.saved, room.head) == ([], [], 0)
    assert text_of(room.state()) == ""
    late = Member(room, 3).join()
    assert [text_of(step.update) for step in late.got.of(messages.SyncStep2)] == [""]

    house.store.release()
    await turns()
    assert [text_of(update) for update in ben.got.updates] == ["hello"]
    assert [text_of(update) for update in late.got.updates] == ["hello"]
    assert ada.got.updates == [], "the author is not told what it said"
    assert ada.got.saved == [1]
    assert (room.head, text_of(room.state())) == (1, "hello")


async def test_what_arrives_during_a_commit_is_committed_together_afterwards() -> None:
    house = House(holds=True)
    room = await house.room()
    ada, ben, eve = (Member(room, client).join() for client in (1, 2, 3))
    first = ada.type("1")
    await turns()
    second, third, fourth = ada.type("2"), ben.type("3"), ada.type("4")
    await turns()
    assert house.store.batches == [[first]], "one commit at a time"
    house.store.release()
    await turns()
    assert house.store.batches == [[first], [second, third, fourth]]
    assert ada.got.saved == [1]
    house.store.release()
    await turns()
    assert ada.got.saved == [1, 3]
    assert ben.got.saved == [1]
    assert room.head == 4
    for member in (ada, ben, eve):
        member.read()
    assert ada.text == ben.text == eve.text
    assert sorted(eve.text) == list("1234")
    assert len(eve.got.updates) == 2, "what is committed together is sent together"


async def test_all_that_arrives_in_one_turn_is_one_commit() -> None:
    house = House(holds=True)
    room = await house.room()
    ada, ben = Member(room, 1).join(), Member(room, 2).join()
    updates = [ada.type("1"), ben.type("2"), ada.type("3")]
    await turns()
    assert house.store.batches == [updates]


async def test_a_failed_commit_ends_the_room_and_nobody_saw_anything() -> None:
    house = House(holds=True)
    room = await house.room()
    ada, ben = Member(room, 1).join(), Member(room, 2).join()
    ada.type("lost")
    await turns()
    ada.type("too")
    waiting = asyncio.ensure_future(room.submit(Writer(9).append("also")))
    await turns()
    house.store.fail(StoreUnavailable("the disk is gone"))
    await turns()
    assert room.has_ended
    for member in (ada, ben):
        assert isinstance(member.got.closed_by, StoreUnavailable)
    assert (ben.got.updates, ada.got.saved) == ([], [])
    with pytest.raises(StoreUnavailable):
        await waiting
    assert house.store.held == [], "nothing more is handed to the log"
    await room.flushed()


async def test_a_store_that_breaks_its_contract_ends_the_room_in_a_way_that_can_be_retried() -> None:
    house = House(holds=True)
    room = await house.room()
    ada = Member(room, 1).join()
    ada.type("lost")
    await turns()
    house.store.fail(OSError("unexpected"))
    await turns()
    assert ada.got.closed_by is not None
    assert ada.got.closed_by.retry


# Joining


async def test_who_joins_is_asked_and_told_at_once() -> None:
    house = House(holds=True)
    room = await house.room()
    ada = Member(room, 1).join()
    ada.show('{"name":"Ada"}', 1)
    ben = Member(room, 2)
    room.join(ben.peer)
    assert isinstance(ben.got.messages[0], messages.SyncStep1)
    assert ben.got.messages[0].state_vector == EMPTY
    assert [(entry.client, entry.state) for entry in ben.got.entries] == [(1, '{"name":"Ada"}')]


async def test_step_2_holds_what_the_asker_lacks_and_no_more() -> None:
    house = House()
    room = await house.room()
    ada = Member(room, 1).join()
    ada.type("one ")
    await room.flushed()
    known = Writer(2)
    known.take(room.state())
    ada.type("two")
    await room.flushed()
    ben = Member(room, 2, writer=known).join()
    (step_2,) = ben.got.of(messages.SyncStep2)
    assert len(step_2.update) < len(room.state())
    ben.read()
    assert ben.text == "one two"


async def test_the_whole_document_is_encoded_once_for_all_that_join() -> None:
    house = House()
    room = await house.room()
    ada = Member(room, 1).join()
    ada.type("hello")
    await room.flushed()
    ben, eve = Member(room, 2).join(), Member(room, 3).join()
    (for_ben,), (for_eve,) = (
        [frame for frame in member.got.frames if frame[:2] == b"\x00\x01"] for member in (ben, eve)
    )
    assert for_ben is for_eve
    ada.type(" world")
    await room.flushed()
    late = Member(room, 4).join()
    late.read()
    assert late.text == "hello world"


async def test_a_full_room_lets_nobody_in() -> None:
    update = Writer(1).append("x")
    house = House(holds=True, limits=RoomLimits(backlog_bytes=len(update)))
    room = await house.room()
    ada = Member(room, 1).join()
    ada.send(update)
    await turns()
    with pytest.raises(Overloaded):
        room.join(Member(room, 2).peer)


async def test_the_backlog_is_bounded_and_who_exceeds_it_is_told_to_come_back() -> None:
    house = House(holds=True, limits=RoomLimits(backlog_bytes=100))
    room = await house.room()
    ada, ben = Member(room, 1).join(), Member(room, 2).join()
    for _ in range(20):
        if ada.is_open:
            ada.type("x")
    assert ada.got.closed_by is not None
    assert ada.got.closed_by.close_code == 1013
    assert ben.is_open
    house.store.holds = False
    await turns()
    house.store.release(len(house.store.held))
    await room.flushed()
    back = Member(room, writer=ada.writer).join()
    await calm(room, [back, ben])
    assert ben.text == ada.text, "what was refused comes again"


async def test_who_may_not_read_cannot_join() -> None:
    room = await House().room()
    with pytest.raises(NotAllowed):
        room.join(Member(room, 1, access=Access.NONE).peer)


async def test_who_may_only_read_may_sync_and_changes_nothing() -> None:
    house = House()
    room = await house.room()
    ada = Member(room, 1).join()
    ada.type("hello")
    ben = Member(room, 2, access=Access.READ).join()
    await calm(room, [ada, ben])
    assert ben.text == "hello"
    assert ben.is_open
    assert len(ben.got.of(messages.PermissionDenied)) == 1, "told at once"
    assert ada.got.of(messages.PermissionDenied) == []
    assert ben.got.saved == [1], "a step 2 that brings nothing new is no change"
    ben.show('{"name":"Ben"}', 1)
    await turns()
    assert [entry.client for entry in ada.got.entries] == [2]
    ben.type("!")
    await calm(room, [ada])
    assert isinstance(ben.got.closed_by, NotAllowed)
    assert ada.text == text_of(room.state()) == "hello"
    assert await house.store.rows() == 1


# Who is not heard, and who is heard once


async def test_a_bad_message_ends_its_sender_alone() -> None:
    house = House()
    room = await house.room()
    ada, ben = Member(room, 1).join(), Member(room, 2).join()
    ada.send(b"\x01\x01\x07\x00\x00\x00\x00")
    assert isinstance(ada.got.closed_by, MalformedInput)
    ben.type("goes on")
    await room.flushed()
    assert text_of(room.state()) == "goes on"
    assert ben.is_open


async def test_who_reconnects_again_and_again_adds_nothing_to_the_log() -> None:
    house = House()
    room = await house.room()
    ada, ben = Member(room, 1).join(), Member(room, 2).join()
    ada.type("hello world")
    ada.send(ada.writer.delete(0, 6))
    ada.send(ada.writer.put("title", "x"))
    await calm(room, [ada, ben])
    rows = await house.store.rows()
    for _ in range(100):
        ada.leave()
        ada = Member(room, writer=ada.writer).join()
        ada.say(messages.step_2_frame(ada.writer.state))
        await turns()
    await room.flushed()
    assert await house.store.rows() == rows
    assert house.notes.redundant_updates >= 100
    assert ada.got.saved == [1]
    assert ben.text == "world"
    assert len(ben.got.updates) == 1


async def test_only_who_asked_is_told_what_is_saved() -> None:
    room = await House().room()
    ada = Member(room, 1, acknowledges=False).join()
    ada.type("x")
    ada.send(ada.writer.state)
    await room.flushed()
    assert ada.got.saved == []


async def test_the_author_gets_its_own_update_only_with_those_of_others() -> None:
    house = House()
    room = await house.room()
    ada, ben = Member(room, 1).join(), Member(room, 2).join()
    ada.type("a")
    await room.flushed()
    assert (len(ada.got.updates), len(ben.got.updates)) == (0, 1)
    ada.type("b")
    ben.type("c")
    await room.flushed()
    assert (len(ada.got.updates), len(ben.got.updates)) == (1, 2)


async def test_who_has_left_is_told_nothing_more() -> None:
    house = House(holds=True)
    room = await house.room()
    ada, ben = Member(room, 1).join(), Member(room, 2).join()
    ada.type("x")
    await turns()
    ada.leave()
    ada.leave()
    house.store.release()
    await turns()
    assert ada.got.saved == []
    assert len(ben.got.updates) == 1, "what it said stays"
    assert house.notes.goodbyes == [(1000, "", 1)]


async def test_what_comes_after_a_large_message_that_was_bad_is_not_taken() -> None:
    house = House()
    room = await house.room()
    ada = Member(room, 1).join()
    ada.say(messages.update_frame(bytes(LARGE_MESSAGE)))
    await room.flushed()
    assert isinstance(ada.got.closed_by, MalformedInput)
    ada.send(Writer(1).append("too late"))
    ada.show("{}", 1)
    await room.flushed()
    assert text_of(room.state()) == ""
    ada.leave()
    assert [code for code, _, _ in house.notes.goodbyes] == [4400]


async def test_a_large_message_we_fail_to_check_ends_its_sender_in_a_way_that_can_be_retried(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(data: bytes, inflates: int) -> None:
        raise ZeroDivisionError("a bug")

    room = await House().room()
    ada = Member(room, 1).join()
    with monkeypatch.context() as patch:
        patch.setattr(room_module, "check_large_message", fail)
        ada.say(bytes(LARGE_MESSAGE + 1))
        await room.flushed()
    assert ada.got.closed_by is not None
    assert ada.got.closed_by.retry
    assert "a bug" in caplog.text


# Presence; test_broadcast has how often


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """No broadcast of presence waits for the time of the next."""
    monkeypatch.setattr(broadcast_module, "SECONDS_BETWEEN", 0.0)


@pytest.mark.usefixtures("eager")
async def test_presence_goes_round_and_a_leaver_is_removed_at_once() -> None:
    room = await House().room()
    ada, ben = Member(room, 1).join(), Member(room, 2).join()
    ada.show('{"cursor":1}', 1)
    ada.show('{"cursor":2}', 2)
    await turns()
    assert [(entry.client, entry.state) for entry in ben.got.entries] == [(1, '{"cursor":2}')]
    ada.leave()
    await turns()
    assert [entry.state for entry in ben.got.entries] == ['{"cursor":2}', None]


async def test_foreign_entries_are_dropped_and_nobody_is_closed() -> None:
    room = await House().room()
    ada, ben = Member(room, 1).join(), Member(room, 2).join()
    ada.show("{}", 1)
    ben.show("{}", 1)
    ben.show(None, 9, client=1)
    ben.show('{"name":"not Ada"}', 9, client=1)
    await turns()
    assert ben.is_open
    assert {entry.client: entry.state for entry in ada.got.entries} == {2: "{}"}
    assert all(entry.state == "{}" for entry in ben.got.entries), (
        "nobody said that Ada was gone or somebody else"
    )


async def test_who_asks_is_told_who_is_here() -> None:
    room = await House().room()
    ada, ben = Member(room, 1).join(), Member(room, 2).join()
    ada.show("{}", 4)
    await turns()
    before = len(ben.got.entries)
    ben.say(messages.encode(messages.QueryAwareness()))
    assert [entry.client for entry in ben.got.entries[before:]] == [1]


@pytest.mark.usefixtures("eager")
async def test_an_entry_whose_clock_was_raised_does_not_return_to_its_owner() -> None:
    room = await House().room()
    ada, ben = Member(room, 1).join(), Member(room, 2).join()
    ada.show("{}", 5)
    await turns()
    assert ada.got.entries == []
    assert [entry.clock > 5 for entry in ben.got.entries] == [True]
    back = Member(room, writer=ada.writer)
    ada.leave()
    await turns()
    back.join()
    back.show('{"back":1}', 5)
    await turns()
    assert back.got.entries == []
    assert [entry.state for entry in ben.got.entries] == ["{}", None, '{"back":1}']
    back.show('{"back":2}', 5 + 1)
    ben.show("{}", 1)
    await turns()
    assert [entry.client for entry in back.got.entries] == [2], "others' entries of the same turn do come"


async def test_what_stock_providers_say_again_costs_little_however_many_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    room = await House().room()
    watcher = Member(room, 999).join()
    for client in range(1, 101):
        Member(room, client).join().show(f'{{"user":{{"name":"{client}"}},"cursor":{10**100}}}', 1)
    await turns()
    newcomer = Member(room, 1_000)
    room.join(newcomer.peer)
    for member in (watcher, newcomer):
        heard = [frame for frame in member.got.frames if frame[0] == messages.AWARENESS]
        assert sum(map(len, heard)) > LARGE_MESSAGE
        member.say(*heard)
        assert member.peer.held is None, "none of it has to be checked in another process"
        assert member.is_open
    monkeypatch.setattr(awareness, "decode", lambda _: pytest.fail("a broadcast is recognized"))
    watcher.say(*[frame for frame in watcher.got.frames if frame[0] == messages.AWARENESS])


async def test_somebody_else_s_client_id_is_safe_from_another_person() -> None:
    room = await House().room()
    ada = Member(room, 1, principal=Principal("ada", "Ada")).join()
    eve = Member(room, 3, principal=Principal("eve", "Eve")).join()
    ada.show("{}", 1)
    eve.show('{"name":"Ada"}', 99, client=1)
    await turns()
    assert [entry.state for entry in eve.got.entries] == ["{}"]


async def test_presence_can_be_read_as_pycrdt_has_it() -> None:
    room = await House().room()
    ada = Member(room, 1).join()
    ada.show('{"name":"Ada"}', 1)
    copy = room.awareness
    assert isinstance(copy, Awareness)
    assert copy.states == {1: {"name": "Ada"}}, "the server itself is not present"
    copy.set_local_state({"name": "nobody"})
    await turns()
    assert room.awareness.states == {1: {"name": "Ada"}}


async def test_who_was_told_nothing_for_a_while_is_kept_alive() -> None:
    room = await House().room()
    ada, ben = Member(room, 1).join(), Member(room, 2).join()
    room.keep_alive()
    before = len(ada.got.frames), len(ben.got.frames)
    ada.type("x")
    await room.flushed()
    room.keep_alive()
    assert ben.got.frames[before[1] :] == [messages.update_frame(ada.writer.state)]
    assert ada.got.frames[before[0] :] == [messages.saved_frame(1)]
    room.keep_alive()
    assert ada.got.frames[-1] == ben.got.frames[-1] == KEEP_ALIVE


# Code in the same process


async def test_code_in_the_process_edits_like_everybody() -> None:
    house = House()
    room = await house.room()
    ada = Member(room, 1).join()
    ada.type("hello")
    await room.flushed()

    def shout(doc: Doc[Any]) -> None:
        doc.get("content", type=Text).insert(5, "!")

    assert await room.edit(shout) == 2
    assert ada.got.updates != []
    ada.read()
    assert ada.text == text_of(room.state()) == "hello!"
    assert str(room.ydoc.get("content", type=Text)) == "hello!"
    assert await room.edit(lambda doc: None) == 2, "no change is no update"
    assert await house.store.rows() == 2


async def test_a_submitted_update_is_answered_when_it_is_committed() -> None:
    house = House(holds=True)
    room = await house.room()
    update = Writer(1).append("x")
    first = asyncio.ensure_future(room.submit(update))
    again = asyncio.ensure_future(room.submit(update))
    await turns()
    assert not first.done()
    assert not again.done(), "it says the same, and that is not committed yet"
    house.store.release()
    assert await first == 2, "the log holds it twice: the first might have been rejected"
    assert await again == 2
    assert await room.submit(update) == 2
    assert await house.store.rows() == 2


async def test_who_gives_up_waiting_for_a_submitted_update_disturbs_nobody() -> None:
    house = House(holds=True)
    room = await house.room()
    waiting = asyncio.ensure_future(room.submit(Writer(1).append("x")))
    await turns()
    waiting.cancel()
    house.store.release()
    await room.flushed()
    assert room.head == 1


async def test_a_malformed_update_is_not_submitted() -> None:
    room = await House().room()
    with pytest.raises(MalformedInput):
        await room.submit(b"nonsense")


async def test_of_many_seeds_at_once_exactly_one_wins() -> None:
    house = House()
    room = await house.room()
    seeds = [Writer(client).append(f"seed {client}") for client in range(1, 11)]
    outcomes = await asyncio.gather(*map(room.seed, seeds), return_exceptions=True)
    assert [outcome for outcome in outcomes if not isinstance(outcome, DocumentExists)] == [1]
    assert text_of(room.state()) == "seed 1"
    with pytest.raises(DocumentExists):
        await room.seed(seeds[1])


async def test_a_document_somebody_writes_in_cannot_be_seeded() -> None:
    house = House(holds=True)
    room = await house.room()
    Member(room, 1).join().type("mine")
    with pytest.raises(DocumentExists):
        await room.seed(Writer(2).append("seed"))


async def test_a_room_is_a_context_that_ends_when_all_is_committed() -> None:
    house = House()
    async with await house.room() as room:
        Member(room, 1).join().type("x")
    assert await house.store.rows() == 1


# Snapshots and the end


async def test_a_snapshot_is_taken_when_the_tail_is_long_enough() -> None:
    limits = RoomLimits(snapshot_updates=5, snapshot_updates_at_most=50)
    house = House(limits=limits)
    room = await house.room()
    ada = Member(room, 1).join()
    for _ in range(4):
        ada.type("x")
    await room.flushed()
    assert house.store.snapshots == []
    ada.type("x")
    await room.flushed()
    assert house.store.snapshots == [(5, [])]
    stored = await house.store.load(SAVED_AS)
    assert stored is not None
    assert (stored.snapshot_seq, stored.tail) == (5, [])
    again = await house.restarted(limits=limits).room()
    assert text_of(again.state()) == "xxxxx"
    Member(again, 2).join().type("y")
    await again.flushed()
    assert len(house.store.snapshots) == 1, "counted from the last one"


async def test_a_large_document_waits_longer_for_its_snapshot() -> None:
    house = House(limits=RoomLimits(snapshot_updates=2, snapshot_updates_at_most=30))
    room = await house.room()
    ada = Member(room, 1).join()
    ada.type("a long text" * 1_000)
    ada.type("!")
    await room.flushed()
    await turns()
    assert house.store.snapshots == [(2, [])]
    for _ in range(29):
        ada.type("x")
        await room.flushed()
    assert len(house.store.snapshots) == 1
    ada.type("x")
    await room.flushed()
    assert house.store.snapshots[1:] == [(32, [])], "but not for ever"


async def test_a_snapshot_that_cannot_be_saved_is_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    house = House(limits=RoomLimits(snapshot_updates=1))
    house.store.snapshot_error = StoreUnavailable("not now")
    room = await house.room()
    Member(room, 1).join().type("x")
    await room.flushed()
    assert not room.has_ended
    assert "not now" in caplog.text


async def test_a_document_is_complete_after_all_have_left_and_the_process_ended() -> None:
    house = House()
    room = await house.room()
    ada = Member(room, 1).join()
    ada.type("hello world")
    ada.send(ada.writer.delete(0, 6))
    await room.flushed()
    ada.leave()
    ben = Member(await house.restarted().room(), 2).join()
    ben.read()
    assert ben.text == "world"


async def test_an_ended_room_tells_everybody_why_and_takes_nothing_more() -> None:
    house = House(holds=True)
    room = await house.room()
    ada = Member(room, 1).join()
    ada.type("committed")
    await turns()
    ada.type("not committed")
    reason = ShuttingDown("the server restarts")
    room.end(reason)
    room.end(CollabdError("too late to say so"))
    assert ada.got.closed_by is reason
    with pytest.raises(ShuttingDown):
        room.join(Member(room, 2).peer)
    with pytest.raises(ShuttingDown):
        await room.submit(Writer(9).append("x"))
    with pytest.raises(ShuttingDown):
        room.receive(ada.peer, messages.update_frame(ada.writer.append("more")))
    house.store.release()
    await turns()
    assert house.store.held == [], "a room that has ended writes nothing more"
    await room.flushed()
    assert house.notes.early_now == 0


async def test_draining_commits_what_was_received_and_takes_nothing_more() -> None:
    house = House(holds=True)
    room = await house.room()
    ada, ben = Member(room, 1).join(), Member(room, 2).join()
    ada.type("1")
    await turns()
    ada.type("2")
    draining = asyncio.ensure_future(room.drain(ShuttingDown("the server restarts")))
    await turns()
    ben.type("3")
    assert isinstance(ben.got.closed_by, ShuttingDown), "it sends it again after the restart"
    with pytest.raises(ShuttingDown):
        await room.submit(Writer(9).append("x"))
    with pytest.raises(ShuttingDown):
        room.join(Member(room, 3).peer)
    house.store.release()
    await turns()
    assert not draining.done()
    house.store.release()
    await draining
    assert ada.got.saved == [1, 2]
    assert isinstance(ada.got.closed_by, ShuttingDown)
    assert room.has_ended
    assert await house.store.rows() == 2


# Large messages are checked beside the event loop


async def test_a_large_message_is_taken_in_before_what_its_sender_said_after_it() -> None:
    room = await House().room()
    ada, ben = Member(room, 1).join(), Member(room, 2).join()
    ada.type("x" * LARGE_MESSAGE)
    ada.type("y")
    ben.type("z")
    await room.flushed()
    await calm(room, [ada, ben])
    assert ada.text == ben.text == text_of(room.state())
    assert len(ada.text) == LARGE_MESSAGE + 2
    assert ada.got.saved[-1] == 3


async def test_a_large_message_that_is_malformed_ends_its_sender_alone() -> None:
    room = await House().room()
    ada, ben = Member(room, 1).join(), Member(room, 2).join()
    ada.send(b"\xff" * LARGE_MESSAGE)
    ada.type("lost")
    ben.type("goes on")
    await room.flushed()
    assert isinstance(ada.got.closed_by, MalformedInput)
    assert text_of(room.state()) == "goes on"
    assert ben.is_open


async def test_what_was_sent_before_leaving_counts_also_when_it_is_large() -> None:
    room = await House().room()
    ada = Member(room, 1).join()
    ada.type("x" * LARGE_MESSAGE)
    ada.show('{"name":"Ada"}', 1)
    ada.leave()
    await room.flushed()
    assert len(text_of(room.state())) == LARGE_MESSAGE
    assert room.is_idle


async def test_what_waits_to_be_checked_is_bounded() -> None:
    room = await House(limits=RoomLimits(backlog_bytes=2 * LARGE_MESSAGE)).room()
    ada = Member(room, 1).join()
    ada.type("x" * LARGE_MESSAGE)
    ada.type("y" * LARGE_MESSAGE)
    await room.flushed()
    assert isinstance(ada.got.closed_by, Overloaded)
    assert len(text_of(room.state())) == LARGE_MESSAGE
