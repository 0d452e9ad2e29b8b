"""Who is seen after connections or the server were gone."""

import asyncio

from tests.support.clients import Client
from tests.support.watching import ServerFactory


async def test_what_changed_while_the_connection_was_dead_is_seen(server: ServerFactory) -> None:
    url = server().websocket_url("notes")
    async with Client(url) as watcher, Client(url) as client:
        me = client.doc.client_id
        client.set_presence({"tab": 1})
        await watcher.until(lambda: watcher.others == {me: {"tab": 1}})
        old_connection = client.abandon()
        client.set_presence({"tab": 2})
        await client.connect()
        await watcher.until(lambda: watcher.others == {me: {"tab": 2}})
        old_connection.abort()


async def test_after_a_restart_everybody_sees_everybody(server: ServerFactory) -> None:
    running = server()
    url = running.websocket_url("notes")
    async with Client(url) as ada, Client(url) as bob:
        ada.set_presence({"user": "ada"})
        bob.set_presence({"user": "bob"})
        await ada.until(lambda: bool(ada.others))
        await bob.until(lambda: bool(bob.others))
        async with Client(url):  # each newcomer raises the clocks the room gives out
            pass
        await ada.cut()
        await ada.connect()
        await ada.until(lambda: bool(ada.others))
        await asyncio.to_thread(running.terminate)
        await asyncio.to_thread(running.start)
        for client in (ada, bob):
            await client.cut()
            await client.reconnect()
        await ada.until(lambda: bool(ada.others))
        await bob.until(lambda: bool(bob.others))
