"""Several real servers on one PostgreSQL, with a real Valkey between them."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Self

import httpx
import pytest
from websockets.exceptions import InvalidHandshake

from tests.support import postgres
from tests.support.clients import Client
from tests.support.provider import CLIENT_ID, CLIENT_SECRET, forging
from tests.support.server import RunningServer, running_server
from tests.support.valkey import ValkeyServer
from tests.support.watching import becomes, exported_text, figure_becomes, figures

pytestmark = pytest.mark.timeout(180)


class Cluster:
    """A database, a Valkey, and servers that share them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = contextlib.ExitStack()
        self.store = postgres.new_database()
        self.valkey = self._stack.enter_context(ValkeyServer())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def server(self, name: str, *options: str) -> RunningServer:
        directory = self.folder / name
        directory.mkdir()
        options = ("--redis", self.valkey.url, *options)
        return self._stack.enter_context(running_server(directory, store=self.store, options=options))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path) as cluster:
        yield cluster


async def test_edits_and_presence_cross_at_once(cluster: Cluster) -> None:
    one, two = cluster.server("one"), cluster.server("two")
    async with Client(one.websocket_url("notes")) as ada, Client(two.websocket_url("notes")) as ben:
        await ada.synced()
        await ben.synced()
        took = []
        for number in range(20):
            ada.append(f"a{number} ")
            started = time.monotonic()
            await ben.until(lambda number=number: f"a{number} " in str(ben.text))  # type: ignore[misc]
            took.append(time.monotonic() - started)
        assert median(took) < 1, "the log alone is looked at every two seconds"
        ada.set_presence({"user": {"name": "Ada"}})
        await ben.until(lambda: ben.presence.get(ada.doc.client_id) == {"user": {"name": "Ada"}})
        ben.append("ben")
        await ada.until(lambda: str(ada.text) == str(ben.text))
        assert figures(two)["collabd_bridge_nodes"] == 1
        assert figures(two)["collabd_bridge_up"] == 1
        assert one.get("/readyz") == (200, '{"ready":true,"bridge":"up"}')
    await becomes(lambda: exported_text(one, "notes"), exported_text(two, "notes"))


async def test_without_the_bridge_all_goes_on_by_the_log(cluster: Cluster) -> None:
    one, two = cluster.server("one"), cluster.server("two")
    async with (
        Client(one.websocket_url("notes"), saves=True) as ada,
        Client(two.websocket_url("notes"), saves=True) as ben,
    ):
        ada.append("before ")
        await ben.has_text("before ")
        cluster.valkey.kill()
        await figure_becomes(one, "collabd_bridge_up", 0)
        await figure_becomes(two, "collabd_bridge_up", 0)
        assert one.get("/readyz") == (200, '{"ready":true,"bridge":"down"}')
        ada.append("meanwhile ")
        await ada.saved_all()
        await ben.has_text("before meanwhile ")
        cluster.valkey.start()
        await figure_becomes(one, "collabd_bridge_up", 1)
        await figure_becomes(two, "collabd_bridge_up", 1)
        ben.append("after")
        await ada.has_text("before meanwhile after")


async def test_a_killed_node_takes_its_people_with_it(cluster: Cluster) -> None:
    one, two = cluster.server("one"), cluster.server("two")
    async with Client(two.websocket_url("notes")) as ben:
        ada = await Client(one.websocket_url("notes")).connect()
        ada.set_presence({"user": {"name": "Ada"}})
        await ben.until(lambda: ada.doc.client_id in ben.presence)
        one.kill()
        killed_at = time.monotonic()
        await ben.until(lambda: ben.presence.get(ada.doc.client_id) is None)
        assert time.monotonic() - killed_at < 10
        await ada.cut()


async def test_sign_ins_under_way_are_counted_for_all_servers_together(cluster: Cluster) -> None:
    async with forging() as forge:
        provider = f'issuer = "{forge.issuer}"\nclient_id = "{CLIENT_ID}"\nclient_secret = "{CLIENT_SECRET}"'
        configuration = cluster.folder / "collabd.toml"
        configuration.write_text(f'sign_ins_per_address = 3\n[[providers]]\nname = "example"\n{provider}\n')
        servers = [cluster.server(name, "--config", str(configuration)) for name in ("one", "two")]
        begun = [
            await asyncio.to_thread(httpx.get, f"{servers[number % 2].url}/auth/login", timeout=30)
            for number in range(5)
        ]
        assert [answer.status_code for answer in begun] == [302, 302, 302, 429, 429]


async def test_a_rolling_restart_under_load_loses_nothing(cluster: Cluster) -> None:
    servers = [cluster.server("one"), cluster.server("two")]
    clients = [Client(server.websocket_url("notes"), saves=True) for server in servers for _ in range(2)]
    for client in clients:
        await client.connect()

    async def come_back(client: Client) -> None:
        """As a balancer has it: to whichever server is there."""
        await client.cut()
        for number in itertools.count():
            client.url = servers[number % 2].websocket_url("notes")
            with contextlib.suppress(OSError, InvalidHandshake):
                await client.connect()
                return
            await asyncio.sleep(0.02)

    async def type_on(client: Client, mark: str) -> None:
        for number in range(60):
            client.append(f"{mark}{number} ")
            await asyncio.sleep(0.05)
            if not client.is_connected:
                await come_back(client)

    async def restart() -> None:
        for server in servers:
            await asyncio.to_thread(server.terminate)
            await asyncio.to_thread(server.start)

    await asyncio.gather(restart(), *(type_on(client, "abcd"[at]) for at, client in enumerate(clients)))
    for client in clients:
        if not client.is_connected:
            await come_back(client)
        await client.synced()
        await client.saved_all()
    await clients[0].until(lambda: len(str(clients[0].text).split()) == 240)
    for client in clients[1:]:
        await client.has_text(str(clients[0].text))
    for server in servers:
        await becomes(lambda server=server: exported_text(server, "notes"), str(clients[0].text))  # type: ignore[misc]
    for client in clients:
        await client.close()
