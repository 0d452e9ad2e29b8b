"""What the SQLite store promises of a write-ahead log that has its length from the start."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from collabd.app import create_app
from collabd.commands.owner import owner
from collabd.persistence import sqlite_ahead
from collabd.persistence.sqlite import SQLiteStore
from collabd.settings import Settings
from tests.faults.powercut import cut
from tests.support.syscalls import TRACED, calls, strace

pytestmark = pytest.mark.timeout(60)

PAGE = 4096
LARGE = bytes(100_000)
CUTS = 40


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "documents.db"


def wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(path, serves=True)
    await store.start()
    yield store
    await store.close()


async def updates(path: Path) -> list[bytes]:
    """What is in the log, as a process finds it that starts now."""
    store = SQLiteStore(path)
    await store.start()
    stored = await store.load("notes")
    await store.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert stored is not None
    return [logged.update for logged in stored.tail]


async def crashed(path: Path, folder: Path, count: int) -> Path:
    """The files of a process that was killed before anything was written back from the log."""
    store = SQLiteStore(path)
    await store.start()
    document_id = (await store.append("notes", None, [b"0"])).document_id
    for number in range(1, count):
        await store.append("notes", document_id, [b"%d" % number])
    folder.mkdir()
    for file in (path, wal(path)):
        shutil.copy(file, folder)
    await store.close()
    return folder / path.name


async def test_no_commit_lengthens_the_file(store: SQLiteStore, path: Path) -> None:
    length = wal(path).stat().st_size
    assert length > sqlite_ahead.PAGES * PAGE
    document_id = (await store.append("notes", None, [LARGE])).document_id
    written = len(LARGE)
    while written < 2.5 * length:
        await store.append("notes", document_id, [LARGE])
        written += len(LARGE)
        assert wal(path).stat().st_size == length
    assert path.stat().st_size > length, "it was written back"


@pytest.mark.parametrize("is_left", [False, True], ids=["new", "left by a killed process"])
async def test_commits_begin_where_the_file_does_and_are_synced(
    is_left: bool, path: Path, tmp_path: Path
) -> None:
    def look(connection: sqlite3.Connection) -> tuple[int, int]:
        (level,) = connection.execute("PRAGMA synchronous").fetchone()
        _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return level, pages

    file = await crashed(path, tmp_path / "crashed", 30) if is_left else path
    store = SQLiteStore(file, serves=True)
    await store.start()
    await store.append("notes", None, [b"1"])
    level, pages = await store._call(look)
    assert level == 2, "2 is FULL"
    assert pages < 20
    await store.close()


async def test_nothing_of_it_gets_into_the_database(path: Path) -> None:
    sizes = {}
    for serves in (False, True):
        store = SQLiteStore(path.with_name(f"{serves}.db"), serves=serves)
        await store.start()
        await store.append("notes", None, [b"1"])
        await store.close()
        sizes[serves] = path.with_name(f"{serves}.db").stat().st_size
        assert not wal(path.with_name(f"{serves}.db")).exists(), "the last one to close it removes it"
    assert sizes[True] == sizes[False]


async def test_what_a_killed_process_has_left_is_long_enough(path: Path, tmp_path: Path) -> None:
    store = SQLiteStore(path, serves=True)
    await store.start()
    await store.append("notes", None, [b"1"])
    (tmp_path / "killed").mkdir()
    left = tmp_path / "killed" / path.name
    for file in (path, wal(path)):
        shutil.copy(file, left.parent)
    await store.close()
    length = wal(left).stat().st_size
    again = SQLiteStore(left, serves=True)
    await again.start()
    assert wal(left).stat().st_size == length
    await again.append("notes", None, [b"2"])
    await again.close()
    assert await updates(left) == [b"1", b"2"]


async def test_it_waits_for_a_reader_of_what_was_left(path: Path, tmp_path: Path) -> None:
    left = await crashed(path, tmp_path / "crashed", 3)
    with closing(sqlite3.connect(left, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT max(seq) FROM log").fetchone() == (3,)
        store = SQLiteStore(left, serves=True)
        await store.start()
        await store.append("notes", None, [b"3"])
        assert reader.execute("SELECT max(seq) FROM log").fetchone() == (3,)
        reader.execute("ROLLBACK")
        await store.close()
    assert await updates(left) == [b"0", b"1", b"2", b"3"]


async def test_a_disk_without_room_for_it_is_no_failure(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # As on a full disk, SQLite answers that the database or disk is full.
    connect = sqlite3.connect

    def limited(*arguments: object, **options: object) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)  # type: ignore[call-overload]
        connection.execute("PRAGMA max_page_count = 2000")
        return connection

    monkeypatch.setattr(sqlite3, "connect", limited)
    store = SQLiteStore(path, serves=True)
    await store.start()
    assert "left to grow" in caplog.text
    assert "full" in caplog.text
    assert wal(path).stat().st_size < 10 * PAGE, "what it took was given back"
    await store.append("notes", None, [b"1"])
    await store.close()
    assert await updates(path) == [b"1"]


async def test_a_server_asks_for_it_and_a_command_does_not(path: Path) -> None:
    settings = Settings(store=f"sqlite:///{path}")
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        assert wal(path).stat().st_size > sqlite_ahead.PAGES * PAGE
    async with owner(settings):
        assert wal(path).stat().st_size < 100 * PAGE


# Crashes

SERVE = """
import asyncio, sys
from pathlib import Path
from collabd.persistence import sqlite_ahead
from collabd.persistence.sqlite import SQLiteStore

