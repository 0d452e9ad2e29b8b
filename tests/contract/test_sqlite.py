"""What the SQLite store promises beyond the contract: about its file, and about failing disks."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database

from collabd.errors import DocumentDamaged, DocumentDeleted, StoreError, StoreUnavailable
from collabd.persistence import rows, sqlite, sqlite_backup, sqlite_schema
from collabd.persistence.sqlite import SQLiteStore

from .stores import compact

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "documents.db"


@pytest.fixture
async def store(path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SQLiteStore]:
    """A store that is quick to find that it cannot commit, and quick to try again."""
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 0.01)
    monkeypatch.setattr(sqlite, "RETRY_AFTER", 0.01)
    store = SQLiteStore(path)
    await store.start()
    yield store
    await store.close()


async def reopened(path: Path) -> SQLiteStore:
    store = SQLiteStore(path)
    await store.start()
    return store


async def unavailable(store: SQLiteStore) -> str:
    """Return why the store cannot commit, once it has noticed."""
    while True:
        try:
            await store.ping()
        except StoreUnavailable as error:
            if "cannot commit" in str(error):
                return str(error)


def change(path: Path, statement: str, *parameters: object) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement, parameters)


# The file


async def test_a_commit_survives_a_power_cut(store: SQLiteStore) -> None:
    def pragmas(connection: sqlite3.Connection) -> list[object]:
        return [
            connection.execute(f"PRAGMA {pragma}").fetchone()[0] for pragma in ("journal_mode", "synchronous")
        ]

    await store.append("notes", None, [b"1"])
    assert await store._call(pragmas) == ["wal", 2], "2 is FULL"


@pytest.mark.parametrize(
    "prepare",
    [
        lambda path: path.write_bytes(b"not a database, but long enough to be told so" * 40),
        lambda path: change(path, "CREATE TABLE somebody_elses (x)"),
        lambda path: change(path, "CREATE TABLE about (text)"),
        lambda path: change(path, "CREATE TABLE about (key, value)"),
        lambda path: path.mkdir(),
    ],
    ids=[
        "no database",
        "another program's",
        "one with a table of our name",
        "one without a version",
        "folder",
    ],
)
async def test_a_file_of_another_program_is_refused_and_left_alone(
    path: Path, prepare: Callable[[Path], object]
) -> None:
    prepare(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StoreError):
        await reopened(path)
    assert before is None or path.read_bytes() == before
    path.rmdir() if before is None else path.unlink()
    await (await reopened(path)).close()


async def test_a_file_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        await reopened(tmp_path / "missing" / "documents.db")


async def test_a_file_of_a_newer_program_is_refused(path: Path) -> None:
    await (await reopened(path)).close()
    change(path, "UPDATE about SET value = ? WHERE key = 'oldest_program'", sqlite_schema.SCHEMA + 1)
    with pytest.raises(StoreError, match=f"knows schema {sqlite_schema.SCHEMA + 1}"):
        await reopened(path)


async def test_a_schema_half_made_when_the_power_went_is_made_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("the power went")

    with monkeypatch.context() as patch:
        patch.setattr(sqlite_schema.migrations, "_record_applied", fail)
        with pytest.raises(StoreError):
            await reopened(path)
    store = await reopened(path)
    await store.append("notes", None, [b"1"])
    await store.close()


async def test_one_process_owns_the_file(store: SQLiteStore, path: Path) -> None:
    with pytest.raises(StoreError, match="in use by another process"):
        await reopened(path)
    await store.append("notes", None, [b"1"])
    await store.close()
    again = await reopened(path)
    assert await again.load("notes") is not None
    await again.close()


APPEND_FOR_EVER = """
import asyncio, sys
from pathlib import Path
from collabd.persistence.sqlite import SQLiteStore


document = None

async def main():
    store = SQLiteStore(Path(sys.argv[1]))
    await store.start()
    async def write(number):
        global document
        document, seq = await store.append("notes", document, [b"%d" % number] * (number % 3 + 1))
        print(number, seq, flush=True)
    await write(0)
    number = 1
    while True:
        await asyncio.gather(*(write(number + n) for n in range(7)))
        number += 7

