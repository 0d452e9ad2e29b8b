"""A store served to other processes over a socket, by the one that owns it.

Batches of all clients are handed to the store as they come, so that its group commits hold what any of them
sent meanwhile; and for each client they, and whatever else it asks, are begun in the order in which it sent
them. The answers that come together go out together. What waits to be committed is not bounded here: as with
any store, those who hand it over have a bound (a room has one batch under way). Whoever disconnects gives up
what it asked for, except for batches: what was handed over is committed.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

from collabd.errors import CollabdError, StoreError, StoreUnavailable
from collabd.frames import Link, frame, links_at

from . import exchange
from .base import Appended, Store
from .exchange import Kind, Operation

logger = logging.getLogger(__name__)

ASK_AGAIN_SECONDS: Final = 0.1
"""How soon it is looked again whether a store can commit, for a client that wants to leave."""


@contextlib.asynccontextmanager
async def serving(path: Path, store: Store) -> AsyncIterator[None]:
    """Let :class:`~collabd.persistence.remote.RemoteStore` use a store that was started, in the block. Who is
    still connected at its end is cut off.

    Raises:
        OSError: there can be no socket at ``path``.
        StoreError: the path is too long.
    """
    owner = _Owner(store)
    async with links_at(path, owner.welcome, owner.close):
        yield


class _Owner:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.interruptions = 0
        """Clients that went without a word, and that nobody was told of yet."""
        self.is_closing = False
        self.clients: set[_Client] = set()

    def welcome(self) -> Link:
        client = _Client(self)
        self.clients.add(client)
        return client.link

    def was_interrupted(self) -> bool:
        """Whether to tell a newcomer so: it may be the one that takes the place of a client that died of
        some document."""
        if self.interruptions:
            self.interruptions -= 1
            return True
        return self.store.was_interrupted

    async def close(self) -> None:
        self.is_closing = True
        await asyncio.gather(*(client.close() for client in self.clients))


class _Client:
    def __init__(self, owner: _Owner) -> None:
        self.link = Link(self._received, self._lost)
        self._owner = owner
        self._store = owner.store
        self._loop = asyncio.get_running_loop()
        self._is_greeted = False
        self._is_leaving = False
        self._inbox: deque[tuple[Kind, int, bytes]] = deque()
        """What comes after a call that is about to begin."""
        self._begins = False
        self._batches: set[asyncio.Future[Appended]] = set()
        """What is not committed yet."""
        self._answers: list[bytes] = []
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._wanted: dict[int, asyncio.Event] = {}
        """By the number of a call that gives things one after the other: set when the next one is wanted."""

    async def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values())
        await self.link.close()

    def _lost(self) -> None:
        self._owner.clients.discard(self)
        for task in self._tasks.values():
            task.cancel()
        if self._is_greeted and not self._is_leaving and not self._owner.is_closing:
            self._owner.interruptions += 1
            logger.warning("a process that used the store went without closing it")

    def _received(self, kind: int, number: int, body: bytes) -> None:
        if self._begins:
            self._inbox.append((Kind(kind), number, body))
        else:
            self._handle(Kind(kind), number, body)

    def _go_on(self) -> None:
        self._begins = False
        while self._inbox and not self._begins:
            self._handle(*self._inbox.popleft())

    def _handle(self, kind: Kind, number: int, body: bytes) -> None:
        match kind:
            case Kind.APPEND:
                self._append(number, body)
            case Kind.CALL:
                operation, arguments = exchange.unpack_call(body)
                serve = self._stream if operation.is_stream else self._call
                self._begin(number, serve(number, operation, arguments))
            case Kind.MORE:
                if number in self._wanted:
                    self._wanted[number].set()
            case Kind.STOP:
                if number in self._tasks:
                    self._tasks[number].cancel()
            case Kind.HELLO:
                self._greet(number, exchange.unpack(body))
            case Kind.BYE:
                self._is_leaving = True
                self._begin(number, self._settle(number))
            case _:
                raise ValueError(f"clients do not say {kind!r}")

    def _greet(self, number: int, version: int) -> None:
        if version != exchange.VERSION:
            self._fail(number, StoreError("the process that owns the store is of another version"))
            return
        self._is_greeted = True
        self._result(number, self._owner.was_interrupted())

    # Batches

    def _append(self, number: int, body: bytes) -> None:
        name, document_id, updates, authors, revive, first = exchange.unpack_batch(body)
        future = self._store.append(name, document_id, updates, authors, revive=revive, first=first)
        self._batches.add(future)
        future.add_done_callback(partial(self._appended, number))

    def _appended(self, number: int, future: "asyncio.Future[Appended]") -> None:
        self._batches.discard(future)
        error = future.exception()
        if error is not None:
            self._fail(number, error)
            return
        if not self._answers:
            self._loop.call_soon(self._send_answers)
        self._answers.append(exchange.pack_answer(number, future.result()))

    def _send_answers(self) -> None:
        if self._answers:
            self.link.send(frame(Kind.APPENDED, 0, b"".join(self._answers)))
            self._answers.clear()

    async def _settle(self, number: int) -> None:
        """Answer once everything is committed that can be."""
        while self._batches:
            try:
                await self._store.ping()
            except StoreUnavailable:
                break
            await asyncio.wait(self._batches, timeout=ASK_AGAIN_SECONDS)
        self._result(number, None)

    # Everything else

    def _begin(self, number: int, serving: Coroutine[Any, Any, None]) -> None:
        """Begin to serve a call, before anything that came after it."""
        self._tasks[number] = task = self._loop.create_task(self._finish(number, serving))
        task.add_done_callback(lambda _: self._tasks.pop(number))
        self._begins = True
        self._loop.call_soon(self._go_on)

    async def _finish(self, number: int, serving: Coroutine[Any, Any, None]) -> None:
        try:
            await serving
        except Exception as error:
            self._fail(number, error)

    async def _call(self, number: int, operation: Operation[Any], arguments: dict[str, Any]) -> None:
        result = await getattr(self._store, operation.name)(**arguments)
        self._result(number, operation.result.plain(result))

    async def _stream(self, number: int, operation: Operation[Any], arguments: dict[str, Any]) -> None:
        wanted = self._wanted[number] = asyncio.Event()
        given = cast("AsyncGenerator[Any]", getattr(self._store, operation.name)(**arguments))
        try:
            async with contextlib.aclosing(given):
                async for some in given:
                    self._result(number, operation.result.plain(some))
                    await wanted.wait()
                    wanted.clear()
            self._result(number, None)
        finally:
            del self._wanted[number]

    def _result(self, number: int, plain: Any) -> None:
        self._send_answers()
        self.link.send(frame(Kind.RESULT, number, exchange.pack(plain)))

    def _fail(self, number: int, error: BaseException) -> None:
        if not isinstance(error, CollabdError):
            logger.error("the store failed", exc_info=error)
            error = CollabdError("the store failed; the log of the process that owns it says how")
        self._send_answers()
        self.link.send(frame(Kind.FAILED, number, exchange.pack_error(error)))
