"""The log in one SQLite file, written by one thread of the one process that owns the file.

Whatever rooms hand over while a commit is in flight is committed together by the next one (group commit). WAL
and ``synchronous=FULL``: a commit that has answered survives a power cut.
"""

import asyncio
import contextlib
import fcntl
import logging
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from collabd.errors import (
    DocumentDeleted,
    DocumentExists,
    NoSuchDocument,
    StoreError,
    StoreInUse,
    StoreUnavailable,
)
from collabd.memos import Memo

from . import (
    rows,
    sqlite_ahead,
    sqlite_backup,
    sqlite_history,
    sqlite_log,
    sqlite_memos,
    sqlite_records,
    sqlite_repair,
    sqlite_schema,
)
from .base import (
    Appended,
    Author,
    Compaction,
    DocumentInfo,
    HistoryEntry,
    Problem,
    StoredDocument,
    Version,
)
from .reading import Chunk, Place
from .records import BEGINNING, DumpPlace, Record

logger = logging.getLogger(__name__)

T = TypeVar("T")

MAX_GROUP_BYTES: Final = 8 * 1024 * 1024
BUSY_TIMEOUT: Final = 1.0
RETRY_AFTER: Final = 0.1
MAX_RETRY_AFTER: Final = 2.0


class _Append(NamedTuple):
    future: "asyncio.Future[Appended]"
    name: str
    document_id: int | None
    updates: int
    payload: bytes
    authors: Sequence[tuple[Author, int]]
    revive: bool
    first: bool


class _Call(NamedTuple):
    future: "asyncio.Future[Any]"
    function: Callable[[sqlite3.Connection], Any]


class _Stop(NamedTuple):
    future: "asyncio.Future[None]"


_Outcome = Appended | Exception


