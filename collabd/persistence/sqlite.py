"""The log in one SQLite file, written by one thread of the one process that owns the file.

Whatever rooms hand over while a commit is in flight is committed together by the next one (group commit). WAL
and ``synchronous=FULL``: a commit that has answered survives a power cut.
"""

import asyncio
import contextlib
import fcntl
import json
import logging
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from collabd.errors import (
    DocumentDamaged,
    DocumentDeleted,
    NoSuchDocument,
    StoreError,
    StoreUnavailable,
)

from . import rows, sqlite_schema
from .base import Appended, DocumentInfo, LoggedUpdate, StoredDocument

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
    revive: bool


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
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._jobs: queue.SimpleQueue[_Append | _Call | _Stop] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._heads: dict[int, int] = {}
        self._failure: str | None = None

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._heads.clear()
        self._failure = None
        self._lock = _own(self._path)
        opened: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, args=(opened,), name="collabd-log", daemon=True)
        self._thread.start()
        try:
            await opened
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

    async def load(self, name: str) -> StoredDocument | None:
        return await self._call(lambda connection: _load(connection, name))

    def append(
        self, name: str, document_id: int | None, updates: Sequence[bytes], *, revive: bool = False
    ) -> asyncio.Future[Appended]:
        if not updates:
            raise ValueError("a batch holds at least one update")
        future: asyncio.Future[Appended] = self._loop.create_future()
        if self._thread is None:
            future.set_exception(StoreUnavailable("the store is closed"))
        else:
            self._jobs.put(_Append(future, name, document_id, len(updates), rows.pack(updates), revive))
        return future

    async def reject(self, document_id: int, seqs: Sequence[int]) -> None:
        pairs = [(document_id, seq) for seq in seqs]
        await self._call(lambda connection: _reject(connection, pairs))

    async def save_snapshot(self, document_id: int, seq: int, state: bytes, early: Sequence[int]) -> None:
        row = (document_id, seq, time.time(), json.dumps(list(early)), state, rows.checksum(state))
        await self._call(lambda connection: connection.execute(SAVE_SNAPSHOT, row))

    async def find(self, name: str) -> DocumentInfo | None:
        return await self._call(lambda connection: _find(connection, name))

    async def documents(self, *, prefix: str = "", after: str = "", limit: int = 100) -> list[DocumentInfo]:
        start = max(prefix, after)
        parameters = {"prefix": prefix, "start": start, "after": after, "limit": limit}
        return await self._call(
            lambda connection: [DocumentInfo(*row) for row in connection.execute(LIST_DOCUMENTS, parameters)]
        )

    async def delete(self, name: str) -> None:
        await self._call(lambda connection: self._delete(connection, name))

    async def _call(self, function: Callable[[sqlite3.Connection], T]) -> T:
        if self._thread is None:
            raise StoreUnavailable("the store is closed")
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(_Call(future, function))
        return await future

    # What follows runs in the writer thread.

    def _run(self, opened: "asyncio.Future[None]") -> None:
        try:
            connection = _connect(self._path)
        except Exception as error:
            self._answer([(opened, error)])
            return
        self._answer([(opened, None)])
        stop = self._serve(connection)
        connection.close()
        self._answer([(stop.future, None)])

    def _serve(self, connection: sqlite3.Connection) -> _Stop:
        """Work off jobs in order until told to stop. Appends gather; anything else sees them committed."""
        waiting: deque[_Append] = deque()
        retry_after = RETRY_AFTER
        while True:
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
                self._heads.clear()
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
            except sqlite3.Error:
                raise
            except Exception as error:
                outcomes.append(error)
                continue
            seq = self._heads[document_id] = self._heads[document_id] + append.updates
            added.append(
                (document_id, seq, append.updates, now, append.payload, rows.checksum(append.payload))
            )
            outcomes.append(Appended(document_id, seq))
        connection.executemany("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?)", added)
        connection.execute("COMMIT")
        return outcomes

    def _document_for(self, connection: sqlite3.Connection, append: _Append, now: float) -> int:
        """The document this batch belongs to, created if need be; its head is in ``_heads`` afterwards."""
        document_id = append.document_id
        if document_id is None:
            row = connection.execute(NEWEST_UNDER_NAME, (append.name,)).fetchone()
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
            row = connection.execute(HEAD_OF_DOCUMENT, (document_id,)).fetchone()
            if row is None or row[1] is not None:
                raise DocumentDeleted(f"{append.name} was deleted")
            self._heads[document_id] = row[0]
        return document_id

    def _delete(self, connection: sqlite3.Connection, name: str) -> None:
        info = _find(connection, name)
        if info is None:
            raise NoSuchDocument(f"there is no document {name}")
        connection.execute("UPDATE documents SET deleted_at = ? WHERE id = ?", (time.time(), info.id))
        self._heads.pop(info.id, None)

    def _answer(self, answers: Sequence[tuple["asyncio.Future[Any]", Any]]) -> None:
        try:
            self._loop.call_soon_threadsafe(_settle, answers)
        except RuntimeError:  # the loop was closed without closing the store: nobody is left to tell
            pass


