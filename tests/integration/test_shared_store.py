"""Several processes on one PostgreSQL database, and nothing else between them."""

import asyncio
import tomllib
from contextlib import AbstractContextManager, closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from collabd.errors import DocumentDeleted
from tests.support import postgres
from tests.support.clients import Client
from tests.support.commands import Place
from tests.support.server import RunningServer, running_server
from tests.support.watching import becomes, exported_text


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Where commands are run: a folder whose settings name a database of its own."""
    (tmp_path / "collabd.toml").write_text(f'store = "{postgres.new_database()}"\n')
    return Place(tmp_path)


def serving(place: Place, name: str) -> AbstractContextManager[RunningServer]:
    """A server that uses the database, for the length of a block."""
    directory = place.folder / name
    directory.mkdir()
    settings = tomllib.loads((place.folder / "collabd.toml").read_text())
    return running_server(directory, store=settings["store"])


async def test_what_is_typed_on_one_node_is_seen_on_another_by_who_only_reads(place: Place) -> None:
    with serving(place, "one") as one, serving(place, "two") as two:
        writing = Client(one.websocket_url("notes"), saves=True)
        reading = Client(two.websocket_url("notes"))
        async with writing as ada, reading as ben:
            await ben.synced()
            ada.append("hello")
            await ben.has_text("hello")
            ben.append(" there")
            await ada.has_text("hello there")
            for number in range(20):
                ada.append(f" a{number}")
                ben.insert(0, f"b{number} ")
            for client in (ada, ben):
                await client.until(lambda client=client: len(str(client.text).split()) == 42)  # type: ignore[misc]
        assert str(ada.text) == str(ben.text)
        await becomes(lambda: exported_text(one, "notes"), text := str(ada.text))
        assert exported_text(two, "notes") == text


async def test_a_command_s_restore_reaches_who_only_reads(place: Place) -> None:
    with serving(place, "one") as server:
        async with Client(server.websocket_url("notes"), saves=True) as ada:
            ada.append("one ")
            await ada.saved_all()
            assert (await place.ask("versions", "notes", "--name", "draft")).code == 0
            ada.append("two")
            await ada.saved_all()
            assert (await place.ask("restore", "notes", "draft")).code == 0
            await ada.has_text("one ")
            ada.append("three")
            await ada.saved_all()
            assert exported_text(server, "notes") == "one three"


async def test_who_waits_for_a_document_sees_a_command_import_it(place: Place) -> None:
    (place.folder / "notes.txt").write_text("imported")
    with serving(place, "one") as server:
        async with Client(server.websocket_url("notes")) as ada:
            await ada.synced()
            assert (await place.ask("import", "notes.txt")).code == 0
            await ada.has_text("imported")


async def test_a_document_deleted_on_one_node_is_closed_on_another(place: Place) -> None:
    with serving(place, "one") as one, serving(place, "two") as two:
        async with Client(one.websocket_url("notes"), saves=True) as ada:
            ada.append("secret")
            await ada.saved_all()
            async with Client(two.websocket_url("notes")) as ben:
                await ben.has_text("secret")
                assert await asyncio.to_thread(delete, one, "notes") == 204
                assert await ben.closed() == DocumentDeleted.close_code


def delete(server: RunningServer, name: str) -> int:
    """Delete a document over HTTP; the status of the answer."""
    with closing(HTTPConnection("127.0.0.1", server.port)) as connection:
        connection.request("DELETE", f"/api/v1/documents/{name}")
        return connection.getresponse().status
