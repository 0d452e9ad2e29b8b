"""Workers, and in the end their supervisor, that are killed while people write through all of them: nothing
that was seen or acknowledged may be missing afterwards."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from collabd.app import sqlite_file
from tests.conftest import ServerFactory
from tests.faults.series import DOCUMENT, fresh, unsound
from tests.faults.typists import Delta, Promises, Typist, delta, marks, seen
from tests.support import postgres
from tests.support.clients import Closed
from tests.support.server import RunningServer
from tests.support.watching import becomes
from tests.support.workers import workers_of

SEED = 7
KILLS = 6


@asynccontextmanager
async def writing(people: list[Typist], promises: Promises) -> AsyncIterator[None]:
    """Let everybody write in the block, and come back whenever a connection ends."""

    async def write_on(person: Typist) -> None:
        while True:
            await person.write()
            promises.note(person.note_acknowledged())
            await person.client.cut()
            await connect(person)

    tasks = [asyncio.create_task(write_on(person)) for person in people]
    yield
    for task in tasks:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes), outcomes


async def connect(person: Typist) -> None:
    while True:
        try:
            return await person.connect()
        except Closed:
            await person.client.cut()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("new_store", [lambda: None, postgres.new_database], ids=["sqlite", "postgres"])
async def test_nothing_seen_or_acknowledged_is_lost_whichever_process_is_killed(
    server: ServerFactory, new_store: Callable[[], str | None]
) -> None:
    running = server(options=["--workers", "2", "--snapshot-after-updates", "60"], store=new_store())
    chance = random.Random(SEED)
    promises = Promises()
    url = running.websocket_url(DOCUMENT)
    people = [Typist(url, name, promises, random.Random(f"{SEED}{name}")) for name in "abcd"]
    for person in people:
        await connect(person)
    async with writing(people, promises):
        for _ in range(KILLS):
            await more_is_written(people, promises, chance)
            await becomes(lambda: len(workers_of(running)), 2)
            os.kill(chance.choice(workers_of(running)), signal.SIGKILL)
        await more_is_written(people, promises, chance)
        await asyncio.to_thread(running.kill)
        await asyncio.to_thread(running.start)
        await more_is_written(people, promises, chance)
    for person in people:
        if not person.client.is_connected:
            await person.client.cut()
            await connect(person)
    await all_is_there(running, people, promises)


async def more_is_written(people: list[Typist], promises: Promises, chance: random.Random) -> None:
    """Return once everybody has made some more edits, and note what is promised by then."""
    targets = [len(person.edits) + chance.randrange(15, 40) for person in people]
    await becomes(
        lambda: all(len(person.edits) >= target for person, target in zip(people, targets, strict=True)), True
    )
    for person in people:
        promises.note(person.note_acknowledged())
    promises.note(seen(people))


def content(person: Typist) -> Delta:
    return delta(person.client.text.diff())


async def all_is_there(running: RunningServer, people: list[Typist], promises: Promises) -> None:
    """Everything is there, once, for everybody, also after a restart as one process."""
    for person in people:
        await person.client.saved_all()
        promises.note(person.edits)
    # What is saved may still be on its way to others.
    await becomes(lambda: all(content(person) == content(people[0]) for person in people), True)
    runs = content(people[0])
    assert promises.lost(runs) == set()
    assert [mark for mark, count in marks(str(people[0].client.text)).items() if count > 1] == []
    assert len(promises.there) > 100
    await becomes(lambda: fresh(running), runs)
    for person in people:
        await person.client.dispose()
    assert await asyncio.to_thread(running.terminate) == 0
    path: Path | None = sqlite_file(running.store)
    assert path is None or await unsound(running.store) == []
    await asyncio.to_thread(running.start)
    assert await asyncio.to_thread(fresh, running) == runs
    assert running.log.count("event=worker-ended") == KILLS
