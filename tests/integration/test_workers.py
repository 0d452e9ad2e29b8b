"""``collabd serve --workers N``: several processes on one port, one of which may die at any time."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median

import pytest

from collabd.errors import ShuttingDown
from tests.conftest import ServerFactory
from tests.support import postgres
from tests.support.clients import WAIT_SECONDS, Client
from tests.support.commands import Place
from tests.support.server import RunningServer
from tests.support.watching import becomes, exported_text, figures
from tests.support.workers import has_ended, workers_of

pytestmark = pytest.mark.timeout(120)

TWO = ("--workers", "2")


def serving(server: RunningServer, document: str) -> list[int]:
    """For everybody who joined a document, in this order, the number of the worker."""
    joins = [line for line in server.log.splitlines() if f" event=join document={document} " in line]
    return [int(re.search(r" worker=(\d+)", line)[1]) for line in joins]  # type: ignore[index]


@contextlib.asynccontextmanager
async def everywhere(server: RunningServer, document: str) -> AsyncIterator[dict[int, Client]]:
    """A client on each of two workers, by the worker's number."""
    async with contextlib.AsyncExitStack() as stack:
        clients: dict[int, Client] = {}
        joined = 0
        while len(clients) < 2:
            client = await Client(server.websocket_url(document), saves=True).connect()
            await client.synced()
            joined += 1
            await becomes(lambda: len(serving(server, document)), joined)
            number = serving(server, document)[-1]
            if number in clients:
                await client.close()
            else:
                clients[number] = client
                stack.push_async_callback(client.close)
        yield clients


def test_all_serve_before_it_greets(server: ServerFactory) -> None:
    running = server(options=("--workers", "3"))
    assert running.greeting.endswith(", workers: 3)\n")
    assert len(workers_of(running)) == 3
    assert running.terminate() == 0
    assert "Traceback" not in running.log


async def test_what_is_typed_through_one_is_seen_through_the_other(server: ServerFactory) -> None:
    running = server(options=TWO)
    async with everywhere(running, "notes") as clients:
        clients[1].append("hello")
        await clients[2].has_text("hello")
        clients[2].append(" there")
        await clients[1].has_text("hello there")
        for number in range(20):
            for client in clients.values():
                client.append(f" {number}")
        for client in clients.values():
            await client.until(lambda client=client: len(str(client.text).split()) == 42)  # type: ignore[misc]
            await client.saved_all()
        assert str(clients[1].text) == str(clients[2].text)
        await becomes(lambda: exported_text(running, "notes"), str(clients[1].text))


async def test_edits_and_presence_cross_at_once(server: ServerFactory) -> None:
    running = server(options=TWO)
    async with everywhere(running, "notes") as clients:
        ada, ben = clients.values()
        took = []
        for number in range(20):
            ada.append(f"{number} ")
            started = time.monotonic()
            await ben.until(lambda number=number: f"{number} " in str(ben.text))  # type: ignore[misc]
            took.append(time.monotonic() - started)
        assert median(took) < 1, "the log alone is looked at every 1.5 seconds"
        ada.set_presence({"user": {"name": "Ada"}})
        await ben.until(lambda: ben.presence.get(ada.doc.client_id) == {"user": {"name": "Ada"}})
        await ada.close()
        await ben.until(lambda: ben.presence.get(ada.doc.client_id) is None)


