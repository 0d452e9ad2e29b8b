"""What a store served to other processes promises beyond the contract: about its socket, its owner and its
clients."""

import asyncio
import contextlib
import inspect
import sqlite3
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from collabd import errors
from collabd.errors import (
    CollabdError,
    DocumentDamaged,
    DocumentDeleted,
    DocumentExists,
    NoSuchDocument,
    StoreError,
    StoreUnavailable,
)
from collabd.frames import frame
from collabd.persistence import exchange, remote, sqlite
from collabd.persistence.base import Appended, HistoryEntry, Store
from collabd.persistence.exchange import Kind
from collabd.persistence.memory import MemoryStore
from collabd.persistence.remote import RemoteStore
from collabd.persistence.served import serving
from collabd.persistence.sqlite import SQLiteStore
from tests.support.owning import OwningProcess

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the owner's socket is."""
    return tmp_path / "owner.sock"


@pytest.fixture
async def owned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SQLiteStore]:
    """The store that is served, quick to find that it cannot commit, and quick to try again."""
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 0.01)
    monkeypatch.setattr(sqlite, "RETRY_AFTER", 0.01)
    store = SQLiteStore(tmp_path / "documents.db")
    await store.start()
    async with serving(tmp_path / "owner.sock", store):
        yield store
    await store.close()


@pytest.fixture
async def store(owned: SQLiteStore, path: Path) -> AsyncIterator[RemoteStore]:
    async with using(path) as store:
        yield store


@contextlib.asynccontextmanager
async def using(path: Path) -> AsyncIterator[RemoteStore]:
    store = RemoteStore(path)
    await store.start()
    yield store
    await store.close()


@contextlib.contextmanager
def busy(database: Path) -> Iterator[None]:
    """Let nobody commit in the block."""
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def updates_of(store: Store) -> list[bytes]:
    """All updates of the document ``notes``."""
    stored = await store.load("notes")
    assert stored is not None
    return [logged.update for logged in stored.tail]


async def is_unavailable(store: Store) -> str:
    """Return why the store cannot be used, once it has noticed."""
    while True:
        try:
            await store.ping()
        except StoreUnavailable as error:
            return str(error)
        await asyncio.sleep(0)


async def is_available(store: Store) -> None:
    while True:
        with contextlib.suppress(StoreUnavailable):
            await store.ping()
            return
        await asyncio.sleep(0.01)


