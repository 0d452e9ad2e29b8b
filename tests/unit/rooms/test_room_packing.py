"""Compressed messages in a room: what joiners get, in which order, and what is taken of them."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from random import Random

import pytest

from collabd.auth.base import Access
from collabd.errors import DocumentDeleted, MalformedInput, Overloaded, TooLarge
from collabd.protocol import messages
from collabd.protocol.packing import PACKED, pack
from collabd.protocol.session import check_large_message
from collabd.rooms import packing
from collabd.rooms.packing import HELD_BACK, WORTH_PACKING
from collabd.rooms.room import LARGE_MESSAGE, DocumentRoom, RoomLimits

from .kit import LARGEST, House, Member, Writer, calm, text_of, turns

TEXT = "All work and no play makes Jack a dull boy. " * 1_000


class Press:
    """Compresses when the test says so, and counts."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.failure: Exception | None = None
        self.may_go = threading.Event()
        self.may_go.set()

    def __call__(self, message: bytes) -> bytes:
        self.sizes.append(len(message))
        assert self.may_go.wait(20)
        if self.failure is not None:
            raise self.failure
        return pack(message)


@pytest.fixture
def press(monkeypatch: pytest.MonkeyPatch) -> Iterator[Press]:
    press = Press()
    monkeypatch.setattr(packing, "pack", press)
    yield press
    press.may_go.set()


async def written(text: str = TEXT, *, limits: RoomLimits | None = None) -> tuple[DocumentRoom, Member]:
    """A room with a text, and who wrote it."""
    room = await House(limits=limits).room()
    ada = Member(room, 1).join()
    ada.type(text)
    await room.flushed()
    return room, ada


def joined(room: DocumentRoom, client: int, *, access: Access = Access.WRITE) -> Member:
    return Member(room, client, inflates=LARGEST, access=access).join()


def packed(member: Member) -> list[bytes]:
    """The compressed frames that it got."""
    return [frame for frame in member.got.frames if frame[:1] == PACKED]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


async def caught_up(room: DocumentRoom, members: Sequence[Member]) -> None:
    """Return once everybody has all that there is: those who come at once are served a few at a time."""
    await until(lambda: all(member.got.of(messages.SyncStep2) for member in members))
    await calm(room, members)


async def begun(press: Press, count: int = 1) -> None:
    """Return once so many are being compressed, or were."""
    await until(lambda: len(press.sizes) >= count)


# To clients


async def test_a_large_document_comes_compressed_and_whole() -> None:
    room, _ = await written()
    ben = joined(room, 2)
    await caught_up(room, [ben])
    (frame,) = packed(ben)
    assert len(frame) < len(TEXT) / 10
    assert ben.text == TEXT


async def test_all_who_join_share_one_frame(press: Press) -> None:
    room, ada = await written()
    press.may_go.clear()
    early = [joined(room, client) for client in range(2, 12)]
    await begun(press)
    press.may_go.set()
    await caught_up(room, early)
    ada.type("little")
    await room.flushed()
    late = [joined(room, client) for client in range(12, 22)]
    await caught_up(room, early + late)
    assert len(press.sizes) == 2
    assert [len({id(packed(member)[0]) for member in members}) for members in (early, late)] == [1, 1]
    assert {member.text for member in early + late} == {TEXT + "little"}


async def test_who_did_not_agree_gets_it_plain(press: Press) -> None:
    room, _ = await written()
    ben = Member(room, 2).join()
    await caught_up(room, [ben])
    assert (press.sizes, packed(ben)) == ([], [])
    assert ben.text == TEXT


async def test_a_small_document_stays_plain(press: Press) -> None:
    room, _ = await written("x" * (WORTH_PACKING - 100))
    ben = joined(room, 2)
    await caught_up(room, [ben])
    assert (press.sizes, packed(ben)) == ([], [])


async def test_what_hardly_gets_smaller_stays_plain_and_is_tried_once(press: Press) -> None:
    room, ada = await written("see below")
    ada.send(ada.writer.put("picture", Random(1).randbytes(2 * WORTH_PACKING)))
    await room.flushed()
    ben, eve = joined(room, 2), joined(room, 3)
    await caught_up(room, [ben, eve])
    assert len(press.sizes) == 1
    assert (packed(ben), packed(eve)) == ([], [])
    assert (ben.text, eve.text) == ("see below", "see below")


