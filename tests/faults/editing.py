"""People who go on writing while something is wrong with the disk, the database or the clock."""

import asyncio
import json
import logging
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from tests.faults import lateness
from tests.faults.lateness import Lateness
from tests.faults.series import COMMAND, COMPACT_AFTER, DOCUMENT, fresh
from tests.faults.typists import Promises, Typist, delta, marks
from tests.support.server import RunningServer
from tests.support.syscalls import kill_traced
from tests.support.watching import becomes

logger = logging.getLogger(__name__)


class Editing:
    """A server, and two people who write in one document."""

    def __init__(self, server: RunningServer, late: Path, kill: Callable[[], None]) -> None:
        self.server = server
        self._kill = kill
        self._late = late
        self._promises = Promises()
        url = server.websocket_url(DOCUMENT)
        self.people = [
            Typist(url, name, self._promises, random.Random(number)) for number, name in enumerate("ab")
        ]
        self._writing: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        """Connect, and write from now on."""
        for person in self.people:
            await person.connect()
        self._writing = [asyncio.create_task(person.write()) for person in self.people]
        await self.save_on()

    async def save_on(self) -> None:
        """Return once more of everybody was saved."""
        for person in self.people:
            client, before = person.client, person.client.saved
            await client.until(lambda client=client, before=before: client.saved > before + 5)  # type: ignore[misc]

    async def write_on(self, edits: int = 30) -> None:
        """Return once everybody has made so many more edits, saved or not; they stay connected."""
        targets = [len(person.edits) + edits for person in self.people]
        await becomes(
            lambda: [
                len(person.edits) >= target for person, target in zip(self.people, targets, strict=True)
            ],
            [True] * len(targets),
        )
        assert all(person.client.is_connected for person in self.people)

    async def is_told_that_nothing_is_saved(self) -> str:
        """Return what ``/readyz`` says once it says that the store cannot commit; what people write then is
        not acknowledged."""
        await becomes(lambda: self.server.get("/readyz")[0], 503)
        for person in self.people:  # what was acknowledged before may be under way
            await person.client.heard_all()
        saved = [person.client.saved for person in self.people]
        await self.write_on()
        status, answer = await asyncio.to_thread(self.server.get, "/readyz")
        assert [person.client.saved for person in self.people] == saved
        assert status == 503
        told = json.loads(answer)
        assert told["why"] == "store"
        return str(told["detail"])

    async def recovers(self) -> None:
        """Return once saving has resumed by itself."""
        await becomes(lambda: self.server.get("/readyz")[0], 200)
        await self.save_on()

    async def lateness(self, when: str) -> Lateness:
        """How late the event loop was since this was asked last."""
        late = await asyncio.to_thread(lateness.read, self._late)
        logger.info("%s: late by %.0f ms at most, in %.1f s", when, late.worst * 1000, late.watched)
        return late

    async def all_is_there(self) -> Lateness:
        """Stop writing; everything is there, once, for everybody, also after a restart. Return how late the
        event loop was since that was asked last."""
        for task in self._writing:
            task.cancel()
        await asyncio.wait(self._writing)
        for person in self.people:
            await person.client.saved_all()
        late = await self.lateness("to the end")
        runs = await asyncio.to_thread(fresh, self.server)
        text = "".join(run for run, _ in runs)
        for person in self.people:
            await person.client.has_text(text)
            assert delta(person.client.text.diff()) == runs
            self._promises.note(person.edits)
            await person.client.dispose()
        assert self._promises.lost(runs) == set()
        assert [mark for mark, count in marks(text).items() if count > 1] == []
        await asyncio.to_thread(self._kill)
        await asyncio.to_thread(self.server.start)
        assert await asyncio.to_thread(fresh, self.server) == runs
        assert Counter(marks(text)).total() > 0
        return late


@asynccontextmanager
async def editing(
    directory: Path,
    *,
    store: str | None = None,
    traced: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Editing]:
    """Run a server, under strace if ``traced`` is its command, and let people write."""
    late = directory / "lateness"
    server = RunningServer(
        directory,
        options=["--snapshot-after-updates", str(COMPACT_AFTER)],
        store=store,
        command=[*traced, *COMMAND],
        environment={"FAULTS_LATENESS": str(late), **(environment or {})},
    )
    kill = partial(kill_traced, server) if traced else server.kill
    await asyncio.to_thread(server.start)
    try:
        people = Editing(server, late, kill)
        await people.begin()
        await asyncio.to_thread(lateness.read, late)  # from here on
        yield people
    finally:
        await asyncio.to_thread(kill)
