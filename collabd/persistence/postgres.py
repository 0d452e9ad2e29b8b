"""The log in a PostgreSQL database, written by any number of processes.

A commit that has answered survives a power cut of the server, and of its standbys as far as the server is set
up to wait for them (``synchronous_commit=on``).
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Final

from collabd.errors import InvalidName, NoSuchDocument, StoreError, StoreUnavailable
from collabd.memos import Memo

from . import (
    postgres_history,
    postgres_log,
    postgres_memos,
    postgres_records,
    postgres_repair,
    postgres_schema,
    rows,
)
from .base import Appended, Author, Compaction, DocumentInfo, HistoryEntry, Problem, StoredDocument, Version
from .postgres_authors import Authors, clean
from .postgres_commit import Committer
from .postgres_connection import QUERIES, UNAVAILABLE, connect, open_pool, reason
from .postgres_write import Append
from .reading import Place
from .records import BEGINNING, DumpPlace
from .records import Record as StoreRecord

if TYPE_CHECKING:
    import asyncpg

    from .postgres_connection import Connection, Pool, Record

POOL_SIZE: Final = 4
"""Connections beside the one that commits."""
PING_TIMEOUT: Final = 2.0
CLOSE_TIMEOUT: Final = 5.0


class PostgresStore:
    """Keeps the contract of :class:`~collabd.persistence.base.Store` in a PostgreSQL database.

    Args:
        url: the database as libpq would be told it: ``postgresql://user:password@host:port/database``.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool: Pool | None = None
        self._authors = Authors()
        self._process: int | None = None
        self.was_interrupted = False
        self.is_shared = True

    async def start(self) -> None:
        self._authors.forget()
        self._process = None
        self.was_interrupted = await postgres_schema.prepare(self._url)
        self._committer = Committer(self._connect, self._authors)
        try:
            await self._committer.start()
            self._pool = await open_pool(self._url, POOL_SIZE)
        except UNAVAILABLE as error:
            raise StoreError(f"PostgreSQL cannot be used: {reason(error)}") from error

    async def close(self) -> None:
        if self._pool is None:
            return
        pool, self._pool = self._pool, None
        connection = await self._committer.close()
        if connection is not None and not connection.is_closed():
            # If it cannot say so, the next start takes it for interrupted.
            with contextlib.suppress(*UNAVAILABLE):
                if self._process is not None:
                    await postgres_schema.end_process(connection, self._process)
                await connection.close(timeout=CLOSE_TIMEOUT)
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await pool.close()
        except UNAVAILABLE:
            pool.terminate()

    async def ping(self) -> None:
        pool = self._opened()
        if self._committer.failure is not None:
            raise StoreUnavailable(self._committer.failure)
        try:
            async with asyncio.timeout(PING_TIMEOUT), pool.acquire() as connection:
                can_commit = await connection.fetchval(QUERIES["can_commit"])
        except UNAVAILABLE as error:
            raise StoreUnavailable(f"PostgreSQL does not answer: {reason(error)}") from error
        if not can_commit:
            raise StoreUnavailable("PostgreSQL takes no writes")

    async def load(self, name: str, *, whole: bool = False) -> StoredDocument | None:
        async with self._reading() as connection:
            return await postgres_log.load(connection, name, whole)

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
        future: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        if self._pool is None:
            future.set_exception(StoreUnavailable("the store is closed"))
        elif document_id is None and postgres_log.comparable(name) is None:
            future.set_exception(InvalidName("the name holds what PostgreSQL cannot store"))
        else:
            payload = rows.pack(updates)
            self._committer.hand_over(
                Append(future, name, document_id, len(updates), payload, tuple(authors), revive, first)
            )
        return future

    async def reject(self, document_id: int, seqs: Sequence[int]) -> None:
        async with self._connection() as connection:
            await connection.execute(QUERIES["reject_updates"], document_id, list(seqs))

    async def find(self, name: str) -> DocumentInfo | None:
        async with self._connection() as connection:
            return await postgres_log.find(connection, name)

    async def find_all(self, names: Sequence[str]) -> dict[str, DocumentInfo]:
        async with self._connection(settled=False) as connection:
            return await postgres_log.find_all(connection, names)

    async def documents(self, *, prefix: str = "", after: str = "", limit: int = 100) -> list[DocumentInfo]:
        async with self._connection() as connection:
            return await postgres_log.documents(connection, prefix, after, limit)

    async def delete(self, name: str) -> None:
        self._opened()
        async with self._committer.paused(), self._connection(settled=False) as connection:
            info = await postgres_log.find(connection, name)
            if info is None:
                raise NoSuchDocument(f"there is no document {name}")
            await connection.execute(QUERIES["delete_document"], info.id, time.time())

    async def compact(self, document_id: int, compaction: Compaction) -> bool:
        async with self._connection() as connection:
            going = await postgres_history.rows_to_compact(connection, document_id, compaction)
        # Packed before anything is locked, in a thread, so that commits need not wait for it.
        packed = await asyncio.to_thread(list, rows.segments(going)) if compaction.keep_history else []
        state = await asyncio.to_thread(rows.pack_state, compaction.state)
        seqs = [row.seq for row in going]
        with contextlib.suppress(postgres_history.Conflict):
            async with self._connection() as connection, connection.transaction():
                await postgres_history.compact(connection, document_id, compaction, state, seqs, packed)
            with contextlib.suppress(StoreUnavailable):  # the next one does it
                async with self._connection(settled=False) as connection:
                    await postgres_history.forget_batches(connection)
            return True
        return False

    async def history(
        self, document_id: int, *, after: int = 0, upto: int | None = None, updates: bool = True
    ) -> AsyncIterator[list[HistoryEntry]]:
        async with self._reading() as connection:
            place: Place | None
            place = await postgres_log.begin_history(connection, document_id, after)
        while place is not None:
            async with self._reading() as connection:
                entries, place = await postgres_log.read_history(
                    connection, document_id, place, upto, updates
                )
            if entries:
                yield entries

    async def replace_history(
        self, document_id: int, upto: int, expected: int, entries: Sequence[HistoryEntry]
    ) -> bool:
        with contextlib.suppress(postgres_history.Conflict):
            async with self._connection() as connection, connection.transaction():
                await postgres_history.replace_history(connection, document_id, upto, expected, entries)
            return True
        return False

    async def versions(self, document_id: int) -> list[Version]:
        async with self._connection() as connection:
            return await postgres_history.versions(connection, document_id)

    async def name_version(self, document_id: int, version: Version) -> None:
        now = time.time()
        async with self._connection() as connection:
            numbers = await self._authors.numbers(connection, [version.author], now)
            number = numbers[version.author.connection]
            await connection.execute(
                QUERIES["save_version"],
                document_id,
                version.seq,
                clean(version.name),
                version.at or now,
                number,
            )

    async def remove_version(self, document_id: int, seq: int) -> None:
        async with self._connection() as connection:
            await connection.execute(QUERIES["remove_version"], document_id, seq)

    async def erase_authors(self, *, principal: str | None = None, before: float | None = None) -> int:
        if principal is None and before is None:
            raise ValueError("say whom to erase")
        self._authors.forget()
        async with self._connection() as connection:
            done = await connection.execute(
                QUERIES["erase_authors"], None if principal is None else clean(principal), before
            )
        self._authors.forget()
        return int(done.split()[-1])

    async def quarantine(self, document_id: int, reason: str) -> None:
        async with self._connection() as connection:
            await connection.execute(QUERIES["quarantine_document"], document_id, clean(reason))

    async def examine(self, document_id: int) -> list[Problem]:
        async with self._reading() as connection:
            return await postgres_repair.examine(connection, document_id)

    async def set_aside(self, document_id: int) -> list[Problem]:
        async with self._connection() as connection, connection.transaction():
            return await postgres_repair.set_aside(connection, document_id)

    async def put_memo(self, memo: Memo, *, fresh: bool = False) -> bool:
        async with self._connection(settled=False) as connection:
            return await postgres_memos.put(connection, memo, fresh=fresh)

    async def memo(self, kind: str, key: str) -> Memo | None:
        async with self._connection(settled=False) as connection:
            return await postgres_memos.find(connection, kind, key)

    async def memos(
        self, kind: str, *, subject: str | None = None, after: str = "", limit: int = 100
    ) -> list[Memo]:
        async with self._connection(settled=False) as connection:
            return await postgres_memos.find_all(connection, kind, subject, after, limit)

    async def memos_about(self, kind: str, subjects: Sequence[str]) -> list[Memo]:
        async with self._connection(settled=False) as connection:
            return await postgres_memos.find_about(connection, kind, subjects)

    async def remove_memo(self, kind: str, key: str) -> bool:
        async with self._connection(settled=False) as connection:
            return await postgres_memos.remove(connection, kind, key)

    async def remove_expired_memos(self, now: float) -> int:
        async with self._connection(settled=False) as connection:
            return await postgres_memos.remove_expired(connection, now)

    async def dump(self) -> AsyncIterator[list[StoreRecord]]:
        after = "", ""
        while True:
            async with self._reading() as connection:
                memos = await postgres_memos.read_all(connection, after)
            if not memos:
                break
            yield [*memos]
            after = memos[-1].kind, memos[-1].key
        place: DumpPlace | None = BEGINNING
        while place is not None:
            async with self._reading() as connection:
                records, place = await postgres_records.read(connection, place)
            if records:
                yield records

    async def take_in(self, records: Sequence[StoreRecord]) -> None:
        async with self._connection() as connection, connection.transaction():
            await postgres_records.take_in(connection, records)

    async def _connect(self) -> "asyncpg.Connection[Record]":
        """The connection that commits, and that says how long this process lives."""
        connection = await connect(self._url)
        try:
            number = await postgres_schema.begin_process(connection)
            if self._process is not None:
                await postgres_schema.end_process(connection, self._process)
        except BaseException:
            connection.terminate()
            raise
        self._process = number
        return connection

    def _opened(self) -> "Pool":
        if self._pool is None:
            raise StoreUnavailable("the store is closed")
        return self._pool

    @contextlib.asynccontextmanager
    async def _connection(self, *, settled: bool = True) -> AsyncIterator["Connection"]:
        """A connection that sees what was handed over before, if that can be committed."""
        pool = self._opened()
        if settled:
            await self._committer.settled()
        try:
            async with pool.acquire() as connection:
                yield connection
        except UNAVAILABLE as error:
            raise StoreUnavailable(f"PostgreSQL answered: {reason(error)}") from error

    @contextlib.asynccontextmanager
    async def _reading(self) -> AsyncIterator["Connection"]:
        """The same, in a transaction that sees one state of the database."""
        async with (
            self._connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield connection