async def test_what_is_sent_meanwhile_keeps_its_place(press: Press) -> None:
    room, ada = await written()
    press.may_go.clear()
    ben = joined(room, 2, access=Access.READ)
    await begun(press)
    ada.type("one")
    await turns()
    ada.type("two")
    ada.show('{"name":"Ada"}', 1)
    await turns()
    before = len(ben.got.messages)
    press.may_go.set()
    await room.flushed()
    assert type(ben.got.messages[before]) is messages.SyncStep2
    sync = ben.got.of(messages.SyncStep2, messages.Update)
    assert [type(message) for message in sync] == [messages.SyncStep2, messages.Update, messages.Update]
    await caught_up(room, [ben])
    assert ben.text == TEXT + "onetwo"
    assert ben.peer.outbox is ben.got


async def test_nobody_else_waits_meanwhile(press: Press) -> None:
    room, ada = await written()
    press.may_go.clear()
    joined(room, 2)
    eve = Member(room, 3).join()
    await begun(press)
    await until(lambda: len(eve.got.of(messages.SyncStep2)) == 1)
    ada.type("!")
    await until(lambda: len(eve.got.updates) == 1)
    assert not room.is_idle


async def test_when_much_comes_meanwhile_all_goes_out_as_it_is(press: Press) -> None:
    room, ada = await written()
    press.may_go.clear()
    ben = joined(room, 2)
    await begun(press)
    for _ in range(3):
        ada.type("y" * (HELD_BACK // 2))
    await until(lambda: len(ben.got.updates) == 3)
    assert packed(ben) == []
    ada.type("z")
    press.may_go.set()
    await caught_up(room, [ben])
    assert ben.text == ada.text
    assert len(ben.got.of(messages.SyncStep2)) == 1


async def test_who_asks_again_meanwhile_is_answered_in_turn(press: Press) -> None:
    room, ada = await written()
    press.may_go.clear()
    ben = joined(room, 2)
    await begun(press)
    more = "and more" * 1_000
    ada.type(more)
    await until(lambda: room.head == 2)
    ben.say(messages.step_1_frame(b"\0"))
    press.may_go.set()
    await until(lambda: len(packed(ben)) == 2)
    first, second = ben.got.of(messages.SyncStep2)
    assert (text_of(first.update), text_of(second.update)) == (TEXT, TEXT + more)
    assert len(packed(ben)) == len(press.sizes) == 2


async def test_what_waits_for_others_comes_compressed_as_well(press: Press) -> None:
    room, _ = await written()
    writer = Writer(5)
    writer.append("lost")
    late = writer.append("x" * WORTH_PACKING)
    eve = Member(room, 4).join()
    eve.send(late)
    await room.flushed()
    ben = joined(room, 2)
    await until(lambda: len(packed(ben)) == 2)
    assert ben.got.updates == [late]


async def test_a_difference_comes_compressed_as_well(press: Press) -> None:
    room, ada = await written("hello ")
    writer = Writer(2)
    writer.take(room.state())
    ada.type(TEXT)
    await room.flushed()
    ben = Member(room, writer=writer, inflates=LARGEST).join()
    await caught_up(room, [ben])
    assert len(packed(ben)) == len(press.sizes) == 1
    assert ben.text == "hello " + TEXT


async def test_who_leaves_meanwhile_takes_nothing_along(press: Press) -> None:
    room, ada = await written()
    press.may_go.clear()
    ben, eve = joined(room, 2), joined(room, 3)
    await until(lambda: ben.peer.outbox is not ben.got and eve.peer.outbox is not eve.got)
    ben.leave()
    ada.leave()
    press.may_go.set()
    await caught_up(room, [eve])
    assert eve.text == TEXT
    eve.leave()
    assert room.is_idle


async def test_a_peer_that_is_closed_meanwhile_gets_nothing_more(press: Press) -> None:
    room, _ = await written()
    press.may_go.clear()
    ben = joined(room, 2)
    await begun(press)
    room.end(DocumentDeleted("notes was deleted"))
    assert isinstance(ben.got.closed_by, DocumentDeleted)
    press.may_go.set()
    await until(lambda: not room._tasks)
    assert ben.got.of(messages.SyncStep2) == []


async def test_draining_waits_until_it_is_sent(press: Press) -> None:
    room, _ = await written()
    press.may_go.clear()
    ben = joined(room, 2)
    await begun(press)
    draining = asyncio.create_task(room.drain(DocumentDeleted("the end")))
    await turns()
    assert ben.is_open
    press.may_go.set()
    await draining
    assert text_of(ben.got.of(messages.SyncStep2)[0].update) == TEXT


async def test_if_it_cannot_be_compressed_it_goes_out_as_it_is(
    press: Press, caplog: pytest.LogCaptureFixture
) -> None:
    room, ada = await written()
    press.failure = MemoryError("no memory")
    ben, eve = joined(room, 2), joined(room, 3)
    await caught_up(room, [ben, eve])
    ada.type("!")
    await caught_up(room, [ben, eve])
    assert ben.text == eve.text == TEXT + "!"
    assert "no memory" in caplog.text


# From clients


async def test_a_compressed_update_counts_and_reaches_the_others() -> None:
    room, ada = await written("hello ")
    ben = joined(room, 2)
    await caught_up(room, [ben])
    saved = ben.got.saved[-1]
    ben.say(pack(messages.update_frame(ben.writer.append("world "))))
    ben.say(pack(messages.step_2_frame(ben.writer.append(TEXT))))
    ben.type("!")
    await caught_up(room, [ada, ben])
    assert ben.got.saved[-1] == saved + 3
    assert ada.text == text_of(room.state()) == "hello world " + TEXT + "!"


async def test_what_inflates_large_is_checked_beside_the_event_loop_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    room, ada = await written("hello ")
    ben = joined(room, 2)
    await caught_up(room, [ben])
    elsewhere: list[object] = []
    run = room._runner.run

    async def noted(function: Callable[..., object], *args: object) -> object:
        elsewhere.append(function)
        return await run(function, *args)

    monkeypatch.setattr(room._runner, "run", noted)
    frame = pack(messages.update_frame(ben.writer.append(TEXT)))
    assert len(frame) < LARGE_MESSAGE < len(TEXT)
    ben.say(frame)
    assert ben.peer.held is not None
    ben.type("after")
    ada.type("beside")
    await caught_up(room, [ada, ben])
    assert elsewhere == [check_large_message]
    assert ada.text == ben.text == text_of(room.state())
    assert sorted(ada.text) == sorted("hello " + TEXT + "afterbeside")


async def test_what_waits_to_be_checked_is_bounded_by_what_it_inflates_to() -> None:
    room, _ = await written("hello ", limits=RoomLimits(backlog_bytes=2 * len(TEXT)))
    ben = joined(room, 2)
    for _ in range(3):
        ben.say(pack(messages.update_frame(ben.writer.append(TEXT))))
    await room.flushed()
    assert isinstance(ben.got.closed_by, Overloaded)


@pytest.mark.parametrize("is_busy", [False, True])
async def test_what_would_inflate_too_large_ends_its_sender(is_busy: bool) -> None:
    room, ada = await written("hello")
    ben = Member(room, 2, inflates=100_000).join()
    if is_busy:
        ben.type("x" * LARGE_MESSAGE)
    ben.say(pack(messages.update_frame(bytes(100_000))))
    assert isinstance(ben.got.closed_by, TooLarge)
    await room.flushed()
    ada.type("!")
    await room.flushed()
    assert ada.is_open


@pytest.mark.parametrize("size", [10, LARGE_MESSAGE + 1])
async def test_a_compressed_message_that_lies_ends_its_sender(size: int) -> None:
    room, ada = await written("hello")
    ben = joined(room, 2)
    ben.say(pack(messages.update_frame(bytes(size))) + b"\0")
    await room.flushed()
    assert isinstance(ben.got.closed_by, MalformedInput)
    assert ada.is_open


async def test_who_did_not_agree_may_not_send_it() -> None:
    room, ada = await written("hello")
    ada.say(pack(messages.update_frame(ada.writer.append("more"))))
    await room.flushed()
    assert isinstance(ada.got.closed_by, MalformedInput)
    assert text_of(room.state()) == "hello"
