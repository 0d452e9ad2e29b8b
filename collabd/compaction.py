"""Compaction: a snapshot takes the place of the log under it, so that opening stays fast.

A snapshot is made from what is stored, not from a room's document, so that a document that went wrong in
memory never replaces what is right on disk. Before the store may move anything, the snapshot is loaded again
and compared with what it was made from.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

from pycrdt import Doc

from collabd.errors import (
    CollabdError,
    DocumentDamaged,
    MalformedInput,
    StoreUnavailable,
    UnsupportedFormat,
    UpdateRejected,
)
from collabd.formats import content_of
from collabd.history import thin
from collabd.memos import Memo
from collabd.persistence.base import Compaction, HistoryEntry, LoggedUpdate, Store, StoredDocument
from collabd.protocol.intake import Intake
from collabd.protocol.ranges import IdRanges
from collabd.protocol.squash import squash
from collabd.protocol.update import check_update
from collabd.protocol.walk import walk
from collabd.rooms.loading import rebuild
from collabd.rooms.replica import EMPTY_UPDATE, Replica, reraise_unless_pycrdt
from collabd.rooms.snapshot import pack
from collabd.rooms.state import Early

from . import retention
from .retention import Policy

logger = logging.getLogger(__name__)

Run = Callable[..., Awaitable[Any]]
"""Calls a function with arguments somewhere else, where it holds nobody up."""

TURN: Final = "compacting"
"""What memos are called that say that a server compacts a document."""
TURN_SECONDS: Final = 10.0
"""After which somebody else may, if that server does not say that it has ended: it may have been killed. A
compaction that takes longer may be made twice, and counts once."""
TRIES: Final = 3
"""How often a compaction begins anew because another one was faster."""


class Compacted(NamedTuple):
    """A snapshot that was checked."""

    snapshot: bytes
    early: list[int]
    rejected: list[int]
    """Updates that turned out not to be applicable."""


def compacted(snapshot: bytes | None, tail: Sequence[LoggedUpdate]) -> Compacted:
    """Make a snapshot of a stored document, and be sure of it. Takes long: call it elsewhere.

    Raises:
        DocumentDamaged: the document cannot be rebuilt, or the snapshot would hold something else.
    """
    replica, early, rejected = _squashed(snapshot, tail) or _one_by_one(snapshot, tail)
    state = replica.state()
    return Compacted(pack(state, _verified(state, replica)), early, sorted(rejected))


_Rebuilt = tuple[Replica, list[int], list[int]]
"""A document, and the numbers of what is early in it and of what is not applicable."""


def _squashed(snapshot: bytes | None, tail: Sequence[LoggedUpdate]) -> _Rebuilt | None:
    """What nearly all documents are made by, in a tenth of the time; None if one must look closer."""
    try:
        squashed = [Early(0, update, check_update(update)) for update in squash(update for _, update in tail)]
    except MalformedInput:
        return None
    replica = Replica.build(snapshot or EMPTY_UPDATE, squashed)
    return None if replica.rejected or replica.early else (replica, [], [])


def _one_by_one(snapshot: bytes | None, tail: Sequence[LoggedUpdate]) -> _Rebuilt:
    replica, logged, refused = rebuild(snapshot, tail)
    waiting = replica.known.waiting
    early = [seq for seq, update, _ in logged if seq not in replica.rejected and update in waiting]
    return replica, early, refused + replica.rejected


def _verified(state: bytes, replica: Replica) -> Intake:
    """The intake of a document loaded from ``state``, once it is sure that this has what the replica has."""
    try:
        reloaded = Intake(state)
        # It has deletions beside those that were sent: of values that others took the place of.
        if reloaded.clocks != replica.known.clocks or not reloaded.deletes.contains(replica.known.deletes):
            raise DocumentDamaged("the snapshot would not cover what the log does")
        again: Doc[Any] = Doc()
        again.apply_update(state)
        if IdRanges(walk(again.get_update()).deletes) != reloaded.deletes:
            raise DocumentDamaged("the snapshot would have other deletions when it is loaded")
        # What cannot be read in one go is compared by its ids alone.
        with contextlib.suppress(UnsupportedFormat):
            if content_of(again, state) != content_of(replica.doc, state):
                raise DocumentDamaged("the snapshot would have other content than the log")
        return reloaded
    except (MalformedInput, UpdateRejected) as error:
        raise DocumentDamaged(f"the snapshot could not be loaded: {error}") from error
    except DocumentDamaged:
        raise
    except BaseException as error:
        reraise_unless_pycrdt(error)
        raise DocumentDamaged(f"the snapshot could not be read: {error}") from error


class Compactor:
    """Compacts documents in the background, one after the other.

    Args:
        run: calls a function elsewhere, such as in a worker process.
        policy: what is kept of the past.
        share: of the time, what compaction in the background may take at most. Where much is written, it
            would otherwise take from those who write as much as they do.
        clock: seconds since the epoch, by which history is old.
    """

    def __init__(
        self,
        store: Store,
        *,
        run: Run,
        policy: Policy = Policy(),  # noqa: B008 - it never changes
        share: float = 0.1,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._run = run
        self._policy = policy
        self._share = share
        self._clock = clock
        self._due: dict[str, asyncio.Future[int]] = {}
        self._working: asyncio.Task[None] | None = None

    def soon(self, name: str) -> "asyncio.Future[int]":
        """Compact a document when its turn comes; the answer is the size of its snapshot (bytes).

        If that fails, it is logged, and the future has the error.
        """
        future = self._due.get(name)
        if future is None:
            future = self._due[name] = asyncio.get_running_loop().create_future()
        if self._working is None:
            self._working = asyncio.create_task(self._work())
        return future

    async def compact(self, name: str, *, keep_history: bool | None = None) -> int:
        """Compact a document now, and thin its history if the policy says so.

        Returns:
            the size of its snapshot in bytes; 0 if there is no such document, or others were faster.

        Raises:
            DocumentDamaged: it cannot be read, or compaction would lose something; nothing was changed.
            DocumentDeleted: it was deleted.
            StoreUnavailable: the store cannot commit at the moment.
        """
        keep = self._policy.keep_history if keep_history is None else keep_history
        for tried in range(TRIES):
            stored = await self._store.load(name)
            if stored is None:
                return 0
            # Who was faster did what was to be done.
            if stored.snapshot is not None and keep and (tried or not stored.tail):
                await self._thin_if_due(stored.id)
                return len(stored.snapshot)
            try:
                made = await self._run(compacted, stored.snapshot, stored.tail)
            except DocumentDamaged:
                if stored.snapshot is None:
                    raise
                stored = await self._whole(name)
                made = await self._run(compacted, None, stored.tail)
            if made.rejected:
                await self._store.reject(stored.id, made.rejected)
            compaction = Compaction(stored.snapshot_seq, stored.head, made.snapshot, made.early, keep)
            if await self._store.compact(stored.id, compaction):
                await self._thin_if_due(stored.id)
                return len(made.snapshot)
        return 0

    async def sweep(self, changed_since: float = 0.0) -> None:
        """Compact, one after the other, all documents that changed since a time (seconds since the epoch), so
        that the policy holds also for those in which little is written."""
        after = ""
        while page := await self._store.documents(after=after):
            for info in page:
                if info.updated_at >= changed_since and not info.quarantine:
                    with contextlib.suppress(CollabdError):
                        await asyncio.shield(self.soon(info.name))
            after = page[-1].name

    async def _thin_if_due(self, document_id: int) -> None:
        if self._policy.days is None:
            return
        before = self._clock() - self._policy.days * retention.DAY
        known = [
            entry async for entries in self._store.history(document_id, updates=False) for entry in entries
        ]
        due = retention.thinning(known, await self._store.versions(document_id), before)
        if due is None:
            return
        whole: list[HistoryEntry] = []
        async for entries in self._store.history(document_id, upto=due.upto):
            whole += entries
        if len(whole) == due.entries:
            kept = await self._run(thin, whole, due.boundaries)
            await self._store.replace_history(document_id, due.upto, due.entries, kept)

    async def close(self) -> None:
        """Give up what is under way. Nothing is lost by that: a compaction happens whole or not at all."""
        if self._working is not None:
            self._working.cancel()
            await asyncio.wait([self._working])
        for future in self._due.values():
            future.cancel()
        self._due.clear()

    async def _whole(self, name: str) -> StoredDocument:
        stored = await self._store.load(name, whole=True)
        assert stored is not None, "it was there a moment ago"
        return stored

    async def _work(self) -> None:
        try:
            while self._due:
                name, future = next(iter(self._due.items()))
                started = time.perf_counter()
                try:
                    size = await self._compact_in_turn(name)
                except CollabdError as error:
                    logger.warning("document %s is not compacted: %s", name, error)
                    self._done(name, future, error)
                except Exception as error:
                    logger.exception("document %s is not compacted", name)
                    self._done(name, future, error)
                else:
                    self._done(name, future, size)
                if self._share < 1:
                    await asyncio.sleep((time.perf_counter() - started) * (1 / self._share - 1))
        finally:
            self._working = None

    async def _compact_in_turn(self, name: str) -> int:
        """Compact a document unless another server does: it would be done twice, and count once."""
        if not self._store.is_shared:
            return await self.compact(name)
        until = time.time() + TURN_SECONDS
        if not await self._store.put_memo(Memo(TURN, name, "", "{}", until), fresh=True):
            return 0
        try:
            return await self.compact(name)
        finally:
            with contextlib.suppress(StoreUnavailable):
                await self._store.remove_memo(TURN, name)

    def _done(self, name: str, future: "asyncio.Future[int]", outcome: int | Exception) -> None:
        del self._due[name]
        if future.done():
            return
        if isinstance(outcome, int):
            future.set_result(outcome)
        else:
            future.set_exception(outcome)
            future.exception()  # told already, by the log
