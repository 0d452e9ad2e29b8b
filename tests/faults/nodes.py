"""People who go on writing on several servers of one database while something is wrong between these."""

import asyncio
import contextlib
import itertools
import logging
import random
import string
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

from websockets.exceptions import InvalidHandshake

from tests.faults.series import COMPACT_AFTER, DOCUMENT, fresh, unsound
from tests.faults.typists import Promises, Typist, delta, marks, seen
from tests.support.clients import Closed
from tests.support.namespace import Cable, namespace
from tests.support.postgres import PostgresServer, new_server
from tests.support.proxy import Proxy, proxied
from tests.support.server import RunningServer
from tests.support.stock import stock_clients
from tests.support.valkey import ValkeyServer
from tests.support.watching import becomes, figures

logger = logging.getLogger(__name__)

PEOPLE: Final = 4
"""On each server."""
PER_SECOND: Final = 10.0
"""How often each of them writes."""


class Nodes:
    """A database, a Valkey, servers on both, and people who write on them, in one document."""

    def __init__(self, folder: Path, database: PostgresServer, valkey: ValkeyServer) -> None:
        self.database = database
        self.valkey = valkey
        self.servers: list[RunningServer] = []
        self.people: list[Typist] = []
        self.proxies: list[Proxy] = []
        """Before the Valkey, one for each server."""
        self.cables: list[Cable] = []
        """To the Valkey, if it is in a network of its own."""
        self._promises = Promises()
        self._folder = folder
        self._writing: list[asyncio.Task[None]] = []
        self._looking: asyncio.Task[None] | None = None
        self._home: dict[str, int] = {}
        """On which server each person is."""

    async def add(self, redis: str) -> None:
        """Start another server, which reaches the Valkey by a URL of its own."""
        directory = self._folder / f"node{len(self.servers)}"
        directory.mkdir()
        server = RunningServer(
            directory,
            store=self.database.url,
            options=["--redis", redis, "--snapshot-after-updates", str(COMPACT_AFTER)],
        )
        await asyncio.to_thread(server.start)
        self.servers.append(server)

    async def begin(self) -> None:
        """Connect people to all servers, and let them write from now on."""
        names = iter(string.ascii_lowercase)
        for number, server in enumerate(self.servers):
            for _ in range(PEOPLE):
                name = next(names)
                url = server.websocket_url(DOCUMENT)
                person = Typist(url, name, self._promises, random.Random(ord(name)), PER_SECOND)
                self._home[name] = number
                self.people.append(person)
                await person.connect()
        self._writing = [asyncio.create_task(self._write(person)) for person in self.people]
        self._looking = asyncio.create_task(self._look())
        await self.write_on()

    async def write_on(self, seconds: float = 1.0) -> None:
        """Let people write for a while, during which each makes some edits."""
        targets = [len(person.edits) + max(3, round(seconds * PER_SECOND * 0.5)) for person in self.people]
        until = time.monotonic() + seconds
        await becomes(
            lambda: (
                time.monotonic() >= until
                and all(len(each.edits) >= target for each, target in zip(self.people, targets, strict=True))
            ),
            True,
            seconds + 60,
        )

    async def bridges_are(self, up: bool, servers: list[RunningServer] | None = None) -> None:
        """Return once servers know of their bridge whether it is up."""
        for server in self.servers if servers is None else servers:
            await becomes(lambda server=server: figures(server)["collabd_bridge_up"], float(up))  # type: ignore[misc]

    async def crosses(self) -> float:
        """Let one write something, and return the seconds until all others have seen it."""
        writer = self.people[0]
        mark = f"<z{random.randrange(10**9)}>"
        started = time.monotonic()
        writer.client.append(mark)
        for reader in self.people:
            await reader.client.until(lambda reader=reader: mark in str(reader.client.text))  # type: ignore[misc]
        return time.monotonic() - started

    async def all_is_there(self, node: str | None) -> None:
        """Stop writing; everything is there, once, for everybody, on every server, for a stock client, and
        after all servers were killed."""
        for task in self._writing:
            task.cancel()
        await asyncio.wait(self._writing)
        if self._looking is not None:
            self._looking.cancel()
        for person in self.people:
            if not person.client.is_connected:
                await self._come_back(person)
            await person.client.saved_all()
        runs = await asyncio.to_thread(fresh, self.servers[0])
        for _ in range(100):
            others = [await asyncio.to_thread(fresh, server) for server in self.servers]
            if all(other == others[0] for other in others) and others[0] == runs:
                break
            runs = others[0]
            await asyncio.sleep(0.1)
        else:
            raise AssertionError("the servers do not agree")
        text = "".join(run for run, _ in runs)
        for person in self.people:
            await person.client.has_text(text)
            assert delta(person.client.text.diff()) == runs
            self._promises.note(person.edits)
        assert self._promises.lost(runs) == set()
        assert [mark for mark, count in marks(text).items() if count > 1] == []
        if node is not None:
            async with stock_clients(node, self.servers[-1]) as stock:
                await stock("open", "yjs", document=DOCUMENT)
                await stock("text", "yjs", expected=text)
        for server in self.servers:
            await asyncio.to_thread(server.kill)
        assert await unsound(self.database.url) == []
        await asyncio.to_thread(self.servers[0].start)
        assert await asyncio.to_thread(fresh, self.servers[0]) == runs

    async def _write(self, person: Typist) -> None:
        while True:
            await person.write()
            await self._come_back(person)

    async def _come_back(self, person: Typist) -> None:
        """Connect again as a balancer has it: to whichever server is there."""
        await person.client.cut()
        for number in itertools.count(self._home[person.name]):
            server = self.servers[number % len(self.servers)]
            person.client.url = server.websocket_url(DOCUMENT)
            with contextlib.suppress(OSError, InvalidHandshake, Closed, TimeoutError):
                await person.client.connect()
                await person.client.synced()
                person.has_connected()
                self._home[person.name] = number % len(self.servers)
                return
            await person.client.cut()
            await asyncio.sleep(0.05)

    async def _look(self) -> None:
        """Note again and again what was seen by somebody else, or acknowledged."""
        while True:
            self._promises.note(seen(self.people))
            for person in self.people:
                self._promises.note(person.note_acknowledged())
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def _writing(folder: Path, valkey: ValkeyServer, urls: Sequence[str]) -> AsyncIterator[Nodes]:
    """Run a server for each URL by which it is to reach the Valkey, and let people write."""
    async with contextlib.AsyncExitStack() as stack:
        database = await asyncio.to_thread(new_server)
        stack.callback(database.close)
        await asyncio.to_thread(database.start)
        town = Nodes(folder, database, valkey)
        for url in urls:
            await town.add(url)
            stack.callback(town.servers[-1].kill)
        await town.begin()
        yield town
        for person in town.people:
            await person.client.dispose()


@contextlib.asynccontextmanager
async def nodes(folder: Path, count: int = 2) -> AsyncIterator[Nodes]:
    """Run so many servers and let people write."""
    async with contextlib.AsyncExitStack() as stack:
        valkey = stack.enter_context(ValkeyServer())
        ways = [await stack.enter_async_context(proxied(valkey.url)) for _ in range(count)]
        town = await stack.enter_async_context(_writing(folder, valkey, [url for _, url in ways]))
        town.proxies += [proxy for proxy, _ in ways]
        yield town


@contextlib.asynccontextmanager
async def nodes_with_cables(folder: Path, count: int = 2) -> AsyncIterator[Nodes]:
    """Run so many servers, each with a cable of its own to a Valkey in another network; people write."""
    open_to_all = (("bind", "0.0.0.0"), ("protected-mode", "no"))
    with (
        namespace(count) as (name, cables),
        ValkeyServer(*open_to_all, within=("ip", "netns", "exec", name)) as valkey,
    ):
        urls = [f"redis://{cable.address}:{valkey.port}" for cable in cables]
        async with _writing(folder, valkey, urls) as town:
            town.cables += cables
            yield town
