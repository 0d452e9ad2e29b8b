"""Who is here, as everybody in a room sees it."""

import asyncio
import time

from collabd.protocol import messages
from collabd.protocol.session import KEEP_ALIVE
from collabd.settings import Settings
from tests.support.clients import Client
from tests.support.watching import ServerFactory

PROVIDER_GIVES_UP_AFTER = 30.0
"""Seconds without a message after which y-websocket's provider takes the connection for dead."""


async def test_a_newcomer_sees_everybody_at_once_and_is_seen(server: ServerFactory) -> None:
    url = server().websocket_url("notes")
    async with Client(url) as ada, Client(url) as bob:
        ada.set_presence({"user": {"name": "Ada"}})
        bob.set_presence({"user": {"name": "Bob"}, "cursor": 7})
        await ada.until(lambda: bool(ada.others))
        await bob.until(lambda: bool(bob.others))
        async with Client(url) as newcomer:
            everybody = {
                ada.doc.client_id: {"user": {"name": "Ada"}},
                bob.doc.client_id: {"user": {"name": "Bob"}, "cursor": 7},
            }
            # All of it comes in the first message on presence, which nobody had to ask for.
            await newcomer.until(lambda: newcomer.others == everybody)
            said = [m for m in newcomer.received if isinstance(m, messages.AwarenessMessage)]
            assert len(said) == 1
            newcomer.set_presence({"user": {"name": "Cy"}})
            for client in (ada, bob):
                await client.until(lambda client=client: newcomer.doc.client_id in client.others)  # type: ignore[misc]


async def test_each_change_of_presence_reaches_everybody_in_order(server: ServerFactory) -> None:
    url = server().websocket_url("notes")
    async with Client(url) as ada, Client(url) as bob:
        for cursor in range(200):
            ada.set_presence({"cursor": cursor})
        await bob.until(lambda: bob.others == {ada.doc.client_id: {"cursor": 199}})
        ada.set_presence(None)
        await bob.until(lambda: not bob.others)


async def test_who_leaves_is_gone_at_once_for_the_others(server: ServerFactory) -> None:
    running = server()
    url = running.websocket_url("notes")
    async with Client(url) as watcher:
        for leave in (Client.close, Client.cut):
            leaver = await Client(url).connect()
            leaver.set_presence({"user": {"name": "Lee"}})
            await watcher.until(lambda: bool(watcher.others))
            before = time.monotonic()
            await leave(leaver)
            await watcher.until(lambda: not watcher.others)
            assert time.monotonic() - before < 5
            await leaver.dispose()


async def test_who_reconnects_sees_and_is_seen_again(server: ServerFactory) -> None:
    url = server().websocket_url("notes")
    async with Client(url) as ada, Client(url) as bob:
        for _ in range(3):
            ada.set_presence({"user": {"name": "Ada"}})
            bob.set_presence({"user": {"name": "Bob"}})
            await ada.until(lambda: bool(ada.others))
            await bob.until(lambda: bool(bob.others))
            await ada.cut()
            await bob.until(lambda: not bob.others)
            await ada.connect()
            # Neither says anything new: Ada repeats her entry with its old clock, Bob is not heard at all.
            await bob.until(lambda: bob.others == {ada.doc.client_id: {"user": {"name": "Ada"}}})
            await ada.until(lambda: ada.others == {bob.doc.client_id: {"user": {"name": "Bob"}}})


async def test_who_comes_back_before_the_old_connection_is_found_dead_is_seen(server: ServerFactory) -> None:
    url = server().websocket_url("notes")
    async with Client(url) as watcher, Client(url) as client:
        me = client.doc.client_id
        client.set_presence({"tab": 1})
        await watcher.until(lambda: watcher.others == {me: {"tab": 1}})
        old_connection = client.abandon()
        await client.connect()
        await client.synced()
        client.set_presence({"tab": 2})
        await watcher.until(lambda: watcher.others == {me: {"tab": 2}})
        # The end of the old connection must not take away what the new one said.
        old_connection.abort()
        client.set_presence({"tab": 3})
        await watcher.until(lambda: watcher.others == {me: {"tab": 3}})


async def test_nobody_can_speak_for_somebody_else(server: ServerFactory) -> None:
    url = server().websocket_url("notes")
    async with Client(url) as ada, Client(url) as bob, Client(url) as mallory:
        ada.set_presence({"user": {"name": "Ada"}})
        mallory.set_presence({"user": {"name": "Mallory"}})
        await bob.until(lambda: len(bob.others) == 2)
        mallory.presence[ada.doc.client_id] = {"user": {"name": "not Ada"}}
        for state in ({"user": {"name": "not Ada"}}, None):
            forged = Client(url, doc=mallory.doc)
            forged.doc = ada.doc
            forged._clocks = {ada.doc.client_id: 1000}
            forged._outgoing = mallory._outgoing
            forged.set_presence(state)
        mallory.set_presence({"user": {"name": "Mallory"}, "done": True})
        await bob.until(lambda: bob.others[mallory.doc.client_id].get("done"))
        assert bob.others[ada.doc.client_id] == {"user": {"name": "Ada"}}
        assert mallory.is_connected


async def test_something_is_sent_at_least_as_often_as_is_set(server: ServerFactory) -> None:
    running = server(environment={"COLLABD_KEEPALIVE_SECONDS": "1"})
    async with Client(running.websocket_url("notes")) as client:
        last = time.monotonic()
        for _ in range(3):
            heard = len(client.received)
            await client.until(lambda heard=heard: len(client.received) > heard)  # type: ignore[misc]
            silence, last = time.monotonic() - last, time.monotonic()
            assert silence < 5
        assert messages.encode(client.received[-1]) == KEEP_ALIVE


def test_what_is_set_by_default_keeps_stock_providers_connected() -> None:
    assert Settings().keepalive_seconds <= PROVIDER_GIVES_UP_AFTER / 2


async def test_a_busy_connection_is_not_told_that_it_is_alive(server: ServerFactory) -> None:
    running = server(environment={"COLLABD_KEEPALIVE_SECONDS": "4"})
    url = running.websocket_url("notes")
    async with Client(url) as reader, Client(url) as author:
        end = time.monotonic() + 5
        while time.monotonic() < end:
            seen = reader.updates_received
            author.append("x")
            await reader.until(lambda seen=seen: reader.updates_received > seen)  # type: ignore[misc]
            await asyncio.sleep(0.1)
        said = [m for m in reader.received if isinstance(m, messages.AwarenessMessage)]
        assert said == []
