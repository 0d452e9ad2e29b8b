"""Connections whose transport is awaited, those of pycrdt's own clients among them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pycrdt import Channel, Doc, Provider, Text

from collabd.auth.base import Access
from collabd.errors import CollabdError, MalformedInput, NotAllowed, ShuttingDown, SlowClient
from collabd.protocol import messages
from collabd.rooms.channel import Disconnected, converse
from collabd.rooms.outbox import QueuedOutbox
from collabd.rooms.peer import Peer
from collabd.rooms.room import DocumentRoom, RoomLimits

from .kit import House, Member, Writer, text_of, turns

pytestmark = pytest.mark.timeout(20)


class Line:
    """A connection as an endpoint sees it: what comes in, and what was sent."""

    def __init__(self, limit: int = 10_000, access: Access = Access.WRITE) -> None:
        self.incoming: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self.sent: list[bytes] = []
        self.may_send = asyncio.Event()
        self.may_send.set()
        self.broken: Exception | None = None
        self.outbox = QueuedOutbox(limit)
        self.peer = Peer(self.outbox, access=access)

    async def messages(self) -> AsyncIterator[bytes]:
        while (message := await self.incoming.get()) is not None:
            if isinstance(message, Exception):
                raise message
            yield message

    async def send(self, message: bytes) -> None:
        await self.may_send.wait()
        if self.broken is not None:
            raise self.broken
        self.sent.append(message)

    def begin(self, room: DocumentRoom) -> "asyncio.Task[CollabdError | None]":
        return asyncio.create_task(converse(room, self.peer, self.outbox, self.messages(), self.send))


async def test_messages_go_both_ways_until_the_client_goes() -> None:
    house = House()
    room = await house.room()
    line = Line()
    conversation = line.begin(room)
    line.incoming.put_nowait(messages.step_1_frame(b"\x00"))
    line.incoming.put_nowait(messages.update_frame(Writer(1).append("hello")))
    await turns()
    assert text_of(room.state()) == "hello"
    assert [type(message) for data in line.sent for message in messages.decode(data)] == [
        messages.SyncStep1,
        messages.SyncStep2,
    ]
    line.incoming.put_nowait(Disconnected(4001, "bye"))
    assert await conversation is None
    assert list(room.peers) == []
    assert house.notes.goodbyes == [(4001, "bye", 1)]


async def test_a_connection_that_just_ends_ended_well() -> None:
    house = House()
    line = Line()
    conversation = line.begin(await house.room())
    line.incoming.put_nowait(None)
    assert await conversation is None
    assert house.notes.goodbyes == [(1000, "", 0)]


async def test_a_connection_on_which_nothing_can_be_sent_is_gone() -> None:
    house = House()
    line = Line()
    line.broken = ConnectionResetError("gone")
    assert await line.begin(await house.room()) is None
    assert house.notes.goodbyes == [(1006, "", 0)]


async def test_a_bad_message_ends_it_with_the_reason() -> None:
    house = House()
    line = Line()
    conversation = line.begin(await house.room())
    line.incoming.put_nowait(b"\x63")
    error = await conversation
    assert isinstance(error, MalformedInput)
    assert house.notes.goodbyes == [(4400, error.close_reason, 0)]


async def test_a_mistake_of_ours_ends_it_in_a_way_that_can_be_retried(
    caplog: pytest.LogCaptureFixture,
) -> None:
    house = House()
    line = Line()
    conversation = line.begin(await house.room())
    line.incoming.put_nowait(ZeroDivisionError("a bug"))
    error = await conversation
    assert error is not None
    assert error.retry
    assert "a bug" in caplog.text
    assert house.notes.peers == 0


async def test_who_cannot_join_is_told_why() -> None:
    house = House()
    room = await house.room()
    assert isinstance(await Line(access=Access.NONE).begin(room), NotAllowed)
    room.end(ShuttingDown("the server restarts"))
    assert isinstance(await Line().begin(room), ShuttingDown)


async def test_who_does_not_read_is_closed_and_the_others_go_on() -> None:
    house = House()
    room = await house.room()
    slow = Line(limit=500)
    slow.may_send.clear()
    conversation = slow.begin(room)
    ada, ben = Member(room, 1).join(), Member(room, 2).join()
    await turns()
    for _ in range(40):
        ada.type("some text ")
        await room.flushed()
    await turns()
    assert conversation.done(), "although its transport hangs"
    assert isinstance(conversation.result(), SlowClient)
    ben.read()
    assert ben.text == ada.text
    assert house.notes.goodbyes[0][0] == 1013
    assert len(list(room.peers)) == 2


async def test_the_room_can_end_it() -> None:
    room = await House().room()
    line = Line()
    conversation = line.begin(room)
    await turns()
    room.end(ShuttingDown("the server restarts"))
    assert isinstance(await conversation, ShuttingDown)


async def test_a_cancelled_conversation_leaves_the_room() -> None:
    house = House()
    room = await house.room()
    conversation = Line().begin(room)
    await turns()
    conversation.cancel()
    with pytest.raises(asyncio.CancelledError):
        await conversation
    assert list(room.peers) == []


# pycrdt's own interface


class Pipe(Channel):
    """One end of a connection in memory, with pycrdt's interface."""

    def __init__(self, receives: "asyncio.Queue[bytes | None]", sends: "asyncio.Queue[bytes | None]") -> None:
        self._receives = receives
        self._sends = sends

    @property
    def path(self) -> str:
        return "memory"

    async def __anext__(self) -> bytes:
        message = await self._receives.get()
        if message is None:
            raise StopAsyncIteration
        return message

    async def recv(self) -> bytes:
        return await self.__anext__()

    async def send(self, message: bytes) -> None:
        self._sends.put_nowait(message)

    def close(self) -> None:
        for queue in (self._receives, self._sends):
            queue.put_nowait(None)


def pipe() -> tuple[Pipe, Pipe]:
    there: asyncio.Queue[bytes | None] = asyncio.Queue()
    back: asyncio.Queue[bytes | None] = asyncio.Queue()
    return Pipe(there, back), Pipe(back, there)


async def test_pycrdt_s_own_provider_works_with_a_room() -> None:
    room = await House().room()
    docs: list[Doc[Any]] = [Doc(), Doc()]
    texts = [doc.get("content", type=Text) for doc in docs]
    texts[0] += "offline "
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        pipes = [pipe() for _ in docs]
        for here, _ in pipes:
            group.create_task(room.serve(here))
        for doc, (_, there) in zip(docs, pipes, strict=True):
            async with Provider(doc, there) as provider:
                await provider.synced.wait()
                await turns()
            await turns()
        await room.flushed()
        async with Provider(docs[1], pipes[1][1]) as provider:
            texts[1] += "online"
            await turns()
        await room.flushed()
        assert len(room.clients) == 2
        assert text_of(room.state()) == "offline online"
        for here, _ in pipes:
            here.close()
    assert room.clients == set()
    assert list(room.peers) == []


async def test_a_channel_that_must_be_closed_raises_why() -> None:
    room = await House(limits=RoomLimits(queue_bytes=100)).room()
    here, there = pipe()
    serving = asyncio.create_task(room.serve(here))
    await there.send(b"nonsense")
    with pytest.raises(MalformedInput):
        await serving
    assert room.clients == set()