asyncio.run(main())
"""


async def test_what_was_acknowledged_before_kill_9_is_there_afterwards(path: Path) -> None:
    process = subprocess.Popen(  # noqa: ASYNC220  # this process has nothing else to do
        [sys.executable, "-c", APPEND_FOR_EVER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    acknowledged = []
    try:
        acknowledged = [process.stdout.readline() for _ in range(300)]
        with pytest.raises(StoreError, match="in use by another process"):
            await reopened(path)
    finally:
        process.send_signal(signal.SIGKILL)
        acknowledged += process.stdout.readlines()
        process.stdout.close()
        process.wait(20)
    store = await reopened(path)
    stored = await store.load("notes")
    assert stored is not None
    assert [logged.seq for logged in stored.tail] == list(range(1, stored.head + 1))
    by_seq = {logged.seq: logged.update for logged in stored.tail}
    complete = [line.split() for line in acknowledged if line.endswith("\n")]
    assert len(complete) >= 300
    for number, last_seq in complete:
        for seq in range(int(last_seq) - int(number) % 3, int(last_seq) + 1):
            assert by_seq[seq] == number.encode()
    await store.close()


async def test_writers_that_come_together_are_committed_together(store: SQLiteStore) -> None:
    ids = [(await store.append(f"{n}", None, [b"1"])).document_id for n in range(20)]
    statements: list[str] = []
    await store._call(lambda connection: connection.set_trace_callback(statements.append))
    await asyncio.gather(*(store.append("", id_, [b"2"]) for id_ in ids for _ in range(10)))
    await store._call(lambda connection: connection.set_trace_callback(None))
    assert statements.count("COMMIT") <= 20


async def test_a_group_is_bounded(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "MAX_GROUP_BYTES", 100)
    appended = await asyncio.gather(
        *(store.append("notes", None, [bytes(size)]) for size in (60, 60, 500, 1))
    )
    assert [answer.last_seq for answer in appended] == [1, 2, 3, 4]


# Damage

NOT_UPDATES = rows.checksum(bytes([5]))


@pytest.mark.parametrize(
    ("damage", "part", "seq"),
    [
        ("UPDATE log SET payload = x'0162' WHERE document = 1 AND seq = 3", "log", 3),
        ("UPDATE log SET checksum = checksum + 1 WHERE document = 1 AND seq = 3", "log", 3),
        ("UPDATE log SET authors = x'0101' WHERE document = 1 AND seq = 3", "log", 3),
        ("UPDATE log SET count = 2 WHERE document = 1 AND seq = 3", "log", 3),
        (f"UPDATE log SET payload = x'05', checksum = {NOT_UPDATES} WHERE document = 1", "log", 3),
        ("DELETE FROM log WHERE document = 1 AND seq = 3", "log", 3),
        ("UPDATE snapshots SET state = x'00'", "snapshot", 2),
    ],
    ids=["payload", "checksum", "authors", "count", "not updates", "a row gone", "snapshot"],
)
async def test_a_damaged_document_is_told_and_set_aside_and_the_others_serve_on(
    store: SQLiteStore, path: Path, damage: str, part: str, seq: int
) -> None:
    for name in ("damaged", "sound"):
        document_id, _ = await store.append(name, None, [b"1", b"2"])
        await store.append(name, document_id, [b"3"])
        await store.append(name, document_id, [b"4"])
        if name == "damaged":
            await compact(store, name, 2, b"state", keep_history=False)
    change(path, damage)
    with pytest.raises(DocumentDamaged):
        await store.load("damaged")
    sound = await store.load("sound")
    assert sound is not None
    assert len(sound.tail) == 4
    await store.append("sound", sound.id, [b"5"])
    assert [info.name for info in await store.documents()] == ["damaged", "sound"]
    problems = await store.examine(1)
    assert (problems[0].part, problems[0].seq) == (part, seq)
    assert await store.set_aside(1) == problems
    assert await store.examine(1) == []
    rest = await store.load("damaged")
    assert rest is not None
    assert rest.head == 4
    kept = {logged.update for logged in rest.tail}
    if part == "snapshot":
        assert kept == {rows.NOTHING, b"3", b"4"}
    else:
        assert rest.snapshot == b"state"
        assert rows.NOTHING in kept
        assert b"4" in kept or "payload = x'05'" in damage
    assert (await store.append("damaged", 1, [b"5"])).last_seq == 5


@pytest.mark.parametrize("column", ["payload", "meta"])
async def test_damaged_history_does_not_keep_a_document_from_opening(
    store: SQLiteStore, path: Path, column: str
) -> None:
    document_id, _ = await store.append("notes", None, [b"1", b"2"])
    await compact(store, "notes", 2, b"state")
    change(path, f"UPDATE segments SET {column} = x'00'")
    assert await store.load("notes") is not None
    with pytest.raises(DocumentDamaged, match="history up to 2"):
        async for _ in store.history(document_id):
            pass
    with pytest.raises(DocumentDamaged, match="history up to 2"):
        await store.load("notes", whole=True)
    (problem,) = await store.set_aside(document_id)
    assert (problem.part, problem.seq) == ("history", 2)
    whole = await store.load("notes", whole=True)
    assert whole is not None
    assert whole.tail == [(2, rows.NOTHING)]


async def test_a_damaged_snapshot_is_made_up_for_by_history(
    store: SQLiteStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await store.append("notes", None, [b"1", b"2"])
    await compact(store, "notes", 2, b"state")
    await store.append("notes", None, [b"3"])
    change(path, "UPDATE snapshots SET state = x'00'")
    stored = await store.load("notes")
    assert stored is not None
    assert (stored.snapshot, stored.snapshot_seq) == (None, 2)
    assert "history makes up for it" in caplog.text
    assert [logged.update for logged in stored.tail] == [b"1", b"2", b"3"]
    await compact(store, "notes", 3, b"new state")
    assert (await store.load("notes")) == stored._replace(snapshot=b"new state", snapshot_seq=3, tail=[])


async def test_a_store_says_whether_it_was_interrupted(store: SQLiteStore, path: Path) -> None:
    assert not store.was_interrupted
    await store.close()
    change(path, "UPDATE about SET value = 1 WHERE key = 'running'")
    again = await reopened(path)
    assert again.was_interrupted
    await again.close()
    once_more = await reopened(path)
    assert not once_more.was_interrupted
    await once_more.close()


async def test_space_is_given_back(store: SQLiteStore, path: Path) -> None:
    def checkpoint(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    for _ in range(20):
        await store.append("notes", None, [bytes(100_000)])
    await store._call(checkpoint)
    before = path.stat().st_size
    await compact(store, "notes", 20, b"state", keep_history=False)
    await store._call(checkpoint)
    assert path.stat().st_size < before / 4


# Schemas


async def test_a_file_of_the_first_schema_is_brought_up_to_date(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        database = Database(connection)
        sqlite_schema.migrations.apply(database, stop_before="history")
        connection.execute("INSERT INTO documents VALUES (1, 'notes', 5.0, NULL)")
        payload = rows.pack([b"1", b"2"])
        connection.execute("INSERT INTO log VALUES (1, 2, 2, 6.0, ?, ?)", (payload, rows.checksum(payload)))
        connection.execute(
            "INSERT INTO snapshots VALUES (1, 1, 6.0, '[]', ?, ?)", (b"state", rows.checksum(b"state"))
        )
        connection.commit()
    store = await reopened(path)
    stored = await store.load("notes")
    assert stored is not None
    assert (stored.head, stored.snapshot, stored.tail) == (2, b"state", [(2, b"2")])
    assert [entry.authors async for entries in store.history(1) for entry in entries] == [()]
    await store.append("notes", 1, [b"3"])
    await compact(store, "notes", 3, b"new state")
    await store.close()


async def test_a_file_of_the_second_schema_is_brought_up_to_date(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        sqlite_schema.migrations.apply(Database(connection), stop_before="log_with_index")
        connection.execute("INSERT INTO documents (id, name, created_at) VALUES (1, 'notes', 5.0)")
        connection.execute("INSERT INTO authors VALUES (7, 70, 'ann', 'Ann', '', 6.0)")
        for seq in (1, 2):
            payload, authors = rows.pack([b"%d" % seq]), rows.pack_authors([(7, 1)])
            row = (1, seq, 1, 6.0, payload, rows.checksum(payload, authors), authors)
            connection.execute("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        connection.commit()
    store = await reopened(path)
    entries = [entry async for some in store.history(1) for entry in some]
    assert [(entry.seq, entry.updates) for entry in entries] == [(1, [b"1"]), (2, [b"2"])]
    assert {author.name for entry in entries for author, _ in entry.authors} == {"Ann"}
    assert (await store.append("notes", 1, [b"3"])).last_seq == 3
    await store.close()


async def test_no_search_reads_large_rows_it_compares_with(store: SQLiteStore) -> None:
    def without_rowid(connection: sqlite3.Connection) -> set[str]:
        kinds = connection.execute("SELECT name, wr FROM pragma_table_list WHERE schema = 'main'")
        return {name for name, is_without_rowid in kinds if is_without_rowid}

    assert not {"log", "segments", "snapshots"} & await store._call(without_rowid)


# A store that cannot commit for a while


async def locked_out(path: Path) -> sqlite3.Connection:
    """Another program that holds the write lock."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    return connection


