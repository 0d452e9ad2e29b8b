"""Kill a server again and again while people write, and look after each kill whether all is there."""

import asyncio
import http.client
import json
import random
import signal
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from pycrdt import Doc, Text

from collabd.app import open_store
from tests.faults.points import AT_RANDOM, points_of
from tests.faults.typists import Delta, Promises, Typist, delta, marks, seen
from tests.support.clients import ROOT, Closed
from tests.support.server import RunningServer
from tests.support.stock import StockClients, stock_clients
from tests.support.watching import becomes, exported_text

COMMAND: Final = (sys.executable, "-m", "tests.faults.entry")
DOCUMENT: Final = "notes"
STOCK: Final = "yjs"
"""The client in Node.js."""
COMPACT_AFTER: Final = 40
"""Updates after which the servers under test compact: often, so that kills meet it."""
REACHED_WITHIN: Final = 90.0
"""Seconds in which a process must have come by its point. A second compaction waits for nine times as long as
the first one took, which has only the time that is left over."""


class Kill(NamedTuple):
    """What one kill did."""

    point: str
    at_stake: int
    """Edits that were sent and not acknowledged."""
    lost: list[str]
    """What was promised and is not so."""
    doubled: list[str]
    """Marks that are there more than once."""


class _Death(NamedTuple):
    point: str
    at_stake: int
    restored: tuple[str, str] | None
    """The text that was to be restored, and the one before that."""
    was_seen: bool
    """Whether somebody has seen what was restored."""


class Series:
    """One server with one document, killed again and again."""

    def __init__(
        self, server: RunningServer, people: int, seed: int, stock: StockClients | None = None
    ) -> None:
        self._server = server
        self._points = points_of(server.store)
        self._stock = stock
        self._stock_typed = 0
        self._chance = random.Random(seed)
        self._promises = Promises()
        url = server.websocket_url(DOCUMENT)
        self.people = [
            Typist(url, name, self._promises, random.Random(seed * 10 + number))
            for number, name in enumerate("abcd"[:people])
        ]

    async def run(self, points: Iterable[str]) -> list[Kill]:
        """Kill the server at each of the points, and look after each kill what the next process has."""
        kills: list[Kill] = []
        death: _Death | None = None
        for point in points:
            await self._start(point)
            if death is not None:
                kills.append(await self._look(death))
            death = await self._die(point)
        await asyncio.to_thread(self._server.start)
        if death is not None:
            kills.append(await self._look(death))
        return kills

    async def _die(self, point: str) -> "_Death":
        restored = None
        if point in self._points.restore:
            restored = await self._die_restoring()
        else:
            await self._die_writing(point)
        for person in self.people:
            self._promises.note(person.note_acknowledged())
        at_stake = sum(person.unacknowledged for person in self.people)
        self._promises.note(seen(self.people))
        was_seen = restored is not None and any(
            str(person.client.text) == restored[0] for person in self.people
        )
        for person in self.people:
            await person.client.cut()
        if self._stock is not None:
            self._stock_typed += 1
            text = f"<yjs{self._stock_typed}>"
            await self._stock("insert", STOCK, position=0, text=text)
        return _Death(point, at_stake, restored, was_seen)

    async def _look(self, death: "_Death") -> Kill:
        runs = await asyncio.to_thread(fresh, self._server)
        text = "".join(text for text, _ in runs)
        if death.restored is None:
            lost = sorted(self._promises.lost(runs))
        else:
            lost = [] if text in death.restored else ["the document is neither as before nor as restored"]
            if death.was_seen and text != death.restored[0]:
                lost.append("what was restored was seen, and is gone")
            self._promises.restored(text)
            for person in self.people:
                person.forget()
        doubled = sorted(mark for mark, count in marks(text).items() if count > 1)
        return Kill(death.point, death.at_stake, lost, doubled)

    async def _start(self, point: str) -> None:
        environment = {}
        if point != AT_RANDOM:
            most = 1 if point in self._points.restore else 2 if point in self._points.compaction else 80
            passing = self._chance.randint(1, most)
            environment = {"FAULTS_KILL": f"{point}:{passing}", "FAULTS_KILL_LATER": "1"}
        await asyncio.to_thread(self._server.start, environment)

    def _arm(self) -> None:
        self._server.process.send_signal(signal.SIGUSR2)

    async def _die_writing(self, point: str) -> None:
        async with AsyncExitStack() as stack:
            if point != AT_RANDOM:
                self._arm()
            writing = [asyncio.create_task(self._take_part(person)) for person in self.people]
            stack.push_async_callback(_cancel, writing)
            if point == AT_RANDOM:
                for person in self.people:
                    await becomes(lambda person=person: person.client.saved > 1, True)  # type: ignore[misc]
                await asyncio.sleep(self._chance.uniform(0, 0.3))
                self._server.process.kill()
            code = await asyncio.to_thread(self._server.process.wait, REACHED_WITHIN)
            assert code == -9, f"the server ended with {code}: {self._server.log}"
            await self._read_to_the_end()

    async def _take_part(self, person: Typist) -> None:
        with suppress(Closed):
            await person.connect()
            await person.write()

    async def _die_restoring(self) -> tuple[str, str]:
        """Let the server die while it restores a version; return that one's text and the last text."""
        for person in self.people:
            await person.connect()
            person.edit()
        before = await self._settled()
        version = json.loads(await self._get(f"/api/v1/history/{DOCUMENT}"))["head"]
        writing = [asyncio.create_task(person.write()) for person in self.people]
        await asyncio.sleep(0.3)
        await _cancel(writing)
        after = await self._settled()
        self._arm()
        with suppress(OSError, http.client.HTTPException):
            status = await asyncio.to_thread(
                post, self._server, f"/api/v1/restore/{DOCUMENT}?version={version}"
            )
            raise AssertionError(f"the restore was answered {status}")
        await asyncio.to_thread(self._server.process.wait, REACHED_WITHIN)
        await self._read_to_the_end()
        return before, after

    async def _read_to_the_end(self) -> None:
        """Let everybody have read whatever had left the server, which is dead."""
        await asyncio.to_thread(self._server.kill)
        for person in self.people:
            if person.client.is_connected:
                await person.client.closed()

    async def _settled(self) -> str:
        """The text, once everything is saved and everybody has it."""
        for person in self.people:
            await person.client.saved_all()
        if self._stock is not None:
            await self._stock("connect", STOCK)
            for _ in range(100):
                with_stock = await self._stock("text", STOCK)
                if len(await asyncio.to_thread(exported_text, self._server, DOCUMENT)) == len(with_stock):
                    break
                await asyncio.sleep(0.1)
            else:
                raise AssertionError("the stock client has other content")
        text = await asyncio.to_thread(exported_text, self._server, DOCUMENT)
        for person in self.people:
            await person.client.has_text(text)
        return text

    async def _get(self, path: str) -> str:
        status, body = await asyncio.to_thread(self._server.get, path)
        assert status == 200, body
        return body

    async def finish(self) -> list[str]:
        """Let everybody come back with all they have; return what is not as it should be then."""
        for person in self.people:
            await person.connect()
        text = await self._settled()
        there = marks(text)
        wrong = [f"{mark} is there {count} times" for mark, count in there.items() if count > 1]
        typed = {mark for person in self.people for kind, mark in person.edits if kind == "typed"}
        typed |= {f"<yjs{number + 1}>" for number in range(self._stock_typed)}
        may_lack = self._promises.deleting | self._promises.gone
        wrong += [f"{mark} is gone" for mark in typed - may_lack - set(there)]
        runs = await asyncio.to_thread(fresh, self._server)
        for person in self.people:
            if delta(person.client.text.diff()) != runs:
                wrong.append(f"{person.name} has other content")
            await person.client.dispose()
        if self._stock is not None:
            await self._stock("text", STOCK, expected=text)
            read = await self._stock("read", document=DOCUMENT)
            if delta((run["insert"], run.get("attributes")) for run in read["text"]) != runs:
                wrong.append("Yjs has other content")
        assert await asyncio.to_thread(self._server.terminate) == 0
        return wrong + await unsound(self._server.store)


