"""SIGTERM while people type."""

import asyncio
import signal
import time

import pytest

from tests.support import RunningServer
from tests.support.clients import Client
from tests.support.watching import ServerFactory

SHUTDOWN_SECONDS = 10


async def type_without_end(client: Client, mark: str, sent: list[tuple[str, int]]) -> None:
    """Type as fast as the server takes it; ``sent`` gets each piece and the count that acknowledges it."""
    number = 0
    while client.is_connected:
        for _ in range(5):
            piece = f"<{mark}{number}>"
            client.append(piece)
            sent.append((piece, client.sent))
            number += 1
        await client.until(lambda: client.sent - client.saved < 100 or not client.is_connected)
        await asyncio.sleep(0)


async def stop(server: RunningServer) -> tuple[int, float]:
    """Send SIGTERM and wait for the process to end; return its exit code and how long that took."""
    started = time.monotonic()
    code = await asyncio.to_thread(server.terminate)
    return code, time.monotonic() - started


@pytest.mark.parametrize("signals", [1, 2], ids=["once", "twice"])
async def test_all_that_was_acknowledged_outlives_sigterm_under_load(
    signals: int, server: ServerFactory
) -> None:
    running = server(options=["--shutdown-seconds", str(SHUTDOWN_SECONDS)])
    names = [f"notes/{number}" for number in range(5)]
    people = [Client(running.websocket_url(name), saves=True) for name in names for _ in range(2)]
    sent: list[list[tuple[str, int]]] = [[] for _ in people]
    for client in people:
        await client.connect()
        await client.synced()
    async with asyncio.TaskGroup() as group:
        for number, client in enumerate(people):
            group.create_task(type_without_end(client, f"{number}.", sent[number]))
        for client in people:
            await client.until(lambda client=client: client.saved > 100)  # type: ignore[misc]
        for _ in range(signals - 1):
            running.process.send_signal(signal.SIGTERM)
        code, seconds = await stop(running)
        codes = {await client.closed() for client in people}
    assert code == 0
    assert seconds < SHUTDOWN_SECONDS
    assert codes == {1012}
    assert "Traceback" not in running.log

    await asyncio.to_thread(running.start)
    for number, client in enumerate(people):
        acknowledged = [piece for piece, count in sent[number] if count <= client.saved]
        async with Client(client.url) as newcomer:
            text = str(newcomer.text)
        assert [text.count(piece) for piece in acknowledged] == [1] * len(acknowledged)
        await client.dispose()


async def test_a_client_that_reads_nothing_does_not_hold_up_the_others_end(server: ServerFactory) -> None:
    running = server(options=["--shutdown-seconds", str(SHUTDOWN_SECONDS)])
    url = running.websocket_url("notes")
    async with Client(url, saves=True) as author, Client(url) as deaf:
        deaf.stop_reading()
        for _ in range(60):
            author.append("x" * 100_000)
        await author.saved_all()
        code, seconds = await stop(running)
        assert await author.closed() == 1012
    assert code == 0
    assert seconds < SHUTDOWN_SECONDS
    await asyncio.to_thread(running.start)
    async with Client(url) as newcomer:
        assert len(newcomer.text) == 6_000_000


async def test_nobody_new_is_let_in_while_it_stops(server: ServerFactory) -> None:
    running = server(options=["--shutdown-seconds", str(SHUTDOWN_SECONDS)])
    async with Client(running.websocket_url("notes"), saves=True) as author:
        author.append("hello")
        await author.saved_all()
        running.process.send_signal(signal.SIGTERM)
        assert await author.closed() == 1012
        with pytest.raises(OSError, match=r"."):
            await Client(running.websocket_url("notes")).connect()
        assert (await stop(running))[0] == 0
