"""Documents come into memory once, leave it when nobody is there, and come back whole."""

import asyncio

from tests.support.clients import Client
from tests.support.watching import ServerFactory, copies, figure_becomes, figures

JOINERS = 50


async def test_fifty_who_join_a_cold_document_at_once_share_one_load(server: ServerFactory) -> None:
    running = server()
    url = running.websocket_url("notes")
    async with Client(url, saves=True) as author:
        for number in range(300):
            author.append(f"line {number}\n")
        author.delete(0, 7)
        await author.saved_all()
        expected = str(author.text)
    await asyncio.to_thread(running.kill)
    await asyncio.to_thread(running.start)

    clients = [Client(url) for _ in range(JOINERS)]
    await asyncio.gather(*(client.connect() for client in clients))
    await asyncio.gather(*(client.synced() for client in clients))
    await figure_becomes(running, "collabd_connections", JOINERS)
    seen = figures(running)
    assert seen["collabd_room_load_seconds_count"] == copies(seen)
    assert seen["collabd_joins_total"] == JOINERS
    assert {str(client.text) for client in clients} == {expected}

    # One edit of each reaches all the others.
    for number, client in enumerate(clients):
        client.insert(0, f"<{number}>")
    everything = {f"<{number}>" for number in range(JOINERS)}
    for client in clients:
        await client.until(lambda c=client: all(mark in str(c.text) for mark in everything))  # type: ignore[misc]
    assert len({str(client.text) for client in clients}) == 1
    await asyncio.gather(*(client.dispose() for client in clients))


async def test_a_new_document_that_fifty_open_at_once_is_one(server: ServerFactory) -> None:
    running = server()
    clients = [Client(running.websocket_url("new"), saves=True) for _ in range(JOINERS)]

    async def join_and_type(client: Client, mark: str) -> None:
        await client.connect()
        client.insert(0, mark)
        await client.until(lambda: client.is_synced and client.saved >= client.sent > 0)

    marks = {f"<{number}>" for number in range(JOINERS)}
    await asyncio.gather(*(join_and_type(*pair) for pair in zip(clients, sorted(marks), strict=True)))
    for client in clients:
        await client.until(lambda c=client: all(mark in str(c.text) for mark in marks))  # type: ignore[misc]
    assert len({str(client.text) for client in clients}) == 1
    await figure_becomes(running, "collabd_connections", JOINERS)
    seen = figures(running)
    assert seen["collabd_room_load_seconds_count"] == copies(seen)
    await asyncio.gather(*(client.dispose() for client in clients))


async def test_idle_documents_leave_memory_and_come_back_whole(server: ServerFactory) -> None:
    running = server(options=["--room-idle-seconds", "0.1", "--keepalive-seconds", "1"])
    names = [f"notes/{number}" for number in range(20)]
    for name in names:
        async with Client(running.websocket_url(name), saves=True) as author:
            author.append(f"this is {name}, ")
            author.append("and more")
            author.delete(0, 5)
            await author.saved_all()
    async with Client(running.websocket_url("visited"), saves=True) as visitor:
        await figure_becomes(running, "collabd_rooms", 1)  # the one somebody is in
        assert visitor.is_connected
        for name in names:
            async with Client(running.websocket_url(name)) as reader:
                assert str(reader.text) == f"is {name}, and more"
        # Each came back by a load of its own.
        assert figures(running)["collabd_room_load_seconds_count"] == 2 * len(names) + 1
    await figure_becomes(running, "collabd_rooms", 0)


async def test_a_document_is_whole_for_who_joins_in_the_instant_it_is_unloaded(server: ServerFactory) -> None:
    """Rooms that are left and joined again and again, while they are unloaded as soon as they are empty."""
    running = server(options=["--room-idle-seconds", "0", "--keepalive-seconds", "1"])
    url = running.websocket_url("notes")

    async def come_and_go(mark: str) -> None:
        for number in range(40):
            async with Client(url, saves=True) as client:
                client.append(f"<{mark}{number}>")
                await client.saved_all()

    await asyncio.gather(come_and_go("a"), come_and_go("b"))
    marks = [f"<{mark}{number}>" for mark in "ab" for number in range(40)]
    async with Client(url) as reader:
        # What is committed may still be on its way between two workers.
        await reader.until(lambda: all(mark in str(reader.text) for mark in marks))
        assert {str(reader.text).count(mark) for mark in marks} == {1}