async def test_figures_are_those_of_all_and_stay_when_a_worker_ends(server: ServerFactory) -> None:
    running = server(options=TWO)
    before = workers_of(running)
    async with everywhere(running, "notes") as clients:
        for client in clients.values():
            for number in range(5):
                client.append(f"{number} ")
            await client.saved_all()
        # How long edits took is counted once they were written, which is after "saved" was.
        await becomes(lambda: figures(running)["collabd_edit_seconds_count"], 10)
        each = [figures(running) for _ in range(20)]  # whichever of them answers
        for seen in each:
            assert seen["collabd_connections"] == 2
            assert seen["collabd_rooms"] == 2  # open on both
            assert seen["collabd_updates_total"] == seen["collabd_edit_seconds_count"] == 10
            assert seen["collabd_bridge_up"] == 1
        os.kill(before[0], signal.SIGKILL)
        await told_apart(clients)
        await becomes(lambda: len(workers_of(running)), 2)
        await becomes(lambda: figures(running)["collabd_connections"], 1)
        after = figures(running)
        assert after["collabd_updates_total"] == after["collabd_edit_seconds_count"] == 10
        assert after["process_cpu_seconds_total"] >= each[-1]["process_cpu_seconds_total"]


async def test_what_a_command_writes_is_seen_at_once(server: ServerFactory) -> None:
    running = server(options=TWO)
    async with everywhere(running, "notes") as clients:
        for client in clients.values():
            client.append("one ")
            await client.saved_all()
        place = Place(running.directory, running)
        assert (await place.ask("versions", "notes", "--name", "draft")).code == 0
        clients[1].append("two")
        await clients[2].until(lambda: "two" in str(clients[2].text))
        started = time.monotonic()
        assert (await place.ask("restore", "notes", "draft")).code == 0
        for client in clients.values():
            await client.has_text("one one ")
        assert time.monotonic() - started < 10


async def test_a_worker_that_is_killed_is_replaced_and_nothing_acknowledged_is_lost(
    server: ServerFactory,
) -> None:
    running = server(options=TWO)
    before = workers_of(running)
    async with everywhere(running, "notes") as clients:
        for number in range(10):
            for client in clients.values():
                client.append(f"{number} ")
        for client in clients.values():
            await client.saved_all()
        os.kill(before[0], signal.SIGKILL)
        hit, spared = await told_apart(clients)
        spared.append("spared ")
        await spared.saved_all()
        await becomes(lambda: len(workers_of(running)), 2)
        (new,) = set(workers_of(running)) - set(before)
        await hit.cut()
        await hit.reconnect()
        hit.append("back ")
        await hit.saved_all()
        for client in (hit, spared):
            await client.until(lambda client=client: len(str(client.text).split()) == 22)  # type: ignore[misc]
        # Among enough newcomers some find the new one.
        async with everywhere(running, "more"):
            assert new in workers_of(running)
    assert "event=worker-ended" in running.log
    assert "went without closing it" in running.log
    assert running.terminate() == 0


async def test_whoever_comes_while_a_worker_is_replaced_waits_for_the_next(server: ServerFactory) -> None:
    running = server(options=TWO)
    before = workers_of(running)
    os.kill(before[0], signal.SIGKILL)
    await becomes(lambda: before[0] in workers_of(running), False)
    clients = [Client(running.websocket_url("notes")) for _ in range(30)]
    await asyncio.gather(*(client.connect() for client in clients))
    await asyncio.gather(*(client.synced() for client in clients))
    assert set(serving(running, "notes")) == {1, 2}
    await asyncio.gather(*(client.close() for client in clients))


async def told_apart(clients: dict[int, Client]) -> tuple[Client, Client]:
    """The client whose connection has ended, and the other."""
    while not (ended := [client for client in clients.values() if client.close_code is not None]):
        await asyncio.sleep(0.01)
    (hit,) = ended
    (spared,) = [client for client in clients.values() if client is not hit]
    return hit, spared