class SQLiteStore:
    """Keeps the contract of :class:`~collabd.persistence.base.Store` in one file.

    Args:
        path: where the database is, or will be made. Beside it lies ``<path>.lock``, held as long as the
            store is open.
        serves: whether it is opened for long and for many commits, so that it is worth some time at the start
            to have them quicker.
    """

    def __init__(self, path: Path, *, serves: bool = False) -> None:
        self._path = path
        self._serves = serves
        self._jobs: queue.SimpleQueue[_Append | _Call | _Stop] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._heads: dict[int, int] = {}
        self._authors = sqlite_history.Authors()
        self._failure: str | None = None
        self.was_interrupted = False
        self.is_shared = False

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._forget()
        self._failure = None
        self._lock = _own(self._path)
        opened: asyncio.Future[bool] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, args=(opened,), name="collabd-log", daemon=True)
        self._thread.start()
        try:
            self.was_interrupted = await opened
        except BaseException:
            self._thread = None
            self._lock.close()
            raise

    async def close(self) -> None:
        if self._thread is None:
            return
        thread, self._thread = self._thread, None
        stopped: asyncio.Future[None] = self._loop.create_future()
        self._jobs.put(_Stop(stopped))
        await stopped
        thread.join()
        self._lock.close()

    async def ping(self) -> None:
        if self._thread is None:
            raise StoreUnavailable("the store is closed")
        if self._failure is not None:
            raise StoreUnavailable(self._failure)
        await self._call(_probe)

    async def load(self, name: str, *, whole: bool = False) -> StoredDocument | None:
        return await self._call(lambda connection: sqlite_log.load(connection, name, whole))

    def append(
        self,
        name: str,
        document_id: int | None,
        updates: Sequence[bytes],
        authors: Sequence[tuple[Author, int]] = (),
        *,
        revive: bool = False,
        first: bool = False,
    ) -> asyncio.Future[Appended]:
        if not updates:
            raise ValueError("a batch holds at least one update")
        future: asyncio.Future[Appended] = self._loop.create_future()
        if self._thread is None:
            future.set_exception(StoreUnavailable("the store is closed"))
        else:
            payload = rows.pack(updates)
            self._jobs.put(_Append(future, name, document_id, len(updates), payload, authors, revive, first))
        return future

    async def reject(self, document_id: int, seqs: Sequence[int]) -> None:
        pairs = [(document_id, seq) for seq in seqs]
        await self._call(lambda connection: _reject(connection, pairs))

    async def find(self, name: str) -> DocumentInfo | None:
        return await self._call(lambda connection: sqlite_log.find(connection, name))

    async def find_all(self, names: Sequence[str]) -> dict[str, DocumentInfo]:
        return await self._call(lambda connection: sqlite_log.find_all(connection, names))

    async def documents(self, *, prefix: str = "", after: str = "", limit: int = 100) -> list[DocumentInfo]:
        return await self._call(lambda connection: sqlite_log.documents(connection, prefix, after, limit))

    async def delete(self, name: str) -> None:
        await self._call(lambda connection: self._delete(connection, name))

    async def compact(self, document_id: int, compaction: Compaction) -> bool:
        going = await self._call(
            lambda connection: sqlite_history.rows_to_compact(connection, document_id, compaction)
        )
        # Packed in a thread of its own, so that commits need not wait for it.
        packed = await asyncio.to_thread(list, rows.segments(going)) if compaction.keep_history else []
        state = await asyncio.to_thread(rows.pack_state, compaction.state)
        seqs, at = [row.seq for row in going], going[-1].at if going else None
        done = await self._call(
            lambda connection: sqlite_history.compact(
                connection, document_id, compaction, state, seqs, packed, at
            )
        )
        await self._give_space_back()
        if done and not compaction.keep_history:
            await self._call(sqlite_history.empty_the_wal)
        return done

    async def history(
        self, document_id: int, *, after: int = 0, upto: int | None = None, updates: bool = True
    ) -> AsyncIterator[list[HistoryEntry]]:
        place: Place | None = await self._call(
            lambda connection: sqlite_log.begin_history(connection, document_id, after)
        )

        def read(connection: sqlite3.Connection) -> Chunk:
            assert place is not None, "there is more"
            return sqlite_log.read_history(connection, document_id, place, upto, updates)

        while place is not None:
            entries, place = await self._call(read)
            if entries:
                yield entries

    async def replace_history(
        self, document_id: int, upto: int, expected: int, entries: Sequence[HistoryEntry]
    ) -> bool:
        done = await self._call(
            lambda connection: sqlite_history.replace_history(
                connection, document_id, upto, expected, entries
            )
        )
        await self._give_space_back()
        return done

    async def versions(self, document_id: int) -> list[Version]:
        return await self._call(lambda connection: sqlite_history.versions(connection, document_id))

    async def name_version(self, document_id: int, version: Version) -> None:
        await self._call(
            lambda connection: sqlite_history.name_version(connection, self._authors, document_id, version)
        )

    async def remove_version(self, document_id: int, seq: int) -> None:
        statement = "DELETE FROM versions WHERE document = ? AND seq = ?"
        await self._call(lambda connection: connection.execute(statement, (document_id, seq)))

    async def erase_authors(self, *, principal: str | None = None, before: float | None = None) -> int:
        if principal is None and before is None:
            raise ValueError("say whom to erase")
        return await self._call(
            lambda connection: sqlite_history.erase_authors(connection, self._authors, principal, before)
        )

    async def quarantine(self, document_id: int, reason: str) -> None:
        statement = "UPDATE documents SET quarantine = ? WHERE id = ?"
        await self._call(lambda connection: connection.execute(statement, (reason, document_id)))

    async def examine(self, document_id: int) -> list[Problem]:
        if self._thread is None:
            raise StoreUnavailable("the store is closed")
        try:
            # It may take long, and over a connection of its own no commit has to wait for it.
            return await asyncio.to_thread(self._examine, document_id)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the database answered: {error}") from error

    def _examine(self, document_id: int) -> list[Problem]:
        with contextlib.closing(sqlite_backup.read_only(self._path)) as connection:
            connection.execute("BEGIN")  # so that it all is of one moment
            return sqlite_repair.examine(connection, document_id)

    async def set_aside(self, document_id: int) -> list[Problem]:
        return await self._call(lambda connection: sqlite_repair.set_aside(connection, document_id))

    async def put_memo(self, memo: Memo, *, fresh: bool = False) -> bool:
        return await self._call(lambda connection: sqlite_memos.put(connection, memo, fresh))

    async def memo(self, kind: str, key: str) -> Memo | None:
        return await self._call(lambda connection: sqlite_memos.find(connection, kind, key))

    async def memos(
        self, kind: str, *, subject: str | None = None, after: str = "", limit: int = 100
    ) -> list[Memo]:
        return await self._call(
            lambda connection: sqlite_memos.find_all(connection, kind, subject, after, limit)
        )

    async def memos_about(self, kind: str, subjects: Sequence[str]) -> list[Memo]:
        return await self._call(lambda connection: sqlite_memos.find_about(connection, kind, subjects))

    async def remove_memo(self, kind: str, key: str) -> bool:
        return await self._call(lambda connection: sqlite_memos.remove(connection, kind, key))

    async def remove_expired_memos(self, now: float) -> int:
        return await self._call(lambda connection: sqlite_memos.remove_expired(connection, now))

    async def dump(self) -> AsyncIterator[list[Record]]:
        after = "", ""
        while memos := await self._call(partial(sqlite_memos.read_all, after=after)):
            yield [*memos]
            after = memos[-1].kind, memos[-1].key
        place: DumpPlace | None = BEGINNING
        while place is not None:
            records, place = await self._call(partial(sqlite_records.read, place=place))
            if records:
                yield records

    async def take_in(self, records: Sequence[Record]) -> None:
        def take_in(connection: sqlite3.Connection) -> None:
            self._forget()
            sqlite_records.take_in(connection, records)

        await self._call(take_in)

    async def _give_space_back(self) -> None:
        """Do it bit by bit, so that commits need not wait for it, and leave the rest to the next time if the
        file cannot be written to at the moment."""
        with contextlib.suppress(StoreUnavailable):
            while await self._call(sqlite_history.give_space_back):
                pass

    async def _call(self, function: Callable[[sqlite3.Connection], T]) -> T:
        if self._thread is None:
            raise StoreUnavailable("the store is closed")
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(_Call(future, function))
        return await future

    # What follows runs in the writer thread.

    def _run(self, opened: "asyncio.Future[bool]") -> None:
        try:
            connection, was_interrupted = _connect(self._path, self._serves)
        except Exception as error:
            self._answer([(opened, error)])
            return
        self._answer([(opened, was_interrupted)])
        stop = self._serve(connection)
        with contextlib.suppress(sqlite3.Error):  # then the next start takes it for interrupted
            connection.execute(SAY_RUNNING, (0,))
        connection.close()
        self._answer([(stop.future, None)])

    def _serve(self, connection: sqlite3.Connection) -> _Stop:
        """Work off jobs in order until told to stop. Appends gather; anything else sees them committed."""
        waiting: deque[_Append] = deque()
        retry_after = RETRY_AFTER
        while True:
            failed_before = self._failure is not None
            for job in self._take(timeout=retry_after if self._failure and waiting else None):
                if isinstance(job, _Append):
                    waiting.append(job)
                    continue
                if waiting and self._failure is None:
                    self._commit(connection, waiting)
                if isinstance(job, _Stop):
                    self._commit(connection, waiting)
                    unavailable = StoreUnavailable(f"the store was closed: {self._failure}")
                    self._answer([(append.future, unavailable) for append in waiting])
                    return job
                self._answer([(job.future, _result_of(job.function, connection))])
            if failed_before or self._failure is None:  # else it has just been tried
                self._commit(connection, waiting)
            retry_after = min(retry_after * 2, MAX_RETRY_AFTER) if self._failure else RETRY_AFTER

    def _take(self, timeout: float | None) -> list[_Append | _Call | _Stop]:
        """Wait for a job, at most ``timeout`` seconds, and take all that have arrived since."""
        try:
            jobs = [self._jobs.get(timeout=timeout)]
        except queue.Empty:
            return []
        while True:
            try:
                jobs.append(self._jobs.get_nowait())
            except queue.Empty:
                return jobs

    def _commit(self, connection: sqlite3.Connection, waiting: deque[_Append]) -> None:
        """Commit what is waiting, group by group; what cannot be committed now stays."""
        while waiting:
            group = _next_group(waiting)
            try:
                outcomes = self._write(connection, group)
            except sqlite3.Error as error:
                self._forget()
                _roll_back(connection)
                if self._failure is None:
                    logger.error("the log cannot commit, trying again: %s", error)
                self._failure = f"the log cannot commit: {error}"
                return
            if self._failure is not None:
                logger.warning("the log commits again")
                self._failure = None
            for _ in group:
                waiting.popleft()
            self._answer([(append.future, outcome) for append, outcome in zip(group, outcomes, strict=True)])

    def _write(self, connection: sqlite3.Connection, group: Sequence[_Append]) -> list[_Outcome]:
        now = time.time()
        outcomes: list[_Outcome] = []
        added = []
        connection.execute("BEGIN IMMEDIATE")
        for append in group:
            try:
                document_id = self._document_for(connection, append, now)
                authors = self._authors.pack(connection, append.authors, now)
            except sqlite3.Error:
                raise
            except Exception as error:
                outcomes.append(error)
                continue
            seq = self._heads[document_id] = self._heads[document_id] + append.updates
            checksum = rows.checksum(append.payload, authors)
            added.append((document_id, seq, append.updates, now, append.payload, checksum, authors))
            outcomes.append(Appended(document_id, seq))
        connection.executemany(ADD_ROW, added)
        connection.execute("COMMIT")
        return outcomes

    def _document_for(self, connection: sqlite3.Connection, append: _Append, now: float) -> int:
        """The document this batch belongs to, created if need be; its head is in ``_heads`` afterwards."""
        document_id = append.document_id
        if document_id is None:
            row = connection.execute(sqlite_log.NEWEST_UNDER_NAME, (append.name,)).fetchone()
            if row is None or (row[1] is not None and append.revive):
                cursor = connection.execute(
                    "INSERT INTO documents (name, created_at) VALUES (?, ?)", (append.name, now)
                )
                assert cursor.lastrowid is not None
                document_id = cursor.lastrowid
                self._heads[document_id] = 0
                return document_id
            document_id = int(row[0])
        if document_id not in self._heads:
            row = connection.execute(sqlite_log.HEAD_OF_DOCUMENT, (document_id,)).fetchone()
            if row is None or row[1] is not None:
                raise DocumentDeleted(f"{append.name} was deleted")
            self._heads[document_id] = row[0]
        if append.first and self._heads[document_id] > len(sqlite_log.rejected(connection, document_id)):
            raise DocumentExists(f"{append.name} already has content")
        return document_id

    def _delete(self, connection: sqlite3.Connection, name: str) -> None:
        document_id = sqlite_log.live_id(connection, name)
        if document_id is None:
            raise NoSuchDocument(f"there is no document {name}")
        connection.execute("UPDATE documents SET deleted_at = ? WHERE id = ?", (time.time(), document_id))
        self._heads.pop(document_id, None)

    def _forget(self) -> None:
        """Look up again what was remembered of the file."""
        self._heads.clear()
        self._authors.forget()

    def _answer(self, answers: Sequence[tuple["asyncio.Future[Any]", Any]]) -> None:
        try:
            self._loop.call_soon_threadsafe(_settle, answers)
        except RuntimeError:  # the loop was closed without closing the store: nobody is left to tell
            pass


