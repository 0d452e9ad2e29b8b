"""Group commit to PostgreSQL: one task that writes what was handed over, and is certain of it.

Whatever is handed over while a commit is in flight is committed together by the next one. What cannot be
committed is tried again until it can; how it is not committed twice is told in postgres_write.py.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import asyncpg

from collabd.errors import StoreError, StoreUnavailable

from .postgres_authors import Authors
from .postgres_connection import UNAVAILABLE, reason
from .postgres_write import Append, commit

if TYPE_CHECKING:
    from .postgres_connection import Connection, Record

logger = logging.getLogger(__name__)

MAX_GROUP_BYTES: Final = 8 * 1024 * 1024
ROW_BYTES: Final = 200
"""What a row takes beside its payload."""
RETRY_AFTER: Final = 0.1
MAX_RETRY_AFTER: Final = 2.0


@dataclass(slots=True, eq=False)
class _Pause:
    """A place among the batches where somebody else does something."""

    reached: "asyncio.Future[None]"
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Committer:
    """Commits batches, in the order they are handed over for each document.

    Args:
        connect: makes a connection of its own for it, and says that this process uses the database.
    """

    def __init__(
        self, connect: Callable[[], Awaitable["asyncpg.Connection[Record]"]], authors: Authors
    ) -> None:
        self._connect = connect
        self._authors = authors
        self._queue: list[Append | _Pause] = []
        self._wake = asyncio.Event()
        self._progress = asyncio.Event()
        self._handed_over = 0
        self._closing = False
        self._connection: asyncpg.Connection[Record] | None = None
        self._avoid_locked = False
        self._alone = 0
        self._task: asyncio.Task[None] | None = None
        self.failure: str | None = None
        """Why nothing can be committed at the moment."""

    async def start(self) -> None:
        """Connect and begin. Raises what connecting raises."""
        self._connection = await self._connect()
        self._connection.add_termination_listener(self._on_terminated)
        self._task = asyncio.create_task(self._run())

    def hand_over(self, append: Append) -> None:
        """Commit a batch when its turn comes."""
        self._handed_over += 1
        append.number = self._handed_over
        self._queue.append(append)
        self._wake.set()

    async def settled(self) -> None:
        """Return once what was handed over so far is committed, or cannot be at the moment."""
        upto = self._handed_over
        while self.failure is None and not self._avoid_locked:
            oldest = next((job.number for job in self._queue if isinstance(job, Append)), None)
            if oldest is None or oldest > upto:
                return
            self._progress.clear()
            await self._progress.wait()

    @contextlib.asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Do something after all that was handed over before, and before all that comes later.

        Raises:
            StoreUnavailable: nothing can be committed at the moment.
        """
        if self.failure is not None:
            raise StoreUnavailable(self.failure)
        pause = _Pause(asyncio.get_running_loop().create_future())
        self._queue.append(pause)
        self._wake.set()
        try:
            await pause.reached
            yield
        finally:
            pause.over.set()

    async def close(self) -> "asyncpg.Connection[Record] | None":
        """Commit what was handed over if that can be done now, and stop.

        Returns:
            the connection, if it still works, to be closed by the caller.
        """
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task
        self._give_up(StoreUnavailable(f"the store was closed: {self.failure}"))
        connection, self._connection = self._connection, None
        return connection

    async def _run(self) -> None:
        retry_after = RETRY_AFTER
        while self._queue or not self._closing:
            try:
                connection = await self._connected()
                if not self._queue:
                    self._works_again()
                    await self._woken(None)
                    continue
                if isinstance(pause := self._queue[0], _Pause):
                    await self._make_room(pause)
                    continue
                if await self._commit_next(connection):
                    self._works_again()
                    retry_after = RETRY_AFTER
                elif self._closing:
                    self._fails("documents are locked by somebody else")
                    return
                else:
                    await self._woken(RETRY_AFTER)
            except Exception as error:
                if not isinstance(error, UNAVAILABLE):
                    logger.exception("the log cannot commit")
                self._fails(reason(error))
                if self._closing:
                    return
                await self._woken(retry_after)
                retry_after = min(retry_after * 2, MAX_RETRY_AFTER)

    async def _connected(self) -> "asyncpg.Connection[Record]":
        if self._connection is None or self._connection.is_closed():
            self._connection = None
            self._connection = await self._connect()
            self._connection.add_termination_listener(self._on_terminated)
        return self._connection

    def _on_terminated(self, _: object) -> None:
        self._wake.set()

    async def _woken(self, timeout: float | None) -> None:
        """Wait for something to do; with a timeout, to try again what could not be done."""
        if timeout is None:
            await self._wake.wait()
        elif not self._closing:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    while not self._closing:
                        self._wake.clear()
                        await self._wake.wait()
        self._wake.clear()

    async def _make_room(self, pause: _Pause) -> None:
        if not pause.reached.done():
            pause.reached.set_result(None)
            await pause.over.wait()
        self._queue.remove(pause)

    def _works_again(self) -> None:
        if self.failure is not None:
            logger.warning("the log commits again")
            self.failure = None

    def _fails(self, why: str) -> None:
        if self._connection is not None:
            self._connection.terminate()
        if self.failure is None:
            logger.error("the log cannot commit, trying again: %s", why)
        self.failure = f"the log cannot commit: {why}"
        self._progress.set()
        pauses = [job for job in self._queue if isinstance(job, _Pause)]
        self._queue = [job for job in self._queue if isinstance(job, Append)]
        for pause in pauses:
            if not pause.reached.done():
                pause.reached.set_exception(StoreUnavailable(self.failure))

    def _give_up(self, error: Exception) -> None:
        for job in self._queue:
            waiting = job.future if isinstance(job, Append) else job.reached
            if not waiting.done():
                waiting.set_exception(error)
        self._queue.clear()
        self._progress.set()

    async def _commit_next(self, connection: "Connection") -> bool:
        """Commit the next group and answer those who wait for it; False if everything in it is locked."""
        group = self._next_group()
        try:
            outcomes = await commit(connection, self._authors, group, avoid_locked=self._avoid_locked)
        except asyncpg.LockNotAvailableError:
            # From here on the others go first, until whoever holds the lock lets go of it.
            self._avoid_locked = True
            self._progress.set()
            return True
        except asyncpg.DataError as error:
            # Nothing was committed, and never will be while it is among the others: find out which it is.
            if len(group) > 1:
                self._alone = len(group)
                return True
            why = StoreError(f"PostgreSQL does not take this batch: {reason(error)}")
            outcomes = {group[0]: why}
        except BaseException:
            for append in group:
                if append.tried_at is None:
                    append.tried_at = time.monotonic()
            raise
        self._alone = max(0, self._alone - 1)
        done = {append for append, outcome in outcomes.items() if outcome is not None}
        self._avoid_locked = len(done) < len(group)
        self._queue = [job for job in self._queue if job not in done]
        for append, outcome in outcomes.items():
            if append.future.done() or outcome is None:
                continue
            if isinstance(outcome, Exception):
                append.future.set_exception(outcome)
            else:
                append.future.set_result(outcome)
        self._progress.set()
        return bool(done)

    def _next_group(self) -> list[Append]:
        """As many of those waiting, up to a pause, as one transaction should hold, at least one."""
        group: list[Append] = []
        size = 0
        for job in self._queue:
            if isinstance(job, _Pause):
                break
            size += len(job.payload) + ROW_BYTES
            if group and (size > MAX_GROUP_BYTES or self._alone):
                break
            group.append(job)
        return group
