"""A store that another process owns, used over its socket.

If the connection is lost, whatever was asked and not answered is given up: nobody can tell whether it was
committed. It is connected again as soon as the owner is there; batches handed over meanwhile wait for that.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from collabd.errors import CollabdError, StoreError, StoreUnavailable
from collabd.frames import Link, frame
from collabd.memos import Memo
from collabd.sockets import short

from . import exchange
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
from .exchange import Batch, Kind, Operation
from .records import Record

logger = logging.getLogger(__name__)

T = TypeVar("T")

RETRY_AFTER: Final = 0.05
MAX_RETRY_AFTER: Final = 1.0
GONE: Final = "the process that owns the store is gone"


class RemoteStore:
    """Keeps the contract of :class:`~collabd.persistence.base.Store` by asking the process that owns one; see
    ``served``.

    Args:
        path: where the owner's socket is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._owner: _Owner | None = None
        self._waiting: list[tuple[asyncio.Future[Appended], bytes]] = []
        """Batches that were not sent, as there was no connection."""
        self._connecting: asyncio.Task[None] | None = None
        self._trouble = ""
        """Why there is no connection."""
        self._is_closed = True
        self.was_interrupted = False
        self.is_shared = True

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            self._owner = await self._connect()
        except (OSError, StoreUnavailable) as error:
            raise StoreError(f"nobody serves a store at {self._path}: {error}") from error
        self._is_closed = False

    async def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        owner = self._owner
        if owner is not None:
            with contextlib.suppress(CollabdError):
                await owner.ask(Kind.BYE)
            await owner.close("the store was closed before it could commit")
        for future, _ in self._waiting:
            _fail(future, "the store was closed before it could commit")
        self._waiting.clear()

    async def ping(self) -> None:
        await self._call(exchange.PING)

    async def load(self, name: str, *, whole: bool = False) -> StoredDocument | None:
        return await self._call(exchange.LOAD, name=name, whole=whole)

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
        if self._is_closed:
            future.set_exception(StoreUnavailable("the store is closed"))
            return future
        body = exchange.pack_batch(Batch(name, document_id, updates, authors, revive, first))
        if self._owner is None:
            self._waiting.append((future, body))
        else:
            self._owner.hand_over(future, body)
        return future

    async def reject(self, document_id: int, seqs: Sequence[int]) -> None:
        await self._call(exchange.REJECT, document_id=document_id, seqs=seqs)

    async def find(self, name: str) -> DocumentInfo | None:
        return await self._call(exchange.FIND, name=name)

    async def find_all(self, names: Sequence[str]) -> dict[str, DocumentInfo]:
        return await self._call(exchange.FIND_ALL, names=names)

    async def documents(self, *, prefix: str = "", after: str = "", limit: int = 100) -> list[DocumentInfo]:
        return await self._call(exchange.DOCUMENTS, prefix=prefix, after=after, limit=limit)

    async def delete(self, name: str) -> None:
        await self._call(exchange.DELETE, name=name)

    async def compact(self, document_id: int, compaction: Compaction) -> bool:
        return await self._call(exchange.COMPACT, document_id=document_id, compaction=compaction)

    def history(
        self, document_id: int, *, after: int = 0, upto: int | None = None, updates: bool = True
    ) -> AsyncIterator[list[HistoryEntry]]:
        return self._stream(
            exchange.HISTORY, document_id=document_id, after=after, upto=upto, updates=updates
        )

    async def replace_history(
        self, document_id: int, upto: int, expected: int, entries: Sequence[HistoryEntry]
    ) -> bool:
        return await self._call(
            exchange.REPLACE_HISTORY, document_id=document_id, upto=upto, expected=expected, entries=entries
        )

    async def versions(self, document_id: int) -> list[Version]:
        return await self._call(exchange.VERSIONS, document_id=document_id)

    async def name_version(self, document_id: int, version: Version) -> None:
        await self._call(exchange.NAME_VERSION, document_id=document_id, version=version)

    async def remove_version(self, document_id: int, seq: int) -> None:
        await self._call(exchange.REMOVE_VERSION, document_id=document_id, seq=seq)

    async def erase_authors(self, *, principal: str | None = None, before: float | None = None) -> int:
        if principal is None and before is None:
            raise ValueError("say whom to erase")
        return await self._call(exchange.ERASE_AUTHORS, principal=principal, before=before)

    async def quarantine(self, document_id: int, reason: str) -> None:
        await self._call(exchange.QUARANTINE, document_id=document_id, reason=reason)

    async def examine(self, document_id: int) -> list[Problem]:
        return await self._call(exchange.EXAMINE, document_id=document_id)

    async def set_aside(self, document_id: int) -> list[Problem]:
        return await self._call(exchange.SET_ASIDE, document_id=document_id)

    async def put_memo(self, memo: Memo, *, fresh: bool = False) -> bool:
        return await self._call(exchange.PUT_MEMO, memo=memo, fresh=fresh)

    async def memo(self, kind: str, key: str) -> Memo | None:
        return await self._call(exchange.MEMO, kind=kind, key=key)

    async def memos(
        self, kind: str, *, subject: str | None = None, after: str = "", limit: int = 100
    ) -> list[Memo]:
        return await self._call(exchange.MEMOS, kind=kind, subject=subject, after=after, limit=limit)

    async def memos_about(self, kind: str, subjects: Sequence[str]) -> list[Memo]:
        return await self._call(exchange.MEMOS_ABOUT, kind=kind, subjects=subjects)

    async def remove_memo(self, kind: str, key: str) -> bool:
        return await self._call(exchange.REMOVE_MEMO, kind=kind, key=key)

    async def remove_expired_memos(self, now: float) -> int:
        return await self._call(exchange.REMOVE_EXPIRED_MEMOS, now=now)

    def dump(self) -> AsyncIterator[list[Record]]:
        return self._stream(exchange.DUMP)

    async def take_in(self, records: Sequence[Record]) -> None:
        await self._call(exchange.TAKE_IN, records=records)

    # Asking

    async def _call(self, operation: Operation[T], **arguments: Any) -> T:
        owner = self._connected()
        return operation.result.whole(await owner.ask(Kind.CALL, exchange.pack_call(operation, arguments)))

    async def _stream(self, operation: Operation[T], **arguments: Any) -> AsyncIterator[T]:
        owner = self._connected()
        number = owner.next_number()
        has_ended = False
        kind, body = Kind.CALL, exchange.pack_call(operation, arguments)
        try:
            while (plain := await owner.ask(kind, body, number)) is not None:
                yield operation.result.whole(plain)
                kind, body = Kind.MORE, b""
            has_ended = True
        finally:
            if not has_ended:
                owner.stop(number)

    def _connected(self) -> "_Owner":
        if self._is_closed:
            raise StoreUnavailable("the store is closed")
        if self._owner is None:
            raise StoreUnavailable(self._trouble)
        return self._owner

    # The connection

    async def _connect(self) -> "_Owner":
        """Connect to the owner.

        Raises:
            OSError: nobody is there.
            StoreUnavailable: somebody was, and went.
            StoreError: the owner cannot be understood.
        """
        owner = _Owner(self._on_lost)
        with short(self._path) as address:
            await self._loop.create_unix_connection(lambda: owner.link, address)
        try:
            self.was_interrupted = await owner.ask(Kind.HELLO, exchange.pack(exchange.VERSION))
        except BaseException:
            owner.link.abort()
            raise
        if owner.is_lost:  # since it answered
            raise StoreUnavailable(GONE)
        return owner

    def _on_lost(self, owner: "_Owner") -> None:
        if owner is not self._owner:
            return
        self._owner = None
        if not self._is_closed:
            self._trouble = GONE
            logger.error("%s, waiting for it to come back", GONE)
            self._connecting = self._loop.create_task(self._connect_again())

    async def _connect_again(self) -> None:
        pause = RETRY_AFTER
        while True:
            await asyncio.sleep(pause)
            pause = min(pause * 2, MAX_RETRY_AFTER)
            try:
                owner = await self._connect()
            except (OSError, StoreUnavailable):
                continue
            except StoreError as error:
                self._trouble = str(error)
                continue
            break
        logger.warning("the process that owns the store is back")
        self._owner, self._connecting = owner, None
        waiting, self._waiting = self._waiting, []
        for future, body in waiting:
            owner.hand_over(future, body)


