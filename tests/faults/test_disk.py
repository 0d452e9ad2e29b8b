"""What is wrong with the disk, the database or the clock ends neither the process nor anybody's edits."""

import asyncio
import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.faults.editing import editing
from tests.faults.series import DOCUMENT, unsound
from tests.support.clients import Client
from tests.support.postgres import new_server
from tests.support.server import RunningServer
from tests.support.syscalls import strace
from tests.support.watching import ServerFactory, becomes, database, exported_text, snapshot_seq

LOCKED_SECONDS = float(os.environ.get("FAULTS_LOCKED_SECONDS", "3"))
DISK_BYTES = 8 * 2**20
SLOW_SYNC = 0.2
"""Seconds."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, on which there is little room."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", disk], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted: {mounted.stderr}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


def fill(disk: Path) -> Path:
    """Leave no room on a file system; return what to remove."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    return ballast


async def test_a_full_disk_is_waited_out(small_disk: Path, tmp_path: Path) -> None:
    async with editing(tmp_path, store=f"sqlite:///{small_disk / 'collabd.db'}") as people:
        ballast = fill(small_disk)
        assert "full" in await people.is_told_that_nothing_is_saved()
        meanwhile = await people.lateness("while the disk is full")
        ballast.unlink()
        await people.recovers()
        afterwards = await people.all_is_there()
    assert meanwhile.is_bounded, meanwhile
    assert afterwards.is_bounded, afterwards


@pytest.mark.timeout(LOCKED_SECONDS + 120)
async def test_a_locked_database_is_waited_out(tmp_path: Path) -> None:
    async with editing(tmp_path) as people:
        with closing(sqlite3.connect(database(people.server), isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            until = asyncio.get_running_loop().time() + LOCKED_SECONDS
            assert "locked" in await people.is_told_that_nothing_is_saved()
            while asyncio.get_running_loop().time() < until:
                await people.write_on(10)
            meanwhile = await people.lateness("while it is locked")
            other.execute("ROLLBACK")
        await people.recovers()
        afterwards = await people.all_is_there()
    assert meanwhile.is_bounded, meanwhile
    assert afterwards.is_bounded, afterwards


async def test_a_slow_disk_makes_nobody_wait_but_for_what_is_saved(tmp_path: Path) -> None:
    delay = f"--inject=fdatasync,fsync:delay_enter={SLOW_SYNC * 1e6:.0f}"
    slow = strace(tmp_path / "trace", "--seccomp-bpf", "-e", "trace=fdatasync,fsync", delay)
    async with editing(tmp_path, traced=slow) as people:
        for _ in range(5):
            await people.save_on()
        late = await people.all_is_there()
    assert late.is_bounded, late


async def test_a_clock_set_back_changes_nothing(tmp_path: Path) -> None:
    async with editing(tmp_path, environment={"FAULTS_CLOCK": "1"}) as people:
        people.server.process.send_signal(signal.SIGUSR1)
        for _ in range(3):
            await people.save_on()
        assert (await asyncio.to_thread(people.server.get, "/readyz"))[0] == 200
        late = await people.all_is_there()
        assert (await asyncio.to_thread(people.server.get, f"/api/v1/history/{DOCUMENT}"))[0] == 200
    assert late.is_bounded, late


@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGKILL], ids=["crashed", "killed"])
async def test_a_postgresql_that_ends_and_returns_is_waited_out(how: signal.Signals, tmp_path: Path) -> None:
    postgres = await asyncio.to_thread(new_server)
    try:
        async with editing(tmp_path, store=postgres.url) as people:
            await asyncio.to_thread(postgres.stop, how)
            await people.is_told_that_nothing_is_saved()
            meanwhile = await people.lateness("while PostgreSQL is gone")
            await asyncio.to_thread(postgres.start)
            await people.recovers()
            afterwards = await people.all_is_there()
    finally:
        await asyncio.to_thread(postgres.close)
    assert meanwhile.is_bounded, meanwhile
    assert afterwards.is_bounded, afterwards


# Damage


async def write(server: RunningServer, document: str, count: int) -> None:
    async with Client(server.websocket_url(document), saves=True) as author:
        for number in range(count):
            author.append(f"<{document}{number}>")
            await author.saved_all()


def flip(path: Path, piece: bytes) -> None:
    """Change one bit of a file, in the midst of a piece of it."""
    content = bytearray(path.read_bytes())
    content[content.index(piece) + len(piece) // 2] ^= 1
    path.write_bytes(content)


async def test_a_damaged_row_of_the_log_is_told_and_the_others_serve_on(server: ServerFactory) -> None:
    running = server()
    for document in ("sound", "damaged"):
        await write(running, document, 10)
    await asyncio.to_thread(running.terminate)
    flip(database(running), b"<damaged7>")
    await asyncio.to_thread(running.start)
    client = await Client(running.websocket_url("damaged")).connect()
    assert await client.closed() == 4510
    assert client.close_reason.startswith("damaged: ")
    await client.dispose()
    status, answer = await asyncio.to_thread(running.get, "/api/v1/documents/damaged?format=text")
    assert (status, '"damaged"' in answer) == (500, True)
    await write(running, "sound", 10)
    assert (await asyncio.to_thread(exported_text, running, "sound")).count("<sound7>") == 2
    assert (await asyncio.to_thread(running.get, "/readyz"))[0] == 200


async def test_a_damaged_snapshot_is_made_up_for_by_history(server: ServerFactory) -> None:
    running = server(options=["--snapshot-after-updates", "20"])
    await write(running, "damaged", 60)
    text = await asyncio.to_thread(exported_text, running, "damaged")
    await becomes(lambda: snapshot_seq(running, "damaged") >= 20, True)
    await asyncio.to_thread(running.terminate)
    with closing(sqlite3.connect(database(running))) as stopped:
        ((state,),) = stopped.execute("SELECT state FROM snapshots")
    flip(database(running), state[:40])
    (problem,) = await unsound(running.store)
    assert "snapshot" in problem
    await asyncio.to_thread(running.start)
    assert await asyncio.to_thread(exported_text, running, "damaged") == text
    await write(running, "damaged", 60)
