"""What only the fast layer promises: uvicorn's own does not, and cannot be made to."""

import asyncio
import gc
import struct
from collections.abc import AsyncIterator, Callable
from typing import cast

import pytest
from websockets.server import ServerProtocol

from collabd.web import fastlane
from collabd.web.fastlane import FastLane, FastLaneProtocol
from tests.support.raw import CLOSE, PONG, frame, handshake
from tests.unit.rooms.kit import ScriptedStore

from .conftest import TLS
from .site import PATIENCE, Site, serving

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(params=["plain", "TLS"])
def secured(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "TLS")


@pytest.fixture
async def site(secured: bool, tls: Callable[[], TLS]) -> AsyncIterator[Site]:
    async with serving(FastLaneProtocol, max_message_bytes=100_000, **tls() if secured else {}) as site:
        yield site


async def test_who_does_not_answer_a_close_is_cut_off(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastlane, "CLOSE_TIMEOUT", 0.05)
    connection = await site.raw()
    connection.writer.write(frame(b"\x63"))
    await asyncio.wait_for(connection.reader.read(), PATIENCE)
    await site.rest()
    connection.abort()


@pytest.mark.parametrize("times", [1, 2])
async def test_who_says_goodbye_and_hangs_on_is_cut_off(
    site: Site, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fastlane, "CLOSE_TIMEOUT", 0.05)
    connection = await site.raw()
    # Over TLS, only who reads answers the end.
    cast(asyncio.Transport, connection.writer.transport).pause_reading()
    connection.writer.write(frame(struct.pack(">H", 1000), kind=CLOSE) * times)
    assert (await site.goodbye())[0] == 1000
    await site.rest()
    connection.abort()


async def test_nothing_of_an_upgrade_outlives_it(site: Site) -> None:
    connections = [await site.connect() for _ in range(3)]
    for connection in connections:
        await connection.recv()
    gc.collect()
    alive = [kept for kept in gc.get_objects() if type(kept) in (FastLaneProtocol, ServerProtocol)]
    assert len(list(site.room().peers)) == 3
    assert not alive
    for connection in connections:
        await connection.close()


async def test_a_connection_that_has_ended_is_gone_at_once(site: Site) -> None:
    connections = [await site.connect() for _ in range(3)]
    for connection in connections:
        await connection.recv()
    gc.collect()
    gc.disable()
    try:
        for connection in connections:
            await connection.close()
        await site.rest()
        assert [kept for kept in gc.get_objects() if isinstance(kept, FastLane)] == []
    finally:
        gc.enable()


async def test_a_ping_is_answered_once_by_what_it_said(site: Site) -> None:
    connection = await site.raw()
    (peer,) = site.room().peers
    answers: list[str] = []
    peer.outbox.ping(lambda: answers.append("first"))
    peer.outbox.ping(lambda: answers.append("asked meanwhile"))
    asked = b""
    while b"\x89\x07collabd" not in asked:
        asked += await asyncio.wait_for(connection.reader.read(1000), PATIENCE)
    for payload in (b"", b"something", b"collabd", b"collabd"):
        connection.writer.write(frame(payload, kind=PONG))
    connection.writer.write(frame(b"are you there", kind=9))
    while b"are you there" not in await asyncio.wait_for(connection.reader.read(1000), PATIENCE):
        pass
    peer.outbox.ping(lambda: answers.append("second"))
    connection.writer.write(frame(b"collabd", kind=PONG))
    connection.writer.write(frame(b"\x63"))
    assert (await site.goodbye())[0] == 4400, "all before was read"
    assert answers == ["first", "second"]
    peer.outbox.ping(lambda: answers.append("third"))
    connection.abort()
    await site.rest()
    assert answers == ["first", "second"]


async def test_a_request_with_too_many_headers_is_answered_and_forgotten(site: Site) -> None:
    connection = await site.dial()
    headers = b"".join(b"X-%d: y\r\n" % number for number in range(200))
    connection.writer.write(handshake("notes")[:-2] + headers + b"\r\n")
    answer = await asyncio.wait_for(connection.reader.read(), PATIENCE)
    assert answer.startswith(b"HTTP/1.1 400")
    await site.rest()


async def test_frames_before_the_handshake_end_the_connection() -> None:
    store = ScriptedStore(holds=False)
    store.may_load.clear()
    async with serving(FastLaneProtocol, store=store) as site:
        connection = await site.dial()
        connection.writer.write(handshake("notes"))
        while not store.loads:
            await asyncio.sleep(0.001)
        connection.writer.write(frame(b"early"))
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(connection.reader.readexactly(1), PATIENCE)
        store.may_load.set()
        await site.rest()
        assert list(site.room().peers) == []


async def test_crumbs_are_bounded_by_the_memory_they_take(site: Site) -> None:
    connection = await site.raw()
    connection.writer.write(frame(b"", fin=False) + frame(b"", kind=0, fin=False) * 5_000)
    assert await connection.ended() == 1009


async def test_a_message_in_pieces_is_forgotten_when_it_is_complete(site: Site) -> None:
    connection = await site.raw()
    for _ in range(5):
        keep_alive = b"\x01\x01\x00"
        connection.writer.write(frame(keep_alive[:1], fin=False) + frame(keep_alive[1:], kind=0))
    connection.writer.write(frame(b"are you there", kind=9))
    while b"are you there" not in await asyncio.wait_for(connection.reader.read(1_000), PATIENCE):
        pass
    connection.abort()