NEWEST_UNDER_NAME = "SELECT id, deleted_at FROM documents WHERE name = ? ORDER BY id DESC LIMIT 1"
HEAD_OF_DOCUMENT = """
    SELECT coalesce((SELECT max(seq) FROM log WHERE document = documents.id), 0), deleted_at
    FROM documents WHERE id = ?"""
FIND_DOCUMENT = """
    SELECT d.id, d.name, d.created_at, coalesce(l.at, d.created_at), coalesce(l.seq, 0)
    FROM documents d
    LEFT JOIN log l ON l.document = d.id AND l.seq = (SELECT max(seq) FROM log WHERE document = d.id)"""
LIST_DOCUMENTS = (
    FIND_DOCUMENT
    + """
    WHERE d.deleted_at IS NULL AND d.name >= :start AND d.name > :after
      AND substr(d.name, 1, length(:prefix)) = :prefix
    ORDER BY d.name LIMIT :limit"""
)
LOAD_TAIL = """
    SELECT seq, count, payload, checksum FROM log
    WHERE document = :document AND (
        seq > :snapshot_seq
        OR seq IN (
            SELECT (SELECT min(seq) FROM log WHERE document = :document AND seq >= early.value)
            FROM json_each(:early) AS early
        )
    )
    ORDER BY seq"""
SAVE_SNAPSHOT = """
    INSERT INTO snapshots VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (document) DO UPDATE SET
        seq = excluded.seq, at = excluded.at, early = excluded.early,
        state = excluded.state, checksum = excluded.checksum
    WHERE excluded.seq >= snapshots.seq"""


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
        raise StoreError(f"{path} is in use by another process") from error
    return lock


def _connect(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT)
    except sqlite3.Error as error:
        raise StoreError(f"{path} cannot be opened: {error}") from error
    try:
        sqlite_schema.prepare(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error as error:
        connection.close()
        raise StoreError(f"{path} cannot be opened: {error}") from error
    except BaseException:
        connection.close()
        raise
    return connection


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


def _live_id(connection: sqlite3.Connection, name: str) -> int | None:
    row = connection.execute(NEWEST_UNDER_NAME, (name,)).fetchone()
    if row is None:
        return None
    if row[1] is not None:
        raise DocumentDeleted(f"{name} was deleted")
    return int(row[0])


def _find(connection: sqlite3.Connection, name: str) -> DocumentInfo | None:
    document_id = _live_id(connection, name)
    if document_id is None:
        return None
    return DocumentInfo(*connection.execute(f"{FIND_DOCUMENT} WHERE d.id = ?", (document_id,)).fetchone())


def _load(connection: sqlite3.Connection, name: str) -> StoredDocument | None:
    info = _find(connection, name)
    if info is None:
        return None
    state, snapshot_seq, early = None, 0, "[]"
    snapshot = connection.execute(
        "SELECT seq, early, state, checksum FROM snapshots WHERE document = ?", (info.id,)
    ).fetchone()
    if snapshot is not None:
        snapshot_seq, early, state, expected = snapshot
        rows.verify(state, expected, f"the snapshot of {name} at {snapshot_seq}")
    rejected = {
        seq for (seq,) in connection.execute("SELECT seq FROM rejected WHERE document = ?", (info.id,))
    }
    wanted_early = set(json.loads(early))
    parameters = {"document": info.id, "snapshot_seq": snapshot_seq, "early": early}
    tail = []
    for last, count, payload, expected in connection.execute(LOAD_TAIL, parameters):
        what = f"the log of {name} at {last}"
        updates = rows.unpack(rows.verify(payload, expected, what))
        if len(updates) != count:
            raise DocumentDamaged(f"{what} holds {len(updates)} updates, not {count}")
        for seq, update in enumerate(updates, last - count + 1):
            if seq not in rejected and (seq > snapshot_seq or seq in wanted_early):
                tail.append(LoggedUpdate(seq, update))
    return StoredDocument(info.id, info.head, state, snapshot_seq, tail)
