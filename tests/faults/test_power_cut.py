"""A commit is on the disk before anybody hears of it, shown by the system calls of ``collabd serve``."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pycrdt import Doc, Text

from collabd.errors import CollabdError
from collabd.persistence.sqlite import SQLiteStore
from collabd.protocol import messages
from tests.faults.powercut import Sent, cut, messages_sent, synced_at
from tests.faults.series import COMMAND as ENTRY
from tests.faults.typists import marks
from tests.support.clients import ROOT, Client
from tests.support.server import COMMAND, RunningServer
from tests.support.syscalls import TRACED, Call, calls, stop_traced, strace

MARKS = 300
FEW_MARKS = 80
FILLING = "." * 2_000
"""After each mark, so that the log is written back into the database in between."""
CUTS = 60


class Traced(NamedTuple):
    """Two people wrote, under strace."""

    database: Path
    base: dict[Path, bytes]
    """What was in the database and its log before."""
    calls: list[Call]
    """From then on."""
    sent: list[Sent]
    counts: dict[str, int]
    """For each mark the count that acknowledges it to its author."""
    author: str
    """The author's socket."""

    @property
    def log(self) -> Path:
        return self.database.with_name(self.database.name + "-wal")

    def told_at(self, mark: str) -> int:
        """The line at which somebody first heard of a mark: by getting it, or as its author that it is
        saved."""
        return min(
            [sent.at for sent in self.sent if mark.encode() in sent.payload]
            + [
                sent.at
                for sent in self.sent
                if sent.socket == self.author
                for message in messages.decode(sent.payload)
                if isinstance(message, messages.Saved) and message.count >= self.counts[mark]
            ]
        )


async def trace_writing(
    directory: Path, command: tuple[str, ...], count: int, synchronous: str = ""
) -> Traced:
    trace = directory / "trace"
    server = RunningServer(
        directory,
        command=[*strace(trace, "-e", f"trace={TRACED}"), *command],
        environment={"FAULTS_SYNCHRONOUS": synchronous} if synchronous else None,
    )
    server.start()
    database = Path(server.store.removeprefix("sqlite:///"))
    files = [database, database.with_name(database.name + "-wal")]
    counts = {}
    try:
        async with (
            Client(server.websocket_url("notes"), saves=True) as ada,
            Client(server.websocket_url("notes")) as bob,
        ):
            ada.append("<begin0>")
            await ada.saved_all()
            await bob.until(lambda: "<begin0>" in str(bob.text))
            base = {path: path.read_bytes() for path in files}
            for number in range(count):
                mark = f"<m{number}>"
                ada.append(mark + FILLING)
                counts[mark] = ada.sent
                await ada.until(lambda: ada.sent - ada.saved < 3)
            await ada.saved_all()
            await bob.has_text(str(ada.text))
    finally:
        stop_traced(server)
    return made_of(list(calls(trace)), database, base, counts)


def made_of(found: list[Call], database: Path, base: dict[Path, bytes], counts: dict[str, int]) -> Traced:
    begin = b"<begin0>"
    sent = messages_sent(found)
    saved = messages.saved_frame(1)[:1]
    (author,) = {one.socket for one in sent if one.payload.startswith(saved)}
    heard = max(one.at for one in sent if begin in one.payload)
    return Traced(database, base, [call for call in found if call.begun > heard], sent, counts, author)


def told_too_early(traced: Traced) -> Iterator[str]:
    """Marks of which somebody heard before they were synced."""
    for mark in traced.counts:
        synced = synced_at(traced.calls, traced.log, mark.encode())
        if synced is None or synced >= traced.told_at(mark):
            yield mark


async def stored_text(database: Path) -> str:
    store = SQLiteStore(database)
    await store.start()
    try:
        stored = await store.load("notes")
    finally:
        await store.close()
    assert stored is not None
    doc: Doc[Any] = Doc()
    for update in [stored.snapshot, *(logged.update for logged in stored.tail)]:
        if update is not None:
            doc.apply_update(update)
    return str(doc.get(ROOT, type=Text))


async def lost_by_power_cuts(traced: Traced, directory: Path, chance: random.Random) -> list[str]:
    """Cut the power at random lines, and say which marks are not there then although somebody had heard."""
    told = {mark: traced.told_at(mark) for mark in traced.counts}
    lines = [call.done for call in traced.calls]
    lost = []
    for number in range(CUTS):
        line = chance.choice(lines)
        path = directory / str(number)
        path.mkdir()
        for file, content in cut(traced.calls, line, traced.base, chance).items():
            (path / file.name).write_bytes(content)
        try:
            there = marks(await stored_text(path / traced.database.name))
        except CollabdError as error:
            lost.append(str(error))
            continue
        lost += [mark for mark, at in told.items() if at <= line and there[mark] != 1]
    return lost


async def test_everything_is_synced_before_anybody_hears_of_it(tmp_path: Path) -> None:
    traced = await trace_writing(tmp_path, COMMAND, MARKS)
    written_back = [call for call in traced.calls if call.target == str(traced.database)]
    assert written_back, "the log was never written back, so that this shows only half"
    assert list(told_too_early(traced)) == []
    assert await lost_by_power_cuts(traced, tmp_path, random.Random(4)) == []


@pytest.mark.parametrize("synchronous", ["OFF", "NORMAL"])
async def test_a_log_that_is_not_synced_would_be_noticed(synchronous: str, tmp_path: Path) -> None:
    traced = await trace_writing(tmp_path, ENTRY, FEW_MARKS, synchronous)
    assert set(told_too_early(traced)) > {"<m30>", "<m70>"}
    assert await lost_by_power_cuts(traced, tmp_path, random.Random(4)) != []