async def raw(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection of somebody who speaks by hand."""
    return await asyncio.open_unix_connection(path)


# The socket


async def test_only_the_owner_s_user_can_connect(owned: SQLiteStore, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_the_socket_goes_with_the_owner(tmp_path: Path, path: Path) -> None:
    store = MemoryStore()
    for _ in range(2):
        async with serving(path, store), using(path) as client:
            await client.ping()
        assert not path.exists()


async def test_a_dead_owner_s_socket_is_replaced(tmp_path: Path) -> None:
    owner = OwningProcess(tmp_path)
    await owner.start()
    owner.kill()
    assert owner.socket.exists()
    with pytest.raises(StoreError, match="nobody serves a store"):
        await RemoteStore(owner.socket).start()
    async with serving(owner.socket, MemoryStore()), using(owner.socket) as client:
        await client.ping()


async def test_the_path_may_be_longer_than_a_socket_s(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 30) / ("deeper" * 30)
    folder.mkdir(parents=True)
    async with serving(folder / "owner.sock", MemoryStore()), using(folder / "owner.sock") as client:
        await client.ping()


async def test_an_owner_of_another_version_is_refused(
    owned: SQLiteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hello = exchange.pack
    monkeypatch.setattr(exchange, "pack", lambda value: hello(0 if value == exchange.VERSION else value))
    with pytest.raises(StoreError, match="another version"):
        await RemoteStore(path).start()


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff" * 100,
        frame(0, 1),
        frame(Kind.APPEND, 1, b"short"),
        frame(Kind.CALL, 1, exchange.pack(["close", {}])),
        frame(Kind.CALL, 1, exchange.pack(["_call", {}])),
        frame(Kind.CALL, 1, b"\0\0\0\2{]"),
        frame(Kind.RESULT, 1, exchange.pack(None)),
        frame(Kind.HELLO, 1),
    ],
)
async def test_whoever_speaks_something_else_is_cut_off(store: RemoteStore, path: Path, sent: bytes) -> None:
    reader, writer = await raw(path)
    writer.write(sent)
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    await store.append("notes", None, [b"1"])


# What is asked


def test_everything_a_store_can_do_can_be_asked_for() -> None:
    methods = {name for name, _ in inspect.getmembers(Store, inspect.isfunction) if not name.startswith("_")}
    assert methods - {"start", "close", "append"} == set(exchange.OPERATIONS)


async def test_several_may_write_to_it(store: RemoteStore, path: Path) -> None:
    assert store.is_shared
    async with using(path) as other:
        first, _ = await store.append("notes", None, [b"1"])
        assert await other.append("notes", first, [b"2"]) == (first, 2)
        await other.delete("notes")
        with pytest.raises(DocumentDeleted):
            await store.append("notes", first, [b"3"])


async def test_what_all_clients_send_is_committed_together(
    owned: SQLiteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups: list[int] = []
    write = owned._write

    def counted(connection: sqlite3.Connection, group: Any) -> Any:
        groups.append(len(group))
        return write(connection, group)

    monkeypatch.setattr(owned, "_write", counted)
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(using(path)) for _ in range(4)]
        ids = [(await clients[0].append(f"{n}", None, [b"1"])).document_id for n in range(25)]
        groups.clear()
        await asyncio.gather(*(client.append("", id_, [b"2"]) for id_ in ids for client in clients))
    assert sum(groups) == 100
    assert len(groups) < 10


@pytest.mark.parametrize(
    "error",
    [
        DocumentDamaged("a row"),
        DocumentDeleted("it"),
        DocumentExists("it"),
        NoSuchDocument("none"),
        StoreUnavailable("später \udfff"),
        StoreError("no"),
        errors.TooLarge("too much"),
    ],
)
async def test_errors_arrive_as_they_were_raised(
    store: RemoteStore, owned: SQLiteStore, error: CollabdError, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(**_: object) -> None:
        raise error

    async def gives(**_: object) -> AsyncIterator[list[HistoryEntry]]:
        yield []
        raise error

    def refuses(*_: object, **__: object) -> "asyncio.Future[Appended]":
        future = asyncio.get_running_loop().create_future()
        future.set_exception(error)
        return future

    monkeypatch.setattr(owned, "find", fails)
    monkeypatch.setattr(owned, "history", gives)
    monkeypatch.setattr(owned, "append", refuses)
    for attempt in (store.find("notes"), store.append("notes", None, [b"1"]), read_all(store.history(1))):
        with pytest.raises(CollabdError) as caught:
            await attempt
        assert (type(caught.value), str(caught.value)) == (type(error), str(error))


async def read_all(given: AsyncIterator[list[HistoryEntry]]) -> list[HistoryEntry]:
    return [entry async for some in given for entry in some]


async def test_a_failure_of_the_store_s_is_logged_where_it_happened(
    store: RemoteStore, owned: SQLiteStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(owned, "find", lambda **_: 1 / 0)
    with pytest.raises(CollabdError, match="the log of the process that owns it says how"):
        await store.find("notes")
    assert "division by zero" in caplog.text
    assert await store.documents() == []


async def test_what_is_too_large_is_refused_and_nothing_else(
    store: RemoteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collabd.frames.MAX_BODY", 1000)
    with pytest.raises(errors.TooLarge):
        await store.append("notes", None, [bytes(1000)])
    with pytest.raises(errors.TooLarge):
        await store.find("n" * 1000)
    await store.append("notes", None, [bytes(600)])
    await store.append("notes", None, [bytes(600)])
    with pytest.raises(errors.TooLarge):
        await store.load("notes")
    await store.ping()


# One after the other


async def read_slowly(store: RemoteStore, owned: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let history be given in many parts; the list says what the owner has read of it."""
    events: list[str] = []

    async def given(**_: object) -> AsyncIterator[list[HistoryEntry]]:
        try:
            for seq in range(1, 100):
                events.append(f"{seq}")
                yield [HistoryEntry(seq, 1, 0.0, (), [b"x"])]
        finally:
            events.append("end")

    monkeypatch.setattr(owned, "history", given)
    return events


async def test_the_owner_reads_no_further_than_it_is_asked_to(
    store: RemoteStore, owned: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = await read_slowly(store, owned, monkeypatch)
    reading = store.history(1)
    for seq in (1, 2, 3):
        assert [entry.seq for entry in await anext(reading)] == [seq]
        await store.ping()
        assert events == [str(n) for n in range(1, seq + 1)]
    assert [entry.seq for entry in await read_all(reading)] == list(range(4, 100))
    assert events[-1] == "end"


@pytest.mark.parametrize("how", ["close", "cancel", "disconnect"])
async def test_who_stops_reading_lets_the_owner_stop(
    store: RemoteStore, owned: SQLiteStore, path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = await read_slowly(store, owned, monkeypatch)
    reader = RemoteStore(path)
    await reader.start()
    reading = reader.history(1)
    await anext(reading)
    if how == "cancel":
        task = asyncio.ensure_future(anext(reading))
        await asyncio.sleep(0)
        task.cancel()
    elif how == "close":
        await reading.aclose()  # type: ignore[attr-defined]
    await (reader.ping() if how != "disconnect" else reader.close())
    await store.ping()
    assert events[-1] == "end"
    await reader.close()


# Committing


async def test_a_batch_waits_while_the_owner_cannot_commit(
    store: RemoteStore, owned: SQLiteStore, tmp_path: Path
) -> None:
    document_id, _ = await store.append("notes", None, [b"1"])
    with busy(tmp_path / "documents.db"):
        waiting = [store.append("notes", document_id, [b"%d" % number]) for number in (2, 3)]
        await is_unavailable(store)
        assert not any(future.done() for future in waiting)
        stored = await store.load("notes")
        assert stored is not None
        assert stored.head == 1
    assert [(await future).last_seq for future in waiting] == [2, 3]
    await is_available(store)


async def test_closing_gives_up_what_the_owner_cannot_commit(
    owned: SQLiteStore, path: Path, tmp_path: Path
) -> None:
    store = RemoteStore(path)
    await store.start()
    await store.append("notes", None, [b"1"])
    with busy(tmp_path / "documents.db"):
        waiting = store.append("notes", None, [b"2"])
        await is_unavailable(store)
        await store.close()
        with pytest.raises(StoreUnavailable, match="closed before it could commit"):
            await waiting


async def test_what_a_client_handed_over_before_it_died_is_committed(
    store: RemoteStore, owned: SQLiteStore, path: Path, tmp_path: Path
) -> None:
    document_id, _ = await store.append("notes", None, [b"1"])
    with busy(tmp_path / "documents.db"):
        other = RemoteStore(path)
        await other.start()
        abandoned = other.append("notes", document_id, [b"2"])
        await is_unavailable(other)
        assert other._owner is not None
        other._owner.link.abort()
        with pytest.raises(StoreUnavailable, match="is not known"):
            await abandoned
        await other.close()
        last = store.append("notes", document_id, [b"3"])
    assert (await last).last_seq == 3


# Owners and clients that go


async def test_who_comes_after_one_that_died_is_told_so(owned: SQLiteStore, path: Path) -> None:
    async with using(path) as well, using(path) as other:
        assert not well.was_interrupted
        doomed = [RemoteStore(path), RemoteStore(path)]
        for dying in doomed:
            await dying.start()
            assert not dying.was_interrupted
        for dying in doomed:
            assert dying._owner is not None
            dying._is_closed = True  # as if it were another process's, which does not come back
            await dying._owner.close("it died")
        await other.ping()
        told = [RemoteStore(path) for _ in range(3)]
        for store in told:
            await store.start()
            await store.ping()
        assert [store.was_interrupted for store in told] == [True, True, False]
        for store in told:
            await store.close()


async def test_an_owner_s_interruption_is_told_to_everybody(tmp_path: Path, path: Path) -> None:
    store = MemoryStore()
    store.was_interrupted = True
    async with serving(path, store), using(path) as one, using(path) as two:
        assert one.was_interrupted
        assert two.was_interrupted


@pytest.fixture
async def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OwningProcess]:
    monkeypatch.setattr(remote, "RETRY_AFTER", 0.01)
    monkeypatch.setattr(remote, "MAX_RETRY_AFTER", 0.01)
    process = OwningProcess(tmp_path)
    await process.start()
    yield process
    process.kill()


async def test_what_a_killed_owner_did_not_answer_is_given_up_and_nothing_is_doubled(
    process: OwningProcess,
) -> None:
    process.kill()
    await process.start(answers=10)
    async with using(process.socket) as store:
        batches = [b"%d" % number for number in range(20)]
        appending = [store.append("notes", None, [batch]) for batch in batches]
        answered = await asyncio.gather(*appending[:10])
        assert [appended.last_seq for appended in answered] == list(range(1, 11))
        assert await updates_of(store) == batches, "those that were not answered are committed too"
        process.freeze()
        appending += [store.append("notes", answered[0].document_id, [b"never read"]) for _ in range(10)]
        process.kill()
        for unknown in appending[10:]:
            with pytest.raises(StoreUnavailable, match="is not known"):
                await unknown
        with pytest.raises(StoreUnavailable, match="is gone"):
            await store.load("notes")
        later = [store.append("notes", answered[0].document_id, [b"later"]) for _ in range(3)]
        await process.start()
        assert [(await future).last_seq for future in later] == [21, 22, 23]
        assert store.was_interrupted
        assert await updates_of(store) == [*batches, b"later", b"later", b"later"]


async def test_an_owner_killed_at_any_moment_loses_nothing_it_answered(process: OwningProcess) -> None:
    async with using(process.socket) as store:
        document_id, _ = await store.append("notes", None, [b"0"])
        appending = [store.append("notes", document_id, [b"%d" % number]) for number in range(1, 2000)]
        await appending[20]
        process.kill()
        outcomes = await asyncio.gather(*appending, return_exceptions=True)
        answered = [outcome for outcome in outcomes if isinstance(outcome, Appended)]
        assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes[len(answered) :])
        assert [appended.last_seq for appended in answered] == list(range(2, len(answered) + 2))
        await process.start()
        first = (await store.append("notes", document_id, [b"later"])).last_seq
        assert first > len(answered) + 1
        assert await updates_of(store) == [*(b"%d" % number for number in range(first - 1)), b"later"]


async def test_closing_gives_up_what_waits_for_an_owner(process: OwningProcess) -> None:
    store = RemoteStore(process.socket)
    await store.start()
    process.kill()
    await is_unavailable(store)
    waiting = store.append("notes", None, [b"1"])
    await store.close()
    with pytest.raises(StoreUnavailable, match="closed before"):
        await waiting
    await process.start()
    await store.start()
    assert await store.documents() == []
    await store.close()


async def test_reading_ends_with_the_owner(process: OwningProcess) -> None:
    async with using(process.socket) as store:
        document_id, _ = await store.append("notes", None, [b"1"])
        reading = store.history(document_id)
        await anext(reading)
        process.kill()
        with pytest.raises(StoreUnavailable):
            await anext(reading)
        again = store.history(document_id)
        with pytest.raises(StoreUnavailable):
            await anext(again)


async def test_an_owner_that_goes_before_it_answers_is_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "RETRY_AFTER", 0.001)
    store = RemoteStore(path)
    async with serving(path, MemoryStore()):
        await store.start()
    met = asyncio.Event()

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        met.set()

    async with await asyncio.start_unix_server(hang_up, path) as rude:
        waiting = store.append("notes", None, [b"1"])
        await met.wait()
        rude.close()
    async with serving(path, MemoryStore()):
        assert (await waiting).last_seq == 1
        await store.close()


async def test_an_owner_that_comes_back_as_another_version_is_not_used(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "RETRY_AFTER", 0.001)
    store = RemoteStore(path)
    async with serving(path, MemoryStore()):
        await store.start()
    with monkeypatch.context() as patch:
        pack = exchange.pack
        patch.setattr(exchange, "pack", lambda value: pack(0 if value == exchange.VERSION else value))
        async with serving(path, MemoryStore()):
            while "another version" not in await is_unavailable(store):
                await asyncio.sleep(0)
    async with serving(path, MemoryStore()):
        await is_available(store)
        await store.close()