async def test_while_the_database_is_locked_nothing_is_lost_and_reading_goes_on(
    store: SQLiteStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    document_id, _ = await store.append("notes", None, [b"1"])
    with closing(await locked_out(path)) as other:
        waiting = [store.append("notes", document_id, [b"%d" % number]) for number in (2, 3)]
        assert "locked" in await unavailable(store)
        waiting.append(store.append("new", None, [b"1"]))
        stored = await store.load("notes")
        assert stored is not None
        assert stored.head == 1
        assert await store.load("new") is None
        assert [info.name for info in await store.documents()] == ["notes"]
        assert not any(future.done() for future in waiting)
        other.execute("ROLLBACK")
    assert [(await future).last_seq for future in waiting] == [2, 3, 1]
    await store.ping()
    assert caplog.text.count("cannot commit") == 1, "said once, not at every attempt"
    assert "commits again" in caplog.text


async def test_a_lock_is_noticed_before_anything_must_be_committed(store: SQLiteStore, path: Path) -> None:
    with closing(await locked_out(path)), pytest.raises(StoreUnavailable):
        await store.ping()
    await store.ping()


@pytest.mark.parametrize("call", ["reject", "compact", "delete"])
async def test_other_writes_are_refused_while_it_is_locked(store: SQLiteStore, path: Path, call: str) -> None:
    document_id, _ = await store.append("notes", None, [b"1"])
    calls = {
        "reject": lambda: store.reject(document_id, [1]),
        "compact": lambda: compact(store, "notes", 1, b"state"),
        "delete": lambda: store.delete("notes"),
    }
    with closing(await locked_out(path)), pytest.raises(StoreUnavailable):
        await calls[call]()
    await calls[call]()


async def test_a_full_disk_is_waited_out(store: SQLiteStore) -> None:
    def limit(connection: sqlite3.Connection, pages: int) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")

    document_id, _ = await store.append("notes", None, [b"1"])
    await store._call(lambda connection: limit(connection, 1))
    waiting = store.append("notes", document_id, [bytes(100_000)])
    assert "full" in await unavailable(store)
    stored = await store.load("notes")
    assert stored is not None
    assert stored.head == 1
    assert not waiting.done()
    await store._call(lambda connection: limit(connection, 1_000_000))
    assert (await waiting).last_seq == 2


async def test_a_transaction_that_cannot_even_be_rolled_back_is_waited_out(store: SQLiteStore) -> None:
    def refuse_to_roll_back(action: int, statement: str | None, *_: object) -> int:
        is_refused = action == sqlite3.SQLITE_TRANSACTION and statement == "ROLLBACK"
        return sqlite3.SQLITE_DENY if is_refused else sqlite3.SQLITE_OK

    def break_down(connection: sqlite3.Connection) -> None:
        connection.set_authorizer(refuse_to_roll_back)
        connection.execute("PRAGMA max_page_count = 1")

    def recover(connection: sqlite3.Connection) -> None:
        connection.set_authorizer(None)
        connection.execute("PRAGMA max_page_count = 1000000")

    document_id, _ = await store.append("notes", None, [b"1"])
    await store._call(break_down)
    waiting = store.append("notes", document_id, [bytes(100_000)])
    await unavailable(store)
    with pytest.raises(StoreUnavailable):
        await store.reject(document_id, [1])
    await store._call(recover)
    assert (await waiting).last_seq == 2


async def test_a_document_that_cannot_be_made_for_the_moment_is_made_later(store: SQLiteStore) -> None:
    def refuse_documents(action: int, table: str | None, *_: object) -> int:
        is_refused = action == sqlite3.SQLITE_INSERT and table == "documents"
        return sqlite3.SQLITE_DENY if is_refused else sqlite3.SQLITE_OK

    await store._call(lambda connection: connection.set_authorizer(refuse_documents))
    waiting = store.append("notes", None, [b"1"])
    await unavailable(store)
    assert not waiting.done()
    await store._call(lambda connection: connection.set_authorizer(None))
    assert (await waiting).last_seq == 1


async def test_what_is_asked_after_an_append_sees_it_committed(store: SQLiteStore) -> None:
    may_go_on = threading.Event()
    store._jobs.put(sqlite._Call(asyncio.get_running_loop().create_future(), lambda _: may_go_on.wait(20)))
    first = store.append("notes", None, [b"1"])
    found = asyncio.ensure_future(store.find("notes"))
    await asyncio.sleep(0)
    second = store.append("notes", None, [b"2"])
    deleting = asyncio.ensure_future(store.delete("notes"))
    await asyncio.sleep(0)
    third = store.append("notes", None, [b"3"])
    may_go_on.set()
    info = await found
    assert info is not None
    assert info.head == (await first).last_seq == 1
    assert (await second).last_seq == 2
    await deleting
    with pytest.raises(DocumentDeleted):
        await third


async def test_closing_while_it_fails_tells_who_waits(store: SQLiteStore, path: Path) -> None:
    with closing(await locked_out(path)):
        waiting = [store.append("notes", None, [b"1"]), store.append("notes", None, [b"2"])]
        await unavailable(store)
        await store.close()
        for future in waiting:
            with pytest.raises(StoreUnavailable, match="closed"):
                await future
    await store.start()
    await store.ping()
    assert await store.load("notes") is None
    assert (await store.append("notes", None, [b"1"])).last_seq == 1


async def test_the_log_is_written_on_after_somebody_else_wrote_to_it(store: SQLiteStore, path: Path) -> None:
    document_id, _ = await store.append("notes", None, [b"1"])
    payload = rows.pack([b"2"])
    change(
        path, "INSERT INTO log VALUES (?, 2, 1, 0, ?, ?, x'')", document_id, payload, rows.checksum(payload)
    )
    assert (await store.append("notes", document_id, [b"3"])).last_seq == 3


async def test_a_batch_that_cannot_be_written_at_all_is_the_caller_s_problem(store: SQLiteStore) -> None:
    with pytest.raises(UnicodeEncodeError):
        await store.append("\ud800", None, [b"1"])
    assert (await store.append("notes", None, [b"1"])).last_seq == 1


async def test_a_store_outlives_its_loop(path: Path) -> None:
    def run() -> SQLiteStore:
        async def main() -> SQLiteStore:
            store = SQLiteStore(path)
            await store.start()
            store.append("notes", None, [b"1"])
            return store

        return asyncio.run(main())

    store = await asyncio.to_thread(run)
    assert store._thread is not None
    stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    store._jobs.put(sqlite._Stop(stopped))
    await asyncio.to_thread(store._thread.join)
    store._lock.close()
    again = await reopened(path)
    assert await again.load("notes") is not None
    await again.close()


async def test_what_is_stored_is_examined_while_the_writer_is_busy(store: SQLiteStore, path: Path) -> None:
    document_id, _ = await store.append("notes", None, [b"1"])
    change(path, "UPDATE log SET payload = x'00'")
    may_go_on = threading.Event()
    store._jobs.put(sqlite._Call(asyncio.get_running_loop().create_future(), lambda _: may_go_on.wait(20)))
    assert [(problem.part, problem.seq) for problem in await store.examine(document_id)] == [("log", 1)]
    may_go_on.set()
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.examine(document_id)


# Backups


def copied(source: Path, target: Path, *, stopped: bool = False) -> sqlite_backup.Copied:
    stopping = threading.Event()
    if stopped:
        stopping.set()
    return sqlite_backup.copy(source, target, sqlite_backup.Progress(target), stopping)


async def test_a_backup_is_made_while_the_file_is_written_to(store: SQLiteStore, path: Path) -> None:
    document_id, _ = await store.append("notes", None, [b"1"])
    target = path.with_name("copy.db")
    with closing(await locked_out(path)) as other:  # even while nobody can commit
        other.execute("UPDATE documents SET name = 'not committed'")
        assert copied(path, target).documents == 1
    await store.append("notes", document_id, [b"2"])
    copy = await reopened(target)
    stored = await copy.load("notes")
    assert stored is not None
    assert stored.tail == [(1, b"1")]
    assert not copy.was_interrupted
    await copy.close()


async def test_a_backup_that_is_given_up_or_not_sound_leaves_nothing(store: SQLiteStore, path: Path) -> None:
    for number in range(50):
        await store.append(f"notes {number}", None, [bytes([number]) * 4_000])
    await store.close()
    with pytest.raises(StoreError, match="given up"):
        copied(path, path.with_name("copy.db"), stopped=True)
    with path.open("r+b") as file:
        file.seek(8 * 4096)
        file.write(b"\xff" * 40 * 4096)
    with pytest.raises(StoreError, match=r"not sound|could not be copied"):
        copied(path, path.with_name("copy.db"))
    assert [name for name in sorted(path.parent.iterdir()) if "copy" in name.name] == []


async def test_a_backup_in_a_folder_that_is_not_there_fails(store: SQLiteStore, path: Path) -> None:
    with pytest.raises(StoreError, match="could not be written"):
        copied(path, path.parent / "missing" / "copy.db")
