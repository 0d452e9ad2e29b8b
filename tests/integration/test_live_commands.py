"""Commands while people write: what those see of it, and what is lost by none of it."""

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from collabd.commands import owner
from tests.support.bridges import holds
from tests.support.clients import Client
from tests.support.commands import Place
from tests.support.server import RunningServer, running_server
from tests.support.watching import ServerFactory


@pytest.fixture
def place(server: ServerFactory) -> Place:
    running = server()
    return Place(running.directory, running)


def url(place: Place, name: str = "notes") -> str:
    assert place.server is not None
    return place.server.websocket_url(name)


async def test_who_waits_for_a_document_sees_it_imported(place: Place) -> None:
    (place.folder / "notes.txt").write_text("imported")
    async with Client(url(place)) as ada:
        assert (await place.ask("import", "notes.txt")).code == 0
        await ada.has_text("imported")


async def test_writers_see_a_restore_and_write_on(place: Place) -> None:
    async with Client(url(place), saves=True) as ada, Client(url(place)) as bob:
        ada.append("one ")
        await ada.saved_all()
        done = await place.ask("versions", "notes", "--name", "draft")
        assert done.code == 0, done
        ada.append("two")
        await ada.saved_all()
        exported = await place.ask("export", "notes", "--format", "text")
        assert exported.out == "one two"
        assert (await place.ask("restore", "notes", "draft")).code == 0
        await bob.has_text("one ")
        await ada.has_text("one ")
        ada.append("three")
        await bob.has_text("one three")


async def test_compaction_and_erasing_are_not_noticed(place: Place) -> None:
    async with Client(url(place), saves=True) as ada, Client(url(place)) as bob:
        for number in range(50):
            ada.append(f"{number} ")
        await ada.saved_all()
        for command in (["compact", "--all"], ["check", "notes"], ["erase", "--content", "notes"]):
            assert (await place.ask(*command)).code == 0
            ada.append("on ")
        await bob.until(lambda: str(bob.text).endswith("on on on "))
        await ada.saved_all()
    assert place.server is not None
    await asyncio.to_thread(place.server.kill)
    await asyncio.to_thread(place.server.start)
    async with Client(url(place)) as cyd:
        assert str(cyd.text) == "".join(f"{number} " for number in range(50)) + "on on on "


async def test_what_the_disk_lost_is_written_again_from_memory(place: Place) -> None:
    async with Client(url(place), saves=True) as ada:
        for word in ("one ", "two ", "three"):
            ada.append(word)
            await ada.saved_all()
        with closing(sqlite3.connect(place.database)) as connection, connection:
            connection.execute("UPDATE log SET payload = x'ff' WHERE seq = 2")
        assert (await place.ask("check", "notes")).code == 1
        done = await place.ask("repair", "notes", "--json")
        assert done.code == 0, done
        (repaired,) = done.json["documents"]
        assert [problem["seq"] for problem in repaired["set_aside"]] == [2]
        assert repaired["from_memory"]
        assert await ada.closed() == 1013
    assert (await place.ask("check", "notes")).code == 0
    async with Client(url(place)) as bob:
        assert str(bob.text) == "one two three"


async def typing(client: Client, acknowledged: list[str]) -> None:
    """Type for ever; note what is saved."""
    number = 0
    while True:
        client.append(f"<{number}>")
        await client.saved_all()
        acknowledged.append(f"<{number}>")
        number += 1


async def test_a_backup_holds_all_that_was_acknowledged_before_it_began(place: Place, tmp_path: Path) -> None:
    async with (
        Client(url(place, "a"), saves=True) as ada,
        Client(url(place, "b"), saves=True) as bob,
        asyncio.TaskGroup() as group,
    ):
        acknowledged: dict[str, list[str]] = {"a": [], "b": []}
        tasks = [
            group.create_task(typing(client, acknowledged[name])) for name, client in (("a", ada), ("b", bob))
        ]

        async def more_is_acknowledged() -> dict[str, list[str]]:
            lengths = {name: len(typed) for name, typed in acknowledged.items()}
            await holds(lambda: all(len(typed) > lengths[name] for name, typed in acknowledged.items()))
            return {name: list(typed) for name, typed in acknowledged.items()}

        copies = {}
        for number in range(2):
            copies[number] = await more_is_acknowledged()
            done = await place.ask("backup", f"copy-{number}.db")
            assert done.code == 0, done
        await more_is_acknowledged()
        for task in tasks:
            task.cancel()
    for number, before in copies.items():
        store = f"sqlite:///copy-{number}.db"
        for name, typed in before.items():
            exported = await place.ask("export", name, "--format", "text", "--store", store)
            assert exported.out.startswith("".join(typed))
        assert (await place.ask("check", "--all", "--store", store)).code == 0
    (restored := tmp_path / "restored").mkdir()
    (place.folder / "copy-1.db").rename(restored / "collabd.db")
    with running_server(restored) as again:
        async with Client(again.websocket_url("a")) as cyd:
            assert str(cyd.text).startswith("".join(copies[1]["a"]))


async def killed_while(place: Place, *command: str) -> None:
    """Kill the server in the middle of a command, which must say so."""
    assert place.server is not None
    process = place.start(*command, "--progress")
    assert process.stderr is not None
    assert await asyncio.to_thread(process.stderr.readline) != ""
    await asyncio.to_thread(place.server.kill)
    done = await asyncio.to_thread(place.end, process)
    assert (done.code, done.out.count("\n") < 300) == (1, True), done
    assert "the server went before it was done" in done.err


async def test_a_server_killed_while_a_command_runs_keeps_what_was_done(place: Place) -> None:
    texts = {f"{number:03}": f"text {number}" for number in range(300)}
    for name, text in texts.items():
        (place.folder / f"{name}.txt").write_text(text)
    files = [f"{name}.txt" for name in texts]
    assert (await place.ask("import", *files)).code == 0
    await killed_while(place, "compact", "--all")
    assert (place.folder / "collabd.db.sock").exists()
    server: RunningServer | None = place.server
    assert server is not None
    await asyncio.to_thread(server.start)
    assert (await place.ask("check", "--all")).code == 0
    await asyncio.to_thread(server.terminate)
    assert not (place.folder / "collabd.db.sock").exists()
    assert (await place.ask("export", "--all", "out", "--format", "text")).code == 0
    assert {path.stem: path.read_text() for path in (place.folder / "out").iterdir()} == texts


def test_a_command_waits_for_the_one_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, "PATIENCE", 60.0)
    place = Place(tmp_path)
    for number in range(200):
        (tmp_path / f"{number}.txt").write_text("x")
    place.ok("import", *(f"{number}.txt" for number in range(200)))
    first = place.start("check", "--all", "--progress")
    assert first.stderr is not None
    assert first.stderr.readline() != ""
    began = time.monotonic()
    assert place.run("documents").code == 0
    assert place.end(first).code == 0
    assert time.monotonic() - began < 60