class _Owner:
    """The owner as one connection leads to it, and what it was asked over that."""

    def __init__(self, on_lost: Callable[["_Owner"], None]) -> None:
        self.link = Link(self._received, self._lost)
        self._loop = asyncio.get_running_loop()
        self._on_lost = on_lost
        self._numbers = 0
        self._asked: dict[int, asyncio.Future[Any]] = {}
        """What is not answered yet, by its number."""
        self.is_lost = False
        self._why = f"{GONE}, and whether it has done this is not known"

    def next_number(self) -> int:
        """A number for a request that consists of several."""
        self._numbers += 1
        return self._numbers

    async def ask(self, kind: Kind, body: bytes = b"", number: int | None = None) -> Any:
        """Send a request, and return its result or raise its error.

        Raises:
            StoreUnavailable: the connection is lost.
            TooLarge: the request is.
        """
        future: asyncio.Future[Any] = self._loop.create_future()
        self._send(future, kind, number or self.next_number(), body)
        return await future

    def hand_over(self, future: "asyncio.Future[Appended]", body: bytes) -> None:
        """Send a batch."""
        try:
            self._send(future, Kind.APPEND, self.next_number(), body)
        except CollabdError as error:
            if not future.done():
                future.set_exception(error)

    def stop(self, number: int) -> None:
        """Say that what is given one after the other is not wanted any more."""
        self._asked.pop(number, None)
        if not self.is_lost:
            self.link.send(frame(Kind.STOP, number))

    async def close(self, why: str) -> None:
        """Disconnect, and give up what is not answered."""
        self._why = why
        await self.link.close()

    def _send(self, future: "asyncio.Future[Any]", kind: Kind, number: int, body: bytes) -> None:
        if self.is_lost:
            raise StoreUnavailable(GONE)
        self.link.send(frame(kind, number, body))
        self._asked[number] = future

    def _received(self, kind: int, number: int, body: bytes) -> None:
        match kind:
            case Kind.APPENDED:
                for answered, appended in exchange.unpack_answers(body):
                    self._answer(answered, appended)
            case Kind.RESULT:
                self._answer(number, exchange.unpack(body))
            case Kind.FAILED:
                self._answer(number, exchange.unpack_error(body))
            case _:
                raise ValueError(f"owners do not say {kind}")

    def _answer(self, number: int, outcome: Any) -> None:
        future = self._asked.pop(number, None)
        if future is None or future.done():
            return
        if isinstance(outcome, CollabdError):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    def _lost(self) -> None:
        self.is_lost = True
        asked, self._asked = self._asked, {}
        for future in asked.values():
            _fail(future, self._why)
        self._on_lost(self)


def _fail(future: "asyncio.Future[Any]", why: str) -> None:
    if not future.done():
        future.set_exception(StoreUnavailable(why))
