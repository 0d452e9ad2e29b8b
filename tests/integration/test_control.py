"""The socket beside the database: who may connect, and what goes over it."""

import asyncio
import contextlib
import json
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from collabd import Settings
from collabd.app import Service
from collabd.control import Connection, socket_of
from collabd.errors import StoreError
from collabd.operations import OperationFailed
from collabd.persistence.base import UNKNOWN

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with listening(tmp_path / "documents.db") as service:
        yield service


@contextlib.asynccontextmanager
async def listening(database: Path) -> AsyncIterator[Service]:
    service = Service(Settings(store=f"sqlite:///{database}"))
    service.takes_commands = True
    async with service.running():
        yield service


async def rows(path: Path, operation: str, **arguments: Any) -> list[dict[str, Any]]:
    connection = await Connection.open(path)
    try:
        return [event async for event in connection.perform(operation, arguments)]
    finally:
        connection.close()


async def test_only_the_owner_can_connect(service: Service, tmp_path: Path) -> None:
    path = socket_of(tmp_path / "documents.db")
    assert path == tmp_path / "documents.db.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert await rows(path, "documents") == [{"event": "result", "count": 0}]


async def test_the_socket_goes_with_the_server_and_a_dead_one_s_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "documents.db.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with listening(tmp_path / "documents.db"):
        assert await rows(path, "documents")
    assert not path.exists()


async def test_without_serve_nobody_listens(tmp_path: Path) -> None:
    service = Service(Settings(store=f"sqlite:///{tmp_path / 'documents.db'}"))
    async with service.running():
        assert not (tmp_path / "documents.db.sock").exists()


async def test_the_path_may_be_longer_than_a_socket_s(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 30) / ("deeper" * 30)
    folder.mkdir(parents=True)
    async with listening(folder / "documents.db"):
        assert await rows(folder / "documents.db.sock", "documents")
    assert not (folder / "documents.db.sock").exists()


async def test_where_no_socket_can_be_made_it_is_served_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = tmp_path / ("long" * 40 + ".db")
    async with listening(database) as service:
        assert await service.store.documents() == []
    assert "commands cannot reach this server" in caplog.text
    with pytest.raises(StoreError, match="at most"):
        await Connection.open(socket_of(database))


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"not JSON\n",
        b"[" * 100_000 + b"\n",
        b'"documents"\n',
        b'{"operation": "documents"}\n',
        b'{"operation": 1, "arguments": {}}\n',
        b'{"operation": "drop", "arguments": {}}\n',
        b'{"operation": "documents", "arguments": {"host": 1}}\n',
        b'{"operation": "documents", "arguments": {"prefix": 1}}\n',
        b'{"operation": "export", "arguments": {"name": "a"}}\n',
        b'{"operation": "compact", "arguments": {"names": [1]}}\n',
        b'{"operation": "erase-authors", "arguments": {}}\n',
        b'{"operation": "import", "arguments": {"name": "a", "media_type": "text/plain", "content": "?"}}\n',
        b"\xff\n",
    ],
)
async def test_a_malformed_request_is_refused(service: Service, tmp_path: Path, line: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(tmp_path / "documents.db.sock")
    writer.write(line)
    answer = json.loads(await reader.readline())
    assert (answer["event"], answer["error"]) == ("error", "malformed")
    writer.close()
    assert await rows(tmp_path / "documents.db.sock", "documents"), "nobody else is affected"


async def test_a_line_beyond_all_bounds_ends_its_connection(service: Service, tmp_path: Path) -> None:
    _, writer = await asyncio.open_unix_connection(tmp_path / "documents.db.sock")

    async def send_for_ever() -> None:
        while True:
            writer.write(b"x" * 2**20)
            await writer.drain()

    with pytest.raises(ConnectionError):
        await send_for_ever()
    writer.close()
    assert await rows(tmp_path / "documents.db.sock", "documents")


async def test_several_operations_go_over_one_connection(service: Service, tmp_path: Path) -> None:
    connection = await Connection.open(tmp_path / "documents.db.sock")
    with pytest.raises(OperationFailed, match="no document nobody") as failure:
        [event async for event in connection.perform("export", {"name": "nobody", "form": "json"})]
    assert failure.value.code == "no-such-document"
    arguments = {"name": "a", "media_type": "text/plain", "content": "YQ=="}
    assert [event["event"] async for event in connection.perform("import", arguments)] == ["result"]
    assert [event["name"] async for event in connection.perform("documents", {}) if "name" in event] == ["a"]
    connection.close()


async def test_who_hangs_up_gives_up(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, given_up = asyncio.Event(), asyncio.Event()

    async def examine(document_id: int) -> list[Any]:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()
        return []

    await service.store.append("notes", None, [b"\0\0"], [(UNKNOWN, 1)])
    monkeypatch.setattr(service.store, "examine", examine)
    reader, writer = await asyncio.open_unix_connection(tmp_path / "documents.db.sock")
    writer.write(b'{"operation": "check", "arguments": {}}\n')
    assert json.loads(await reader.readline())["what"] == "checking"
    await began.wait()
    writer.close()
    await given_up.wait()


async def test_a_server_that_stops_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began = asyncio.Event()

    async def examine(document_id: int) -> list[Any]:
        began.set()
        await asyncio.Event().wait()
        return []

    async with listening(tmp_path / "documents.db") as service:
        await service.store.append("notes", None, [b"\0\0"], [(UNKNOWN, 1)])
        monkeypatch.setattr(service.store, "examine", examine)
        checking = asyncio.create_task(rows(tmp_path / "documents.db.sock", "check"))
        await began.wait()
    with pytest.raises(OperationFailed) as failure:
        await checking
    assert failure.value.code == "restart"