async def test_a_worker_that_is_told_to_stop_is_replaced_too(server: ServerFactory) -> None:
    running = server(options=TWO)
    before = workers_of(running)
    os.kill(before[1], signal.SIGTERM)
    await becomes(lambda: before[1] in workers_of(running), False)
    await becomes(lambda: len(workers_of(running)), 2)
    assert before[0] in workers_of(running)
    assert running.terminate() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_stopping_commits_and_closes_with_come_back(
    server: ServerFactory, number: signal.Signals
) -> None:
    running = server(options=TWO)
    workers = workers_of(running)
    async with everywhere(running, "notes") as clients:
        for client in clients.values():
            client.append("all of it ")
        for client in clients.values():
            await client.saved_all()
        if number == signal.SIGTERM:
            running.process.send_signal(number)  # once more does no harm
        assert await asyncio.to_thread(running.terminate, number) == 0
        for client in clients.values():
            assert await client.closed() == ShuttingDown.close_code
    assert all(map(has_ended, workers))
    assert "went without closing it" not in running.log
    running.start()
    assert exported_text(running, "notes").split().count("all") == 2


async def test_workers_do_not_outlive_their_supervisor(server: ServerFactory, tmp_path: Path) -> None:
    sockets = tmp_path / "sockets"
    sockets.mkdir()
    running = server(options=(*TWO, "--shutdown-seconds", "1"), environment={"TMPDIR": str(sockets)})
    workers = workers_of(running)
    async with Client(running.websocket_url("notes"), saves=True) as ada:
        ada.append("kept")
        await ada.saved_all()
        running.kill()
        running.start()
        await ada.closed()
    assert exported_text(running, "notes") == "kept"
    await becomes(lambda: all(map(has_ended, workers)), True)
    assert len(list(sockets.iterdir())) == 1
    assert running.terminate() == 0
    assert list(sockets.iterdir()) == []


async def test_commands_are_taken(server: ServerFactory) -> None:
    running = server(options=TWO)
    place = Place(running.directory, running)
    (running.directory / "letter.txt").write_text("imported")
    async with everywhere(running, "letter") as clients:
        assert (await place.ask("import", "letter.txt")).code == 0
        for client in clients.values():
            await client.has_text("imported")
        clients[1].append(" and more")
        await clients[1].saved_all()
        exported = await place.ask("export", "letter", "--format", "text")
        assert (exported.code, exported.out.strip()) == (0, "imported and more")


async def test_a_command_knows_what_workers_wrote(server: ServerFactory) -> None:
    running = server(options=TWO)
    place = Place(running.directory, running)
    async with Client(running.websocket_url("notes"), saves=True) as ada:
        ada.append("draft")
        await ada.saved_all()
        assert (await place.ask("versions", "notes", "--name", "draft")).code == 0
        for _ in range(2):  # the second time the supervisor has the document open
            ada.append(" and more")
            await ada.saved_all()
            async with asyncio.timeout(WAIT_SECONDS):
                while str(ada.text) != "draft":
                    assert (await place.ask("restore", "notes", "draft")).code == 0


async def test_what_is_kept_nowhere_is_shared_by_all(server: ServerFactory) -> None:
    running = server(options=TWO, store="memory:")
    async with everywhere(running, "notes") as clients:
        clients[1].append("hello")
        await clients[2].has_text("hello")


async def test_with_postgresql_each_uses_the_database(server: ServerFactory) -> None:
    running = server(options=TWO, store=postgres.new_database())
    async with everywhere(running, "notes") as clients:
        clients[1].append("hello")
        await clients[2].has_text("hello")
        os.kill(workers_of(running)[0], signal.SIGKILL)
        await told_apart(clients)
        await becomes(lambda: len(workers_of(running)), 2)
    assert running.terminate() == 0


def test_workers_that_cannot_start_end_it(server: ServerFactory) -> None:
    with pytest.raises(AssertionError, match="did not start") as failure:
        server(options=TWO, store="postgresql://nobody@127.0.0.1:1/nothing")
    assert "cannot be reached" in str(failure.value)
    assert "Traceback" not in str(failure.value)


def test_a_port_in_use_is_told(server: ServerFactory, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = Place(tmp_path).run("serve", "--port", port, *TWO)
    assert done.code == 1
    running = server(options=TWO)
    again = Place(tmp_path).run("serve", "--port", str(running.port), *TWO)
    assert again.code == 1