ADD_ROW: Final = """
    INSERT INTO log (document, seq, count, at, payload, checksum, authors) VALUES (?, ?, ?, ?, ?, ?, ?)"""
SAY_RUNNING: Final = "INSERT OR REPLACE INTO about VALUES ('running', ?)"


def _own(path: Path) -> Any:
    """Take the lock that makes this process the owner of the file at ``path``."""
    try:
        lock = path.with_name(path.name + ".lock").open("a")
    except OSError as error:
        raise StoreError(f"{path} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise StoreInUse(f"{path} is in use by another process") from error
    return lock


def _connect(path: Path, serves: bool) -> tuple[sqlite3.Connection, bool]:
    """Open the file; and whether a process before ended without closing it."""
    connection = _opened(path)
    try:
        if sqlite_schema.prepare(connection):
            connection.close()
            connection = _opened(path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = FAST")
        connection.execute(f"PRAGMA wal_autocheckpoint = {sqlite_ahead.CHECKPOINT_PAGES}")
        if serves:
            sqlite_ahead.write_ahead(connection, path)
        running = connection.execute("SELECT value FROM about WHERE key = 'running'").fetchone()
        connection.execute(SAY_RUNNING, (1,))
    except sqlite3.Error as error:
        connection.close()
        raise StoreError(f"{path} cannot be opened: {error}") from error
    except BaseException:
        connection.close()
        raise
    return connection, running is not None and running[0] != 0


def _opened(path: Path) -> sqlite3.Connection:
    try:
        return sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT)
    except sqlite3.Error as error:
        raise StoreError(f"{path} cannot be opened: {error}") from error


def _settle(answers: Sequence[tuple["asyncio.Future[Any]", Any]]) -> None:
    for future, outcome in answers:
        if future.done():
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


def _result_of(function: Callable[[sqlite3.Connection], Any], connection: sqlite3.Connection) -> Any:
    try:
        return function(connection)
    except sqlite3.Error as error:
        _roll_back(connection)
        return StoreUnavailable(f"the database answered: {error}")
    except Exception as error:
        _roll_back(connection)
        return error


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        # If that fails too, so does the next BEGIN, and this is tried again.
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")


def _next_group(waiting: deque[_Append]) -> list[_Append]:
    """As many of those waiting as one transaction should hold, at least one."""
    group: list[_Append] = []
    size = 0
    for append in waiting:
        size += len(append.payload)
        if group and size > MAX_GROUP_BYTES:
            break
        group.append(append)
    return group


def _probe(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("ROLLBACK")


def _reject(connection: sqlite3.Connection, pairs: Sequence[tuple[int, int]]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT OR IGNORE INTO rejected VALUES (?, ?)", pairs)
    connection.execute("COMMIT")
