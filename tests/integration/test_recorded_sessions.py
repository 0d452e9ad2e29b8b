"""Real editing sessions, replayed keystroke by keystroke through a running server."""

import asyncio
import json

import pytest
from pycrdt import Doc

from tests.support import RunningServer
from tests.support.clients import Client
from tests.support.stock import SCRIPTS
from tests.support.traces import Typist, load, path_of
from tests.support.watching import ServerFactory, exported_text


async def everybody_reads(server: RunningServer, document: str, expected: str) -> None:
    """A newcomer, the export, and both again from a new process."""
    for _ in range(2):
        async with Client(server.websocket_url(document)) as newcomer:
            assert str(newcomer.text) == expected
        assert await asyncio.to_thread(exported_text, server, document) == expected
        assert await asyncio.to_thread(server.terminate) == 0, server.log
        await asyncio.to_thread(server.start)


async def test_two_friends_who_write_at_once_end_with_the_same_text(server: ServerFactory) -> None:
    running = server()
    session = load("friendsforever")
    url = running.websocket_url("friendsforever")
    # Where both inserted at one place, the recording has the text of the first agent in front: the lower id.
    async with (
        Client(url, doc=Doc(client_id=1), saves=True, holds=True) as ada,
        Client(url, doc=Doc(client_id=2), saves=True, holds=True) as bob,
    ):
        first, second = Typist(ada, session.agents[0]), Typist(bob, session.agents[1])
        await asyncio.gather(first.play(second), second.play(first))
        for client in (ada, bob):
            client.holds = False
            client.release()
            await client.has_text(session.end)
    await everybody_reads(running, "friendsforever", session.end)


async def test_a_reader_sees_all_that_somebody_writes(server: ServerFactory) -> None:
    """The longest session, too, is written before a reader, by the stock providers below."""
    running = server()
    session = load("rustcode")
    async with (
        Client(running.websocket_url("rustcode"), saves=True) as author,
        Client(running.websocket_url("rustcode")) as reader,
    ):
        await Typist(author, session.agents[0]).play()
        await author.has_text(session.end)
        await reader.has_text(session.end)
    await everybody_reads(running, "rustcode", session.end)


@pytest.mark.parametrize("trace", ["friendsforever", "rustcode", "automerge-paper"])
async def test_stock_providers_write_it_although_the_server_is_killed_halfway(
    trace: str, server: ServerFactory, node: str
) -> None:
    running = server()
    session = load(trace)
    replay = await asyncio.create_subprocess_exec(
        node,
        str(SCRIPTS / "replay.mjs"),
        f"ws://127.0.0.1:{running.port}/ws",
        str(path_of(trace)),
        trace,
        stdout=asyncio.subprocess.PIPE,
    )
    assert replay.stdout is not None
    try:
        async with asyncio.timeout(100):
            assert await replay.stdout.readline() == b"half\n"
            await asyncio.to_thread(running.kill)
            await asyncio.to_thread(running.start)
            result = json.loads(await replay.stdout.readline())
            assert await replay.wait() == 0
    finally:
        if replay.returncode is None:
            replay.kill()
        await replay.communicate()
    # Everybody who wrote, and a reader; each was disconnected, and came back by itself.
    everybody = len(session.agents) + 1
    assert result == {"right": [True] * everybody, "disconnects": [1] * everybody}
    await everybody_reads(running, trace, session.end)
