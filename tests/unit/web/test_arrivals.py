"""What newcomers ask for is not looked at before it is their turn, on either event loop."""

import asyncio
import contextlib
import gc
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple, cast

import pytest
import uvloop
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from collabd.rooms.turns import Turns
from collabd.web.arrivals import ARRIVAL_SECONDS, in_turn

REQUEST = b"GET /%d HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"


class Queue:
    """Gives turns when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], float]] = []

    def ask(self, serve: Callable[[], float]) -> None:
        self.waiting.append(serve)


async def application(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


class Place(NamedTuple):
    """Where something is served."""

    address: tuple[str, int]
    state: ServerState
    readers: "list[weakref.ref[Any]]"
    """What reads the requests of each connection."""


@contextlib.asynccontextmanager
async def serving(turns: Turns | Queue, app: Any = application, **options: Any) -> AsyncIterator[Place]:
    """Serve an application to who has a turn."""
    config = Config(app, http=in_turn(lambda: cast(Turns, turns)), log_config=None, **options)
    config.load()
    state = ServerState()
    readers: list[weakref.ref[Any]] = []

    def connect() -> asyncio.Protocol:
        protocol: asyncio.Protocol = config.http_protocol_class(  # type: ignore[call-arg]
            config=config, server_state=state, app_state={}
        )
        readers.append(weakref.ref(protocol))
        return protocol

    server = await asyncio.get_running_loop().create_server(connect, "127.0.0.1", 0)
    async with server:
        yield Place(server.sockets[0].getsockname(), state, readers)


async def newcomers_wait_for_their_turn() -> None:
    queue = Queue()
    async with serving(queue) as place:
        people = [await asyncio.open_connection(*place.address) for _ in range(3)]
        for number, (_, writer) in enumerate(people):
            request = REQUEST % number
            writer.write(request[:20])
            await writer.drain()
            writer.write(request[20:])
        while len(queue.waiting) < 3:
            await asyncio.sleep(0.01)
        _, hasty = await asyncio.open_connection(*place.address)
        while len(queue.waiting) < 4:
            await asyncio.sleep(0.01)
        hasty.transport.abort()
        for number, (reader, writer) in enumerate(people):
            assert not place.state.tasks, "somebody was served before it was their turn"
            assert queue.waiting.pop(0)() == ARRIVAL_SECONDS
            answer = await reader.read()
            assert f"/{number}\r\n".encode() in answer
            writer.close()
            await writer.wait_closed()
        while place.state.connections:
            await asyncio.sleep(0.01)
        # Who came and went while all others waited takes no time.
        assert queue.waiting.pop(0)() == 0.0


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_newcomers_wait_for_their_turn(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.wait_for(newcomers_wait_for_their_turn(), 20))


async def who_has_a_turn_at_once_is_served_when_the_request_comes() -> None:
    async with serving(Turns(asyncio.get_running_loop())) as place:
        reader, writer = await asyncio.open_connection(*place.address)
        await asyncio.sleep(0)
        writer.write(REQUEST % 1)
        assert b"/1\r\n" in await reader.read()
        writer.close()
        await writer.wait_closed()


def test_who_has_a_turn_at_once_is_served_when_the_request_comes() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(who_has_a_turn_at_once_is_served_when_the_request_comes(), 20))


async def accepts(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await receive()


async def what_read_the_request_of_a_websocket_is_gone_at_once() -> None:
    turns = Turns(asyncio.get_running_loop())
    async with serving(turns, accepts, ws="websockets-sansio") as place:
        reader, writer = await asyncio.open_connection(*place.address)
        writer.write(
            b"GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        assert [reference() for reference in place.readers] == [None]
        writer.close()
        await writer.wait_closed()
        while place.state.connections:
            await asyncio.sleep(0.01)


def test_what_read_the_request_of_a_websocket_is_gone_at_once() -> None:
    """Python's own searches for circles leave aside what has been there for long, such as who waited."""
    gc.disable()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(asyncio.wait_for(what_read_the_request_of_a_websocket_is_gone_at_once(), 20))
    finally:
        gc.enable()


async def a_request_that_cannot_be_read_ends_its_own_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    queue = Queue()
    async with serving(queue) as place:
        reader, writer = await asyncio.open_connection(*place.address)
        writer.write(REQUEST % 1)
        while not queue.waiting:
            await asyncio.sleep(0.01)
        reads: Any = place.readers[0]()
        while reads._sent is None:
            await asyncio.sleep(0.01)
        monkeypatch.setattr(HttpToolsProtocol, "data_received", fail)
        with pytest.raises(MemoryError):
            queue.waiting.pop()()
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()


def test_a_request_that_cannot_be_read_ends_its_own_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        ends = a_request_that_cannot_be_read_ends_its_own_connection(monkeypatch)
        runner.run(asyncio.wait_for(ends, 20))