async def main():
    sqlite_ahead.PAGES = int(sys.argv[2])
    store = SQLiteStore(Path(sys.argv[1]), serves=True)
    await store.start()
    for number in range(5):
        await store.append("notes", None, [b"more"])
    await asyncio.Event().wait()

asyncio.run(main())
"""


def run_until_killed(path: Path, options: list[str], pages: int) -> None:
    """Let a server start on the files under strace, whose options are to end it."""
    command = [*options, sys.executable, "-c", SERVE, str(path), str(pages)]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        assert process.wait(30) == -signal.SIGKILL
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise


@pytest.mark.parametrize(
    ("call", "passing"),
    [("pwrite64", 1), ("pwrite64", 2), ("pwrite64", 777), ("pwrite64", 8_000), ("fdatasync", 1)],
)
async def test_kill_9_in_the_midst_of_it_harms_nothing(
    call: str, passing: int, path: Path, tmp_path: Path
) -> None:
    left = await crashed(path, tmp_path / "crashed", 30)
    kill = f"--inject={call}:signal=SIGKILL:when={passing}"
    options = strace(tmp_path / "trace", "-s", "0", "-e", f"trace={call}", "-P", str(wal(left)), kill)
    run_until_killed(left, options, sqlite_ahead.PAGES)
    if call == "pwrite64" and passing > 2:
        assert wal(left).stat().st_size > passing // 2 * PAGE, "it was in the midst of it"
    assert await updates(left) == [b"%d" % number for number in range(30)]


async def test_a_power_cut_in_the_midst_of_it_loses_nothing(path: Path, tmp_path: Path) -> None:
    left = await crashed(path, tmp_path / "crashed", 30)
    base = {file: file.read_bytes() for file in (left, wal(left))}
    trace = tmp_path / "trace"
    kill = "--inject=fdatasync:signal=SIGKILL:when=7"
    run_until_killed(left, strace(trace, "-e", f"trace={TRACED}", kill), 700)
    made = list(calls(trace))
    chance = random.Random(5)
    for number in range(CUTS):
        folder = tmp_path / str(number)
        folder.mkdir()
        for file, content in cut(made, chance.choice(made).done, base, chance).items():
            (folder / file.name).write_bytes(content)
        there = await updates(folder / path.name)
        assert there[:30] == [b"%d" % number for number in range(30)]
        assert set(there[30:]) <= {b"more"}
        shutil.rmtree(folder)