def fresh(server: RunningServer) -> Delta:
    """The document as the server gives it to somebody new."""
    status, state = server.get_bytes(f"/api/v1/documents/{DOCUMENT}?format=update")
    if status == 404:
        return []
    assert status == 200, state
    doc: Doc[Any] = Doc()
    doc.apply_update(state)
    return delta(doc.get(ROOT, type=Text).diff())


def post(server: RunningServer, path: str) -> int:
    """POST nothing; return the status."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=REACHED_WITHIN)
    try:
        connection.request("POST", path)
        return connection.getresponse().status
    finally:
        connection.close()


async def unsound(url: str) -> list[str]:
    """What is wrong with the documents of a store that no server has open: rows that cannot be read, numbers
    that are missing or given twice."""
    store = open_store(url)
    await store.start()
    try:
        wrong = []
        for info in await store.documents():
            wrong += [f"{info.name}: {problem.what}" for problem in await store.examine(info.id)]
            reached = 0
            async for entries in store.history(info.id, updates=False):
                for entry in entries:
                    if entry.first != reached + 1:
                        wrong.append(f"{info.name}: after {reached} comes {entry.first}")
                    reached = entry.seq
            if reached != info.head:
                wrong.append(f"{info.name}: the log ends at {reached}, not at {info.head}")
        return wrong
    finally:
        await store.close()


@asynccontextmanager
async def series(
    directory: Path, *, people: int, seed: int, store: str | None = None, node: str | None = None
) -> AsyncIterator[Series]:
    """A server of its own, and who writes; with ``node`` also somebody with a stock provider."""
    options = ["--snapshot-after-updates", str(COMPACT_AFTER)]
    server = RunningServer(directory, options=options, store=store, command=COMMAND)
    async with AsyncExitStack() as stack:
        await asyncio.to_thread(server.start)
        stack.callback(server.kill)
        stock = None
        if node is not None:
            stock = await stack.enter_async_context(stock_clients(node, server, clock=20))
            await stock("open", STOCK, document=DOCUMENT)
        await asyncio.to_thread(server.kill)
        yield Series(server, people, seed, stock)


async def _cancel(tasks: "list[asyncio.Task[None]]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()
